//! What to do after a call that did not succeed: a table of what was answered and of what the call changes. Pure; the loop
//! that obeys it is in [`super::api`].

use std::time::Duration;

use super::config::Pace;
use super::error::{ApiError, Trouble};

/// What a call changes when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Read,
    /// Nothing, and nothing was answered before: whether there is an API at all. A read, where no row names it.
    First,
    /// Makes something that can be found again, by its name or its labels.
    Create,
    /// Brings something into a state; doing it twice is doing it once.
    Change,
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
    /// It may have happened: look for the thing before anything else.
    LookUp,
    /// It has happened: what should be gone is gone.
    Done,
    /// No use in trying again.
    GiveUp,
}

/// What a row of the table matches.
#[derive(Debug, Clone, Copy)]
enum On {
    /// An error envelope with one of these codes, whatever its status.
    Codes(&'static [&'static str]),
    /// An answer with a status in this range that no row above it names.
    Status(u16, u16),
    /// The connection was never made: nothing can have happened.
    NotSent,
    /// A whole answer that cannot be understood.
    Garbled,
    /// It was sent, and there is no answer, or none that can be understood: anything can have happened.
    Lost,
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Again,
    /// Again, but only once.
    Once,
    NotNow,
    LookUp,
    Done,
    GiveUp,
}

use Effect::{Change, Create, Delete, First, Read};
use On::{Codes, Garbled, Lost, NotSent, Status};

/// The table. The first row that matches decides; what no row matches is given up. Codes are those of Hetzner's API
/// reference; every other way of refusing means that nothing has happened and that asking again changes nothing.
#[rustfmt::skip]
const TABLE: [(On, &[Effect], Then); 19] = [
    // The account's limit, whoever used it up.
    (Codes(&["rate_limit_exceeded"]),                               &[Read, Create, Change, Delete], Then::NotNow),
    (Status(429, 429),                                              &[Read, Create, Change, Delete], Then::NotNow),
    // Something else is going on there; nothing has happened.
    (Codes(&["conflict", "locked", "resource_locked"]),             &[Read, Create, Change, Delete], Then::Again),
    (Codes(&["maintenance"]),                                       &[Read, Create, Change, Delete], Then::Again),
    // A firewall, address or slot is in use for some seconds after its last server was deleted.
    (Codes(&["resource_in_use", "must_be_unassigned"]),             &[Delete],                       Then::Again),
    (Codes(&["placement_group_member_limit_reached"]),              &[Create],                       Then::Again),
    // A backend refused; on networks this is how "servers are attached" is said.
    (Codes(&["service_error"]),                                     &[Read, Create, Change, Delete], Then::Again),
    // What a server held counts for some seconds after it was deleted.
    (Codes(&["resource_limit_exceeded"]),                           &[Create],                       Then::Once),
    (Codes(&["not_found"]),                                         &[Delete],                       Then::Done),
    (Status(404, 404),                                              &[Delete],                       Then::Done),
    // Somebody has that name: most likely an earlier try of ours whose answer was lost.
    (Codes(&["uniqueness_error"]),                                  &[Create],                       Then::LookUp),
    // The server side broke down, perhaps after the effect.
    (Status(500, 599),                                              &[Create],                       Then::LookUp),
    (Status(500, 599),                                              &[Read, Change, Delete],         Then::Again),
    // A proxy in between cut it short.
    (Status(408, 408),                                              &[Create],                       Then::LookUp),
    (Status(408, 408),                                              &[Read, Change, Delete],         Then::Again),
    (NotSent,                                                       &[Read, Create, Change, Delete], Then::Again),
    // Two pages of something else, one after the other, are no slip: this is not the API.
    (Garbled,                                                       &[First],                        Then::Once),
    (Lost,                                                          &[Create],                       Then::LookUp),
    (Lost,                                                          &[Read, Change, Delete],         Then::Again),
];

/// The row for a call that did not succeed.
fn row(effect: Effect, error: &ApiError) -> Then {
    let matches = |on: &On| match &error.trouble {
        Trouble::Refused { status, code, .. } => match on {
            Codes(codes) => codes.contains(&code.as_str()),
            Status(from, to) => (*from..=*to).contains(status),
            NotSent | Garbled | Lost => false,
        },
        Trouble::NoAnswer { never_sent, .. } => match on {
            NotSent => *never_sent,
            Lost => !never_sent,
            Garbled | Codes(_) | Status(..) => false,
        },
        Trouble::Garbled { .. } => match on {
            Garbled | Lost => true,
            NotSent | Codes(_) | Status(..) => false,
        },
        Trouble::Action { .. }
        | Trouble::ForeignName { .. }
        | Trouble::OutOfTime { .. }
        | Trouble::NoRequests { .. }
        | Trouble::Stopped => false,
    };
    let concerns = |effects: &[Effect]| effects.contains(&effect) || (effect == First && effects.contains(&Read));
    let found = TABLE.iter().find(|(on, effects, _)| concerns(effects) && matches(on));
    found.map_or(Then::GiveUp, |(_, _, then)| *then)
}

/// Reads the table. `tries` is the number of requests sent so far, `refused` how many of them the rate limit refused.
pub(crate) fn next(pace: &Pace, effect: Effect, error: &ApiError, tries: u32, refused: u32) -> Next {
    let counted = tries.saturating_sub(refused);
    let again = |most: u32| match counted < most {
        true => Next::Again(pace.pause(counted.saturating_sub(1))),
        false => Next::GiveUp,
    };
    match row(effect, error) {
        Then::Again => again(pace.tries),
        Then::Once => again(2),
        // The governor knows how long; this is for the case that it was told nothing.
        Then::NotNow => Next::NotNow(pace.pause(refused.saturating_sub(1))),
        Then::LookUp => Next::LookUp,
        Then::Done => Next::Done,
        Then::GiveUp => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(trouble: Trouble) -> ApiError {
        ApiError::silent("POST /servers", trouble)
    }

    fn refused(status: u16, code: &str) -> ApiError {
        error(Trouble::Refused { status, code: code.into(), message: String::new(), details: Vec::new() })
    }

    const ALL: [Effect; 4] = [Read, Create, Change, Delete];

    /// Every code of the fact sheet with its status, and what a read, a create, a change and a delete do about it:
    /// `a`gain, `1` more time, `n`ot now, `l`ook up, `d`one, `-` give up.
    #[test]
    fn every_refusal_has_its_row() {
        for (status, code, expected) in [
            (400, "json_error", "----"),
            (401, "unauthorized", "----"),
            (401, "token_readonly", "----"),
            (403, "forbidden", "----"),
            (403, "maintenance", "aaaa"),
            (403, "resource_limit_exceeded", "-1--"),
            (404, "not_found", "---d"),
            (405, "method_not_allowed", "----"),
            (408, "http_408", "alaa"),
            (409, "uniqueness_error", "-l--"),
            (409, "conflict", "aaaa"),
            (410, "deprecated_api_endpoint", "----"),
            (412, "resource_unavailable", "----"),
            (422, "placement_error", "----"),
            (422, "placement_group_member_limit_reached", "-a--"),
            (422, "invalid_input", "----"),
            (422, "service_error", "aaaa"),
            (422, "unsupported_error", "----"),
            (422, "resource_in_use", "---a"),
            (422, "must_be_unassigned", "---a"),
            (423, "locked", "aaaa"),
            (423, "protected", "----"),
            (429, "rate_limit_exceeded", "nnnn"),
            (429, "http_429", "nnnn"),
            (500, "server_error", "alaa"),
            (502, "http_502", "alaa"),
            (502, "bad_gateway", "alaa"),
            (503, "unavailable", "alaa"),
            (504, "timeout", "alaa"),
            (418, "something_new", "----"),
        ] {
            let letter = |effect| match row(effect, &refused(status, code)) {
                Then::Again => 'a',
                Then::Once => '1',
                Then::NotNow => 'n',
                Then::LookUp => 'l',
                Then::Done => 'd',
                Then::GiveUp => '-',
            };
            let read: String = ALL.into_iter().map(letter).collect();
            assert_eq!(read, expected, "{status} {code}");
        }
    }

    #[test]
    fn tries_end_but_rate_limits_do_not_count() {
        let pace = Pace::default();
        let most = pace.tries;
        let read = |code, tries, refused_ones| next(&pace, Read, &refused(503, code), tries, refused_ones);
        assert_eq!(read("unavailable", most, 0), Next::GiveUp);
        assert_eq!(read("unavailable", most + 5, 5), Next::GiveUp);
        assert_eq!(read("unavailable", most + 4, 5), Next::Again(pace.pause(most - 2)));
        assert_eq!(read("rate_limit_exceeded", 90, 90), Next::NotNow(pace.longest));
        let quota = refused(403, "resource_limit_exceeded");
        assert_eq!(next(&pace, Create, &quota, 1, 0), Next::Again(pace.pause(0)));
        assert_eq!(next(&pace, Create, &quota, 2, 0), Next::GiveUp);
    }

    #[test]
    fn an_answer_that_cannot_be_understood_may_hide_an_effect() {
        let garbled = error(Trouble::Garbled { status: 201, reason: "no `server`".into() });
        assert_eq!(next(&Pace::default(), Create, &garbled, 1, 0), Next::LookUp);
        assert_eq!(next(&Pace::default(), Read, &garbled, 1, 0), Next::Again(Pace::default().retry));
    }

    #[test]
    fn whoever_is_not_the_api_is_asked_twice_and_otherwise_the_first_request_is_a_read() {
        let pace = Pace::default();
        let garbled = error(Trouble::Garbled { status: 200, reason: "no JSON".into() });
        assert_eq!(next(&pace, First, &garbled, 1, 0), Next::Again(pace.retry));
        assert_eq!(next(&pace, First, &garbled, 2, 0), Next::GiveUp);
        assert_eq!(next(&pace, Read, &garbled, 2, 0), Next::Again(pace.pause(1)));
        for (status, code) in [(503, "unavailable"), (429, "rate_limit_exceeded"), (401, "unauthorized")] {
            assert_eq!(row(First, &refused(status, code)), row(Read, &refused(status, code)), "{code}");
        }
    }
}
