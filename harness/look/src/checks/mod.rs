//! The checks: pure functions of a sight, each with a code that never changes.
//!
//! A check says what kinds of objects it needs. Where one of them could not be seen the answer is *unknown*, before the
//! check is even asked; so no check can take silence for health.

mod certificates;
mod network;
mod nodes;
mod objects;
mod ready;
mod room;
mod traps;

use jiff::Timestamp;
use serde_json::Value;

use crate::reader::{Kind, Unseen};
use crate::record::Record;
use crate::sight::{Sight, label};

/// What a check comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
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
    /// The question does not arise here, and why.
    NotHere(String),
}

impl Verdict {
    /// Bad when there is anything wrong, each thing named; the first few when there are many.
    pub(crate) fn of(expected: impl Into<String>, wrong: Vec<String>) -> Self {
        const SHOWN: usize = 6;
        if wrong.is_empty() {
            return Self::Good;
        }
        let mut observed = wrong.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
        if let more @ 1.. = wrong.len().saturating_sub(SHOWN) {
            observed.push_str(&format!("; and {more} more"));
        }
        Self::Bad { expected: expected.into(), observed }
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The installation is not healthy.
    Fail,
    /// It works, and somebody should know.
    Warn,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its code.
    pub code: &'static str,
    /// What it asks, as a statement.
    pub title: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What came of it.
    pub verdict: Verdict,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What was seen.
    pub sight: &'a Sight,
    /// What the installer wrote down.
    pub record: &'a Record,
    /// What time it is, for whatever expires.
    pub now: Timestamp,
}

/// A check.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its stable code; the anchor of its remedy in the docs.
    pub code: &'static str,
    /// What it asks, as a statement.
    pub title: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it must see.
    pub needs: &'static [Kind],
    /// The judgement.
    judge: fn(&Case<'_>) -> Verdict,
}

impl Check {
    /// What comes of it.
    #[must_use]
    pub fn see(&self, case: &Case<'_>) -> Seen {
        Seen { code: self.code, title: self.title, severity: self.severity, verdict: self.judge(case) }
    }

    /// Judges.
    #[must_use]
    pub fn judge(&self, case: &Case<'_>) -> Verdict {
        for kind in self.needs {
            match case.sight.unseen(*kind) {
                None => {}
                // What serves certificates is itself a check; without it the others of that group have no question.
                Some(Unseen::NotServed) if certificates::asks(self.code) && self.code != certificates::SERVED => {
                    return Verdict::NotHere(format!("the API serves no {}", kind.plural()));
                }
                // There are none, and whoever needs one misses it.
                Some(Unseen::NotServed) => {}
                Some(why) => return Verdict::Unknown(format!("{} cannot be listed: {why}", kind.plural())),
            }
        }
        (self.judge)(case)
    }
}

/// The checks of nodes, as the API shows them.
#[must_use]
pub fn of_nodes() -> &'static [Check] {
    nodes::CHECKS
}

/// The checks of an installation, in the order of a report.
pub fn of_installation() -> impl Iterator<Item = &'static Check> {
    [objects::CHECKS, ready::CHECKS, certificates::CHECKS, network::CHECKS, room::CHECKS, traps::CHECKS]
        .into_iter()
        .flatten()
}

/// The kinds that checks must see, each once.
#[must_use]
pub fn needs<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = checks.into_iter().flat_map(|c| c.needs).copied().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Labels of a node that workspaces may run on; either of them.
const WORKSPACE_LABELS: [&str; 2] = ["gitpod.io/workload_workspace_regular", "gitpod.io/workload_workspace_headless"];

/// Whether workspaces may run on a node.
fn takes_workspaces(node: &Value) -> bool {
    WORKSPACE_LABELS.iter().any(|l| label(node, l).is_some())
}

/// Whether a pod is a workspace, which comes and goes as its user likes.
fn is_workspace(pod: &Value) -> bool {
    label(pod, "component") == Some("workspace")
}

/// Whether a pod has ended.
fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// The pod of the installation belongs to a Job: it ends, and its Job is judged.
fn of_a_job(pod: &Value) -> bool {
    crate::sight::list(&pod["metadata"]["ownerReferences"]).any(|o| o["kind"] == "Job")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_every_check_needs_something() {
        let mut codes = BTreeSet::new();
        for check in of_nodes().iter().chain(of_installation()) {
            assert!(codes.insert(check.code), "{} is there twice", check.code);
            assert!(!check.needs.is_empty(), "{} would judge without looking", check.code);
        }
        assert!(codes.len() > 30);
    }

    #[test]
    fn a_check_that_sees_nothing_knows_nothing() {
        let sight = Sight::of("gitpod", "v1.24.17+k3s1", std::collections::BTreeMap::new());
        let record = Record::of(&sight);
        let case = Case { sight: &sight, record: &record, now: Timestamp::UNIX_EPOCH };
        for check in of_nodes().iter().chain(of_installation()) {
            assert!(matches!(check.judge(&case), Verdict::Unknown(_)), "{}", check.code);
        }
    }
}
