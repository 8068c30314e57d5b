//! Are the metadata service, other workspaces, the host and the control plane out of reach from a workspace?
//!
//! Silence proves nothing by itself: for each thing that must not answer a workspace, the same thing is first seen to
//! answer somebody else, and the workspace is first seen to reach what it may.

use std::collections::BTreeMap;
use std::time::Duration;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_engine::wait::Progress;
use gsh_gitpod::exec::Done;
use gsh_gitpod::http::Front;
use gsh_gitpod::install::found::WSMAN_SECRET;
use gsh_gitpod::probe::{Asked, Probe};
use gsh_gitpod::wsman::WsManager;
use gsh_model::outcome::Blame;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::Api;

use crate::guest::{Guest, launch, probe};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// Where every cloud tells machines about themselves; Hetzner's user-data holds the token that nodes join with.
const METADATA: &str = "169.254.169.254";
/// What Hetzner answers there.
const METADATA_PATH: &str = "/hetzner/v1/metadata";
/// Port that the pods beside the workspace serve.
const PORT: u16 = 8080;
/// Port of the supervisor in a workspace's pod.
const SUPERVISOR: u16 = 22999;
/// The policy that is about workspaces.
const POLICY: &str = "workspace-default";
/// How long a server in a probe may take to listen.
const LISTENS: Duration = Duration::from_secs(30);

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("isolation"),
        asks: "are metadata service, other workspaces, host and control plane out of a workspace's reach".to_owned(),
        needs: vec![Need::Writable],
        impact: Impact::CreatesWorkspace,
        patience_s: 25 * 60,
        file: "scenarios/src/isolation.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let guest = Guest::open(bench, &wsman, launch(bench), "GSH-ISO-001", "a workspace starts and runs").await?;
    let look = Look {
        bench,
        guest: &guest,
        open: probe(bench, "open", "GSH-ISO-004"),
        closed: probe(bench, "closed", "GSH-ISO-004"),
    };
    bench.check("GSH-ISO-002", "the workspace reaches what it may: the site", look.reaches_site()).await?;
    let title = "two pods beside it serve, one of them under the policy of workspaces";
    let (open, closed) = bench.check("GSH-ISO-003", title, look.neighbours()).await?;

    // What follows are independent observations, each made whatever the others say.
    let seen = [
        look.metadata().await,
        look.neighbour(&open, &closed).await,
        bench.check("GSH-ISO-014", "nobody but the proxies reaches the workspace's own ports", look.own_ports()).await,
        bench.check("GSH-ISO-020", "it holds no token of the cluster", look.no_token()).await,
        bench.check("GSH-ISO-021", "the control plane tells it nothing", look.control_plane()).await,
        bench.check("GSH-ISO-030", "no user of it is the host's root", look.user_ids()).await,
        bench.check("GSH-ISO-031", "it does not see the host's processes", look.processes()).await,
    ];
    seen.into_iter().collect()
}

struct Look<'a> {
    bench: &'a Bench,
    guest: &'a Guest,
    /// An ordinary pod.
    open: Probe,
    /// A pod that the policy of workspaces is about.
    closed: Probe,
}

/// What became of asking for a page in the workspace.
#[derive(Debug)]
enum Page {
    /// Something answered with this status.
    Status(u16),
    /// Nothing did; curl's words.
    Nothing(String),
}

/// curl's codes for "nobody there": not resolved, not connected, timed out, closed without an answer.
const NOBODY: [i32; 5] = [6, 7, 28, 52, 56];

impl Look<'_> {
    async fn sh(&self, code: &'static str, command: &str) -> Result<Done, Failure> {
        self.guest.run(self.bench, code, command).await
    }

    /// Asks for a page from the workspace. The certificate is not what is looked at.
    async fn page(&self, code: &'static str, url: &str) -> Result<Page, Failure> {
        let command = format!("curl -ksS -m 5 -o /dev/null -w '%{{http_code}}\\n' {url}");
        let done = self.sh(code, &command).await?;
        let status = done.stdout.trim().parse::<u16>().unwrap_or(0);
        match done.code {
            0 if status > 0 => Ok(Page::Status(status)),
            other if NOBODY.contains(&other) => Ok(Page::Nothing(done.stderr.trim().to_owned())),
            other => {
                let observed = format!("exit code {other}: {}{}", done.stdout.trim(), done.stderr.trim());
                Err(Failure::harness(code, format!("`{command}` tells whether anything answers"), observed))
            }
        }
    }

    async fn reaches_site(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-002";
        let url = format!("https://{}/api/version", self.bench.installation().domain);
        match self.page(code, &url).await? {
            Page::Status(200) => Ok(()),
            other => Err(Failure::product(
                code,
                format!("{url} answers the workspace with status 200"),
                format!("{other:?}"),
            )),
        }
    }

    /// Starts two pods that serve on a port; their addresses.
    async fn neighbours(&self) -> Result<(String, String), Failure> {
        let (bench, code) = (self.bench, "GSH-ISO-003");
        let namespace = &bench.installation().namespace;
        let policies: Api<NetworkPolicy> = Api::namespaced(bench.cluster().kube.clone(), namespace);
        let expected = format!("NetworkPolicy `{POLICY}` selects workspaces by their labels");
        let policy = policies.get_opt(POLICY).await.map_err(|e| {
            Failure::environment(code, expected.clone(), "the Kubernetes API did not answer as it should").because(&e)
        })?;
        let selector = policy.and_then(|p| p.spec).and_then(|spec| spec.pod_selector?.match_labels);
        let labels = selector.filter(|labels| !labels.is_empty());
        let labels =
            labels.ok_or_else(|| Failure::product(code, expected, "there is none, or it selects everything"))?;
        let serve = ["httpd", "-f", "-p", "8080", "-h", "/tmp"];
        self.open.start(bench.cx(), &BTreeMap::new(), None, &serve, code).await?;
        self.closed.start(bench.cx(), &labels, None, &serve, code).await?;
        // Each from inside of itself: the server answers, whatever the network lets through.
        for pod in [&self.open, &self.closed] {
            let what = format!("the server in pod `{}` to answer the pod itself", pod.name());
            let serves = bench.wait(&what, LISTENS, || async {
                Ok(match pod.ask("127.0.0.1", PORT, "/", code).await? {
                    Asked::Answered(_) => Progress::Ready(()),
                    Asked::Nothing(said) => Progress::NotYet(said),
                })
            });
            serves.await.map_err(|e| e.blame(Blame::Environment, code))?;
        }
        Ok((self.open.address(code).await?, self.closed.address(code).await?))
    }

    async fn metadata(&self) -> Result<(), Failure> {
        let bench = self.bench;
        let there =
            bench.check("GSH-ISO-010", "the metadata service answers an ordinary pod", self.metadata_answers()).await;
        let hidden = bench.check("GSH-ISO-011", "it does not answer the workspace", self.metadata_is_hidden()).await;
        there.and(hidden)
    }

    async fn metadata_answers(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-010";
        match self.open.ask(METADATA, 80, METADATA_PATH, code).await? {
            Asked::Answered(_) => Ok(()),
            Asked::Nothing(said) => {
                let expected = format!("http://{METADATA}{METADATA_PATH} answers a pod that no policy is about");
                Err(Failure::environment(
                    code,
                    expected,
                    format!("nothing does, so its silence proves nothing: {said}"),
                ))
            }
        }
    }

    async fn metadata_is_hidden(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-011";
        match self.page(code, &format!("http://{METADATA}{METADATA_PATH}")).await? {
            Page::Nothing(..) => Ok(()),
            Page::Status(status) => {
                let observed = format!("it answers with status {status}; its user-data holds the cluster's join token");
                Err(Failure::product(code, "the metadata service is out of the workspace's reach", observed))
            }
        }
    }

    async fn neighbour(&self, open: &str, closed: &str) -> Result<(), Failure> {
        let bench = self.bench;
        let title = "an ordinary pod beside it answers the workspace";
        let there = bench.check("GSH-ISO-012", title, self.open_answers(open)).await;
        let title = "a pod under the policy of workspaces does not";
        let hidden = bench.check("GSH-ISO-013", title, self.closed_is_hidden(closed)).await;
        there.and(hidden)
    }

    async fn open_answers(&self, address: &str) -> Result<(), Failure> {
        let code = "GSH-ISO-012";
        match self.page(code, &format!("http://{address}:{PORT}/")).await? {
            Page::Status(_) => Ok(()),
            Page::Nothing(said) => {
                let expected = format!("pod `{}` answers the workspace", self.open.name());
                Err(Failure::environment(code, expected, format!("it does not, so silence proves nothing: {said}")))
            }
        }
    }

    async fn closed_is_hidden(&self, address: &str) -> Result<(), Failure> {
        let code = "GSH-ISO-013";
        match self.page(code, &format!("http://{address}:{PORT}/")).await? {
            Page::Nothing(..) => Ok(()),
            Page::Status(status) => {
                let expected = "a pod that carries the labels of a workspace is out of a workspace's reach";
                Err(Failure::product(code, expected, format!("it answers with status {status}")))
            }
        }
    }

    /// The proxies reach the supervisor, an ordinary pod does not.
    async fn own_ports(&self) -> Result<(), Failure> {
        let (bench, code) = (self.bench, "GSH-ISO-014");
        let front = Front::new(bench.cluster(), bench.installation())?;
        let host = format!("{}.ws.{}", self.guest.id(), bench.installation().domain);
        let expected = format!("https://{host}/_supervisor/v1/status/supervisor answers with status 200");
        let path = "/_supervisor/v1/status/supervisor";
        let reply = front.get_from(&host, path, &[]).await.map_err(|e| e.failure(code, expected.as_str()))?;
        if reply.status != 200 {
            return Err(Failure::product(code, expected, format!("status {}", reply.status)));
        }
        let pods: Api<Pod> = Api::namespaced(bench.cluster().kube.clone(), &bench.installation().namespace);
        let expected = "the workspace's pod has an address";
        let pod = pods.get(&self.guest.workspace().pod()).await.map_err(|e| {
            Failure::environment(code, expected, "the Kubernetes API did not answer as it should").because(&e)
        })?;
        let address = pod.status.and_then(|s| s.pod_ip);
        let address = address.ok_or_else(|| Failure::product(code, expected, "it has none"))?;
        match self.open.ask(&address, SUPERVISOR, path, code).await? {
            Asked::Nothing(_) => Ok(()),
            Asked::Answered(status) => {
                let expected = format!("port {SUPERVISOR} of the workspace's pod is closed to an ordinary pod");
                Err(Failure::product(code, expected, format!("it answers with status {status}")))
            }
        }
    }

    async fn no_token(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-020";
        // The first word proves that the question works at all.
        let command = "test -e /proc/1/cmdline && printf 'looked '; \
                       test -e /var/run/secrets/kubernetes.io/serviceaccount/token && printf found; exit 0";
        let done = self.sh(code, command).await?;
        match done.stdout.trim() {
            "looked" => Ok(()),
            "looked found" => Err(Failure::product(code, "no token of a service account is mounted", "one is")),
            other => {
                Err(Failure::harness(code, "the question gives `looked`", format!("`{other}`, code {}", done.code)))
            }
        }
    }

    async fn control_plane(&self) -> Result<(), Failure> {
        let (bench, code) = (self.bench, "GSH-ISO-021");
        let namespace = &bench.installation().namespace;
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{WSMAN_SECRET}");
        let secrets: Api<Secret> = Api::namespaced(bench.cluster().kube.clone(), namespace);
        // We are told: the question is one that has an answer.
        secrets
            .get(WSMAN_SECRET)
            .await
            .map_err(|e| Failure::environment(code, format!("GET {path} answers us"), "it does not").because(&e))?;
        let url = format!("https://kubernetes.default.svc{path}");
        match self.page(code, &url).await? {
            Page::Nothing(..) | Page::Status(401 | 403) => Ok(()),
            Page::Status(status) => Err(Failure::product(
                code,
                format!("{url} refuses the workspace"),
                format!("it answers with status {status}"),
            )),
        }
    }

    async fn user_ids(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-030";
        let done = self.sh(code, "cat /proc/self/uid_map").await?;
        let rows: Vec<Vec<u64>> = done
            .stdout
            .lines()
            .map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
            .collect();
        let expected = "every user id of the workspace is mapped to one that is not the host's root";
        if done.code != 0 || rows.is_empty() || rows.iter().any(|row| row.len() != 3) {
            let observed = format!("/proc/self/uid_map cannot be read: {}{}", done.stdout, done.stderr);
            return Err(Failure::harness(code, expected, observed));
        }
        match rows.iter().find(|row| row[1] == 0) {
            None => Ok(()),
            Some(row) => Err(Failure::product(code, expected, format!("{} is mapped to 0", row[0]))),
        }
    }

    async fn processes(&self) -> Result<(), Failure> {
        let code = "GSH-ISO-031";
        let done = self.sh(code, "tr '\\000' ' ' < /proc/1/cmdline").await?;
        let first = done.stdout.trim();
        if first.starts_with("supervisor run") {
            return Ok(());
        }
        let expected = "the first process that the workspace sees is its own supervisor";
        if first.is_empty() {
            return Err(Failure::harness(code, expected, format!("it cannot be read: {}", done.stderr.trim())));
        }
        Err(Failure::product(code, expected, format!("it is `{first}`")))
    }
}
