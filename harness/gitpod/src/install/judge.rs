//! Whether one object of an installation is ready: pure functions of the object as the API shows it.

use serde_json::Value;

/// What an object's status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is as it should be.
    Ready,
    /// Not yet; what is missing.
    NotYet(String),
    /// It will not become ready by waiting; why.
    Broken(String),
}

/// The state of an object by its kind; nothing for kinds that are ready by existing.
pub fn of(kind: &str, object: &Value) -> Option<State> {
    match kind {
        "Deployment" => Some(deployment(object)),
        "StatefulSet" => Some(stateful_set(object)),
        "DaemonSet" => Some(daemon_set(object)),
        "Job" => Some(job(object)),
        "Certificate" | "Issuer" => Some(issued(object)),
        "PersistentVolumeClaim" => Some(claim(object)),
        "Service" => Some(service(object)),
        _kind_without_readiness => None,
    }
}

/// Whether a condition is `True`.
pub fn condition(object: &Value, kind: &str) -> bool {
    find_condition(object, kind).is_some_and(|c| c["status"] == "True")
}

/// A condition by its type.
pub fn find_condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn words(condition: &Value) -> String {
    let part = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    match (part("reason"), part("message")) {
        (reason, message) if message.is_empty() => reason,
        (reason, message) if reason.is_empty() => message,
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Status written by a controller that has not seen the newest specification says nothing.
fn observed(object: &Value) -> bool {
    number(&object["status"]["observedGeneration"]) >= number(&object["metadata"]["generation"])
}

fn counted(object: &Value, wanted: u64, have: u64, word: &str) -> State {
    if !observed(object) {
        State::NotYet("not yet taken up by its controller".to_owned())
    } else if have < wanted {
        State::NotYet(format!("{have} of {wanted} {word}"))
    } else {
        State::Ready
    }
}

pub(crate) fn deployment(object: &Value) -> State {
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let status = &object["status"];
    let have = number(&status["updatedReplicas"]).min(number(&status["availableReplicas"]));
    counted(object, wanted, have, "available")
}

fn stateful_set(object: &Value) -> State {
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    counted(object, wanted, number(&object["status"]["readyReplicas"]), "ready")
}

fn daemon_set(object: &Value) -> State {
    let status = &object["status"];
    let wanted = number(&status["desiredNumberScheduled"]);
    let have = number(&status["updatedNumberScheduled"]).min(number(&status["numberReady"]));
    match counted(object, wanted, have, "ready") {
        // Every DaemonSet of Gitpod has a node to run on: the five workload labels are always somewhere.
        State::Ready if wanted == 0 => State::NotYet("no node is meant to run it".to_owned()),
        state => state,
    }
}

fn job(object: &Value) -> State {
    if condition(object, "Complete") {
        return State::Ready;
    }
    match find_condition(object, "Failed").filter(|c| c["status"] == "True") {
        Some(failed) => State::Broken(words(failed)),
        None => State::NotYet(format!(
            "{} running, {} failed, {} succeeded",
            number(&object["status"]["active"]),
            number(&object["status"]["failed"]),
            number(&object["status"]["succeeded"]),
        )),
    }
}

fn issued(object: &Value) -> State {
    if condition(object, "Ready") {
        return State::Ready;
    }
    // cert-manager tries a failed issuance again only after an hour.
    if let Some(issuing) =
        find_condition(object, "Issuing").filter(|c| c["status"] == "False" && c["reason"] == "Failed")
    {
        return State::Broken(words(issuing));
    }
    match find_condition(object, "Ready") {
        Some(ready) => State::NotYet(words(ready)),
        None => State::NotYet("cert-manager has not looked at it".to_owned()),
    }
}

fn claim(object: &Value) -> State {
    match object["status"]["phase"].as_str() {
        Some("Bound") => State::Ready,
        Some("Lost") => State::Broken("its volume is lost".to_owned()),
        Some(phase) => State::NotYet(phase.to_owned()),
        None => State::NotYet("no phase".to_owned()),
    }
}

fn service(object: &Value) -> State {
    if object["spec"]["type"] != "LoadBalancer" {
        return State::Ready;
    }
    match object["status"]["loadBalancer"]["ingress"].as_array() {
        Some(ingress) if !ingress.is_empty() => State::Ready,
        _none => State::NotYet("no load balancer took it up".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, object: Value, state: &str) {
        let seen = match of(kind, &object) {
            None => "nothing".to_owned(),
            Some(State::Ready) => "ready".to_owned(),
            Some(State::NotYet(why)) => format!("not yet: {why}"),
            Some(State::Broken(why)) => format!("broken: {why}"),
        };
        assert_eq!(seen, state, "{kind} {object}");
    }

    #[test]
    fn a_workload_is_ready_when_its_newest_pods_are() {
        check("Deployment", json!({ "spec": { "replicas": 1 } }), "not yet: 0 of 1 available");
        let status = json!({ "observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1 });
        check("Deployment", json!({ "metadata": { "generation": 1 }, "status": status }), "ready");
        let behind = "not yet: not yet taken up by its controller";
        check("Deployment", json!({ "metadata": { "generation": 2 }, "status": status }), behind);
        let old = json!({ "observedGeneration": 1, "availableReplicas": 1 });
        check("Deployment", json!({ "metadata": { "generation": 1 }, "status": old }), "not yet: 0 of 1 available");
        check("StatefulSet", json!({ "status": { "readyReplicas": 1 } }), "ready");
        check("StatefulSet", json!({ "status": { "replicas": 1 } }), "not yet: 0 of 1 ready");
    }

    #[test]
    fn a_daemon_set_without_a_node_is_not_ready() {
        let status = json!({ "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1 });
        check("DaemonSet", json!({ "status": status }), "not yet: 1 of 2 ready");
        check("DaemonSet", json!({ "status": {} }), "not yet: no node is meant to run it");
    }

    #[test]
    fn a_job_is_ready_only_when_complete_and_broken_when_failed() {
        check("Job", json!({ "status": { "active": 1 } }), "not yet: 1 running, 0 failed, 0 succeeded");
        check("Job", json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } }), "ready");
        let failed =
            json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often" });
        check("Job", json!({ "status": { "conditions": [failed] } }), "broken: BackoffLimitExceeded: too often");
    }

    #[test]
    fn a_certificate_is_ready_by_its_condition_and_broken_by_a_failed_issuance() {
        check("Certificate", json!({}), "not yet: cert-manager has not looked at it");
        let waiting = json!({ "type": "Ready", "status": "False", "reason": "DoesNotExist", "message": "no secret" });
        check("Certificate", json!({ "status": { "conditions": [waiting] } }), "not yet: DoesNotExist: no secret");
        let failed = json!({ "type": "Issuing", "status": "False", "reason": "Failed", "message": "denied" });
        check("Certificate", json!({ "status": { "conditions": [waiting, failed] } }), "broken: Failed: denied");
        check("Issuer", json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }), "ready");
    }

    #[test]
    fn volumes_are_bound_and_load_balancers_have_an_address() {
        check("PersistentVolumeClaim", json!({ "status": { "phase": "Pending" } }), "not yet: Pending");
        check("PersistentVolumeClaim", json!({ "status": { "phase": "Lost" } }), "broken: its volume is lost");
        check("Service", json!({ "spec": { "type": "ClusterIP" } }), "ready");
        check("Service", json!({ "spec": { "type": "LoadBalancer" } }), "not yet: no load balancer took it up");
        let ingress = json!({ "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": { "ingress": [{ "ip": "1.2.3.4" }] } } });
        check("Service", ingress, "ready");
        check("ConfigMap", json!({}), "nothing");
    }
}
