//! Keys for signing: Ed25519, in the files that OpenSSL reads.
//!
//! Both forms are a fixed prefix and 32 bytes (RFC 8410), so they are written here instead of turning on the ASN.1 features
//! of the signing library. The private key is PKCS#8 *without* the public half: OpenSSL 3.0 cannot read the form with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{SigningKey, VerifyingKey};

/// DER before the seed: PKCS#8 version 0, Ed25519, an octet string in an octet string.
const PRIVATE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// DER before the point: SubjectPublicKeyInfo, Ed25519, a bit string.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A file that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The lines around it are not there.
    #[error("there is no `-----BEGIN {label}-----` block in it")]
    NoBlock {
        /// What was looked for.
        label: &'static str,
    },
    /// What is between the lines is no Base64.
    #[error("its block `{label}` is no Base64")]
    NotBase64 {
        /// The block.
        label: &'static str,
    },
    /// Another algorithm, or another form.
    #[error("its block `{label}` is no Ed25519 key in the form that `openssl genpkey -algorithm ed25519` writes")]
    OtherKey {
        /// The block.
        label: &'static str,
    },
}

/// A private key. Says nothing of itself.
#[derive(Clone)]
pub struct Private(SigningKey);

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(..)")
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public(VerifyingKey);

impl Private {
    /// The key of a seed: 32 bytes from a good source of randomness.
    #[must_use]
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError`]; it never repeats what is in the file.
    pub fn parse(pem: &str) -> Result<Self, KeyError> {
        let seed = block(pem, "PRIVATE KEY", &PRIVATE)?;
        Ok(Self::of_seed(&seed))
    }

    /// As a PEM file.
    #[must_use]
    pub fn pem(&self) -> String {
        armoured("PRIVATE KEY", &PRIVATE, self.0.as_bytes())
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> Public {
        Public(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        use ed25519_dalek::Signer as _;
        self.0.sign(message).to_bytes()
    }
}

impl Public {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError`] when there is no such key in it.
    pub fn parse(pem: &str) -> Result<Self, KeyError> {
        let point = block(pem, "PUBLIC KEY", &PUBLIC)?;
        VerifyingKey::from_bytes(&point).map(Self).map_err(|_| KeyError::OtherKey { label: "PUBLIC KEY" })
    }

    /// As a PEM file.
    #[must_use]
    pub fn pem(&self) -> String {
        armoured("PUBLIC KEY", &PUBLIC, self.0.as_bytes())
    }

    /// SHA-256 of its DER form, hex: what `openssl pkey -pubin -outform der | sha256sum` prints. A hint, never proof.
    #[must_use]
    pub fn id(&self) -> String {
        crate::sha256(&[&PUBLIC[..], self.0.as_bytes()].concat())
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        // Strict: refuses weak keys and signatures with more than one form.
        ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| self.0.verify_strict(message, &s).is_ok())
    }
}

fn armoured(label: &str, prefix: &[u8], bytes: &[u8; 32]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode([prefix, bytes].concat()))
}

fn block(pem: &str, label: &'static str, prefix: &[u8]) -> Result<[u8; 32], KeyError> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let inside = pem.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(inside, _)| inside);
    let text: String = inside.ok_or(KeyError::NoBlock { label })?.split_whitespace().collect();
    let der = STANDARD.decode(text).map_err(|_| KeyError::NotBase64 { label })?;
    let bytes = der.strip_prefix(prefix).ok_or(KeyError::OtherKey { label })?;
    bytes.try_into().map_err(|_| KeyError::OtherKey { label })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_files() {
        let key = Private::of_seed(&[7; 32]);
        let read = Private::parse(&key.pem()).expect("a key");
        assert_eq!(read.public(), key.public());
        assert_eq!(Public::parse(&key.public().pem()).expect("a key"), key.public());
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_repeated() {
        let key = Private::of_seed(&[7; 32]);
        assert!(matches!(Private::parse(&key.public().pem()), Err(KeyError::NoBlock { .. })));
        let other = "-----BEGIN PRIVATE KEY-----\nMIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4w\n-----END PRIVATE KEY-----\n";
        let error = Private::parse(other).expect_err("another algorithm").to_string();
        assert!(!error.contains("MII"), "{error}");
        assert!(Private::parse("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----").is_err());
        assert!(!format!("{key:?}").contains('7'));
    }
}
