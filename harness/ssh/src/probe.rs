//! Looks at a server without logging in.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::dial::{dial, greeting, speaks_ssh};
use crate::error::{SshError, translate};
use crate::key::HostKey;
use crate::session::settings;
use crate::watch::{Shown, Watch, shown};

/// The identification line of whoever listens, such as `SSH-2.0-OpenSSH_8.9p1 Ubuntu-3`.
///
/// # Errors
/// [`SshError::Refused`], [`SshError::TimedOut`], [`SshError::NotSsh`], [`SshError::Unreachable`].
pub async fn banner(target: SocketAddr, deadline: Instant) -> Result<String, SshError> {
    let stream = dial(target, deadline).await?;
    greeting(stream, target, deadline).await
}

/// The host key that the server shows and proves to hold. Never a reason to trust it.
///
/// # Errors
/// Those of [`banner`], and [`SshError::Protocol`] or [`SshError::ClosedEarly`] when the key exchange does not get there.
pub async fn host_key(target: SocketAddr, deadline: Instant) -> Result<HostKey, SshError> {
    host_key_like(target, &[], deadline).await
}

/// The same, of the kind of one of these where the server has one: whoever knows a server by its RSA key wants to see that.
///
/// # Errors
/// As [`host_key`].
pub async fn host_key_like(target: SocketAddr, known: &[HostKey], deadline: Instant) -> Result<HostKey, SshError> {
    let kinds: Vec<_> = known.iter().flat_map(HostKey::kinds).collect();
    let stream = dial(target, deadline).await?;
    speaks_ssh(&stream, target, deadline).await?;
    let place = Shown::default();
    let watch = Watch { expected: None, shown: place.clone() };
    let exchange = russh::client::connect_stream(Arc::new(settings(&kinds)), stream, watch);
    let ended = match timeout_at(deadline, exchange).await {
        Err(_) => return Err(SshError::TimedOut { target, during: "key exchange" }),
        Ok(ended) => ended,
    };
    match (shown(&place), ended) {
        (Some(key), _) => Ok(key),
        (None, Err(e)) => Err(translate(target, "key exchange", e)),
        (None, Ok(_)) => Err(SshError::ClosedEarly { target, during: "key exchange" }),
    }
}
