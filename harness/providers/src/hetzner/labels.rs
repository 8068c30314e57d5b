//! The labels that everything of ours is born with. Release and sweep know nothing else.

use std::collections::BTreeMap;

use gsh_engine::provider::LeaseRequest;
use gsh_model::lease::{LeaseId, RunId};
use jiff::Timestamp;

/// The run that made it.
pub(crate) const RUN: &str = "gsh-run";
/// The lease it belongs to.
pub(crate) const LEASE: &str = "gsh-lease";
/// From when on anybody may remove it: seconds since 1970, because a label cannot hold the `:` of a date.
pub(crate) const EXPIRES: &str = "gsh-expires";
/// Whose it is: who to ask about it. Nothing is decided by it.
pub(crate) const OWNER: &str = "gsh-owner";
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
pub(crate) fn labels(request: &LeaseRequest, owner: &str, role: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RUN.to_owned(), request.run.to_string()),
        (LEASE.to_owned(), request.lease.to_string()),
        (EXPIRES.to_owned(), request.expires.as_second().to_string()),
        (OWNER.to_owned(), value(owner)),
        (ROLE.to_owned(), role.to_owned()),
    ])
}

/// A text as a label can hold it: up to 63 letters, digits and `-_.`, with a letter or digit at both ends.
fn value(text: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '.' };
    let inner = |c: char| !c.is_ascii_alphanumeric();
    let legal: String = text.trim_matches(inner).chars().map(legal).take(63).collect();
    legal.trim_matches(inner).to_owned()
}

/// The labels of a snapshot for warm starts. None of a run or lease: it outlives them.
pub(crate) fn of_snapshot(key: &str, expires: Timestamp, owner: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (SNAPSHOT.to_owned(), key.to_owned()),
        (EXPIRES.to_owned(), expires.as_second().to_string()),
        (OWNER.to_owned(), value(owner)),
    ])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_becomes_what_a_label_can_hold() {
        for (text, label) in [
            ("", ""),
            ("alice", "alice"),
            ("acme/gitpod dist", "acme.gitpod.dist"),
            ("@ops-team_", "ops-team"),
            ("jürgen", "j.rgen"),
            ("…", ""),
        ] {
            assert_eq!(value(text), label, "{text}");
        }
        assert_eq!(value(&format!("{}-x", "a".repeat(62))), "a".repeat(62));
    }
}
