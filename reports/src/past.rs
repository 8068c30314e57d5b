//! What earlier runs have shown of a run's cells and subjects, and of every pair of values.

use std::collections::{BTreeMap, BTreeSet};

use gsh_model::axis::CellId;
use gsh_model::check::CheckName;
use gsh_model::history::{Covered, History, Record, RunSummary, coverage, records, verdict};
use gsh_model::lease::RunId;
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{OutcomeKind, Subject};
use gsh_model::run::RunState;
use jiff::Timestamp;

use crate::change::Earlier;

/// Results of a cell that are kept.
const LATELY: usize = 12;

/// What earlier runs have shown. The run itself is none of them, but counts for the pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// How many runs there are.
    pub runs: usize,
    /// When the run began, by which ages are counted.
    pub at: Timestamp,
    /// The run itself, to tell what is known from it.
    pub run: RunId,
    /// The last green one: a run, or the shards of a night.
    pub last_green: Option<Earlier>,
    /// How each subject of the run's cells stood lately.
    pub records: BTreeMap<(CellId, Subject), Record>,
    /// What came of the run's cells lately, oldest first.
    pub cells: BTreeMap<CellId, Vec<OutcomeKind>>,
    /// When a check has decided before, in any cell: how often, and the first and the last run.
    pub decided: BTreeMap<CheckName, Seen>,
    /// Every pair of values, never green first, then the stalest.
    pub pairs: Vec<Covered>,
}

/// When something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// In how many runs.
    pub runs: usize,
    /// First.
    pub first: (Timestamp, RunId),
    /// Last.
    pub last: (Timestamp, RunId),
}

impl Past {
    /// What a history says to a run of this matrix: of runs that began before it and are at least as real. Nothing when the
    /// run has not begun.
    #[must_use]
    pub fn of(history: &History, run: &RunState, matrix: &Matrix) -> Option<Self> {
        let header = run.header.as_ref()?;
        let earlier = history.clone().at_least(header.evidence).until(header.started);
        let own: BTreeSet<&CellId> = run.cells.iter().map(|c| &c.id).collect();
        let ours = |id: &CellId| own.contains(id);
        let mut cells: BTreeMap<CellId, Vec<OutcomeKind>> = BTreeMap::new();
        let mut decided: BTreeMap<CheckName, Seen> = BTreeMap::new();
        for summary in earlier.runs() {
            let when = (summary.started, summary.run.clone());
            for cell in summary.cells.iter().filter(|c| ours(&c.id)) {
                cells.entry(cell.id.clone()).or_default().push(match verdict(cell) {
                    Some(true) => OutcomeKind::Passed,
                    Some(false) => OutcomeKind::Failed,
                    None => OutcomeKind::Inconclusive,
                });
            }
            let subjects = || summary.cells.iter().flat_map(|c| &c.subjects);
            let checks: BTreeSet<&CheckName> = subjects().filter_map(|s| s.check.as_ref()).collect();
            for check in checks {
                let seen = decided.entry(check.clone()).or_insert_with(|| Seen {
                    runs: 0,
                    first: when.clone(),
                    last: when.clone(),
                });
                seen.runs += 1;
                seen.last = when.clone();
            }
        }
        cells.values_mut().for_each(|strip| drop(strip.drain(..strip.len().saturating_sub(LATELY))));
        let night = earlier.last_green();
        let mut all: Vec<RunSummary> = earlier.runs().to_vec();
        all.extend(RunSummary::of(run));
        Some(Self {
            runs: earlier.runs().len(),
            at: header.started,
            run: header.run.clone(),
            last_green: (!night.is_empty()).then(|| Earlier::last_green(&night)),
            records: records(&earlier, header.started)
                .into_iter()
                .filter(|r| ours(&r.cell))
                .map(|r| ((r.cell.clone(), r.subject.clone()), r))
                .collect(),
            cells,
            decided,
            pairs: coverage(&History::new(all), matrix, 2),
        })
    }

    /// Pairs that were green at some time, this run included.
    #[must_use]
    pub fn green(&self) -> usize {
        self.pairs.iter().filter(|p| p.last_green.is_some()).count()
    }

    /// Whole days from a moment to the run.
    #[must_use]
    pub fn days(&self, at: Timestamp) -> i64 {
        (self.at.as_second() - at.as_second()).max(0) / 86_400
    }
}
