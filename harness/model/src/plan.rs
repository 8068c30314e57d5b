//! What will be run, and everything that was left out with its reason.

use serde::{Deserialize, Serialize};

use crate::axis::{Cell, CellId};
use crate::cover::Cover;
use crate::outcome::{SkipReason, Subject};
use crate::scenario::{ScenarioId, ScenarioSpec};

/// One scenario in one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedScenario {
    /// Which.
    pub scenario: ScenarioId,
    /// Set when a need is not met: the scenario is then skipped with this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<SkipReason>,
}

/// One cell that will be built and examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCell {
    /// Stable name.
    pub id: CellId,
    /// The values.
    pub cell: Cell,
    /// Why this cell was chosen, one line.
    pub why: String,
    /// Servers it occupies while it runs, those a scenario adds included.
    pub servers: u32,
    /// Its scenarios, in the order in which they run.
    pub scenarios: Vec<PlannedScenario>,
}

impl PlannedCell {
    /// Everything that gets an outcome in this cell, in report order.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![Subject::Provision, Subject::Install];
        subjects.extend(self.scenarios.iter().map(|s| Subject::Scenario(s.scenario.clone())));
        subjects.push(Subject::Teardown);
        subjects
    }
}

/// A combination that will not be run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Rule id, `exclude`, or `select`.
    pub by: String,
    /// The reason in words.
    pub because: String,
    /// How many cells it took out.
    pub cells: usize,
}

/// What will be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// SHA-256 of the matrix file, hex. Shards of one plan carry the same.
    pub matrix_sha256: String,
    /// How the cells were chosen.
    pub cover: Cover,
    /// The cells, in the order in which they are started.
    pub cells: Vec<PlannedCell>,
    /// The scenarios as data.
    pub scenarios: Vec<ScenarioSpec>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

impl Plan {
    /// The planned cell with this id.
    #[must_use]
    pub fn cell(&self, id: &CellId) -> Option<&PlannedCell> {
        self.cells.iter().find(|c| c.id == *id)
    }
}
