//! Waits for actions. Whoever waits, one request asks for up to 25 of them: one of the waiting asks for all, the others look
//! at what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gsh_engine::cx::Cx;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::api::{Api, Call, rest};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::wire::Action;

/// Most actions in one request; the official clients keep to it too.
const BATCH: usize = 25;

const CALL: &str = "GET /actions";

#[derive(Deserialize)]
struct Actions {
    actions: Vec<Action>,
}

/// All actions that somebody waits for. Work and teardown have one each, so that work that has to wait for the account's
/// request limit does not hold up teardown.
#[derive(Default)]
pub(crate) struct Watched {
    work: Board,
    teardown: Board,
}

struct Board {
    rows: Mutex<Rows>,
    /// Who holds it asks; its pause is the one before the next look.
    turn: tokio::sync::Mutex<()>,
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Rows {
    rows: BTreeMap<u64, Row>,
    pause: Duration,
}

/// An action that somebody waits for.
struct Row {
    waiting: u32,
    seen: Seen,
}

#[derive(Debug, Clone)]
enum Seen {
    Running,
    /// With an error or without; an action that the API does not know any more has ended somehow.
    Ended(Option<Fault>),
}

/// How an action ended badly.
#[derive(Debug, Clone)]
struct Fault {
    command: String,
    code: String,
    message: String,
}

impl Seen {
    fn of(action: &Action) -> Self {
        match action.status.as_str() {
            "running" => Self::Running,
            "error" => {
                let said = action.error.clone().unwrap_or_default();
                Self::Ended(Some(Fault { command: action.command.clone(), code: said.code, message: said.message }))
            }
            // `success`, and whatever may be invented besides: the state of the thing itself is looked at anyway.
            _ => Self::Ended(None),
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        Self { rows: Mutex::default(), turn: tokio::sync::Mutex::default(), news: watch::Sender::new(()) }
    }
}

/// What one caller waits for; nobody does any more when it is dropped.
struct Mine<'a> {
    board: &'a Board,
    ids: BTreeSet<u64>,
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        let mut rows = self.board.rows();
        for id in &self.ids {
            let last = rows.rows.get_mut(id).is_none_or(|row| {
                row.waiting = row.waiting.saturating_sub(1);
                row.waiting == 0
            });
            if last {
                rows.rows.remove(id);
            }
        }
    }
}

impl Watched {
    /// Waits until every action has ended well.
    ///
    /// # Errors
    /// [`Trouble::Action`] for the first one that ended badly, once all have ended; [`Trouble::OutOfTime`].
    pub(crate) async fn finished(
        &self,
        api: &Api,
        cx: &Cx,
        actions: Vec<Action>,
        patience: Duration,
        purpose: Purpose,
    ) -> Result<(), ApiError> {
        let board = match purpose {
            Purpose::Work => &self.work,
            Purpose::Teardown => &self.teardown,
        };
        let deadline = cx.deadline().min(Instant::now() + patience);
        let mine = board.wait_for(api, &actions);
        let mut news = board.news.subscribe();
        loop {
            news.mark_unchanged();
            let running = mine.running();
            if running.is_empty() {
                return match mine.fault() {
                    None => Ok(()),
                    Some(Fault { command, code, message }) => {
                        Err(ApiError::silent(CALL, Trouble::Action { command, code, message }))
                    }
                };
            }
            tokio::select! {
                // An error only says that the board is gone, and it is borrowed.
                _ = news.changed() => {}
                turn = board.turn.lock() => {
                    board.look(api, cx, deadline, purpose).await?;
                    drop(turn);
                }
                () = cx.stopped() => return Err(ApiError::silent(CALL, Trouble::Stopped)),
                () = tokio::time::sleep_until(deadline) => {
                    let last = format!("actions {running:?} still running");
                    return Err(ApiError::silent(CALL, Trouble::OutOfTime { tries: 0, last }));
                }
            }
        }
    }
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, api: &Api, actions: &[Action]) -> Mine<'_> {
        let mut rows = self.rows();
        // What is new to an idle board is looked at soon: much is done at once.
        if rows.rows.values().all(|row| matches!(row.seen, Seen::Ended(_))) {
            rows.pause = api.pace().look;
        }
        let ids: BTreeSet<u64> = actions.iter().map(|a| a.id).collect();
        for id in &ids {
            rows.rows.entry(*id).or_insert(Row { waiting: 0, seen: Seen::Running }).waiting += 1;
        }
        rows.learn(actions);
        Mine { board: self, ids }
    }

    /// Rests, asks for everything that runs, and tells everybody. Ends early without having asked when it has to rest for
    /// longer than until `deadline`: then somebody else may.
    async fn look(&self, api: &Api, cx: &Cx, deadline: Instant, purpose: Purpose) -> Result<(), ApiError> {
        let pause = {
            let mut rows = self.rows();
            let pause = rows.pause;
            rows.pause = (pause * 2).min(api.pace().look_longest);
            pause
        };
        let pause = pause.min(deadline.saturating_duration_since(Instant::now()));
        if !rest(cx, pause).await {
            return Err(ApiError::silent(CALL, Trouble::Stopped));
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
        let running: Vec<u64> = {
            let rows = self.rows();
            rows.rows.iter().filter(|(_, row)| matches!(row.seen, Seen::Running)).map(|(id, _)| *id).collect()
        };
        for ids in running.chunks(BATCH) {
            let mut query: Vec<(&str, String)> = ids.iter().map(|id| ("id", id.to_string())).collect();
            query.push(("per_page", "50".to_owned()));
            let seen: Actions = api.read(cx, Call::get("/actions", query, purpose)).await?;
            let mut rows = self.rows();
            rows.learn(&seen.actions);
            for id in ids.iter().filter(|id| !seen.actions.iter().any(|a| a.id == **id)) {
                if let Some(row) = rows.rows.get_mut(id) {
                    row.seen = Seen::Ended(None);
                }
            }
        }
        self.news.send_replace(());
        Ok(())
    }
}

impl Rows {
    fn learn(&mut self, actions: &[Action]) {
        for action in actions {
            if let Some(row) = self.rows.get_mut(&action.id)
                && matches!(row.seen, Seen::Running)
            {
                row.seen = Seen::of(action);
            }
        }
    }
}

impl Mine<'_> {
    fn running(&self) -> Vec<u64> {
        let rows = self.board.rows();
        let runs = |id: &&u64| rows.rows.get(id).is_some_and(|row| matches!(row.seen, Seen::Running));
        self.ids.iter().filter(runs).copied().collect()
    }

    /// The first action that ended badly: in a chain it is the cause, the others are only cancelled.
    fn fault(&self) -> Option<Fault> {
        let rows = self.board.rows();
        self.ids.iter().find_map(|id| match rows.rows.get(id).map(|row| &row.seen) {
            Some(Seen::Ended(fault)) => fault.clone(),
            Some(Seen::Running) | None => None,
        })
    }
}
