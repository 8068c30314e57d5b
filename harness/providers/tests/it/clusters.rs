//! The provider against the whole world below Gitpod: cloud, machines, Kubernetes.

use std::sync::Arc;
use std::time::Duration;

use gsh_emu_cluster::EmuClusters;
use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::cx::Cx;
use gsh_engine::provider::{NodeRole, Provider};
use gsh_model::outcome::Blame;
use gsh_providers::HetznerProvider;
use gsh_providers::k3s::ready;
use gsh_world::World;

use crate::lease::{self, left, request};

struct Account {
    world: World,
    cloud: EmuHetzner,
    provider: HetznerProvider,
    cx: Cx,
}

async fn account() -> Account {
    let world = World::new("".parse().unwrap()).await.unwrap();
    let clusters = Arc::new(EmuClusters::new(world.clone(), Vec::new()));
    let hosts = Arc::new(EmuHosts::new(world.clone(), clusters));
    let cloud = EmuHetzner::new(world.clone(), hosts);
    let provider = HetznerProvider::new(lease::config(&world, &cloud).await).unwrap();
    Account { world, cloud, provider, cx: lease::cx() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_becomes_a_cluster_and_leaves_nothing() {
    for (size, nodes) in [("single", 1), ("small", 2), ("medium", 6)] {
        let account = account().await;
        let request = request(1, &[("size", size)]);
        let made = account.provider.acquire(&account.cx, &request).await;
        let cluster = made.unwrap_or_else(|e| panic!("{size}: {e}\n{:#?}", account.world.log().lines()));
        assert_eq!(cluster.nodes.len(), nodes, "{size}");
        let before = account.provider.requests_sent();
        let released = account.provider.release(&account.cx, &request.lease).await.unwrap();
        assert!(!released.removed.is_empty());
        assert_eq!(left(&account.cloud), Vec::<String>::new(), "{size}");
        let sent = account.provider.requests_sent();
        assert!(size != "small" || sent <= 60, "{before} to make, {sent} in all:\n{}", account.cloud.request_log());
        drop(account.provider);
        account.world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grown_node_joins_from_its_user_data_alone() {
    let account = account().await;
    let request = request(1, &[("size", "small")]);
    let cluster = account.provider.acquire(&account.cx, &request).await.unwrap();
    let node = account.provider.grow(&account.cx, &request.lease).await.unwrap();
    assert_eq!((node.name.as_str(), node.role), (&*format!("{}-node-2", request.lease), NodeRole::Worker));
    ready::nodes(&account.cx, &cluster.kube, &[&node.name], Duration::from_secs(20), Blame::Environment).await.unwrap();
    account.provider.release(&account.cx, &request.lease).await.unwrap();
    assert!(account.provider.grow(&account.cx, &request.lease).await.is_err(), "a released lease cannot grow");
    drop((cluster, account.provider));
    account.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_leases_of_one_account_do_not_meet() {
    let account = account().await;
    let (one, two) = (request(1, &[("size", "small")]), request(2, &[("size", "medium")]));
    let (first, second) =
        tokio::join!(account.provider.acquire(&account.cx, &one), account.provider.acquire(&account.cx, &two));
    let (first, second) = (first.unwrap(), second.unwrap());
    account.provider.release(&account.cx, &one.lease).await.unwrap();
    let names: Vec<&str> = second.nodes.iter().map(|n| n.name.as_str()).collect();
    ready::nodes(&account.cx, &second.kube, &names, Duration::from_secs(5), Blame::Environment).await.unwrap();
    account.provider.release(&account.cx, &two.lease).await.unwrap();
    assert_eq!(left(&account.cloud), Vec::<String>::new());
    drop((first, second, account.provider));
    account.world.end().await;
}
