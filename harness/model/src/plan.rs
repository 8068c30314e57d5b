//! What will be run, and everything that was left out with its reason.

use serde::{Deserialize, Serialize};

use crate::axis::{AxisName, Cell, CellId, SshGateway};
use crate::cover::{self, Chosen, Cover};
use crate::matrix::{Matrix, nearest};
use crate::outcome::{SkipReason, Subject};
use crate::rules;
use crate::scenario::{Impact, Need, ScenarioId, ScenarioSpec};

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

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// How cells are chosen.
    pub cover: Cover,
    /// Only cells that match, as `axis=value|value,axis!=value,…`.
    pub select: Option<String>,
    /// Only these scenarios; all when empty.
    pub scenarios: Vec<String>,
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
    #[error("--select: {reason} at `{at}`")]
    BadSelect {
        /// The term.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
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

/// One term of a selection: an axis, whether it must match, the values.
struct Term {
    axis: AxisName,
    equal: bool,
    values: Vec<String>,
}

fn terms(select: &str) -> Result<Vec<Term>, PlanError> {
    select
        .split(',')
        .map(|term| {
            let bad = |reason: String| PlanError::BadSelect { at: term.trim().to_owned(), reason };
            let (name, equal, values) = match (term.split_once("!="), term.split_once('=')) {
                (Some((name, values)), _) => (name.trim(), false, values),
                (None, Some((name, values))) => (name.trim(), true, values),
                (None, None) => return Err(bad("expected axis=value or axis!=value".to_owned())),
            };
            let axis = AxisName::CELL.into_iter().find(|a| a.as_str() == name).ok_or_else(|| {
                let hint = nearest(name, AxisName::CELL.map(AxisName::as_str));
                bad(format!(
                    "there is no axis `{name}`{}",
                    hint.map(|h| format!(", did you mean `{h}`?")).unwrap_or_default()
                ))
            })?;
            let values: Vec<String> = values.split('|').map(|v| v.trim().to_owned()).collect();
            let mut probe = Cell::default();
            for value in &values {
                probe.set(axis, value).map_err(|e| bad(e.to_string()))?;
            }
            Ok(Term { axis, equal, values })
        })
        .collect()
}

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
    let terms = selection.select.as_deref().map(terms).transpose()?.unwrap_or_default();
    if matrix.product() > MOST {
        return Err(PlanError::TooLarge { cells: matrix.product(), most: MOST });
    }
    let mut left_out: Vec<LeftOut> = Vec::new();
    let mut leave = |by: &str, because: &str| match left_out.iter_mut().find(|l| l.by == by && l.because == because) {
        Some(known) => known.cells += 1,
        None => left_out.push(LeftOut { by: by.to_owned(), because: because.to_owned(), cells: 1 }),
    };
    let selected = |cell: &Cell| terms.iter().all(|t| t.values.contains(&cell.get(t.axis)) == t.equal);
    let mut valid = Vec::new();
    for cell in matrix.cells() {
        if let Some(rule) = rules::broken_by(&cell) {
            leave(rule.id, rule.because);
        } else if let Some(exclude) = matrix.excludes.iter().find(|e| e.matches(&cell)) {
            leave("exclude", &exclude.because);
        } else if !selected(&cell) {
            leave("select", "not selected");
        } else {
            valid.push(cell);
        }
    }
    let mut chosen = cover::choose(selection.cover, &valid, &matrix.base());
    for (cell, because) in matrix.includes.iter().filter(|(cell, _)| selected(cell)) {
        if !chosen.iter().any(|c| c.cell == *cell) {
            chosen.push(Chosen { cell: cell.clone(), why: format!("include: {because}") });
        }
    }
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
            let planned: Vec<PlannedScenario> = scenarios
                .iter()
                .map(|spec| PlannedScenario { scenario: spec.id.clone(), skip: unmet(spec, &cell, offers) })
                .collect();
            let grows = scenarios.iter().zip(&planned).any(|(s, p)| s.impact == Impact::AddsNode && p.skip.is_none());
            PlannedCell {
                id: cell.id(),
                servers: rules::servers(&cell) + u32::from(grows),
                why,
                scenarios: planned,
                cell,
            }
        })
        .collect();
    if cells.iter().all(|c| c.scenarios.iter().all(|s| s.skip.is_some())) {
        return Err(PlanError::Nothing { reason: "every scenario would be skipped in every cell".to_owned() });
    }
    Ok(Plan {
        matrix_sha256: matrix.sha256.clone(),
        cover: selection.cover,
        cells,
        scenarios: scenarios.into_iter().cloned().collect(),
        left_out,
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
