//! Does a workspace start, serve, stop and come back with its files?

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_engine::wait::{self, Progress};
use gsh_gitpod::http::Front;
use gsh_gitpod::wsman::{ErrorKind, WsManager, workspace_id};
use gsh_model::outcome::Blame;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};

use crate::guest::{Guest, STOP, launch, succeeded};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// How long ws-manager may take for its first answer. What breaks a way or keeps a machine busy passes; one that is silent stays so.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// Where supervisor says whether the workspace's content is there; only its owner may ask.
const CONTENT: &str = "/_supervisor/v1/status/content";
/// The header that carries the owner's token.
const TOKEN: &str = "x-gitpod-owner-token";

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("workspace-start"),
        asks: "does a workspace start, serve, stop and come back with its files".to_owned(),
        needs: vec![Need::Writable],
        impact: Impact::CreatesWorkspace,
        patience_s: 35 * 60,
        file: "scenarios/src/workspace_start.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    bench.check("GSH-WSP-001", "ws-manager answers", answers(bench, &wsman)).await?;
    bench
        .check("GSH-WSP-002", "ws-manager knows no workspace that was never started", unknown_is_not_found(&wsman))
        .await?;
    let guest = Guest::open(bench, &wsman, launch(bench), "GSH-WSP-003", "a workspace starts and runs").await?;

    let front = Front::new(bench.cluster(), bench.installation())?;
    let host = format!("{}.ws.{}", guest.id(), bench.installation().domain);
    // Who is let in and who is not are independent observations: each one is made whatever the others say.
    let open = bench
        .check("GSH-WSP-004", "the owner reaches the workspace", owner_is_let_in(&front, &host, guest.token()))
        .await;
    let none = bench
        .check("GSH-WSP-005", "nobody reaches it without a token", expect(&front, &host, None, 401, "GSH-WSP-005"))
        .await;
    let wrong = bench
        .check(
            "GSH-WSP-006",
            "a wrong token is refused",
            expect(&front, &host, Some("not-the-token"), 403, "GSH-WSP-006"),
        )
        .await;
    let nobody = bench
        .check("GSH-WSP-007", "a workspace that does not exist is not served", unknown_is_not_served(bench, &front))
        .await;
    for seen in [open, none, wrong, nobody] {
        seen?;
    }

    let word = format!("kept-{}", guest.workspace().instance());
    bench.check("GSH-WSP-008", "its user can write a file", write(bench, &guest, &word)).await?;
    bench
        .check("GSH-WSP-009", "it stops and is backed up", guest.workspace().stop(bench.cx(), "GSH-WSP-009", STOP))
        .await?;
    let again = guest.launch().again();
    let back = Guest::open(bench, &wsman, again, "GSH-WSP-010", "it starts again from its backup").await?;
    bench.check("GSH-WSP-011", "its file is there again", read(bench, &back, &word)).await
}

async fn answers(bench: &Bench, wsman: &WsManager) -> Result<(), Failure> {
    let (code, expected) = ("GSH-WSP-001", "ws-manager describes its cluster");
    let blame = Mutex::new(Blame::Product);
    let classes = wait::until(bench.cx(), expected, FIRST_ANSWER, || async {
        match wsman.describe_cluster().await {
            Ok(classes) => Ok(Progress::Ready(classes)),
            Err(e) if e.is_transient() || e.kind == ErrorKind::Silent => {
                *blame.lock().unwrap_or_else(PoisonError::into_inner) = e.blame();
                Ok(Progress::NotYet(e.to_string()))
            }
            Err(e) => Err(e.failure(code, expected)),
        }
    });
    let classes = classes.await;
    let blame = blame.into_inner().unwrap_or_else(PoisonError::into_inner);
    if classes.map_err(|e| e.blame(blame, code))?.is_empty() {
        return Err(Failure::product(code, "at least one workspace class", "none"));
    }
    Ok(())
}

async fn unknown_is_not_found(wsman: &WsManager) -> Result<(), Failure> {
    let expected = "an instance that was never started is NOT_FOUND";
    match wsman.describe("00000000-0000-4000-8000-000000000000").await {
        Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.failure("GSH-WSP-002", expected)),
        Ok(_) => Err(Failure::product("GSH-WSP-002", expected, "it was described")),
    }
}

async fn owner_is_let_in(front: &Front, host: &str, token: &str) -> Result<(), Failure> {
    let code = "GSH-WSP-004";
    let expected = format!("https://{host}{CONTENT} says that the content is available");
    let reply =
        front.get_from(host, CONTENT, &[(TOKEN, token)]).await.map_err(|e| e.failure(code, expected.as_str()))?;
    let available = serde_json::from_slice::<serde_json::Value>(&reply.body)
        .ok()
        .and_then(|v| v.get("available").and_then(serde_json::Value::as_bool));
    if reply.status == 200 && available == Some(true) {
        return Ok(());
    }
    let text: String = reply.text().trim().chars().take(200).collect();
    Err(Failure::product(code, expected, format!("status {}: {text}", reply.status)))
}

async fn expect(
    front: &Front,
    host: &str,
    token: Option<&str>,
    status: u16,
    code: &'static str,
) -> Result<(), Failure> {
    let expected = format!("https://{host}{CONTENT} answers {status}");
    let headers: Vec<(&str, &str)> = token.map(|t| (TOKEN, t)).into_iter().collect();
    let reply = front.get_from(host, CONTENT, &headers).await.map_err(|e| e.failure(code, expected.as_str()))?;
    if reply.status == status {
        return Ok(());
    }
    Err(Failure::product(code, expected, format!("status {}", reply.status)))
}

async fn unknown_is_not_served(bench: &Bench, front: &Front) -> Result<(), Failure> {
    let host = format!("{}.ws.{}", workspace_id(), bench.installation().domain);
    let expected = format!("https://{host}/ redirects to the page that says so");
    let reply = front.get_from(&host, "/", &[]).await.map_err(|e| e.failure("GSH-WSP-007", expected.as_str()))?;
    let location = reply.location().unwrap_or_default().to_owned();
    if reply.status.is_redirection() && location.contains("not_found=true") {
        return Ok(());
    }
    Err(Failure::product("GSH-WSP-007", expected, format!("status {}, location `{location}`", reply.status)))
}

async fn write(bench: &Bench, guest: &Guest, word: &str) -> Result<(), Failure> {
    let code = "GSH-WSP-008";
    let done =
        guest.run(bench, code, &format!("printf %s {word} > /workspace/gsh-kept && cat /workspace/gsh-kept")).await?;
    succeeded(&done, code, "a file is written to /workspace")?;
    if done.stdout.trim() != word {
        return Err(Failure::product(code, format!("`{word}` is read back"), format!("`{}`", done.stdout.trim())));
    }
    Ok(())
}

async fn read(bench: &Bench, guest: &Guest, word: &str) -> Result<(), Failure> {
    let code = "GSH-WSP-011";
    let done = guest.run(bench, code, "cat /workspace/gsh-kept").await?;
    succeeded(&done, code, "the file of the last instance is there")?;
    if done.stdout.trim() != word {
        return Err(Failure::product(
            code,
            format!("the file holds `{word}`"),
            format!("it holds `{}`", done.stdout.trim()),
        ));
    }
    Ok(())
}
