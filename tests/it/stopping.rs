//! A run that is stopped from outside: everything is removed, every planned subject has an outcome.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::Program;

/// Interrupts a run when a line of its ledger-driven output appears, and gives how it ended.
fn interrupt_at(line: &str) -> (crate::program::Ended, String) {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["small"])]).display().to_string();
    let out = program.out().display().to_string();
    let mut child = program
        .command()
        .args(["run", "--provider", "embedded", "--cover", "full", "--matrix", &matrix, "--out", &out])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gsh starts");
    let stderr = child.stderr.take().expect("piped");
    let mut seen = String::new();
    for text in BufReader::new(stderr).lines().map_while(Result::ok) {
        if text.contains(line) && !seen.contains("<interrupted>") {
            let pid = child.id().to_string();
            let killed = std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill");
            assert!(killed.success());
            seen.push_str("<interrupted>\n");
        }
        seen.push_str(&text);
        seen.push('\n');
    }
    let output = child.wait_with_output().expect("gsh ends");
    let ended = program.ended(output);
    let results = ended.file("results.json");
    (ended, format!("{seen}\n{results}"))
}

#[test]
fn an_interrupted_run_removes_everything_and_says_so() {
    for line in ["run r", "provision  passed", "install  passed", "workspace-start  passed"] {
        let (ended, seen) = interrupt_at(line);
        assert!(seen.contains("<interrupted>"), "`{line}` never appeared: {seen}");
        assert_eq!(ended.code, 3, "interrupted at `{line}`: {seen}");
        let results: serde_json::Value =
            serde_json::from_str(&seen[seen.find("\n{").expect("results")..]).expect("results.json");
        assert_eq!(results["complete"], true, "{line}");
        assert_eq!(results["leftovers"], serde_json::json!([]), "{line}");
    }
}

#[test]
fn a_run_that_is_still_getting_ready_ends_at_the_first_signal_and_leaves_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}/v1", silent.local_addr().expect("an address"));
    let program = Program::new();
    let out = program.out().display().to_string();
    let matrix = program.matrix(&[]).display().to_string();
    let child = program
        .command()
        .args(["run", "--provider", "hetzner", "--matrix", &matrix, "--out", &out])
        .env("HCLOUD_ENDPOINT", endpoint)
        .env("HCLOUD_TOKEN", "t".repeat(64))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gsh starts");
    // It asks the account, which never answers: now it waits.
    let _connection = silent.accept().expect("it asks");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let ended = program.ended(child.wait_with_output().expect("gsh ends"));
    assert_eq!((ended.code, ended.stderr.as_str()), (3, "error: stopped by a signal before anything was created\n"));
    assert!(!ended.out.exists());
}
