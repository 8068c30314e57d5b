//! The two-stage stop.

use std::sync::{Arc, OnceLock};

use gsh_model::event::StopReason;
use tokio_util::sync::CancellationToken;

/// First stage: no new work, teardown begins. Second stage: stop waiting, even for teardown.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    first: CancellationToken,
    second: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
    ignores_first: bool,
}

impl Stop {
    /// A stop that nobody has asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the first stage; asking again changes nothing, the first reason stays.
    pub fn first(&self, reason: StopReason) {
        let _earlier = self.reason.set(reason);
        self.first.cancel();
    }

    /// Asks for the second stage.
    pub fn second(&self) {
        self.first(StopReason::Signal);
        self.second.cancel();
    }

    /// A signal: the first one asks for the first stage, the next one for the second.
    pub fn signal(&self) {
        if self.first.is_cancelled() { self.second() } else { self.first(StopReason::Signal) }
    }

    /// Why the run was asked to stop.
    #[must_use]
    pub fn reason(&self) -> Option<&StopReason> {
        self.reason.get()
    }

    /// The same stop as seen by teardown: only the second stage counts.
    #[must_use]
    pub fn second_stage_only(&self) -> Self {
        Self { ignores_first: true, ..self.clone() }
    }

    /// Whether work that holds this should end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        if self.ignores_first { self.second.is_cancelled() } else { self.first.is_cancelled() }
    }

    /// Ready when work that holds this should end.
    pub async fn requested(&self) {
        if self.ignores_first { self.second.cancelled().await } else { self.first.cancelled().await }
    }
}
