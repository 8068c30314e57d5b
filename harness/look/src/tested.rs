//! Which tested combination an installation is, by what earlier runs have shown.

use gsh_model::axis::{AxisName, Cell};
use gsh_model::history::{CellSummary, RunSummary};
use gsh_model::lease::RunId;
use gsh_model::outcome::{Evidence, OutcomeKind, Subject};
use jiff::Timestamp;

use crate::found::Found;

/// A run in which a combination passed, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub at: Timestamp,
    /// How real it was.
    pub evidence: Evidence,
}

/// An axis that differs, and its values here and there.
pub type Difference = (AxisName, String, String);

/// What earlier runs have shown of a combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    /// Exactly this one has passed, last in this run.
    Passed {
        /// The last run in which it passed.
        last: Proof,
        /// A later run in which it did not.
        failed_since: Option<Proof>,
    },
    /// Exactly this one was tried and has never passed.
    NeverPassed(Proof),
    /// Another one passed that differs in these axes: axis, here, there.
    Nearest {
        /// The last run in which that one passed.
        last: Proof,
        /// What differs.
        differing: Vec<Difference>,
    },
    /// Nothing was ever tested, or nothing ever passed.
    Untested,
}

/// Compares an installation with everything that was tested, on those axes that looking told.
#[must_use]
pub fn of(found: &Found, history: &[RunSummary]) -> Tested {
    let here = found.cell();
    let told: Vec<AxisName> = found.axes.iter().filter(|(_, k)| k.value.is_some()).map(|(a, _)| *a).collect();
    let mut runs: Vec<&RunSummary> = history.iter().collect();
    runs.sort_by_key(|r| r.started);
    let (mut passed, mut failed): (Option<Proof>, Option<Proof>) = (None, None);
    let mut nearest: Option<(usize, Proof, Vec<Difference>)> = None;
    for run in runs {
        for cell in &run.cells {
            let differing = differing(&here, &cell.axes, &told);
            let proof = || Proof { run: run.run.clone(), at: run.started, evidence: run.evidence };
            match (differing.is_empty(), has_passed(cell)) {
                (true, true) => (passed, failed) = (Some(proof()), None),
                (true, false) => failed = Some(proof()),
                // Later ones take the place of equally near ones.
                (false, true) if nearest.as_ref().is_none_or(|(n, ..)| differing.len() <= *n) => {
                    nearest = Some((differing.len(), proof(), differing));
                }
                (false, _) => {}
            }
        }
    }
    match (passed, failed, nearest) {
        (Some(last), failed_since, _) => Tested::Passed { last, failed_since },
        (None, Some(failed), _) => Tested::NeverPassed(failed),
        (None, None, Some((_, last, differing))) => Tested::Nearest { last, differing },
        (None, None, None) => Tested::Untested,
    }
}

fn differing(here: &Cell, there: &Cell, told: &[AxisName]) -> Vec<Difference> {
    told.iter().map(|a| (*a, here.get(*a), there.get(*a))).filter(|(_, here, there)| here != there).collect()
}

/// A cell has passed when something was examined in it and nothing of it was red or unclear.
fn has_passed(cell: &CellSummary) -> bool {
    let good = |o: OutcomeKind| matches!(o, OutcomeKind::Passed | OutcomeKind::Skipped);
    let examined =
        cell.subjects.iter().any(|s| matches!(s.subject, Subject::Scenario(_)) && s.outcome == OutcomeKind::Passed);
    examined && cell.subjects.iter().all(|s| good(s.outcome))
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {} of {} (evidence {})", self.run, self.at.strftime("%Y-%m-%d"), self.evidence)
    }
}

impl std::fmt::Display for Tested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed { last, failed_since: None } => write!(f, "exactly this combination last passed in {last}"),
            Self::Passed { last, failed_since: Some(later) } => {
                write!(f, "exactly this combination passed in {last}, but no longer in {later}")
            }
            Self::NeverPassed(last) => {
                write!(f, "exactly this combination was tested and has never passed, last in {last}")
            }
            Self::Nearest { last, differing } => {
                write!(f, "this combination is untested; the nearest that passed, in {last}, differs:")?;
                for (axis, here, there) in differing {
                    write!(f, " {axis} is {here}, there {there};")?;
                }
                Ok(())
            }
            Self::Untested => f.write_str("this combination is untested, and so is every other: no run has passed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gsh_model::axis::{Shift, Storage};
    use gsh_model::history::{SCHEMA, SubjectSummary};
    use gsh_model::scenario::ScenarioId;

    use super::*;
    use crate::found::Known;

    fn found(cell: &Cell, untold: AxisName) -> Found {
        let known = |value: Option<String>| Known { value, how: String::new() };
        let axes = cell.axes().into_iter().map(|(a, v)| (a, known((a != untold).then_some(v)))).collect();
        Found { namespace: "gitpod".to_owned(), domain: known(None), version: known(None), axes }
    }

    fn run(day: u32, cell: &Cell, outcome: OutcomeKind) -> RunSummary {
        let subject =
            |subject, outcome| SubjectSummary { subject, outcome, why: None, check: None, attempts: Vec::new() };
        let started: Timestamp = format!("2026-11-{day:02}T03:00:00Z").parse().expect("a time");
        RunSummary {
            schema: SCHEMA.to_owned(),
            run: format!("r2026{day}").parse().expect("a run id"),
            started,
            finished: Some(started),
            events: 1,
            evidence: Evidence::Emulated,
            version: "0".to_owned(),
            provider: "embedded".to_owned(),
            shard: None,
            shards: Vec::new(),
            inputs: BTreeMap::new(),
            scenarios: BTreeMap::new(),
            exit: 0,
            cells: vec![CellSummary {
                id: cell.id(),
                axes: cell.clone(),
                servers: 1,
                took_s: 1,
                cost: None,
                subjects: vec![
                    subject(Subject::Install, OutcomeKind::Passed),
                    subject(Subject::Scenario(ScenarioId::of("workspace-start")), outcome),
                ],
            }],
        }
    }

    fn says(history: &[RunSummary]) -> String {
        of(&found(&Cell::default(), AxisName::Template), history).to_string()
    }

    #[test]
    fn the_last_pass_of_exactly_this_combination_is_named() {
        let this = Cell::default();
        let passes = [run(3, &this, OutcomeKind::Passed), run(1, &this, OutcomeKind::Passed)];
        assert_eq!(
            says(&passes),
            "exactly this combination last passed in run r20263 of 2026-11-03 (evidence emulated)"
        );
        let later = [passes.as_slice(), &[run(5, &this, OutcomeKind::Failed)]].concat();
        assert!(says(&later).ends_with("but no longer in run r20265 of 2026-11-05 (evidence emulated)"));
        assert!(says(&[run(2, &this, OutcomeKind::Failed)]).contains("has never passed"));
    }

    #[test]
    fn an_axis_that_cannot_be_told_makes_no_difference() {
        let mut cell = Cell::default();
        cell.set(AxisName::Template, "community").expect("a value");
        assert!(says(&[run(1, &cell, OutcomeKind::Passed)]).starts_with("exactly this combination last passed"));
    }

    #[test]
    fn else_the_nearest_that_passed_and_what_differs() {
        let near = Cell { storage: Storage::S3, ..Cell::default() };
        let far = Cell { shift: Shift::Shiftfs, storage: Storage::S3, ..Cell::default() };
        let history = [run(1, &near, OutcomeKind::Passed), run(2, &far, OutcomeKind::Passed)];
        assert_eq!(
            says(&history),
            "this combination is untested; the nearest that passed, in run r20261 of 2026-11-01 (evidence emulated), differs: \
             storage is incluster, there s3;"
        );
        assert!(says(&[run(1, &near, OutcomeKind::Skipped)]).starts_with("this combination is untested, and so"));
        assert!(says(&[]).starts_with("this combination is untested, and so"));
    }
}
