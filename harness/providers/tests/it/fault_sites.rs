//! Every place where the provider calls the API: by what it is reached, what kind of call it is, and how the emulator's fault
//! script tells it from others.

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
    /// Brings a thing into another state.
    Change,
    /// Removes a thing, and comes back to it.
    Delete,
    /// Removes a thing, and does not come back to it.
    Scrap,
    /// Lists what is left of a lease.
    Release,
    /// Waits for removals. Whatever it is told, the next list tells what is left.
    Settle,
    /// Looks at what a cluster made for itself, until it is known.
    Inside,
    /// Gives such a thing the lease's labels.
    Label,
    /// Reads what is only good to have.
    Extra,
    /// The first request of a survey: whether there is an API at all.
    First,
    /// The request of a survey that is made to be refused.
    Probe,
    /// Reads for a survey.
    Look,
}

/// During which of the provider's jobs a place is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Makes a cluster.
    Acquire,
    /// Makes one whose nodes start from a snapshot that is not there yet.
    Warm,
    /// Adds a node to one.
    Grow,
    /// Looks for leases while there is one.
    Price,
    /// Asks what a lease consists of and costs.
    Meter,
    /// Removes it.
    Release,
    /// Looks for leases.
    Find,
    /// Looks at the account before anything is ordered: `gsh doctor`.
    Survey,
    /// Removes snapshots that have expired.
    Snapshots,
}

/// A place where the provider calls the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) step: Step,
    /// The functions in `src/hetzner` that make the call, as `file::function`.
    pub(crate) from: &'static str,
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

const fn site(
    step: Step,
    from: &'static str,
    name: &'static str,
    calls: Calls,
    method: &'static str,
    path: &'static str,
) -> Site {
    Site { step, from, name, calls, method, path, query: "*", body: "*", axes: &[], world: "" }
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

/// The first machine that is ordered does not start.
const FAILED_START: &str = "[[hetzner.fault]]\nmethod = \"POST\"\npath = \"/servers\"\nnth = 1\n\
    effect = { action-fails = { step = 2, code = \"canceled\" } }";
/// A snapshot for warm starts whose time is over, and one of somebody else's.
const OLD_SNAPSHOT: &str = "[[hetzner.snapshot]]\nos = \"ubuntu-22.04\"\n\
    labels = { gsh-snapshot = \"a-key\", gsh-expires = \"1500000000\" }\n\
    [[hetzner.snapshot]]";

const RELEASE: &str = "*label_selector=gsh-lease=*";
const FIND: &str = "*label_selector=gsh-run,gsh-lease*";
const KEY: &str = "*label_selector=gsh-snapshot=*";
const EXPIRED: &str = "*label_selector=gsh-snapshot,gsh-expires*";
/// A list of everything. Only a survey asks for one.
const ALL: &str = "page=*";

use Calls::{Change, Delete, Extra, First, Inside, Label, Look, Make, Order, Poll, Probe, Read, Scrap, Settle};

/// Every place.
#[rustfmt::skip]
pub(crate) const SITES: [Site; 74] = [
    // On the way to a cluster.
    site(Step::Acquire, "catalogue::offers", "server types",        Read, "GET", "/server_types"),
    site(Step::Acquire, "catalogue::offers", "load balancer types", Read, "GET", "/load_balancer_types"),
    site(Step::Acquire, "catalogue::offers", "locations",           Read, "GET", "/locations"),
    Site { query: "*name=ubuntu*",           ..site(Step::Acquire, "catalogue::image", "image by name",  Read, "GET", "/images") },
    Site { query: "*label_selector=gsh.os*", axes: OLD, ..site(Step::Acquire, "catalogue::image", "image by label", Read, "GET", "/images") },
    site(Step::Acquire, "acquire::base create::create", "login key",       Make, "POST", "/ssh_keys"),
    site(Step::Acquire, "acquire::base create::create", "network",         Make, "POST", "/networks"),
    site(Step::Acquire, "acquire::base create::create", "firewall",        Make, "POST", "/firewalls"),
    site(Step::Acquire, "acquire::base create::create", "placement group", Make, "POST", "/placement_groups"),
    Site { body: "*-manager-1\"*",            ..site(Step::Acquire, "machines::order", "first server",  Order, "POST", "/servers") },
    Site { body: "*-node-1\"*",  axes: SMALL,  ..site(Step::Acquire, "machines::order", "worker",        Order, "POST", "/servers") },
    Site { body: "*-stores\"*",  axes: STORES, ..site(Step::Acquire, "machines::order", "stores server", Order, "POST", "/servers") },
    Site { body: "*-site\"*",    axes: SMALL,  ..site(Step::Acquire, "acquire::balancer", "site load balancer", Order, "POST", "/load_balancers") },
    Site { world: SLOW_CREATE,   ..site(Step::Acquire, "actions::look", "actions of orders", Poll, "GET", "/actions") },
    site(Step::Acquire, "machines::settled", "server after its actions", Poll, "GET", "/servers/*"),
    Site { world: LOST_SERVER, query: "*name=*", ..site(Step::Acquire, "create::look_up", "lost server", Read, "GET", "/servers") },
    Site { world: LOST_SERVER,   ..site(Step::Acquire, "create::started", "actions of a lost server", Read, "GET", "/servers/*/actions") },
    Site { world: LOST_NETWORK, query: "*name=*", ..site(Step::Acquire, "create::look_up", "lost network", Read, "GET", "/networks") },
    Site { world: LOST_BALANCER, axes: SMALL, query: "*name=*", ..site(Step::Acquire, "create::look_up", "lost load balancer", Read, "GET", "/load_balancers") },
    Site { world: LOST_BALANCER, axes: SMALL, ..site(Step::Acquire, "create::started", "actions of a lost load balancer", Read, "GET", "/load_balancers/*/actions") },
    Site { world: FAILED_START,  ..site(Step::Acquire, "machines::order_and_wait machines::scrap machines::delete", "removal of a failed machine", Scrap, "DELETE", "/servers/*") },
    // The snapshot that nodes start from.
    Site { query: KEY,           ..site(Step::Warm, "warm::of_key", "snapshots of a key", Poll, "GET", "/images") },
    Site { body: "*-builder\"*", ..site(Step::Warm, "machines::order", "builder", Order, "POST", "/servers") },
    site(Step::Warm, "warm::act", "end of the builder", Change, "POST", "/servers/*/actions/poweroff"),
    site(Step::Warm, "warm::snapshot", "snapshot", Make, "POST", "/servers/*/actions/create_image"),
    site(Step::Warm, "warm::build machines::scrap", "removal of the builder", Scrap, "DELETE", "/servers/*"),
    // A node more.
    Site { body: "*-node-*",     ..site(Step::Grow, "machines::order", "grown node", Order, "POST", "/servers") },
    Site { world: SLOW_CREATE,   ..site(Step::Grow, "actions::look", "actions of a grown node", Poll, "GET", "/actions") },
    site(Step::Grow, "machines::settled", "grown node after its actions", Poll, "GET", "/servers/*"),
    Site { world: LOST_SERVER, query: "*name=*", ..site(Step::Grow, "create::look_up", "lost grown node", Read, "GET", "/servers") },
    Site { world: LOST_SERVER,   ..site(Step::Grow, "create::started", "actions of a lost grown node", Read, "GET", "/servers/*/actions") },
    Site { world: FAILED_START,  ..site(Step::Grow, "machines::order_and_wait machines::scrap", "removal of a failed grown node", Scrap, "DELETE", "/servers/*") },
    site(Step::Grow, "machines::group", "further placement group", Make, "POST", "/placement_groups"),
    // What it costs.
    site(Step::Meter, "prices::get", "prices", Read, "GET", "/pricing"),
    site(Step::Meter, "meter::priced", "servers of a bill", Read, "GET", "/servers"),
    site(Step::Meter, "meter::priced", "load balancers of a bill", Read, "GET", "/load_balancers"),
    site(Step::Meter, "meter::priced", "volumes of a bill", Read, "GET", "/volumes"),
    Site { world: MORE,          ..site(Step::Price, "prices::get", "prices of what is found", Extra, "GET", "/pricing") },
    // The end of a lease.
    Site { axes: SMALL,          ..site(Step::Release, "release::sweep_once machines::delete", "removal of load balancers", Delete, "DELETE", "/load_balancers/*") },
    site(Step::Release, "release::sweep_once machines::delete", "removal of servers", Delete, "DELETE", "/servers/*"),
    Site { world: MORE,          ..site(Step::Release, "release::sweep_once", "removal of volumes",   Delete, "DELETE", "/volumes/*") },
    Site { world: MORE,          ..site(Step::Release, "release::sweep_once", "removal of addresses", Delete, "DELETE", "/primary_ips/*") },
    site(Step::Release, "release::sweep_once", "removal of groups",    Delete, "DELETE", "/placement_groups/*"),
    site(Step::Release, "release::sweep_once", "removal of firewalls", Delete, "DELETE", "/firewalls/*"),
    site(Step::Release, "release::sweep_once", "removal of networks",  Delete, "DELETE", "/networks/*"),
    site(Step::Release, "release::sweep_once", "removal of keys",      Delete, "DELETE", "/ssh_keys/*"),
    Site { world: MORE,          ..site(Step::Release, "release::sweep_once", "removal of snapshots", Delete, "DELETE", "/images/*") },
    // One call in the source lists every kind; the second place is whichever kind comes first.
    Site { query: RELEASE,       ..site(Step::Release, "release::labelled", "servers of a lease",  Calls::Release, "GET", "/servers") },
    Site { query: RELEASE,       ..site(Step::Release, "release::labelled", "anything of a lease", Calls::Release, "GET", "/*") },
    Site { world: SLOW_DELETE,   ..site(Step::Release, "actions::look", "actions of removals", Settle, "GET", "/actions") },
    // What the cluster made for itself.
    site(Step::Release, "strangers::one", "a server made inside",        Inside, "GET", "/servers/*"),
    site(Step::Release, "strangers::one", "a load balancer made inside", Inside, "GET", "/load_balancers/*"),
    site(Step::Release, "strangers::one", "a volume made inside",        Inside, "GET", "/volumes/*"),
    site(Step::Release, "strangers::label", "label of a server made inside",        Label, "PUT", "/servers/*"),
    site(Step::Release, "strangers::label", "label of a load balancer made inside", Label, "PUT", "/load_balancers/*"),
    site(Step::Release, "strangers::label", "label of a volume made inside",        Label, "PUT", "/volumes/*"),
    Site { query: FIND,          ..site(Step::Find, "release::labelled", "servers of the account",  Read, "GET", "/servers") },
    Site { query: FIND,          ..site(Step::Find, "release::labelled", "anything of the account", Read, "GET", "/*") },
    // Before anything is ordered.
    Site { query: "",            ..site(Step::Survey, "survey_access::look_at_token", "the first request", First, "GET", "/locations") },
    site(Step::Survey, "survey_access::look_at_token", "a key that cannot be", Probe, "POST", "/ssh_keys"),
    site(Step::Survey, "catalogue::offers", "server types for a survey", Look, "GET", "/server_types"),
    site(Step::Survey, "catalogue::offers", "load balancer types for a survey", Look, "GET", "/load_balancer_types"),
    Site { query: ALL,           ..site(Step::Survey, "catalogue::offers", "locations for a survey", Look, "GET", "/locations") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all servers",           Look, "GET", "/servers") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all load balancers",    Look, "GET", "/load_balancers") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all volumes",           Look, "GET", "/volumes") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all primary addresses", Look, "GET", "/primary_ips") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all networks",          Look, "GET", "/networks") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all firewalls",         Look, "GET", "/firewalls") },
    Site { query: ALL,           ..site(Step::Survey, "survey::look_at_account", "all keys",              Look, "GET", "/ssh_keys") },
    site(Step::Survey, "catalogue::image", "image for a survey", Look, "GET", "/images"),
    site(Step::Survey, "prices::get", "prices for a survey", Look, "GET", "/pricing"),
    // Snapshots that nobody uses any more.
    Site { query: EXPIRED, world: OLD_SNAPSHOT, ..site(Step::Snapshots, "warm::expired_snapshots", "expired snapshots", Read, "GET", "/images") },
    Site { world: OLD_SNAPSHOT,  ..site(Step::Snapshots, "warm::remove_snapshot machines::delete", "removal of an expired snapshot", Scrap, "DELETE", "/images/*") },
];
