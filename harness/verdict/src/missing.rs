//! Which cells could be run for the evidence that is missing, and what that would cost.

use gsh_model::axis::Cell;
use gsh_model::budget::Shape;

use crate::coverage::Space;
use crate::facts::{Facts, Place, Standing};
use crate::gate::Case;
use crate::verdict::Missing;

/// Most cells that are named for missing coverage.
const MOST: usize = 100;

/// The cells, in plan order; then those that complete the coverage.
pub(crate) fn cells(case: &Case<'_>, facts: &Facts<'_>) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut have: Vec<&Cell> = facts.proven();
    for (planned, _) in &facts.cells {
        let open: Vec<String> = facts
            .blocking()
            .filter(|p| p.planned.id == planned.id && is_open(p))
            .map(|p| p.subject.to_string())
            .collect();
        if !open.is_empty() {
            have.push(&planned.cell);
            missing.push(named(case, &planned.cell, planned.servers, format!("no result for {}", open.join(", "))));
        }
    }
    let wanted = case.policy.require.coverage;
    if let (Some(matrix), true) = (case.matrix, wanted.ratio.0 > 0.0) {
        let space = Space::new(matrix, wanted.t);
        for (cell, gain) in space.completing(have, MOST) {
            let what = if gain == 1 { "combination" } else { "combinations" };
            missing.push(named(
                case,
                &cell,
                Shape::of(&cell, &matrix.stores.serve(&cell), false).servers(),
                format!("{gain} {what} that no cell proves"),
            ));
        }
    }
    missing
}

/// Whether running it again could tell more: a failure is an answer.
fn is_open(place: &Place<'_>) -> bool {
    match place.standing {
        Standing::Unclear(_) | Standing::NotRun(_) => place.waiver.is_none(),
        Standing::Passed | Standing::Flaky | Standing::Failed(_) | Standing::Skipped => false,
    }
}

fn named(case: &Case<'_>, cell: &Cell, servers: u32, why: String) -> Missing {
    let cost = (case.cost)(cell);
    Missing { cell: cell.id(), why, servers, cents: cost.cents, minutes: cost.minutes }
}
