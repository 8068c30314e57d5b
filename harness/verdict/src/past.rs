//! What earlier runs said, as much as the gate needs of it.

use std::collections::BTreeMap;

use gsh_model::axis::CellId;
use gsh_model::history::RunSummary;
use gsh_model::input;
use gsh_model::lease::RunId;
use gsh_model::outcome::{Evidence, OutcomeKind, Subject};
use gsh_model::run::RunState;
use jiff::Timestamp;

/// One word for a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Passed, perhaps on the second try.
    Passed,
    /// The product failed.
    Failed,
    /// Nobody can tell.
    Unclear,
}

/// An earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Which.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// How real it was.
    pub evidence: Evidence,
    /// What it was made from, as [`input::by_name`] says it.
    pub inputs: BTreeMap<String, String>,
    /// Its results; what its plan skipped is left out.
    pub results: Vec<(CellId, Subject, Grade)>,
}

impl Grade {
    /// Of an outcome; nothing for what the plan left out.
    fn of(kind: OutcomeKind) -> Option<Self> {
        match kind {
            OutcomeKind::Passed => Some(Self::Passed),
            OutcomeKind::Failed => Some(Self::Failed),
            OutcomeKind::Inconclusive => Some(Self::Unclear),
            OutcomeKind::Skipped => None,
        }
    }
}

impl Past {
    /// A run of the history.
    #[must_use]
    pub fn of_summary(summary: &RunSummary) -> Self {
        let subjects = summary.cells.iter().flat_map(|c| c.subjects.iter().map(move |s| (&c.id, s)));
        let results =
            subjects.filter_map(|(cell, s)| Grade::of(s.outcome).map(|g| (cell.clone(), s.subject.clone(), g)));
        Self {
            run: summary.run.clone(),
            started: summary.started,
            evidence: summary.evidence,
            // A summary also names the plan; two plans may examine the same subject.
            inputs: summary.inputs.iter().filter(|(k, _)| *k != "plan").map(|(k, v)| (k.clone(), v.clone())).collect(),
            results: results.collect(),
        }
    }

    /// The results of a recorded run; nothing where it never started.
    #[must_use]
    pub fn of(run: &RunState) -> Option<Self> {
        let header = run.header.as_ref()?;
        let results = run.outcomes().filter_map(|(cell, subject, outcome)| {
            Grade::of(outcome.kind()).map(|grade| (cell.clone(), subject.clone(), grade))
        });
        Some(Self {
            run: header.run.clone(),
            started: header.started,
            evidence: header.evidence,
            inputs: input::by_name(&header.inputs),
            results: results.collect(),
        })
    }
}

/// Lower bound of the two-sided 95 % Wilson interval of `passed` out of `all`.
#[must_use]
pub fn wilson_lower(passed: u32, all: u32) -> f64 {
    if all == 0 {
        return 0.0;
    }
    const Z: f64 = 1.959_964;
    let (n, p) = (f64::from(all), f64::from(passed) / f64::from(all));
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half) / (1.0 + Z * Z / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_the_published_bounds() {
        for (passed, all, lower) in
            [(1, 1, 0.207), (3, 3, 0.439), (10, 10, 0.722), (100, 100, 0.963), (9, 10, 0.596), (48, 50, 0.865)]
        {
            assert!((wilson_lower(passed, all) - lower).abs() < 0.001, "{passed}/{all}");
        }
        assert!(wilson_lower(0, 0).abs() < f64::EPSILON);
    }
}
