//! Everything that is not green, grouped: the same trouble in five cells is one cause with five places.

use std::collections::{HashMap, HashSet};

use gsh_model::axis::{AxisName, CellId};
use gsh_model::outcome::{Finding, Outcome, Subject, Why};
use gsh_model::run::RunState;

/// One trouble and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `product`, `environment`, `harness`, `stopped`, `never ran`.
    pub blame: String,
    /// What was seen, in the first place.
    pub finding: Finding,
    /// Where.
    pub places: Vec<(CellId, Subject)>,
    /// How many subjects could not run because of it.
    pub blocked: usize,
}

/// The causes of a run: product first, then by the number of places.
#[must_use]
pub fn causes(run: &RunState) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    let mut known: HashMap<(String, String, String), usize> = HashMap::new();
    for cell in &run.cells {
        let mut here: HashMap<&Subject, usize> = HashMap::new();
        for state in &cell.subjects {
            let (blame, finding) = match state.outcome() {
                Outcome::Failed(finding) => ("product".to_owned(), finding),
                Outcome::Inconclusive { why: Why::BlockedBy(by), .. } => {
                    if let Some(cause) = here.get(&by) {
                        causes[*cause].blocked += 1;
                    }
                    continue;
                }
                Outcome::Inconclusive { why, finding } => (why.to_string(), finding),
                Outcome::Passed | Outcome::Skipped(_) => continue,
            };
            let key = (blame.clone(), finding.check.to_string(), shape(&finding.observed));
            let at = *known.entry(key).or_insert_with(|| {
                causes.push(Cause { blame, finding, places: Vec::new(), blocked: 0 });
                causes.len() - 1
            });
            causes[at].places.push((cell.id.clone(), state.subject.clone()));
            here.insert(&state.subject, at);
        }
    }
    let rank = |c: &Cause| (c.blame != "product", std::cmp::Reverse(c.places.len() + c.blocked));
    causes.sort_by_key(rank);
    causes
}

/// A text without what differs between two sights of the same trouble: numbers, and with them the names of leases,
/// addresses and times.
fn shape(observed: &str) -> String {
    observed.chars().take(4096).filter(|c| !c.is_ascii_digit()).collect()
}

/// The axis values that all places of a cause share and that not every planned cell has: where to look first. Empty when
/// the cause is everywhere, or in places that share nothing.
#[must_use]
pub fn shared(run: &RunState, cause: &Cause) -> Vec<(AxisName, String)> {
    let Some(plan) = &run.plan else { return Vec::new() };
    let places: HashSet<&CellId> = cause.places.iter().map(|(cell, _)| cell).collect();
    let struck: Vec<_> = plan.cells.iter().filter(|c| places.contains(&c.id)).collect();
    let Some(first) = struck.first() else { return Vec::new() };
    AxisName::CELL
        .into_iter()
        .map(|axis| (axis, first.cell.get(axis)))
        .filter(|(axis, value)| {
            struck.iter().all(|c| c.cell.get(*axis) == *value) && plan.cells.iter().any(|c| c.cell.get(*axis) != *value)
        })
        .collect()
}
