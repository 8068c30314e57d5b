//! Cells that examine the templates of a distribution: what they do wrong is the product's fault, not ours.

use std::path::Path;
use std::sync::Arc;

use gsh_emu_cluster::EmuClusters;
use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Provider;
use gsh_model::outcome::Blame;
use gsh_providers::HetznerProvider;
use gsh_world::World;

use crate::lease;

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
    let mut config = lease::config(&world, &cloud).await;
    config.community = Some(dir.path().to_owned());
    let request = lease::request(1, &[("size", "small"), ("template", "community")]);
    let provider = HetznerProvider::new(config).unwrap();
    let cx = lease::cx();
    let made = provider.acquire(&cx, &request).await.map(|cluster| cluster.nodes.len());
    provider.release(&cx, &request.lease).await.unwrap();
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
