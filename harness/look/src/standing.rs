//! How checks stand, and what has changed since they were last looked at.

use std::collections::BTreeMap;

use gsh_model::exit::Exit;

use crate::checks::{Seen, Severity, Verdict};

/// How the reason begins with which something is told that fails nothing.
pub const WORTH_KNOWING: &str = "only worth knowing: ";

/// How a check stands, as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad {
        /// What should have been so.
        expected: String,
        /// What is so.
        observed: String,
    },
    /// It cannot be told, and why.
    Unknown(String),
    /// It fails nothing: the question does not arise, or the answer is only worth knowing.
    Aside(String),
}

impl Standing {
    /// What a verdict amounts to.
    #[must_use]
    pub fn of(severity: Severity, verdict: Verdict) -> Self {
        match (verdict, severity) {
            (Verdict::Good, _) => Self::Good,
            (Verdict::NotHere(why), _) | (Verdict::Unknown(why), Severity::Warn) => Self::Aside(why),
            (Verdict::Bad { expected, observed }, Severity::Fail) => Self::Bad { expected, observed },
            (Verdict::Bad { observed, .. }, Severity::Warn) => Self::Aside(format!("{WORTH_KNOWING}{observed}")),
            (Verdict::Unknown(why), Severity::Fail) => Self::Unknown(why),
        }
    }

    /// One word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad { .. } => "bad",
            Self::Unknown(_) => "unknown",
            Self::Aside(_) => "aside",
        }
    }

    /// Whether nothing has happened between the two. What is bad or unknown may be so in other words: counts and names
    /// change all the time.
    fn is_still(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Aside(one), Self::Aside(another)) => one == another,
            (Self::Good | Self::Bad { .. } | Self::Unknown(_) | Self::Aside(_), _) => self.word() == other.word(),
        }
    }
}

/// A check that stands otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its code.
    pub code: String,
    /// What it asks.
    pub title: String,
    /// How it stood; nothing when nobody had looked.
    pub was: Option<Standing>,
    /// How it stands.
    pub is: Standing,
}

/// How all checks stand.
#[derive(Debug, Clone, Default)]
pub struct Standings(BTreeMap<String, Standing>);

impl Standings {
    /// What was found at first.
    pub fn first(found: impl IntoIterator<Item = (String, Standing)>) -> Self {
        Self(found.into_iter().collect())
    }

    /// Takes in a further look, and tells what has changed.
    pub fn take(&mut self, seen: impl IntoIterator<Item = Seen>) -> Vec<Change> {
        let mut changes = Vec::new();
        for Seen { code, title, severity, verdict } in seen {
            let is = Standing::of(severity, verdict);
            let was = self.0.insert(code.to_owned(), is.clone());
            if !was.as_ref().is_some_and(|was| was.is_still(&is)) {
                changes.push(Change { code: code.to_owned(), title: title.to_owned(), was, is });
            }
        }
        changes
    }

    /// What a program says by ending now.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let any = |word: &str| self.0.values().any(|s| s.word() == word);
        match (any("bad"), any("unknown")) {
            (true, _) => Exit::Fail,
            (false, true) => Exit::Inconclusive,
            // Nobody has looked at anything.
            (false, false) if self.0.is_empty() => Exit::Inconclusive,
            (false, false) => Exit::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(severity: Severity, verdict: Verdict) -> [Seen; 1] {
        [Seen { code: "GSH-LOOK-101", title: "every node is Ready", severity, verdict }]
    }

    fn bad(observed: &str) -> Verdict {
        Verdict::Bad { expected: "ready".to_owned(), observed: observed.to_owned() }
    }

    #[test]
    fn only_what_changed_is_told_and_the_worst_decides() {
        let mut all = Standings::default();
        assert_eq!(all.exit(), Exit::Inconclusive, "nobody looked");
        let mut take = |severity, verdict| {
            let words = all.take(seen(severity, verdict)).into_iter().map(|c| (c.was.map(|w| w.word()), c.is.word()));
            (words.collect::<Vec<_>>(), all.exit())
        };
        let good = || Verdict::Good;
        assert_eq!(take(Severity::Fail, good()), (vec![(None, "good")], Exit::Pass));
        assert_eq!(take(Severity::Fail, good()), (vec![], Exit::Pass));
        assert_eq!(take(Severity::Fail, bad("one")), (vec![(Some("good"), "bad")], Exit::Fail));
        assert_eq!(take(Severity::Fail, bad("two")), (vec![], Exit::Fail), "in other words");
        let gone = Verdict::Unknown("no answer".to_owned());
        assert_eq!(take(Severity::Fail, gone), (vec![(Some("bad"), "unknown")], Exit::Inconclusive));
        assert_eq!(take(Severity::Warn, bad("one")), (vec![(Some("unknown"), "aside")], Exit::Pass));
        assert_eq!(take(Severity::Warn, bad("two")), (vec![(Some("aside"), "aside")], Exit::Pass));
    }
}
