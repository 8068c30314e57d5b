//! Can the user of a workspace write where their work is kept?

use std::time::Duration;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_gitpod::exec::{Done, in_workspace};
use gsh_gitpod::wsman::{Launch, Workspace, WsManager};
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// From asking to running, with images that no node has yet.
const START: Duration = Duration::from_secs(10 * 60);
/// From asking to gone.
const STOP: Duration = Duration::from_secs(5 * 60);

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("files-in-workspace"),
        asks: "can its user write where their work is kept".to_owned(),
        needs: vec![Need::Writable],
        impact: Impact::CreatesWorkspace,
        patience_s: 15 * 60,
        file: "tests/it/docs/worked_example.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let launch = Launch::new(bench.installation(), &bench.cluster().lease);
    let workspace = Workspace::new(&wsman, launch);

    // The names are decided, nothing is asked for yet: whatever becomes of the request, its workspace is stopped.
    let (to_stop, cx) = (workspace.clone(), bench.cx().teardown(STOP));
    bench.undo("the workspace", async move { to_stop.stop(&cx.within(STOP), "GSH-TST-101", STOP).await });

    let starts = workspace.run(bench.cx(), "GSH-TST-102", START);
    bench.check("GSH-TST-102", "a workspace starts and runs", starts).await?;
    bench.check("GSH-TST-103", "what is written can be read", written(bench, &workspace)).await?;
    bench.check("GSH-TST-104", "what nobody wrote cannot", unwritten(bench, &workspace)).await
}

async fn written(bench: &Bench, workspace: &Workspace) -> Result<(), Failure> {
    let code = "GSH-TST-103";
    let done = shell(bench, workspace, code, "echo gsh > /workspace/note && cat /workspace/note").await?;
    bench.keep("note.txt", done.stdout.as_bytes()).await;
    match (done.code, done.stdout.trim()) {
        (0, "gsh") => Ok(()),
        // Nobody can write to a full disk. Whose disk it is, the product does not decide.
        _ if done.stderr.contains("No space left on device") => {
            Err(Failure::environment(code, "the node has room for a file", done.stderr.trim()))
        }
        (exit, read) => {
            let observed = format!("exit code {exit}, read `{read}`: {}", done.stderr.trim());
            Err(Failure::product(code, "a file in /workspace holds what was written", observed))
        }
    }
}

/// Proves that an exit code of 0 above means something.
async fn unwritten(bench: &Bench, workspace: &Workspace) -> Result<(), Failure> {
    let code = "GSH-TST-104";
    let done = shell(bench, workspace, code, "cat /workspace/never-written").await?;
    if done.code == 0 {
        return Err(Failure::product(code, "reading a file that nobody wrote fails", "it succeeded"));
    }
    Ok(())
}

async fn shell(bench: &Bench, workspace: &Workspace, code: &'static str, command: &str) -> Result<Done, Failure> {
    let namespace = &bench.installation().namespace;
    in_workspace(bench.cx(), bench.cluster(), namespace, &workspace.pod(), command, code).await
}
