//! Writes down what becomes of the subjects of one cell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gsh_model::axis::CellId;
use gsh_model::event::EventKind;
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::plan::{PlannedCell, PlannedScenario};
use gsh_model::run::{CellState, SubjectState};

use crate::cx::{Cx, Place};
use crate::failure::Failure;

/// How work on a lease ended.
pub(crate) struct End {
    /// Everything passed.
    pub(crate) green: bool,
    /// The environment was at fault before anything was examined.
    pub(crate) retry: bool,
}

/// Writes down what becomes of the subjects of one cell, and knows which are not settled yet.
#[derive(Clone)]
pub(crate) struct Scribe {
    /// Of the lease at hand.
    pub(crate) cx: Cx,
    cell: CellId,
    subjects: Arc<Mutex<BTreeMap<Subject, Written>>>,
}

#[derive(Debug, Clone, Default)]
struct Written {
    attempts: u32,
    open: bool,
    outcome: Option<Outcome>,
}

impl Scribe {
    /// Begins where a process that died has stopped. What it was at is not settled and gets a further attempt.
    pub(crate) fn new(cx: Cx, planned: &PlannedCell, before: &CellState) -> Self {
        let known = |s: &SubjectState| {
            let attempts = u32::try_from(s.attempts.len()).unwrap_or(u32::MAX);
            let outcome = (s.is_settled() && attempts > 0).then(|| s.outcome());
            (s.subject.clone(), Written { attempts, open: false, outcome })
        };
        let subjects = before.subjects.iter().map(known).collect();
        Self { cx, cell: planned.id.clone(), subjects: Arc::new(Mutex::new(subjects)) }
    }

    /// What is known of a subject that is settled.
    pub(crate) fn outcome(&self, subject: &Subject) -> Option<Outcome> {
        self.with(subject, |w| w.outcome.clone())
    }

    /// Whether something is left to examine that a cluster is needed for.
    pub(crate) fn wants_a_cluster(&self, planned: &PlannedCell, fail_fast: bool) -> bool {
        // The environment's trouble is tried again as long as attempts are left; anything else has settled the cell.
        let ends_the_cell = |s: &Subject| match self.outcome(s) {
            None | Some(Outcome::Passed | Outcome::Inconclusive { why: Why::Environment, .. }) => false,
            Some(Outcome::Failed(_) | Outcome::Inconclusive { .. } | Outcome::Skipped(_)) => true,
        };
        if [Subject::Provision, Subject::Install].iter().any(ends_the_cell) {
            return false;
        }
        let examined = |s: &PlannedScenario| self.outcome(&Subject::Scenario(s.scenario.clone()));
        let mut scenarios = planned.scenarios.iter().filter(|s| s.skip.is_none());
        if fail_fast && scenarios.clone().filter_map(examined).any(|o| o != Outcome::Passed) {
            return false;
        }
        let installed = matches!(self.outcome(&Subject::Install), Some(Outcome::Passed));
        !installed || scenarios.any(|s| examined(s).is_none())
    }

    fn with<T>(&self, subject: &Subject, f: impl FnOnce(&mut Written) -> T) -> T {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        f(subjects.entry(subject.clone()).or_default())
    }

    /// Begins an attempt.
    pub(crate) async fn start(&self, subject: Subject) -> Cx {
        let attempt = self.with(&subject, |w| {
            w.attempts += 1;
            w.open = true;
            w.attempts
        });
        self.cx.record(EventKind::SubjectStarted { cell: self.cell.clone(), subject: subject.clone(), attempt }).await;
        self.cx.at(Place { cell: self.cell.clone(), subject, attempt })
    }

    /// Ends the attempt at hand.
    pub(crate) async fn finish(&self, subject: &Subject, outcome: Outcome, took: Duration) {
        let attempt = self.with(subject, |w| {
            w.open = false;
            w.outcome = Some(outcome.clone());
            w.attempts
        });
        self.cx
            .record(EventKind::SubjectFinished {
                cell: self.cell.clone(),
                subject: subject.clone(),
                attempt,
                outcome,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })
            .await;
    }

    /// Finishes a subject that the rest of the cell depends on.
    pub(crate) async fn failed(&self, subject: Subject, failure: Failure, took: Duration) -> End {
        let retry = !failure.stopped && failure.blame == gsh_model::outcome::Blame::Environment;
        self.finish(&subject, failure.into_outcome(), took).await;
        End { green: false, retry }
    }

    /// Finishes a subject whose work ended well. Gives the end of the cell's work when a check says otherwise.
    pub(crate) async fn passed(&self, subject: &Subject, took: Duration) -> Option<End> {
        let outcome = self.judged(subject);
        let end = match &outcome {
            Outcome::Passed => None,
            Outcome::Inconclusive { why: Why::Environment, .. } => Some(End { green: false, retry: true }),
            Outcome::Failed(_) | Outcome::Inconclusive { .. } | Outcome::Skipped(_) => {
                Some(End { green: false, retry: false })
            }
        };
        self.finish(subject, outcome, took).await;
        end
    }

    /// Ends whatever is open: the work that was at it panicked.
    pub(crate) async fn panicked(&self, text: &str) {
        let open: Vec<Subject> = {
            let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            subjects.iter().filter(|(_, w)| w.open).map(|(s, _)| s.clone()).collect()
        };
        for subject in open {
            let failure = Failure::harness("GSH-RUN-007", format!("{subject} to end"), "gsh panicked").cause(text);
            self.finish(&subject, failure.into_outcome(), Duration::ZERO).await;
        }
    }

    /// Adds a note to the record of the cell.
    pub(crate) async fn note(&self, text: &str) {
        self.cx.record(EventKind::Noted { cell: Some(self.cell.clone()), subject: None, text: text.to_owned() }).await;
    }

    /// What well-ended work amounts to: passed, unless one of its checks failed. A scenario that goes on after a failed
    /// check has still not passed.
    pub(crate) fn judged(&self, subject: &Subject) -> Outcome {
        let attempt = self.with(subject, |w| w.attempts);
        let place = Place { cell: self.cell.clone(), subject: subject.clone(), attempt };
        self.cx.failed_check(&place).map_or(Outcome::Passed, Failure::into_outcome)
    }

    /// Gives every planned subject that has no end its outcome: blocked, stopped, or never ran.
    pub(crate) async fn settle_rest(&self, planned: &PlannedCell, stopped: bool) {
        let outcome_of = |subject: &Subject| self.with(subject, |w| w.outcome.clone());
        let red = [Subject::Provision, Subject::Install]
            .into_iter()
            .find(|s| !matches!(outcome_of(s), Some(Outcome::Passed) | None));
        for subject in planned.subjects() {
            let skipped =
                planned.scenarios.iter().any(|s| s.skip.is_some() && Subject::Scenario(s.scenario.clone()) == subject);
            if skipped || outcome_of(&subject).is_some() {
                continue;
            }
            let failure = Failure::environment("GSH-RUN-008", format!("{subject} to run"), "it did not");
            let (why, observed) = match &red {
                Some(red) => match outcome_of(red) {
                    Some(Outcome::Inconclusive { why: Why::Stopped, .. }) | None => {
                        (Why::Stopped, "the run was asked to stop".to_owned())
                    }
                    Some(_) => (Why::BlockedBy(red.clone()), format!("{red} did not pass")),
                },
                None if stopped => (Why::Stopped, "the run was asked to stop".to_owned()),
                None => {
                    (Why::NeverRan, "an earlier scenario of the cell failed and --fail-fast cell is set".to_owned())
                }
            };
            if !self.with(&subject, |w| w.open) {
                self.start(subject.clone()).await;
            }
            let mut finding = failure.finding;
            finding.observed = observed;
            self.finish(&subject, Outcome::Inconclusive { why, finding }, Duration::ZERO).await;
        }
    }
}
