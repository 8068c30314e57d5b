//! What machines are told at birth: written down whole, because every line of it can break a node.

use gsh_engine::provider::NodeRole;
use gsh_model::axis::{Cell, Os, Shift};
use gsh_providers::k3s::cloud_config::LIMIT;
use gsh_providers::k3s::node::{Join, NodePlan, UserData, user_data};
use gsh_ssh::KeyPair;

fn key(name: &str) -> KeyPair {
    KeyPair { public_line: format!("ssh-ed25519 PUBLIC-{name} {name}"), private_pem: format!("PRIVATE\n{name}\nEND\n") }
}

fn render(role: NodeRole, join: Join, os: Os, shift: Shift, ca: Option<&str>) -> UserData {
    let cell = Cell::default();
    let sans = match join {
        Join::First { etcd: true } | Join::Server { .. } => vec!["192.0.2.9".to_owned()],
        Join::First { etcd: false } | Join::Agent { .. } => Vec::new(),
    };
    user_data(&NodePlan {
        role,
        os,
        shift,
        k3s: &cell.k3s,
        install_url: "https://k3s.example/install.sh",
        join,
        server_token: "SERVER-TOKEN",
        agent_token: "AGENT-TOKEN",
        tls_sans: sans,
        ca_pem: ca,
        node_registry: "reg.site.example:20000",
        host_key: &key("host"),
        login: "ssh-ed25519 PUBLIC-login gsh",
    })
    .unwrap()
}

#[test]
fn the_only_node_of_a_single_cluster() {
    let data = render(
        NodeRole::ManagerAndWorker,
        Join::First { etcd: false },
        Os::Ubuntu2204,
        Shift::Fuse,
        Some("-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n"),
    );
    insta::assert_snapshot!(data.text);
}

#[test]
fn a_worker_with_shiftfs_on_an_old_image() {
    let join = Join::Agent { first: "10.2.0.2".to_owned() };
    insta::assert_snapshot!(render(NodeRole::Worker, join, Os::Ubuntu2004, Shift::Shiftfs, None).text);
}

#[test]
fn a_further_manager_on_the_socket_activated_image() {
    let join = Join::Server { first: "10.2.0.2".to_owned(), after: "10.2.0.3".to_owned() };
    insta::assert_snapshot!(render(NodeRole::Manager, join, Os::Ubuntu2404, Shift::Fuse, None).text);
}

#[test]
fn the_sentinel_names_the_template_and_is_the_last_line() {
    let agent = |first: &str| {
        render(NodeRole::Worker, Join::Agent { first: first.to_owned() }, Os::Ubuntu2204, Shift::Fuse, None)
    };
    let data = agent("10.2.0.2");
    let config: serde_norway::Value = serde_norway::from_str(&data.text).unwrap();
    let files = config.get("write_files").unwrap().as_sequence().unwrap();
    let script = files
        .iter()
        .find(|f| f.get("path").unwrap().as_str() == Some("/var/lib/gsh/node.sh"))
        .and_then(|f| f.get("content").unwrap().as_str())
        .unwrap();
    assert!(script.lines().last().unwrap().contains(&data.digest), "{script}");
    assert_ne!(data.digest, agent("10.2.0.7").digest, "another script has another digest");
}

#[test]
fn a_worker_does_not_hold_the_secret_of_servers() {
    let join = Join::Agent { first: "10.2.0.2".to_owned() };
    let data = render(NodeRole::Worker, join, Os::Ubuntu2204, Shift::Fuse, None);
    assert!(!data.text.contains("SERVER-TOKEN"));
}

#[test]
fn too_much_is_refused_before_the_cloud_refuses_it() {
    let cell = Cell::default();
    let long = "x".repeat(LIMIT);
    let plan = NodePlan {
        role: NodeRole::Worker,
        os: Os::Ubuntu2204,
        shift: Shift::Fuse,
        k3s: &cell.k3s,
        install_url: "https://k3s.example/install.sh",
        join: Join::Agent { first: "10.2.0.2".to_owned() },
        server_token: "s",
        agent_token: "a",
        tls_sans: Vec::new(),
        ca_pem: Some(&long),
        node_registry: "reg.site.example:20000",
        host_key: &key("host"),
        login: "l",
    };
    let Err(failure) = user_data(&plan) else { panic!("it is too long") };
    assert_eq!(failure.finding.check.as_str(), "GSH-NODE-015");
}
