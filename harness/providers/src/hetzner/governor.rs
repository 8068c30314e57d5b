//! Shares the account's hourly requests between all leases of a run, and keeps some back for teardown.
//!
//! The API counts for us: every answer carries `RateLimit-Limit` and `RateLimit-Remaining`, and the bucket refills evenly
//! over an hour. Below the reserve, work that is not teardown waits for the refill, so it goes on at the pace of the refill.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// In which an empty bucket becomes full, in seconds.
const REFILL_S: f64 = 3600.0;

/// One part in this many of the bucket is kept back for teardown: 600 of 3600.
const RESERVE_PART: u32 = 6;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Making and looking.
    Work,
    /// Removing; may use the reserve.
    Teardown,
}

/// What the account has left, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    limit: u32,
    level: f64,
    at: Instant,
}

impl Known {
    fn level(&self, now: Instant) -> f64 {
        let refilled = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(self.limit) / REFILL_S;
        (self.level + refilled).min(f64::from(self.limit))
    }
}

impl Governor {
    /// Remembers what an answer says.
    pub(crate) fn learn(&self, limit: Option<u32>, remaining: Option<u32>, now: Instant) {
        if let (Some(limit), Some(remaining)) = (limit, remaining) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(Known { limit: limit.max(1), level: f64::from(remaining), at: now });
        }
    }

    /// Takes one request, or says how long to wait before asking again.
    pub(crate) fn admit(&self, purpose: Purpose, now: Instant) -> Result<(), Duration> {
        let mut guard = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = guard.as_mut() else {
            return Ok(());
        };
        let level = known.level(now);
        let keep = match purpose {
            Purpose::Work => f64::from(known.limit / RESERVE_PART),
            Purpose::Teardown => 0.0,
        };
        if level - 1.0 >= keep {
            *known = Known { level: level - 1.0, at: now, ..*known };
            return Ok(());
        }
        let missing = keep + 1.0 - level;
        Err(Duration::from_secs_f64((missing * REFILL_S / f64::from(known.limit)).clamp(0.01, REFILL_S)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stops_at_the_reserve_and_teardown_goes_on() {
        let (governor, now) = (Governor::default(), Instant::now());
        assert_eq!(governor.admit(Purpose::Work, now), Ok(()), "nothing is known yet");
        governor.learn(Some(3600), Some(602), now);
        assert_eq!(governor.admit(Purpose::Work, now), Ok(()));
        assert_eq!(governor.admit(Purpose::Work, now), Ok(()));
        let wait = governor.admit(Purpose::Work, now).expect_err("the reserve is reached");
        assert_eq!(wait, Duration::from_secs(1), "one request refills in a second");
        assert_eq!(governor.admit(Purpose::Work, now + wait), Ok(()));
        for _ in 0..600 {
            assert_eq!(governor.admit(Purpose::Teardown, now + wait), Ok(()));
        }
        assert!(governor.admit(Purpose::Teardown, now + wait).is_err());
    }

    #[test]
    fn the_level_never_exceeds_the_limit() {
        let (governor, now) = (Governor::default(), Instant::now());
        governor.learn(Some(6), Some(0), now);
        let much_later = now + Duration::from_secs(100_000);
        let passed = (0..10).filter(|_| governor.admit(Purpose::Teardown, much_later).is_ok()).count();
        assert_eq!(passed, 6);
    }
}
