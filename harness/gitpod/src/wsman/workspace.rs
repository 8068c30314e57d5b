//! A workspace that we started: its life as ws-manager reports it.

use std::time::Duration;

use futures::StreamExt;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use gsh_wsman::words::{StopWorkspacePolicy, WorkspacePhase};
use gsh_wsman::workspace::WorkspaceStatus;
use tokio::time::{Instant, MissedTickBehavior};

use super::client::{Statuses, WsManager};
use super::error::{ErrorKind, WsmanError};
use super::launch::Launch;
use crate::install::trouble;

/// How often a start is asked for when the way to ws-manager breaks.
const START_ATTEMPTS: u32 = 3;
/// How often is asked although changes are subscribed to: a subscription has no snapshot, and it may break unnoticed.
const SAFETY_NET: Duration = Duration::from_secs(5);

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
}

impl Workspace {
    /// A workspace that is not started yet; its names are decided.
    #[must_use]
    pub fn new(wsman: &WsManager, launch: Launch) -> Self {
        Self { wsman: wsman.clone(), launch }
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
            let error = match self.wsman.start(self.launch.request()).await {
                Ok(answer) => {
                    let owner_token = cx.secret("owner token", answer.owner_token);
                    return Ok(Started { url: answer.url, owner_token });
                }
                Err(e) => e,
            };
            if trouble::is_rate_limit(&error.message) {
                return Err(Failure::environment(check, expected, error.to_string()));
            }
            if error.kind == ErrorKind::AlreadyExists && lost.is_some() {
                let status = self.status(check).await?;
                let token = status.as_ref().and_then(|s| s.auth.as_ref()).map(|a| a.owner_token.clone());
                let url = status.as_ref().and_then(|s| s.spec.as_ref()).map(|s| s.url.clone());
                let owner_token = cx.secret("owner token", token.unwrap_or_default());
                return Ok(Started { url: url.unwrap_or_default(), owner_token });
            }
            if !error.is_transient() {
                return Err(error.failure(check, expected));
            }
            lost = Some(error);
        }
        let failure = Failure::environment(check, expected, "ws-manager could not be asked");
        Err(lost.map_or(failure, |e| e.failure(check, expected)))
    }

    /// Starts it and waits until it runs. A condition that says it failed ends the wait at once, also while the start is
    /// still unanswered.
    ///
    /// # Errors
    /// What went wrong, with its text.
    pub async fn run(&self, cx: &Cx, check: &'static str, patience: Duration) -> Result<Running, Failure> {
        // Changes are subscribed to while the start is under way, because nothing is repeated for those who come late.
        let start = self.start(cx, check);
        let running = self.until_phase(cx, check, WorkspacePhase::Running, patience);
        let (started, status) = futures::future::try_join(start, running).await?;
        Ok(Running { started, status })
    }

    /// Waits until it has come at least as far as this phase of a good life.
    ///
    /// # Errors
    /// When it failed, stopped early, disappeared, or time is over; with the last thing seen.
    pub async fn until_phase(
        &self,
        cx: &Cx,
        check: &'static str,
        phase: WorkspacePhase,
        patience: Duration,
    ) -> Result<WorkspaceStatus, Failure> {
        let what = format!("workspace {} is {phase}", self.id());
        let deadline = cx.deadline().min(Instant::now() + patience);
        let mut watcher = Watcher::new(self.id(), check, phase, &what);
        let mut changes: Option<Statuses> = None;
        let mut ask = tokio::time::interval(SAFETY_NET);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stream = changes.get_or_insert_with(|| self.wsman.subscribe(self.launch.filter()));
            let seen = tokio::select! {
                change = stream.next() => match change {
                    Some(Ok(status)) => watcher.see(status),
                    Some(Err(e)) => {
                        changes = Some(quiet());
                        watcher.error(e)
                    }
                    None => {
                        changes = Some(quiet());
                        None
                    }
                },
                // A broken subscription is begun again here, not at once: whatever broke it may last a moment.
                _ = ask.tick() => {
                    if watcher.broken {
                        watcher.broken = false;
                        changes = None;
                    }
                    match self.wsman.describe(self.instance()).await {
                        Ok(answer) => answer.status.and_then(|status| watcher.see(status)),
                        Err(e) => watcher.error(e),
                    }
                }
                () = cx.stopped() => return Err(Failure::stopped(what)),
                () = tokio::time::sleep_until(deadline) => return Err(watcher.late(patience)),
            };
            if let Some(end) = seen {
                return end;
            }
        }
    }

    /// Its status now; nothing when it is gone.
    ///
    /// # Errors
    /// What ws-manager says, or that it says nothing.
    pub async fn status(&self, check: &'static str) -> Result<Option<WorkspaceStatus>, Failure> {
        match self.wsman.describe(self.instance()).await {
            Ok(answer) => Ok(answer.status),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.failure(check, format!("workspace {} is described", self.id()))),
        }
    }

    /// Stops it and waits until it is gone. That it never existed is fine.
    ///
    /// # Errors
    /// When it does not end, or its last backup failed.
    pub async fn stop(&self, cx: &Cx, check: &'static str, patience: Duration) -> Result<(), Failure> {
        let what = format!("workspace {} stops", self.id());
        let asked = std::sync::atomic::AtomicBool::new(false);
        let asked = &asked;
        wait::until(cx, &what, patience, || async {
            // Asking may fail once with a broken tunnel; asking again is harmless.
            if !asked.load(std::sync::atomic::Ordering::Relaxed) {
                match self.wsman.stop(self.instance(), StopWorkspacePolicy::Normally).await {
                    Ok(()) => asked.store(true, std::sync::atomic::Ordering::Relaxed),
                    Err(e) if e.is_transient() => return Ok(Progress::NotYet(e.to_string())),
                    Err(e) => return Err(e.failure(check, &what)),
                }
            }
            match self.wsman.describe(self.instance()).await {
                Err(e) if e.kind == ErrorKind::NotFound => Ok(Progress::Ready(())),
                Err(e) if e.is_transient() => Ok(Progress::NotYet(e.to_string())),
                Err(e) => Err(e.failure(check, &what)),
                Ok(answer) => stopped(answer.status.as_ref(), check, &what),
            }
        })
        .await
        .map_err(|e| e.blame(Blame::Product, check))
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

/// Judges one status after the other.
struct Watcher<'a> {
    id: &'a str,
    check: &'static str,
    wanted: WorkspacePhase,
    what: &'a str,
    seen: Option<WorkspaceStatus>,
    trouble: Option<WsmanError>,
    broken: bool,
}

type End = Option<Result<WorkspaceStatus, Failure>>;

impl<'a> Watcher<'a> {
    fn new(id: &'a str, check: &'static str, wanted: WorkspacePhase, what: &'a str) -> Self {
        Self { id, check, wanted, what, seen: None, trouble: None, broken: false }
    }

    fn see(&mut self, status: WorkspaceStatus) -> End {
        // Answers to questions and changes come by different ways; the older of two says nothing.
        if self.seen.as_ref().is_some_and(|seen| seen.status_version > status.status_version) {
            return None;
        }
        self.trouble = None;
        let end = judge(&status, self.wanted, self.check, self.what);
        self.seen = Some(status);
        end
    }

    fn error(&mut self, error: WsmanError) -> End {
        self.broken = true;
        let gone = error.kind == ErrorKind::NotFound;
        let end = match &self.seen {
            // Before the first sight of it, its pod is not made yet.
            None if gone => None,
            Some(_) if gone => {
                Some(Err(Failure::product(self.check, self.what, format!("{}; then it was gone", self.last()))))
            }
            // A silent ws-manager may still be coming up; the time-out tells.
            _ if error.is_transient() || error.kind == ErrorKind::Silent => None,
            _ => Some(Err(error.failure(self.check, self.what))),
        };
        if !gone {
            self.trouble = Some(error);
        }
        end
    }

    fn last(&self) -> String {
        match &self.seen {
            None => format!("nothing of workspace {}", self.id),
            Some(status) if status.message.is_empty() => format!("last seen {}", status.phase()),
            Some(status) => format!("last seen {} ({})", status.phase(), status.message),
        }
    }

    fn late(&self, patience: Duration) -> Failure {
        let blame = self.trouble.as_ref().map_or(Blame::Product, WsmanError::blame);
        let failure = Failure::new(blame, self.check, format!("{} within {patience:?}", self.what), self.last());
        match &self.trouble {
            Some(error) => failure.cause(error.to_string()),
            None => failure,
        }
    }
}

/// Whether a status ends the wait for a phase.
fn judge(status: &WorkspaceStatus, wanted: WorkspacePhase, check: &'static str, what: &str) -> End {
    let failed = status.conditions.as_ref().map_or("", |c| c.failed.as_str());
    if !failed.is_empty() {
        // A rate limit is nobody's fault here; whatever else ws-manager calls a failure is the product's.
        let blame = if trouble::is_rate_limit(failed) { Blame::Environment } else { Blame::Product };
        return Some(Err(Failure::new(blame, check, what, failed)));
    }
    let phase = status.phase();
    let reached = match phase {
        WorkspacePhase::Unknown | WorkspacePhase::Interrupted => false,
        WorkspacePhase::Pending
        | WorkspacePhase::Creating
        | WorkspacePhase::Initializing
        | WorkspacePhase::Running
        | WorkspacePhase::Stopping
        | WorkspacePhase::Stopped => phase >= wanted,
    };
    let ending = matches!(phase, WorkspacePhase::Stopping | WorkspacePhase::Stopped);
    if ending && wanted < WorkspacePhase::Stopping {
        return Some(Err(Failure::product(check, what, format!("it is {phase} instead: {}", status.message))));
    }
    reached.then(|| Ok(status.clone()))
}

#[cfg(test)]
mod tests {
    use gsh_wsman::workspace::WorkspaceConditions;

    use super::*;

    fn status(phase: WorkspacePhase, failed: &str, version: u64) -> WorkspaceStatus {
        let conditions = Some(WorkspaceConditions { failed: failed.to_owned(), ..WorkspaceConditions::default() });
        WorkspaceStatus { phase: phase.into(), conditions, status_version: version, ..WorkspaceStatus::default() }
    }

    fn watcher() -> Watcher<'static> {
        Watcher::new("amber-lynx-1", "GSH-WSS-001", WorkspacePhase::Running, "it is RUNNING")
    }

    fn error(kind: ErrorKind) -> WsmanError {
        WsmanError { rpc: "DescribeWorkspace", kind, message: "m".to_owned() }
    }

    #[test]
    fn only_the_phase_asked_for_ends_the_wait() {
        let mut watcher = watcher();
        for phase in [WorkspacePhase::Pending, WorkspacePhase::Creating, WorkspacePhase::Interrupted] {
            assert!(watcher.see(status(phase, "", 1)).is_none(), "{phase}");
        }
        assert!(matches!(watcher.see(status(WorkspacePhase::Running, "", 2)), Some(Ok(_))));
    }

    #[test]
    fn a_failed_condition_ends_it_at_once_and_decides_the_blame() {
        let end = |text| match watcher().see(status(WorkspacePhase::Creating, text, 1)) {
            Some(Err(failure)) => (failure.blame, failure.finding.observed),
            other => panic!("{other:?}"),
        };
        let limit = "cannot pull image: toomanyrequests: You have reached your pull rate limit";
        assert_eq!(end(limit), (Blame::Environment, limit.to_owned()));
        let other = "cannot initialize workspace: x";
        assert_eq!(end(other), (Blame::Product, other.to_owned()));
    }

    #[test]
    fn an_older_status_is_not_believed() {
        let mut watcher = watcher();
        assert!(watcher.see(status(WorkspacePhase::Creating, "", 5)).is_none());
        assert!(watcher.see(status(WorkspacePhase::Running, "", 4)).is_none());
        assert!(watcher.see(status(WorkspacePhase::Running, "", 5)).is_some());
    }

    #[test]
    fn not_found_means_gone_only_after_it_was_there() {
        let mut watcher = watcher();
        assert!(watcher.error(error(ErrorKind::NotFound)).is_none());
        assert!(watcher.see(status(WorkspacePhase::Creating, "", 1)).is_none());
        let end = watcher.error(error(ErrorKind::NotFound));
        assert!(matches!(end, Some(Err(f)) if f.finding.observed == "last seen CREATING; then it was gone"));
    }

    #[test]
    fn stopping_before_running_is_a_failure() {
        let end = watcher().see(status(WorkspacePhase::Stopping, "", 1));
        assert!(matches!(end, Some(Err(f)) if f.blame == Blame::Product));
    }

    #[test]
    fn a_time_out_blames_whoever_was_silent_last() {
        let mut lost = watcher();
        assert!(lost.error(error(ErrorKind::Lost)).is_none());
        assert_eq!(lost.late(Duration::from_secs(1)).blame, Blame::Environment);
        let mut silent = watcher();
        assert!(silent.error(error(ErrorKind::Silent)).is_none());
        assert_eq!(silent.late(Duration::from_secs(1)).blame, Blame::Product);
        assert_eq!(watcher().late(Duration::from_secs(1)).blame, Blame::Product);
    }
}
