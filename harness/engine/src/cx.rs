//! What every piece of work carries: stop, deadline, recorder, secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gsh_model::axis::CellId;
use gsh_model::check::CheckName;
use gsh_model::event::{CheckResult, EventKind};
use gsh_model::outcome::{Blame, SkipReason, Subject};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::secret::{Scrubber, Secret};
use crate::stop::Stop;

/// Something for the dispatcher to record; it answers when the event is in the ledger.
pub struct Record {
    /// What happened, not yet scrubbed.
    pub what: Recorded,
    /// Told when it is recorded. Dropped when the ledger is lost.
    pub done: oneshot::Sender<()>,
}

/// What is to be recorded.
pub enum Recorded {
    /// An event.
    Event(Box<EventKind>),
    /// Evidence: the dispatcher keeps the bytes and records where.
    Artifact {
        /// Where it belongs.
        place: Place,
        /// What the scenario calls it.
        name: String,
        /// The bytes, not yet scrubbed.
        bytes: Vec<u8>,
    },
}

/// The place in the plan that work belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The cell.
    pub cell: CellId,
    /// The subject.
    pub subject: Subject,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// Stop, deadline, recorder and secrets, handed down by reference.
#[derive(Clone)]
pub struct Cx {
    stop: Stop,
    deadline: Instant,
    place: Option<Arc<Place>>,
    recorder: mpsc::Sender<Record>,
    scrubber: Scrubber,
    failed: Arc<Mutex<BTreeMap<Place, Failure>>>,
}

impl Cx {
    /// A context of a whole run.
    #[must_use]
    pub fn new(stop: Stop, deadline: Instant, recorder: mpsc::Sender<Record>, scrubber: Scrubber) -> Self {
        Self { stop, deadline, place: None, recorder, scrubber, failed: Arc::default() }
    }

    /// A context whose events go nowhere: for commands that keep no ledger, and for tests of doors.
    #[must_use]
    pub fn unrecorded(stop: Stop, patience: Duration) -> Self {
        let (recorder, _) = mpsc::channel(1);
        Self::new(stop, Instant::now() + patience, recorder, Scrubber::default())
    }

    /// The same for one place in the plan.
    #[must_use]
    pub fn at(&self, place: Place) -> Self {
        Self { place: Some(Arc::new(place)), ..self.clone() }
    }

    /// The same with a nearer deadline. A child never outlives its parent.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self { deadline: self.deadline.min(Instant::now() + patience), ..self.clone() }
    }

    /// The same for teardown: not stopped by the first stage, with a deadline of its own.
    #[must_use]
    pub fn teardown(&self, patience: Duration) -> Self {
        Self { stop: self.stop.second_stage_only(), deadline: Instant::now() + patience, ..self.clone() }
    }

    /// When time is over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time that is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The stop.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Ready when this work should end.
    pub async fn stopped(&self) {
        self.stop.requested().await;
    }

    /// Where this work belongs.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// Names a secret that was found or made; from now on it is scrubbed from everything that is written or shown.
    #[must_use]
    pub fn secret(&self, name: &str, value: impl Into<String>) -> Secret {
        let secret = Secret::new(name, value);
        self.scrubber.learn(&secret);
        secret
    }

    /// The scrubber.
    #[must_use]
    pub fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    /// Records an event and waits until it is in the ledger. Says whether it is: when the ledger is lost the event is
    /// too, the run is already stopping, and nothing may be created any more.
    pub async fn record(&self, event: EventKind) -> bool {
        self.send(Recorded::Event(Box::new(event))).await
    }

    /// Records something worth knowing.
    pub async fn note(&self, text: &str) {
        let (cell, subject) = match &self.place {
            Some(p) => (Some(p.cell.clone()), Some(p.subject.clone())),
            None => (None, None),
        };
        self.record(EventKind::Noted { cell, subject, text: text.to_owned() }).await;
    }

    /// Keeps evidence. Outside a place in the plan there is nowhere to keep it.
    pub async fn keep(&self, name: &str, bytes: &[u8]) {
        if let Some(place) = &self.place {
            let place = Place::clone(place);
            self.send(Recorded::Artifact { place, name: name.to_owned(), bytes: bytes.to_vec() }).await;
        }
    }

    /// Makes one observation and records it under a stable name.
    ///
    /// # Errors
    /// What the observation says; the deadline of the context, as a failure of the harness's patience.
    pub async fn check<T>(
        &self,
        code: &'static str,
        title: &str,
        look: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let result = look.await;
        // A check that was stopped observed nothing: its subject says so, and no result is recorded for it.
        if !matches!(&result, Err(f) if f.stopped) {
            if let (Err(failure), Some(place)) = (&result, &self.place) {
                self.remember(place, failure);
            }
            let recorded = match &result {
                Ok(_) => CheckResult::Passed,
                Err(f) => CheckResult::Failed { blame: f.blame, finding: f.finding.clone() },
            };
            self.finish_check(code, title, recorded, began.elapsed()).await;
        }
        result
    }

    /// The failed check that decides the outcome of a place whose work says that all is well: the first one that blames
    /// the product, else the first one.
    #[must_use]
    pub fn failed_check(&self, place: &Place) -> Option<Failure> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn remember(&self, place: &Place, failure: &Failure) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let worse =
            failed.get(place).is_none_or(|known| known.blame != Blame::Product && failure.blame == Blame::Product);
        if worse {
            failed.insert(place.clone(), failure.clone());
        }
    }

    /// Records that an observation cannot be made here.
    pub async fn skip(&self, code: &'static str, title: &str, reason: SkipReason) {
        self.finish_check(code, title, CheckResult::Skipped(reason), Duration::ZERO).await;
    }

    async fn finish_check(&self, code: &'static str, title: &str, result: CheckResult, took: Duration) {
        if let Some(place) = &self.place {
            self.record(EventKind::CheckFinished {
                cell: place.cell.clone(),
                subject: place.subject.clone(),
                attempt: place.attempt,
                check: CheckName::of(code),
                title: title.to_owned(),
                result,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })
            .await;
        }
    }

    async fn send(&self, what: Recorded) -> bool {
        let (done, recorded) = oneshot::channel();
        // An error in either place means that the ledger is lost; the dispatcher has begun to stop the run.
        self.recorder.send(Record { what, done }).await.is_ok() && recorded.await.is_ok()
    }
}
