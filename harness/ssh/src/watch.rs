//! What the library asks of a client: whether the host key is right. Remembers the key shown.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::Handler;
use russh::keys::PublicKeyOrCertificate;

use crate::key::HostKey;

/// Where the key shown by the server is left for the caller.
pub(crate) type Shown = Arc<Mutex<Option<HostKey>>>;

/// Accepts one key, or none.
pub(crate) struct Watch {
    /// The only key accepted; none when only looking.
    pub(crate) expected: Option<HostKey>,
    /// The key shown.
    pub(crate) shown: Shown,
}

impl Handler for Watch {
    type Error = russh::Error;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // A certificate is accepted for the key it certifies and for nothing else.
        let key = match offered {
            PublicKeyOrCertificate::PublicKey { key, .. } => HostKey::of(key),
            PublicKeyOrCertificate::Certificate(certificate) => {
                HostKey::of(&russh::keys::PublicKey::new(certificate.public_key().clone(), ""))
            }
        };
        let accepted = self.expected.as_ref() == Some(&key);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(accepted)
    }
}

/// The key that was shown, if it came to that.
pub(crate) fn shown(place: &Shown) -> Option<HostKey> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
