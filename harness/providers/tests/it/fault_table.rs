//! The fault matrix as data: every place where the provider calls the API, every way in which a call can go wrong, and what
//! comes of it. [`super::fault_play`] plays it.
//!
//! An outcome is written `ok n` or `GSH-… n`: what the step that makes the call ends with, and how often the call was repeated
//! for it. `-` means that the fault makes no sense there. Calls are tried four times here. A survey ends with `ok`, or with
//! `wrong` or `unclear` when nothing may begin; a warm start with `image` where it came to no snapshot.

use crate::fault_sites::{Calls, Site, Step};

use Calls::{Change, Delete, Extra, First, Inside, Label, Look, Make, Order, Poll, Probe, Read, Scrap, Settle};

/// A fault, and what comes of it where things are read, made, ordered and deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Times and moment, as in a world file.
    pub(crate) strikes: &'static str,
    pub(crate) effect: &'static str,
    pub(crate) read: &'static str,
    pub(crate) make: &'static str,
    pub(crate) order: &'static str,
    /// Of a removal that is come back to.
    pub(crate) delete: &'static str,
    /// Of one that is not.
    pub(crate) scrap: &'static str,
}

impl Row {
    /// What is expected of a place; nothing where the fault makes no sense.
    pub(crate) fn at(&self, site: &Site) -> Option<String> {
        let (read, count) = self.read.split_once(' ').unwrap_or(("-", ""));
        // By the API's own word it is gone, and then nothing is to be done about it.
        let denied = self.name == "not found";
        let cell = match site.calls {
            Settle => Some(format!("ok {}", if read == "-" { return None } else { "0" })),
            Calls::Release | Read | Poll => known(self.read),
            Make => known(self.make),
            Order => known(self.order),
            Change if self.name == "a token that only reads" => known(self.make),
            Change => known(self.read),
            Delete => known(self.delete),
            Scrap => known(self.scrap),
            Inside | Label if denied => None,
            // It looks again in each of six passes.
            Inside => match (read, count, self.strikes) {
                ("-", _, _) => None,
                ("ok", _, _) => known(self.read),
                (code, "3", _) => Some(format!("{code} 23")),
                (code, _, ALWAYS) => Some(format!("{code} 5")),
                (_, _, _) => Some("ok 1".to_owned()),
            },
            Label if read == "-" && self.name != "a token that only reads" => None,
            Label => known(self.delete).or(known(self.read)),
            Extra => (read != "-").then(|| format!("ok {count}")),
            Probe if self.name == "a token that only reads" => Some("wrong 0".to_owned()),
            Probe => (read != "-").then(|| format!("ok {count}")),
            First => match read {
                "-" | "ok" => known(self.read),
                "GSH-CLOUD-004" => Some(format!("wrong {count}")),
                // Two of them are no slip.
                "GSH-CLOUD-015" => Some("wrong 1".to_owned()),
                // The API has none.
                _ if self.name == "a redirection" => Some(format!("wrong {count}")),
                _ if denied => Some(format!("wrong {count}")),
                _ => Some(format!("unclear {count}")),
            },
            Look => match read {
                "-" | "ok" => known(self.read),
                _ => Some(format!("unclear {count}")),
            },
        }?;
        // Without a snapshot nodes start from the image. A builder that stays is found by the release; its snapshot is there.
        Some(match (site.step, cell.split_once(' ')) {
            (Step::Warm, Some((code, count))) if code != "ok" => {
                format!("{} {count}", if site.calls == Scrap { "ok" } else { "image" })
            }
            (_, _) => cell,
        })
    }
}

fn known(cell: &str) -> Option<String> {
    (cell != "-").then(|| cell.to_owned())
}

const ONCE: &str = "nth = 1";
const SEVEN: &str = "times = 7";
const ONCE_AFTER: &str = "nth = 1\nwhen = \"after\"";
const ALWAYS: &str = "";
const ALWAYS_AFTER: &str = "when = \"after\"";

macro_rules! rows {
    ($($name:literal $strikes:ident $effect:literal => $read:literal $make:literal $order:literal $delete:literal $scrap:literal;)*) => {
        [$(Row {
            name: $name, strikes: $strikes, effect: $effect,
            read: $read, make: $make, order: $order, delete: $delete, scrap: $scrap,
        },)*]
    };
}

/// Every fault that can strike any place.
#[rustfmt::skip]
pub(crate) const ROWS: [Row; 51] = rows![
    //  name                            strikes     effect                                                      reads             makes             orders            deletes           removals
    // Refusals that pass.
    "a conflict"                        ONCE        "{ refuse = { status = 409, code = 'conflict' } }"              => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "a lock"                            ONCE        "{ refuse = { status = 423, code = 'locked' } }"                => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "maintenance"                       ONCE        "{ refuse = { status = 403, code = 'maintenance' } }"           => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "a backend's refusal"               ONCE        "{ refuse = { status = 422, code = 'service_error' } }"         => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "the rate limit"                    ONCE        "{ refuse = { status = 429, code = 'rate_limit_exceeded' } }"   => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "seven rate limits"                 SEVEN       "{ refuse = { status = 429, code = 'rate_limit_exceeded' } }"   => "ok 7"            "ok 7"            "ok 7"            "ok 7"             "ok 7";
    // Trouble of the server side, before and after the effect.
    "an error"                          ONCE        "{ refuse = { status = 500, code = 'server_error' } }"          => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "an error afterwards"               ONCE_AFTER  "{ refuse = { status = 500, code = 'server_error' } }"          => "ok 1"            "ok 0"            "ok 0"            "ok 1"             "ok 1";
    "a bad gateway"                     ONCE        "{ html = 502 }"                                                => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "a bad gateway afterwards"          ONCE_AFTER  "{ html = 502 }"                                                => "ok 1"            "ok 0"            "ok 0"            "ok 1"             "ok 1";
    "unavailable"                       ONCE        "{ refuse = { status = 503, code = 'unavailable' } }"           => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "a gateway's time-out"              ONCE        "{ refuse = { status = 504, code = 'timeout' } }"               => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    // No answer, or no whole one, before and after the effect.
    "silence"                           ONCE        "'time-out'"                                                    => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "silence afterwards"                ONCE_AFTER  "'time-out'"                                                    => "ok 1"            "ok 0"            "ok 0"            "ok 1"             "ok 1";
    "a reset"                           ONCE        "'reset'"                                                       => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "a reset afterwards"                ONCE_AFTER  "'reset'"                                                       => "ok 1"            "ok 0"            "ok 0"            "ok 1"             "ok 1";
    "an end"                            ONCE        "'close'"                                                       => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "half an answer"                    ONCE        "{ truncate = 20 }"                                             => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "half an answer afterwards"         ONCE_AFTER  "{ truncate = 20 }"                                             => "ok 1"            "ok 0"            "ok 0"            "-"                "-";
    "another page"                      ONCE        "{ html = 200 }"                                                => "ok 1"            "ok 1"            "ok 1"            "ok 1"             "ok 1";
    "another page afterwards"           ONCE_AFTER  "{ html = 200 }"                                                => "ok 1"            "ok 0"            "ok 0"            "ok 1"             "ok 1";
    "a late answer"                     ONCE        "{ slow-ms = 30 }"                                              => "ok 0"            "ok 0"            "ok 0"            "ok 0"             "ok 0";
    // Refusals that mean what they say. Removal comes back to what it was refused.
    "an unknown token"                  ONCE        "{ refuse = { status = 401, code = 'unauthorized' } }"          => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1"             "GSH-CLOUD-004 0";
    "a token that only reads"           ONCE        "{ refuse = { status = 401, code = 'token_readonly' } }"        => "-"               "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1"             "GSH-CLOUD-004 0";
    "no permission"                     ONCE        "{ refuse = { status = 403, code = 'forbidden' } }"             => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1"             "GSH-CLOUD-004 0";
    "bad JSON"                          ONCE        "{ refuse = { status = 400, code = 'json_error' } }"            => "-"               "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "-"                "-";
    "bad input"                         ONCE        "{ refuse = { status = 422, code = 'invalid_input' } }"         => "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "ok 1"             "GSH-CLOUD-003 0";
    "not found"                         ONCE        "{ refuse = { status = 404, code = 'not_found' } }"             => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1"             "-";
    "an end of the endpoint"            ONCE        "{ refuse = { status = 410, code = 'deprecated_api_endpoint' } }" => "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "ok 1"             "GSH-CLOUD-003 0";
    "a code nobody knows"               ONCE        "{ refuse = { status = 418, code = 'something_new' } }"         => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1"             "GSH-CLOUD-002 0";
    "a redirection"                     ONCE        "{ html = 302 }"                                                => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1"             "GSH-CLOUD-002 0";
    // Refusals of things to be made.
    "a taken name that is free"         ONCE        "{ refuse = { status = 409, code = 'uniqueness_error' } }"      => "-"               "ok 1"            "ok 1"            "-"                "-";
    "a quota that was just freed"       ONCE        "{ refuse = { status = 403, code = 'resource_limit_exceeded' } }" => "-"             "ok 1"            "ok 1"            "-"                "-";
    "a quota"                           ALWAYS      "{ refuse = { status = 403, code = 'resource_limit_exceeded' } }" => "-"             "GSH-CLOUD-007 1" "GSH-CLOUD-007 1" "-"                "-";
    "a full group"                      ONCE        "{ refuse = { status = 422, code = 'placement_group_member_limit_reached' } }" => "-" "-"            "ok 1"            "-"                "-";
    "no capacity for the first choice"  ONCE        "{ refuse = { status = 412, code = 'resource_unavailable' } }"  => "-"               "-"               "ok 1"            "-"                "-";
    "no place for the first choice"     ONCE        "{ refuse = { status = 422, code = 'placement_error' } }"       => "-"               "-"               "ok 1"            "-"                "-";
    "the first choice not sold there"   ONCE        "{ refuse = { status = 422, code = 'invalid_input', message = 'unsupported location for server type' } }" => "-" "-" "ok 1" "-"                "-";
    "the first choice is history"       ONCE        "{ refuse = { status = 422, code = 'invalid_input', message = 'server type 7 is deprecated' } }" => "-" "-" "ok 1" "-"                "-";
    // Refusals of things to be removed.
    "a protection taken off"            ONCE        "{ refuse = { status = 423, code = 'protected' } }"             => "-"               "-"               "-"               "ok 1"             "GSH-CLOUD-002 0";
    "a use that ends"                   ONCE        "{ refuse = { status = 422, code = 'resource_in_use' } }"       => "-"               "-"               "-"               "ok 1"             "ok 1";
    "an assignment that ends"           ONCE        "{ refuse = { status = 422, code = 'must_be_unassigned' } }"    => "-"               "-"               "-"               "ok 1"             "ok 1";
    // What does not pass. Six passes of four tries is all that removal does.
    "conflicts for ever"                ALWAYS      "{ refuse = { status = 409, code = 'conflict' } }"              => "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 23" "GSH-CLOUD-002 3";
    "unavailable for ever"              ALWAYS      "{ refuse = { status = 503, code = 'unavailable' } }"           => "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 23" "GSH-CLOUD-002 3";
    "errors after every effect"         ALWAYS_AFTER "{ refuse = { status = 500, code = 'server_error' } }"         => "GSH-CLOUD-002 3" "ok 0"            "ok 0"            "ok 3"             "GSH-CLOUD-002 3";
    "resets for ever"                   ALWAYS      "'reset'"                                                       => "GSH-CLOUD-001 3" "GSH-CLOUD-001 3" "GSH-CLOUD-001 3" "GSH-CLOUD-001 23" "GSH-CLOUD-001 3";
    "resets after every effect"         ALWAYS_AFTER "'reset'"                                                      => "GSH-CLOUD-001 3" "ok 0"            "ok 0"            "ok 3"             "GSH-CLOUD-001 3";
    "other pages for ever"              ALWAYS      "{ html = 200 }"                                                => "GSH-CLOUD-015 3" "GSH-CLOUD-015 3" "GSH-CLOUD-015 3" "GSH-CLOUD-015 23" "GSH-CLOUD-015 3";
    "a token that is revoked"           ALWAYS      "{ refuse = { status = 401, code = 'unauthorized' } }"          => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 5"  "GSH-CLOUD-004 0";
    "a protection that stays"           ALWAYS      "{ refuse = { status = 423, code = 'protected' } }"             => "-"               "-"               "-"               "GSH-CLOUD-002 2"  "GSH-CLOUD-002 0";
    "a use that stays"                  ALWAYS      "{ refuse = { status = 422, code = 'resource_in_use' } }"       => "-"               "-"               "-"               "GSH-CLOUD-002 23" "GSH-CLOUD-002 3";
];

/// A fault that only makes sense at one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Special {
    /// Name of the place.
    pub(crate) site: &'static str,
    pub(crate) name: &'static str,
    pub(crate) strikes: &'static str,
    pub(crate) effect: &'static str,
    pub(crate) expected: &'static str,
}

macro_rules! specials {
    ($($site:literal $name:literal $strikes:ident $effect:literal => $expected:literal;)*) => {
        [$(Special { site: $site, name: $name, strikes: $strikes, effect: $effect, expected: $expected },)*]
    };
}

/// Actions that fail or never end, machines in other states than ordered, answers that lack something or are newer than us.
#[rustfmt::skip]
pub(crate) const SPECIALS: [Special; 38] = specials![
    "first server" "its creation fails"        ONCE   "{ action-fails = { step = 0, code = 'server_error' } }" => "ok 1";
    "first server" "its attachment fails"      ONCE   "{ action-fails = { step = 1, code = 'ip_not_available' } }" => "ok 1";
    "first server" "its start fails"           ONCE   "{ action-fails = { step = 2, code = 'canceled' } }"     => "ok 1";
    "worker" "its start fails"                 ONCE   "{ action-fails = { step = 2, code = 'canceled' } }"     => "ok 1";
    "stores server" "its start fails"          ONCE   "{ action-fails = { step = 2, code = 'canceled' } }"     => "ok 1";
    "first server" "every start fails"         ALWAYS "{ action-fails = { step = 2, code = 'canceled' } }"     => "GSH-CLOUD-010 2";
    "first server" "its creation never ends"   ONCE   "{ command-takes = { command = 'create_server', ms = 6000 } }" => "GSH-CLOUD-011 0";
    "first server" "its start never ends"      ONCE   "{ command-takes = { command = 'start_server', ms = 6000 } }" => "GSH-CLOUD-011 0";
    "first server" "no capacity anywhere"      ALWAYS "{ refuse = { status = 412, code = 'resource_unavailable' } }" => "GSH-CLOUD-006 29";
    "first server" "the image is history"      ONCE   "{ refuse = { status = 422, code = 'invalid_input', message = 'image 5 is deprecated' } }" => "GSH-CLOUD-008 0";
    "first server" "no image in the answer"    ONCE   "{ rewrite = { at = '/server/image' } }"                 => "ok 0";
    "first server" "a status nobody knows"     ONCE   "{ rewrite = { at = '/server/status', to = '\"dreaming\"' } }" => "ok 0";
    "first server" "no next actions"           ONCE   "{ rewrite = { at = '/next_actions' } }"                 => "ok 0";
    "first server" "no action at all"          ONCE   "{ rewrite = { at = '/action' } }"                       => "ok 0";
    "first server" "no server in the answer"   ONCE   "{ rewrite = { at = '/server' } }"                       => "ok 0";
    "network" "no network in the answer"       ONCE   "{ rewrite = { at = '/network' } }"                      => "ok 0";
    "site load balancer" "its creation fails"  ONCE   "{ action-fails = { step = 0, code = 'server_error' } }" => "GSH-CLOUD-010 0";
    "site load balancer" "its creation never ends" ONCE "{ command-takes = { command = 'create_load_balancer', ms = 6000 } }" => "GSH-CLOUD-011 0";
    "site load balancer" "no capacity anywhere" ALWAYS "{ refuse = { status = 412, code = 'resource_unavailable' } }" => "GSH-CLOUD-006 8";
    "site load balancer" "no address"          ONCE   "{ rewrite = { at = '/load_balancer/public_net/ipv4', to = 'null' } }" => "GSH-CLOUD-015 0";
    "server after its actions" "unknown for a moment" ONCE "{ server-status = 'unknown' }"                     => "ok 1";
    "server after its actions" "unknown for ever" ALWAYS "{ server-status = 'unknown' }"                       => "GSH-CLOUD-010 1";
    "server after its actions" "off for a moment" ONCE "{ server-status = 'off' }"                             => "ok 1";
    "server after its actions" "off for ever"  ALWAYS "{ server-status = 'off' }"                              => "GSH-CLOUD-010 1";
    "server types" "no deprecation known"      ONCE   "{ rewrite = { at = '/server_types/*/deprecation' } }"   => "ok 0";
    "image by name" "no date of deprecation"   ONCE   "{ rewrite = { at = '/images/*/deprecated' } }"          => "ok 0";
    "image by name" "none is there"            ONCE   "{ rewrite = { at = '/images', to = '[]' } }"            => "GSH-CLOUD-008 0";
    "removal of servers" "its action fails"    ONCE   "{ action-fails = { step = 0, code = 'server_error' } }" => "ok 1";
    "removal of servers" "half an answer afterwards" ONCE_AFTER "{ truncate = 20 }"                            => "ok 1";
    "removal of load balancers" "half an answer afterwards" ONCE_AFTER "{ truncate = 20 }"                     => "ok 1";
    "removal of a failed machine" "half an answer afterwards" ONCE_AFTER "{ truncate = 20 }"                   => "ok 1";
    "builder" "its start fails"                ONCE   "{ action-fails = { step = 2, code = 'canceled' } }"     => "ok 1";
    "builder" "every start fails"              ALWAYS "{ action-fails = { step = 2, code = 'canceled' } }"     => "image 2";
    "end of the builder" "its action fails"    ONCE   "{ action-fails = { step = 0, code = 'server_error' } }" => "image 0";
    "snapshot" "its action fails"              ONCE   "{ action-fails = { step = 0, code = 'server_error' } }" => "ok 1";
    "grown node" "every start fails"           ALWAYS "{ action-fails = { step = 2, code = 'canceled' } }"     => "GSH-CLOUD-010 2";
    "grown node" "no capacity anywhere"        ALWAYS "{ refuse = { status = 412, code = 'resource_unavailable' } }" => "GSH-CLOUD-006 29";
    "servers of a lease" "labels are lost"     ALWAYS "{ rewrite = { at = '/servers/*/labels', to = '{}' } }"  => "GSH-CLOUD-015 0";
];
