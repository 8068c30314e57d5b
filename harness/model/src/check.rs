//! The name of one observation, stable for ever: `GSH-SSH-004`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Stable name of a check or of a kind of trouble, `GSH-<AREA>-<three digits>`. It is the anchor of its page in the docs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckName(String);

/// A text that is no check name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no check name: expected GSH-<AREA>-<three digits>, as in GSH-SSH-004")]
pub struct BadCheckName(String);

impl CheckName {
    /// A name written in our own source.
    ///
    /// # Panics
    /// When the text is no check name: a mistake in the source that the first test run shows.
    #[must_use]
    pub fn of(text: &'static str) -> Self {
        text.parse().expect("check names in the source are well-formed")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckName {
    type Err = BadCheckName;
    fn from_str(s: &str) -> Result<Self, BadCheckName> {
        let mut parts = s.split('-');
        let good = parts.next() == Some("GSH")
            && parts.next().is_some_and(|a| {
                (2..=6).contains(&a.len()) && a.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            })
            && parts.next().is_some_and(|n| n.len() == 3 && n.chars().all(|c| c.is_ascii_digit()))
            && parts.next().is_none();
        if good { Ok(Self(s.to_owned())) } else { Err(BadCheckName(s.to_owned())) }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for CheckName {
    type Error = BadCheckName;
    fn try_from(s: String) -> Result<Self, BadCheckName> {
        s.parse()
    }
}

impl From<CheckName> for String {
    fn from(v: CheckName) -> Self {
        v.0
    }
}
