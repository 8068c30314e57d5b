//! The host key of the SSH gateway: made by us, so that its public half can be pinned.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use rand::RngCore;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// A host key pair.
#[derive(Debug, Clone)]
pub(crate) struct HostKey {
    /// OpenSSH PEM.
    pub(crate) private: Secret,
    /// One OpenSSH line.
    pub(crate) public: String,
}

/// A fresh Ed25519 host key.
pub(crate) fn make(cx: &Cx) -> Result<HostKey, Failure> {
    let mut seed = [0_u8; Ed25519Keypair::BYTE_SIZE / 2];
    rand::rng().fill_bytes(&mut seed);
    let pair = Ed25519Keypair::from_seed(&seed);
    let made = PrivateKey::new(KeypairData::Ed25519(pair), "gsh gateway").and_then(|key| {
        let private = key.to_openssh(LineEnding::LF)?.to_string();
        Ok((private, key.public_key().to_openssh()?))
    });
    let (private, public) = made
        .map_err(|e| Failure::harness("GSH-INS-052", "a host key for the gateway is made", "it was not").because(&e))?;
    Ok(HostKey { private: cx.secret("SSH gateway host key", private), public })
}

/// The public half of a host key found in a cluster, as one OpenSSH line; nothing when the text is no private key.
pub(crate) fn public_half(private: &str) -> Option<String> {
    PrivateKey::from_openssh(private).ok()?.public_key().to_openssh().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gsh_engine::stop::Stop;

    use super::*;

    #[test]
    fn the_pinned_line_is_the_public_half_of_the_key_that_the_gateway_gets() {
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(1));
        let key = make(&cx).expect("a key");
        assert!(key.public.starts_with("ssh-ed25519 "), "{}", key.public);
        assert_eq!(public_half(key.private.expose()).as_deref(), Some(key.public.as_str()));
        assert_ne!(make(&cx).expect("another").public, key.public);
    }
}
