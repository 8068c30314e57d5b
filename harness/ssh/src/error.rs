//! What can go wrong on the way to a command's result, told apart by what it means.

use std::net::SocketAddr;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Nobody listens, or a firewall rejects.
    #[error("{target} refused the connection")]
    Refused {
        /// Where.
        target: SocketAddr,
    },
    /// The network has no way there.
    #[error("{target} cannot be reached")]
    Unreachable {
        /// Where.
        target: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The deadline passed.
    #[error("{target} did not answer in time ({during})")]
    TimedOut {
        /// Where.
        target: SocketAddr,
        /// What was under way: `connecting`, `greeting`, `key exchange`, `login`, `command`.
        during: &'static str,
    },
    /// Something listens that does not speak SSH.
    #[error("{target} does not speak SSH, its first bytes are `{saw}`")]
    NotSsh {
        /// Where.
        target: SocketAddr,
        /// Its first line, cut and made printable; empty when it closed without a word.
        saw: String,
    },
    /// The server showed a host key other than the one expected. Nothing was sent to it that it could use.
    #[error("{target} shows the host key `{got}`, expected `{expected}`")]
    HostKeyMismatch {
        /// Where.
        target: SocketAddr,
        /// What it showed, one OpenSSH line.
        got: String,
        /// What was pinned, one OpenSSH line.
        expected: String,
    },
    /// The server does not accept this user with this credential.
    #[error("{target} refuses the login of `{user}`, it still offers {}", methods(.offers))]
    AuthRefused {
        /// Where.
        target: SocketAddr,
        /// As whom.
        user: String,
        /// Methods that the server says may continue, as named in RFC 4252.
        offers: Vec<String>,
    },
    /// The login was accepted, then the server ended the connection.
    #[error("{target} closed the connection after the login")]
    ClosedAfterAuth {
        /// Where.
        target: SocketAddr,
    },
    /// The connection ended before a login was possible.
    #[error("{target} closed the connection during {during}")]
    ClosedEarly {
        /// Where.
        target: SocketAddr,
        /// What was under way.
        during: &'static str,
    },
    /// The server hung up before everything was shown to it.
    #[error("{target} closed the connection when it was shown key {shown} of {of}; name the one that it knows")]
    TooMany {
        /// Where.
        target: SocketAddr,
        /// At which one.
        shown: usize,
        /// How many there were.
        of: usize,
    },
    /// The server takes RSA keys, but only with signatures over SHA-1, which are forgeable and so not made.
    #[error(
        "{target} takes RSA keys with SHA-1 signatures only (ssh-rsa), which are not made; a key of another kind is needed"
    )]
    OnlySha1 {
        /// Where.
        target: SocketAddr,
    },
    /// The SSH agent cannot be asked, or does not do what it is asked.
    #[error("the SSH agent at `{socket}` {reason}")]
    Agent {
        /// Where it listens.
        socket: String,
        /// What it does instead.
        reason: String,
    },
    /// A key given to this crate cannot be read.
    #[error("the {what} cannot be read as an OpenSSH key")]
    BadKey {
        /// Which key: `host key`, `private key`.
        what: &'static str,
        /// What the reader said; it never repeats the key.
        reason: String,
    },
    /// The two sides do not understand each other: no common algorithm, a broken packet, a refused request.
    #[error("the SSH protocol with {target} failed during {during}")]
    Protocol {
        /// Where.
        target: SocketAddr,
        /// What was under way.
        during: &'static str,
        /// What the library says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn methods(offers: &[String]) -> String {
    if offers.is_empty() { "no other method".to_owned() } else { offers.join(", ") }
}

/// Translates what the library says where no closer meaning is known.
pub(crate) fn translate(target: SocketAddr, during: &'static str, error: russh::Error) -> SshError {
    match error {
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::SendError => {
            SshError::ClosedEarly { target, during }
        }
        russh::Error::IO(e) if is_hang_up(e.kind()) => SshError::ClosedEarly { target, during },
        russh::Error::ConnectionTimeout | russh::Error::InactivityTimeout | russh::Error::KeepaliveTimeout => {
            SshError::TimedOut { target, during }
        }
        other => SshError::Protocol { target, during, source: Box::new(other) },
    }
}

fn is_hang_up(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind;
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}
