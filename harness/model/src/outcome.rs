//! What came of a subject, and whose fault it was.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::CheckName;
use crate::scenario::ScenarioId;

/// What gets an outcome in a cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The cluster was made.
    Provision,
    /// Gitpod was installed on it.
    Install,
    /// One examination.
    Scenario(ScenarioId),
    /// Everything was removed again.
    Teardown,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provision => f.pad("provision"),
            Self::Install => f.pad("install"),
            Self::Scenario(id) => f.pad(id.as_str()),
            Self::Teardown => f.pad("teardown"),
        }
    }
}

/// Whose fault an error is. It decides the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The Gitpod distribution under test.
    Product,
    /// The cloud, the network, a registry: something that neither side controls.
    Environment,
    /// gsh itself.
    Harness,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Product => "product",
            Self::Environment => "environment",
            Self::Harness => "harness",
        })
    }
}

/// What was expected, what was seen instead, and the chain of causes below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The check, or the stable name of the kind of trouble.
    pub check: CheckName,
    /// What should have been so, one line.
    pub expected: String,
    /// What was so instead, one line.
    pub observed: String,
    /// Deeper causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, observed {}", self.check, self.expected, self.observed)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// Why we cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The cloud, the network, a registry.
    Environment,
    /// gsh itself, a panic included.
    Harness,
    /// Another subject of the cell did not succeed.
    BlockedBy(Subject),
    /// The run was stopped first.
    Stopped,
    /// The process died while it was at work; a resumed run says so.
    Interrupted,
    /// Taking the cluster could have cost more than the budget allows.
    Budget,
    /// Planned, but nothing was ever recorded about it.
    NeverRan,
    /// Planned for a shard whose record was not among those merged.
    ShardMissing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.pad("environment"),
            Self::Harness => f.pad("harness"),
            Self::BlockedBy(subject) => write!(f, "blocked by {subject}"),
            Self::Stopped => f.pad("stopped"),
            Self::Interrupted => f.pad("interrupted"),
            Self::Budget => f.pad("budget"),
            Self::NeverRan => f.pad("never ran"),
            Self::ShardMissing => f.pad("shard missing"),
        }
    }
}

/// Why the plan leaves a scenario out of a cell. Decided before money is spent, never later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkipReason(pub String);

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What came of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Passed,
    /// The product is at fault.
    Failed(Finding),
    /// We cannot tell.
    Inconclusive {
        /// Why not.
        why: Why,
        /// What was seen.
        finding: Finding,
    },
    /// The plan left it out.
    Skipped(SkipReason),
}

/// An outcome without its particulars, for counting and for history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// It works.
    Passed,
    /// The product is at fault.
    Failed,
    /// We cannot tell.
    Inconclusive,
    /// The plan left it out.
    Skipped,
}

impl OutcomeKind {
    /// One word: `passed`, `failed`, `inconclusive`, `skipped`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Outcome {
    /// Without its particulars.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Passed => OutcomeKind::Passed,
            Self::Failed(_) => OutcomeKind::Failed,
            Self::Inconclusive { .. } => OutcomeKind::Inconclusive,
            Self::Skipped(_) => OutcomeKind::Skipped,
        }
    }

    /// One word: `passed`, `failed`, `inconclusive`, `skipped`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.kind().as_str()
    }

    /// What was seen, where something was.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Failed(finding) | Self::Inconclusive { finding, .. } => Some(finding),
            Self::Passed | Self::Skipped(_) => None,
        }
    }

    /// The outcome that an error with this blame makes.
    #[must_use]
    pub fn of(blame: Blame, finding: Finding) -> Self {
        match blame {
            Blame::Product => Self::Failed(finding),
            Blame::Environment => Self::Inconclusive { why: Why::Environment, finding },
            Blame::Harness => Self::Inconclusive { why: Why::Harness, finding },
        }
    }
}

/// How real a run was. Recorded with the run, shown everywhere, judged by the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The embedded world.
    Emulated,
    /// Real hosts, emulated cloud.
    Lab,
    /// The real Hetzner Cloud.
    Cloud,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Emulated => "emulated",
            Self::Lab => "lab",
            Self::Cloud => "cloud",
        })
    }
}
