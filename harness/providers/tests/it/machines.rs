//! The provider against the emulated cloud and emulated machines: what user-data does to a machine, and that each way to
//! fail has its code. Whether k3s joins is decided here, by the test.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Provider;
use gsh_model::outcome::Blame;
use gsh_providers::HetznerProvider;
use gsh_world::World;
use gsh_world::ports::{Clusters, K3sStart, K3sState, MachineOrder, Machines};

use crate::lease;

/// Clusters that do as they are told: servers are active, agents get the state given.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) agents: Option<K3sState>,
    pub(crate) starts: Mutex<Vec<K3sStart>>,
}

impl Clusters for Told {
    fn start(&self, start: K3sStart) {
        self.starts.lock().unwrap().push(start);
    }
    fn state(&self, machine: u64) -> Option<K3sState> {
        let starts = self.starts.lock().unwrap();
        let start = starts.iter().find(|s| s.machine == machine)?;
        Some(if start.server { K3sState::Active } else { self.agents.clone().unwrap_or(K3sState::Active) })
    }
    fn kubeconfig(&self, machine: u64) -> Option<String> {
        let starts = self.starts.lock().unwrap();
        starts.iter().any(|s| s.machine == machine && s.server).then(|| {
            "apiVersion: v1\nkind: Config\nclusters:\n- name: default\n  cluster:\n    server: https://127.0.0.1:6443\n\
             contexts:\n- name: default\n  context:\n    cluster: default\n    user: default\ncurrent-context: default\n\
             users:\n- name: default\n  user: {}\n"
                .to_owned()
        })
    }
    fn kubectl(&self, _: u64, _: &[String]) -> Option<(i32, String)> {
        None
    }
    fn stop(&self, _: u64) {}
}

/// Breaks the circle: the cloud wants machines, machines want the world that the cloud is in.
#[derive(Default)]
pub(crate) struct Late(pub(crate) OnceLock<Arc<EmuHosts>>);

impl Machines for Late {
    fn create(&self, order: MachineOrder) {
        self.0.get().unwrap().create(order);
    }
    fn power_on(&self, id: u64) {
        self.0.get().unwrap().power_on(id);
    }
    fn power_off(&self, id: u64) {
        self.0.get().unwrap().power_off(id);
    }
    fn set_private(&self, id: u64, private: BTreeMap<u64, Ipv4Addr>) {
        self.0.get().unwrap().set_private(id, private);
    }
    fn destroy(&self, id: u64) {
        self.0.get().unwrap().destroy(id);
    }
}

struct Outcome {
    failure: Failure,
    starts: Vec<K3sStart>,
    log: Vec<String>,
}

/// Orders a cluster in a world and says how far it came. No Kubernetes API answers, so it always ends with a failure.
async fn order(spec: &str, axes: &[(&str, &str)], agents: Option<K3sState>, boot: Duration) -> Outcome {
    let world = World::new(spec.parse().unwrap()).await.unwrap();
    let told = Arc::new(Told { agents, ..Told::default() });
    let late = Arc::new(Late::default());
    let cloud = EmuHetzner::new(world.clone(), late.clone());
    assert!(late.0.set(Arc::new(EmuHosts::new(world.clone(), told.clone()))).is_ok());
    let mut config = lease::config(&world, &cloud).await;
    config.patience.boot = boot;
    // Enough for a busy machine to hand out a kubeconfig, after which nothing comes.
    config.patience.ready = Duration::from_millis(1500);
    let request = lease::request(1, axes);
    let provider = HetznerProvider::new(config).unwrap();
    let cx = lease::cx();
    let failure = provider.acquire(&cx, &request).await.expect_err("no Kubernetes API answers");
    provider.release(&cx, &request.lease).await.unwrap();
    let starts = told.starts.lock().unwrap().clone();
    let log = world.log().lines().into_iter().map(|l| format!("{} {}: {}", l.door, l.kind, l.text)).collect();
    world.end().await;
    Outcome { failure, starts, log }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_alone_brings_every_machine_to_k3s() {
    for (axes, servers, agents) in [
        (vec![("size", "single")], 1, 0),
        (vec![("size", "small"), ("shift", "shiftfs"), ("os", "ubuntu-20.04")], 1, 1),
        (vec![("size", "small"), ("os", "ubuntu-24.04")], 1, 1),
    ] {
        let seen = order("", &axes, None, LONG).await;
        let code = seen.failure.finding.check.as_str();
        assert_eq!(code, "GSH-K3S-002", "{axes:?}: {}\n{:#?}", seen.failure, seen.log);
        assert_eq!(seen.starts.iter().filter(|s| s.server).count(), servers, "{axes:?}");
        assert_eq!(seen.starts.iter().filter(|s| !s.server).count(), agents, "{axes:?}");
        for start in &seen.starts {
            assert_eq!(start.version, "v1.24.17+k3s1");
            assert!(start.kubelet_args.contains(&format!("provider-id=hcloud://{}", start.machine)), "{start:?}");
            assert!(start.node_ip.as_deref().is_some_and(|ip| ip.starts_with("10.2.")), "{start:?}");
            assert!(start.machine_facts.registries_yaml.is_some(), "{start:?}");
            let carries = start.taints.is_empty();
            assert_eq!(start.labels.len(), if carries { 5 } else { 0 }, "{start:?}");
            assert_eq!(start.url.is_some(), !(start.server && start.node_name.ends_with("manager-1")), "{start:?}");
        }
        let unknown: Vec<_> = seen.log.iter().filter(|l| l.contains("unknown-command")).collect();
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_fail_has_its_code() {
    let fault = |effect: &str| format!("[[host.fault]]\nservers = \"*\"\neffect = {effect}");
    let short = Duration::from_secs(2);
    for (effect, axes, boot, code, says) in [
        ("\"never-boots\"", vec![], short, "GSH-NODE-001", "SSH to answer"),
        ("\"sshd-dies\"", vec![], short, "GSH-NODE-001", "refused"),
        ("\"no-shiftfs-module\"", vec![("shift", "shiftfs")], LONG, "GSH-NODE-007", "has no module shiftfs"),
        ("\"cloud-init-error\"", vec![], LONG, "GSH-NODE-005", "cloud-init failed"),
        ("\"k3s-download-fails\"", vec![], LONG, "GSH-NODE-011", "download"),
    ] {
        let seen = order(&fault(effect), &axes, None, boot).await;
        assert_eq!(seen.failure.finding.check.as_str(), code, "{effect}: {}\n{:#?}", seen.failure, seen.log);
        assert_ne!(seen.failure.blame, Blame::Product, "{effect}: {}", seen.failure);
        assert!(seen.failure.to_string().contains(says), "{effect}: {}", seen.failure);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_join_is_classified_by_its_journal() {
    let refused = "msg=\"Failed to retrieve agent config: 401 Unauthorized\"";
    let waiting = "msg=\"Failed to validate connection to cluster at https://10.2.0.2:6443: connection refused\"";
    for (journal, code) in [(refused, "GSH-NODE-008"), (waiting, "GSH-NODE-009")] {
        let state = K3sState::Joining(journal.to_owned());
        let seen = order("", &[("size", "small")], Some(state), Duration::from_secs(4)).await;
        assert_eq!(seen.failure.finding.check.as_str(), code, "{}", seen.failure);
        assert!(seen.failure.to_string().contains("node-1"), "{}", seen.failure);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_private_interface_is_waited_for() {
    let spec = "[[host.fault]]\nservers = \"*\"\neffect = { private-nic-late = { ms = 300 } }";
    let seen = order(spec, &[], None, LONG).await;
    assert_eq!(seen.failure.finding.check.as_str(), "GSH-K3S-002", "{}\n{:#?}", seen.failure, seen.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_machine_configures_itself() {
    let axes = [("database", "external-tls"), ("registry", "external"), ("storage", "s3")];
    let seen = order("", &axes, None, LONG).await;
    assert_eq!(seen.failure.finding.check.as_str(), "GSH-K3S-002", "{}\n{:#?}", seen.failure, seen.log);
}
