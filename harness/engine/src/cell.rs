//! The life of one cell: a bracket around its work. Whether the work returns, panics or is stopped, release follows.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gsh_model::budget::{Amount, Bill};
use gsh_model::event::EventKind;
use gsh_model::lease::LeaseId;
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::plan::PlannedCell;
use gsh_model::run::{Attempt, CellState};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::bench::{Bench, Scenario};
use crate::cx::Cx;
use crate::failure::Failure;
use crate::installer::{Installation, Installer};
use crate::job::Job;
use crate::provider::{Cluster, LeaseRequest, Node, Provider};
use crate::release::{conclude, release};
use crate::scribe::{End, Scribe};
use crate::till::{Denied, Till};

/// What work gets beyond its deadline to say what it last saw. Its waits end at the deadline with the right blame; only
/// work that waits for nothing we know of is cut off, and that is ours.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// Runs one cell from its first lease to its last release. `before` is what a process that died has recorded of it.
pub(crate) async fn run<P: Provider, I: Installer>(
    job: Arc<Job<P, I>>,
    till: Arc<Till>,
    planned: PlannedCell,
    number: usize,
    before: CellState,
    cx: Cx,
) {
    // Waiting for money is not the cell's time; its deadline begins with its first cluster.
    let mut scribe = Scribe::new(cx.clone(), &planned, &before);
    for cut_off in before.leases.iter().filter(|l| l.end.is_none()) {
        release(&job, &till, &planned, (&cut_off.lease, cut_off.charged()), true, &scribe).await;
    }
    if let Some(last) = before.leases.last()
        && let Some(end) = &last.end
        && scribe.outcome(&Subject::Teardown).is_none()
    {
        conclude(&last.lease, end, &scribe).await;
    }
    let attempts = job.settings.attempts.max(1);
    let first = u32::try_from(before.leases.len()).unwrap_or(u32::MAX).saturating_add(1);
    let last = first.saturating_add(attempts.saturating_sub(spoiled(&before)));
    let wanted = scribe.wants_a_cluster(&planned, job.settings.fail_fast_cell);
    for attempt in if wanted { first..last } else { 0..0 } {
        if cx.stop().is_requested() {
            break;
        }
        let lease = LeaseId::new(&job.run, number, attempt);
        let afforded = till.reserve(&cx, &job.provider, &job.settings, (&job.plan, &planned), &lease).await;
        if attempt == first {
            scribe.cx = cx.within(job.settings.patience.cell);
        }
        let more = attempt + 1 < last;
        let again = match afforded {
            Ok(()) => one_lease(&job, &till, &planned, lease, more, &scribe).await,
            Err(Denied::TooDear(outcome)) => {
                scribe.start(Subject::Provision).await;
                scribe.finish(&Subject::Provision, outcome, Duration::ZERO).await;
                false
            }
            Err(Denied::Unknown(failure)) => {
                scribe.start(Subject::Provision).await;
                scribe.failed(Subject::Provision, failure, Duration::ZERO).await.retry
            }
        };
        if !again || !more || cx.stop().is_requested() {
            break;
        }
        scribe.note(&format!("trying again on a fresh cluster, attempt {} of {attempts}", attempt + 2 - first)).await;
    }
    scribe.settle_rest(&planned, cx.stop().is_requested()).await;
}

/// How many clusters of a cell the environment has spoiled so far.
fn spoiled(before: &CellState) -> u32 {
    let by_environment =
        |a: &&Attempt| matches!(&a.finished, Some((_, Outcome::Inconclusive { why: Why::Environment, .. })));
    let count = before
        .subjects
        .iter()
        .filter(|s| matches!(s.subject, Subject::Provision | Subject::Install))
        .flat_map(|s| &s.attempts)
        .filter(by_environment)
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// One lease of a cell. Says whether trying again on a fresh cluster makes sense.
async fn one_lease<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    till: &Till,
    planned: &PlannedCell,
    lease: LeaseId,
    more: bool,
    scribe: &Scribe,
) -> bool {
    let cx = &scribe.cx;
    let place = scribe.start(Subject::Provision).await;
    let expires = (job.now)() + job.settings.lease_lifetime;
    let recorded =
        cx.record(EventKind::LeaseRequested { cell: planned.id.clone(), lease: lease.clone(), expires }).await;
    if !recorded {
        // No record, no creation: nobody could find it again. The state has the lease all the same, and it is over.
        till.settle(&lease, Some(Amount::ZERO));
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
    if end.retry && more && !cx.stop().is_requested() {
        scribe.note(&format!("{lease} could not be used, through no fault of the product")).await;
    }
    release(job, till, planned, (&lease, Some(Bill::default())), end.green, scribe).await;
    end.retry
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
        // Examined before the process died that began this run.
        if let Some(known) = scribe.outcome(&subject) {
            green &= known == Outcome::Passed;
            continue;
        }
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
