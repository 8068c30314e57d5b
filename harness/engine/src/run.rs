//! The dispatcher: the one loop that owns the truth.
//!
//! Cells never write. They send what happened and wait for the acknowledgement; the dispatcher stamps it, applies it to
//! the [`RunState`], appends it to the ledger, shows it to the observers, and only then acknowledges.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gsh_model::event::{Event, EventKind, FORMAT, StopReason};
use gsh_model::outcome::Outcome;
use gsh_model::plan::PlannedCell;
use gsh_model::run::{CellState, IllegalEvent, RunState};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::artifacts::Artifacts;
use crate::cell;
use crate::cx::{Cx, Record, Recorded};
use crate::installer::Installer;
use crate::job::{Job, Settings};
use crate::ledger::Append;
use crate::provider::Provider;
use crate::secret::Scrubber;
use crate::stop::Stop;
use crate::till::{self, Till};

/// Who watches a run: the terminal, the report writer.
pub trait Observer: Send {
    /// An event was recorded; the state has it already.
    fn recorded(&mut self, event: &Event, state: &RunState);

    /// Events can no longer be recorded.
    fn ledger_lost(&mut self, error: &io::Error);
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// The folded record.
    pub state: RunState,
    /// Set when the ledger was lost on the way.
    pub ledger_lost: Option<io::Error>,
    /// Set when the harness itself produced an impossible event: a bug.
    pub illegal: Option<IllegalEvent>,
}

/// Runs a plan.
pub async fn run<P: Provider, I: Installer>(
    job: Job<P, I>,
    ledger: impl Append,
    artifacts: Artifacts,
    observers: Vec<Box<dyn Observer>>,
    stop: Stop,
    scrubber: Scrubber,
) -> RunEnd {
    go(job, None, ledger, artifacts, observers, stop, scrubber).await
}

/// Goes on with a run whose process died. `recorded` is what its ledger says; `ledger` appends to it.
///
/// Leases without an end are given back, by label: the keys to their machines died with the process. No scenario that
/// has an outcome is repeated; a cell with scenarios left gets a fresh cluster, with further attempts at Provision and
/// Install. What `job` says about plan, run and budget must be what was recorded.
pub async fn resume<P: Provider, I: Installer>(
    job: Job<P, I>,
    recorded: RunState,
    ledger: impl Append,
    artifacts: Artifacts,
    observers: Vec<Box<dyn Observer>>,
    stop: Stop,
    scrubber: Scrubber,
) -> RunEnd {
    go(job, Some(recorded), ledger, artifacts, observers, stop, scrubber).await
}

async fn go<P: Provider, I: Installer>(
    job: Job<P, I>,
    recorded: Option<RunState>,
    ledger: impl Append,
    artifacts: Artifacts,
    observers: Vec<Box<dyn Observer>>,
    stop: Stop,
    scrubber: Scrubber,
) -> RunEnd {
    let job = Arc::new(job);
    let (recorder, mut records) = mpsc::channel::<Record>(64);
    let cx = Cx::new(stop.clone(), Instant::now() + job.settings.patience.run, recorder, scrubber.clone());
    let mut book = Book {
        ledger,
        artifacts,
        observers,
        state: recorded.unwrap_or_default(),
        stop: stop.clone(),
        scrubber,
        now: job.now,
        lost: None,
        illegal: None,
        fail_fast_run: job.settings.fail_fast_run,
    };
    if book.state.header.is_some() {
        book.write(EventKind::RunResumed { version: job.version.clone() });
    } else {
        book.write(EventKind::RunStarted {
            format: FORMAT,
            run: job.run.clone(),
            version: job.version.clone(),
            evidence: job.evidence,
            provider: job.provider.name().to_owned(),
            inputs: job.inputs.clone(),
        });
        // Before the plan: whoever resumes a run that has a plan knows its budget.
        if let Some(cap) = job.settings.budget {
            book.write(EventKind::BudgetSet { cap });
        }
        book.write(EventKind::RunPlanned { plan: Box::new(job.plan.clone()) });
    }
    for note in &job.notes {
        book.write(EventKind::Noted { cell: None, subject: None, text: note.clone() });
    }

    let till = Arc::new(Till::new(job.settings.budget));
    count_before(&job, &book.state, &till).await;
    let before = |cell: &PlannedCell| book.state.cell(&cell.id);
    let done = |cell: &PlannedCell| before(cell).is_some_and(CellState::is_done);
    let holds = |cell: &PlannedCell| before(cell).is_some_and(|c| c.leases.iter().any(|l| l.end.is_none()));
    // What a process that died has left behind costs money: it is given back before anything is begun.
    let (first, then): (Vec<_>, Vec<_>) =
        job.plan.own_cells().cloned().enumerate().filter(|(_, c)| !done(c)).partition(|(_, c)| holds(c));
    let mut waiting: VecDeque<(usize, PlannedCell)> = first.into_iter().chain(then).collect();
    let mut running: JoinSet<u32> = JoinSet::new();
    let mut servers = 0;
    let mut stop_told = false;
    loop {
        while let Some((number, planned)) = next_fitting(&mut waiting, running.len(), servers, &job.settings, &stop) {
            servers += planned.servers;
            let before = book.state.cell(&planned.id).cloned().unwrap_or_else(|| CellState::planned(&planned));
            let (job, till, cx) = (Arc::clone(&job), Arc::clone(&till), cx.clone());
            running.spawn(async move {
                let occupied = planned.servers;
                cell::run(job, till, planned, number, before, cx).await;
                occupied
            });
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            Some(record) = records.recv() => book.take(record),
            Some(ended) = running.join_next() => servers -= ended.unwrap_or(0).min(servers),
            () = stop.requested(), if !stop_told => {
                stop_told = true;
                let reason = stop.reason().cloned().unwrap_or(StopReason::Signal);
                book.write(EventKind::StopRequested { reason });
            }
            () = tokio::time::sleep_until(cx.deadline()), if !stop_told => stop.first(StopReason::Deadline),
        }
    }
    // Nothing runs any more; what a cell's last words were is still in the channel.
    while let Ok(record) = records.try_recv() {
        book.take(record);
    }
    close(&job, &cx, &mut book).await;
    RunEnd { state: book.state, ledger_lost: book.lost, illegal: book.illegal }
}

/// Counts what the leases of a process that died have cost. Those without an end are still there: they hold the most that
/// they can cost until they are given back. Those that nobody could charge count with that, too.
async fn count_before<P: Provider, I: Installer>(job: &Job<P, I>, state: &RunState, till: &Till) {
    if job.settings.budget.is_none() {
        return;
    }
    for (cell, lease) in state.cells.iter().flat_map(|c| c.leases.iter().map(move |l| (c, l))) {
        if let (Some(_), Some(bill)) = (&lease.end, &lease.bill) {
            till.add_spent(bill.total());
            continue;
        }
        let Some(planned) = job.plan.cell(&cell.id) else { continue };
        let look = Cx::unrecorded(Stop::new(), job.settings.patience.teardown);
        // Without prices no lease will be taken either.
        let Ok(Some(quote)) = till::quote(&look, &job.provider, &job.plan, planned).await else { continue };
        let at_most = quote.up_to(job.settings.lease_hours());
        match lease.end {
            None => till.hold(&lease.lease, at_most),
            Some(_) => till.add_spent(at_most),
        }
    }
}

/// The next cell in plan order that fits under both limits. A stopped run still gives every cell its outcome, without
/// creating anything. A cell too large for the limit runs alone.
fn next_fitting(
    waiting: &mut VecDeque<(usize, PlannedCell)>,
    clusters: usize,
    servers: u32,
    settings: &Settings,
    stop: &Stop,
) -> Option<(usize, PlannedCell)> {
    if clusters >= settings.max_clusters.max(1) {
        return None;
    }
    let fits = |cell: &PlannedCell| clusters == 0 || servers + cell.servers <= settings.max_servers;
    let at = waiting.iter().position(|(_, cell)| stop.is_requested() || fits(cell))?;
    waiting.remove(at)
}

/// How long the closing inventory may go on after a second signal. Whoever is in a hurry is still told what is left.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// The closing inventory and the last line.
async fn close<P: Provider, I: Installer, L: Append>(job: &Job<P, I>, cx: &Cx, book: &mut Book<L>) {
    let teardown = cx.teardown(job.settings.patience.teardown);
    let leased = book.state.cells.iter().any(|c| !c.leases.is_empty());
    if leased {
        // The recorder's other end is this very loop: look without recording, then write down what was seen.
        // It only reads, so it needs no stop of its own and may be dropped.
        let look = Cx::unrecorded(Stop::new(), teardown.left());
        let hurry = async {
            teardown.stopped().await;
            tokio::time::sleep(LAST_LOOK).await;
        };
        let found = tokio::select! {
            found = job.provider.find(&look, Some(&job.run)) => found.map_err(|f| f.to_string()),
            () = hurry => Err("the run was told twice to stop".to_owned()),
        };
        match found {
            Ok(leases) => {
                let left = leases.into_iter().flat_map(|l| l.resources).collect();
                book.write(EventKind::InventoryTaken { left });
            }
            Err(reason) => book.write(EventKind::Noted {
                cell: None,
                subject: None,
                text: format!("the closing inventory could not be taken: {reason}"),
            }),
        }
    }
    book.write(EventKind::RunFinished);
}

struct Book<L> {
    ledger: L,
    artifacts: Artifacts,
    observers: Vec<Box<dyn Observer>>,
    state: RunState,
    stop: Stop,
    scrubber: Scrubber,
    now: fn() -> Timestamp,
    lost: Option<io::Error>,
    illegal: Option<IllegalEvent>,
    fail_fast_run: bool,
}

impl<L: Append> Book<L> {
    fn take(&mut self, record: Record) {
        match record.what {
            Recorded::Event(kind) => self.write(*kind),
            Recorded::Artifact { place, name, bytes } => {
                if self.lost.is_none() {
                    match self.artifacts.keep(&name, &bytes, &self.scrubber) {
                        Ok(kept) => self.write(EventKind::ArtifactKept {
                            cell: place.cell,
                            subject: place.subject,
                            attempt: place.attempt,
                            name,
                            path: kept.path,
                            bytes: kept.bytes,
                        }),
                        Err(error) => self.lose(error),
                    }
                }
            }
        }
        if self.lost.is_none() {
            // The asker may be gone; the event is recorded all the same.
            let _gone = record.done.send(());
        }
    }

    fn write(&mut self, kind: EventKind) {
        let not_green =
            matches!(&kind, EventKind::SubjectFinished { outcome, .. } if !matches!(outcome, Outcome::Passed));
        let event = Event { seq: self.state.last_seq + 1, at: (self.now)(), kind: self.scrubbed(kind) };
        if let Err(illegal) = self.state.apply(&event) {
            self.illegal.get_or_insert(illegal);
            self.stop.first(StopReason::LedgerLost);
            return;
        }
        if self.lost.is_none() {
            match self.ledger.append(&event) {
                Ok(()) => self.observers.iter_mut().for_each(|o| o.recorded(&event, &self.state)),
                Err(error) => self.lose(error),
            }
        }
        if self.fail_fast_run && not_green {
            self.stop.first(StopReason::FailFast);
        }
    }

    fn lose(&mut self, error: io::Error) {
        self.observers.iter_mut().for_each(|o| o.ledger_lost(&error));
        self.lost = Some(error);
        self.stop.first(StopReason::LedgerLost);
    }

    /// The event without secrets. Going through its text form reaches every field of every variant, also of those that
    /// are added later.
    fn scrubbed(&self, kind: EventKind) -> EventKind {
        let Ok(mut value) = serde_json::to_value(&kind) else { return kind };
        scrub_value(&mut value, &self.scrubber);
        serde_json::from_value(value).unwrap_or_else(|_| EventKind::Noted {
            cell: None,
            subject: None,
            text: "an event was left out: it held a secret in a place where only names can stand".to_owned(),
        })
    }
}

fn scrub_value(value: &mut serde_json::Value, scrubber: &Scrubber) {
    match value {
        serde_json::Value::String(text) => *text = scrubber.scrub(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|v| scrub_value(v, scrubber)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|v| scrub_value(v, scrubber)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}
