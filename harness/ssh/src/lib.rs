//! SSH client: identification line, host key, connect with a pinned key, one command. Only home of the SSH library on
//! the harness side.
//!
//! There is no trust on first use anywhere: whoever connects brings the host key it expects, and
//! [`host_key`](probe::host_key) only looks at what a server shows. Each kind of trouble is a variant of its own in
//! [`SshError`], because its meaning differs: a refused connection is a server that is not up, a wrong host key is somebody else.

pub mod agent;
pub mod error;
pub mod key;
pub mod known;
pub mod probe;
pub mod sections;
pub mod session;

mod dial;
mod watch;

pub use error::SshError;
pub use key::{HostKey, KeyPair};
pub use probe::{banner, host_key, host_key_like};
pub use session::{Auth, Output, Session, connect, connect_by_any};
