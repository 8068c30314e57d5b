//! Whose fault it is, door by door: the very decisions that installing and examining make, open to the labelled corpus of
//! failures (`tests/it/failures.toml`). Nothing here decides anything itself.

use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_engine::wait::WaitError;
use gsh_model::outcome::Blame;
use gsh_wsman::words::WorkspacePhase;
use gsh_wsman::workspace::{WorkspaceConditions, WorkspaceStatus};
use serde_json::Value;
use tonic::{Code, Status};

use crate::exec;
use crate::install::{errand, judge, ready, trouble, verdict};
use crate::wsman::error::WsmanError;
use crate::wsman::{watcher, workspace};
use gsh_kube::api;
use gsh_kube::follow::View;

const CHECK: &str = "GSH-INS-008";

/// Of an installation whose pods were seen like this one after the other, and which was then not ready in time.
#[must_use]
pub fn pods(seen: &[Value]) -> Blame {
    let mut view = View::default();
    for pod in seen {
        if let Some(found) = trouble::of_pod(pod, 3) {
            return found.blame();
        }
        view.put("Pod", pod.clone());
    }
    let patience = Duration::from_secs(1);
    let late = WaitError::TimedOut { what: "everything is ready".to_owned(), patience, last: "not ready".to_owned() };
    ready::late(&view, late.blame(Blame::Product, CHECK)).blame
}

/// Of an object of the installation; nothing when it is ready, or may still become so.
#[must_use]
pub fn object(kind: &str, object: &Value) -> Option<Blame> {
    match judge::of(kind, object) {
        Some(judge::State::Broken(_)) => Some(ready::BROKEN),
        Some(judge::State::Ready | judge::State::NotYet(_)) | None => None,
    }
}

/// Of the installer, by the errand (`version`, `config`, `cluster`), its exit code and what it printed; nothing when it is
/// content.
#[must_use]
pub fn installer(errand: &str, code: i64, stdout: &str, stderr: &str) -> Option<Blame> {
    let output = errand::Output { code, text: stdout.to_owned(), errors: stderr.to_owned() };
    let end = match errand {
        "version" => verdict::version(&output, CHECK).map(drop),
        "config" => verdict::config(&output, CHECK).map(drop),
        _cluster => verdict::cluster(&output, CHECK).map(drop),
    };
    end.err().map(|f| f.blame)
}

/// Of an answer of the Kubernetes API to an object of the installation.
#[must_use]
pub fn kubernetes(code: u16, reason: &str, message: &str) -> Blame {
    let status = kube::core::Status::failure(message, reason).with_code(code);
    api::failure(&kube::Error::Api(status.boxed()), Blame::Product, CHECK, "the object is accepted").blame
}

/// Of ws-manager's answer to a start. `code` is a gRPC code by number.
#[must_use]
pub fn wsman(code: i32, message: &str) -> Blame {
    let error = WsmanError::from_status("StartWorkspace", &Status::new(Code::from(code), message));
    workspace::refused(&error, "GSH-WSP-003", "the workspace starts").blame
}

/// Of a condition `failed` of a workspace; nothing when there is none.
#[must_use]
pub fn workspace(failed: &str) -> Option<Blame> {
    let conditions = Some(WorkspaceConditions { failed: failed.to_owned(), ..WorkspaceConditions::default() });
    let status = WorkspaceStatus { phase: WorkspacePhase::Creating.into(), conditions, ..WorkspaceStatus::default() };
    let end = watcher::judge(&status, WorkspacePhase::Running, "GSH-WSP-003", "the workspace runs");
    end.and_then(Result::err).map(|f| f.blame)
}

/// Of a way into a workspace that showed this; nothing when the command ended and told its code.
#[must_use]
pub fn way_in(stdout: &str, stderr: &str, marker: &str) -> Option<Blame> {
    exec::judge(stdout, stderr, marker, "GSH-DKR-002", "a command runs").err().map(|f: Failure| f.blame)
}

/// Whether a text speaks of what neither side runs: a registry that limits or fails, a node without room.
#[must_use]
pub fn is_outside(text: &str) -> bool {
    trouble::is_outside(text)
}
