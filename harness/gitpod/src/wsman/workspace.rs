//! A workspace that we started: its life as ws-manager reports it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use gsh_wsman::calls::DescribeWorkspaceResponse;
use gsh_wsman::words::{StopWorkspacePolicy, WorkspaceConditionBool, WorkspacePhase};
use gsh_wsman::workspace::{WorkspaceConditions, WorkspaceStatus};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::client::{Statuses, WsManager};
use super::error::{ErrorKind, WsmanError};
use super::launch::Launch;
use super::watcher::{self, Watcher};
use crate::install::trouble;
use crate::pull;

/// How often a start is asked for when the way to ws-manager breaks.
const START_ATTEMPTS: u32 = 3;
/// How often is asked although changes are subscribed to: a subscription has no snapshot, and it may break unnoticed.
const SAFETY_NET: Duration = Duration::from_secs(5);
/// How often in a row a workspace whose start was answered may be missing: what ws-manager knows may lag behind what it did.
const MISSED: u32 = 1;
/// How long a workspace must be missing before it is taken for gone when nobody waited for the answer to its start: the
/// request may still be on its way, and ws-manager carries out a start although its caller has hung up.
const LATE_START: Duration = Duration::from_secs(3);

/// What ws-manager answered to a start.
#[derive(Debug, Clone)]
pub struct Started {
    /// Public address.
    pub url: String,
    /// The owner's token.
    pub owner_token: Secret,
}

/// A running workspace.
#[derive(Debug, Clone)]
pub struct Running {
    /// What ws-manager answered to the start.
    pub started: Started,
    /// Its status when it was seen running.
    pub status: WorkspaceStatus,
}

impl Running {
    /// The node it runs on.
    #[must_use]
    pub fn node(&self) -> &str {
        self.status.runtime.as_ref().map_or("", |r| r.node_name.as_str())
    }
}

/// One workspace. Clones are the same workspace, so that undoing can outlive the scenario.
#[derive(Clone)]
pub struct Workspace {
    wsman: WsManager,
    launch: Launch,
    start: Arc<Start>,
}

/// What is known of the request to start it.
#[derive(Debug, Default)]
struct Start {
    sent: AtomicBool,
    answered: watch::Sender<bool>,
}

impl Start {
    /// Whether it may yet be carried out.
    fn is_open(&self) -> bool {
        self.sent.load(Ordering::Relaxed) && !*self.answered.borrow()
    }
}

impl Workspace {
    /// A workspace that is not started yet; its names are decided.
    #[must_use]
    pub fn new(wsman: &WsManager, launch: Launch) -> Self {
        Self { wsman: wsman.clone(), launch, start: Arc::default() }
    }

    /// Instance id, a UUID: names pods and calls.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.launch.instance
    }

    /// Workspace id: names URLs and SSH users.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.launch.id
    }

    /// Name of its pod.
    #[must_use]
    pub fn pod(&self) -> String {
        format!("ws-{}", self.launch.instance)
    }

    /// Asks ws-manager to start it; ready once the pod is scheduled, which may take minutes when a node must come first.
    ///
    /// # Errors
    /// What ws-manager says; a rate limit of a registry is the environment's.
    pub async fn start(&self, cx: &Cx, check: &'static str) -> Result<Started, Failure> {
        let expected = format!("workspace {} starts", self.id());
        tokio::select! {
            started = self.ask_to_start(cx, check, &expected) => started,
            () = cx.stopped() => Err(Failure::stopped(expected.clone())),
            () = tokio::time::sleep_until(cx.deadline()) => {
                Err(Failure::product(check, expected.clone(), "StartWorkspace gave no answer in time"))
            }
        }
    }

    /// The tunnel may break under the call, and then nobody knows whether it was heard: ws-manager is asked again, and that
    /// the instance exists already means that it was.
    async fn ask_to_start(&self, cx: &Cx, check: &'static str, expected: &str) -> Result<Started, Failure> {
        let mut lost = None;
        for _attempt in 0..START_ATTEMPTS {
            self.start.sent.store(true, Ordering::Relaxed);
            let error = match self.wsman.start(self.launch.request()).await {
                Ok(answer) => {
                    self.start.answered.send_replace(true);
                    let owner_token = cx.secret("owner token", answer.owner_token);
                    return Ok(Started { url: answer.url, owner_token });
                }
                Err(e) => e,
            };
            if error.kind == ErrorKind::AlreadyExists && lost.is_some() {
                let status = self.status(check).await?;
                let token = status.as_ref().and_then(|s| s.auth.as_ref()).map(|a| a.owner_token.clone());
                let url = status.as_ref().and_then(|s| s.spec.as_ref()).map(|s| s.url.clone());
                let (Some(token), Some(url)) = (token.filter(|t| !t.is_empty()), url) else {
                    return Err(Failure::product(check, expected, "it exists, but its status has no address or token"));
                };
                return Ok(Started { url, owner_token: cx.secret("owner token", token) });
            }
            if !error.is_transient() || trouble::is_outside(&error.message) {
                return Err(refused(&error, check, expected));
            }
            lost = Some(error);
        }
        let failure = Failure::environment(check, expected, "ws-manager could not be asked");
        Err(lost.map_or(failure, |e| refused(&e, check, expected)))
    }

    /// Starts it and waits until it runs. A condition that says it failed ends the wait at once, also while the start is
    /// still unanswered.
    ///
    /// # Errors
    /// What went wrong, with its text.
    pub async fn run(&self, cx: &Cx, check: &'static str, patience: Duration) -> Result<Running, Failure> {
        // Changes are subscribed to first, because nothing is repeated for those who come late.
        let running = self.until_phase(cx, check, WorkspacePhase::Running, patience);
        let start = self.start(cx, check);
        let (status, started) = futures::future::try_join(running, start).await?;
        Ok(Running { started, status })
    }

    /// Waits until it has come at least as far as this phase of a good life.
    ///
    /// # Errors
    /// When it failed, stopped early, disappeared, or time is over; with the last thing seen.
    async fn until_phase(
        &self,
        cx: &Cx,
        check: &'static str,
        phase: WorkspacePhase,
        patience: Duration,
    ) -> Result<WorkspaceStatus, Failure> {
        let what = format!("workspace {} is {phase}", self.id());
        let deadline = cx.deadline().min(Instant::now() + patience);
        let mut watcher = Watcher::new((self.id(), self.instance()), check, phase, &what);
        let mut changes: Option<Statuses> = None;
        let mut ask = tokio::time::interval(SAFETY_NET);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A question under way is polled beside everything else: one that gets no answer must not keep us from stopping.
        let mut question: Option<Question<'_>> = None;
        // That it is not there says nothing when it had not been seen at the time of asking: its pod came meanwhile.
        let mut known_when_asked = false;
        // Unless its start was answered by then: its pod is made before that. It may end so soon that no change of it is heard.
        let mut answered = self.start.answered.subscribe();
        let (mut started, mut started_when_asked, mut missed) = (false, false, 0);
        loop {
            let stream = changes.get_or_insert_with(|| self.wsman.subscribe(self.launch.filter()));
            let asked = question.is_some();
            let seen = tokio::select! {
                change = stream.next() => match change {
                    Some(Ok(status)) => watcher.see(status),
                    Some(Err(e)) => {
                        changes = Some(quiet());
                        watcher.error(e)
                    }
                    None => {
                        changes = Some(quiet());
                        watcher.broken = true;
                        None
                    }
                },
                answer = answer(&mut question), if asked => {
                    question = None;
                    match answer {
                        Ok(answer) => answer.status.and_then(|status| watcher.see(status)),
                        Err(e) if e.kind == ErrorKind::NotFound && !known_when_asked => {
                            missed += u32::from(started_when_asked && !watcher.has_seen());
                            (missed > MISSED).then(|| Err(watcher.never_seen()))
                        }
                        Err(e) => watcher.error(e),
                    }
                }
                // A broken subscription is begun again here, not at once: whatever broke it may last a moment.
                _ = ask.tick(), if !asked => {
                    if watcher.broken {
                        watcher.broken = false;
                        changes = None;
                    }
                    (known_when_asked, started_when_asked) = (watcher.has_seen(), started);
                    question = Some(self.wsman.describe(self.instance()).boxed());
                    None
                }
                _ = answered.wait_for(|answered| *answered), if !started => {
                    started = true;
                    ask.reset_immediately();
                    None
                }
                () = cx.stopped() => return Err(Failure::stopped(what)),
                () = tokio::time::sleep_until(deadline) => return Err(watcher.late(patience)),
            };
            match seen {
                Some(Err(failure)) => return Err(self.with_reason(failure).await),
                Some(ok) => return ok,
                None => {}
            }
        }
    }

    /// A failure with the reason that ws-manager did not have: it copies the state of the pod, which may be past it.
    async fn with_reason(&self, mut failure: Failure) -> Failure {
        let observed = &mut failure.finding.observed;
        if pull::is_without_reason(observed)
            && let Some(complaint) = self.wsman.complaint(self.pod()).await
        {
            *observed = format!("{observed}: {complaint}");
            failure.blame = watcher::blame_of(observed);
        }
        failure
    }

    /// Its status now; nothing when it is gone.
    ///
    /// # Errors
    /// What ws-manager says, or that it says nothing.
    async fn status(&self, check: &'static str) -> Result<Option<WorkspaceStatus>, Failure> {
        match self.wsman.describe(self.instance()).await {
            Ok(answer) => Ok(answer.status),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.failure(check, format!("workspace {} is described", self.id()))),
        }
    }

    /// Stops it and waits until it is gone. That it never existed is fine, unless its start may still be on its way.
    ///
    /// # Errors
    /// When it does not end, or its last backup failed.
    pub async fn stop(&self, cx: &Cx, check: &'static str, patience: Duration) -> Result<(), Failure> {
        let what = format!("workspace {} stops", self.id());
        let (heard, lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let (heard, lost) = (&heard, &lost);
        // What may pass, and whether it is the way to ws-manager that is in trouble: that decides the blame of a time-out.
        let passing = |e: &WsmanError| {
            lost.store(e.blame() == Blame::Environment, Ordering::Relaxed);
            (e.is_transient() || e.kind == ErrorKind::Silent).then(|| Progress::NotYet(e.to_string()))
        };
        let passing = &passing;
        let settled = Instant::now() + LATE_START;
        // A change is a reason to look, no more: a subscription has no snapshot and may break unnoticed.
        let changes = self.wsman.subscribe(self.launch.filter()).map(drop);
        let ended = wait::until_woken(cx, &what, patience, changes, || async {
            // Asking again is harmless, and it must be done: ws-manager says yes for a workspace that it does not know yet.
            if !heard.load(Ordering::Relaxed) {
                match self.wsman.stop(self.instance(), StopWorkspacePolicy::Normally).await {
                    Ok(()) => heard.store(true, Ordering::Relaxed),
                    Err(e) => return passing(&e).ok_or_else(|| e.failure(check, &what)),
                }
            }
            match self.wsman.describe(self.instance()).await {
                Err(e) if e.kind == ErrorKind::NotFound && self.start.is_open() && Instant::now() < settled => {
                    heard.store(false, Ordering::Relaxed);
                    Ok(Progress::NotYet("it is not there, but its start was never answered".to_owned()))
                }
                Err(e) if e.kind == ErrorKind::NotFound => Ok(Progress::Ready(())),
                Err(e) => passing(&e).ok_or_else(|| e.failure(check, &what)),
                Ok(answer) => {
                    lost.store(false, Ordering::Relaxed);
                    heard.store(is_ending(answer.status.as_ref()), Ordering::Relaxed);
                    stopped(answer.status.as_ref(), check, &what)
                }
            }
        })
        .await;
        let late = if lost.load(Ordering::Relaxed) { Blame::Environment } else { Blame::Product };
        ended.map_err(|e| e.blame(late, check))
    }
}

/// Whether a workspace knows that it was asked to stop, or is on its way out for a reason of its own.
fn is_ending(status: Option<&WorkspaceStatus>) -> bool {
    status.is_some_and(|status| {
        let asked = status.conditions.as_ref().map(WorkspaceConditions::stopped_by_request);
        asked == Some(WorkspaceConditionBool::True)
            || matches!(status.phase(), WorkspacePhase::Stopping | WorkspacePhase::Stopped)
    })
}

/// A start that was refused. What ws-manager only passes on from a registry or a node without room is not the product's.
pub(crate) fn refused(error: &WsmanError, check: &'static str, expected: &str) -> Failure {
    if trouble::is_outside(&error.message) {
        return Failure::environment(check, expected, error.to_string());
    }
    error.failure(check, expected)
}

type Question<'a> = BoxFuture<'a, Result<DescribeWorkspaceResponse, WsmanError>>;

/// The answer to a question; never, when there is none.
async fn answer(question: &mut Option<Question<'_>>) -> Result<DescribeWorkspaceResponse, WsmanError> {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}

/// A subscription that never says anything, in place of a broken one until the next tick.
fn quiet() -> Statuses {
    futures::stream::pending().boxed()
}

fn stopped(status: Option<&WorkspaceStatus>, check: &'static str, what: &str) -> Result<Progress<()>, Failure> {
    let Some(status) = status else { return Ok(Progress::NotYet("no status".to_owned())) };
    let failed = status.conditions.as_ref().map_or("", |c| c.failed.as_str());
    if failed.contains("last backup failed") {
        return Err(Failure::product(check, what, failed));
    }
    match status.phase() {
        WorkspacePhase::Stopped => Ok(Progress::Ready(())),
        phase => Ok(Progress::NotYet(phase.to_string())),
    }
}
