//! Warm starts: the first lease builds a snapshot on a machine of its own, the others start from it, and it alone outlives
//! them.

use std::sync::Arc;
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::provider::Provider;
use gsh_model::budget::Bill;
use gsh_providers::{HetznerProvider, WarmStart};
use gsh_world::World;
use jiff::{SignedDuration, Timestamp};

use crate::lease;
use crate::machines::{Late, Told};

/// What an account with machines looks like after some leases were ordered and released, one after the other.
struct Seen {
    /// How each of them ended.
    codes: Vec<String>,
    /// What each of them had cost before it was released.
    bills: Vec<Bill>,
    /// Orders of servers.
    orders: usize,
    /// Times that k3s was started.
    starts: usize,
    /// What is left, with its labels.
    left: Vec<(String, Vec<String>)>,
    /// Snapshots that have expired, those that will have in a hundred days, and what is left without these.
    expired_now: usize,
    expired: usize,
    left_after_sweep: usize,
    unknown: Vec<String>,
}

impl Seen {
    /// Whether so many leases came to a k3s. It has no API here, and on a busy machine not even its kubeconfig is there in time.
    fn reached_k3s(&self, leases: usize) -> bool {
        self.codes.len() == leases && self.codes.iter().all(|code| code.starts_with("GSH-K3S-00"))
    }
}

async fn leases(spec: &str, count: usize) -> Seen {
    let world = World::new(spec.parse().unwrap()).await.unwrap();
    let told = Arc::new(Told::default());
    let late = Arc::new(Late::default());
    let cloud = EmuHetzner::new(world.clone(), late.clone());
    assert!(late.0.set(Arc::new(EmuHosts::new(world.clone(), told.clone()))).is_ok());
    let mut config = lease::config(&world, &cloud).await;
    config.warm = WarmStart::On;
    config.patience.ready = Duration::from_millis(300);
    config.patience.snapshot = Duration::from_secs(5);
    let provider = HetznerProvider::new(config).unwrap();
    let cx = lease::cx();
    let (mut codes, mut bills) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let request = lease::request(number, &[]);
        let failure = provider.acquire(&cx, &request).await.expect_err("no Kubernetes API answers");
        codes.push(failure.finding.check.as_str().to_owned());
        let bill = provider.meter(&cx, &request.lease).await.unwrap().unwrap().read(Timestamp::now());
        let quote = provider.quote(&cx, &request.cell, false).await.unwrap().unwrap();
        assert!(bill.total().gross <= quote.up_to(1).gross, "{bill:?} was to cost at most {quote:?}");
        bills.push(bill);
        provider.release(&cx, &request.lease).await.unwrap();
    }
    let items = cloud.inventory();
    let left = items.left().into_iter();
    let left = left.map(|i| (i.kind.to_owned(), i.labels.keys().cloned().collect())).collect();
    let expired_now = provider.expired_snapshots(&cx, Timestamp::now()).await.unwrap().len();
    let later = Timestamp::now() + SignedDuration::from_hours(100 * 24);
    let expired = provider.expired_snapshots(&cx, later).await.unwrap();
    for snapshot in &expired {
        provider.remove_snapshot(&cx, snapshot).await.unwrap();
    }
    let orders = cloud.requests().iter().filter(|l| l.method == "POST" && l.path == "/servers").count();
    let starts = told.starts.lock().unwrap().len();
    let log = world.log().lines().into_iter().map(|l| format!("{} {}: {}", l.door, l.kind, l.text));
    let unknown = log.filter(|l| l.contains("unknown-command")).collect();
    let left_after_sweep = cloud.inventory().left().len();
    drop(provider);
    world.end().await;
    Seen { codes, bills, orders, starts, left, expired_now, expired: expired.len(), left_after_sweep, unknown }
}

fn snapshot() -> (String, Vec<String>) {
    ("images".to_owned(), ["gsh-expires", "gsh-owner", "gsh-snapshot"].map(str::to_owned).to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_built_once_used_after_and_swept_when_it_has_expired() {
    let seen = leases("", 2).await;
    assert!(seen.reached_k3s(2), "{:?}", seen.codes);
    assert_eq!(seen.orders, 3, "one builder, and one machine for each lease");
    assert_eq!(seen.starts, 2, "the builder starts no k3s");
    // The builder is gone when the bill is written, and has cost an hour all the same.
    let billed = |n: usize| seen.bills[n].lines.iter().map(|l| format!("{} {}", l.kind, l.name)).collect::<Vec<_>>();
    let builder = |line: &String| line.ends_with("-builder");
    assert_eq!(billed(0).iter().filter(|l| builder(l)).count(), 2, "the machine and its address: {:?}", billed(0));
    assert_eq!(billed(0).len(), billed(1).len() + 2, "{:?}", billed(1));
    assert_eq!(seen.left, [snapshot()]);
    assert_eq!((seen.expired_now, seen.expired, seen.left_after_sweep), (0, 1, 0));
    assert_eq!(seen.unknown, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_makes_no_second_snapshot() {
    let lost = "[[hetzner.fault]]\nmethod = 'POST'\npath = '/servers/*/actions/create_image'\nnth = 1\nwhen = 'after'\n\
                effect = 'reset'";
    let seen = leases(lost, 1).await;
    assert_eq!(seen.left, [snapshot()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_snapshot_nodes_start_from_the_image() {
    let refused = "[[hetzner.fault]]\nmethod = 'POST'\npath = '/servers/*/actions/create_image'\n\
                   effect = { refuse = { status = 403, code = 'resource_limit_exceeded', message = 'snapshot limit exceeded' } }";
    let broken = "[[host.fault]]\nservers = '*-builder'\neffect = 'k3s-download-fails'";
    for spec in [refused, broken] {
        let seen = leases(spec, 2).await;
        assert!(seen.reached_k3s(2), "{spec}: {:?}", seen.codes);
        assert_eq!((seen.orders, seen.starts), (3, 2), "{spec}: it is tried once");
        assert!(seen.left.is_empty(), "{spec}: {:?}", seen.left);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_good_is_not_used() {
    // Of the right key, by its labels; but not available, of another architecture, or expired.
    let key = gsh_providers::k3s::warm::key(
        gsh_model::axis::Os::Ubuntu2204,
        &gsh_model::axis::Cell::default().k3s,
        "https://get.k3s.io",
    );
    for (status, architecture, expires) in
        [("creating", "x86", "4900000000"), ("available", "arm", "4900000000"), ("available", "x86", "1700000000")]
    {
        let spec = format!(
            "[[hetzner.snapshot]]\nos = 'ubuntu-22.04'\nstatus = '{status}'\narchitecture = '{architecture}'\n\
             labels = {{ gsh-snapshot = '{key}', gsh-expires = '{expires}' }}"
        );
        assert_eq!(leases(&spec, 1).await.orders, 2, "{status} {architecture} {expires}: a builder and a node");
    }
    let good = format!(
        "[[hetzner.snapshot]]\nos = 'ubuntu-22.04'\nlabels = {{ gsh-snapshot = '{key}', gsh-expires = '4900000000' }}"
    );
    let seen = leases(&good, 1).await;
    assert!(seen.orders == 1 && seen.reached_k3s(1), "a good one is used: {:?}", seen.codes);
}
