//! The machines themselves, over SSH: what only they can show. Reads and changes nothing.

mod checks;

use std::time::Duration;

use futures::future::join_all;
use gsh_engine::provider::{Barred, Login, Node};
use gsh_ssh::sections::{Sections, section};
use gsh_ssh::{Auth, HostKey, SshError};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::checks::{Seen, Verdict};
use crate::record::Record;

pub use checks::{CODES, COMMANDS};

/// How long a machine may take to tell everything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where k3s has containerd's socket.
const SOCKET: &str = "/run/k3s/containerd/containerd.sock";

/// One machine, and what it said.
pub(crate) struct Machine {
    name: String,
    said: Result<Answers, Barred>,
}

/// What a machine said.
pub(crate) struct Answers {
    sections: Sections,
    /// Our clock before it was asked and after.
    asked: (Timestamp, Timestamp),
    /// The port of its SSH server, by which we came in.
    port: u16,
}

/// Looks at every machine that is to be looked at, and judges them together. Nothing where there is none.
pub async fn look(nodes: &[Node], record: &Record) -> Vec<Seen> {
    let asked = nodes.iter().filter_map(|node| Some((node, node.inspect.as_ref()?)));
    let socket = record.text("/workspace/runtime/containerdSocket").unwrap_or(SOCKET);
    let looks = asked.map(|(node, login)| async move {
        let said = match login {
            Ok(login) => ask(login, socket).await,
            Err(barred) => Err(barred.clone()),
        };
        Machine { name: node.name.clone(), said }
    });
    let machines: Vec<Machine> = join_all(looks).await;
    if machines.is_empty() { Vec::new() } else { checks::judge(&machines, record) }
}

async fn ask(login: &Login, socket: &str) -> Result<Answers, Barred> {
    let deadline = Instant::now() + PATIENCE;
    let unknown = |e: SshError| match e {
        SshError::HostKeyMismatch { got, expected, .. } => Barred::Stranger { expected, observed: got },
        other => Barred::Unknown(gsh_engine::failure::chain(&other)),
    };
    let commands: Vec<(&str, String)> =
        COMMANDS.iter().map(|(name, command)| (*name, command.replace("SOCKET", &quoted(socket)))).collect();
    let commands: Vec<(&str, &str)> = commands.iter().map(|(n, c)| (*n, c.as_str())).collect();
    let pinned: HostKey = login.host_key.parse().map_err(unknown)?;
    let target = std::net::SocketAddr::new(login.address, login.port);
    let key = Auth::Key(login.key.expose());
    let session = gsh_ssh::connect(target, &login.user, &pinned, key, deadline).await.map_err(unknown)?;
    let before = Timestamp::now();
    // Where people who are not root find modprobe and ss.
    let script = format!("PATH=\"$PATH:/usr/sbin:/sbin\"\n{}", section(&commands));
    let output = session.exec(&script, b"", deadline).await.map_err(unknown)?;
    session.close().await;
    Ok(Answers { sections: Sections::parse(&output.text()), asked: (before, Timestamp::now()), port: login.port })
}

/// A word of the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Machine {
    /// Whether its login worked, and the machine is who it should be.
    fn entered(&self) -> Option<Verdict> {
        let name = &self.name;
        match &self.said {
            Ok(_) => None,
            Err(Barred::Stranger { expected, observed }) => Some(Verdict::Bad {
                expected: format!("{name} shows the host key {expected}"),
                observed: format!("{name} shows {observed}"),
            }),
            Err(Barred::Unknown(why)) => Some(Verdict::Unknown(format!("{name}: {why}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        assert_eq!(quoted("/run/a b'c"), r"'/run/a b'\''c'");
    }
}
