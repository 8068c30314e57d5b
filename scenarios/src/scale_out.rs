//! When capacity is short, does a node join from cloud-init alone and take the waiting workspace? How long does it take
//! from the order to Ready?

use std::time::Duration;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_engine::provider::Node;
use gsh_engine::wait::Progress;
use gsh_gitpod::wsman::{Workspace, WsManager};
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use k8s_openapi::api::core::v1::{Node as KubeNode, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::guest::{launch, reserve, run_in, succeeded};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// ws-manager gives up on a workspace that no node takes for 7 minutes; a new node must be usable before.
const WINDOW: Duration = Duration::from_secs(7 * 60);
/// Label of the nodes that take regular workspaces.
const WORKSPACES: &str = "gitpod.io/workload_workspace_regular";
/// Image of the pods that only reserve: the one that k3s itself keeps on every node.
const PAUSE: &str = "rancher/mirrored-pause:3.6";

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("scale-out"),
        asks: "does a new node join from cloud-init alone and take a waiting workspace".to_owned(),
        needs: vec![Need::Writable, Need::GrowableCluster],
        impact: Impact::AddsNode,
        patience_s: 30 * 60,
        file: "scenarios/src/scale_out.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    bench.check("GSH-SCL-001", "the cluster's capacity is taken", take_capacity(bench)).await?;
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let workspace = reserve(bench, &wsman, &launch(bench));
    // StartWorkspace answers once the pod is scheduled: it waits while the node is made.
    let patience = WINDOW + Duration::from_secs(5 * 60);
    let running = workspace.run(bench.cx(), "GSH-SCL-006", patience);
    let chain = grow_under(bench, &workspace);
    // The chain is asked first: when both are out of time, it knows more about why.
    let taken = bench
        .check("GSH-SCL-006", "the waiting workspace runs", async { futures::future::try_join(chain, running).await });
    let (node, running) = taken.await?;
    bench.check("GSH-SCL-007", "it runs on the new node", on(running.node(), &node)).await?;
    bench.check("GSH-SCL-008", "commands run there", commands(bench, &workspace)).await
}

/// From "it waits" to "the new node can take it". Every step is a check of its own.
async fn grow_under(bench: &Bench, workspace: &Workspace) -> Result<Node, Failure> {
    bench.check("GSH-SCL-002", "a further workspace has to wait", waits(bench, workspace)).await?;
    let ordered = Instant::now();
    let node = bench.check("GSH-SCL-003", "a node is ordered", bench.grow()).await?;
    bench.check("GSH-SCL-004", "it joins and is Ready from cloud-init alone", ready(bench, &node)).await?;
    bench.note(&format!("{} was Ready {:.1} s after its order", node.name, ordered.elapsed().as_secs_f64())).await;
    bench.check("GSH-SCL-005", "it gets both labels that let workspaces in", labelled(bench, &node)).await?;
    bench
        .note(&format!("{} could take workspaces {:.1} s after its order", node.name, ordered.elapsed().as_secs_f64()))
        .await;
    Ok(node)
}

fn api_failure(code: &'static str, expected: &str, error: &kube::Error) -> Failure {
    Failure::environment(code, expected, "the Kubernetes API did not answer as it should").because(error)
}

/// A Kubernetes quantity of CPU in thousandths of a core.
fn millicores(quantity: &str) -> u64 {
    match quantity.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().unwrap_or(0),
        None => quantity.parse::<f64>().map_or(0, |cores| (cores * 1000.0) as u64),
    }
}

fn requested(pod: &Pod) -> u64 {
    let Some(spec) = &pod.spec else { return 0 };
    let cpu = |c: &k8s_openapi::api::core::v1::Container| {
        let requests = c.resources.as_ref().and_then(|r| r.requests.as_ref());
        requests.and_then(|r| r.get("cpu")).map_or(0, |q| millicores(&q.0))
    };
    let running: u64 = spec.containers.iter().map(cpu).sum();
    let starting = spec.init_containers.iter().flatten().map(cpu).max().unwrap_or(0);
    running.max(starting)
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Reserves what is free on every node that takes workspaces, by pods that do nothing, so that the next workspace does not
/// fit. Real shortage, and one pod a node instead of a dozen workspaces.
async fn take_capacity(bench: &Bench) -> Result<(), Failure> {
    let code = "GSH-SCL-001";
    let expected = "every node's free CPU is reserved";
    let broken = |e: kube::Error| api_failure(code, expected, &e);
    let kube = &bench.cluster().kube;
    let namespace = bench.installation().namespace.clone();
    let nodes =
        Api::<KubeNode>::all(kube.clone()).list(&ListParams::default().labels(WORKSPACES)).await.map_err(broken)?;
    let pods = Api::<Pod>::all(kube.clone()).list(&ListParams::default()).await.map_err(broken)?;
    if nodes.items.is_empty() {
        return Err(Failure::product(code, format!("a node has the label {WORKSPACES}"), "none has"));
    }
    let ballast: Api<Pod> = Api::namespaced(kube.clone(), &namespace);
    let mut names = Vec::new();
    for node in &nodes.items {
        let name = node.metadata.name.clone().unwrap_or_default();
        let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        let whole = allocatable.and_then(|a| a.get("cpu")).map_or(0, |q| millicores(&q.0));
        let here =
            |p: &&Pod| p.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(name.as_str()) && !is_over(p);
        let taken: u64 = pods.items.iter().filter(here).map(requested).sum();
        let free = whole.saturating_sub(taken);
        if free < 100 {
            continue;
        }
        let pod_name = format!("gsh-ballast-{name}");
        let (api, to_delete) = (ballast.clone(), pod_name.clone());
        bench.undo(&format!("pod {pod_name}"), async move {
            match api.delete(&to_delete, &DeleteParams::default().grace_period(0)).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(e) => Err(api_failure("GSH-SCL-009", "the pod that reserved capacity is deleted", &e)),
            }
        });
        let pod = pod(&pod_name, &name, free, bench);
        ballast.create(&PostParams::default(), &pod).await.map_err(broken)?;
        names.push(pod_name);
    }
    let running = bench.wait("the reserving pods to run", Duration::from_secs(180), || async {
        let pods = ballast.list(&ListParams::default().labels("gsh-role=ballast")).await.map_err(broken)?;
        let runs = |n: &&String| {
            let pod = pods.items.iter().find(|p| p.metadata.name.as_deref() == Some(n.as_str()));
            pod.and_then(|p| p.status.as_ref()).and_then(|s| s.phase.as_deref()) == Some("Running")
        };
        match names.iter().find(|n| !runs(n)) {
            Some(waiting) => Ok(Progress::NotYet(format!("{waiting} does not run"))),
            None => Ok(Progress::Ready(())),
        }
    });
    running.await.map_err(|e| e.blame(Blame::Environment, code))
}

fn pod(name: &str, node: &str, millicores: u64, bench: &Bench) -> Pod {
    let lease = bench.cluster().lease.as_str();
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"gsh-role": "ballast", "gsh-lease": lease}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "ballast",
                "image": PAUSE,
                "resources": {"requests": {"cpu": format!("{millicores}m")}},
            }],
        },
    }))
    .expect("the fields above are those of a pod")
}

/// The scheduler says that there is no room.
async fn waits(bench: &Bench, workspace: &Workspace) -> Result<(), Failure> {
    let code = "GSH-SCL-002";
    let api: Api<Pod> = Api::namespaced(bench.cluster().kube.clone(), &bench.installation().namespace);
    let name = workspace.pod();
    let unschedulable = bench.wait("the workspace's pod to be unschedulable", Duration::from_secs(120), || async {
        let pod = api.get_opt(&name).await.map_err(|e| api_failure(code, "the pod can be looked at", &e))?;
        let Some(pod) = pod else { return Ok(Progress::NotYet("there is no pod yet".to_owned())) };
        if let Some(node) = pod.spec.as_ref().and_then(|s| s.node_name.clone()) {
            return Err(Failure::harness(code, "no node has room for a further workspace", format!("{node} took it")));
        }
        let conditions = pod.status.and_then(|s| s.conditions).unwrap_or_default();
        let scheduled = conditions.into_iter().find(|c| c.type_ == "PodScheduled");
        Ok(match scheduled {
            Some(c) if c.reason.as_deref() == Some("Unschedulable") => Progress::Ready(()),
            Some(c) => Progress::NotYet(format!("PodScheduled is {}", c.status)),
            None => Progress::NotYet("the scheduler has not looked at it".to_owned()),
        })
    });
    unschedulable.await.map_err(|e| e.blame(Blame::Product, code))
}

async fn node_with(
    bench: &Bench,
    node: &Node,
    code: &'static str,
    what: &str,
    blame: Blame,
    good: impl Fn(&KubeNode) -> Result<(), String> + Send + Sync,
) -> Result<(), Failure> {
    let api: Api<KubeNode> = Api::all(bench.cluster().kube.clone());
    let (api, good) = (&api, &good);
    let seen = bench.wait(what, WINDOW, || async move {
        let seen = api.get_opt(&node.name).await.map_err(|e| api_failure(code, what, &e))?;
        let Some(seen) = seen else { return Ok(Progress::NotYet(format!("there is no node {}", node.name))) };
        Ok(match good(&seen) {
            Ok(()) => Progress::Ready(()),
            Err(text) => Progress::NotYet(text),
        })
    });
    seen.await.map_err(|e| e.blame(blame, code))
}

/// Nobody helps the new node: its template is what is examined.
async fn ready(bench: &Bench, node: &Node) -> Result<(), Failure> {
    let what = format!("node {} to be Ready", node.name);
    let blame = match bench.cell().template {
        Template::Gsh => Blame::Environment,
        Template::Community => Blame::Product,
    };
    node_with(bench, node, "GSH-SCL-004", &what, blame, |seen| {
        let conditions = seen.status.as_ref().and_then(|s| s.conditions.as_ref());
        let ready = conditions.and_then(|c| c.iter().find(|c| c.type_ == "Ready"));
        match ready {
            Some(c) if c.status == "True" => Ok(()),
            Some(c) => Err(format!("Ready is {}: {}", c.status, c.message.clone().unwrap_or_default())),
            None => Err("it has no condition Ready".to_owned()),
        }
    })
    .await
}

async fn labelled(bench: &Bench, node: &Node) -> Result<(), Failure> {
    let namespace = &bench.installation().namespace;
    let wanted = [
        format!("gitpod.io/ws-daemon_ready_ns_{namespace}"),
        format!("gitpod.io/registry-facade_ready_ns_{namespace}"),
    ];
    let what = format!("node {} to have the labels {} and {}", node.name, wanted[0], wanted[1]);
    node_with(bench, node, "GSH-SCL-005", &what, Blame::Product, |seen| {
        let labels = seen.metadata.labels.clone().unwrap_or_default();
        match wanted.iter().find(|w| labels.get(*w).is_none_or(|value| value != "true")) {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(()),
        }
    })
    .await
}

async fn on(name: &str, node: &Node) -> Result<(), Failure> {
    if name == node.name {
        return Ok(());
    }
    let expected = format!("the workspace runs on {}", node.name);
    Err(Failure::product("GSH-SCL-007", expected, format!("it runs on `{name}`")))
}

async fn commands(bench: &Bench, workspace: &Workspace) -> Result<(), Failure> {
    let done = run_in(bench, workspace, "GSH-SCL-008", "id -u").await?;
    succeeded(&done, "GSH-SCL-008", "`id -u` succeeds")?;
    match done.stdout.trim() {
        "33333" => Ok(()),
        other => Err(Failure::product("GSH-SCL-008", "`id -u` prints `33333`", format!("it printed `{other}`"))),
    }
}
