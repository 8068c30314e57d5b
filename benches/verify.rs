//! What a read-only look costs: `gsh-verify` on a full installation, beside `kubectl` doing the readiness part alone, on the
//! same emulated server in the same run.
//!
//! `cargo bench --bench verify`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Rounds of each; the middle one counts.
const ROUNDS: usize = 7;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let mut emulation = Command::new(env!("CARGO_BIN_EXE_gsh"))
        .args(["emulate", "--installed"])
        .arg(&kubeconfig)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("gsh starts");
    let lines = BufReader::new(emulation.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let told: Vec<String> = lines.take(6).collect();
    let ingress = told.last().and_then(|l| l.split_once('=')).expect("an ingress").1.to_owned();

    let verify = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        run(command.args(["--quiet", "--stats", "--ingress", &ingress]), &kubeconfig)
    };
    let (took, said) = middle(verify);
    let requests = said.lines().find(|l| l.contains("requests to the cluster")).unwrap_or("no statistics");
    println!("gsh-verify, everything      {took:>8.0?}   {requests}");

    let kubectl = || {
        let script = "set -e; n='-v=6 -n gitpod'; kubectl $n wait --for=condition=Available deployment --all --timeout=60s; \
            kubectl $n wait --for=condition=Ready certificate --all --timeout=60s; \
            kubectl $n wait --for=condition=Ready issuer --all --timeout=60s; \
            kubectl $n rollout status statefulset --timeout=60s; kubectl $n rollout status daemonset --timeout=60s; \
            kubectl $n wait --for=jsonpath='{.status.phase}'=Bound pvc --all --timeout=60s; \
            kubectl -v=6 wait --for=condition=Ready node --all --timeout=60s";
        run(Command::new("sh").args(["-c", script]), &kubeconfig)
    };
    let (waited, said) = middle(kubectl);
    let sent = said.lines().filter(|l| l.contains(" GET https://") || l.contains("verb=\"GET\"")).count();
    println!("kubectl wait, readiness only {waited:>7.0?}   {sent} requests to the cluster");
    println!("ratio                       {:>8.2}", took.as_secs_f64() / waited.as_secs_f64());

    // Only this one was started here.
    let _gone = (emulation.kill(), emulation.wait());
}

/// Runs it some times; the middle time, and what the last one said.
fn middle(run: impl Fn() -> Output) -> (Duration, String) {
    let mut times = Vec::new();
    let mut said = String::new();
    for _round in 0..ROUNDS {
        let began = Instant::now();
        let output = run();
        times.push(began.elapsed());
        said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
    }
    times.sort();
    (times[ROUNDS / 2], said)
}

fn run(command: &mut Command, kubeconfig: &Path) -> Output {
    command.env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).output().expect("it starts")
}
