//! Everything that is not green, grouped: the same trouble in five cells is one cause with five places.

use gsh_model::axis::CellId;
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
    for (cell, subject, outcome) in run.outcomes() {
        let (blame, finding) = match outcome {
            Outcome::Failed(finding) => ("product".to_owned(), finding),
            Outcome::Inconclusive { why: Why::BlockedBy(by), .. } => {
                let blocking = causes.iter_mut().find(|c| c.places.contains(&(cell.clone(), by.clone())));
                if let Some(cause) = blocking {
                    cause.blocked += 1;
                }
                continue;
            }
            Outcome::Inconclusive { why, finding } => (why.to_string(), finding),
            Outcome::Passed | Outcome::Skipped(_) => continue,
        };
        let place = (cell.clone(), subject.clone());
        let same = |c: &&mut Cause| c.blame == blame && c.finding.check == finding.check && alike(&c.finding, &finding);
        match causes.iter_mut().find(same) {
            Some(known) => known.places.push(place),
            None => causes.push(Cause { blame, finding, places: vec![place], blocked: 0 }),
        }
    }
    let rank = |c: &Cause| (c.blame != "product", std::cmp::Reverse(c.places.len() + c.blocked));
    causes.sort_by_key(rank);
    causes
}

/// The same trouble but for numbers and the names of leases.
fn alike(a: &Finding, b: &Finding) -> bool {
    let shape = |f: &Finding| -> String { f.observed.chars().filter(|c| !c.is_ascii_digit()).collect() };
    shape(a) == shape(b)
}
