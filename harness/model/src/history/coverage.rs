//! Which combination of values was last green when, on which release, with which templates.

use jiff::Timestamp;
use serde::Serialize;

use super::{CellSummary, History, RunSummary};
use crate::axis::AxisName;
use crate::cover::space::{Space, sift};
use crate::cover::tuples::Tuples;
use crate::lease::RunId;
use crate::matrix::Matrix;
use crate::outcome::{OutcomeKind, Subject};
use crate::tuple::Tuple;

/// One result of a cell with a combination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// When its run began.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// Release of Gitpod.
    pub release: String,
    /// What the machines were made from, by digest, where that is not gsh's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// What is known of one combination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// The combination.
    pub tuple: Tuple,
    /// The last time that everything passed in a cell with it.
    pub last_green: Option<Seen>,
    /// The last time that the product failed in a cell with it.
    pub last_red: Option<Seen>,
    /// Green results.
    pub green: u32,
    /// Red results.
    pub red: u32,
}

impl Covered {
    /// Whether the last conclusive result was red.
    #[must_use]
    pub fn is_red(&self) -> bool {
        match (&self.last_green, &self.last_red) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(green), Some(red)) => red.at > green.at,
        }
    }
}

/// What came of a cell as a whole: passed when everything before its removal passed and at least one scenario did; nothing
/// when that cannot be told.
#[must_use]
pub fn verdict(cell: &CellSummary) -> Option<bool> {
    let examined = |s: &&super::SubjectSummary| s.subject != Subject::Teardown && s.outcome != OutcomeKind::Skipped;
    if cell.subjects.iter().any(|s| s.outcome == OutcomeKind::Failed) {
        return Some(false);
    }
    let all_passed = cell.subjects.iter().filter(examined).all(|s| s.outcome == OutcomeKind::Passed);
    let scenario_passed =
        cell.subjects.iter().any(|s| matches!(s.subject, Subject::Scenario(_)) && s.outcome == OutcomeKind::Passed);
    (all_passed && scenario_passed).then_some(true)
}

/// What the history knows of every combination, by its number.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) last_green: Vec<Option<Timestamp>>,
    pub(crate) last_red: Vec<Option<Timestamp>>,
}

impl Memory {
    pub(crate) fn of(history: &History, space: &Space, tuples: &Tuples) -> Self {
        let size = tuples.feasible.len();
        let mut memory = Self { last_green: vec![None; size], last_red: vec![None; size] };
        each(history, space, tuples, |code, passed, run, _| {
            let slot = if passed { &mut memory.last_green } else { &mut memory.last_red };
            slot[code as usize] = slot[code as usize].max(Some(run.started));
        });
        memory
    }
}

/// Calls back for each combination of each conclusive cell, oldest run first. A cell counts also where one of its values has
/// left the matrix since: the combinations of those that stayed were seen all the same.
fn each(history: &History, space: &Space, tuples: &Tuples, mut seen: impl FnMut(u32, bool, &RunSummary, &CellSummary)) {
    for run in history.runs() {
        for cell in &run.cells {
            let Some(passed) = verdict(cell) else { continue };
            let row: Vec<Option<u8>> = AxisName::CELL
                .iter()
                .enumerate()
                .map(|(a, axis)| {
                    let value = cell.axes.get(*axis);
                    (0..space.width(a)).filter_map(|v| u8::try_from(v).ok()).find(|v| space.value(a, *v) == value)
                })
                .collect();
            for code in tuples.known_codes(&row).filter(|c| tuples.feasible[*c as usize]) {
                seen(code, passed, run, cell);
            }
        }
    }
}

/// What the history says of every combination that a matrix can have, never green first, then the stalest.
#[must_use]
pub fn coverage(history: &History, matrix: &Matrix, strength: usize) -> Vec<Covered> {
    let space = sift(matrix, |_| true).space;
    let tuples = Tuples::new(&space, strength);
    let mut all: Vec<Option<Covered>> = (0..)
        .zip(&tuples.feasible)
        .map(|(code, feasible)| {
            feasible.then(|| Covered {
                tuple: tuples.tuple(&space, code),
                last_green: None,
                last_red: None,
                green: 0,
                red: 0,
            })
        })
        .collect();
    each(history, &space, &tuples, |code, passed, run, cell| {
        let Some(covered) = &mut all[code as usize] else { return };
        let now = Seen {
            at: run.started,
            run: run.run.clone(),
            release: RunSummary::release(cell),
            template: run.inputs.iter().find(|(name, _)| name.starts_with("template")).map(|(_, d)| d.clone()),
        };
        let (count, last) = if passed {
            (&mut covered.green, &mut covered.last_green)
        } else {
            (&mut covered.red, &mut covered.last_red)
        };
        *count += 1;
        *last = Some(now);
    });
    let mut all: Vec<Covered> = all.into_iter().flatten().collect();
    all.sort_by(|a, b| {
        let key = |c: &Covered| c.last_green.as_ref().map(|s| s.at);
        (key(a), &a.tuple).cmp(&(key(b), &b.tuple))
    });
    all
}
