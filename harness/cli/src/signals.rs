//! The only place that sees signals: the first one asks for an orderly stop, the second one for a hasty one.

use gsh_engine::stop::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// Hands SIGINT and SIGTERM to the stop until the future is dropped.
pub(crate) async fn listen(stop: Stop) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the default action ends the process; leases are then found by `gsh sweep`.
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => stop.signal(),
            _ = terminate.recv() => stop.signal(),
        }
    }
}
