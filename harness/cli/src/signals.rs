//! The only place that sees signals: the first one asks for an orderly stop, the second one for a hasty one.

use gsh_engine::stop::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// Hands SIGINT and SIGTERM to a stop for as long as it lives.
#[derive(Debug)]
pub(crate) struct Listening(Option<JoinHandle<()>>);

impl Listening {
    /// From the moment this returns no signal ends the process any more: handlers are set before anything is spawned,
    /// for a signal in between would end a run that has already said that it began.
    pub(crate) fn to(stop: &Stop) -> Self {
        let (Ok(interrupt), Ok(terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            // Without handlers the default action ends the process; leases are then found by `gsh sweep`.
            return Self(None);
        };
        Self(Some(tokio::spawn(hand_on(interrupt, terminate, stop.clone()))))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn hand_on(mut interrupt: Signal, mut terminate: Signal, stop: Stop) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => stop.signal(),
            _ = terminate.recv() => stop.signal(),
        }
    }
}
