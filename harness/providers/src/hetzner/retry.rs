//! What to do after a call that did not succeed: a table of error code and of whether the call can have taken effect.
//! Pure; the loop that obeys it is in [`super::api`].

use std::time::Duration;

use super::error::{ApiError, Trouble};

/// What a call changes when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Read,
    /// Makes something with a name of its own.
    Create,
    /// Removes something; doing it twice is doing it once.
    Delete,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this pause. Counts as one of the tries.
    Again(Duration),
    /// Try again after this pause. The API only said "not now", so it counts for nothing.
    NotNow(Duration),
    /// It may have happened: look for the thing by name before anything else.
    LookUp,
    /// It has happened: what should be gone is gone.
    Done,
    /// No use in trying again.
    GiveUp,
}

/// Most tries of one call, refusals for the rate limit not counted.
pub(crate) const TRIES: u32 = 8;

/// The pause before the n-th further try (from 0), without jitter: from 100 ms, doubling, to 30 s. The first ones are
/// short because most conflicts on one network end within the second.
pub(crate) fn pause(n: u32) -> Duration {
    Duration::from_millis(100_u64.saturating_mul(1 << n.min(12))).min(Duration::from_secs(30))
}

/// The pause after the n-th refusal for the rate limit in a row: never longer than ten times what one request takes to
/// refill.
pub(crate) fn pause_for_rate(n: u32) -> Duration {
    pause(n).min(Duration::from_secs(10))
}

/// The table. `tries` is the number of requests sent so far, `refused` how many of them the rate limit refused.
pub(crate) fn next(effect: Effect, error: &ApiError, tries: u32, refused: u32) -> Next {
    let counted = tries.saturating_sub(refused);
    let again = if counted < TRIES { Next::Again(pause(counted.saturating_sub(1))) } else { Next::GiveUp };
    match &error.trouble {
        Trouble::Refused { status, code, .. } => match (code.as_str(), *status, effect) {
            ("rate_limit_exceeded", _, _) | (_, 429, _) => Next::NotNow(pause_for_rate(refused.saturating_sub(1))),
            // Refused because something else is going on: nothing has happened.
            ("conflict" | "locked" | "resource_locked", _, _) => again,
            // A firewall, address or group is in use for some seconds after its last server was deleted.
            ("resource_in_use" | "must_be_unassigned", _, Effect::Delete) => again,
            ("service_error", _, Effect::Delete) => again,
            ("not_found", _, Effect::Delete) | (_, 404, Effect::Delete) => Next::Done,
            // Somebody has that name: most likely an earlier try of ours whose answer was lost.
            ("uniqueness_error", _, Effect::Create) => Next::LookUp,
            // The server side broke down, perhaps after the effect.
            (_, 500..=599, Effect::Create) => Next::LookUp,
            (_, 500..=599, Effect::Read | Effect::Delete) => again,
            _ => Next::GiveUp,
        },
        Trouble::NoAnswer { never_sent: true, .. } => again,
        Trouble::NoAnswer { never_sent: false, .. } | Trouble::Garbled { .. } => match effect {
            Effect::Create => Next::LookUp,
            Effect::Read | Effect::Delete => again,
        },
        Trouble::Action { .. } | Trouble::ForeignName { .. } | Trouble::OutOfTime { .. } | Trouble::Stopped => {
            Next::GiveUp
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> ApiError {
        ApiError {
            call: "POST /servers".into(),
            correlation: None,
            trouble: Trouble::Refused { status, code: code.into(), message: String::new(), details: Vec::new() },
        }
    }

    #[test]
    fn every_refusal_has_its_row() {
        use Effect::{Create, Delete, Read};
        let first = Next::Again(pause(0));
        for (status, code, effect, expected) in [
            (429, "rate_limit_exceeded", Create, Next::NotNow(pause_for_rate(0))),
            (409, "conflict", Create, first),
            (423, "locked", Delete, first),
            (409, "uniqueness_error", Create, Next::LookUp),
            (409, "uniqueness_error", Read, Next::GiveUp),
            (504, "timeout", Create, Next::LookUp),
            (502, "bad_gateway", Read, first),
            (500, "server_error", Delete, first),
            (404, "not_found", Delete, Next::Done),
            (404, "not_found", Read, Next::GiveUp),
            (422, "resource_in_use", Delete, first),
            (422, "must_be_unassigned", Delete, first),
            (412, "resource_unavailable", Create, Next::GiveUp),
            (422, "placement_error", Create, Next::GiveUp),
            (403, "resource_limit_exceeded", Create, Next::GiveUp),
            (422, "invalid_input", Create, Next::GiveUp),
            (401, "unauthorized", Read, Next::GiveUp),
            (423, "protected", Delete, Next::GiveUp),
        ] {
            assert_eq!(next(effect, &refused(status, code), 1, 0), expected, "{status} {code} {effect:?}");
        }
    }

    #[test]
    fn tries_end_but_rate_limits_do_not_count() {
        assert_eq!(next(Effect::Read, &refused(503, "unavailable"), TRIES, 0), Next::GiveUp);
        assert_eq!(next(Effect::Read, &refused(503, "unavailable"), TRIES + 5, 5), Next::GiveUp);
        assert_eq!(next(Effect::Read, &refused(503, "unavailable"), TRIES + 4, 5), Next::Again(pause(TRIES - 2)));
        assert!(matches!(next(Effect::Read, &refused(429, "rate_limit_exceeded"), 90, 90), Next::NotNow(_)));
    }

    #[test]
    fn an_answer_that_cannot_be_understood_may_hide_an_effect() {
        let garbled = ApiError {
            call: "POST /servers".into(),
            correlation: None,
            trouble: Trouble::Garbled { status: 201, reason: "no `server`".into() },
        };
        assert_eq!(next(Effect::Create, &garbled, 1, 0), Next::LookUp);
        assert_eq!(next(Effect::Read, &garbled, 1, 0), Next::Again(pause(0)));
    }

    #[test]
    fn pauses_grow_and_end_at_half_a_minute() {
        assert_eq!(pause(0), Duration::from_millis(100));
        assert_eq!(pause(3), Duration::from_millis(800));
        assert_eq!(pause(40), Duration::from_secs(30));
        assert_eq!(pause_for_rate(40), Duration::from_secs(10));
    }
}
