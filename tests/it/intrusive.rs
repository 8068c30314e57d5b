//! `gsh-verify --intrusive`: what it creates it removes, also after Ctrl-C; and what a killed one left, the next one removes.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gsh_look::{Kind, Reader};
use gsh_providers::attached::{Mode, Way, connect};
use serde_json::{Value, json};

use crate::emulate::Emulation;
use crate::program::{Program, root};
use crate::verify::documents;

/// For everything that a world without delays does at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// An installed cluster, seen past the program under test.
pub(crate) struct Cluster {
    pub(crate) emulation: Emulation,
    pub(crate) reader: Reader,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let emulation = tokio::task::block_in_place(Emulation::installed);
        let way = Way { kubeconfig: Some(emulation.variable("KUBECONFIG").into()), context: None };
        let reader = Reader::new(connect(&way, Mode::Everything).await.expect("a way").client);
        Self { emulation, reader }
    }

    pub(crate) async fn workspaces(&self) -> Vec<Value> {
        self.pods(|labels| labels["component"] == "workspace").await
    }

    /// The pods of the installation whose labels are so.
    pub(crate) async fn pods(&self, ours: impl Fn(&Value) -> bool) -> Vec<Value> {
        let pods = self.reader.list(Kind::Pod, Some("gitpod"), None).await.expect("pods");
        pods.into_iter().filter(|p| ours(&p["metadata"]["labels"])).collect()
    }

    /// Waits until a workspace is in a state. Every look is a request, so this does not spin.
    async fn until(&self, what: &str, state: impl Fn(&Value) -> bool) {
        let look = async { while !self.workspaces().await.iter().any(&state) {} };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what} within {PATIENCE:?}"));
    }

    fn verify(&self, program: &Program, scenarios: &[&str]) -> Child {
        self.verify_as(self.emulation.variable("KUBECONFIG"), program, scenarios)
    }

    fn verify_as(&self, kubeconfig: &str, program: &Program, scenarios: &[&str]) -> Child {
        self.verify_with(kubeconfig, program, scenarios, &[])
    }

    fn verify_with(&self, kubeconfig: &str, program: &Program, scenarios: &[&str], more: &[&str]) -> Child {
        self.command(kubeconfig, program, scenarios, more).spawn().expect("gsh-verify starts")
    }

    pub(crate) fn command(&self, kubeconfig: &str, program: &Program, scenarios: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        command.current_dir(root()).env_clear().env("HOME", program.folder()).env("TMPDIR", program.folder());
        command.args(["--kubeconfig", kubeconfig, "--format", "json", "--quiet"]);
        command.args(["--intrusive", "--ingress", self.emulation.variable("GITPOD_INGRESS")]);
        for (from, to) in self.emulation.moved_ports() {
            command.args(["--port", &format!("{from}={to}")]);
        }
        for scenario in scenarios {
            command.args(["--scenario", scenario]);
        }
        command.args(more).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// What an administrator does with the printed roles: applies them, and hands out a kubeconfig with a token.
pub(crate) struct Administrator {
    client: kube::Client,
    kubeconfig: Value,
}

impl Administrator {
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let file = cluster.emulation.variable("KUBECONFIG");
        let way = Way { kubeconfig: Some(file.into()), context: None };
        let client = connect(&way, Mode::Everything).await.expect("a way").client;
        let text = std::fs::read_to_string(file).expect("the kubeconfig");
        Self { client, kubeconfig: serde_norway::from_str(&text).expect("YAML") }
    }

    async fn send(&self, method: &str, path: &str, object: &Value) -> Value {
        let content = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", content);
        let request = request.body(object.to_string().into_bytes()).expect("a request");
        self.client.request(request).await.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// The file with which `gsh-verify` has exactly the rights that it prints for these arguments.
    pub(crate) async fn grant(&self, program: &Program, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        command.current_dir(root()).env_clear().args(["--print-rbac"]).args(args);
        let printed = tokio::task::block_in_place(|| command.output()).expect("gsh-verify starts");
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        for object in documents(&String::from_utf8_lossy(&printed.stdout)) {
            let kind = object["kind"].as_str().expect("a kind");
            let (root, plural) = match kind {
                "ServiceAccount" => ("/api/v1", "serviceaccounts".to_owned()),
                _roles => ("/apis/rbac.authorization.k8s.io/v1", format!("{}s", kind.to_lowercase())),
            };
            let path = match object["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
                None => format!("{root}/{plural}"),
            };
            let name = object["metadata"]["name"].as_str().expect("a name");
            self.send("PATCH", &format!("{path}/{name}?fieldManager=administrator&force=true"), &object).await;
        }
        let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let path = "/api/v1/namespaces/gitpod/serviceaccounts/gsh-verify/token";
        let answer = self.send("POST", path, &ask).await;
        let mut config = self.kubeconfig.clone();
        config["users"][0]["user"] = json!({"token": answer["status"]["token"].as_str().expect("a token")});
        let text = serde_norway::to_string(&config).expect("YAML");
        program.write("granted", &text).display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_roles_are_enough_for_every_scenario_and_for_no_other() {
    let cluster = Cluster::start().await;
    let (program, administrator) = (Program::new(), Administrator::of(&cluster).await);
    for scenario in ["workspace-start", "docker-in-workspace", "ssh-on-22", "store-roundtrip", "isolation"] {
        let granted = administrator.grant(&program, &["--intrusive", "--scenario", scenario]).await;
        let (code, said) = ended(cluster.verify_as(&granted, &program, &[scenario]));
        assert_eq!(code, 0, "{scenario}: {said}");
    }
    // What one may do is not for all.
    let granted = administrator.grant(&program, &["--intrusive", "--scenario", "workspace-start"]).await;
    for (scenario, verb, resource) in [("store-roundtrip", "create", "pods"), ("isolation", "get", "networkpolicies")] {
        let (code, said) = ended(cluster.verify_as(&granted, &program, &[scenario]));
        assert_eq!(code, 3, "{scenario}: {said}");
        assert!(said.contains(&format!("cannot {verb} resource \\\"{resource}\\\"")), "{scenario}: {said}");
    }
    // As far as the operator's command, which brings no node here: everything before it may be done, and is undone.
    let grow = ["--scale-out", "--grow", "echo no more machines >&2; exit 7"];
    let asked = [&["--intrusive", "--scenario", "scale-out"], &grow[..]].concat();
    let granted = administrator.grant(&program, &asked).await;
    let (code, said) = ended(cluster.verify_with(&granted, &program, &["scale-out"], &grow));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("GSH-ATT-001") && said.contains("no more machines"), "{said}");
    assert!(!said.contains(" is forbidden"), "nothing was refused: {said}");
    assert_eq!(cluster.pods(|labels| labels["gsh-role"].is_string()).await, Vec::<Value>::new(), "{said}");
    assert_eq!(cluster.workspaces().await, Vec::<Value>::new(), "{said}");

    let granted = administrator.grant(&program, &["--intrusive"]).await;
    let (code, said) = ended(cluster.verify_as(&granted, &program, &[]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(cluster.workspaces().await, Vec::<Value>::new());
    cluster.emulation.interrupt();
}

/// Exit code, results, and what was said.
fn ended(child: Child) -> (i32, String) {
    let output = tokio::task::block_in_place(|| child.wait_with_output()).expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_by_success_or_an_interrupt_and_what_a_kill_leaves_goes_with_the_next_run() {
    let cluster = Cluster::start().await;
    let program = Program::new();
    let all = ["node-conformance", "workspace-start", "docker-in-workspace", "ssh-on-22", "scale-out"];
    let (code, said) = ended(cluster.verify(&program, &all));
    assert_eq!(code, 0, "{said}");
    assert_eq!(cluster.workspaces().await, Vec::<Value>::new());
    let results: Value = serde_json::from_str(&said).expect("JSON");
    let outcome = |name: &str| {
        let subjects = results["cells"][0]["subjects"].as_array().expect("subjects");
        subjects.iter().find(|s| s["name"] == name).map(|s| s["outcome"].clone()).expect("the scenario")
    };
    for scenario in ["workspace-start", "docker-in-workspace", "ssh-on-22", "node-conformance"] {
        assert_eq!(outcome(scenario), "passed", "{said}");
    }
    assert!(outcome("scale-out")["skipped"].is_string(), "nobody said how to add a node");

    let annotation = |pod: &Value, name: &str| pod["metadata"]["annotations"][name].as_str().map(str::to_owned);
    let child = cluster.verify(&program, &["workspace-start"]);
    cluster.until("a workspace runs", |p| p["status"]["phase"] == "Running").await;
    let marked = cluster.workspaces().await;
    for pod in &marked {
        assert!(annotation(pod, "gitpod.io/annotation.gsh-run").is_some(), "{pod}");
        let expires = annotation(pod, "gitpod.io/annotation.gsh-expires").expect("an expiry");
        expires.parse::<jiff::Timestamp>().expect("a time");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let (code, said) = ended(child);
    assert!(code == 3 || code == 0, "interrupted, or just done: {code} {said}");
    assert_eq!(cluster.workspaces().await, Vec::<Value>::new(), "{said}");

    type State = (&'static str, usize, fn(&Value) -> bool);
    let states: [State; 3] = [
        ("a workspace was asked for", 1, |_| true),
        ("a workspace runs", 1, |p| p["status"]["phase"] == "Running"),
        ("it was stopped and started again from its backup", 2, |_| true),
    ];
    for (what, lives, state) in states {
        let mut child = cluster.verify(&program, &["workspace-start"]);
        let mut seen = BTreeSet::new();
        for _life in 0..lives {
            let known = seen.clone();
            cluster.until(what, |p| state(p) && !known.contains(name(p))).await;
            seen.extend(cluster.workspaces().await.iter().map(|p| name(p).to_owned()));
        }
        child.kill().expect("it runs");
        child.wait().expect("it is gone");
        let (code, said) = ended(cluster.verify(&program, &["workspace-start"]));
        assert_eq!(code, 0, "killed when {what}: {said}");
        assert_eq!(cluster.workspaces().await, Vec::<Value>::new(), "killed when {what}: {said}");
    }

    let mut child = cluster.verify(&program, &["store-roundtrip"]);
    let asks = async { while cluster.pods(|labels| labels["gsh-role"] == "probe").await.is_empty() {} };
    tokio::time::timeout(PATIENCE, asks).await.expect("a pod that asks the stores");
    child.kill().expect("it runs");
    child.wait().expect("it is gone");
    assert_ne!(cluster.pods(|labels| labels["gsh-role"].is_string()).await, Vec::<Value>::new(), "a kill leaves it");
    let (code, said) = ended(cluster.verify(&program, &["workspace-start"]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(cluster.pods(|labels| labels["gsh-role"].is_string()).await, Vec::<Value>::new(), "{said}");
    cluster.emulation.interrupt();
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}
