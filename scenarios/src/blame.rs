//! Whose fault it is, door by door: the very decisions that scenarios take, open to the labelled corpus of failures
//! (`tests/it/failures.toml`). Nothing here decides anything itself.

use gsh_gitpod::exec::Done;
use gsh_model::outcome::Blame;
use gsh_ssh::SshError;

/// Of a way to the SSH gateway that broke.
#[must_use]
pub fn ssh(error: &SshError) -> Blame {
    crate::ssh_on_22::trouble(error, "GSH-SSH-006", "the gateway lets the owner in").blame
}

/// Of a command in a workspace; nothing when it succeeded.
#[must_use]
pub fn command(code: i32, stdout: &str, stderr: &str) -> Option<Blame> {
    let done = Done { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() };
    crate::guest::succeeded(&done, "GSH-DKR-004", "the command succeeds").err().map(|f| f.blame)
}
