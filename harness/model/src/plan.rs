//! What will be run, and everything that was left out with its reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::axis::{AxisName, Cell, CellId, SshGateway};
use crate::cover::space::{Sifted, sift};
use crate::cover::tuples::Tuples;
use crate::cover::{self, Chosen, Cover};
use crate::matrix::{Matrix, nearest};
use crate::outcome::{SkipReason, Subject};
use crate::rules;
use crate::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use crate::select::{Select, SelectError};
use crate::shard::{self, Shard, ShardId};
use crate::tuple::Tuple;

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
    /// How long it is expected to take, in seconds, from order to removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_s: Option<u64>,
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

/// A combination of values that the cells of a plan leave open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The combination.
    pub tuple: Tuple,
    /// When every scenario of a cell with it last passed, as far as the history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_green: Option<Timestamp>,
}

/// Which combinations of values the planned cells contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How many axes a combination spans: 2 for pairs, 3 for triples.
    pub strength: u8,
    /// Combinations that occur in some cell that may run.
    pub feasible: usize,
    /// Combinations that occur in a planned cell.
    pub covered: usize,
    /// No set of cells smaller than this can contain all of them.
    pub at_least: usize,
    /// Combinations left open, the stalest first; at most [`Coverage::LISTED`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
}

impl Coverage {
    /// How many open combinations a plan lists.
    pub const LISTED: usize = 50;
}

/// A value of the matrix that no valid cell has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Infeasible {
    /// The axis.
    pub axis: AxisName,
    /// The value.
    pub value: String,
    /// Rule ids, `exclude` and `select`, whatever takes its cells out.
    pub by: Vec<String>,
}

/// What a plan is expected to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Clusters at a time that this assumes.
    pub clusters: u32,
    /// From the first order to the last removal, in seconds.
    pub makespan_s: u64,
    /// Seconds of all cells together.
    pub work_s: u64,
    /// Cells whose duration was never recorded and is a guess from their size.
    pub guessed: usize,
}

/// What will be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Values that no cell can have, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infeasible: Vec<Infeasible>,
    /// Which combinations the cells contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What it is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Its division among machines; empty when it runs as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
    /// The shard that this run is; absent when it runs as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
}

impl Plan {
    /// What makes two plans the same plan, as SHA-256 in hex: the matrix, the cells with their scenarios and skips, the
    /// shards. Not which shard this is, and not the words and guesses about it.
    #[must_use]
    pub fn digest(&self) -> String {
        let cells: Vec<_> = self.cells.iter().map(|c| (&c.id, &c.cell, &c.scenarios)).collect();
        let identity = (&self.matrix_sha256, cells, &self.scenarios, &self.shards);
        // Values of our own types always have a JSON form.
        let json = serde_json::to_vec(&identity).unwrap_or_default();
        Sha256::digest(json).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The cells that this run is to examine: those of its shard, or all.
    pub fn own_cells(&self) -> impl Iterator<Item = &PlannedCell> {
        let shard = self.shard.map(|id| self.shards.iter().find(|s| s.id == id));
        self.cells.iter().filter(move |cell| match shard {
            None => true,
            Some(shard) => shard.is_some_and(|s| s.cells.contains(&cell.id)),
        })
    }

    /// The planned cell with this id.
    #[must_use]
    pub fn cell(&self, id: &CellId) -> Option<&PlannedCell> {
        self.cells.iter().find(|c| c.id == *id)
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// How cells are chosen.
    pub cover: Cover,
    /// Only cells and scenarios that match; [`crate::select`] is the language.
    pub select: Option<String>,
    /// Only these scenarios; all when empty.
    pub scenarios: Vec<String>,
    /// Divides the plan among at most so many shards.
    pub max_jobs: Option<usize>,
}

/// A selection that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A scenario name that nobody has.
    #[error("there is no scenario `{name}`{}", hint.as_ref().map(|h| format!("; did you mean `{h}`?")).unwrap_or_default())]
    UnknownScenario {
        /// What was asked for.
        name: String,
        /// The nearest right name.
        hint: Option<String>,
    },
    /// A selection expression that cannot be read.
    #[error(transparent)]
    BadSelect(#[from] SelectError),
    /// Nothing is left to run. Zero planned subjects is never success.
    #[error("nothing is left to run: {reason}")]
    Nothing {
        /// What took everything out.
        reason: String,
    },
    /// More cells than anybody could mean.
    #[error("the matrix has {cells} combinations, more than the {most} that gsh looks through; name fewer values")]
    TooLarge {
        /// The product of the axes.
        cells: usize,
        /// The limit.
        most: usize,
    },
}

/// The most combinations that are looked through.
const MOST: usize = 2_000_000;

/// Decides what to run: matrix and rules give the valid cells, the selection narrows them, the cover chooses, and each
/// scenario's needs are matched against cell and provider.
///
/// # Errors
/// [`PlanError`] when the selection cannot be read or leaves nothing.
pub fn plan(
    matrix: &Matrix,
    catalogue: &[ScenarioSpec],
    offers: &[Need],
    selection: &Selection,
) -> Result<Plan, PlanError> {
    let scenarios = chosen_scenarios(catalogue, &selection.scenarios)?;
    let select = selection.select.as_deref().map(|text| Select::parse(text, matrix, catalogue)).transpose()?;
    if matrix.product() > MOST {
        return Err(PlanError::TooLarge { cells: matrix.product(), most: MOST });
    }
    let wanted = |cell: &Cell, spec: &ScenarioSpec| select.as_ref().is_none_or(|s| s.holds(cell, spec));
    let Sifted { space, left_out, infeasible } =
        sift(matrix, |values| select.as_ref().is_none_or(|s| scenarios.iter().any(|spec| s.holds_for(values, spec))));
    let musts: Vec<(Cell, String)> =
        matrix.includes.iter().filter(|(cell, _)| scenarios.iter().any(|s| wanted(cell, s))).cloned().collect();
    let tuples = Tuples::new(&space, selection.cover.strength());
    let chosen = cover::choose(selection.cover, &space, &tuples, &matrix.base(), &musts);
    if chosen.is_empty() {
        let reason = left_out
            .iter()
            .map(|l| format!("{} cells by {} ({})", l.cells, l.by, l.because))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(PlanError::Nothing { reason });
    }
    let cells: Vec<PlannedCell> = chosen
        .into_iter()
        .map(|Chosen { cell, why }| {
            let here: Vec<&ScenarioSpec> = scenarios.iter().copied().filter(|spec| wanted(&cell, spec)).collect();
            let planned: Vec<PlannedScenario> = here
                .iter()
                .map(|spec| PlannedScenario { scenario: spec.id.clone(), skip: unmet(spec, &cell, offers) })
                .collect();
            let grows = here.iter().zip(&planned).any(|(s, p)| s.impact == Impact::AddsNode && p.skip.is_none());
            PlannedCell {
                id: cell.id(),
                servers: rules::servers(&cell) + u32::from(grows),
                why,
                scenarios: planned,
                expected_s: None,
                cell,
            }
        })
        .collect();
    if cells.iter().all(|c| c.scenarios.iter().all(|s| s.skip.is_some())) {
        return Err(PlanError::Nothing { reason: "every scenario would be skipped in every cell".to_owned() });
    }
    let planned: Vec<&Cell> = cells.iter().map(|c| &c.cell).collect();
    let coverage = cover::coverage(&space, &tuples, &planned, |_| ((), None));
    let shards = selection.max_jobs.map(|most| shard::divide(&cells, most)).unwrap_or_default();
    Ok(Plan {
        matrix_sha256: matrix.sha256.clone(),
        cover: selection.cover,
        cells,
        scenarios: scenarios.into_iter().cloned().collect(),
        left_out,
        infeasible,
        coverage: Some(coverage),
        estimate: None,
        shards,
        shard: None,
    })
}

fn chosen_scenarios<'a>(catalogue: &'a [ScenarioSpec], names: &[String]) -> Result<Vec<&'a ScenarioSpec>, PlanError> {
    for name in names {
        if !catalogue.iter().any(|s| s.id.as_str() == name) {
            let hint = nearest(name, catalogue.iter().map(|s| s.id.as_str())).map(str::to_owned);
            return Err(PlanError::UnknownScenario { name: name.clone(), hint });
        }
    }
    Ok(catalogue.iter().filter(|s| names.is_empty() || names.iter().any(|n| n == s.id.as_str())).collect())
}

/// Why a scenario cannot run in this cell with this provider.
fn unmet(spec: &ScenarioSpec, cell: &Cell, offers: &[Need]) -> Option<SkipReason> {
    spec.needs.iter().find_map(|need| {
        let reason = match need {
            Need::GrowableCluster if !offers.contains(need) => "the provider cannot add a node",
            Need::Writable if !offers.contains(need) => "nothing may be created on this cluster",
            Need::SshGateway if cell.ssh_gateway == SshGateway::Off => "the cell has the SSH gateway off",
            Need::GrowableCluster | Need::Writable | Need::SshGateway => return None,
        };
        Some(SkipReason(reason.to_owned()))
    })
}
