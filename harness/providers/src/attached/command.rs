//! The operator's command that adds a node: run by a shell, in a process group of its own, so that what it started ends with it.

use std::process::Stdio;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a command that is told to end may take to clean up.
const CLEANS_UP: Duration = Duration::from_secs(10);

/// Runs it until it ends with 0. When its time is over, or everything stops, all of its processes are told to end, and ended
/// when they do not.
///
/// # Errors
/// When it ends otherwise; nothing of that is the product's.
pub(super) async fn run(cx: &Cx, command: &str, within: Duration) -> Result<(), Failure> {
    let expected = format!("`{command}` adds a node");
    let failed = |observed: String| Failure::environment("GSH-ATT-001", expected.clone(), observed);
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(command).process_group(0).kill_on_drop(true);
    // Nobody types anything there: in a group of its own, reading a terminal would stop it.
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = shell.spawn().map_err(|e| failed("it cannot be run".to_owned()).because(&e))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let end = |signal| {
        // A group that has ended already is what is wanted.
        let _gone = group.map(|group| kill_process_group(group, signal));
    };
    let ending = child.wait_with_output();
    tokio::pin!(ending);
    let ended = tokio::select! {
        ended = tokio::time::timeout(within, &mut ending) => {
            ended.map_err(|_late| failed(format!("it did not end within {within:?}")))
        }
        () = cx.stopped() => Err(Failure::stopped("the command that adds a node to end")),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(failure) => {
            end(Signal::TERM);
            let _cleaned_up = tokio::time::timeout(CLEANS_UP, &mut ending).await;
            end(Signal::KILL);
            return Err(failure);
        }
    };
    let output = ended.map_err(|e| failed("it cannot be waited for".to_owned()).because(&e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!("it ended with {}: {}", output.status, said.trim())))
}
