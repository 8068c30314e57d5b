//! The life of one cell: a bracket around its work. Whether the work returns, panics or is stopped, release follows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gsh_model::axis::CellId;
use gsh_model::event::EventKind;
use gsh_model::lease::LeaseId;
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::plan::PlannedCell;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::bench::{Bench, Scenario};
use crate::cx::{Cx, Place};
use crate::failure::Failure;
use crate::installer::{Installation, Installer};
use crate::provider::{Cluster, LeaseRequest, Node, Provider};
use crate::run::{Job, Keep};

/// What work gets beyond its deadline to say what it last saw. Its waits end at the deadline with the right blame; only
/// work that waits for nothing we know of is cut off, and that is ours.
const GRACE: Duration = Duration::from_secs(3);

/// Runs one cell from its first lease to its last release.
pub(crate) async fn run<P: Provider, I: Installer>(job: Arc<Job<P, I>>, planned: PlannedCell, number: usize, cx: Cx) {
    let scribe = Scribe::new(cx.clone(), &planned);
    let attempts = job.settings.attempts.max(1);
    for attempt in 1..=attempts {
        let last = attempt == attempts;
        let again = one_lease(&job, &planned, number, attempt, last, &scribe).await;
        if !again || cx.stop().is_requested() {
            break;
        }
        scribe.note(&format!("trying again on a fresh cluster, attempt {} of {attempts}", attempt + 1)).await;
    }
    scribe.settle_rest(&planned, cx.stop().is_requested()).await;
}

/// One lease of a cell. Says whether trying again on a fresh cluster makes sense.
async fn one_lease<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    planned: &PlannedCell,
    number: usize,
    attempt: u32,
    last: bool,
    scribe: &Scribe,
) -> bool {
    let cx = &scribe.cx;
    if cx.stop().is_requested() {
        return false;
    }
    let lease = LeaseId::new(&job.run, number, attempt);
    let place = scribe.start(Subject::Provision).await;
    let expires = (job.now)() + job.settings.lease_lifetime;
    let recorded =
        cx.record(EventKind::LeaseRequested { cell: planned.id.clone(), lease: lease.clone(), expires }).await;
    if !recorded {
        // No record, no creation: nobody could find it again. The state has the lease all the same, and it is over.
        let (cell, removed) = (planned.id.clone(), Vec::new());
        cx.record(EventKind::LeaseReleased { cell, lease, removed }).await;
        return false;
    }

    let work = tokio::spawn(work(Arc::clone(job), planned.clone(), lease.clone(), expires, place, scribe.clone()));
    let end = match work.await {
        Ok(end) => end,
        Err(panic) => {
            let text = panic_text(panic);
            scribe.panicked(&text).await;
            End { green: false, retry: false }
        }
    };
    if end.retry && !last && !cx.stop().is_requested() {
        scribe.note(&format!("{lease} could not be used, through no fault of the product")).await;
    }
    release(job, planned, &lease, end.green, scribe).await;
    end.retry
}

struct End {
    /// Everything passed.
    green: bool,
    /// The environment was at fault before anything was examined.
    retry: bool,
}

async fn work<P: Provider, I: Installer>(
    job: Arc<Job<P, I>>,
    planned: PlannedCell,
    lease: LeaseId,
    expires: Timestamp,
    place: Cx,
    scribe: Scribe,
) -> End {
    let patience = &job.settings.patience;
    let provision = place.within(patience.provision);
    let began = Instant::now();
    let acquired = match job.installer.site(&provision, &lease, &planned.cell) {
        Err(failure) => Err(failure),
        Ok(site) => {
            let request = LeaseRequest {
                run: job.run.clone(),
                lease: lease.clone(),
                cell_id: planned.id.clone(),
                cell: planned.cell.clone(),
                expires,
                site: site.clone(),
            };
            job.provider.acquire(&provision, &request).await.map(|cluster| (cluster, site))
        }
    };
    let (cluster, site) = match acquired {
        Ok(acquired) => acquired,
        Err(failure) => return scribe.failed(Subject::Provision, failure, began.elapsed()).await,
    };
    scribe
        .cx
        .record(EventKind::LeaseReady {
            cell: planned.id.clone(),
            lease: lease.clone(),
            servers: cluster.nodes.iter().map(|n| n.name.clone()).collect(),
        })
        .await;
    if let Some(end) = scribe.passed(&Subject::Provision, began.elapsed()).await {
        return end;
    }

    let install = scribe.start(Subject::Install).await.within(patience.install);
    let began = Instant::now();
    let installed = tokio::select! {
        installed = tokio::time::timeout_at(install.deadline() + GRACE, job.installer.install(&install, &cluster, &planned.cell, &site)) => {
            installed.unwrap_or_else(|_| Err(Failure::harness(
                "GSH-RUN-003",
                format!("the installation to end within {:?}", patience.install),
                "it was still at work",
            )))
        }
        () = install.stopped() => Err(Failure::stopped("the installation to end")),
    };
    let installation = match installed {
        Ok(installation) => installation,
        Err(failure) => return scribe.failed(Subject::Install, failure, began.elapsed()).await,
    };
    if let Some(end) = scribe.passed(&Subject::Install, began.elapsed()).await {
        return end;
    }

    let mut green = true;
    for scenario in planned.scenarios.iter().filter(|s| s.skip.is_none()) {
        if scribe.cx.stop().is_requested() {
            break;
        }
        let subject = Subject::Scenario(scenario.scenario.clone());
        let Some(known) = job.catalogue.iter().find(|s| (s.spec)().id == scenario.scenario) else {
            let cx = scribe.start(subject.clone()).await;
            let failure = Failure::harness("GSH-RUN-004", "a scenario of the catalogue", format!("`{subject}`"));
            drop(cx);
            scribe.finish(&subject, failure.into_outcome(), Duration::ZERO).await;
            green = false;
            continue;
        };
        let passed = examine(&job, &planned, &lease, &cluster, &installation, known, subject, &scribe).await;
        green &= passed;
        if !passed && job.settings.fail_fast_cell {
            break;
        }
    }
    End { green, retry: false }
}

/// Runs one scenario. Its future may be dropped; what it asked the provider for is finished, what it made is undone.
#[expect(clippy::too_many_arguments, reason = "everything that a scenario is given, in one place")]
async fn examine<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    planned: &PlannedCell,
    lease: &LeaseId,
    cluster: &Cluster,
    installation: &Installation,
    scenario: &Scenario,
    subject: Subject,
    scribe: &Scribe,
) -> bool {
    let spec = (scenario.spec)();
    let patience = Duration::from_secs(spec.patience_s).min(job.settings.patience.scenario);
    let cx = scribe.start(subject.clone()).await.within(patience);
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<Result<Node, Failure>>>(4);
    let bench = Bench::new(
        cx.clone(),
        planned.cell.clone(),
        cluster.clone(),
        installation.clone(),
        Box::new(move || {
            let ask = ask.clone();
            Box::pin(async move {
                let (answer, answered) = oneshot::channel();
                let gone = || Failure::stopped("a new node");
                ask.send(answer).await.map_err(|_| gone())?;
                answered.await.map_err(|_| gone())?
            })
        }),
    );
    let began = Instant::now();
    let mut growing = FuturesUnordered::new();
    let grow = |answer: oneshot::Sender<Result<Node, Failure>>| {
        let cx = cx.clone();
        async move {
            let node = job.provider.grow(&cx, lease).await;
            if let Ok(node) = &node {
                cx.record(EventKind::NodeAdded {
                    cell: planned.id.clone(),
                    lease: lease.clone(),
                    node: node.name.clone(),
                })
                .await;
            }
            // The scenario may be gone; the node is the lease's then.
            let _gone = answer.send(node);
        }
    };
    let mut result = {
        let mut run = (scenario.run)(&bench);
        loop {
            tokio::select! {
                result = &mut run => break result,
                Some(answer) = asked.recv() => growing.push(grow(answer)),
                Some(()) = growing.next() => {}
                () = cx.stopped() => break Err(Failure::stopped(format!("{subject} to end"))),
                () = tokio::time::sleep_until(cx.deadline() + GRACE) => break Err(Failure::harness(
                    "GSH-RUN-003",
                    format!("{subject} to end within {patience:?}"),
                    "it was still at work",
                )),
            }
        }
    };
    while growing.next().await.is_some() {}
    drop(growing);

    let undo_cx = cx.teardown(job.settings.patience.undo);
    for undo in bench.take_undo() {
        let done = tokio::select! {
            done = tokio::time::timeout_at(undo_cx.deadline(), undo.work) => done.unwrap_or_else(|_| Err(Failure::harness(
                "GSH-RUN-005",
                format!("{} to be undone within {:?}", undo.what, job.settings.patience.undo),
                "it was still at work",
            ))),
            () = undo_cx.stopped() => Err(Failure::stopped(format!("{} to be undone", undo.what))),
        };
        if let Err(failure) = done {
            cx.note(&format!("not undone: {}: {failure}", undo.what)).await;
            if result.is_ok() {
                result = Err(failure);
            }
        }
    }
    let outcome = match result {
        Err(failure) => failure.into_outcome(),
        Ok(()) => scribe.judged(&subject),
    };
    let passed = outcome == Outcome::Passed;
    scribe.finish(&subject, outcome, began.elapsed()).await;
    passed
}

/// Gives the lease back. Never cancelled by the first stage of a stop; has a deadline of its own.
async fn release<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    planned: &PlannedCell,
    lease: &LeaseId,
    green: bool,
    scribe: &Scribe,
) {
    let place = scribe.start(Subject::Teardown).await;
    let began = Instant::now();
    if job.settings.keep == Keep::OnFailure && !green {
        let reason = "kept, as asked by --keep on-failure".to_owned();
        let cx = place.teardown(job.settings.patience.teardown);
        let left = match job.provider.find(&cx, Some(&job.run)).await {
            Ok(found) => found.into_iter().filter(|f| f.lease == *lease).flat_map(|f| f.resources).collect(),
            Err(_) => Vec::new(),
        };
        place
            .record(EventKind::LeaseLeaked {
                cell: planned.id.clone(),
                lease: lease.clone(),
                left,
                reason: reason.clone(),
            })
            .await;
        let failure = Failure::environment("GSH-RUN-006", format!("{lease} to be released"), reason);
        scribe.finish(&Subject::Teardown, failure.into_outcome(), began.elapsed()).await;
        return;
    }
    let cx = place.teardown(job.settings.patience.teardown);
    let impatient = |reason: &str| crate::provider::ReleaseFailure {
        left: Vec::new(),
        failure: Failure::environment("GSH-RUN-006", format!("{lease} to be released"), reason.to_owned()),
    };
    let released = tokio::select! {
        // A provider that has noticed the stop as well knows more about what is left.
        biased;
        released = job.provider.release(&cx, lease) => released,
        () = cx.stopped() => Err(impatient("the run was told twice to stop")),
        // The provider ends by itself at the deadline and then knows what is left.
        () = tokio::time::sleep_until(cx.deadline() + GRACE) => Err(impatient("teardown took longer than its deadline")),
    };
    let outcome = match released {
        Ok(released) => {
            place
                .record(EventKind::LeaseReleased {
                    cell: planned.id.clone(),
                    lease: lease.clone(),
                    removed: released.removed,
                })
                .await;
            Outcome::Passed
        }
        Err(e) => {
            place
                .record(EventKind::LeaseLeaked {
                    cell: planned.id.clone(),
                    lease: lease.clone(),
                    left: e.left,
                    reason: e.failure.finding.observed.clone(),
                })
                .await;
            e.failure.into_outcome()
        }
    };
    scribe.finish(&Subject::Teardown, outcome, began.elapsed()).await;
}

/// Writes down what becomes of the subjects of one cell, and knows which are not settled yet.
#[derive(Clone)]
struct Scribe {
    cx: Cx,
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
    fn new(cx: Cx, planned: &PlannedCell) -> Self {
        Self { cx, cell: planned.id.clone(), subjects: Arc::default() }
    }

    fn with<T>(&self, subject: &Subject, f: impl FnOnce(&mut Written) -> T) -> T {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        f(subjects.entry(subject.clone()).or_default())
    }

    async fn start(&self, subject: Subject) -> Cx {
        let attempt = self.with(&subject, |w| {
            w.attempts += 1;
            w.open = true;
            w.attempts
        });
        self.cx.record(EventKind::SubjectStarted { cell: self.cell.clone(), subject: subject.clone(), attempt }).await;
        self.cx.at(Place { cell: self.cell.clone(), subject, attempt })
    }

    async fn finish(&self, subject: &Subject, outcome: Outcome, took: Duration) {
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
    async fn failed(&self, subject: Subject, failure: Failure, took: Duration) -> End {
        let retry = !failure.stopped && failure.blame == gsh_model::outcome::Blame::Environment;
        self.finish(&subject, failure.into_outcome(), took).await;
        End { green: false, retry }
    }

    /// Finishes a subject whose work ended well. Gives the end of the cell's work when a check says otherwise.
    async fn passed(&self, subject: &Subject, took: Duration) -> Option<End> {
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

    async fn panicked(&self, text: &str) {
        let open: Vec<Subject> = {
            let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            subjects.iter().filter(|(_, w)| w.open).map(|(s, _)| s.clone()).collect()
        };
        for subject in open {
            let failure = Failure::harness("GSH-RUN-007", format!("{subject} to end"), "gsh panicked").cause(text);
            self.finish(&subject, failure.into_outcome(), Duration::ZERO).await;
        }
    }

    async fn note(&self, text: &str) {
        self.cx.record(EventKind::Noted { cell: Some(self.cell.clone()), subject: None, text: text.to_owned() }).await;
    }

    /// What well-ended work amounts to: passed, unless one of its checks failed. A scenario that goes on after a failed
    /// check has still not passed.
    fn judged(&self, subject: &Subject) -> Outcome {
        let attempt = self.with(subject, |w| w.attempts);
        let place = Place { cell: self.cell.clone(), subject: subject.clone(), attempt };
        self.cx.failed_check(&place).map_or(Outcome::Passed, Failure::into_outcome)
    }

    /// Gives every planned subject that has no end its outcome: blocked, stopped, or never ran.
    async fn settle_rest(&self, planned: &PlannedCell, stopped: bool) {
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

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a text".to_owned()),
        Err(_) => "the task was cancelled".to_owned(),
    }
}
