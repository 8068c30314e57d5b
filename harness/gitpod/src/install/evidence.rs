//! What is kept when an installation does not get ready: pods, events, last words of containers.
//!
//! Collecting evidence never fails anything: what cannot be had is left out.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use kube::core::params::ListParams;
use kube::core::subresource::LogParams;
use serde_json::Value;

use super::judge;
use gsh_kube::api::{Api, Kind};
use gsh_kube::follow::{View, name_of};

/// At most so many logs; a cluster where everything fails fails for one reason.
const LOGS: usize = 6;
/// At most so many causes in a finding; the rest is in what was kept.
const CAUSES: usize = 6;
/// Lines of each log.
const LINES: i64 = 200;

/// Keeps pods, events and logs, and adds to the failure what the events say about pods that do not run.
pub(crate) async fn explain(cx: &Cx, api: &Api, namespace: &str, view: &View, mut failure: Failure) -> Failure {
    if failure.stopped {
        return failure;
    }
    let events = events(api, namespace).await;
    let words = keep_pods(cx, api, namespace, view, &events).await;
    for text in telling(view, &events).into_iter().chain(words).take(CAUSES) {
        failure = failure.cause(text);
    }
    failure
}

/// Keeps pods, events and the logs of containers that do not run; hands back the last line of each.
async fn keep_pods(cx: &Cx, api: &Api, namespace: &str, view: &View, events: &[Value]) -> Vec<String> {
    let pods: Vec<&Value> = view.all("Pod").collect();
    if let Ok(yaml) = serde_norway::to_string(&pods) {
        cx.keep("install/pods.yaml", yaml.as_bytes()).await;
    }
    if !events.is_empty()
        && let Ok(yaml) = serde_norway::to_string(events)
    {
        cx.keep("install/events.yaml", yaml.as_bytes()).await;
    }
    let mut words = Vec::new();
    for (pod, container, previous) in unwell(&pods).into_iter().take(LOGS) {
        let params =
            LogParams { container: Some(container.clone()), previous, tail_lines: Some(LINES), ..LogParams::default() };
        if let Ok(log) = api.log(namespace, &pod, &params).await {
            cx.keep(&format!("install/log-{pod}-{container}.txt"), log.as_bytes()).await;
            if let Some(line) = log.lines().map(str::trim).rfind(|l| !l.is_empty()) {
                words.push(format!("pod `{pod}`, container `{container}` says: {line}"));
            }
        }
    }
    words
}

async fn events(api: &Api, namespace: &str) -> Vec<Value> {
    let kind = Kind::new("v1", "Event");
    api.list(&kind, Some(namespace), &ListParams::default()).await.map(|(items, _)| items).unwrap_or_default()
}

/// What the warnings among the events say about pods that are not ready, each once.
fn telling(view: &View, events: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for event in events.iter().filter(|e| e["type"] == "Warning") {
        let pod = event["involvedObject"]["name"].as_str().unwrap_or_default();
        let waiting = view.get("Pod", pod).is_some_and(|p| !judge::condition(p, "Ready"));
        let message = event["message"].as_str().unwrap_or_default();
        // `Error: ErrImagePull` and the like only repeat what the event before them explained.
        let telling = event["reason"] != "BackOff" && event["reason"] != "Unhealthy" && !message.starts_with("Error: ");
        if waiting && telling {
            let line = format!("pod `{pod}`: {}: {message}", event["reason"].as_str().unwrap_or("?"));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// Containers that ended badly or keep ending: pod, container, and whether the words are in the previous log.
fn unwell(pods: &[&Value]) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for pod in pods {
        for list in ["initContainerStatuses", "containerStatuses"] {
            for container in pod["status"][list].as_array().into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                let code = |state: &Value| state["terminated"]["exitCode"].as_i64().unwrap_or(0);
                if code(&container["state"]) != 0 {
                    found.push((name_of(pod), name, false));
                } else if code(&container["lastState"]) != 0 {
                    found.push((name_of(pod), name, true));
                }
            }
        }
    }
    found
}
