//! A named examination, as data: what it needs, what it does to a cluster, how long it may take.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of a scenario, `docker-in-workspace`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScenarioId(String);

/// A text that is no scenario name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scenario name: lower-case letters, digits and `-`")]
pub struct BadScenarioId(String);

impl ScenarioId {
    /// A name written in our own source.
    ///
    /// # Panics
    /// When the text is no scenario name: a mistake in the source that the first test run shows.
    #[must_use]
    pub fn of(text: &'static str) -> Self {
        text.parse().expect("scenario names in the source are well-formed")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScenarioId {
    type Err = BadScenarioId;
    fn from_str(s: &str) -> Result<Self, BadScenarioId> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if s.is_empty() || s.len() > 60 || !s.chars().all(legal) {
            return Err(BadScenarioId(s.to_owned()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl fmt::Display for ScenarioId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for ScenarioId {
    type Error = BadScenarioId;
    fn try_from(s: String) -> Result<Self, BadScenarioId> {
        s.parse()
    }
}

impl From<ScenarioId> for String {
    fn from(v: ScenarioId) -> Self {
        v.0
    }
}

/// What a scenario needs from cell and provider. Unmet means skipped, decided in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The provider can add a node.
    GrowableCluster,
    /// The cell has the SSH gateway on.
    SshGateway,
    /// Somebody may write to the cluster.
    Writable,
}

/// What a scenario does to the cluster it examines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Only looks.
    ReadOnly,
    /// Creates a workspace and removes it.
    CreatesWorkspace,
    /// Adds a node.
    AddsNode,
}

/// A scenario as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Name.
    pub id: ScenarioId,
    /// The question it asks, one line.
    pub asks: String,
    /// Needs.
    pub needs: Vec<Need>,
    /// What it does.
    pub impact: Impact,
    /// How long it may take, in seconds.
    pub patience_s: u64,
    /// Where its source is, relative to the repository root; reports point there.
    pub file: String,
}

impl ScenarioSpec {
    /// The tags that `--select` knows it by: what it does, and what it needs.
    #[must_use]
    pub fn tags(&self) -> Vec<&'static str> {
        let impact = match self.impact {
            Impact::ReadOnly => "read-only",
            Impact::CreatesWorkspace => "creates-workspace",
            Impact::AddsNode => "adds-node",
        };
        let need = |need: &Need| match need {
            Need::GrowableCluster => "needs-growable-cluster",
            Need::SshGateway => "needs-ssh-gateway",
            Need::Writable => "needs-writable",
        };
        std::iter::once(impact).chain(self.needs.iter().map(need)).collect()
    }
}
