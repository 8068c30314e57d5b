//! Waiting for a phase: judges what ws-manager says about one workspace, one answer after the other.

use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_model::outcome::Blame;
use gsh_wsman::words::WorkspacePhase;
use gsh_wsman::workspace::WorkspaceStatus;

use super::error::{ErrorKind, WsmanError};
use crate::install::trouble;

/// Judges one status after the other.
pub(crate) struct Watcher<'a> {
    id: &'a str,
    instance: &'a str,
    check: &'static str,
    wanted: WorkspacePhase,
    what: &'a str,
    seen: Option<WorkspaceStatus>,
    trouble: Option<WsmanError>,
    /// Whether the way to ws-manager broke since it was last looked at.
    pub(crate) broken: bool,
}

/// The end of the wait, if it is there.
pub(crate) type End = Option<Result<WorkspaceStatus, Failure>>;

impl<'a> Watcher<'a> {
    /// Of an instance of a workspace, by their ids.
    pub(crate) fn new(
        (id, instance): (&'a str, &'a str),
        check: &'static str,
        wanted: WorkspacePhase,
        what: &'a str,
    ) -> Self {
        Self { id, instance, check, wanted, what, seen: None, trouble: None, broken: false }
    }

    /// Whether anything was seen of it.
    pub(crate) fn has_seen(&self) -> bool {
        self.seen.is_some()
    }

    pub(crate) fn see(&mut self, status: WorkspaceStatus) -> End {
        // Changes are subscribed to by workspace: the last words of an earlier instance of it come this way, too.
        if status.id != self.instance {
            return None;
        }
        // Answers to questions and changes come by different ways; the older of two says nothing.
        if self.seen.as_ref().is_some_and(|seen| seen.status_version > status.status_version) {
            return None;
        }
        self.trouble = None;
        let end = judge(&status, self.wanted, self.check, self.what);
        self.seen = Some(status);
        end
    }

    pub(crate) fn error(&mut self, error: WsmanError) -> End {
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

    /// The failure of one whose start was answered and of which nothing was seen, because it is gone.
    pub(crate) fn never_seen(&self) -> Failure {
        let observed =
            "its start was answered, but ws-manager does not know it: it ended before anything was seen of it";
        Failure::product(self.check, self.what, observed)
    }

    pub(crate) fn late(&self, patience: Duration) -> Failure {
        let blame = self.trouble.as_ref().map_or(Blame::Product, WsmanError::blame);
        let failure = Failure::new(blame, self.check, format!("{} within {patience:?}", self.what), self.last());
        match &self.trouble {
            Some(error) => failure.cause(error.to_string()),
            None => failure,
        }
    }
}

/// Whose fault it is that a workspace failed, from ws-manager's words: registries and nodes without room are nobody's fault
/// here; whatever else it calls a failure is the product's.
pub(crate) fn blame_of(failed: &str) -> Blame {
    if trouble::is_outside(failed) { Blame::Environment } else { Blame::Product }
}

/// Whether a status ends the wait for a phase.
pub(crate) fn judge(status: &WorkspaceStatus, wanted: WorkspacePhase, check: &'static str, what: &str) -> End {
    let failed = status.conditions.as_ref().map_or("", |c| c.failed.as_str());
    if !failed.is_empty() {
        return Some(Err(Failure::new(blame_of(failed), check, what, failed)));
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
        WorkspaceStatus {
            id: "now".to_owned(),
            phase: phase.into(),
            conditions,
            status_version: version,
            ..WorkspaceStatus::default()
        }
    }

    fn watcher() -> Watcher<'static> {
        Watcher::new(("amber-lynx-1", "now"), "GSH-TST-001", WorkspacePhase::Running, "it is RUNNING")
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
    fn an_earlier_instance_of_the_workspace_says_nothing_of_this_one() {
        let mut watcher = watcher();
        let earlier = WorkspaceStatus { id: "before".to_owned(), ..status(WorkspacePhase::Stopped, "no disk", 9) };
        assert!(watcher.see(earlier).is_none() && !watcher.has_seen());
        assert!(matches!(watcher.see(status(WorkspacePhase::Running, "", 2)), Some(Ok(_))));
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
