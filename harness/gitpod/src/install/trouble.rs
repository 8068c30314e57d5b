//! What is wrong with a pod when waiting will not help, and whose fault that is: pure functions of the pod.

use gsh_model::outcome::Blame;
use serde_json::Value;

/// Trouble of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The pod.
    pub pod: String,
    /// The container, where it is one container's trouble.
    pub container: Option<String>,
    /// What kind of trouble.
    pub kind: Kind,
    /// What Kubernetes says about it.
    pub text: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The image cannot be pulled.
    Pull,
    /// The container keeps ending.
    Crash,
    /// The container's settings refer to something that does not exist.
    Settings,
    /// No node fits, and none ever will.
    NoNode,
    /// The node threw the pod out.
    Evicted,
}

impl Trouble {
    /// Whose fault it is.
    ///
    /// Images come from registries that neither side runs, and nodes throw pods out when they are too small for what was
    /// ordered: the environment. All else the product brought along itself.
    pub fn blame(&self) -> Blame {
        match self.kind {
            Kind::Pull | Kind::Evicted => Blame::Environment,
            Kind::Crash | Kind::Settings | Kind::NoNode => Blame::Product,
        }
    }

    /// One line.
    pub fn observed(&self) -> String {
        let place = match &self.container {
            Some(container) => format!("pod `{}`, container `{container}`", self.pod),
            None => format!("pod `{}`", self.pod),
        };
        let what = match self.kind {
            Kind::Pull => pull_words(&self.text),
            Kind::Crash => "the container keeps ending",
            Kind::Settings => "the container cannot be configured",
            Kind::NoNode => "no node fits",
            Kind::Evicted => "the node threw it out",
        };
        format!("{place}: {what}: {}", self.text)
    }
}

/// Why a pull failed, from the text of kubelet or registry.
pub fn pull_words(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|n| text.contains(n));
    if is_rate_limit(&text) {
        "the registry's rate limit refuses the image"
    } else if has(&["not found", "manifest unknown", "does not exist"]) {
        "the image is not in the registry"
    } else if has(&["denied", "unauthorized", "forbidden"]) {
        "the registry refuses the image"
    } else {
        "the image cannot be pulled"
    }
}

/// Whether a registry refuses because too much was pulled.
pub fn is_rate_limit(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["toomanyrequests", "too many requests", "rate limit"].iter().any(|n| text.contains(n))
}

/// Whether a text speaks of what neither side runs: a registry that limits or fails, a node without room.
pub(crate) fn is_outside(text: &str) -> bool {
    let registry_fails = text.contains("received unexpected HTTP status: 5");
    let no_room = ["OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage", "no space left on device"];
    is_rate_limit(text)
        || registry_fails
        || text.starts_with("Evicted:")
        || no_room.iter().any(|words| text.contains(words))
}

/// What a pod's image pull says that is still being tried.
pub(crate) fn still_pulling(pod: &Value) -> Option<&str> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut containers = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    containers.find_map(|container| {
        let waiting = &container["state"]["waiting"];
        (waiting["reason"] == "ErrImagePull").then(|| str_of(&waiting["message"]))
    })
}

/// What is wrong with a pod, if waiting will not help; `crashes` restarts of one container are too many.
pub fn of_pod(pod: &Value, crashes: u64) -> Option<Trouble> {
    let name = gsh_kube::follow::name_of(pod);
    let status = &pod["status"];
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let trouble = |container: Option<&str>, kind, text: String| {
        Some(Trouble { pod: name.clone(), container: container.map(str::to_owned), kind, text })
    };
    if status["phase"] == "Failed" && status["reason"].is_string() {
        let text = format!("{}: {}", str_of(&status["reason"]), str_of(&status["message"]));
        // The pod's own deadline is no word of the node's.
        let kind = if status["reason"] == "DeadlineExceeded" { Kind::Crash } else { Kind::Evicted };
        return trouble(None, kind, text);
    }
    if let Some(scheduled) = super::judge::find_condition(pod, "PodScheduled") {
        let message = str_of(&scheduled["message"]);
        if scheduled["reason"] == "Unschedulable" && never_fits(message) {
            return trouble(None, Kind::NoNode, message.to_owned());
        }
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for container in status[list].as_array().into_iter().flatten() {
            let this = container["name"].as_str();
            let waiting = &container["state"]["waiting"];
            let message = str_of(&waiting["message"]);
            match waiting["reason"].as_str() {
                // No registry was asked: whoever wrote the reference wrote none.
                Some("InvalidImageName") => return trouble(this, Kind::Settings, named(container, message)),
                Some("ErrImagePull" | "ImageInspectError") if is_final(message) => {
                    return trouble(this, Kind::Pull, named(container, message));
                }
                Some("ImagePullBackOff") => return trouble(this, Kind::Pull, named(container, message)),
                Some("CrashLoopBackOff") if container["restartCount"].as_u64().unwrap_or(0) >= crashes => {
                    return trouble(this, Kind::Crash, last_words(container));
                }
                Some("CreateContainerConfigError") if message.contains("couldn't find key") => {
                    return trouble(this, Kind::Settings, message.to_owned());
                }
                _may_pass => {}
            }
        }
    }
    None
}

fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A pull error that another try will not cure at once. Connections that break are tried again by kubelet.
fn is_final(message: &str) -> bool {
    pull_words(message) != "the image cannot be pulled"
}

fn named(container: &Value, message: &str) -> String {
    match container["image"].as_str() {
        Some(image) if !message.contains(image) => format!("{image}: {message}"),
        _named_already => message.to_owned(),
    }
}

/// Only labels that nobody will set any more keep the pod off every node; missing capacity may come back.
fn never_fits(message: &str) -> bool {
    let labels = message.contains("node affinity/selector") || message.contains("node selector");
    labels
        && !message.contains("Insufficient")
        && !message.contains("taint")
        && !message.contains("PersistentVolumeClaim")
}

/// The end of a container that keeps ending: its exit code and the last line of its termination message.
fn last_words(container: &Value) -> String {
    let ended = &container["lastState"]["terminated"];
    let code = ended["exitCode"].as_i64().map_or_else(|| "?".to_owned(), |c| c.to_string());
    let message = str_of(&ended["message"]).trim();
    let last = message.lines().last().unwrap_or_else(|| str_of(&ended["reason"]));
    format!("exit code {code}: {last}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: Value, expected: Option<(Blame, &str)>) {
        let pod = json!({ "metadata": { "name": "p" }, "status": status });
        let seen = of_pod(&pod, 3).map(|t| (t.blame(), t.observed()));
        assert_eq!(seen.as_ref().map(|(b, s)| (*b, s.as_str())), expected, "{pod}");
    }

    fn waiting(reason: &str, message: &str) -> Value {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        json!({ "containerStatuses": [{ "name": "c", "image": "r/i:t", "restartCount": 3, "state": state,
            "lastState": { "terminated": { "exitCode": 1, "message": "one\nmodule shiftfs not found\n" } } }] })
    }

    #[test]
    fn a_pull_that_cannot_succeed_is_the_environment_at_once() {
        check(
            waiting("ErrImagePull", "rpc error: r/i:t: not found"),
            Some((
                Blame::Environment,
                "pod `p`, container `c`: the image is not in the registry: rpc error: r/i:t: not found",
            )),
        );
        check(
            waiting("ErrImagePull", "toomanyrequests: You have reached your pull rate limit"),
            Some((
                Blame::Environment,
                "pod `p`, container `c`: the registry's rate limit refuses the image: r/i:t: toomanyrequests: You have reached \
                 your pull rate limit",
            )),
        );
        check(waiting("ErrImagePull", "connection reset by peer"), None);
        check(
            waiting("ImagePullBackOff", "Back-off pulling image \"r/i:t\""),
            Some((
                Blame::Environment,
                "pod `p`, container `c`: the image cannot be pulled: Back-off pulling image \"r/i:t\"",
            )),
        );
    }

    #[test]
    fn a_crash_loop_is_the_product_after_enough_restarts_and_tells_the_last_words() {
        check(
            waiting("CrashLoopBackOff", "back-off"),
            Some((
                Blame::Product,
                "pod `p`, container `c`: the container keeps ending: exit code 1: module shiftfs not found",
            )),
        );
        let mut early = waiting("CrashLoopBackOff", "back-off");
        early["containerStatuses"][0]["restartCount"] = json!(2);
        check(early, None);
    }

    #[test]
    fn a_missing_label_is_final_and_missing_capacity_is_not() {
        let scheduled = |message: &str| json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }] });
        let labels = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
        check(scheduled(labels), Some((Blame::Product, &format!("pod `p`: no node fits: {labels}"))));
        check(scheduled("0/1 nodes are available: 1 Insufficient memory."), None);
        check(
            scheduled(
                "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 Insufficient cpu.",
            ),
            None,
        );
    }

    #[test]
    fn what_may_pass_is_waited_for() {
        check(json!({ "phase": "Pending" }), None);
        check(waiting("ContainerCreating", ""), None);
        check(waiting("CreateContainerConfigError", "secret \"x\" not found"), None);
        check(
            waiting("CreateContainerConfigError", "couldn't find key host in Secret gitpod/database"),
            Some((
                Blame::Product,
                "pod `p`, container `c`: the container cannot be configured: couldn't find key host in Secret gitpod/database",
            )),
        );
    }
}
