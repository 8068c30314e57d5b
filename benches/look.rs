//! A read-only look by `gsh-verify` beside `kubectl wait` doing the readiness part, on the same emulated API server.
//!
//! `cargo bench --bench look --profile dev`. The server counts the requests, whoever sends them. Every figure is of a whole
//! process, from its start to its end; kubectl is measured with an empty cache and with a warm one.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gsh_fixtures::Still;
use gsh_look::{Kind, Reader};
use gsh_providers::attached::{Mode, Way, connect};
use serde_json::{Value, json};

/// Rounds of each measurement; the fastest counts, because everything else is the machine's.
const ROUNDS: usize = 5;

/// What a shell script would wait for: one command for each kind, all that belongs to the readiness of an installation.
const WAITS: [&[&str]; 6] = [
    &["wait", "--for=condition=Ready", "nodes", "--all"],
    &["wait", "--for=condition=Available", "deployments", "--all"],
    &["wait", "--for=jsonpath={.status.readyReplicas}=1", "statefulsets", "--all"],
    &["rollout", "status", "daemonsets"],
    &["wait", "--for=condition=Complete", "jobs", "--all"],
    &["wait", "--for=condition=Ready", "certificates", "--all"],
];

/// Ends when it is dropped.
struct Emulation(Child);

impl Drop for Emulation {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

/// An installed cluster; its site answers for as long as it lives.
fn emulate(folder: &Path) -> (Emulation, Vec<(String, String)>, Vec<String>) {
    let said = folder.join("said");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gsh"))
        .current_dir(folder)
        .args(["emulate", "--installed", "kubeconfig"])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&said).expect("a file"))
        .spawn()
        .expect("gsh starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut told = Vec::new();
    for line in lines {
        told.extend(
            line.strip_prefix("export ").and_then(|l| l.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())),
        );
        if line.starts_with("export SSH_KNOWN_HOSTS=") {
            break;
        }
    }
    let said = std::fs::read_to_string(&said).expect("what it said");
    let moved = said.lines().filter_map(|l| l.strip_prefix("note: port ")?.split_once(" cannot be bound here and is "));
    let ports = moved.map(|(from, to)| format!("{from}={}", to.trim_end_matches(" instead"))).collect();
    (Emulation(child), told, ports)
}

/// Every object that a look sees, and the Secret with the authority.
async fn objects(kubeconfig: &str) -> Vec<Value> {
    let way = Way { kubeconfig: Some(kubeconfig.into()), context: None };
    let reader = Reader::new(connect(&way, Mode::ReadOnly).await.expect("a way").client);
    let mut all: Vec<Value> = ["gitpod", "cert-manager"]
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .into();
    let typed = |kind: Kind, mut object: Value| {
        object["apiVersion"] =
            if kind.group().is_empty() { "v1".into() } else { format!("{}/v1", kind.group()).into() };
        object["kind"] = kind.word().into();
        for field in ["uid", "resourceVersion", "managedFields"] {
            let _was = object["metadata"].as_object_mut().map(|m| m.remove(field));
        }
        object
    };
    for kind in Kind::LISTED {
        all.extend(reader.list(kind, None, None).await.expect("a list").into_iter().map(|o| typed(kind, o)));
    }
    let secret = reader.get(Kind::Secret, "gitpod", "ca-certificate").await.expect("an answer").expect("a Secret");
    all.push(typed(Kind::Secret, secret));
    all.sort_by_key(|o| (o["kind"] != "Namespace", o["kind"] != "ServiceAccount"));
    all
}

/// The fastest of some rounds, and the requests of one.
fn measure(still: &Still, mut round: impl FnMut()) -> (Duration, usize) {
    let mut fastest = Duration::MAX;
    let before = still.requests().len();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        round();
        fastest = fastest.min(began.elapsed());
    }
    (fastest, (still.requests().len() - before) / ROUNDS)
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}", said());
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (emulation, told, ports) = emulate(folder.path());
    let variable = |name: &str| told.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).expect("a variable");
    let still = Still::start(objects(&variable("KUBECONFIG")).await).await.expect("a cluster");
    let config = folder.path().join("still");
    std::fs::write(&config, still.kubeconfig()).expect("a file");

    let show = |name: &str, (time, requests): (Duration, usize)| {
        println!("{name:<44} {:6.2} s  {requests:3} requests", time.as_secs_f64());
    };
    let verify = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        command.arg("--kubeconfig").arg(&config).args(["--quiet", "--ingress", &variable("GITPOD_INGRESS")]);
        for port in &ports {
            command.args(["--port", port]);
        }
        succeed(command.args(more).current_dir(folder.path()));
    };
    let whole = tokio::task::block_in_place(|| measure(&still, || verify(&[])));
    show("gsh-verify, everything and the site", whole);

    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        println!("kubectl is not on this machine: nothing to compare with");
        drop(emulation);
        return;
    }
    let wait = |home: &Path| {
        for words in WAITS {
            let mut command = Command::new("kubectl");
            command.arg("--kubeconfig").arg(&config).args(["-n", "gitpod"]).args(words);
            succeed(command.arg("--timeout=10s").env("HOME", home).env_remove("KUBECONFIG"));
        }
    };
    let mut homes = (0..).map(|n| folder.path().join(format!("home-{n}")));
    let cold = tokio::task::block_in_place(|| measure(&still, || wait(&homes.next().expect("one more"))));
    show("kubectl wait, readiness only, empty cache", cold);
    let home = folder.path().join("home");
    tokio::task::block_in_place(|| wait(&home));
    let warm = tokio::task::block_in_place(|| measure(&still, || wait(&home)));
    show("kubectl wait, readiness only, warm cache", warm);
    let ratio = |(time, requests): (Duration, usize)| {
        (whole.0.as_secs_f64() / time.as_secs_f64(), whole.1 as f64 / requests as f64)
    };
    for (name, (time, requests)) in [("empty", ratio(cold)), ("warm", ratio(warm))] {
        println!("ratio of gsh-verify to kubectl, {name} cache: time {time:.2}, requests {requests:.2}");
    }
    drop(emulation);
}
