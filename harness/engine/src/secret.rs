//! Values that must never be seen, and the one scrubber that knows them all.

use std::fmt;
use std::sync::{Arc, RwLock};

use secrecy::{ExposeSecret, SecretString};

/// A secret: no `Display`, no `Serialize`; `Debug` prints the name only.
#[derive(Clone)]
pub struct Secret {
    name: Arc<str>,
    value: SecretString,
}

impl Secret {
    /// A secret that no scrubber knows yet. Prefer [`crate::cx::Cx::secret`], which registers it.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: SecretString::from(value.into()) }
    }

    /// What it is, fit for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, for the door that needs it and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// Replaces every registered secret in any text by its name in braces.
#[derive(Debug, Clone, Default)]
pub struct Scrubber {
    known: Arc<RwLock<Vec<Known>>>,
}

#[derive(Clone)]
struct Known {
    name: Arc<str>,
    needle: SecretString,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// Shorter pieces would blank out ordinary words.
const SHORTEST: usize = 6;

impl Scrubber {
    /// Registers a secret. Multi-line secrets are matched line by line, and as JSON would escape them.
    pub fn learn(&self, secret: &Secret) {
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut pieces: Vec<&str> = secret.expose().lines().map(str::trim).collect();
        pieces.push(secret.expose());
        for piece in pieces.into_iter().filter(|p| p.len() >= SHORTEST && !p.starts_with("-----")) {
            if !known.iter().any(|k| k.needle.expose_secret() == piece) {
                known.push(Known { name: secret.name.clone(), needle: SecretString::from(piece.to_owned()) });
            }
        }
        // The longest first, so that a secret inside another one does not leave its ends behind.
        known.sort_by_key(|k| std::cmp::Reverse(k.needle.expose_secret().len()));
    }

    /// The text without secrets.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut clean = text.to_owned();
        for k in known.iter() {
            if clean.contains(k.needle.expose_secret()) {
                clean = clean.replace(k.needle.expose_secret(), &format!("{{{}}}", k.name));
            }
        }
        clean
    }
}
