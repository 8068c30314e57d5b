//! How long a run will still take, from what the same subjects took in it so far.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use gsh_model::outcome::Subject;
use gsh_model::run::{CellPhase, CellState, RunState};
use jiff::Timestamp;

/// Milliseconds from the last recorded event to the end, as far as anything is known; `None` before the first subject of
/// the run has ended, where the plan expects nothing either.
///
/// As many cells as are at work now are taken to be at work to the end, the longest first.
#[must_use]
pub fn remaining(run: &RunState) -> Option<u64> {
    let now = run.last_at?;
    let mut took: BTreeMap<&Subject, (u64, u64)> = BTreeMap::new();
    let mut pace = Pace::default();
    for cell in &run.cells {
        let share = share(run, cell);
        for subject in &cell.subjects {
            for attempt in subject.attempts.iter().filter(|a| a.finished.is_some()) {
                let (sum, count) = took.entry(&subject.subject).or_default();
                *sum += attempt.took_ms;
                *count += 1;
                pace.took += attempt.took_ms;
                pace.expected += share.unwrap_or(0);
            }
        }
    }
    let means: BTreeMap<&Subject, u64> =
        took.into_iter().map(|(subject, (sum, count))| (subject, sum / count)).collect();
    let overall = means.values().sum::<u64>().checked_div(means.len() as u64);
    let mut lanes: Vec<u64> = Vec::new();
    let mut waiting: Vec<u64> = Vec::new();
    for cell in &run.cells {
        let left = of_cell(run, cell, &means, overall, pace, now)?;
        match cell.phase {
            CellPhase::Done => {}
            CellPhase::Planned => waiting.push(left),
            CellPhase::Provisioning | CellPhase::Installing | CellPhase::Examining | CellPhase::Releasing => {
                lanes.push(left)
            }
        }
    }
    if lanes.is_empty() {
        lanes.push(0);
    }
    waiting.sort_by_key(|left| Reverse(*left));
    for left in waiting {
        if let Some(lane) = lanes.iter_mut().min() {
            *lane += left;
        }
    }
    lanes.into_iter().max()
}

/// How what took place compares with what was expected of it: what is still to come is expected to go on like that.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    took: u64,
    expected: u64,
}

impl Pace {
    fn of(self, expected: u64) -> u64 {
        match self.expected {
            0 => expected,
            all => u64::try_from(u128::from(expected) * u128::from(self.took) / u128::from(all)).unwrap_or(expected),
        }
    }
}

/// What the plan expects of one subject of a cell.
fn share(run: &RunState, cell: &CellState) -> Option<u64> {
    let expected = run.plan.as_ref().and_then(|p| p.cell(&cell.id)).and_then(|p| p.expected_s)?;
    Some(expected * 1000 / cell.subjects.len().max(1) as u64)
}

/// What a cell still needs: of each subject what it took elsewhere in this run, else what the plan expects of it.
fn of_cell(
    run: &RunState,
    cell: &CellState,
    means: &BTreeMap<&Subject, u64>,
    overall: Option<u64>,
    pace: Pace,
    now: Timestamp,
) -> Option<u64> {
    let share = share(run, cell).map(|share| pace.of(share));
    let mut left = 0;
    for subject in cell.subjects.iter().filter(|s| !s.is_settled()) {
        let whole = means.get(&subject.subject).copied().or(share).or(overall)?;
        let gone = subject.attempts.last().map_or(0, |a| now.as_millisecond() - a.started.as_millisecond());
        left += whole.saturating_sub(u64::try_from(gone).unwrap_or(0));
    }
    Some(left)
}
