//! A login with a pinned host key, and commands in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{ChannelMsg, Disconnect, Preferred};
use tokio::time::{Instant, timeout_at};

use crate::agent;
use crate::dial::{dial, speaks_ssh};
use crate::error::{SshError, translate};
use crate::key::HostKey;
use crate::watch::{Shown, Watch, shown};

/// How to prove who one is.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// A private key, OpenSSH PEM without passphrase.
    Key(&'a str),
    /// A key that an SSH agent holds: it signs, nobody else sees the key.
    Agent {
        /// Where the agent listens.
        socket: &'a Path,
        /// The public half, one OpenSSH line.
        key: &'a str,
    },
    /// A password.
    Password(&'a str),
    /// Nothing: the method `none`, whose refusal tells what the server offers.
    None,
}

impl std::fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Auth::Key",
            Self::Agent { .. } => "Auth::Agent",
            Self::Password(_) => "Auth::Password",
            Self::None => "Auth::None",
        })
    }
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; none when a signal ended it or the server did not say.
    pub status: Option<u32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A login.
pub struct Session {
    handle: Handle<Watch>,
    target: SocketAddr,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.target)
    }
}

/// Settings of every connection: no re-exchange within a check's life; and which kinds of host keys are wanted, these before the
/// rest, as a server with several shows the first that it has. None is taken that signs over SHA-1.
pub(crate) fn settings(first: &[Algorithm]) -> russh::client::Config {
    let mut kinds: Vec<Algorithm> = Vec::new();
    for kind in first.iter().chain(Preferred::DEFAULT.key.iter()) {
        if !kinds.contains(kind) && *kind != (Algorithm::Rsa { hash: None }) {
            kinds.push(kind.clone());
        }
    }
    let preferred = Preferred { key: kinds.into(), ..Preferred::default() };
    russh::client::Config { preferred, ..russh::client::Config::default() }
}

/// Connects, insists on the host key, logs in.
///
/// # Errors
/// [`SshError`]; each kind of trouble is a variant of its own.
pub async fn connect(
    target: SocketAddr,
    user: &str,
    expected: &HostKey,
    auth: Auth<'_>,
    deadline: Instant,
) -> Result<Session, SshError> {
    connect_by_any(target, user, expected, &[auth], deadline).await
}

/// The same with whichever of these is accepted first, over one connection. Servers hang up after a few, OpenSSH's after six.
///
/// # Errors
/// [`SshError`], of the last that was tried.
pub async fn connect_by_any(
    target: SocketAddr,
    user: &str,
    expected: &HostKey,
    auths: &[Auth<'_>],
    deadline: Instant,
) -> Result<Session, SshError> {
    // What cannot be read is our mistake: found before anybody is bothered.
    let proofs = auths.iter().map(Proof::of).collect::<Result<Vec<_>, _>>()?;
    let mut handle = greeted(target, expected, deadline).await?;
    let login = async {
        let mut last = Err(SshError::AuthRefused { target, user: user.to_owned(), offers: Vec::new() });
        for (shown, proof) in (1..).zip(&proofs) {
            last = proof.show(&mut handle, target, user).await;
            let more = shown < proofs.len();
            match &last {
                Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() && more => {
                    return Err(SshError::TooMany { target, shown, of: proofs.len() });
                }
                Ok(AuthResult::Failure { remaining_methods, .. }) if !remaining_methods.is_empty() => {}
                // An agent that does not sign with one key may sign with another.
                Err(SshError::Agent { .. } | SshError::OnlySha1 { .. }) => {}
                Ok(_) | Err(_) => break,
            }
        }
        last
    };
    match timeout_at(deadline, login).await {
        Err(_) => Err(SshError::TimedOut { target, during: "login" }),
        Ok(Err(e)) => Err(e),
        Ok(Ok(AuthResult::Success)) => Ok(Session { handle, target }),
        Ok(Ok(AuthResult::Failure { remaining_methods, .. })) => {
            let offers = remaining_methods.iter().map(|m| <&str>::from(m).to_owned()).collect();
            // The server may be gone already; the refusal is what counts.
            let _gone = handle.disconnect(Disconnect::ByApplication, "", "").await;
            Err(SshError::AuthRefused { target, user: user.to_owned(), offers })
        }
    }
}

/// A connection to the server that has the expected host key.
async fn greeted(target: SocketAddr, expected: &HostKey, deadline: Instant) -> Result<Handle<Watch>, SshError> {
    let stream = dial(target, deadline).await?;
    speaks_ssh(&stream, target, deadline).await?;
    let place = Shown::default();
    let watch = Watch { expected: Some(expected.clone()), shown: place.clone() };
    let exchange = russh::client::connect_stream(Arc::new(settings(&expected.kinds())), stream, watch);
    match timeout_at(deadline, exchange).await {
        Err(_) => Err(SshError::TimedOut { target, during: "key exchange" }),
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(e)) => Err(match shown(&place) {
            Some(got) if got != *expected => {
                SshError::HostKeyMismatch { target, got: got.line(), expected: expected.line() }
            }
            Some(_) | None => translate(target, "key exchange", e),
        }),
    }
}

/// An [`Auth`] that was read.
enum Proof<'a> {
    Key(Arc<PrivateKey>),
    Agent { socket: &'a Path, key: PublicKey },
    Password(&'a str),
    None,
}

impl<'a> Proof<'a> {
    fn of(auth: &Auth<'a>) -> Result<Self, SshError> {
        let bad = |what: &'static str, e: russh::keys::ssh_key::Error| SshError::BadKey { what, reason: e.to_string() };
        Ok(match *auth {
            Auth::Key(pem) => Self::Key(Arc::new(PrivateKey::from_openssh(pem).map_err(|e| bad("private key", e))?)),
            Auth::Agent { socket, key } => {
                Self::Agent { socket, key: PublicKey::from_openssh(key).map_err(|e| bad("public key", e))? }
            }
            Auth::Password(password) => Self::Password(password),
            Auth::None => Self::None,
        })
    }

    async fn show(&self, handle: &mut Handle<Watch>, target: SocketAddr, user: &str) -> Result<AuthResult, SshError> {
        let shown = match self {
            Self::Key(key) => {
                let hash = signed_over(handle, target, &key.algorithm()).await?;
                handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(key.clone(), hash)).await
            }
            Self::Agent { socket, key } => {
                let hash = signed_over(handle, target, &key.algorithm()).await?;
                return agent::sign_in(handle, target, user, socket, key, hash).await;
            }
            Self::Password(password) => handle.authenticate_password(user, *password).await,
            Self::None => handle.authenticate_none(user).await,
        };
        shown.map_err(|e| translate(target, "login", e))
    }
}

/// What a signature of this kind of key is made over: only RSA leaves a choice. The strongest that the server names; where it
/// names nothing, SHA-512, which every server of the last years takes.
async fn signed_over(
    handle: &Handle<Watch>,
    target: SocketAddr,
    kind: &Algorithm,
) -> Result<Option<HashAlg>, SshError> {
    if !matches!(kind, Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    match handle.best_supported_rsa_hash().await.map_err(|e| translate(target, "login", e))? {
        Some(None) => Err(SshError::OnlySha1 { target }),
        Some(Some(hash)) => Ok(Some(hash)),
        None => Ok(Some(HashAlg::Sha512)),
    }
}

impl Session {
    /// Runs one command in the user's shell, feeds it, and collects what it says until it ends.
    ///
    /// # Errors
    /// [`SshError::ClosedAfterAuth`] when the server hangs up, [`SshError::TimedOut`], [`SshError::Protocol`] when it
    /// refuses the channel or the request. A command that fails is no error: see [`Output::status`].
    pub async fn exec(&self, command: &str, stdin: &[u8], deadline: Instant) -> Result<Output, SshError> {
        match timeout_at(deadline, self.run(command, stdin)).await {
            Err(_) => Err(SshError::TimedOut { target: self.target, during: "command" }),
            Ok(result) => result,
        }
    }

    async fn run(&self, command: &str, stdin: &[u8]) -> Result<Output, SshError> {
        let mut channel = self.handle.channel_open_session().await.map_err(|e| self.after_auth(e))?;
        channel.exec(true, command).await.map_err(|e| self.after_auth(e))?;
        let mut output = Output { status: None, stdout: Vec::new(), stderr: Vec::new() };
        let mut accepted = false;
        let mut ended = false;
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Success => {
                    accepted = true;
                    if !stdin.is_empty() {
                        // A command that does not read its input may be gone already; its status says the rest.
                        let _gone = channel.data(stdin).await;
                    }
                    let _gone = channel.eof().await;
                }
                ChannelMsg::Failure => {
                    return Err(self.protocol(russh::Error::RequestDenied));
                }
                ChannelMsg::Data { data } => output.stdout.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, ext: 1 } => output.stderr.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => output.status = Some(exit_status),
                ChannelMsg::ExitSignal { .. } | ChannelMsg::Eof => ended = true,
                ChannelMsg::Close => {
                    ended = true;
                    break;
                }
                _ => {}
            }
        }
        if !ended && output.status.is_none() || !accepted && output.status.is_none() {
            return Err(SshError::ClosedAfterAuth { target: self.target });
        }
        Ok(output)
    }

    /// Says goodbye and waits for the connection to end, a second at most.
    pub async fn close(self) {
        let _gone = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
        let _ended = tokio::time::timeout(Duration::from_secs(1), self.handle).await;
    }

    fn after_auth(&self, error: russh::Error) -> SshError {
        match translate(self.target, "command", error) {
            SshError::ClosedEarly { target, .. } => SshError::ClosedAfterAuth { target },
            other => other,
        }
    }

    fn protocol(&self, error: russh::Error) -> SshError {
        SshError::Protocol { target: self.target, during: "command", source: Box::new(error) }
    }
}
