//! Keys: the host key that is expected, and key pairs made by us.

use std::fmt;
use std::str::FromStr;

use rand::RngCore;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};

use crate::error::SshError;

/// A host key that is known beforehand, without its comment.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    /// One OpenSSH line without comment, `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.to_openssh().unwrap_or_default().trim_end().to_owned()
    }

    /// `SHA256:…`, as OpenSSH prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(russh::keys::HashAlg::Sha256).to_string()
    }
}

impl FromStr for HostKey {
    type Err = SshError;
    fn from_str(line: &str) -> Result<Self, SshError> {
        PublicKey::from_openssh(line.trim())
            .map(|key| Self::of(&key))
            .map_err(|e| SshError::BadKey { what: "host key", reason: e.to_string() })
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.line())
    }
}

/// Whether a private key can be used by this client.
///
/// # Errors
/// [`SshError::BadKey`], also for one with a passphrase.
pub fn check_private(pem: &str) -> Result<(), SshError> {
    let bad = |reason: String| SshError::BadKey { what: "private key", reason };
    let key = PrivateKey::from_openssh(pem).map_err(|e| bad(e.to_string()))?;
    if key.is_encrypted() { Err(bad("it has a passphrase".to_owned())) } else { Ok(()) }
}

/// A fresh ed25519 key pair. `Debug` shows the public half only.
#[derive(Clone)]
pub struct KeyPair {
    /// One OpenSSH line with the comment given.
    pub public_line: String,
    /// OpenSSH PEM. The caller makes a secret of it at once.
    pub private_pem: String,
}

impl KeyPair {
    /// Makes a pair from the system's randomness.
    ///
    /// # Errors
    /// When the library cannot write the key down; with ed25519 there is no known way to that.
    pub fn generate(comment: &str) -> Result<Self, SshError> {
        let mut seed = [0_u8; 32];
        rand::rng().fill_bytes(&mut seed);
        let bad = |e: russh::keys::ssh_key::Error| SshError::BadKey { what: "private key", reason: e.to_string() };
        let key = PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&seed)), comment).map_err(bad)?;
        Ok(Self {
            public_line: key.public_key().to_openssh().map_err(bad)?.trim_end().to_owned(),
            private_pem: key.to_openssh(LineEnding::LF).map_err(bad)?.to_string(),
        })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public_line)
    }
}
