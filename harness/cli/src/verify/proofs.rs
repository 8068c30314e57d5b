//! What `gsh-verify --ssh` shows to machines: a key file, with its passphrase where it has one, or the keys of an agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use console::Term;
use gsh_engine::provider::Proof;
use gsh_engine::secret::Secret;
use gsh_ssh::key::{self, KeyFile};
use gsh_ssh::{SshError, agent};
use tokio::time::Instant;

use crate::env;
use crate::error::CliError;

/// How long an agent may take to list its keys: it may ask its owner first.
const LISTS: Duration = Duration::from_secs(30);
/// Keys that OpenSSH looks for too, of the kinds that this client has.
const USUAL: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];

/// The file that was named; else the keys of the agent; else the first usual file.
///
/// # Errors
/// Usage, when there is nothing that can be shown.
pub(super) async fn proofs(named: Option<&Path>, home: &Path) -> Result<Vec<Proof>, CliError> {
    let agent = Agent::find().await;
    if let Some(file) = named {
        return Ok(vec![of_file(file, &agent)?]);
    }
    let held = agent.proofs();
    if !held.is_empty() {
        return Ok(held);
    }
    match USUAL.iter().map(|name| home.join(name)).find(|file| file.exists()) {
        Some(file) => Ok(vec![of_file(&file, &agent)?]),
        None => Err(CliError::usage(format!(
            "there is no SSH key: no ~/.ssh/id_ed25519, id_ecdsa or id_rsa, and {}",
            agent.absence()
        ))
        .hint("name a key with --ssh-key, or add one to the agent with ssh-add")),
    }
}

/// The agent of the environment.
enum Agent {
    /// `SSH_AUTH_SOCK` names none.
    Absent,
    /// It is named, and cannot be asked.
    Silent(SshError),
    /// It has these, public halves.
    Holds(PathBuf, Vec<String>),
}

impl Agent {
    async fn find() -> Self {
        let Some(socket) = env::ssh_auth_sock() else { return Self::Absent };
        match agent::held(&socket, Instant::now() + LISTS).await {
            Ok(keys) => Self::Holds(socket, keys),
            Err(e) => Self::Silent(e),
        }
    }

    fn proofs(&self) -> Vec<Proof> {
        let Self::Holds(socket, keys) = self else { return Vec::new() };
        keys.iter().map(|key| Proof::Agent { socket: socket.clone(), key: key.clone() }).collect()
    }

    /// The proof by one key, where it is held.
    fn proof(&self, public: &str) -> Option<Proof> {
        self.proofs().into_iter().find(|proof| matches!(proof, Proof::Agent { key, .. } if key == public))
    }

    /// Why it does not help.
    fn absence(&self) -> String {
        match self {
            Self::Absent => "there is no SSH agent (SSH_AUTH_SOCK is not set)".to_owned(),
            Self::Silent(e) => e.to_string(),
            Self::Holds(socket, keys) if keys.is_empty() => {
                format!("the SSH agent at `{}` holds no key", socket.display())
            }
            Self::Holds(socket, _) => format!("the SSH agent at `{}` does not hold it", socket.display()),
        }
    }
}

fn of_file(file: &Path, agent: &Agent) -> Result<Proof, CliError> {
    let name = file.display();
    let unusable = |e: &dyn std::error::Error| {
        CliError::usage(format!("the SSH key `{name}` cannot be used"))
            .because(e)
            .hint("--ssh-key takes a private key, or a public one whose other half an agent holds")
    };
    let text = std::fs::read_to_string(file).map_err(|e| unusable(&e))?;
    let own = |pem: String| Proof::Key(Secret::new("SSH key of the operator", pem));
    match key::read(&text, None).map_err(|e| unusable(&e))? {
        KeyFile::Private(pem) => Ok(own(pem)),
        KeyFile::Public(public) => agent.proof(&public).ok_or_else(|| {
            CliError::usage(format!("`{name}` is a public key, and nobody signs for it: {}", agent.absence()))
                .hint("name the private key, or add it to the agent with ssh-add")
        }),
        KeyFile::Locked(public) => {
            if let Some(proof) = public.as_deref().and_then(|public| agent.proof(public)) {
                return Ok(proof);
            }
            let passphrase = passphrase(file)?;
            match key::read(&text, Some(passphrase.expose())).map_err(|e| unusable(&e))? {
                KeyFile::Private(pem) => Ok(own(pem)),
                KeyFile::Public(_) | KeyFile::Locked(_) => Err(CliError::bug("a key was read that is still locked")),
            }
        }
    }
}

/// The passphrase of a key: from the environment, else typed at the terminal, where it is not shown.
fn passphrase(file: &Path) -> Result<Secret, CliError> {
    if let Some(given) = env::ssh_passphrase() {
        return Ok(given);
    }
    let name = file.display();
    let nobody = || {
        CliError::usage(format!("the SSH key `{name}` has a passphrase, and there is no terminal to ask for it"))
            .hint("add the key to the agent with ssh-add, or put the passphrase into GSH_SSH_PASSPHRASE")
    };
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(nobody());
    }
    let asked = terminal.write_str(&format!("passphrase of the SSH key `{name}`: "));
    let typed = asked.and_then(|()| terminal.read_secure_line()).map_err(|e| nobody().because(&e))?;
    Ok(Secret::new("passphrase of the SSH key", typed))
}
