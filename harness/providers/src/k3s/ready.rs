//! Whether the machines are a cluster: the API answers, every node is Ready, the packaged add-ons are available, and
//! Traefik is not there to take the site's ports.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::{Failure, chain};
use gsh_engine::wait::{self, Progress, WaitError};
use gsh_kube::follow::{Follow, Scope, View};
use gsh_model::outcome::Blame;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::Api;
use serde_json::Value;
use tokio::time::Instant;

/// What k3s brings and Gitpod needs.
const ADD_ONS: [&str; 3] = ["coredns", "local-path-provisioner", "metrics-server"];

/// Waits until the API answers an authenticated request.
///
/// # Errors
/// When it does not in time.
pub async fn api(cx: &Cx, client: &kube::Client, patience: Duration) -> Result<(), Failure> {
    wait::until(cx, "the Kubernetes API to be ready", patience, || async {
        let request = http::Request::get("/readyz")
            .body(Vec::new())
            .map_err(|e| Failure::harness("GSH-K3S-002", "a request for /readyz", "it cannot be built").because(&e))?;
        Ok(match client.request_text(request).await {
            Ok(text) if text.trim() == "ok" => Progress::Ready(()),
            Ok(text) => Progress::NotYet(format!("/readyz says {}", text.lines().next().unwrap_or_default())),
            Err(e) => Progress::NotYet(chain(&e)),
        })
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, "GSH-K3S-002"))
}

/// Waits until all of these nodes are Ready, and returns them.
///
/// # Errors
/// When they are not in time; the finding says who is missing and why.
pub async fn nodes(
    cx: &Cx,
    client: &kube::Client,
    names: &[&str],
    patience: Duration,
    late: Blame,
) -> Result<Vec<Node>, Failure> {
    let what = format!("{} Ready nodes", names.len());
    let judge = |view: &View| {
        let mut ours = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            match view.get("Node", name) {
                None => missing.push(format!("{name}: not joined")),
                Some(node) => match not_ready(node) {
                    Some(why) => missing.push(format!("{name}: {why}")),
                    None => ours.push(node.clone()),
                },
            }
        }
        if missing.is_empty() {
            Progress::Ready(ours)
        } else {
            Progress::NotYet(format!("{} ({})", ours.len(), missing.join(", ")))
        }
    };
    // Nodes that stay away are the template's; an API that falls silent is not.
    let check = "GSH-K3S-003";
    let ready = watched(cx, client, (check, late), &Scope::new("v1", "Node", ""), &what, patience, judge).await?;
    let typed = ready.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
    typed.map_err(|e| Failure::environment(check, what, "a Node that cannot be read").because(&e))
}

fn not_ready(node: &Value) -> Option<String> {
    match condition(node, "Ready") {
        Some(ready) if ready["status"] == "True" => None,
        Some(ready) => Some(format!("NotReady, {}", ready["reason"].as_str().unwrap_or("no reason given"))),
        None => Some("no status yet".to_owned()),
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind)
}

/// Waits until the packaged add-ons are available.
///
/// # Errors
/// When they are not in time.
pub async fn add_ons(cx: &Cx, client: &kube::Client, patience: Duration) -> Result<(), Failure> {
    let what = format!("{} to be available", ADD_ONS.join(", "));
    let judge = |view: &View| {
        let available = |name: &str| {
            let condition = view.get("Deployment", name).and_then(|d| condition(d, "Available"));
            condition.is_some_and(|c| c["status"] == "True")
        };
        let missing: Vec<&str> = ADD_ONS.into_iter().filter(|name| !available(name)).collect();
        if missing.is_empty() {
            Progress::Ready(())
        } else {
            Progress::NotYet(format!("not available: {}", missing.join(", ")))
        }
    };
    let scope = Scope::new("apps/v1", "Deployment", "kube-system");
    watched(cx, client, ("GSH-K3S-004", Blame::Environment), &scope, &what, patience, judge).await
}

/// Waits by watching. An API that falls silent is given as long to come back as there is patience at all: with several
/// control planes it goes away for a moment while they find together.
async fn watched<T: Send>(
    cx: &Cx,
    client: &kube::Client,
    (check, late): (&'static str, Blame),
    scope: &Scope,
    what: &str,
    patience: Duration,
    judge: impl Fn(&View) -> Progress<T> + Send,
) -> Result<T, Failure> {
    let cx = cx.within(patience);
    let comes_back =
        |failure: &Failure| !failure.stopped && failure.blame == Blame::Environment && Instant::now() < cx.deadline();
    loop {
        let mut follow = match Follow::of(&cx, client, check, vec![scope.clone()]).await {
            Ok(follow) => follow,
            Err(failure) if comes_back(&failure) => continue,
            Err(failure) => return Err(failure),
        };
        match follow.until(what, patience, |view| Ok(judge(view))).await {
            Ok(ready) => return Ok(ready),
            Err(WaitError::Gone(failure)) if comes_back(&failure) => {}
            Err(e) => return Err(e.blame(if follow.is_silent() { Blame::Environment } else { late }, check)),
        }
    }
}

/// That nothing of Traefik is there.
///
/// # Errors
/// When it is: it takes the ports of the site.
pub async fn no_traefik(client: &kube::Client, ours: Blame) -> Result<(), Failure> {
    let api: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    match api.get_opt("traefik").await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => {
            let observed = "the Service kube-system/traefik exists and takes ports 80 and 443";
            Err(Failure::new(ours, "GSH-K3S-005", "a cluster without Traefik", observed))
        }
        Err(e) => Err(Failure::environment("GSH-K3S-005", "an answer about Traefik", "none").because(&e)),
    }
}
