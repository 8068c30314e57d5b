//! Requests per lease, and forty leases at a time, on the emulated API with delays as on the real one, a fifth as long.
//!
//! `cargo bench -p gsh-providers --bench cloud --profile dev`. Machines never answer here, so every order ends where booting
//! would begin: what is measured is what is asked of the cloud. Pauses of the provider are a fifth as long too; the rate
//! limit is the real one and refills no faster, so it is tighter than in reality.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::cx::Cx;
use gsh_engine::provider::{LeaseRequest, Provider, Site};
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::axis::Cell;
use gsh_model::lease::{LeaseId, RunId};
use gsh_providers::{Asked, HetznerConfig, HetznerProvider, Pace};
use gsh_world::World;
use gsh_world::ports::{MachineOrder, Machines};

/// How many times faster than reality everything is.
const FASTER: u64 = 5;

/// Leases at a time.
const LEASES: usize = 40;

/// Milliseconds on the real API, as far as they are known: a server runs 10 to 25 s after it was ordered, is attached and
/// deleted within seconds.
const TAKES: [(&str, u64); 6] = [
    ("create_server", 9_000),
    ("attach_to_network", 2_000),
    ("start_server", 5_000),
    ("create_load_balancer", 3_000),
    ("delete_server", 5_000),
    ("delete_load_balancer", 2_000),
];

/// Of each answer.
const LATENCY: u64 = 200;

/// From running to configured; the same for every machine.
const BOOT: u64 = 40_000;

/// Machines that never answer.
struct Nobody;

impl Machines for Nobody {
    fn create(&self, _: MachineOrder) {}
    fn power_on(&self, _: u64) {}
    fn power_off(&self, _: u64) {}
    fn set_private(&self, _: u64, _: BTreeMap<u64, Ipv4Addr>) {}
    fn destroy(&self, _: u64) {}
}

const fn scaled(ms: u64) -> Duration {
    Duration::from_millis(ms / FASTER)
}

fn takes(command: &str) -> Duration {
    scaled(TAKES.iter().find(|(name, _)| *name == command).map_or(0, |(_, ms)| *ms))
}

fn cx() -> Cx {
    Cx::unrecorded(Stop::new(), Duration::from_secs(600))
}

fn request(number: usize, size: &str) -> LeaseRequest {
    let mut cell = Cell::default();
    cell.set("size".parse().expect("an axis"), size).expect("a size");
    let run: RunId = "r20261123-164638-7f3a".parse().expect("a run id");
    LeaseRequest {
        lease: LeaseId::new(&run, number, 1),
        run,
        cell_id: cell.id(),
        cell,
        expires: "2126-11-24T00:00:00Z".parse().expect("a time"),
        site: Site {
            domain: "site.example".to_owned(),
            node_registry: "reg.site.example:20000".to_owned(),
            ca_pem: None,
            cert_pem: String::new(),
            key: Secret::new("site-key", "none"),
        },
    }
}

struct Account {
    world: World,
    cloud: EmuHetzner,
    provider: HetznerProvider,
}

async fn account() -> Account {
    let mut spec = format!("[hetzner]\nlatency-ms = {}\n[hetzner.takes-ms]\n", LATENCY / FASTER);
    for (command, ms) in TAKES {
        spec.push_str(&format!("{command} = {}\n", ms / FASTER));
    }
    let world = World::new(spec.parse().expect("a world file")).await.expect("a world");
    let cloud = EmuHetzner::new(world.clone(), Arc::new(Nobody));
    let mut config = HetznerConfig::cloud(Secret::new("hcloud-token", cloud.tokens().read_write.clone()));
    config.endpoint = cloud.listen().await.expect("a port");
    let real = Pace::default();
    let faster = |d: Duration| d / u32::try_from(FASTER).unwrap_or(1);
    config.pace = Pace {
        retry: faster(real.retry),
        longest: faster(real.longest),
        look: faster(real.look),
        look_longest: faster(real.look_longest),
        ..real
    };
    config.patience.boot = scaled(BOOT);
    let provider = HetznerProvider::new(config).expect("a provider");
    Account { world, cloud, provider }
}

impl Account {
    /// A lease from order to gone; says how long it took.
    async fn lease(&self, number: usize, size: &str) -> Duration {
        let (began, request) = (Instant::now(), request(number, size));
        let failure = self.provider.acquire(&cx(), &request).await.expect_err("no machine ever answers");
        assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{failure}");
        self.provider.release(&cx(), &request.lease).await.unwrap_or_else(|e| panic!("{}", e.failure));
        began.elapsed()
    }

    async fn end(self) {
        assert!(self.cloud.inventory().left().is_empty(), "nothing is left");
        let refused = self.cloud.requests().iter().filter(|line| line.status == 429).count();
        assert_eq!(refused, 0, "no request is refused for the rate limit");
        drop(self.provider);
        self.world.end().await;
    }
}

async fn requests() {
    println!("requests     survey  to make  to price  to remove  to prove  together");
    for size in ["single", "small", "medium"] {
        let account = account().await;
        let request = request(1, size);
        let mut sent = vec![0];
        let asked = Asked {
            shapes: Vec::new(),
            images: [request.cell.os].into(),
            clusters: 4,
            servers: 20,
            hours: 3,
            budget: None,
        };
        account.provider.survey(&cx(), &asked).await;
        sent.push(account.provider.requests_sent());
        account.provider.acquire(&cx(), &request).await.expect_err("no machine ever answers");
        sent.push(account.provider.requests_sent());
        account.provider.meter(&cx(), &request.lease).await.expect("a bill");
        sent.push(account.provider.requests_sent());
        account.provider.release(&cx(), &request.lease).await.unwrap_or_else(|e| panic!("{}", e.failure));
        sent.push(account.provider.requests_sent());
        assert!(account.provider.find(&cx(), Some(&request.run)).await.expect("a list").is_empty());
        sent.push(account.provider.requests_sent());
        let of: Vec<u64> = sent.windows(2).map(|w| w[1] - w[0]).collect();
        let lease: u64 = of[1..].iter().sum();
        println!("{size:<10} {:>8} {:>8} {:>9} {:>10} {:>9} {lease:>9}", of[0], of[1], of[2], of[3], of[4]);
        account.end().await;
    }
}

async fn forty() {
    let alone = {
        let account = account().await;
        let took = account.lease(1, "small").await;
        account.end().await;
        took
    };
    let account = account().await;
    let began = Instant::now();
    join_all((1..=LEASES).map(|n| account.lease(n, "small"))).await;
    let together = began.elapsed();
    let sent = account.provider.requests_sent();
    account.end().await;
    // What nothing can be faster than: a worker is told the address of the first server, so two of them run one after the other;
    // a network cannot be removed before its servers, nor these before their load balancer. Each step waits for one answer.
    let server = takes("create_server") + takes("attach_to_network") + takes("start_server");
    let removal = takes("delete_load_balancer") + takes("delete_server");
    let answers = 10 * scaled(LATENCY);
    let path = 2 * server + scaled(BOOT) + removal + answers;
    let limited = Duration::from_secs((sent.saturating_sub(3000)) * 3600 / 3600);
    let least = path.max(limited);
    let real = |d: Duration| d.as_secs_f64() * FASTER as f64;
    println!("\n{LEASES} leases of size small at a time, {sent} requests (seconds as they would be in reality)");
    println!(
        "at least (critical path {:.0}, rate limit {:.0})  {:>6.1}",
        real(path),
        limited.as_secs_f64(),
        real(least)
    );
    println!(
        "one lease alone                          {:>6.1}  ratio {:.2}",
        real(alone),
        alone.as_secs_f64() / least.as_secs_f64()
    );
    println!(
        "all together                             {:>6.1}  ratio {:.2}",
        real(together),
        together.as_secs_f64() / least.as_secs_f64()
    );
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        requests().await;
        forty().await;
    });
}
