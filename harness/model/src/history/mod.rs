//! What earlier runs have shown: a folder of small files, one for each run, folded into answers.
//!
//! Reading and writing the folder is the command line's business; here are the shape of a file and what follows from
//! many of them.

use jiff::Timestamp;

use crate::lease::RunId;
use crate::outcome::Evidence;

mod coverage;
mod durations;
mod flakes;
mod last_green;
pub mod stats;
mod summary;

pub(crate) use coverage::Memory;
pub use coverage::{Covered, Seen, coverage, verdict};
pub(crate) use durations::Expectations;
pub use durations::Forecast;
pub use flakes::{Class, Record, WINDOW_DAYS, WINDOW_RUNS, records};
pub use summary::{AttemptSummary, BadSummary, CellSummary, RunSummary, SCHEMA, SubjectSummary};

/// Every run that was recorded, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    runs: Vec<RunSummary>,
}

impl History {
    /// Puts runs in order. Of several summaries of one run the one with most events counts: a run may be summed up while it
    /// is resumed, and again when it has ended.
    #[must_use]
    pub fn new(mut runs: Vec<RunSummary>) -> Self {
        runs.sort_by(|a, b| (a.started, &a.run, a.events).cmp(&(b.started, &b.run, b.events)));
        let mut latest: Vec<RunSummary> = Vec::new();
        for run in runs {
            match latest.last_mut().filter(|l| l.run == run.run) {
                Some(last) => *last = run,
                None => latest.push(run),
            }
        }
        Self { runs: latest }
    }

    /// Only runs that were at least this real.
    #[must_use]
    pub fn at_least(mut self, evidence: Evidence) -> Self {
        self.runs.retain(|r| r.evidence >= evidence);
        self
    }

    /// Only runs that began before a moment.
    #[must_use]
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.runs.retain(|r| r.started < moment);
        self
    }

    /// The runs, oldest first.
    #[must_use]
    pub fn runs(&self) -> &[RunSummary] {
        &self.runs
    }

    /// One run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&RunSummary> {
        self.runs.iter().find(|r| r.run == *id)
    }
}
