//! Several runs of one plan as one: the shards of a night, and repetitions of a shard.
//!
//! The denominator is the plan. A shard whose record is not there leaves its cells behind with the outcome "shard
//! missing", never with silence. The result does not depend on the order in which the runs are given.

use std::collections::BTreeMap;

use crate::budget::Euros;
use crate::input;
use crate::lease::RunId;
use crate::outcome::Evidence;
use crate::plan::Plan;
use crate::run::{Attempt, CellState, RunHeader, RunState, SubjectState};
use crate::shard::ShardId;

/// Runs that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// No run at all.
    #[error("there is no run to merge")]
    Nothing,
    /// A record that ends before its plan.
    #[error("the record of {} ends before its plan; it cannot be merged with others", run.as_ref().map_or_else(|| "a run without a name".to_owned(), |r| format!("run `{r}`")))]
    NotPlanned {
        /// The run, where even that is known.
        run: Option<RunId>,
    },
    /// Runs of different plans.
    #[error("runs `{one}` and `{other}` are not of one plan: {one_has}, {other_has}")]
    MixedPlans {
        /// A run.
        one: RunId,
        /// Another one.
        other: RunId,
        /// What the first one was planned from.
        one_has: String,
        /// What the other one was planned from.
        other_has: String,
    },
    /// Runs of one plan that differ in what else went in.
    #[error("runs `{one}` and `{other}` cannot be merged: they differ in {what} ({one_has}, {other_has})")]
    Mixed {
        /// A run.
        one: RunId,
        /// Another one.
        other: RunId,
        /// In what they differ.
        what: String,
        /// What the first one has.
        one_has: String,
        /// What the other one has.
        other_has: String,
    },
    /// Two different records under one name.
    #[error("run `{run}` is given twice, with different records")]
    Twice {
        /// The run.
        run: RunId,
    },
}

/// One run among those to be merged.
struct Part {
    header: RunHeader,
    plan: Plan,
    state: RunState,
}

/// Makes one run of several runs of one plan.
///
/// A single run that is not a shard comes back as it is. Runs of the same cells become attempts, in the order in which
/// they began.
///
/// # Errors
/// [`MergeError`] when the runs do not belong together.
pub fn merge(runs: Vec<RunState>) -> Result<RunState, MergeError> {
    let mut parts: Vec<Part> = Vec::new();
    for state in runs {
        let (Some(header), Some(plan)) = (state.header.clone(), state.plan.clone()) else {
            return Err(MergeError::NotPlanned { run: state.header.map(|h| h.run) });
        };
        match parts.iter().find(|p| p.header.run == header.run) {
            Some(known) if known.state == state => {}
            Some(_) => return Err(MergeError::Twice { run: header.run }),
            None => parts.push(Part { header, plan, state }),
        }
    }
    parts.sort_by(|a, b| (a.header.started, &a.header.run).cmp(&(b.header.started, &b.header.run)));
    let Some(first) = parts.first() else { return Err(MergeError::Nothing) };
    for other in &parts[1..] {
        belong_together(first, other)?;
    }
    if parts.len() == 1 && first.plan.shard.is_none() {
        return Ok(parts.remove(0).state);
    }
    Ok(merged(&parts, first))
}

fn belong_together(one: &Part, other: &Part) -> Result<(), MergeError> {
    let (a, b) = (&one.header, &other.header);
    if one.plan.digest() != other.plan.digest() {
        let has = |part: &Part| {
            let matrix = part.plan.matrix_sha256.get(..12).unwrap_or_default();
            format!("plan {} of {} cells from matrix {matrix}", &part.plan.digest()[..12], part.plan.cells.len())
        };
        return Err(MergeError::MixedPlans {
            one: a.run.clone(),
            other: b.run.clone(),
            one_has: has(one),
            other_has: has(other),
        });
    }
    let differ = |what: &str, one_has: String, other_has: String| {
        if one_has == other_has {
            return Ok(());
        }
        Err(MergeError::Mixed { one: a.run.clone(), other: b.run.clone(), what: what.to_owned(), one_has, other_has })
    };
    differ("the version of gsh", a.version.clone(), b.version.clone())?;
    differ("how real they are", Evidence::to_string(&a.evidence), Evidence::to_string(&b.evidence))?;
    differ("the provider", a.provider.clone(), b.provider.clone())?;
    let (a_inputs, b_inputs) = (input::by_name(&a.inputs), input::by_name(&b.inputs));
    for name in a_inputs.keys().chain(b_inputs.keys()) {
        let of = |inputs: &BTreeMap<String, String>| inputs.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        differ(&format!("the digest of `{name}`"), of(&a_inputs), of(&b_inputs))?;
    }
    Ok(())
}

fn merged(parts: &[Part], first: &Part) -> RunState {
    let plan = Plan { shard: None, ..first.plan.clone() };
    let cells = plan
        .cells
        .iter()
        .map(|planned| {
            let mut records = parts.iter().filter_map(|p| p.state.cell(&planned.id).cloned());
            match records.next() {
                Some(oldest) => records.fold(oldest, with_later),
                None => {
                    let shard = plan.shards.iter().find(|s| s.cells.contains(&planned.id)).map(|s| s.id);
                    absent(CellState::planned(planned), shard)
                }
            }
        })
        .collect();
    let mut notes: Vec<String> = Vec::new();
    for note in parts.iter().flat_map(|p| &p.state.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    // A part that leased something and took no inventory leaves the emptiness of the account unproved.
    let unproved = |p: &Part| p.state.inventory.is_none() && p.state.cells.iter().any(|c| !c.leases.is_empty());
    let taken = parts.iter().any(|p| p.state.inventory.is_some()) && !parts.iter().any(unproved);
    let mut left = Vec::new();
    for resource in parts.iter().flat_map(|p| p.state.inventory.iter().flatten()) {
        if !left.contains(resource) {
            left.push(resource.clone());
        }
    }
    let all_finished = parts.iter().all(|p| p.state.finished.is_some());
    RunState {
        last_seq: parts.iter().map(|p| p.state.last_seq).sum(),
        header: Some(first.header.clone()),
        plan: Some(plan),
        cells,
        // Every part kept its own cap; together they were allowed the sum.
        budget: parts.iter().map(|p| p.state.budget).sum::<Option<Euros>>(),
        resumed: parts.iter().flat_map(|p| p.state.resumed.clone()).collect(),
        notes,
        stops: parts.iter().flat_map(|p| p.state.stops.clone()).collect(),
        inventory: taken.then_some(left),
        finished: parts.iter().filter_map(|p| p.state.finished).max().filter(|_| all_finished),
        last_at: parts.iter().filter_map(|p| p.state.last_at).max(),
        parts: parts.iter().map(|p| p.header.clone()).collect(),
    }
}

/// A cell that nobody has a record of.
fn absent(mut cell: CellState, shard: Option<ShardId>) -> CellState {
    for subject in &mut cell.subjects {
        subject.missing = shard;
    }
    cell
}

/// A cell that a later run examined again.
fn with_later(mut all: CellState, later: CellState) -> CellState {
    all.phase = later.phase;
    all.leases.extend(later.leases);
    all.leases.sort_by_key(|l| l.requested);
    all.notes.extend(later.notes);
    // Both come from one plan, so they have the same subjects in the same order.
    for (known, subject) in all.subjects.iter_mut().zip(later.subjects) {
        known.attempts.extend(subject.attempts);
        renumber(known);
    }
    all
}

fn renumber(subject: &mut SubjectState) {
    subject.attempts.sort_by_key(|a: &Attempt| a.started);
    for (attempt, number) in subject.attempts.iter_mut().zip(1..) {
        attempt.number = number;
    }
}

impl RunState {
    /// The shards of the plan of which there is no record; only ever some in a merged run.
    #[must_use]
    pub fn missing_shards(&self) -> Vec<ShardId> {
        let mut missing: Vec<ShardId> = self.cells.iter().flat_map(|c| &c.subjects).filter_map(|s| s.missing).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}
