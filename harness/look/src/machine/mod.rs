//! The machines themselves, over SSH: what only they can show. Reads and changes nothing.

mod checks;

use std::time::Duration;

use futures::future::join_all;
use gsh_engine::provider::{Barred, Node, Proof, Visit};
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
    let looks = asked.map(|(node, visit)| async move {
        let said = match visit {
            Ok(visit) => ask(visit, socket).await,
            Err(barred) => Err(barred.clone()),
        };
        Machine { name: node.name.clone(), said }
    });
    let machines: Vec<Machine> = join_all(looks).await;
    if machines.is_empty() { Vec::new() } else { checks::judge(&machines, record) }
}

async fn ask(visit: &Visit, socket: &str) -> Result<Answers, Barred> {
    let deadline = Instant::now() + PATIENCE;
    let unknown = |e: SshError| match e {
        SshError::HostKeyMismatch { got, expected, .. } => Barred::Stranger { expected, observed: got },
        other => Barred::Unknown(gsh_engine::failure::chain(&other)),
    };
    let commands: Vec<(&str, String)> =
        COMMANDS.iter().map(|(name, command)| (*name, command.replace("SOCKET", &quoted(socket)))).collect();
    let commands: Vec<(&str, &str)> = commands.iter().map(|(n, c)| (*n, c.as_str())).collect();
    let pinned: HostKey = visit.host_key.parse().map_err(unknown)?;
    let target = std::net::SocketAddr::new(visit.address, visit.port);
    let auths: Vec<Auth<'_>> = visit.proofs.iter().map(auth).collect();
    let login = gsh_ssh::connect_by_any(target, &visit.user, &pinned, &auths, deadline);
    let session = login.await.map_err(unknown)?;
    let before = Timestamp::now();
    // Where people who are not root find modprobe and ss.
    let script = format!("PATH=\"$PATH:/usr/sbin:/sbin\"\n{}", section(&commands));
    let output = session.exec(&script, b"", deadline).await.map_err(unknown)?;
    session.close().await;
    Ok(Answers { sections: Sections::parse(&output.text()), asked: (before, Timestamp::now()), port: visit.port })
}

fn auth(proof: &Proof) -> Auth<'_> {
    match proof {
        Proof::Key(key) => Auth::Key(key.expose()),
        Proof::Agent { socket, key } => Auth::Agent { socket, key },
    }
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
