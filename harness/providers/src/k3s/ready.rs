//! Whether the machines are a cluster: the API answers, every node is Ready, the packaged add-ons are available, and
//! Traefik is not there to take the site's ports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::{Failure, chain};
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::Api;
use kube::api::ListParams;

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
    let silent = AtomicBool::new(false);
    let silent = &silent;
    let api: Api<Node> = Api::all(client.clone());
    let what = format!("{} Ready nodes", names.len());
    let ended = wait::until(cx, &what, patience, || async {
        let listed = api.list(&ListParams::default()).await;
        silent.store(listed.is_err(), Ordering::Relaxed);
        let listed = match listed {
            Ok(list) => list.items,
            Err(e) => return Ok(Progress::NotYet(chain(&e))),
        };
        let mut ours = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            match listed.iter().find(|n| n.metadata.name.as_deref() == Some(*name)) {
                None => missing.push(format!("{name}: not joined")),
                Some(node) => match not_ready(node) {
                    Some(why) => missing.push(format!("{name}: {why}")),
                    None => ours.push(node.clone()),
                },
            }
        }
        Ok(if missing.is_empty() {
            Progress::Ready(ours)
        } else {
            Progress::NotYet(format!("{} ({})", ours.len(), missing.join(", ")))
        })
    })
    .await;
    // Nodes that stay away are the template's; an API that falls silent is not.
    let late = if silent.load(Ordering::Relaxed) { Blame::Environment } else { late };
    ended.map_err(|e| e.blame(late, "GSH-K3S-003"))
}

fn not_ready(node: &Node) -> Option<String> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    match conditions.into_iter().flatten().find(|c| c.type_ == "Ready") {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(format!("NotReady, {}", ready.reason.as_deref().unwrap_or("no reason given"))),
        None => Some("no status yet".to_owned()),
    }
}

/// Waits until the packaged add-ons are available.
///
/// # Errors
/// When they are not in time.
pub async fn add_ons(cx: &Cx, client: &kube::Client, patience: Duration) -> Result<(), Failure> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), "kube-system");
    let what = format!("{} to be available", ADD_ONS.join(", "));
    wait::until(cx, &what, patience, || async {
        let listed = match api.list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(e) => return Ok(Progress::NotYet(chain(&e))),
        };
        let available = |name: &str| {
            let deployment = listed.iter().find(|d| d.metadata.name.as_deref() == Some(name));
            let conditions = deployment.and_then(|d| d.status.as_ref()).and_then(|s| s.conditions.as_ref());
            conditions.into_iter().flatten().any(|c| c.type_ == "Available" && c.status == "True")
        };
        let missing: Vec<&str> = ADD_ONS.into_iter().filter(|name| !available(name)).collect();
        Ok(if missing.is_empty() {
            Progress::Ready(())
        } else {
            Progress::NotYet(format!("not available: {}", missing.join(", ")))
        })
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, "GSH-K3S-004"))
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
