//! What will be run, and everything that was left out with its reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::axis::{AxisName, Cell, CellId, SshGateway};
use crate::budget::{Amount, PriceList, Shape};
use crate::cover::space::{Sifted, Space, sift};
use crate::cover::tuples::Tuples;
use crate::cover::{self, Chosen, Cover};
use crate::history::{Expectations, History, Memory};
use crate::matrix::{Matrix, nearest};
use crate::outcome::{SkipReason, Subject};
use crate::rules;
use crate::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use crate::schedule::{self, AtOnce, Work, makespan};
use crate::select::{Select, SelectError};
use crate::shard::{self, Shard, ShardId};
use crate::stores::GivenStores;
use crate::tonight::{self, Limits, Toll};
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

    /// What it is expected to occupy, and for how long.
    #[must_use]
    pub fn work(&self) -> Work {
        /// Where a plan says nothing.
        const USUAL_S: u64 = 25 * 60;
        Work { seconds: self.expected_s.unwrap_or(USUAL_S), servers: self.servers }
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
    /// Servers at a time that this assumes; plans of before did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<u32>,
    /// From the first order to the last removal, in seconds.
    pub makespan_s: u64,
    /// Seconds of all cells together.
    pub work_s: u64,
    /// Cells whose duration was never recorded and is a guess from their size.
    pub guessed: usize,
    /// Cost of all cells together, where prices or recorded costs are at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
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
    /// External stores that are given, so that no machine is ordered for them.
    #[serde(default, skip_serializing_if = "GivenStores::is_empty")]
    pub stores: GivenStores,
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

    /// Whether some scenario adds a node to a cell.
    #[must_use]
    pub fn grows(&self, planned: &PlannedCell) -> bool {
        let adds = |s: &ScenarioSpec| s.impact == Impact::AddsNode;
        let runs = |s: &ScenarioSpec| planned.scenarios.iter().any(|p| p.scenario == s.id && p.skip.is_none());
        self.scenarios.iter().any(|s| adds(s) && runs(s))
    }

    /// What a cell consists of.
    #[must_use]
    pub fn shape(&self, planned: &PlannedCell) -> Shape {
        Shape::of(&planned.cell, &self.stores.serve(&planned.cell), self.grows(planned))
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
    /// Exactly these valid cells, instead of those that the cover would choose; each with the reason.
    pub only: Vec<(Cell, String)>,
    /// What bounds the night.
    pub limits: Limits,
    /// What earlier runs have shown.
    pub memory: Option<Remembered>,
    /// What things cost; without it, what cells have cost so far.
    pub prices: Option<PriceList>,
}

/// Earlier runs, and the moment from which they are looked back on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The runs that count.
    pub history: History,
    /// Now.
    pub now: Timestamp,
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
    /// A budget without anything to compare it with.
    #[error("a budget needs prices: neither a price list was given nor has any run in the history recorded a cost")]
    NoPrices,
    /// Even what must run does not fit.
    #[error("{what} does not fit: {cells} cells that must run take {takes}, the limit is {limit}")]
    TooLittle {
        /// The limit that is too small.
        what: &'static str,
        /// Cells that must run.
        cells: usize,
        /// What they take.
        takes: String,
        /// The limit.
        limit: String,
    },
    /// A cell that was asked for by name and may not run.
    #[error("cell `{cell}` may not run: {reason}")]
    NotValid {
        /// The cell.
        cell: CellId,
        /// The rule, the exclude, or that the matrix does not have it.
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
    let expectations = selection.memory.as_ref().map(|m| Expectations::of(&m.history)).unwrap_or_default();
    let memory = selection.memory.as_ref().map(|m| (Memory::of(&m.history, &space, &tuples), m.now));
    let grows = |cell: &Cell| {
        let adds = |spec: &&&ScenarioSpec| spec.impact == Impact::AddsNode && unmet(spec, cell, offers).is_none();
        scenarios.iter().filter(adds).any(|spec| wanted(cell, spec))
    };
    let shape = |cell: &Cell| Shape::of(cell, &matrix.stores.serve(cell), grows(cell));
    let toll = |cell: &Cell| {
        let here = scenarios.iter().filter(|spec| wanted(cell, spec) && unmet(spec, cell, offers).is_none());
        let seconds = expectations.duration(cell, here.count()).seconds;
        let cost = expectations.cost(shape(cell), seconds, selection.prices.as_ref());
        Toll { work: Work { seconds, servers: shape(cell).servers() }, cost }
    };
    let chosen = if !selection.only.is_empty() {
        only(&space, matrix, &selection.only)?
    } else if selection.limits.bind() {
        if selection.limits.budget.is_some() && toll(&matrix.base()).cost.is_none() {
            return Err(PlanError::NoPrices);
        }
        let musts = must_run(&space, matrix, &musts);
        must_fit(&musts, selection.limits, &toll)?;
        let nothing = Memory::of(&History::default(), &space, &tuples);
        let (memory, now) = memory.as_ref().map_or((&nothing, Timestamp::UNIX_EPOCH), |(m, now)| (m, *now));
        tonight::choose(&space, &tuples, memory, &musts, selection.limits, now, &toll)
    } else {
        cover::choose(selection.cover, &space, &tuples, &matrix.base(), &musts)
    };
    if chosen.is_empty() {
        let reason = left_out
            .iter()
            .map(|l| format!("{} cells by {} ({})", l.cells, l.by, l.because))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(PlanError::Nothing { reason });
    }
    let mut cells: Vec<PlannedCell> = chosen
        .into_iter()
        .map(|Chosen { cell, why }| {
            let here: Vec<&ScenarioSpec> = scenarios.iter().copied().filter(|spec| wanted(&cell, spec)).collect();
            let planned: Vec<PlannedScenario> = here
                .iter()
                .map(|spec| PlannedScenario { scenario: spec.id.clone(), skip: unmet(spec, &cell, offers) })
                .collect();
            PlannedCell {
                id: cell.id(),
                servers: shape(&cell).servers(),
                why,
                scenarios: planned,
                expected_s: Some(toll(&cell).work.seconds),
                cell,
            }
        })
        .collect();
    if cells.iter().all(|c| c.scenarios.iter().all(|s| s.skip.is_some())) {
        return Err(PlanError::Nothing { reason: "every scenario would be skipped in every cell".to_owned() });
    }
    if selection.memory.is_some() || selection.limits.bind() {
        let works: Vec<Work> = cells.iter().map(PlannedCell::work).collect();
        cells = schedule::order(&works, selection.limits.at_once).into_iter().map(|at| cells[at].clone()).collect();
    }
    let planned: Vec<&Cell> = cells.iter().map(|c| &c.cell).collect();
    let coverage = cover::coverage(&space, &tuples, &planned, |code| {
        let green = memory.as_ref().and_then(|(m, _)| m.last_green[code as usize]);
        (green, green)
    });
    let shards = selection.max_jobs.map(|most| shard::divide(&cells, most)).unwrap_or_default();
    let estimate = estimate(&cells, &shards, selection.limits.at_once, &expectations, &toll);
    Ok(Plan {
        matrix_sha256: matrix.sha256.clone(),
        cover: selection.cover,
        cells,
        scenarios: scenarios.into_iter().cloned().collect(),
        stores: matrix.stores.clone(),
        left_out,
        infeasible,
        coverage: Some(coverage),
        estimate: Some(estimate),
        shards,
        shard: None,
    })
}

/// What must run: the base, where it is valid, and the includes.
fn must_run(space: &Space, matrix: &Matrix, includes: &[(Cell, String)]) -> Vec<(Cell, String)> {
    let base = matrix.base();
    let mut musts: Vec<(Cell, String)> = Vec::new();
    if space.row(&base).is_some() {
        musts.push((base, "the base cell".to_owned()));
    }
    for (cell, because) in includes {
        if !musts.iter().any(|(known, _)| known == cell) {
            musts.push((cell.clone(), format!("include: {because}")));
        }
    }
    musts
}

/// Whether what must run fits under the limits.
fn must_fit(musts: &[(Cell, String)], limits: Limits, toll: &impl Fn(&Cell) -> Toll) -> Result<(), PlanError> {
    let tolls: Vec<Toll> = musts.iter().map(|(cell, _)| toll(cell)).collect();
    let too_little = |what, takes, limit| PlanError::TooLittle { what, cells: musts.len(), takes, limit };
    if let Some(budget) = limits.budget {
        let cost: Amount = tolls.iter().filter_map(|t| t.cost).sum();
        if cost.gross > budget {
            return Err(too_little("the budget", cost.to_string(), format!("{budget:.2} EUR")));
        }
    }
    if let Some(within) = limits.within_s {
        let takes = makespan(tolls.iter().map(|t| t.work), limits.at_once);
        if takes > within {
            return Err(too_little("the time", format!("{} min", takes.div_ceil(60)), format!("{} min", within / 60)));
        }
    }
    Ok(())
}

/// Cells that were asked for one by one.
fn only(space: &Space, matrix: &Matrix, cells: &[(Cell, String)]) -> Result<Vec<Chosen>, PlanError> {
    let check = |(cell, why): &(Cell, String)| {
        if space.row(cell).is_none() {
            let rule = rules::forbidding(cell, &matrix.stores).map(|r| r.because.to_owned());
            let exclude = || matrix.excludes.iter().find(|e| e.matches(cell)).map(|e| e.because.clone());
            let reason = rule.or_else(exclude).unwrap_or_else(|| "the selection or the axes leave it out".to_owned());
            return Err(PlanError::NotValid { cell: cell.id(), reason });
        }
        Ok(Chosen { cell: cell.clone(), why: why.clone() })
    };
    cells.iter().map(check).collect()
}

fn estimate(
    cells: &[PlannedCell],
    shards: &[Shard],
    at_once: AtOnce,
    expectations: &Expectations,
    toll: &impl Fn(&Cell) -> Toll,
) -> Estimate {
    let of_shard =
        |shard: &Shard| makespan(cells.iter().filter(|c| shard.cells.contains(&c.id)).map(PlannedCell::work), at_once);
    let whole = || makespan(cells.iter().map(PlannedCell::work), at_once);
    let guessed = cells.iter().filter(|c| expectations.duration(&c.cell, 0).guessed).count();
    Estimate {
        clusters: at_once.clusters,
        servers: Some(at_once.servers),
        makespan_s: shards.iter().map(of_shard).max().unwrap_or_else(whole),
        work_s: cells.iter().map(|c| c.work().seconds).sum(),
        guessed,
        cost: cells.iter().map(|c| toll(&c.cell).cost).sum::<Option<Amount>>(),
    }
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
#[must_use]
pub fn unmet(spec: &ScenarioSpec, cell: &Cell, offers: &[Need]) -> Option<SkipReason> {
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
