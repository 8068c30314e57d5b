//! Keys: the host key that is expected, and key pairs made by us.

use std::fmt;
use std::str::FromStr;

use rand::RngCore;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey, decode_secret_key};

use crate::error::SshError;

/// A host key that is known beforehand, without its comment.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    /// The algorithms by which a server proves to hold it.
    pub(crate) fn kinds(&self) -> Vec<Algorithm> {
        match self.0.algorithm() {
            Algorithm::Rsa { .. } => {
                [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }).into()
            }
            other => vec![other],
        }
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

/// A public key as one OpenSSH line without comment.
pub(crate) fn bare(key: &PublicKey) -> String {
    HostKey::of(key).line()
}

/// What a key file is. `Debug` shows no key.
pub enum KeyFile {
    /// A private key that can be used, as OpenSSH PEM without passphrase.
    Private(String),
    /// A private key with a passphrase that was not given; and its public half, where that can be read without.
    Locked(Option<String>),
    /// A public key, one OpenSSH line without comment. Whoever holds the other half can sign.
    Public(String),
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private(_) => "KeyFile::Private",
            Self::Locked(_) => "KeyFile::Locked",
            Self::Public(_) => "KeyFile::Public",
        })
    }
}

/// Why a key file cannot be used. None of these repeats anything of the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// The passphrase is another one.
    #[error("its passphrase is another one")]
    Passphrase,
    /// A kind of key for which there is no way to sign.
    #[error("it is a key of the kind {0}; ed25519, ECDSA and RSA can be used")]
    Kind(String),
    /// Only the token can sign.
    #[error("it belongs to a security token ({0}), which only an agent can ask to sign")]
    Token(String),
    /// No key, or in a form that nobody here reads.
    #[error("it cannot be read as a key of OpenSSH, PKCS#1 or PKCS#8: {0}")]
    Unreadable(String),
}

/// Reads a key file: OpenSSH's own form or PEM (PKCS#1, PKCS#8).
///
/// # Errors
/// [`KeyTrouble`].
pub fn read(text: &str, passphrase: Option<&str>) -> Result<KeyFile, KeyTrouble> {
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return Ok(KeyFile::Public(bare(&key)));
    }
    let key = match (decode_secret_key(text, passphrase), passphrase) {
        (Ok(key), _) => key,
        (Err(_), None) if is_locked(text) => {
            let public = PrivateKey::from_openssh(text).ok().map(|key| bare(key.public_key()));
            return Ok(KeyFile::Locked(public));
        }
        // The libraries see a wrong passphrase as nonsense below it.
        (Err(_), Some(_)) if is_locked(text) => return Err(KeyTrouble::Passphrase),
        (Err(e), _) => return Err(KeyTrouble::Unreadable(e.to_string())),
    };
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => {}
        token @ (Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) => {
            return Err(KeyTrouble::Token(token.to_string()));
        }
        other => return Err(KeyTrouble::Kind(other.to_string())),
    }
    let pem = key.to_openssh(LineEnding::LF).map_err(|e| KeyTrouble::Unreadable(e.to_string()))?;
    Ok(KeyFile::Private(pem.to_string()))
}

/// Whether a private key has a passphrase, by what stands around it.
fn is_locked(text: &str) -> bool {
    text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
        || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
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
