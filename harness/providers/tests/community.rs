//! Cells that examine the templates of a distribution: what they do wrong is the product's fault, not ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gsh_emu_cluster::EmuClusters;
use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{LeaseRequest, Provider, Site};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::axis::Cell;
use gsh_model::lease::{LeaseId, RunId};
use gsh_model::outcome::Blame;
use gsh_providers::{HetznerConfig, HetznerProvider};
use gsh_world::World;

const PORT: &str = "bootcmd:\n- printf 'Port 2244\\n' > /etc/ssh/sshd_config.d/port.conf\n- sed -i 's/^Port /#Port /' /etc/ssh/sshd_config\n";

const MANAGER: &str = "runcmd:\n- mkdir -p /etc/rancher/k3s\n\
    - address=$(curl -sf http://169.254.169.254/hetzner/v1/metadata/public-ipv4); curl -sfL https://get.k3s.io | INSTALL_K3S_VERSION=${k3s_version} K3S_TOKEN=${join_token} sh -s - server --tls-san=$address --disable traefik ${labels}\n";

const NODE: &str = "runcmd:\n- curl -sfL https://get.k3s.io | INSTALL_K3S_VERSION=${k3s_version} \
    K3S_URL=https://${server_address}:6443 K3S_TOKEN=${join_token} sh -s - agent %{ for k, v in labels ~}\n--node-label=${k}=${v} %{ endfor ~}\n\n";

fn labels(services: &str) -> String {
    ["workload_meta", "workload_ide", services, "workload_workspace_regular", "workload_workspace_headless"]
        .map(|l| format!("gitpod.io/{l}: \"true\"\n"))
        .concat()
}

fn folder(dir: &Path, head: &str, labels: &str) {
    std::fs::write(dir.join("manager.yaml"), format!("#cloud-config\n{head}{MANAGER}")).unwrap();
    std::fs::write(dir.join("node.yaml"), format!("#cloud-config\n{head}{NODE}")).unwrap();
    std::fs::write(dir.join("labels.yaml"), labels).unwrap();
}

/// Makes a small cluster from a folder of templates.
async fn make(head: &str, labels: &str) -> Result<usize, Failure> {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), head, labels);
    let world = World::new("".parse().unwrap()).await.unwrap();
    let clusters = Arc::new(EmuClusters::new(world.clone(), Vec::new()));
    let hosts = Arc::new(EmuHosts::new(world.clone(), clusters));
    let cloud = EmuHetzner::new(world.clone(), hosts);
    let mut config = HetznerConfig::cloud(Secret::new("hcloud-token", cloud.tokens().read_write.clone()));
    config.endpoint = cloud.listen().await.unwrap();
    config.reach = Reach::with_ports(world.net().moved());
    config.community = Some(dir.path().to_owned());
    config.patience.boot = Duration::from_secs(20);
    config.patience.ready = Duration::from_secs(20);
    let mut cell = Cell::default();
    cell.set("size".parse().unwrap(), "small").unwrap();
    cell.set("template".parse().unwrap(), "community").unwrap();
    let run: RunId = "r20261123-164638-7f3a".parse().unwrap();
    let request = LeaseRequest {
        lease: LeaseId::new(&run, 1, 1),
        run,
        cell_id: cell.id(),
        cell,
        expires: "2026-11-24T00:00:00Z".parse().unwrap(),
        site: Site {
            domain: "site.example".to_owned(),
            node_registry: "reg.site.example:20000".to_owned(),
            ca_pem: Some("-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n".to_owned()),
            cert_pem: String::new(),
            key: Secret::new("site-key", "k"),
        },
    };
    let provider = HetznerProvider::new(config).unwrap();
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    let made = provider.acquire(&cx, &request).await.map(|cluster| cluster.nodes.len());
    provider.release(&cx.teardown(Duration::from_secs(30)), &request.lease).await.unwrap();
    world.end().await;
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_templates_make_a_cluster() {
    assert_eq!(make(PORT, &labels("workload_workspace_services")).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_templates_do_wrong_is_the_products_fault() {
    let right = labels("workload_workspace_services");
    let wrong = labels("workload_services");
    for (head, labels, code, says) in [
        (PORT, &wrong, "GSH-NODE-025", "gitpod.io/workload_workspace_services"),
        ("", &right, "GSH-NODE-002", "port 22"),
        ("bootcmd: [a: b: c]\n", &right, "GSH-NODE-016", "manager.yaml"),
    ] {
        let failure = make(head, labels).await.unwrap_err();
        assert_eq!((failure.finding.check.as_str(), failure.blame), (code, Blame::Product), "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
    }
}
