//! `gsh-verify --scale-out` with the command of `docs/verify.md`, as an operator has it: a shell script that orders a machine, whose
//! user-data alone makes it a node.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use gsh_look::Kind;
use serde_json::Value;

use crate::intrusive::{Administrator, Cluster};
use crate::outside::present;
use crate::program::Program;

/// For everything that a world without delays does at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The page whose script is run, so that there is one of it.
const PAGE: &str = include_str!("../../docs/verify.md");

/// What the script is made of.
fn at_hand() -> bool {
    present("curl", &["--version"]) && present("jq", &["--version"]) && present("bash", &["--version"])
}

/// Does what the page says to do, and gives the script.
fn script(program: &Program) -> String {
    let (_, block) = PAGE.split_once("```sh grow.sh\n").expect("the page has the script");
    let (block, _) = block.split_once("\n```").expect("it ends");
    let written = Command::new("bash").args(["-euc", block]).current_dir(program.folder()).status();
    assert!(written.is_ok_and(|s| s.success()), "the script is written");
    program.folder().join("grow.sh").display().to_string()
}

/// One run of the scenario: exit code, each check's result, and everything that was said.
struct Ended {
    code: i32,
    checks: BTreeMap<String, Value>,
    said: String,
}

fn scale_out(cluster: &Cluster, kubeconfig: &str, program: &Program, more: &[&str], env: &[(&str, &str)]) -> Ended {
    let args = [&["--scale-out"], more].concat();
    let mut command = cluster.command(kubeconfig, program, &["scale-out"], &args);
    command.current_dir(program.folder()).envs(cluster.emulation.environment()).envs(env.iter().copied());
    let output = tokio::task::block_in_place(|| command.output()).expect("gsh-verify starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let subjects = each(&results["cells"][0]["subjects"]).into_iter().filter(|s| s["name"] == "scale-out");
    let checks = subjects.flat_map(|s| each(&s["attempts"])).flat_map(|a| each(&a["checks"]));
    let checks = checks.map(|c| (c["check"].as_str().unwrap_or_default().to_owned(), c["result"].clone())).collect();
    Ended { code: output.status.code().unwrap_or(-1), checks, said }
}

impl Cluster {
    async fn nodes(&self) -> Vec<Value> {
        self.reader.list(Kind::Node, None, None).await.expect("nodes")
    }

    /// Nothing of the scenario's own is left: neither the workspace nor what took the room.
    async fn is_as_before(&self, said: &str) {
        assert_eq!(self.workspaces().await, Vec::<Value>::new(), "{said}");
        assert_eq!(self.pods(|labels| labels["gsh-role"].is_string()).await, Vec::<Value>::new(), "{said}");
    }
}

/// Starts a process beside itself, and cleans up when it is told to end.
const ENDLESS: &str = "trap 'echo done > cleaned-up; exit 1' TERM; sleep 3600 & echo $! > beside; wait";

/// Whether a process still runs. One that nobody has asked for its end yet does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

impl Cluster {
    /// What the endless command left: it has cleaned up, and what it started is gone or about to be.
    async fn is_ended(&self, program: &Program, said: &str) {
        let read = |name: &str| std::fs::read_to_string(program.folder().join(name));
        assert!(read("cleaned-up").is_ok(), "it was told to end: {said}");
        let (pid, began) = (read("beside").expect("it began"), Instant::now());
        while runs(&pid) {
            // Every look is a request, so this does not spin.
            self.nodes().await;
            assert!(began.elapsed() < PATIENCE, "process {pid} still runs: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_never_ends_is_ended_with_all_that_it_started() {
    let cluster = Cluster::start().await;
    let config = cluster.emulation.variable("KUBECONFIG").to_owned();

    let program = Program::new();
    let ended = scale_out(&cluster, &config, &program, &["--grow", ENDLESS, "--grow-timeout", "2"], &[]);
    assert_eq!((ended.code, &ended.checks["GSH-SCL-003"]["blame"]), (3, &Value::from("environment")), "{}", ended.said);
    assert!(ended.said.contains("GSH-ATT-001") && ended.said.contains("it did not end within 2s"), "{}", ended.said);
    cluster.is_ended(&program, &ended.said).await;
    cluster.is_as_before(&ended.said).await;

    // Ctrl-C while it runs.
    let program = Program::new();
    let mut command = cluster.command(&config, &program, &["scale-out"], &["--scale-out", "--grow", ENDLESS]);
    let child = command.current_dir(program.folder()).spawn().expect("gsh-verify starts");
    let beside = program.folder().join("beside");
    let began = Instant::now();
    while !std::fs::read_to_string(&beside).is_ok_and(|pid| pid.ends_with('\n')) {
        // Every look is a request, so this does not spin.
        cluster.nodes().await;
        assert!(began.elapsed() < PATIENCE, "the command begins within {PATIENCE:?}");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let output = tokio::task::block_in_place(|| child.wait_with_output()).expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{said}");
    cluster.is_ended(&program, &said).await;
    cluster.is_as_before(&said).await;
    cluster.emulation.interrupt();
}

fn ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_the_operators_command_orders_joins_and_takes_the_workspace() {
    if !at_hand() {
        return;
    }
    let cluster = Cluster::start().await;
    let (program, administrator) = (Program::new(), Administrator::of(&cluster).await);
    let grow = script(&program);
    let asked = ["--intrusive", "--scenario", "scale-out", "--scale-out", "--grow", &grow];
    let granted = administrator.grant(&program, &asked).await;
    assert_eq!(cluster.nodes().await.len(), 1);

    // Words that k3s does not know: a machine is ordered and boots, and no node comes of it.
    let stranger = [("K3S_TOKEN", "somebody-elses")];
    let ended = scale_out(&cluster, &granted, &program, &["--grow", &grow, "--grow-timeout", "5"], &stranger);
    assert_eq!(ended.code, 3, "{}", ended.said);
    let failed = &ended.checks["GSH-SCL-003"];
    assert_eq!(failed["blame"], "environment", "{}", ended.said);
    for words in ["GSH-ATT-001", "a new node joins", "still 1 nodes"] {
        assert!(failed.to_string().contains(words), "`{words}` in {failed}");
    }
    cluster.is_as_before(&ended.said).await;
    assert_eq!(cluster.nodes().await.len(), 1);

    // The cloud refuses, and its words are told.
    let refused = [("HCLOUD_TOKEN", "somebody-elses")];
    let ended = scale_out(&cluster, &granted, &program, &["--grow", &grow], &refused);
    assert_eq!((ended.code, &ended.checks["GSH-SCL-003"]["blame"]), (3, &Value::from("environment")), "{}", ended.said);
    assert!(ended.said.contains("GSH-ATT-001") && ended.said.contains("unauthorized"), "{}", ended.said);
    cluster.is_as_before(&ended.said).await;

    let ended = scale_out(&cluster, &granted, &program, &["--grow", &grow], &[]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    let passed: Vec<&str> = ended.checks.iter().filter(|(_, r)| *r == "passed").map(|(c, _)| c.as_str()).collect();
    let wanted: Vec<String> = (1..=8).map(|n| format!("GSH-SCL-00{n}")).collect();
    assert_eq!(passed, wanted, "{}", ended.said);
    assert!(!ended.said.contains(" is forbidden"), "the printed roles are enough: {}", ended.said);
    cluster.is_as_before(&ended.said).await;

    // The node is the operator's: it is still there when all else has been undone.
    let nodes = cluster.nodes().await;
    let grown = nodes.iter().find(|n| n["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("grown-")));
    let grown = grown.unwrap_or_else(|| panic!("the new node stays: {nodes:?}"));
    assert!(nodes.len() == 2 && ready(grown), "{nodes:?}");
    cluster.emulation.interrupt();
}
