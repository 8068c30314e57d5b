//! A workspace that a scenario opens for itself, and commands in it as its user.

use std::time::Duration;

use gsh_engine::bench::Bench;
use gsh_engine::failure::Failure;
use gsh_gitpod::exec::{Done, in_workspace};
use gsh_gitpod::probe::Probe;
use gsh_gitpod::wsman::{Launch, Running, Workspace, WsManager, workspace_id};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};

/// From asking to RUNNING with images that no node has yet.
pub(crate) const START: Duration = Duration::from_secs(10 * 60);
/// From asking to gone, the backup included.
pub(crate) const STOP: Duration = Duration::from_secs(5 * 60);
/// How long collecting evidence may take.
const EVIDENCE: Duration = Duration::from_secs(20);
/// How long undoing may take: stopping, and the backup of what was written.
const UNDO: Duration = Duration::from_secs(5 * 60);

/// A workspace of this scenario.
pub(crate) struct Guest {
    workspace: Workspace,
    launch: Launch,
    running: Running,
}

impl Guest {
    /// Starts a workspace and waits until it runs, as one check. It is stopped when the scenario ends, whatever happens.
    pub(crate) async fn open(
        bench: &Bench,
        wsman: &WsManager,
        launch: Launch,
        code: &'static str,
        title: &str,
    ) -> Result<Self, Failure> {
        let workspace = reserve(bench, wsman, &launch);
        match bench.check(code, title, workspace.run(bench.cx(), code, START)).await {
            Ok(running) => Ok(Self { workspace, launch, running }),
            Err(failure) => {
                // Who asks to stop waits for no evidence.
                if !failure.stopped {
                    evidence(bench, code).await;
                }
                Err(failure)
            }
        }
    }

    /// Workspace id: names URLs and SSH users.
    pub(crate) fn id(&self) -> &str {
        self.workspace.id()
    }

    /// The owner's token.
    pub(crate) fn token(&self) -> &str {
        self.running.started.owner_token.expose()
    }

    /// The workspace.
    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// How it was asked for.
    pub(crate) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Runs a command as the workspace's user, over the Kubernetes API.
    pub(crate) async fn run(&self, bench: &Bench, code: &'static str, command: &str) -> Result<Done, Failure> {
        run_in(bench, &self.workspace, code, command).await
    }
}

/// Runs a command as the user of a workspace, over the Kubernetes API.
pub(crate) async fn run_in(
    bench: &Bench,
    workspace: &Workspace,
    code: &'static str,
    command: &str,
) -> Result<Done, Failure> {
    let namespace = &bench.installation().namespace;
    in_workspace(bench.cx(), bench.cluster(), namespace, &workspace.pod(), command, code).await
}

/// Names a workspace and promises to stop it, before anybody is asked to start it: a lost answer leaves nothing behind.
pub(crate) fn reserve(bench: &Bench, wsman: &WsManager, launch: &Launch) -> Workspace {
    let workspace = Workspace::new(wsman, launch.clone());
    let (to_stop, cx) = (workspace.clone(), bench.cx().teardown(UNDO));
    bench.undo(&format!("workspace {}", workspace.id()), async move {
        let cx = cx.within(UNDO);
        to_stop.stop(&cx, "GSH-WSP-020", UNDO).await
    });
    workspace
}

/// Keeps what tells why a workspace did not come up: the namespace's pods and events, and ws-manager's last words. What
/// cannot be had is left out; the failure itself is already told.
pub(crate) async fn evidence(bench: &Bench, code: &'static str) {
    let (kube, namespace) = (bench.cluster().kube.clone(), &bench.installation().namespace);
    let pods: Api<Pod> = Api::namespaced(kube.clone(), namespace);
    let all = ListParams::default();
    let limit = bench.cx().teardown(EVIDENCE);
    let collect = async {
        if let Ok(list) = pods.list(&all).await {
            for pod in &list.items {
                let token = pod.metadata.annotations.as_ref().and_then(|a| a.get("gitpod/ownerToken"));
                if let Some(token) = token {
                    // Learned, not used: from here on it is scrubbed from everything.
                    let _known = bench.cx().secret("owner token", token.clone());
                }
            }
            bench.keep(&format!("{code}-pods.json"), &serde_json::to_vec_pretty(&list.items).unwrap_or_default()).await;
        }
        if let Ok(list) = Api::<Event>::namespaced(kube, namespace).list(&all).await {
            bench
                .keep(&format!("{code}-events.json"), &serde_json::to_vec_pretty(&list.items).unwrap_or_default())
                .await;
        }
        if let Ok(list) = pods.list(&all.clone().labels("component=ws-manager")).await {
            for name in list.items.iter().filter_map(|p| p.metadata.name.as_deref()) {
                let tail = LogParams {
                    container: Some("ws-manager".to_owned()),
                    tail_lines: Some(500),
                    ..LogParams::default()
                };
                if let Ok(log) = pods.logs(name, &tail).await {
                    bench.keep(&format!("{code}-{name}.log"), log.as_bytes()).await;
                }
            }
        }
    };
    tokio::select! {
        () = collect => {}
        () = tokio::time::sleep_until(limit.deadline()) => {}
    }
}

/// Names a probe and promises to remove it, before it is made.
pub(crate) fn probe(bench: &Bench, what: &str, code: &'static str) -> Probe {
    let name = format!("gsh-{what}-{}", workspace_id());
    let probe = Probe::new(bench.cluster(), &bench.installation().namespace, &name);
    let to_remove = probe.clone();
    bench.undo(&format!("pod {}", probe.name()), async move { to_remove.remove(code).await });
    probe
}

/// A launch of an empty workspace with the installation's default image.
pub(crate) fn launch(bench: &Bench) -> Launch {
    Launch::new(bench.installation(), &bench.cluster().lease)
}

/// What a command should have been, when it was not.
pub(crate) fn succeeded(done: &Done, code: &'static str, what: &str) -> Result<(), Failure> {
    if done.code == 0 {
        return Ok(());
    }
    let said = if done.stderr.trim().is_empty() { done.stdout.trim() } else { done.stderr.trim() };
    let observed = format!("exit code {}: {said}", done.code);
    // Docker Hub's limit is per address and says nothing about the product; nor does a registry that fails, or a full disk.
    if gsh_gitpod::blame::is_outside(said) {
        return Err(Failure::environment(code, what, observed));
    }
    Err(Failure::product(code, what, observed))
}
