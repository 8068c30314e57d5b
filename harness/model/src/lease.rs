//! A cluster on loan, and what can be left of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! short_id {
    ($(#[$meta:meta])* $name:ident, $bad:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        #[doc = concat!("A text that is no ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{0}` is no {what}: a lower-case letter, then up to 39 lower-case letters, digits or single `-`", what = $what)]
        pub struct $bad(String);

        impl $name {
            /// The text. Fit for a host name and for a label value.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = $bad;
            fn from_str(s: &str) -> Result<Self, $bad> {
                let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                let good = s.len() <= 40
                    && s.starts_with(|c: char| c.is_ascii_lowercase())
                    && !s.ends_with('-')
                    && !s.contains("--")
                    && s.chars().all(legal);
                if good { Ok(Self(s.to_owned())) } else { Err($bad(s.to_owned())) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl TryFrom<String> for $name {
            type Error = $bad;
            fn try_from(s: String) -> Result<Self, $bad> { s.parse() }
        }
        impl From<$name> for String {
            fn from(v: $name) -> Self { v.0 }
        }
    };
}

short_id! {
    /// A run: time and randomness, `r20261123-164638-7f3a`.
    RunId, BadRunId, "run id"
}
short_id! {
    /// A lease: the run's random part, the cell's number in the plan and the attempt, `g7f3a-c3-a1`. Server names derive from it.
    LeaseId, BadLeaseId, "lease id"
}

impl LeaseId {
    /// The lease of an attempt at a cell. The same every time, so that a repeated create collides instead of duplicating.
    ///
    /// # Panics
    /// Never: the parts of a run id and two numbers make a lease id.
    #[must_use]
    pub fn new(run: &RunId, cell_number: usize, attempt: u32) -> Self {
        let random = run.as_str().rsplit('-').next().unwrap_or("0");
        format!("g{random}-c{cell_number}-a{attempt}").parse().expect("parts of ids make an id")
    }
}

/// Something in the account that carries our labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// `server`, `load-balancer`, `volume`, `primary-ip`, `placement-group`, `firewall`, `network`, `ssh-key`, `image`.
    pub kind: String,
    /// Number in the account.
    pub id: u64,
    /// Name in the account.
    pub name: String,
    /// Price per month in euro cents, net, where the account's price list names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cents_per_month: Option<u64>,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` ({})", self.kind, self.name, self.id)
    }
}
