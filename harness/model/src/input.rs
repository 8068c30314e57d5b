//! What a run was made from, by digest: evidence about other inputs is evidence about something else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an input is to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// The commit of the distribution under test.
    Commit,
    /// The matrix file.
    Matrix,
    /// The distribution's folder of machine templates (`--community`).
    Template,
    /// An installer: an image by its reference, or a local program by its content.
    Installer,
    /// A store that the matrix file gives, by its kind and address; with a private authority, by the digest of that.
    Store,
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Commit => "commit",
            Self::Matrix => "matrix",
            Self::Template => "template",
            Self::Installer => "installer",
            Self::Store => "store",
        })
    }
}

/// One input of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is.
    pub kind: InputKind,
    /// Its name: a path, an image reference, `distribution`.
    pub name: String,
    /// Its digest. Absent for an image that was named by tag: the tag is then all that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Inputs as a table, to be compared: `distribution`, `matrix`, `templates`, `installer` (with its name, where there are
/// several), `store s3`, `store registry`, each with its digest in hex, or with its name where no digest is known.
#[must_use]
pub fn by_name(inputs: &[Input]) -> BTreeMap<String, String> {
    let installers = inputs.iter().filter(|i| i.kind == InputKind::Installer).count();
    let key = |input: &Input| match input.kind {
        InputKind::Commit => "distribution".to_owned(),
        InputKind::Matrix => "matrix".to_owned(),
        InputKind::Template => "templates".to_owned(),
        InputKind::Installer if installers == 1 => "installer".to_owned(),
        InputKind::Installer => format!("installer {}", input.name),
        InputKind::Store => format!("store {}", input.name.split(' ').next().unwrap_or_default()),
    };
    // The address of a store says more than the authority behind its certificate.
    let value = |i: &Input| match (&i.digest, i.kind) {
        (Some(digest), InputKind::Commit | InputKind::Matrix | InputKind::Template | InputKind::Installer) => {
            digest.hex().to_owned()
        }
        (Some(digest), InputKind::Store) => format!("{}, authority {}", i.name, digest.hex()),
        (None, _) => i.name.clone(),
    };
    inputs.iter().map(|i| (key(i), value(i))).collect()
}

/// A digest with its algorithm, as text `sha256:<64 hex digits>` or `gitCommit:<40 or 64 hex digits>`; the algorithms are
/// named as in-toto names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Digest {
    /// SHA-256 of the content, lower-case hex.
    Sha256(String),
    /// Object id of a Git commit, lower-case hex.
    GitCommit(String),
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: expected sha256:<64 hex digits> or gitCommit:<40 or 64 hex digits>")]
pub struct BadDigest(String);

impl Digest {
    /// The digest of a commit, from the object id that `git rev-parse HEAD` prints.
    ///
    /// # Errors
    /// [`BadDigest`] for anything but a whole object id: a branch or a short id can mean another commit tomorrow.
    pub fn commit(id: &str) -> Result<Self, BadDigest> {
        format!("gitCommit:{id}").parse()
    }

    /// Name of the algorithm in an in-toto digest set.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::GitCommit(_) => "gitCommit",
        }
    }

    /// The hex digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitCommit(hex) => hex,
        }
    }
}

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(s: &str) -> Result<Self, BadDigest> {
        let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        match s.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 && is_hex(hex) => Ok(Self::Sha256(hex.to_owned())),
            Some(("gitCommit", hex)) if matches!(hex.len(), 40 | 64) && is_hex(hex) => {
                Ok(Self::GitCommit(hex.to_owned()))
            }
            _other => Err(BadDigest(s.to_owned())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl TryFrom<String> for Digest {
    type Error = BadDigest;
    fn try_from(s: String) -> Result<Self, BadDigest> {
        s.parse()
    }
}

impl From<Digest> for String {
    fn from(v: Digest) -> Self {
        v.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_text_and_nothing_short_is_one() {
        for text in [format!("sha256:{}", "0f".repeat(32)), format!("gitCommit:{}", "a1".repeat(20))] {
            assert_eq!(text.parse::<Digest>().expect("a digest").to_string(), text);
        }
        for text in ["main", "sha256:00", "gitCommit:0ff1ce", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        assert!(Digest::commit("HEAD").is_err());
        assert!(Digest::commit(&"A".repeat(40)).is_err(), "one commit has one text");
    }
}
