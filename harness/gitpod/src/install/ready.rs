//! Waiting until everything that the installer rendered is ready, by name.
//!
//! Names come from the manifest, not from labels: pods of MySQL, RabbitMQ, MinIO and the registry carry no `app=gitpod`, and
//! Jobs and certificates are what the usual waiting tools overlook. Jobs remove themselves a minute after they end, so
//! watching begins before anything is applied.

use gsh_engine::failure::Failure;
use gsh_engine::wait::Progress;
use gsh_model::outcome::Blame;
use serde_json::Value;

use super::judge::{self, State};
use super::manifest::Manifest;
use super::prepare::NAMESPACE;
use super::trouble;
use gsh_kube::follow::{Scope, View, name_of};

/// Labels that Gitpod's own daemons put on a node once workspaces can run there.
const READY_LABELS: [&str; 2] = ["gitpod.io/ws-daemon_ready_ns_gitpod", "gitpod.io/registry-facade_ready_ns_gitpod"];
/// Labels of a node meant for workspaces; either of them.
const WORKSPACE_LABELS: [&str; 2] = ["gitpod.io/workload_workspace_regular", "gitpod.io/workload_workspace_headless"];

/// Whose fault it is when an object of the installation says that it will not become ready.
pub(crate) const BROKEN: Blame = Blame::Product;

/// What is awaited: kind and name of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Awaited {
    objects: Vec<(String, String)>,
}

impl Awaited {
    /// Everything in a manifest whose readiness can be seen.
    pub(crate) fn from(manifest: &Manifest) -> Self {
        let mut objects = Vec::new();
        for object in manifest.objects() {
            let (kind, name) = (object["kind"].as_str().unwrap_or_default(), name_of(object));
            if judge::of(kind, object).is_some() {
                objects.push((kind.to_owned(), name));
            }
            // Claims made from templates appear under names of their own.
            if kind == "StatefulSet" {
                for template in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
                    for ordinal in 0..object["spec"]["replicas"].as_u64().unwrap_or(1) {
                        let claim = format!("{}-{}-{ordinal}", name_of(template), name_of(object));
                        objects.push(("PersistentVolumeClaim".to_owned(), claim));
                    }
                }
            }
        }
        Self { objects }
    }

    /// How many things.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Names of one kind.
    #[cfg(test)]
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&str> {
        self.objects.iter().filter(|(k, _)| k == kind).map(|(_, n)| n.as_str()).collect()
    }
}

/// What must be followed to judge.
pub(crate) fn scopes() -> Vec<Scope> {
    [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("cert-manager.io/v1", "Certificate"),
        ("cert-manager.io/v1", "Issuer"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "Node"),
    ]
    .into_iter()
    .map(|(version, kind)| Scope::new(version, kind, NAMESPACE))
    .collect()
}

/// Judges the whole installation. A failure names the first thing that waiting will not cure.
pub(crate) fn all(view: &View, awaited: &Awaited, crashes: u64, check: &'static str) -> Result<Progress<()>, Failure> {
    for pod in view.all("Pod").filter(|p| is_ours(p, awaited)) {
        if let Some(found) = trouble::of_pod(pod, crashes) {
            return Err(Failure::new(found.blame(), check, "every pod of the installation runs", found.observed()));
        }
    }
    let mut missing = Vec::new();
    for (kind, name) in &awaited.objects {
        let object = if kind == "Job" { view.ever(kind, name) } else { view.get(kind, name) };
        match object.and_then(|o| judge::of(kind, o)) {
            Some(State::Ready) => {}
            Some(State::NotYet(seen)) => missing.push(format!("{kind} `{name}`: {seen}")),
            Some(State::Broken(why)) => {
                return Err(Failure::new(BROKEN, check, format!("{kind} `{name}` gets ready"), why));
            }
            None => missing.push(format!("{kind} `{name}`: not there")),
        }
    }
    for node in view.all("Node") {
        missing.extend(unlabelled(node));
    }
    if missing.is_empty() {
        return Ok(Progress::Ready(()));
    }
    Ok(Progress::NotYet(summary(&missing)))
}

/// What a node for workspaces lacks.
fn unlabelled(node: &Value) -> Option<String> {
    let labels = &node["metadata"]["labels"];
    if !WORKSPACE_LABELS.iter().any(|l| labels[*l].is_string()) {
        return None;
    }
    let missing: Vec<&str> = READY_LABELS.into_iter().filter(|l| labels[*l] != "true").collect();
    (!missing.is_empty()).then(|| format!("Node `{}`: without {}", name_of(node), missing.join(" and ")))
}

/// Workspaces come and go, and pods of a Job that nobody awaits, such as the daily telemetry's, are nobody's readiness.
fn is_ours(pod: &Value, awaited: &Awaited) -> bool {
    let labels = &pod["metadata"]["labels"];
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let mut jobs = owners.filter(|o| o["kind"] == "Job");
    let is_awaited = |job: &Value| awaited.objects.iter().any(|(k, n)| k == "Job" && job["name"] == n.as_str());
    labels["component"] != "workspace" && jobs.all(is_awaited)
}

/// One line for many things, the first few by name.
fn summary(missing: &[String]) -> String {
    const SHOWN: usize = 4;
    let first = missing.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    match missing.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

/// Whether the scheduler speaks of nodes that are too small, or not well.
fn lacks_nodes(message: &str) -> bool {
    let unwell =
        ["disk-pressure", "memory-pressure", "pid-pressure", "not-ready", "unreachable", "network-unavailable"];
    message.contains("Insufficient") || unwell.iter().any(|u| message.contains(&format!("node.kubernetes.io/{u}")))
}

/// The failure of an installation that did not get ready in time. Capacity that a node lacks was ordered by us or by
/// whoever lends the cluster, and images come from registries that neither side runs; all else that does not come to be is
/// the product's.
pub(crate) fn late(view: &View, failure: Failure) -> Failure {
    let short = |pod: &Value| {
        judge::find_condition(pod, "PodScheduled")
            .and_then(|c| c["message"].as_str())
            .filter(|m| lacks_nodes(m))
            .map(|m| format!("pod `{}`: {m}", name_of(pod)))
    };
    let pulling = |pod: &Value| trouble::still_pulling(pod).map(|text| format!("pod `{}`: {text}", name_of(pod)));
    match view.all("Pod").find_map(|pod| short(pod).or_else(|| pulling(pod))) {
        Some(text) if !failure.stopped => Failure { blame: Blame::Environment, ..failure }.cause(text),
        _other => failure,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(objects: &[(&str, Value)]) -> View {
        let mut view = View::default();
        for (kind, object) in objects {
            view.put(kind, object.clone());
        }
        view
    }

    fn awaited(objects: &[(&str, &str)]) -> Awaited {
        Awaited { objects: objects.iter().map(|(k, n)| ((*k).to_owned(), (*n).to_owned())).collect() }
    }

    fn labelled(node: &str, labels: &[&str]) -> Value {
        let labels: serde_json::Map<String, Value> = labels.iter().map(|l| ((*l).to_owned(), "true".into())).collect();
        json!({ "metadata": { "name": node, "labels": labels } })
    }

    #[test]
    fn a_workspace_node_without_the_two_labels_is_waited_for() {
        let judge = |node| all(&view(&[("Node", node)]), &awaited(&[]), 3, "GSH-INS-008");
        assert_eq!(judge(labelled("a", &[])), Ok(Progress::Ready(())));
        let half = labelled("a", &[WORKSPACE_LABELS[1], READY_LABELS[0]]);
        assert_eq!(judge(half), Ok(Progress::NotYet(format!("Node `a`: without {}", READY_LABELS[1]))));
        let full = labelled("a", &[WORKSPACE_LABELS[0], READY_LABELS[0], READY_LABELS[1]]);
        assert_eq!(judge(full), Ok(Progress::Ready(())));
    }

    #[test]
    fn a_failed_job_ends_the_wait_and_blames_the_product() {
        let failed = json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m" });
        let job = json!({ "metadata": { "name": "migrations" }, "status": { "conditions": [failed] } });
        let failure = all(&view(&[("Job", job)]), &awaited(&[("Job", "migrations")]), 3, "GSH-INS-008");
        let failure = failure.expect_err("a failed job");
        assert_eq!(failure.blame, Blame::Product);
        assert_eq!(
            failure.to_string(),
            "GSH-INS-008: expected Job `migrations` gets ready, observed BackoffLimitExceeded: m"
        );
    }

    #[test]
    fn trouble_of_a_workspace_is_not_trouble_of_the_installation() {
        let waiting = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
        let pod = |component: &str, job: &str| {
            let owner = json!([{ "kind": "Job", "name": job }]);
            json!({ "metadata": { "name": "p", "labels": { "component": component }, "ownerReferences": owner },
                "status": { "containerStatuses": [{ "name": "c", "state": waiting }] } })
        };
        let judge = |pod| all(&view(&[("Pod", pod)]), &awaited(&[("Job", "migrations")]), 3, "GSH-INS-008");
        assert!(judge(pod("workspace", "migrations")).is_ok());
        assert!(judge(pod("gitpod", "gitpod-telemetry-1")).is_ok());
        assert_eq!(judge(pod("migrations", "migrations")).expect_err("an image").blame, Blame::Environment);
    }

    #[test]
    fn missing_things_are_named_and_counted() {
        let names = ["a", "b", "c", "d", "e", "f"].map(|n| ("Certificate", n));
        let seen = all(&view(&[]), &awaited(&names), 3, "GSH-INS-008");
        let text = "Certificate `a`: not there; Certificate `b`: not there; Certificate `c`: not there; Certificate `d`: not there; and 2 more";
        assert_eq!(seen, Ok(Progress::NotYet(text.to_owned())));
    }

    #[test]
    fn a_time_out_for_want_of_capacity_is_the_environment() {
        let scheduled = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory." });
        let pod = json!({ "metadata": { "name": "p" }, "status": { "conditions": [scheduled] } });
        let failure = Failure::product("GSH-INS-008", "ready", "not");
        assert_eq!(late(&view(&[("Pod", pod)]), failure.clone()).blame, Blame::Environment);
        assert_eq!(late(&view(&[]), failure).blame, Blame::Product);
    }
}
