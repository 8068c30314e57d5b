//! `gsh-verify --ssh USER`: how to log in to the machines, and who they are known to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gsh_engine::failure::chain;
use gsh_engine::provider::{Barred, Login, Node};
use gsh_engine::secret::Secret;
use gsh_ssh::known::known_host_keys;
use gsh_ssh::{HostKey, key};
use tokio::time::Instant;

use super::args::Verify;
use crate::error::CliError;

/// How long a machine may take to show its host key.
const SHOWS: Duration = Duration::from_secs(10);
/// Keys that OpenSSH looks for too, of the kinds that this client has.
const USUAL: [&str; 2] = [".ssh/id_ed25519", ".ssh/id_ecdsa"];

/// How to log in to machines.
pub(super) struct Ssh {
    user: String,
    key: Secret,
    port: u16,
    known: PathBuf,
    fingerprints: Vec<String>,
    addresses: BTreeMap<String, (IpAddr, Option<u16>)>,
}

impl Ssh {
    /// What the arguments say; nothing without `--ssh`.
    ///
    /// # Errors
    /// Usage, when there is no key that can be used.
    pub(super) fn of(args: &Verify) -> Result<Option<Self>, CliError> {
        let Some(user) = args.ssh.clone() else { return Ok(None) };
        let home = std::env::home_dir().unwrap_or_default();
        let file = match &args.ssh_key {
            Some(file) => file.clone(),
            None => USUAL.iter().map(|name| home.join(name)).find(|file| file.exists()).ok_or_else(|| {
                CliError::usage("there is no SSH key: neither ~/.ssh/id_ed25519 nor ~/.ssh/id_ecdsa")
                    .hint("name one with --ssh-key")
            })?,
        };
        let unusable = |e: &dyn std::error::Error| {
            CliError::usage(format!("the SSH key `{}` cannot be used", file.display()))
                .because(e)
                .hint("--ssh-key takes a private key of OpenSSH, ed25519 or ECDSA, without a passphrase")
        };
        let pem = std::fs::read_to_string(&file).map_err(|e| unusable(&e))?;
        key::check_private(&pem).map_err(|e| unusable(&e))?;
        Ok(Some(Self {
            user,
            key: Secret::new("SSH key of the operator", pem),
            port: args.ssh_port,
            known: args.ssh_known_hosts.clone().unwrap_or_else(|| home.join(".ssh/known_hosts")),
            fingerprints: args.ssh_fingerprint.clone(),
            addresses: args.ssh_address.iter().cloned().map(|(node, at, port)| (node, (at, port))).collect(),
        }))
    }

    /// The nodes, each with its login or the reason why there is none.
    pub(super) async fn inspected(&self, nodes: Vec<Node>) -> Vec<Node> {
        let each = nodes.into_iter().map(|node| async move {
            let (address, port) = self.addresses.get(&node.name).copied().unwrap_or((node.public, None));
            let at = SocketAddr::new(address, port.unwrap_or(self.port));
            let inspect = Some(self.login(&node.name, at).await);
            Node { inspect, ..node }
        });
        futures::future::join_all(each).await
    }

    async fn login(&self, name: &str, at: SocketAddr) -> Result<Login, Barred> {
        if at.ip().is_unspecified() {
            return Err(Barred::Unknown("its Node object has no address; --ssh-address gives one".to_owned()));
        }
        let shown = gsh_ssh::host_key(at, Instant::now() + SHOWS).await.map_err(|e| Barred::Unknown(chain(&e)))?;
        self.is_known(name, at, &shown)?;
        Ok(Login {
            address: at.ip(),
            port: at.port(),
            user: self.user.clone(),
            host_key: shown.line(),
            key: self.key.clone(),
        })
    }

    /// Whether the key that a machine shows is one of those that are known for it. There is no trust at first sight.
    fn is_known(&self, name: &str, at: SocketAddr, shown: &HostKey) -> Result<(), Barred> {
        if self.fingerprints.contains(&shown.fingerprint()) {
            return Ok(());
        }
        let mut known = Vec::new();
        for host in [at.ip().to_string(), name.to_owned()] {
            known.extend(known_host_keys(&self.known, &host, at.port()).map_err(|e| Barred::Unknown(chain(&e)))?);
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
