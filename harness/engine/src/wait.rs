//! The only way to wait: for a state, until a deadline, remembering the last thing seen.

use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use tokio::time::Instant;

use gsh_model::outcome::Blame;

use crate::cx::Cx;
use crate::failure::Failure;

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<T> {
    /// The state is there.
    Ready(T),
    /// Not yet; what was seen instead, one line.
    NotYet(String),
}

/// Why waiting ended without the state.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WaitError {
    /// Time ran out.
    #[error("expected {what} within {patience:?}, last saw {last}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// How long.
        patience: Duration,
        /// The last thing seen.
        last: String,
    },
    /// The probe said that waiting is pointless.
    #[error(transparent)]
    Gone(Failure),
    /// The run was asked to stop.
    #[error("{what}: the run was asked to stop")]
    Stopped {
        /// What was awaited.
        what: String,
    },
}

impl WaitError {
    /// A failure: the probe's own as it is, a time-out with this blame and code.
    #[must_use]
    pub fn blame(self, blame: Blame, code: &'static str) -> Failure {
        match self {
            Self::TimedOut { what, patience, last } => {
                Failure::new(blame, code, format!("{what} within {patience:?}"), format!("last saw {last}"))
            }
            Self::Gone(failure) => failure,
            Self::Stopped { what } => Failure::stopped(what),
        }
    }
}

/// The first pause between two looks; each further one is half as long again, up to the longest.
const FIRST: Duration = Duration::from_millis(10);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits until the probe is ready, `patience` or the context's deadline is over, or the run is asked to stop.
///
/// # Errors
/// [`WaitError`]; a time-out names what was awaited and the last thing seen.
pub async fn until<T, F, Fut>(cx: &Cx, what: &str, patience: Duration, probe: F) -> Result<T, WaitError>
where
    T: Send,
    F: FnMut() -> Fut + Send,
    Fut: Future<Output = Result<Progress<T>, Failure>> + Send,
{
    until_woken(cx, what, patience, futures::stream::pending(), probe).await
}

/// As [`until`], and looks at once whenever `woken` says that something has changed. It only shortens the pauses: one that
/// says nothing any more, or ends, makes no difference to what is waited for.
///
/// # Errors
/// [`WaitError`]; a time-out names what was awaited and the last thing seen.
pub async fn until_woken<T, F, Fut>(
    cx: &Cx,
    what: &str,
    patience: Duration,
    woken: impl Stream<Item = ()> + Send + Unpin,
    mut probe: F,
) -> Result<T, WaitError>
where
    T: Send,
    F: FnMut() -> Fut + Send,
    Fut: Future<Output = Result<Progress<T>, Failure>> + Send,
{
    let mut woken = woken.fuse();
    let deadline = cx.deadline().min(Instant::now() + patience);
    let mut last = "nothing yet".to_owned();
    let mut pause = FIRST;
    loop {
        let look = async {
            tokio::select! {
                seen = probe() => Some(seen),
                () = cx.stopped() => None,
            }
        };
        match tokio::time::timeout_at(deadline, look).await {
            Err(_) => {
                return Err(WaitError::TimedOut { what: what.to_owned(), patience, last });
            }
            Ok(None) => {
                return Err(WaitError::Stopped { what: what.to_owned() });
            }
            Ok(Some(Err(failure))) => return Err(WaitError::Gone(failure)),
            Ok(Some(Ok(Progress::Ready(value)))) => return Ok(value),
            Ok(Some(Ok(Progress::NotYet(seen)))) => last = seen,
        }
        let next = Instant::now() + pause;
        tokio::select! {
            () = tokio::time::sleep_until(next.min(deadline)) => {
                if next >= deadline {
                    return Err(WaitError::TimedOut { what: what.to_owned(), patience, last });
                }
                pause = (pause * 3 / 2).min(LONGEST);
            }
            // Much may change at once: what has come by now is one change.
            Some(()) = woken.next() => {
                while let Some(Some(())) = woken.next().now_or_never() {}
                pause = FIRST;
            }
            () = cx.stopped() => return Err(WaitError::Stopped { what: what.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Stop;

    /// How long after a state is there the wait for it returns, with and without somebody who says that it changed.
    async fn late(woken: impl Stream<Item = ()> + Send + Unpin) -> Duration {
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
        let there = Instant::now() + Duration::from_millis(10_500);
        let look = || async move {
            Ok(if Instant::now() >= there { Progress::Ready(()) } else { Progress::NotYet("not there".to_owned()) })
        };
        until_woken(&cx, "it is there", Duration::from_secs(30), woken, look).await.expect("it comes");
        there.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_looks_at_once_and_who_is_not_looks_again_and_again() {
        let change = Box::pin(futures::stream::once(tokio::time::sleep(Duration::from_millis(10_500))));
        assert!(late(change).await <= Duration::from_millis(1));
        let unheard = late(futures::stream::pending()).await;
        assert!(unheard > Duration::from_millis(100) && unheard <= LONGEST, "{unheard:?}");
        assert!(late(futures::stream::empty()).await <= LONGEST, "one that ends makes no difference");
    }
}
