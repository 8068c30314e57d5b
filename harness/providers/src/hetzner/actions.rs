//! Waits for actions, many at once: one request asks for up to 25 of them.

use std::collections::BTreeSet;
use std::time::Duration;

use gsh_engine::cx::Cx;
use serde::Deserialize;
use tokio::time::Instant;

use super::api::{Api, Call, rest};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::wire::Action;

/// The first pause between two looks. Short, because much is done at once; the next ones double.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two looks: one request every two seconds whatever the number of servers.
const LONGEST: Duration = Duration::from_secs(2);
/// Most actions in one request; the official clients keep to it too.
const BATCH: usize = 25;

#[derive(Deserialize)]
struct Actions {
    actions: Vec<Action>,
}

/// Waits until every action has ended well.
///
/// # Errors
/// [`Trouble::Action`] for the first one that ended badly, once all have ended; [`Trouble::OutOfTime`].
pub(crate) async fn finished(
    api: &Api,
    cx: &Cx,
    actions: Vec<Action>,
    patience: Duration,
    purpose: Purpose,
) -> Result<(), ApiError> {
    let deadline = cx.deadline().min(Instant::now() + patience);
    let mut failed = actions.iter().find_map(failure);
    let mut running: BTreeSet<u64> = actions.iter().filter(|a| is_running(a)).map(|a| a.id).collect();
    let (mut pause, mut looks) = (FIRST, 0);
    while !running.is_empty() {
        if Instant::now() + pause >= deadline {
            let last = format!("actions {running:?} still running");
            return Err(error(Trouble::OutOfTime { tries: looks, last }));
        }
        if !rest(cx, pause).await {
            return Err(error(Trouble::Stopped));
        }
        pause = (pause * 2).min(LONGEST);
        looks += 1;
        let ids: Vec<u64> = running.iter().copied().take(BATCH).collect();
        let query = ids.iter().map(|id| ("id", id.to_string())).collect();
        let seen: Actions = api.read(cx, Call::get("/actions", query, purpose)).await?;
        let still: BTreeSet<u64> = seen.actions.iter().filter(|a| is_running(a)).map(|a| a.id).collect();
        failed = failed.or_else(|| seen.actions.iter().find_map(failure));
        // An id that the API does not know any more has ended: it only says nothing about how.
        running.retain(|id| !ids.contains(id) || still.contains(id));
    }
    failed.map_or(Ok(()), |trouble| Err(error(trouble)))
}

fn is_running(action: &Action) -> bool {
    action.status == "running"
}

fn failure(action: &Action) -> Option<Trouble> {
    (action.status == "error").then(|| {
        let said = action.error.clone().unwrap_or_default();
        Trouble::Action { command: action.command.clone(), code: said.code, message: said.message }
    })
}

fn error(trouble: Trouble) -> ApiError {
    ApiError { call: "GET /actions".to_owned(), correlation: None, trouble }
}
