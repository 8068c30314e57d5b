//! Machines that are well, each with one thing wrong, and each silent about one thing.

use std::collections::BTreeMap;

use gsh_engine::provider::Barred;
use gsh_ssh::sections::Sections;
use serde_json::json;

use super::*;

/// What a good machine says, section by section: text and status.
fn healthy() -> BTreeMap<&'static str, (String, i32)> {
    let row = |name: &'static str, text: &str, status: i32| (name, (text.to_owned(), status));
    BTreeMap::from([
        row("user", "0", 0),
        row("clock", "1000", 0),
        row("kernel", "5.15.0-122-generic", 0),
        row("modules", "br_netfilter 0\noverlay 0\nnf_tables 0\nvxlan 0", 0),
        row("filesystems", "nodev\tproc\n\text4\nnodev\tshiftfs", 0),
        row("fuse", "a:e5", 0),
        row("sources", "", 0),
        row("namespaces", "63000", 0),
        row("unprivileged", "1", 0),
        row("socket", "", 0),
        row("listeners", "LISTEN 0 128 0.0.0.0:2244 0.0.0.0:*", 0),
        row("synchronized", "yes", 0),
        row("server", "inactive", 3),
        row("agent", "active", 0),
        row("server-restarts", "0", 0),
        row("agent-restarts", "1", 0),
        row(
            "disk",
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 160000000 20000000 140000000 13% /",
            0,
        ),
        row("inodes", "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda1 9000000 300000 8700000 4% /", 0),
        row("cgroup", "cgroup2fs", 0),
        row("runtimes", "inactive\ninactive", 3),
        row("swaps", "Filename Type Size Used Priority", 0),
        row("watches", "1000000", 0),
        row("reboot", "", 1),
        row("failed", "", 0),
    ])
}

fn machine(name: &str, said: &BTreeMap<&'static str, (String, i32)>) -> Machine {
    let output: String =
        said.iter().map(|(name, (text, status))| format!("== {name}\n{text}\n\n=> {status}\n")).collect();
    let at = Timestamp::from_second(1000).expect("a time");
    Machine {
        name: name.to_owned(),
        said: Ok(Answers { sections: Sections::parse(&output), asked: (at, at), port: 2244 }),
    }
}

fn record(shift: &str) -> Record {
    let config =
        json!({ "sshGatewayHostKey": { "name": "k" }, "workspace": { "runtime": { "fsShiftMethod": shift } } });
    Record { config: Some(config), ..Record::default() }
}

/// Last digits of what is bad and of what is unknown.
fn judged(machines: &[Machine], shift: &str) -> (Vec<String>, Vec<String>) {
    let (mut bad, mut unknown) = (Vec::new(), Vec::new());
    for seen in judge(machines, &record(shift)) {
        let code = seen.code.trim_start_matches("GSH-LOOK-").to_owned();
        match seen.verdict {
            Verdict::Bad { .. } => bad.push(code),
            Verdict::Unknown(_) => unknown.push(code),
            Verdict::Good | Verdict::NotHere(_) => {}
        }
    }
    (bad, unknown)
}

fn with(section: &'static str, text: &str, status: i32) -> Vec<Machine> {
    let mut said = healthy();
    said.insert(section, (text.to_owned(), status));
    vec![machine("n1", &healthy()), machine("n2", &said)]
}

#[test]
fn every_check_is_seen_good_bad_and_unable_to_tell() {
    for shift in ["fuse", "shiftfs"] {
        assert_eq!(judged(&[machine("n1", &healthy())], shift), (vec![], vec![]), "{shift}");
    }
    // Code, section, what a bad machine says.
    let bad: [(&str, &'static str, &str, i32); 22] = [
        ("151", "kernel", "4.15.0-213-generic", 0),
        ("152", "modules", "br_netfilter 0\noverlay 0\nnf_tables 1\nvxlan 0", 0),
        ("153", "fuse", "", 1),
        ("153", "fuse", "a:1", 0),
        ("154", "sources", "", 1),
        ("155", "namespaces", "0", 0),
        ("155", "unprivileged", "0", 0),
        ("156", "socket", "", 1),
        ("157", "listeners", "LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:2244 0.0.0.0:*", 0),
        ("158", "clock", "1010", 0),
        ("158", "clock", "990", 0),
        ("158", "synchronized", "no", 0),
        ("159", "agent", "failed", 3),
        ("159", "agent-restarts", "7", 0),
        (
            "160",
            "disk",
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 160000000 150000000 10000000 94% /",
            0,
        ),
        ("160", "inodes", "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda1 9000000 8900000 100000 99% /", 0),
        ("161", "cgroup", "tmpfs", 0),
        ("162", "runtimes", "inactive\nactive", 0),
        ("163", "swaps", "Filename Type Size Used Priority\n/swap file 4194300 0 -2", 0),
        ("164", "watches", "8192", 0),
        ("165", "reboot", "", 0),
        ("166", "failed", "snapd.service loaded failed failed Snap Daemon", 0),
    ];
    for (code, section, text, status) in bad {
        assert_eq!(judged(&with(section, text, status), "fuse"), (vec![code.to_owned()], vec![]), "{section}: {text}");
    }
    assert_eq!(judged(&with("filesystems", "nodev\tproc", 0), "shiftfs").0, ["153"]);
    // The program is not there, or its answer is none: never good, never bad.
    let unable: [(&str, &'static str, &str, i32); 20] = [
        ("151", "kernel", "", 127),
        ("151", "kernel", "plan9", 0),
        ("152", "modules", "br_netfilter 127\noverlay 127\nnf_tables 127\nvxlan 127", 0),
        ("153", "fuse", "", 127),
        ("154", "sources", "", 127),
        ("155", "namespaces", "", 1),
        ("156", "socket", "", 127),
        ("157", "listeners", "", 127),
        ("157", "listeners", "LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:*", 0),
        ("158", "clock", "noon", 0),
        ("158", "synchronized", "", 127),
        ("159", "agent", "", 127),
        ("159", "agent-restarts", "", 1),
        ("160", "disk", "", 127),
        ("160", "inodes", "df: unrecognized option", 1),
        ("161", "cgroup", "", 1),
        ("162", "runtimes", "", 127),
        ("163", "swaps", "", 1),
        ("165", "reboot", "", 127),
        ("166", "failed", "", 127),
    ];
    for (code, section, text, status) in unable {
        assert_eq!(judged(&with(section, text, status), "fuse"), (vec![], vec![code.to_owned()]), "{section}: {text}");
    }
    assert_eq!(judged(&with("watches", "", 1), "fuse").1, ["164"]);
    assert_eq!(judged(&with("filesystems", "", 1), "shiftfs").1, ["153"]);
    let seen = bad.iter().map(|row| row.0);
    let codes: Vec<&str> = CODES.iter().map(|(code, ..)| code.trim_start_matches("GSH-LOOK-")).collect();
    let missing: Vec<&&str> =
        codes.iter().filter(|code| !seen.clone().any(|s| s == **code) && **code != "150").collect();
    assert!(missing.is_empty(), "never seen bad: {missing:?}");
}

#[test]
fn whoever_is_not_root_takes_no_file_for_absent() {
    let mut said = healthy();
    said.insert("user", ("1000".to_owned(), 0));
    said.insert("socket", (String::new(), 1));
    assert_eq!(judged(&[machine("n1", &said)], "fuse"), (vec![], vec!["156".to_owned()]));
}

#[test]
fn a_machine_that_nobody_could_enter_is_good_at_nothing() {
    let barred = |why: Barred| Machine { name: "n2".to_owned(), said: Err(why) };
    let unknown = [machine("n1", &healthy()), barred(Barred::Unknown("no answer".to_owned()))];
    let (bad, cannot) = judged(&unknown, "fuse");
    assert_eq!((bad.len(), cannot.len()), (0, CODES.len()));
    let stranger = Barred::Stranger { expected: "A".to_owned(), observed: "B".to_owned() };
    let (bad, cannot) = judged(&[machine("n1", &healthy()), barred(stranger)], "fuse");
    assert_eq!((bad, cannot.len()), (vec!["150".to_owned()], CODES.len() - 1));
}

#[test]
fn nothing_that_is_asked_changes_a_machine() {
    let reads = ["id", "date", "uname", "for", "cat", "stat", "test", "ss", "timedatectl", "systemctl", "df"];
    for (name, command) in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert!(reads.contains(&words[0]) && !command.contains('>'), "{name}: {command}");
        assert!(words[0] != "systemctl" || ["is-active", "show", "--failed"].contains(&words[1]), "{command}");
        assert!(!command.contains("modprobe") || command.contains("modprobe -n "), "{command}");
    }
}
