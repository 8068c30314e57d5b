//! What the Hetzner API can answer instead of what was asked, with everything that helps to find out why: the call, the
//! code, the HTTP status, the correlation id. From here on it has a blame.

use std::error::Error;
use std::fmt;

use gsh_engine::failure::Failure;
use gsh_model::outcome::Blame;

use super::governor::Rate;

/// A call that did not succeed. Never holds the token.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed{}", told)]
pub(crate) struct ApiError {
    /// Method and path, `POST /servers`.
    pub(crate) call: String,
    /// What the headers of the last answer said; nothing, where there was none.
    pub(crate) told: Box<Told>,
    /// What went wrong.
    #[source]
    pub(crate) trouble: Trouble,
}

/// What an answer's head says, whatever became of its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// HTTP status.
    pub(crate) status: Option<u16>,
    /// `X-Correlation-Id`, which Hetzner's support asks for.
    pub(crate) correlation: Option<Box<str>>,
    /// What is left of the account's requests.
    pub(crate) rate: Option<Rate>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.status.map(|s| format!("HTTP {s}")));
        parts.extend(self.correlation.as_ref().map(|c| format!("correlation id {c}")));
        parts.extend(self.rate.map(|r| format!("{} of {} requests left", r.remaining, r.limit)));
        // When it is full again matters where it is nearly empty.
        let low = self.rate.filter(|r| r.remaining < r.limit / 10);
        let full = low.and_then(|r| r.full_at).and_then(|at| jiff::Timestamp::from_second(at).ok());
        parts.extend(full.map(|at| format!("all again at {at}")));
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The API refused, in its own words.
    #[error("{status} {code}: {message}{}", fields(.details))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Code of the error envelope; `http_<status>` when there was no envelope.
        code: String,
        /// Message of the envelope.
        message: String,
        /// Names in `details`: fields of the request, or limits of the account.
        details: Vec<String>,
    },
    /// No answer: the request may or may not have taken effect.
    #[error("no answer from the API")]
    NoAnswer {
        /// Whether the connection was never made, so that nothing can have happened.
        never_sent: bool,
        /// What the HTTP client says; it never holds the token.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is not what the API promises: the request may well have taken effect.
    #[error("the answer ({status}) cannot be understood: {reason}")]
    Garbled {
        /// HTTP status.
        status: u16,
        /// What is missing.
        reason: String,
    },
    /// An action ended in an error.
    #[error("action `{command}` failed with {code}: {message}")]
    Action {
        /// `create_server`, `attach_to_network`, …
        command: String,
        /// Its code.
        code: String,
        /// Its message.
        message: String,
    },
    /// The name is taken by something that is not ours.
    #[error("the name `{name}` is taken by something that does not carry this lease's label")]
    ForeignName {
        /// The name.
        name: String,
    },
    /// Time ran out while waiting to try again.
    #[error("time ran out after {tries} tries, the last one said: {last}")]
    OutOfTime {
        /// How many requests were sent.
        tries: u32,
        /// What the last one said.
        last: String,
    },
    /// The account's request limit left no room for the request before time ran out.
    #[error("the account's hourly requests are used up, and do not come back in time after {tries} tries: {last}")]
    NoRequests {
        /// How many requests were sent.
        tries: u32,
        /// What the last one said.
        last: String,
    },
    /// The run was asked to stop before the request was sent.
    #[error("the run was asked to stop")]
    Stopped,
}

impl Trouble {
    /// What went wrong, with what lies at its bottom: `connection refused` says more than that no answer came.
    pub(crate) fn whole(&self) -> String {
        let mut bottom = self.source();
        while let Some(deeper) = bottom.and_then(Error::source) {
            bottom = Some(deeper);
        }
        bottom.map_or_else(|| self.to_string(), |bottom| format!("{self}: {bottom}"))
    }
}

fn fields(details: &[String]) -> String {
    if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) }
}

impl ApiError {
    /// The code of a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match &self.trouble {
            Trouble::Refused { code, .. } => Some(code),
            Trouble::NoAnswer { .. }
            | Trouble::Garbled { .. }
            | Trouble::Action { .. }
            | Trouble::ForeignName { .. }
            | Trouble::NoRequests { .. }
            | Trouble::OutOfTime { .. }
            | Trouble::Stopped => None,
        }
    }

    /// Trouble that no answer told.
    pub(crate) fn silent(call: impl Into<String>, trouble: Trouble) -> Self {
        Self { call: call.into(), told: Box::default(), trouble }
    }

    /// Whether another action holds the thing: it will be free when that has ended.
    #[must_use]
    pub(crate) fn is_locked(&self) -> bool {
        matches!(&self.trouble, Trouble::Refused { code, .. } if matches!(code.as_str(), "locked" | "resource_locked"))
    }

    /// Whether somebody has protected the thing: it is not free before somebody takes that off.
    #[must_use]
    pub(crate) fn is_protected(&self) -> bool {
        matches!(&self.trouble, Trouble::Refused { code, .. } if code == "protected")
    }

    /// Whether the cloud has no machine of that kind there: the next candidate may do.
    #[must_use]
    pub(crate) fn is_capacity(&self) -> bool {
        match &self.trouble {
            Trouble::Refused { code, message, .. } => match code.as_str() {
                "resource_unavailable" | "placement_error" => true,
                // How a type that is not sold there, or no longer, is refused.
                "invalid_input" => {
                    message.contains("unsupported location")
                        || (message.contains("server type") && message.contains("deprecated"))
                }
                _ => false,
            },
            Trouble::NoAnswer { .. }
            | Trouble::Garbled { .. }
            | Trouble::Action { .. }
            | Trouble::ForeignName { .. }
            | Trouble::OutOfTime { .. }
            | Trouble::NoRequests { .. }
            | Trouble::Stopped => false,
        }
    }

    /// The stable name of this kind of trouble, and whose fault it is.
    #[must_use]
    pub(crate) fn class(&self) -> (&'static str, Blame) {
        match &self.trouble {
            Trouble::Refused { status, code, message, .. } => match (code.as_str(), status) {
                _ if self.is_capacity() => ("GSH-CLOUD-006", Blame::Environment),
                ("unauthorized" | "token_readonly" | "forbidden", _) => ("GSH-CLOUD-004", Blame::Environment),
                ("rate_limit_exceeded", _) => ("GSH-CLOUD-005", Blame::Environment),
                ("resource_limit_exceeded", _) => ("GSH-CLOUD-007", Blame::Environment),
                // It was sold when the catalogue was read.
                ("invalid_input", _) if message.contains("image") && message.contains("deprecated") => {
                    ("GSH-CLOUD-008", Blame::Environment)
                }
                ("invalid_input" | "json_error" | "method_not_allowed" | "deprecated_api_endpoint", _) => {
                    ("GSH-CLOUD-003", Blame::Harness)
                }
                _ => ("GSH-CLOUD-002", Blame::Environment),
            },
            Trouble::NoAnswer { .. } => ("GSH-CLOUD-001", Blame::Environment),
            Trouble::Garbled { .. } => ("GSH-CLOUD-015", Blame::Environment),
            Trouble::Action { .. } => ("GSH-CLOUD-010", Blame::Environment),
            Trouble::ForeignName { .. } => ("GSH-CLOUD-014", Blame::Environment),
            Trouble::OutOfTime { .. } => ("GSH-CLOUD-011", Blame::Environment),
            Trouble::NoRequests { .. } => ("GSH-CLOUD-005", Blame::Environment),
            Trouble::Stopped => ("GSH-RUN-002", Blame::Environment),
        }
    }

    /// A failure of whatever needed the call.
    #[must_use]
    pub(crate) fn failure(&self, expected: impl fmt::Display) -> Failure {
        if matches!(self.trouble, Trouble::Stopped) {
            return Failure::stopped(expected.to_string());
        }
        let (code, blame) = self.class();
        Failure::new(blame, code, expected.to_string(), self.to_string()).because(&self.trouble)
    }
}
