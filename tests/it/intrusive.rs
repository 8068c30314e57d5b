//! `gsh-verify --intrusive`: what it creates it removes, also after Ctrl-C; and what a killed one left, the next one removes.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gsh_look::{Kind, Reader};
use gsh_providers::attached::{Mode, Way, connect};
use serde_json::Value;

use crate::emulate::Emulation;
use crate::program::{Program, root};

/// For everything that a world without delays does at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// An installed cluster, seen past the program under test.
struct Cluster {
    emulation: Emulation,
    reader: Reader,
}

impl Cluster {
    async fn start() -> Self {
        let emulation = tokio::task::block_in_place(Emulation::installed);
        let way = Way { kubeconfig: Some(emulation.variable("KUBECONFIG").into()), context: None };
        let reader = Reader::new(connect(&way, Mode::Everything).await.expect("a way").client);
        Self { emulation, reader }
    }

    async fn workspaces(&self) -> Vec<Value> {
        let pods = self.reader.list(Kind::Pod, Some("gitpod"), None).await.expect("pods");
        pods.into_iter().filter(|p| p["metadata"]["labels"]["component"] == "workspace").collect()
    }

    /// Waits until a workspace is in a state. Every look is a request, so this does not spin.
    async fn until(&self, what: &str, state: impl Fn(&Value) -> bool) {
        let look = async { while !self.workspaces().await.iter().any(&state) {} };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what} within {PATIENCE:?}"));
    }

    fn verify(&self, program: &Program, scenarios: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        command.current_dir(root()).env_clear().env("HOME", program.folder()).env("TMPDIR", program.folder());
        command.args(["--kubeconfig", self.emulation.variable("KUBECONFIG"), "--format", "json", "--quiet"]);
        command.args(["--intrusive", "--ingress", self.emulation.variable("GITPOD_INGRESS")]);
        for (from, to) in self.emulation.moved_ports() {
            command.args(["--port", &format!("{from}={to}")]);
        }
        for scenario in scenarios {
            command.args(["--scenario", scenario]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gsh-verify starts")
    }
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
    cluster.emulation.interrupt();
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}
