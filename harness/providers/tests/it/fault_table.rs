//! The fault matrix as data: every place where the provider calls the API, every way in which a call can go wrong, and what
//! comes of it. [`super::faults`] plays it.
//!
//! An outcome is written `ok n` or `GSH-… n`: what the step that makes the call ends with, and how often the call was repeated
//! for it. `-` means that the fault makes no sense there. Calls are tried four times here.

/// What kind of call a place makes: it decides what a fault does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Reads on the way to a cluster.
    Read,
    /// Reads as often as it takes; how often is a matter of time.
    Poll,
    /// Makes a thing that is the same everywhere.
    Make,
    /// Makes a thing of which there are candidates.
    Order,
    /// Removes a thing.
    Delete,
    /// Lists what is left of a lease.
    Release,
    /// Waits for removals. Whatever it is told, the next list tells what is left.
    Settle,
    /// Lists the leases of the account.
    Find,
}

/// A place where the provider calls the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) calls: Calls,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The part of the query that tells it from others, as the emulator's fault script writes it.
    pub(crate) query: &'static str,
    /// The part of the body that does.
    pub(crate) body: &'static str,
    /// What must be ordered for the place to be reached.
    pub(crate) axes: &'static [(&'static str, &'static str)],
    /// What the world must be like for it.
    pub(crate) world: &'static str,
}

const fn site(name: &'static str, calls: Calls, method: &'static str, path: &'static str) -> Site {
    Site { name, calls, method, path, query: "*", body: "*", axes: &[], world: "" }
}

const SMALL: &[(&str, &str)] = &[("size", "small")];
const STORES: &[(&str, &str)] = &[("registry", "external")];
const OLD: &[(&str, &str)] = &[("os", "ubuntu-20.04")];
/// Nobody answers the first order of a server, which has been made.
const LOST_SERVER: &str =
    "[[hetzner.fault]]\nmethod = \"POST\"\npath = \"/servers\"\nnth = 1\nwhen = \"after\"\neffect = \"reset\"";
const LOST_NETWORK: &str =
    "[[hetzner.fault]]\nmethod = \"POST\"\npath = \"/networks\"\nnth = 1\nwhen = \"after\"\neffect = \"reset\"";
const LOST_BALANCER: &str =
    "[[hetzner.fault]]\nmethod = \"POST\"\npath = \"/load_balancers\"\nnth = 1\nwhen = \"after\"\neffect = \"reset\"";
const SLOW_CREATE: &str = "[hetzner.takes-ms]\ncreate_server = 40";
const SLOW_DELETE: &str = "[hetzner.takes-ms]\ndelete_server = 40";
/// What others leave behind inside of a lease: a CSI driver, an administrator.
const MORE: &str = "[[hetzner.existing]]\npath = \"/volumes\"\n\
    body = { name = \"pvc-1\", size = 10, location = \"nbg1\", labels = { gsh-run = \"r20261123-164638-7f3a\", gsh-lease = \"g7f3a-c1-a1\" } }\n\
    [[hetzner.existing]]\npath = \"/primary_ips\"\n\
    body = { name = \"ip-1\", type = \"ipv4\", location = \"nbg1\", labels = { gsh-run = \"r20261123-164638-7f3a\", gsh-lease = \"g7f3a-c1-a1\" } }\n\
    [[hetzner.snapshot]]\nos = \"ubuntu-22.04\"\n\
    labels = { gsh-run = \"r20261123-164638-7f3a\", gsh-lease = \"g7f3a-c1-a1\" }";

const RELEASE: &str = "*label_selector=gsh-lease=*";
const FIND: &str = "*label_selector=gsh-run,gsh-lease*";

use Calls::{Delete, Find, Make, Order, Poll, Read, Release, Settle};

/// Every place.
#[rustfmt::skip]
pub(crate) const SITES: [Site; 34] = [
    site("server types",             Read,   "GET",    "/server_types"),
    site("load balancer types",      Read,   "GET",    "/load_balancer_types"),
    site("locations",                Read,   "GET",    "/locations"),
    Site { query: "*name=ubuntu*",            ..site("image by name",      Read, "GET", "/images") },
    Site { query: "*label_selector=gsh.os*",  axes: OLD, ..site("image by label", Read, "GET", "/images") },
    site("login key",                Make,   "POST",   "/ssh_keys"),
    site("network",                  Make,   "POST",   "/networks"),
    site("firewall",                 Make,   "POST",   "/firewalls"),
    site("placement group",          Make,   "POST",   "/placement_groups"),
    Site { body: "*-manager-1\"*",            ..site("first server",       Order, "POST", "/servers") },
    Site { body: "*-node-1\"*",  axes: SMALL, ..site("worker",             Order, "POST", "/servers") },
    Site { body: "*-stores\"*",  axes: STORES, ..site("stores server",     Order, "POST", "/servers") },
    Site { body: "*-site\"*",    axes: SMALL, ..site("site load balancer", Order, "POST", "/load_balancers") },
    Site { world: SLOW_CREATE,                ..site("actions of orders",  Poll, "GET", "/actions") },
    site("server after its actions", Poll,   "GET",    "/servers/*"),
    Site { world: LOST_SERVER, query: "*name=*", ..site("lost server",     Read, "GET", "/servers") },
    Site { world: LOST_SERVER,                ..site("actions of a lost server", Read, "GET", "/servers/*/actions") },
    Site { world: LOST_NETWORK, query: "*name=*", ..site("lost network",   Read, "GET", "/networks") },
    Site { world: LOST_BALANCER, axes: SMALL, query: "*name=*", ..site("lost load balancer", Read, "GET", "/load_balancers") },
    Site { world: LOST_BALANCER, axes: SMALL, ..site("actions of a lost load balancer", Read, "GET", "/load_balancers/*/actions") },
    Site { axes: SMALL,                       ..site("removal of load balancers", Delete, "DELETE", "/load_balancers/*") },
    site("removal of servers",       Delete, "DELETE", "/servers/*"),
    Site { world: MORE,                       ..site("removal of volumes", Delete, "DELETE", "/volumes/*") },
    Site { world: MORE,                       ..site("removal of addresses", Delete, "DELETE", "/primary_ips/*") },
    site("removal of groups",        Delete, "DELETE", "/placement_groups/*"),
    site("removal of firewalls",     Delete, "DELETE", "/firewalls/*"),
    site("removal of networks",      Delete, "DELETE", "/networks/*"),
    site("removal of keys",          Delete, "DELETE", "/ssh_keys/*"),
    Site { world: MORE,                       ..site("removal of snapshots", Delete, "DELETE", "/images/*") },
    // One call in the source lists every kind; the second place is whichever kind comes first.
    Site { query: RELEASE, ..site("servers of a lease",          Release, "GET", "/servers") },
    Site { query: RELEASE, ..site("anything of a lease",         Release, "GET", "/*") },
    Site { query: FIND,    ..site("servers of the account",      Find, "GET", "/servers") },
    Site { query: FIND,    ..site("anything of the account",     Find, "GET", "/*") },
    Site { world: SLOW_DELETE, ..site("actions of removals",     Settle, "GET", "/actions") },
];

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
    pub(crate) delete: &'static str,
}

impl Row {
    /// What is expected of a place; nothing where the fault makes no sense.
    pub(crate) fn at(&self, calls: Calls) -> Option<&'static str> {
        let cell = match calls {
            Calls::Settle if self.read != "-" => "ok 0",
            Calls::Settle | Calls::Read | Calls::Poll | Calls::Release | Calls::Find => self.read,
            Calls::Make => self.make,
            Calls::Order => self.order,
            Calls::Delete => self.delete,
        };
        (cell != "-").then_some(cell)
    }
}

const ONCE: &str = "nth = 1";
const SEVEN: &str = "times = 7";
const ONCE_AFTER: &str = "nth = 1\nwhen = \"after\"";
const ALWAYS: &str = "";
const ALWAYS_AFTER: &str = "when = \"after\"";

macro_rules! rows {
    ($($name:literal $strikes:ident $effect:literal => $read:literal $make:literal $order:literal $delete:literal;)*) => {
        [$(Row { name: $name, strikes: $strikes, effect: $effect, read: $read, make: $make, order: $order, delete: $delete },)*]
    };
}

/// Every fault that can strike any place.
#[rustfmt::skip]
pub(crate) const ROWS: [Row; 51] = rows![
    //  name                            strikes     effect                                                      reads             makes             orders            deletes
    // Refusals that pass.
    "a conflict"                        ONCE        "{ refuse = { status = 409, code = 'conflict' } }"              => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "a lock"                            ONCE        "{ refuse = { status = 423, code = 'locked' } }"                => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "maintenance"                       ONCE        "{ refuse = { status = 403, code = 'maintenance' } }"           => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "a backend's refusal"               ONCE        "{ refuse = { status = 422, code = 'service_error' } }"         => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "the rate limit"                    ONCE        "{ refuse = { status = 429, code = 'rate_limit_exceeded' } }"   => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "seven rate limits"                 SEVEN       "{ refuse = { status = 429, code = 'rate_limit_exceeded' } }"   => "ok 7"            "ok 7"            "ok 7"            "ok 7";
    // Trouble of the server side, before and after the effect.
    "an error"                          ONCE        "{ refuse = { status = 500, code = 'server_error' } }"          => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "an error afterwards"               ONCE_AFTER  "{ refuse = { status = 500, code = 'server_error' } }"          => "ok 1"            "ok 0"            "ok 0"            "ok 1";
    "a bad gateway"                     ONCE        "{ html = 502 }"                                                => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "a bad gateway afterwards"          ONCE_AFTER  "{ html = 502 }"                                                => "ok 1"            "ok 0"            "ok 0"            "ok 1";
    "unavailable"                       ONCE        "{ refuse = { status = 503, code = 'unavailable' } }"           => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "a gateway's time-out"              ONCE        "{ refuse = { status = 504, code = 'timeout' } }"               => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    // No answer, or no whole one, before and after the effect.
    "silence"                           ONCE        "'time-out'"                                                    => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "silence afterwards"                ONCE_AFTER  "'time-out'"                                                    => "ok 1"            "ok 0"            "ok 0"            "ok 1";
    "a reset"                           ONCE        "'reset'"                                                       => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "a reset afterwards"                ONCE_AFTER  "'reset'"                                                       => "ok 1"            "ok 0"            "ok 0"            "ok 1";
    "an end"                            ONCE        "'close'"                                                       => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "half an answer"                    ONCE        "{ truncate = 20 }"                                             => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "half an answer afterwards"         ONCE_AFTER  "{ truncate = 20 }"                                             => "ok 1"            "ok 0"            "ok 0"            "-";
    "another page"                      ONCE        "{ html = 200 }"                                                => "ok 1"            "ok 1"            "ok 1"            "ok 1";
    "another page afterwards"           ONCE_AFTER  "{ html = 200 }"                                                => "ok 1"            "ok 0"            "ok 0"            "ok 1";
    "a late answer"                     ONCE        "{ slow-ms = 30 }"                                              => "ok 0"            "ok 0"            "ok 0"            "ok 0";
    // Refusals that mean what they say. Removal comes back to what it was refused.
    "an unknown token"                  ONCE        "{ refuse = { status = 401, code = 'unauthorized' } }"          => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1";
    "a token that only reads"           ONCE        "{ refuse = { status = 401, code = 'token_readonly' } }"        => "-"               "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1";
    "no permission"                     ONCE        "{ refuse = { status = 403, code = 'forbidden' } }"             => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "ok 1";
    "bad JSON"                          ONCE        "{ refuse = { status = 400, code = 'json_error' } }"            => "-"               "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "-";
    "bad input"                         ONCE        "{ refuse = { status = 422, code = 'invalid_input' } }"         => "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "ok 1";
    "not found"                         ONCE        "{ refuse = { status = 404, code = 'not_found' } }"             => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1";
    "an end of the endpoint"            ONCE        "{ refuse = { status = 410, code = 'deprecated_api_endpoint' } }" => "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "GSH-CLOUD-003 0" "ok 1";
    "a code nobody knows"               ONCE        "{ refuse = { status = 418, code = 'something_new' } }"         => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1";
    "a redirection"                     ONCE        "{ html = 302 }"                                                => "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "GSH-CLOUD-002 0" "ok 1";
    // Refusals of things to be made.
    "a taken name that is free"         ONCE        "{ refuse = { status = 409, code = 'uniqueness_error' } }"      => "-"               "ok 1"            "ok 1"            "-";
    "a quota that was just freed"       ONCE        "{ refuse = { status = 403, code = 'resource_limit_exceeded' } }" => "-"             "ok 1"            "ok 1"            "-";
    "a quota"                           ALWAYS      "{ refuse = { status = 403, code = 'resource_limit_exceeded' } }" => "-"             "GSH-CLOUD-007 1" "GSH-CLOUD-007 1" "-";
    "a full group"                      ONCE        "{ refuse = { status = 422, code = 'placement_group_member_limit_reached' } }" => "-" "-"            "ok 1"            "-";
    "no capacity for the first choice"  ONCE        "{ refuse = { status = 412, code = 'resource_unavailable' } }"  => "-"               "-"               "ok 1"            "-";
    "no place for the first choice"     ONCE        "{ refuse = { status = 422, code = 'placement_error' } }"       => "-"               "-"               "ok 1"            "-";
    "the first choice not sold there"   ONCE        "{ refuse = { status = 422, code = 'invalid_input', message = 'unsupported location for server type' } }" => "-" "-" "ok 1" "-";
    "the first choice is history"       ONCE        "{ refuse = { status = 422, code = 'invalid_input', message = 'server type 7 is deprecated' } }" => "-" "-" "ok 1" "-";
    // Refusals of things to be removed.
    "a protection taken off"            ONCE        "{ refuse = { status = 423, code = 'protected' } }"             => "-"               "-"               "-"               "ok 1";
    "a use that ends"                   ONCE        "{ refuse = { status = 422, code = 'resource_in_use' } }"       => "-"               "-"               "-"               "ok 1";
    "an assignment that ends"           ONCE        "{ refuse = { status = 422, code = 'must_be_unassigned' } }"    => "-"               "-"               "-"               "ok 1";
    // What does not pass. Six passes of four tries is all that removal does.
    "conflicts for ever"                ALWAYS      "{ refuse = { status = 409, code = 'conflict' } }"              => "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 23";
    "unavailable for ever"              ALWAYS      "{ refuse = { status = 503, code = 'unavailable' } }"           => "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 3" "GSH-CLOUD-002 23";
    "errors after every effect"         ALWAYS_AFTER "{ refuse = { status = 500, code = 'server_error' } }"         => "GSH-CLOUD-002 3" "ok 0"            "ok 0"            "ok 3";
    "resets for ever"                   ALWAYS      "'reset'"                                                       => "GSH-CLOUD-001 3" "GSH-CLOUD-001 3" "GSH-CLOUD-001 3" "GSH-CLOUD-001 23";
    "resets after every effect"         ALWAYS_AFTER "'reset'"                                                      => "GSH-CLOUD-001 3" "ok 0"            "ok 0"            "ok 3";
    "other pages for ever"              ALWAYS      "{ html = 200 }"                                                => "GSH-CLOUD-015 3" "GSH-CLOUD-015 3" "GSH-CLOUD-015 3" "GSH-CLOUD-015 23";
    "a token that is revoked"           ALWAYS      "{ refuse = { status = 401, code = 'unauthorized' } }"          => "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 0" "GSH-CLOUD-004 5";
    "a protection that stays"           ALWAYS      "{ refuse = { status = 423, code = 'protected' } }"             => "-"               "-"               "-"               "GSH-CLOUD-002 5";
    "a use that stays"                  ALWAYS      "{ refuse = { status = 422, code = 'resource_in_use' } }"       => "-"               "-"               "-"               "GSH-CLOUD-002 23";
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
pub(crate) const SPECIALS: [Special; 31] = specials![
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
    "servers of a lease" "labels are lost"     ALWAYS "{ rewrite = { at = '/servers/*/labels', to = '{}' } }"  => "GSH-CLOUD-015 0";
];
