//! `gsh-verify --ssh`: the machines below an installation, good and bad, known and strange.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use gsh_ssh::{Auth, HostKey};
use serde_json::Value;
use tokio::time::Instant;

use crate::program::Program;
use crate::verify::{Installed, codes, text, verify};

const PATIENCE: Duration = Duration::from_secs(120);

/// The one machine of an installed cluster, as its administrator has it.
pub(crate) struct Machine {
    address: IpAddr,
    host_key: HostKey,
    key: String,
}

impl Machine {
    pub(crate) fn of(installed: &Installed) -> Self {
        let known = std::fs::read_to_string(installed.emulation.variable("SSH_KNOWN_HOSTS")).expect("known hosts");
        let (host, key) = known.lines().next().and_then(|l| l.split_once(' ')).expect("a line");
        let address = host.trim_start_matches('[').split(']').next().unwrap_or_default().parse().expect("an address");
        let file = std::fs::read_to_string(installed.emulation.variable("SSH_KEY")).expect("a key");
        Self { address, host_key: key.parse().expect("a host key"), key: file }
    }

    /// Runs a command as root, which must succeed.
    pub(crate) async fn run(&self, command: &str) {
        let (at, deadline) = ((self.address, 2244).into(), Instant::now() + PATIENCE);
        let login =
            gsh_ssh::connect(at, "root", &self.host_key, Auth::Key(&self.key), deadline).await.expect("a login");
        let output = login.exec(command, b"", deadline).await.expect("an answer");
        assert!(output.success(), "{command}: {}", output.error_text());
        login.close().await;
    }
}

/// Exit code, what is bad and what cannot be told, and all results.
fn look(installed: &Installed, ssh: &[&str]) -> (i32, BTreeSet<String>, BTreeSet<String>, String) {
    let program = Program::new();
    let config = installed.emulation.variable("KUBECONFIG");
    let mut args = vec!["--kubeconfig", config, "--format", "json", "--quiet", "--scenario", "node-conformance"];
    args.extend(installed.args());
    args.extend(ssh);
    let (code, stdout, stderr) = text(&verify(&program, &args));
    let results: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    let (bad, unknown) = codes(&results);
    (code, bad, unknown, stdout)
}

fn set(codes: &[&str]) -> BTreeSet<String> {
    codes.iter().map(|c| format!("GSH-LOOK-{c}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_machine_can_show_is_seen_and_nobody_is_trusted_unknown() {
    let installed = Installed::start();
    let machine = Machine::of(&installed);
    let key = ["--ssh", "root", "--ssh-key", installed.emulation.variable("SSH_KEY")];
    let known = ["--ssh-known-hosts", installed.emulation.variable("SSH_KNOWN_HOSTS")];
    let trusted = [key.as_slice(), known.as_slice()].concat();

    let (code, bad, unknown, all) = look(&installed, &trusted);
    assert_eq!((code, &bad, &unknown), (0, &set(&[]), &set(&[])), "{all}");
    assert!(all.contains("GSH-LOOK-166"), "{all}");
    let without = look(&installed, &[]);
    assert!(without.0 == 0 && !without.3.contains("GSH-LOOK-150"), "nobody asked for the machines: {}", without.3);

    // A fingerprint is enough, and a wrong one is another machine.
    let fingerprint = machine.host_key.fingerprint();
    let nobody = ["--ssh-known-hosts", "/nowhere"];
    let by = |print: &str| look(&installed, &[key.as_slice(), &nobody, &["--ssh-fingerprint", print]].concat());
    assert_eq!(by(&fingerprint).0, 0, "{}", by(&fingerprint).3);
    let (code, bad, unknown, all) = by("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!((code, bad), (1, set(&["150"])), "{all}");
    assert!(unknown.contains("GSH-LOOK-151") && all.contains(&fingerprint), "what it shows is told: {all}");
    // Unknown is not bad, and not good.
    let (code, bad, unknown, all) = look(&installed, &[key.as_slice(), &nobody].concat());
    assert_eq!((code, bad), (3, set(&[])), "{all}");
    assert!(unknown.contains("GSH-LOOK-150") && all.contains("no host key of "), "{all}");
    // The machine does not know this user's key, or nobody listens there.
    let elsewhere = [trusted.as_slice(), &["--ssh-port", "2245"]].concat();
    assert_eq!(look(&installed, &elsewhere).0, 3);

    // What is wrong with it shows by its code, and what is only worth knowing fails nothing.
    machine
        .run("rm /dev/fuse; rmdir /usr/src/* 2>/dev/null; rm -r /usr/src; echo 0 > /proc/sys/user/max_user_namespaces")
        .await;
    machine.run("touch /run/reboot-required; echo '/swap file 4194300 0 -2' >> /proc/swaps").await;
    let (code, bad, unknown, all) = look(&installed, &trusted);
    assert_eq!((code, bad, unknown), (1, set(&["153", "154", "155"]), set(&[])), "{all}");
    assert!(all.contains("only worth knowing: ") && all.contains("/swap"), "{all}");
    installed.emulation.interrupt();
}

#[test]
fn a_key_that_cannot_be_used_is_found_before_anything_is_asked() {
    let program = Program::new();
    let key = program.write("key", "no key").display().to_string();
    let (code, _, said) = text(&verify(&program, &["--ssh", "root", "--ssh-key", &key]));
    assert_eq!(code, 2);
    assert!(said.starts_with(&format!("error: the SSH key `{key}` cannot be used")), "{said}");
    let (code, _, said) = text(&verify(&program, &["--ssh", "root"]));
    assert_eq!((code, said.starts_with("error: there is no SSH key")), (2, true), "{said}");
}
