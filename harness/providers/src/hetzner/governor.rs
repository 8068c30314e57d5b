//! Shares the account's hourly requests between all leases of a run, and keeps some back for teardown. Pure: whoever asks
//! brings the time.
//!
//! The API counts for us: every answer carries `RateLimit-Limit` and `RateLimit-Remaining`, and the bucket refills evenly
//! over an hour. Other programs of the same project empty the same bucket, so the headers are the truth; but an answer knows
//! nothing of the requests that were sent after it was written, so those under way are counted here besides. Below the
//! reserve, work that is not teardown waits for the refill and goes on at its pace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// In which an empty bucket becomes full, in seconds.
const REFILL_S: f64 = 3600.0;

/// One part in this many of the bucket is kept back for teardown: 600 of 3600.
const RESERVE_PART: u32 = 6;

/// One part in this many is never touched: what other programs sent meanwhile and no answer has told yet.
const MARGIN_PART: u32 = 100;

/// Taken for granted where answers do not carry the headers: the limit of every account (Hetzner's API reference).
const USUAL_LIMIT: u32 = 3600;

/// How soon to ask again while the first answer is not there: until then one request at a time is sent.
const FIRST_ANSWER: Duration = Duration::from_millis(10);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Making and looking.
    Work,
    /// Removing; may use the reserve.
    Teardown,
}

/// What an answer says about the account's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// `RateLimit-Limit`: requests per hour.
    pub(crate) limit: u32,
    /// `RateLimit-Remaining`.
    pub(crate) remaining: u32,
    /// `RateLimit-Reset`: when the bucket is full again, in seconds since 1970.
    pub(crate) full_at: Option<i64>,
}

/// What the account has left, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    under_way: u32,
    admitted: u64,
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

/// A request that may be sent; under way until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    governor: &'a Governor,
    /// Which one it is, where nothing else was under way when it was admitted.
    alone: Option<u64>,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.state();
        state.under_way = state.under_way.saturating_sub(1);
    }
}

impl Admitted<'_> {
    /// Remembers what the answer to this request says; nothing, where it carries no headers.
    pub(crate) fn answered(self, rate: Option<Rate>, now: Instant) {
        let mut state = self.governor.state();
        let others = f64::from(state.under_way.saturating_sub(1));
        let counted = state.known.map(|known| known.level(now));
        let Some(rate) = rate else {
            let usual = Known { limit: USUAL_LIMIT, level: f64::from(USUAL_LIMIT), at: now };
            state.known.get_or_insert(usual);
            return;
        };
        let told = f64::from(rate.remaining) - others;
        // Requests and answers may overtake one another, and then an answer tells too much. It is exact where nothing else was
        // under way from the beginning to the end.
        let exact = self.alone == Some(state.admitted);
        let level = match counted {
            Some(counted) if !exact => counted.min(told),
            Some(_) | None => told,
        };
        state.known = Some(Known { limit: rate.limit.max(1), level: level.max(0.0), at: now });
    }
}

impl Governor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, state: &mut State) -> Admitted<'_> {
        state.admitted += 1;
        let alone = (state.under_way == 0).then_some(state.admitted);
        state.under_way += 1;
        Admitted { governor: self, alone }
    }

    /// The hourly limit, and what is left of it now, rounded down.
    pub(crate) fn seen(&self, now: Instant) -> Option<(u32, u32)> {
        let known = self.state().known;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between nothing and the limit")]
        known.map(|k| (k.limit, k.level(now) as u32))
    }

    /// Takes one request, or says how long to wait before asking again.
    pub(crate) fn admit(&self, purpose: Purpose, now: Instant) -> Result<Admitted<'_>, Duration> {
        let mut state = self.state();
        let Some(known) = state.known else {
            if state.under_way > 0 {
                return Err(FIRST_ANSWER);
            }
            return Ok(self.count(&mut state));
        };
        let level = known.level(now);
        let keep = match purpose {
            Purpose::Work => f64::from(known.limit / RESERVE_PART),
            Purpose::Teardown => f64::from(known.limit / MARGIN_PART),
        };
        if level - 1.0 >= keep {
            state.known = Some(Known { level: level - 1.0, at: now, ..known });
            return Ok(self.count(&mut state));
        }
        let missing = keep + 1.0 - level;
        Err(Duration::from_secs_f64((missing * REFILL_S / f64::from(known.limit)).clamp(0.01, REFILL_S)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(limit: u32, remaining: u32) -> Option<Rate> {
        Some(Rate { limit, remaining, full_at: None })
    }

    fn learned(limit: u32, remaining: u32, now: Instant) -> Governor {
        let governor = Governor::default();
        governor.admit(Purpose::Work, now).expect("nothing is known yet").answered(rate(limit, remaining), now);
        governor
    }

    fn passes(governor: &Governor, purpose: Purpose, now: Instant) -> bool {
        governor.admit(purpose, now).is_ok()
    }

    #[test]
    fn work_stops_at_the_reserve_and_teardown_goes_on_to_the_margin() {
        let now = Instant::now();
        let governor = learned(3600, 602, now);
        assert!(passes(&governor, Purpose::Work, now));
        assert!(passes(&governor, Purpose::Work, now));
        let wait = governor.admit(Purpose::Work, now).expect_err("the reserve is reached");
        assert_eq!(wait, Duration::from_secs(1), "one request refills in a second");
        assert!(passes(&governor, Purpose::Work, now + wait));
        for _ in 0..564 {
            assert!(passes(&governor, Purpose::Teardown, now + wait));
        }
        assert!(!passes(&governor, Purpose::Teardown, now + wait));
    }

    #[test]
    fn until_the_first_answer_requests_go_one_by_one() {
        let (governor, now) = (Governor::default(), Instant::now());
        let first = governor.admit(Purpose::Work, now).expect("the first");
        assert_eq!(governor.admit(Purpose::Work, now).expect_err("one at a time"), FIRST_ANSWER);
        drop(first);
        let second = governor.admit(Purpose::Work, now).expect("the first had no answer");
        second.answered(None, now);
        assert!(passes(&governor, Purpose::Work, now), "an answer without headers: the usual limit is assumed");
    }

    #[test]
    fn the_level_never_exceeds_the_limit() {
        let now = Instant::now();
        let governor = learned(6, 0, now);
        let much_later = now + Duration::from_secs(100_000);
        assert_eq!((0..10).filter(|_| passes(&governor, Purpose::Teardown, much_later)).count(), 6);
    }

    /// The bucket of an account, as the API keeps it.
    struct Bucket {
        size: f64,
        level: f64,
        at: Instant,
        refused: u32,
    }

    impl Bucket {
        fn take(&mut self, now: Instant) -> u32 {
            let refill = now.saturating_duration_since(self.at).as_secs_f64() * self.size / REFILL_S;
            (self.level, self.at) = ((self.level + refill).min(self.size), now);
            if self.level >= 1.0 {
                self.level -= 1.0;
            } else {
                self.refused += 1;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= level <= a u32")]
            let remaining = self.level.floor() as u32;
            remaining
        }
    }

    /// A request under way: when it arrives, when it is answered, and what it was answered.
    struct Sent<'a> {
        arrives: Duration,
        ends: Duration,
        remaining: Option<u32>,
        admitted: Admitted<'a>,
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Hours in which many tasks want as much as they get, in virtual time, with answers that overtake one another: no
        /// request is ever refused, and work leaves the reserve to teardown.
        #[test]
        fn the_hourly_limit_is_never_exceeded_and_the_reserve_is_kept(
            limit in prop_oneof![Just(3600_u32), 40..400_u32],
            start in 0..=100_u32,
            wants in prop::collection::vec((0..2000_u64, 1..300_u64, 1..3000_u64, any::<bool>()), 1..250),
        ) {
            let (governor, began) = (Governor::default(), Instant::now());
            let full = f64::from(limit);
            // Whoever comes to an empty bucket cannot know it before the first answer.
            let level = (full * f64::from(start) / 100.0).max(1.0);
            let mut bucket = Bucket { size: full, level, at: began, refused: 0 };
            let mut sent: Vec<Sent<'_>> = Vec::new();
            let mut now = Duration::ZERO;
            let mut works_floor = f64::INFINITY;
            let mut burst = wants.iter().cycle().take(limit as usize + wants.len() + 200);
            let mut next = burst.next();
            while let Some(&(gap, there, back, teardown)) = next {
                // Everything that arrives or is answered until now, in order.
                loop {
                    let arriving = sent.iter().enumerate().filter(|(_, s)| s.remaining.is_none()).map(|(i, s)| (s.arrives, false, i));
                    let ending = sent.iter().enumerate().filter(|(_, s)| s.remaining.is_some()).map(|(i, s)| (s.ends, true, i));
                    let Some((at, ends, i)) = arriving.chain(ending).min().filter(|(at, _, _)| *at <= now) else { break };
                    if ends {
                        let done = sent.swap_remove(i);
                        done.admitted.answered(rate(limit, done.remaining.unwrap_or(0)), began + at);
                    } else {
                        sent[i].remaining = Some(bucket.take(began + at));
                    }
                }
                let purpose = if teardown { Purpose::Teardown } else { Purpose::Work };
                match governor.admit(purpose, began + now) {
                    Ok(admitted) => {
                        let arrives = now + Duration::from_millis(there);
                        sent.push(Sent { arrives, ends: arrives + Duration::from_millis(back), remaining: None, admitted });
                        if purpose == Purpose::Work && bucket.size >= 100.0 && governor.state().known.is_some() {
                            let under_way = sent.iter().filter(|s| s.remaining.is_none()).count();
                            let level = bucket.level + (began + now).saturating_duration_since(bucket.at).as_secs_f64() * full / REFILL_S;
                            #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
                            let after = level - under_way as f64;
                            works_floor = works_floor.min(after);
                        }
                        // Mostly at once, so that bursts happen.
                        now += Duration::from_millis(if gap < 1900 { gap / 100 } else { gap * 100 });
                        next = burst.next();
                    }
                    Err(wait) => now += wait.min(Duration::from_secs(5)),
                }
            }
            prop_assert_eq!(bucket.refused, 0);
            prop_assert!(works_floor >= f64::from(limit / RESERVE_PART) - 1.0, "work left only {}", works_floor);
        }

        /// Two runs with a governor each in one account: neither knows of the other but by the headers.
        #[test]
        fn two_runs_share_an_account_without_being_refused(latency in 20..2000_u64, share in 1..50_usize) {
            let (governors, began) = ([Governor::default(), Governor::default()], Instant::now());
            let mut bucket = Bucket { size: 3600.0, level: 3600.0, at: began, refused: 0 };
            let mut now = Duration::ZERO;
            for _ in 0..300 {
                // Both send what they may, up to what many tasks want at once; then all of it is answered.
                let mut round = Vec::new();
                for _ in 0..share {
                    round.extend(governors.iter().filter_map(|g| g.admit(Purpose::Work, began + now).ok()));
                }
                now += Duration::from_millis(latency);
                for admitted in round {
                    let remaining = bucket.take(began + now);
                    admitted.answered(rate(3600, remaining), began + now);
                }
            }
            prop_assert_eq!(bucket.refused, 0);
        }
    }
}
