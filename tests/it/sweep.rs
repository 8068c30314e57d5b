//! `gsh sweep` on an account that holds what runs can leave and what is somebody else's: what it lists, what it removes, in
//! which order of requests, and what it says when it is interrupted.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::Account;
use crate::program::{Ended, Program};

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A public key that nobody has the other half of.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// 2017, and the year 2125.
const PAST: &str = "1500000000";
const FUTURE: &str = "4900000000";

fn post(account: &Account, path: &str, body: &Value) -> Value {
    let (status, answer) = account.request("POST", path, &body.to_string());
    assert_eq!(status, 201, "{path} {body}: {answer}");
    answer
}

/// What a run leaves: its own things, and what its cluster made for itself. Gives the number of its server.
fn leave(account: &Account, digits: &str, expires: &str) -> u64 {
    let lease = format!("g{digits}-c1-a1");
    let labels = json!({"gsh-run": format!("r20261123-164638-{digits}"), "gsh-lease": lease, "gsh-expires": expires});
    let name = |what: &str| format!("{lease}-{what}");
    let net = json!({"name": name("net"), "ip_range": "10.2.0.0/16", "labels": labels,
        "subnets": [{"type": "cloud", "network_zone": "eu-central", "ip_range": "10.2.0.0/24"}]});
    let net = post(account, "/networks", &net)["network"]["id"].clone();
    post(account, "/firewalls", &json!({"name": name("fw"), "labels": labels}));
    post(account, "/placement_groups", &json!({"name": name("group"), "type": "spread", "labels": labels}));
    let ip =
        json!({"name": name("ip"), "type": "ipv4", "assignee_type": "server", "location": "nbg1", "labels": labels});
    post(account, "/primary_ips", &ip);
    let machine = |name: String, labels: Value| {
        json!({"name": name, "server_type": "cx23", "image": "ubuntu-22.04", "location": "nbg1", "networks": [net],
            "labels": labels})
    };
    let server = post(account, "/servers", &machine(name("manager-1"), labels.clone()))["server"]["id"].clone();
    // What the autoscaler, the cloud controller and the CSI driver made from inside carries their marks and none of ours.
    post(account, "/servers", &machine(format!("pool-{digits}"), json!({"hcloud/node-group": "pool"})));
    let inside = json!({"name": format!("svc-{digits}"), "load_balancer_type": "lb11", "location": "nbg1", "network": net,
        "labels": {"hcloud-ccm/service-uid": digits}});
    post(account, "/load_balancers", &inside);
    let volume = json!({"name": format!("pvc-{digits}"), "size": 10, "server": server,
        "labels": {"managed-by": "csi-driver"}});
    post(account, "/volumes", &volume);
    server.as_u64().expect("a number")
}

/// What is nobody's business: without labels, or with those of others.
fn bystanders(account: &Account, server: u64) {
    post(account, "/networks", &json!({"name": "theirs", "ip_range": "10.0.0.0/16"}));
    let machine = json!({"name": "prod-1", "server_type": "cx23", "image": "ubuntu-22.04", "location": "nbg1",
        "labels": {"hcloud/node-group": "prod"}});
    post(account, "/servers", &machine);
    post(account, "/ssh_keys", &json!({"name": "admin", "public_key": KEY}));
    // Somebody's own volume on one of our machines.
    post(account, "/volumes", &json!({"name": "diary", "size": 10, "server": server}));
}

fn sweep(account: &Account, args: &[&str]) -> Ended {
    let program = Program::new();
    program.ended(account.command(&program).arg("sweep").args(args).output().expect("gsh starts"))
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ended.stdout, ended.stderr))
}

fn names(resources: &Value) -> Vec<String> {
    let all = resources.as_array().expect("a list").iter();
    let mut names: Vec<String> = all.map(|r| r["name"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// What is there and belongs to a run, by the digits in its name.
fn of(account: &Account, digits: &str) -> Vec<String> {
    account.there().into_iter().filter(|thing| thing.contains(digits)).collect()
}

#[test]
fn everything_that_a_run_left_is_removed_with_what_its_cluster_made_and_nothing_else() {
    let account = Account::start("[hetzner]\nrate-limit = 1000000\n");
    let server = leave(&account, "aaaa", PAST);
    bystanders(&account, server);
    leave(&account, "bbbb", FUTURE);
    for (key, expires) in [("old", PAST), ("good", FUTURE)] {
        let body =
            json!({"type": "snapshot", "description": key, "labels": {"gsh-snapshot": key, "gsh-expires": expires}});
        post(&account, &format!("/servers/{server}/actions/create_image"), &body);
    }
    let before = account.there();

    let listed = document(&sweep(&account, &["--dry-run", "--format", "json"]));
    assert_eq!((&listed["schema"], &listed["dry_run"]), (&json!("gsh.sweep/v1"), &json!(true)));
    let leases = listed["leases"].as_array().expect("leases");
    assert_eq!((leases.len(), &leases[0]["lease"], &leases[0]["fate"]), (1, &json!("gaaaa-c1-a1"), &json!("listed")));
    let priced = leases[0]["resources"].as_array().expect("resources").iter().filter(|r| r["cents_per_month"].is_u64());
    assert_eq!(priced.count(), 2, "a server and an address: {listed:#}");
    assert_eq!(listed["snapshots"][0]["snapshot"]["name"], "old");
    assert_eq!(account.there(), before, "a dry run changes nothing");
    let untouched = account.requests().iter().filter(|r| r.starts_with("DELETE ") || r.starts_with("PUT ")).count();
    assert_eq!(untouched, 0, "a dry run sends nothing that could");

    let ended = sweep(&account, &["--expired", "--format", "json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let swept = document(&ended);
    assert_eq!(swept["leases"][0]["fate"], "removed");
    let removed = names(&swept["leases"][0]["removed"]);
    for thing in ["pool-aaaa", "svc-aaaa", "pvc-aaaa", "gaaaa-c1-a1-ip", "gaaaa-c1-a1-net"] {
        assert!(removed.contains(&thing.to_owned()), "{removed:?}");
    }
    assert_eq!((&swept["snapshots"][0]["fate"], &swept["left"]), (&json!("removed"), &json!([])));
    assert_eq!(of(&account, "aaaa"), Vec::<String>::new());
    // A machine's own address comes and goes with it, and carries a number for a name.
    let named = |all: Vec<String>| -> Vec<String> {
        all.into_iter()
            .filter(|thing| !thing.contains("aaaa") && !thing.starts_with("primary_ips primary_ip-"))
            .collect()
    };
    assert_eq!(named(account.there()), named(before), "nothing else was touched");

    // Never from a list without a selector: those that gsh sent are told from the test's by their page.
    let lists = account.requests().into_iter().filter(|r| r.starts_with("GET ") && r.contains("page=1&per_page"));
    for list in lists {
        assert!(list.contains("label_selector=gsh-"), "{list}");
    }

    let text = sweep(&account, &["--run", "r20261123-164638-bbbb"]);
    assert_eq!(text.code, 0, "{}{}", text.stdout, text.stderr);
    assert!(text.stdout.ends_with("nothing is left\n"), "{}", text.stdout);
    let mut rest = account.there();
    rest.sort();
    rest.retain(|thing| !thing.starts_with("primary_ips "));
    assert_eq!(rest, ["networks theirs", "servers prod-1", "ssh_keys admin", "volumes diary"]);
    let (_, images) = account.request("GET", "/images?type=snapshot&label_selector=gsh-snapshot", "");
    assert_eq!(images["images"].as_array().map(Vec::len), Some(1), "the good snapshot serves further runs");
}

/// A run on the account, as a process of its own.
fn running(account: &Account, program: &Program) -> Child {
    let matrix = program.matrix(&[("size", &["small"])]).display().to_string();
    let out = program.out().display().to_string();
    let args = ["run", "--provider", "hetzner", "--quiet", "--owner", "acme/dist", "--matrix", &matrix, "--out", &out];
    let scenario = ["--scenario", "node-conformance"];
    let mut command = account.command(program);
    command.args(args).args(scenario).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gsh starts")
}

/// The name of a run, once it has recorded one and a server of its own is there.
fn with_a_server(account: &Account, program: &Program) -> String {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it orders nothing: {:?}", account.there());
        std::thread::yield_now();
        let ledger = std::fs::read_to_string(program.out().join("ledger.jsonl")).unwrap_or_default();
        let first: Value = ledger.lines().next().and_then(|l| serde_json::from_str(l).ok()).unwrap_or_default();
        let run = first.pointer("/kind/run-started/run").or(first.pointer("/run")).and_then(Value::as_str);
        let Some(run) = run else { continue };
        let digits = run.rsplit('-').next().expect("digits");
        if account.there().iter().any(|thing| thing.starts_with(&format!("servers g{digits}-"))) {
            return run.to_owned();
        }
    }
}

#[test]
fn sweeping_a_run_that_was_killed_does_not_disturb_the_one_beside_it() {
    let account = Account::start("[hetzner]\nrate-limit = 1000000\nlatency-ms = 20\n");
    let (killed, other) = (Program::new(), Program::new());
    let (mut first, second) = (running(&account, &killed), running(&account, &other));
    let name = with_a_server(&account, &killed);
    first.kill().expect("SIGKILL");
    first.wait().expect("it ends");
    with_a_server(&account, &other);
    let ended = sweep(&account, &["--run", &name]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(&format!("of run {name} of acme.dist, expires ")), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("nothing is left\n"), "{}", ended.stdout);
    let ended = other.ended(second.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(account.there(), Vec::<String>::new());
}

/// A sweep of two leases that has removed something and is at more.
fn under_way(account: &Account, program: &Program) -> Child {
    let child = account
        .command(program)
        .args(["sweep", "--expired"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gsh starts");
    let began = Instant::now();
    while !account.requests().iter().any(|r| r.starts_with("DELETE ")) {
        assert!(began.elapsed() < PATIENCE, "it never removes anything");
        std::thread::yield_now();
    }
    child
}

fn interrupt(child: &Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn a_sweep_that_is_interrupted_finishes_the_lease_at_hand_and_says_what_is_left() {
    // Answers are slow enough that the first lease is not done when the signal comes.
    let account = Account::start("[hetzner]\nrate-limit = 1000000\nlatency-ms = 30\n");
    leave(&account, "aaaa", PAST);
    leave(&account, "bbbb", PAST);
    let program = Program::new();
    let child = under_way(&account, &program);
    interrupt(&child);
    let ended = program.ended(child.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("gaaaa-c1-a1: removed "), "{}", ended.stdout);
    assert!(ended.stdout.contains("gbbbb-c1-a1: not begun, stopped by a signal"), "{}", ended.stdout);
    assert!(ended.stdout.contains(" resources are left; "), "{}", ended.stdout);
    assert_eq!(of(&account, "aaaa"), Vec::<String>::new());
    assert!(of(&account, "bbbb").len() > 7, "{:?}", account.there());
    let again = sweep(&account, &["--expired"]);
    assert_eq!((again.code, account.there()), (0, Vec::new()), "{}{}", again.stdout, again.stderr);
}

#[test]
fn a_second_signal_ends_a_sweep_between_two_requests_and_nothing_is_claimed() {
    let account = Account::start("[hetzner]\nrate-limit = 1000000\nlatency-ms = 100\n");
    leave(&account, "aaaa", PAST);
    let program = Program::new();
    let child = under_way(&account, &program);
    interrupt(&child);
    // Two signals that nobody takes in between count as one: with the next request the first one has been seen.
    let (began, sent) = (Instant::now(), account.requests().len());
    while account.requests().len() == sent {
        assert!(began.elapsed() < PATIENCE, "it sends nothing more");
        std::thread::yield_now();
    }
    interrupt(&child);
    let ended = program.ended(child.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.starts_with("error: stopped by a second signal, so nothing is proved\n"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("nothing is left"), "{}", ended.stdout);
    let again = sweep(&account, &["--expired"]);
    assert_eq!((again.code, account.there()), (0, Vec::new()), "{}{}", again.stdout, again.stderr);
}

#[test]
fn without_a_token_no_account_is_called_clean() {
    let program = Program::new();
    let ended = program.gsh(&["sweep", "--expired"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("HCLOUD_TOKEN is not set"), "{}", ended.stderr);
}
