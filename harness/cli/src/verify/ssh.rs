//! `gsh-verify --ssh USER`: how to log in to the machines, and who they are known to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gsh_engine::failure::chain;
use gsh_engine::provider::{Barred, Node, Proof, Visit};
use gsh_engine::secret::Secret;
use gsh_ssh::HostKey;
use gsh_ssh::known::known_host_keys;
use tokio::time::Instant;

use super::args::Verify;
use super::proofs::proofs;
use crate::error::CliError;

/// How long a machine may take to show its host key.
const SHOWS: Duration = Duration::from_secs(10);

/// How to log in to machines.
pub(super) struct Ssh {
    user: String,
    proofs: Vec<Proof>,
    port: u16,
    known: PathBuf,
    fingerprints: Vec<String>,
    addresses: BTreeMap<String, (IpAddr, Option<u16>)>,
}

impl Ssh {
    /// What the arguments say; nothing without `--ssh`.
    ///
    /// # Errors
    /// Usage, when there is nothing that can be shown to the machines.
    pub(super) async fn of(args: &Verify) -> Result<Option<Self>, CliError> {
        let Some(user) = args.ssh.clone() else { return Ok(None) };
        let home = std::env::home_dir().unwrap_or_default();
        Ok(Some(Self {
            user,
            proofs: proofs(args.ssh_key.as_deref(), &home).await?,
            port: args.ssh_port,
            known: args.ssh_known_hosts.clone().unwrap_or_else(|| home.join(".ssh/known_hosts")),
            fingerprints: args.ssh_fingerprint.clone(),
            addresses: args.ssh_address.iter().cloned().map(|(node, at, port)| (node, (at, port))).collect(),
        }))
    }

    /// What must not be in any record.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.proofs.iter().filter_map(|proof| match proof {
            Proof::Key(key) => Some(key),
            Proof::Agent { .. } => None,
        })
    }

    /// The nodes, each with its login or the reason why there is none.
    pub(super) async fn inspected(&self, nodes: Vec<Node>) -> Vec<Node> {
        let each = nodes.into_iter().map(|node| async move {
            let (address, port) = self.addresses.get(&node.name).copied().unwrap_or((node.public, None));
            let at = SocketAddr::new(address, port.unwrap_or(self.port));
            let inspect = Some(self.visit(&node.name, at).await);
            Node { inspect, ..node }
        });
        futures::future::join_all(each).await
    }

    async fn visit(&self, name: &str, at: SocketAddr) -> Result<Visit, Barred> {
        if at.ip().is_unspecified() {
            return Err(Barred::Unknown("its Node object has no address; --ssh-address gives one".to_owned()));
        }
        let mut known = Vec::new();
        for host in [at.ip().to_string(), name.to_owned()] {
            known.extend(known_host_keys(&self.known, &host, at.port()).map_err(|e| Barred::Unknown(chain(&e)))?);
        }
        let shown = gsh_ssh::host_key_like(at, &known, Instant::now() + SHOWS).await;
        let shown = shown.map_err(|e| Barred::Unknown(chain(&e)))?;
        self.is_known(at, &known, &shown)?;
        Ok(Visit {
            address: at.ip(),
            port: at.port(),
            user: self.user.clone(),
            host_key: shown.line(),
            proofs: self.proofs.clone(),
        })
    }

    /// Whether the key that a machine shows is one of those that are known for it. There is no trust at first sight.
    fn is_known(&self, at: SocketAddr, known: &[HostKey], shown: &HostKey) -> Result<(), Barred> {
        if self.fingerprints.contains(&shown.fingerprint()) {
            return Ok(());
        }
        if known.contains(shown) {
            return Ok(());
        }
        let stranger = |expected: String| Barred::Stranger { expected, observed: shown.fingerprint() };
        let alike: Vec<String> = known.iter().filter(|k| kind(k) == kind(shown)).map(HostKey::fingerprint).collect();
        match (alike.is_empty(), self.fingerprints.is_empty()) {
            (false, _) => Err(stranger(alike.join(" or "))),
            (true, false) => Err(stranger(self.fingerprints.join(" or "))),
            (true, true) => Err(Barred::Unknown(format!(
                "no host key of {} port {} is known in `{}`; it shows {}",
                at.ip(),
                at.port(),
                self.known.display(),
                shown.fingerprint()
            ))),
        }
    }
}

/// The kind of a key, `ssh-ed25519`. A server has one key of each.
fn kind(key: &HostKey) -> String {
    key.line().split(' ').next().unwrap_or_default().to_owned()
}
