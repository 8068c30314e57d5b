//! Why a call to ws-manager did not succeed, and whose fault that is.

use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_model::outcome::Blame;
use tonic::{Code, Status};

use super::tunnel::TunnelError;

/// What kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// ws-manager knows no such workspace.
    NotFound,
    /// There is one with this instance id already.
    AlreadyExists,
    /// The request is wrong.
    InvalidArgument,
    /// The workspace is not in the state that the call needs.
    FailedPrecondition,
    /// ws-manager says that it is not available, or cannot reach something.
    Unavailable,
    /// ws-manager answered with another code.
    Other,
    /// The way to ws-manager broke: API server, port-forward, connection.
    Lost,
    /// ws-manager's pod is there, but what answers is not ws-manager, or nothing answers.
    Silent,
}

/// An error of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rpc}: {message}")]
pub struct WsmanError {
    /// The call, such as `StartWorkspace`.
    pub rpc: &'static str,
    /// What kind.
    pub kind: ErrorKind,
    /// The text.
    pub message: String,
}

impl WsmanError {
    pub(crate) fn late(rpc: &'static str, patience: Duration) -> Self {
        Self { rpc, kind: ErrorKind::Silent, message: format!("no answer within {patience:?}") }
    }

    pub(crate) fn from_status(rpc: &'static str, status: &Status) -> Self {
        let kind = match tunnel_error(status) {
            Some(tunnel) if tunnel.blame() == Blame::Environment => ErrorKind::Lost,
            Some(_answered_wrongly) => ErrorKind::Silent,
            // An error with a source was made on our side of the wire: the connection broke under the call.
            None if std::error::Error::source(status).is_some() => ErrorKind::Lost,
            None => kind_of(status.code()),
        };
        let mut message = format!("{:?}: {}", status.code(), status.message());
        let mut next = std::error::Error::source(status);
        while let Some(e) = next {
            let text = e.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            next = e.source();
        }
        Self { rpc, kind, message }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self.kind {
            ErrorKind::Lost => Blame::Environment,
            ErrorKind::InvalidArgument => Blame::Harness,
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::FailedPrecondition
            | ErrorKind::Unavailable
            | ErrorKind::Other
            | ErrorKind::Silent => Blame::Product,
        }
    }

    /// Whether the same call may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Lost | ErrorKind::Unavailable)
    }

    /// As a failure of a check.
    #[must_use]
    pub fn failure(&self, check: &'static str, expected: impl Into<String>) -> Failure {
        Failure::new(self.blame(), check, expected, self.to_string())
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::InvalidArgument => ErrorKind::InvalidArgument,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => ErrorKind::Other,
    }
}

/// The tunnel's own error, if it is somewhere below.
fn tunnel_error(status: &Status) -> Option<&TunnelError> {
    let mut next = std::error::Error::source(status);
    while let Some(e) = next {
        if let Some(found) = e.downcast_ref::<TunnelError>() {
            return Some(found);
        }
        next = e.source();
    }
    None
}
