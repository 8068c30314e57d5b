//! The fold: what you get by applying every event of a ledger in order.
//!
//! One total transition function. Replaying a ledger is the only way to a [`RunState`], for the run itself as for
//! `gsh report` a year later.

use jiff::Timestamp;

use crate::axis::CellId;
use crate::budget::{Amount, Bill, Euros};
use crate::check::CheckName;
use crate::event::{CheckResult, Event, EventKind, FORMAT, StopReason};
use crate::exit::Exit;
use crate::input::Input;
use crate::lease::{LeaseId, Resource, RunId};
use crate::outcome::{Evidence, Finding, Outcome, Subject, Why};
use crate::plan::{Plan, PlannedCell};
use crate::shard::ShardId;

/// An event that cannot follow what was recorded before: a bug in the harness, or a ledger that was tampered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} cannot follow the events before it: {reason}")]
pub struct IllegalEvent {
    /// Its number.
    pub seq: u64,
    /// What is wrong.
    pub reason: String,
}

/// One observation, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRecord {
    /// The check.
    pub check: CheckName,
    /// What it asks.
    pub title: String,
    /// What came of it.
    pub result: CheckResult,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// When it was recorded, which is when it ended.
    pub at: Timestamp,
}

/// One piece of evidence, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRecord {
    /// What the scenario calls it.
    pub name: String,
    /// Path below the run directory.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// One attempt at a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended and what came of it; absent while it runs, or when the ledger ends first.
    pub finished: Option<(Timestamp, Outcome)>,
    /// How long it took, in milliseconds; 0 while it runs.
    pub took_ms: u64,
    /// Its observations.
    pub checks: Vec<CheckRecord>,
    /// Its evidence.
    pub artifacts: Vec<ArtifactRecord>,
    /// Its notes.
    pub notes: Vec<String>,
}

/// Where a cell is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellPhase {
    /// Not begun.
    Planned,
    /// Its cluster is being made.
    Provisioning,
    /// Gitpod is being installed.
    Installing,
    /// Scenarios run.
    Examining,
    /// Everything is being removed.
    Releasing,
    /// Nothing more will happen.
    Done,
}

/// One subject of a cell, with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectState {
    /// Which.
    pub subject: Subject,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Set when the plan skips it.
    pub planned_skip: Option<Outcome>,
    /// Set by merging: the shard that should have run it and whose record is missing.
    pub missing: Option<ShardId>,
}

impl SubjectState {
    /// What came of it in the end; "never ran" where nothing was recorded.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if let Some(skip) = &self.planned_skip {
            return skip.clone();
        }
        match self.attempts.last() {
            Some(Attempt { finished: Some((_, outcome)), .. }) => outcome.clone(),
            Some(Attempt { finished: None, .. }) => never_ran(&self.subject, "was started but has no recorded end"),
            None if let Some(shard) = self.missing => shard_missing(&self.subject, shard),
            None => never_ran(&self.subject, "was planned, but nothing was ever recorded about it"),
        }
    }

    /// Whether it is settled: skipped by plan, or its last attempt has an end of its own. An attempt whose process died
    /// has none.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let ended = |a: &Attempt| match &a.finished {
            None | Some((_, Outcome::Inconclusive { why: Why::Interrupted, .. })) => false,
            Some((_, Outcome::Passed | Outcome::Failed(_) | Outcome::Inconclusive { .. } | Outcome::Skipped(_))) => {
                true
            }
        };
        self.planned_skip.is_some() || self.attempts.last().is_some_and(ended)
    }

    /// Failed or unclear first, passed in the end. A process that died says nothing about the subject.
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        let spoke = |a: &Attempt| match &a.finished {
            None | Some((_, Outcome::Passed | Outcome::Skipped(_))) => false,
            Some((_, Outcome::Failed(_))) => true,
            Some((_, Outcome::Inconclusive { why, .. })) => *why != Why::Interrupted,
        };
        matches!(self.outcome(), Outcome::Passed) && self.attempts.iter().any(spoke)
    }
}

fn shard_missing(subject: &Subject, shard: ShardId) -> Outcome {
    Outcome::Inconclusive {
        why: Why::ShardMissing,
        finding: Finding {
            check: CheckName::of("GSH-RUN-010"),
            expected: format!("a record of {subject} in shard {shard}"),
            observed: format!("no record of shard {shard} was given"),
            causes: Vec::new(),
        },
    }
}

fn never_ran(subject: &Subject, observed: &str) -> Outcome {
    Outcome::Inconclusive {
        why: Why::NeverRan,
        finding: Finding {
            check: CheckName::of("GSH-RUN-001"),
            expected: format!("{subject} to run to its end"),
            observed: format!("it {observed}"),
            causes: Vec::new(),
        },
    }
}

fn interrupted(subject: &Subject) -> Outcome {
    Outcome::Inconclusive {
        why: Why::Interrupted,
        finding: Finding {
            check: CheckName::of("GSH-RUN-011"),
            expected: format!("{subject} to run to its end"),
            observed: "the process that ran it died".to_owned(),
            causes: Vec::new(),
        },
    }
}

/// One cell of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellState {
    /// Stable name.
    pub id: CellId,
    /// Where it is.
    pub phase: CellPhase,
    /// Its leases with what is known of each, oldest first.
    pub leases: Vec<LeaseState>,
    /// Its subjects, in report order.
    pub subjects: Vec<SubjectState>,
    /// Notes about the cell as a whole.
    pub notes: Vec<String>,
}

impl CellState {
    /// A cell of which nothing but the plan is known.
    #[must_use]
    pub fn planned(cell: &PlannedCell) -> Self {
        let skip = |subject: &Subject| {
            let planned = cell.scenarios.iter().find(|s| Subject::Scenario(s.scenario.clone()) == *subject);
            planned.and_then(|s| s.skip.clone()).map(Outcome::Skipped)
        };
        Self {
            id: cell.id.clone(),
            phase: CellPhase::Planned,
            leases: Vec::new(),
            subjects: cell
                .subjects()
                .into_iter()
                .map(|subject| SubjectState {
                    planned_skip: skip(&subject),
                    subject,
                    attempts: Vec::new(),
                    missing: None,
                })
                .collect(),
            notes: Vec::new(),
        }
    }

    /// Whether nothing is left to do: every subject is settled, and every lease has an end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.subjects.iter().all(SubjectState::is_settled) && self.leases.iter().all(|l| l.end.is_some())
    }

    /// What its leases have cost; absent where none was charged.
    #[must_use]
    pub fn cost(&self) -> Option<Amount> {
        let bills: Vec<&Bill> = self.leases.iter().filter_map(|l| l.bill.as_ref()).collect();
        (!bills.is_empty()).then(|| bills.into_iter().map(Bill::total).sum())
    }
}

/// What is known of one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Its name.
    pub lease: LeaseId,
    /// When it was requested.
    pub requested: Timestamp,
    /// From when on anybody may remove it.
    pub expires: Timestamp,
    /// Names of its servers, once it was ready.
    pub servers: Vec<String>,
    /// What parts of it have cost that were removed before the rest.
    pub parts: Bill,
    /// Whether giving it back has begun: from then on things of it may be gone.
    pub releasing: bool,
    /// What all of it has cost, once that was found out.
    pub bill: Option<Bill>,
    /// Set at the end: removed, or leaked with what is left.
    pub end: Option<LeaseEnd>,
}

impl LeaseState {
    /// What is known of its cost, with which a later look may go on. Nothing when things of it may be gone that nobody has
    /// charged: then the whole can never be known.
    #[must_use]
    pub fn charged(&self) -> Option<Bill> {
        match &self.bill {
            None if self.releasing => None,
            None => Some(self.parts.clone()),
            Some(bill) => Some(bill.clone()),
        }
    }
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Everything is gone.
    Released(Vec<Resource>),
    /// Something may be left.
    Leaked {
        /// What is known to be left.
        left: Vec<Resource>,
        /// Why.
        reason: String,
    },
}

/// The folded run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunState {
    /// Number of the last event applied; 0 before the first.
    pub last_seq: u64,
    /// Facts of `RunStarted`.
    pub header: Option<RunHeader>,
    /// The plan.
    pub plan: Option<Plan>,
    /// The cells, in plan order.
    pub cells: Vec<CellState>,
    /// The most that the run may cost, tax included.
    pub budget: Option<Euros>,
    /// When another process went on with it, oldest first.
    pub resumed: Vec<Timestamp>,
    /// Notes about the run as a whole.
    pub notes: Vec<String>,
    /// Requests to stop, oldest first.
    pub stops: Vec<StopReason>,
    /// The closing inventory.
    pub inventory: Option<Vec<Resource>>,
    /// When it finished.
    pub finished: Option<Timestamp>,
    /// When the last event was recorded.
    pub last_at: Option<Timestamp>,
    /// The runs that this one was merged from, see [`crate::merge`]; empty for a run as it was recorded.
    pub parts: Vec<RunHeader>,
}

/// Facts of `RunStarted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHeader {
    /// The run.
    pub run: RunId,
    /// Version of gsh.
    pub version: String,
    /// How real it is.
    pub evidence: Evidence,
    /// What the user chose.
    pub provider: String,
    /// What the run was made from, by digest.
    pub inputs: Vec<Input>,
    /// When it began.
    pub started: Timestamp,
}

impl RunState {
    /// Folds a sequence of events.
    ///
    /// # Errors
    /// [`IllegalEvent`] at the first event that cannot follow.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, IllegalEvent> {
        let mut state = Self::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// Applies one event. On error the state is unchanged.
    ///
    /// # Errors
    /// [`IllegalEvent`] when it cannot follow what was applied before.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = |reason: String| IllegalEvent { seq: event.seq, reason };
        if event.seq != self.last_seq + 1 {
            return Err(illegal(format!("number {} was expected", self.last_seq + 1)));
        }
        if self.finished.is_some() {
            return Err(illegal("the run is finished".to_owned()));
        }
        self.transition(event).map_err(illegal)?;
        self.last_seq = event.seq;
        self.last_at = Some(event.at);
        Ok(())
    }

    fn transition(&mut self, event: &Event) -> Result<(), String> {
        match (&event.kind, &self.header) {
            (EventKind::RunStarted { .. }, None) => {}
            (EventKind::RunStarted { .. }, Some(_)) => {
                return Err("the run has already started".to_owned());
            }
            (_, None) => return Err("the run has not started".to_owned()),
            (_, Some(_)) => {}
        }
        match &event.kind {
            EventKind::RunStarted { format, run, version, evidence, provider, inputs } => {
                if *format != FORMAT {
                    return Err(format!("ledger format {format}, this gsh reads {FORMAT}"));
                }
                self.header = Some(RunHeader {
                    run: run.clone(),
                    version: version.clone(),
                    evidence: *evidence,
                    provider: provider.clone(),
                    inputs: inputs.clone(),
                    started: event.at,
                });
            }
            EventKind::RunPlanned { plan } => {
                if self.plan.is_some() {
                    return Err("there is a plan already".to_owned());
                }
                self.cells = plan.own_cells().map(CellState::planned).collect();
                self.plan = Some((**plan).clone());
            }
            EventKind::BudgetSet { cap } => {
                if self.budget.is_some() {
                    return Err("there is a budget already".to_owned());
                }
                if self.cells.iter().any(|c| !c.leases.is_empty()) {
                    return Err("a budget cannot come after the first lease".to_owned());
                }
                self.budget = Some(*cap);
            }
            EventKind::RunResumed { .. } => {
                if self.plan.is_none() {
                    return Err("a run without a plan cannot be resumed".to_owned());
                }
                for subject in self.cells.iter_mut().flat_map(|c| &mut c.subjects) {
                    if let Some(open) = subject.attempts.last_mut().filter(|a| a.finished.is_none()) {
                        open.finished = Some((event.at, interrupted(&subject.subject)));
                    }
                }
                // What was seen then proves nothing about what comes now.
                self.inventory = None;
                self.resumed.push(event.at);
            }
            EventKind::PartCharged { cell, lease, bill } => {
                self.open_lease(cell, lease)?.parts.merge(bill);
            }
            EventKind::LeaseCharged { cell, lease, bill } => {
                let lease = self.open_lease(cell, lease)?;
                lease.bill.get_or_insert_with(|| lease.parts.clone()).merge(bill);
            }
            EventKind::LeaseRequested { cell, lease, expires } => {
                let cell = self.cell_mut(cell)?;
                if cell.leases.iter().any(|l| l.lease == *lease) {
                    return Err(format!("lease {lease} was requested before"));
                }
                cell.leases.push(LeaseState {
                    lease: lease.clone(),
                    requested: event.at,
                    expires: *expires,
                    servers: Vec::new(),
                    parts: Bill::default(),
                    releasing: false,
                    bill: None,
                    end: None,
                });
            }
            EventKind::LeaseReady { cell, lease, servers } => {
                self.open_lease(cell, lease)?.servers.clone_from(servers);
            }
            EventKind::NodeAdded { cell, lease, node } => {
                self.open_lease(cell, lease)?.servers.push(node.clone());
            }
            EventKind::LeaseReleased { cell, lease, removed } => {
                self.open_lease(cell, lease)?.end = Some(LeaseEnd::Released(removed.clone()));
            }
            EventKind::LeaseLeaked { cell, lease, left, reason } => {
                self.open_lease(cell, lease)?.end =
                    Some(LeaseEnd::Leaked { left: left.clone(), reason: reason.clone() });
            }
            EventKind::SubjectStarted { cell, subject, attempt } => {
                let cell = self.cell_mut(cell)?;
                let state = find_subject(cell, subject)?;
                if state.planned_skip.is_some() {
                    return Err(format!("{subject} is skipped by the plan"));
                }
                if state.attempts.last().is_some_and(|a| a.finished.is_none()) {
                    return Err(format!("{subject} has an attempt that is not finished"));
                }
                let expected = u32::try_from(state.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
                if *attempt != expected {
                    return Err(format!("attempt {expected} of {subject} was expected, not {attempt}"));
                }
                state.attempts.push(Attempt {
                    number: *attempt,
                    started: event.at,
                    finished: None,
                    took_ms: 0,
                    checks: Vec::new(),
                    artifacts: Vec::new(),
                    notes: Vec::new(),
                });
                if *subject == Subject::Teardown
                    && let Some(open) = cell.leases.iter_mut().rfind(|l| l.end.is_none())
                {
                    open.releasing = true;
                }
                cell.phase = match subject {
                    Subject::Provision => CellPhase::Provisioning,
                    Subject::Install => CellPhase::Installing,
                    Subject::Scenario(_) => CellPhase::Examining,
                    Subject::Teardown => CellPhase::Releasing,
                };
            }
            EventKind::CheckFinished { cell, subject, attempt, check, title, result, took_ms } => {
                self.open_attempt(cell, subject, *attempt)?.checks.push(CheckRecord {
                    check: check.clone(),
                    title: title.clone(),
                    result: result.clone(),
                    took_ms: *took_ms,
                    at: event.at,
                });
            }
            EventKind::ArtifactKept { cell, subject, attempt, name, path, bytes } => {
                self.open_attempt(cell, subject, *attempt)?.artifacts.push(ArtifactRecord {
                    name: name.clone(),
                    path: path.clone(),
                    bytes: *bytes,
                });
            }
            EventKind::SubjectFinished { cell, subject, attempt, outcome, took_ms } => {
                if matches!(outcome, Outcome::Skipped(_)) {
                    return Err(format!("{subject} cannot be skipped by running it: skips are decided in the plan"));
                }
                let open = self.open_attempt(cell, subject, *attempt)?;
                if matches!(outcome, Outcome::Passed)
                    && open.checks.iter().any(|c| matches!(c.result, CheckResult::Failed { .. }))
                {
                    return Err(format!("{subject} cannot pass with a failed check"));
                }
                open.finished = Some((event.at, outcome.clone()));
                open.took_ms = *took_ms;
                if *subject == Subject::Teardown {
                    self.cell_mut(cell)?.phase = CellPhase::Done;
                }
            }
            EventKind::Noted { cell, subject, text } => match (cell, subject) {
                (None, _) => self.notes.push(text.clone()),
                (Some(cell), None) => self.cell_mut(cell)?.notes.push(text.clone()),
                (Some(cell), Some(subject)) => {
                    let cell = self.cell_mut(cell)?;
                    let state = find_subject(cell, subject)?;
                    match state.attempts.last_mut() {
                        Some(attempt) => attempt.notes.push(text.clone()),
                        None => cell.notes.push(text.clone()),
                    }
                }
            },
            EventKind::StopRequested { reason } => self.stops.push(reason.clone()),
            EventKind::InventoryTaken { left } => self.inventory = Some(left.clone()),
            EventKind::RunFinished => self.finished = Some(event.at),
        }
        Ok(())
    }

    fn cell_mut(&mut self, id: &CellId) -> Result<&mut CellState, String> {
        self.cells.iter_mut().find(|c| c.id == *id).ok_or_else(|| format!("cell {id} is not planned"))
    }

    fn open_lease(&mut self, cell: &CellId, lease: &LeaseId) -> Result<&mut LeaseState, String> {
        self.cell_mut(cell)?
            .leases
            .iter_mut()
            .find(|l| l.lease == *lease && l.end.is_none())
            .ok_or_else(|| format!("lease {lease} is not open in cell {cell}"))
    }

    fn open_attempt(&mut self, cell: &CellId, subject: &Subject, number: u32) -> Result<&mut Attempt, String> {
        let state = find_subject(self.cell_mut(cell)?, subject)?;
        state
            .attempts
            .last_mut()
            .filter(|a| a.number == number && a.finished.is_none())
            .ok_or_else(|| format!("attempt {number} of {subject} is not open in cell {cell}"))
    }

    /// The cell with this id.
    #[must_use]
    pub fn cell(&self, id: &CellId) -> Option<&CellState> {
        self.cells.iter().find(|c| c.id == *id)
    }

    /// Every planned (cell, subject) with what came of it, in report order.
    pub fn outcomes(&self) -> impl Iterator<Item = (&CellId, &Subject, Outcome)> {
        self.cells.iter().flat_map(|cell| cell.subjects.iter().map(|s| (&cell.id, &s.subject, s.outcome())))
    }

    /// What is known to be left in the account: leases that leaked, and the closing inventory.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Resource> {
        let mut left: Vec<Resource> = self.inventory.clone().unwrap_or_default();
        for lease in self.cells.iter().flat_map(|c| &c.leases) {
            if let Some(LeaseEnd::Leaked { left: some, .. }) = &lease.end {
                left.extend(some.iter().filter(|r| !left.contains(r)).cloned().collect::<Vec<_>>());
            }
        }
        left
    }

    /// What the run has cost, as far as that was found out; absent where no lease was charged.
    #[must_use]
    pub fn cost(&self) -> Option<Amount> {
        let costs: Vec<Amount> = self.cells.iter().filter_map(CellState::cost).collect();
        (!costs.is_empty()).then(|| costs.into_iter().sum())
    }

    /// Leases whose end is unknown or bad.
    pub fn unreleased(&self) -> impl Iterator<Item = (&CellId, &LeaseState)> {
        self.cells
            .iter()
            .flat_map(|c| c.leases.iter().map(move |l| (&c.id, l)))
            .filter(|(_, l)| !matches!(l.end, Some(LeaseEnd::Released(_))))
    }

    /// The exit code this record stands for. Judged against the plan: absence is never success.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let outcomes: Vec<Outcome> = self.outcomes().map(|(_, _, o)| o).collect();
        if outcomes.iter().any(|o| matches!(o, Outcome::Failed(_))) {
            return Exit::Fail;
        }
        let examined = outcomes.iter().any(|o| matches!(o, Outcome::Passed));
        let unclear = outcomes.iter().any(|o| matches!(o, Outcome::Inconclusive { .. }));
        // A lease without a closing inventory is not proved to be gone.
        let unproved = self.inventory.is_none() && self.cells.iter().any(|c| !c.leases.is_empty());
        let leftovers = unproved || !self.leftovers().is_empty() || self.unreleased().next().is_some();
        // A leak also makes its Teardown inconclusive; when nothing else is unclear, the leak is what there is to say.
        let only_teardown_unclear = self
            .outcomes()
            .filter(|(_, _, o)| matches!(o, Outcome::Inconclusive { .. }))
            .all(|(_, s, _)| *s == Subject::Teardown);
        if self.finished.is_none() || !examined || (unclear && !(leftovers && only_teardown_unclear)) {
            return Exit::Inconclusive;
        }
        if leftovers { Exit::Leftovers } else { Exit::Pass }
    }
}

fn find_subject<'a>(cell: &'a mut CellState, subject: &Subject) -> Result<&'a mut SubjectState, String> {
    let id = cell.id.clone();
    cell.subjects
        .iter_mut()
        .find(|s| s.subject == *subject)
        .ok_or_else(|| format!("{subject} is not planned in cell {id}"))
}
