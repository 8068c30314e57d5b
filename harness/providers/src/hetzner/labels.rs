//! The labels that everything of ours is born with. Release and sweep know nothing else.

use std::collections::BTreeMap;

use gsh_model::lease::{LeaseId, RunId};
use jiff::Timestamp;

/// The run that made it.
pub(crate) const RUN: &str = "gsh-run";
/// The lease it belongs to.
pub(crate) const LEASE: &str = "gsh-lease";
/// From when on anybody may remove it: seconds since 1970, because a label cannot hold the `:` of a date.
pub(crate) const EXPIRES: &str = "gsh-expires";
/// What it is for.
pub(crate) const ROLE: &str = "gsh-role";

/// What a snapshot for warm starts is of: image, k3s release and template.
pub(crate) const SNAPSHOT: &str = "gsh-snapshot";

/// Role of the machine that becomes a snapshot.
pub(crate) const BUILDER: &str = "builder";
/// Role of a server that runs the control plane and workloads.
pub(crate) const MANAGER_WORKER: &str = "manager-worker";
/// Role of a server that runs the control plane only.
pub(crate) const MANAGER: &str = "manager";
/// Role of a server that carries workloads.
pub(crate) const WORKER: &str = "worker";
/// Role of the server with external stores.
pub(crate) const STORES: &str = "stores";

/// The labels of one resource.
pub(crate) fn labels(run: &RunId, lease: &LeaseId, expires: Timestamp, role: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RUN.to_owned(), run.to_string()),
        (LEASE.to_owned(), lease.to_string()),
        (EXPIRES.to_owned(), expires.as_second().to_string()),
        (ROLE.to_owned(), role.to_owned()),
    ])
}

/// The labels of a snapshot for warm starts. None of a run or lease: it outlives them.
pub(crate) fn of_snapshot(key: &str, expires: Timestamp) -> BTreeMap<String, String> {
    BTreeMap::from([(SNAPSHOT.to_owned(), key.to_owned()), (EXPIRES.to_owned(), expires.as_second().to_string())])
}

/// From when on anybody may remove what carries these labels.
pub(crate) fn expiry(labels: &BTreeMap<String, String>) -> Option<Timestamp> {
    labels.get(EXPIRES)?.parse().ok().and_then(|s| Timestamp::from_second(s).ok())
}

/// Everything of one lease.
pub(crate) fn of_lease(lease: &LeaseId) -> String {
    format!("{LEASE}={lease}")
}

/// The servers of a lease that answer on the site's ports.
pub(crate) fn workers_of(lease: &LeaseId) -> String {
    format!("{LEASE}={lease},{ROLE} in ({WORKER},{MANAGER_WORKER})")
}

/// The servers of a lease that answer on the Kubernetes API's port.
pub(crate) fn managers_of(lease: &LeaseId) -> String {
    format!("{LEASE}={lease},{ROLE}={MANAGER}")
}

/// Everything of one run, or of any run of ours. Never everything.
pub(crate) fn of_run(run: Option<&RunId>) -> String {
    match run {
        Some(run) => format!("{RUN}={run},{LEASE}"),
        None => format!("{RUN},{LEASE}"),
    }
}
