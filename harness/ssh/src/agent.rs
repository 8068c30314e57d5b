//! Keys that an SSH agent holds: which there are, and a login with one of them. The agent signs; the keys stay with it.

use std::net::SocketAddr;
use std::path::Path;

use russh::AgentAuthError;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use crate::error::{SshError, translate};
use crate::key::bare;
use crate::watch::Watch;

/// The public halves of the keys that an agent holds, one OpenSSH line each, in its order. Certificates are left out: they come
/// with their key.
///
/// # Errors
/// [`SshError::Agent`].
pub async fn held(socket: &Path, deadline: Instant) -> Result<Vec<String>, SshError> {
    let ask = async {
        let mut agent = reach(socket).await?;
        agent.request_identities().await.map_err(|e| trouble(socket, format!("does not list its keys: {e}")))
    };
    let late = |_| trouble(socket, "does not answer in time".to_owned());
    let identities = timeout_at(deadline, ask).await.map_err(late)??;
    let keys = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(bare(&key)),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok(keys.collect())
}

/// Offers a key and, when the server would take it, has the agent sign.
pub(crate) async fn sign_in(
    handle: &mut Handle<Watch>,
    target: SocketAddr,
    user: &str,
    socket: &Path,
    key: &PublicKey,
    hash: Option<HashAlg>,
) -> Result<AuthResult, SshError> {
    let mut agent = reach(socket).await?;
    handle.authenticate_publickey_with(user, key.clone(), hash, &mut agent).await.map_err(|e| match e {
        AgentAuthError::Send(_) => translate(target, "login", russh::Error::SendError),
        AgentAuthError::Key(e) => {
            trouble(socket, format!("does not sign with {}: {e}", key.fingerprint(HashAlg::Sha256)))
        }
    })
}

async fn reach(socket: &Path) -> Result<AgentClient<UnixStream>, SshError> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(AgentClient::connect(stream)),
        Err(e) => Err(trouble(socket, format!("cannot be reached: {e}"))),
    }
}

fn trouble(socket: &Path, reason: String) -> SshError {
    SshError::Agent { socket: socket.display().to_string(), reason }
}
