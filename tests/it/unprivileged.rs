//! Whoever may not bind ports below 1024 can run gsh too: they are moved, the record says so, and what depends on the very
//! number is skipped with that reason.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::outside::present;
use crate::program::{Ended, Program};

/// Somebody who owns nothing.
const NOBODY: &str = "65534";

/// How to run gsh without privileges: as who we are, or through `setpriv`; `None`, with a line that says why, where it
/// cannot be done.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn unprivileged(program: &Program) -> Option<Command> {
    let first: u32 = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024);
    if first <= 22 {
        eprintln!("not checked: everybody may bind port {first} here, so no port is moved");
        return None;
    }
    if std::net::TcpListener::bind(("127.0.0.1", 22)).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
        return Some(program.command());
    }
    if !present("setpriv", &["--version"]) {
        return None;
    }
    // The place where cargo keeps the program may be closed to others.
    let copy = program.folder().join("gsh");
    std::fs::copy(env!("CARGO_BIN_EXE_gsh"), &copy).expect("copy the program");
    open(&copy, 0o755);
    open(program.folder(), 0o777);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(copy)
        .current_dir(program.folder())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", program.folder())
        .env("TMPDIR", program.folder())
        .stdin(std::process::Stdio::null());
    Some(command)
}

fn open(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("change the mode");
}

/// `gsh run` of these axes without privileges; `None` where that cannot be tried.
fn run(axes: &[(&str, &[&str])], more: &[&str]) -> Option<Ended> {
    let program = Program::new();
    let mut command = unprivileged(&program)?;
    let matrix = program.matrix(axes);
    let output: Output = command
        .args(["run", "--provider", "embedded", "--cover", "full", "--matrix"])
        .arg(matrix)
        .arg("--out")
        .arg(program.out())
        .args(more)
        .output()
        .expect("gsh starts");
    let ended = program.ended(output);
    // The folder goes with the program; what is asked below must be read before.
    let results = ended.file("results.json");
    Some(Ended { stdout: results, ..ended })
}

/// Every (subject, outcome, check, result) of the record.
fn checks(results: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut todo = vec![results];
    while let Some(value) = todo.pop() {
        if let Some(check) = value["check"].as_str() {
            all.push((check.to_owned(), value["result"].clone()));
        }
        match value {
            Value::Array(inside) => todo.extend(inside),
            Value::Object(inside) => todo.extend(inside.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    all
}

#[test]
fn without_privileges_ports_are_moved_and_the_record_says_so() {
    let Some(ended) = run(&[("size", &["single", "medium"])], &[]) else { return };
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let results: Value = serde_json::from_str(&ended.stdout).expect("results.json");
    let notes = results["notes"].to_string();
    for moved in ["22 is 10022", "80 is 10080", "443 is 10443"] {
        assert!(notes.contains(moved), "`{moved}` in {notes}");
        assert!(ended.stderr.contains(moved), "`{moved}` on the terminal: {}", ended.stderr);
    }
    let checks = checks(&results);
    let of_number = |check: &str| ["GSH-SSH-001", "GSH-NODE-021"].contains(&check);
    for check in ["GSH-SSH-001", "GSH-NODE-021"] {
        let found: Vec<&Value> = checks.iter().filter(|(name, _)| name == check).map(|(_, result)| result).collect();
        assert_eq!(found.len(), 2, "{check} in both cells: {found:?}");
        for result in found {
            let reason = result["skipped"].as_str().unwrap_or_else(|| panic!("{check}: {result}"));
            assert!(reason.contains("port"), "{check}: {reason}");
        }
    }
    // What is skipped for another reason than its port would be skipped with privileges, too.
    let other_reason = |result: &Value| result["skipped"].as_str().is_some_and(|reason| !reason.contains("port"));
    let others: Vec<&(String, Value)> = checks
        .iter()
        .filter(|(name, result)| !of_number(name) && result != "passed" && !other_reason(result))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(checks.len() > 50, "{}", checks.len());
}

#[test]
fn without_privileges_a_stranger_at_the_gateway_is_still_found() {
    let world = crate::program::root().join("fixtures/worlds/gateway-shows-another-host-key.toml");
    let text = std::fs::read_to_string(world).expect("the world");
    let holder = Program::new();
    open(holder.folder(), 0o755);
    let world = holder.write("world.toml", &text).display().to_string();
    let Some(ended) = run(&[("size", &["single"])], &["--world", &world]) else { return };
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("GSH-SSH-003"), "{}", ended.stderr);
}
