//! A cloud of clocks and a bucket of requests, a product that takes its time, and scenarios that do.

use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, Installer};
use gsh_engine::ledger::Append;
use gsh_engine::provider::{Cluster, FoundLease, LeaseRequest, Node, Provider, ReleaseFailure, Released, Site};
use gsh_model::axis::{Cell, CellId, Size};
use gsh_model::budget::{Amount, Euros, Meter, Metered, Price, Quote, Shape};
use gsh_model::event::Event;
use gsh_model::lease::{LeaseId, RunId};
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::lent;

/// Requests an hour, and at once.
pub(crate) const LIMIT: f64 = 3600.0;

/// What orders leave in the bucket for teardown, as the provider's governor does.
pub(crate) const RESERVE: f64 = 600.0;

/// Requests that a lease takes to be made and to be charged and removed, as counted by the benchmark of `gsh-providers`, and
/// seconds from order to Ready, by size.
pub(crate) fn needs(size: Size) -> (f64, f64, u64) {
    match size {
        Size::Single => (15.0, 29.0, 120),
        Size::Small => (26.0, 33.0, 170),
        Size::Medium => (44.0, 38.0, 260),
    }
}

/// Cents an hour for a server.
const CENTS: u64 = 3;

thread_local! {
    /// When the schedule began, on the clock that is paused.
    static BEGAN: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// The schedule's own time.
pub(crate) fn now() -> Timestamp {
    let passed = BEGAN.get().map_or(0, |began| began.elapsed().as_secs());
    Timestamp::from_second(i64::try_from(passed).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

pub(crate) fn price(servers: u32) -> Price {
    let euros = Euros::from_str(&format!("0.{CENTS:02}")).expect("euros").times(u64::from(servers));
    let hourly = Amount { net: euros, gross: euros };
    Price { hourly, monthly: hourly.times(624) }
}

/// What a cell is made of, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) servers: u32,
    pub(crate) make: u64,
    pub(crate) install: u64,
    pub(crate) examine: u64,
    pub(crate) remove: u64,
    pub(crate) requests: (f64, f64),
}

impl Parts {
    pub(crate) fn all(&self) -> f64 {
        (self.make + self.install + self.examine + self.remove) as f64
    }
}

/// The requests that are left.
struct Bucket {
    level: f64,
    at: Instant,
}

pub(crate) struct Cloud {
    parts: Arc<Vec<(CellId, Parts)>>,
    bucket: Mutex<Bucket>,
    /// Locked while somebody waits who orders: first come, first served.
    orders: tokio::sync::Mutex<()>,
    held: Mutex<Vec<(LeaseId, Parts, Timestamp)>>,
}

impl Cloud {
    /// A full bucket, and nothing held. The schedule's time begins.
    pub(crate) fn new(parts: Arc<Vec<(CellId, Parts)>>) -> Self {
        BEGAN.set(Some(Instant::now()));
        Self {
            parts,
            bucket: Mutex::new(Bucket { level: LIMIT, at: Instant::now() }),
            orders: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Takes requests out of the bucket as soon as so many are in it, and so many would be left.
    async fn take(&self, requests: f64, left: f64) {
        loop {
            let missing = {
                let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let refilled = now.duration_since(bucket.at).as_secs_f64() * LIMIT / 3600.0;
                (bucket.level, bucket.at) = ((bucket.level + refilled).min(LIMIT), now);
                if bucket.level >= requests + left {
                    bucket.level -= requests;
                    return;
                }
                requests + left - bucket.level
            };
            tokio::time::sleep(Duration::from_secs_f64(missing * 3600.0 / LIMIT)).await;
        }
    }

    async fn order(&self, requests: f64) {
        let _first_come = self.orders.lock().await;
        self.take(requests, RESERVE).await;
    }

    fn of(&self, lease: &LeaseId) -> Option<Parts> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(l, ..)| l == lease).map(|(_, parts, _)| *parts)
    }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

impl Provider for Cloud {
    fn name(&self) -> &str {
        "memory"
    }

    fn offers(&self) -> Vec<Need> {
        vec![Need::Writable]
    }

    async fn acquire(&self, _: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        let parts =
            self.parts.iter().find(|(id, _)| *id == request.cell_id).map(|(_, parts)| *parts).expect("a planned cell");
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push((request.lease.clone(), parts, now()));
        self.order(parts.requests.0).await;
        seconds(parts.make).await;
        Ok(lent::cluster(&request.lease, vec![lent::node(format!("{}-1", request.lease))]))
    }

    async fn grow(&self, _: &Cx, _: &LeaseId) -> Result<Node, Failure> {
        Err(Failure::harness("GSH-TST-011", "no growth", "not asked here"))
    }

    async fn release(&self, _: &Cx, lease: &LeaseId) -> Result<Released, ReleaseFailure> {
        if let Some(parts) = self.of(lease) {
            self.take(parts.requests.1, 0.0).await;
            seconds(parts.remove).await;
        }
        Ok(Released::default())
    }

    async fn find(&self, _: &Cx, _: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        Ok(Vec::new())
    }

    async fn quote(&self, _: &Cx, cell: &Cell, _: bool) -> Result<Option<Quote>, Failure> {
        Ok(Some(Quote { price: price(servers(cell)), builder: Price::default(), spare: Amount::ZERO }))
    }

    async fn meter(&self, _: &Cx, lease: &LeaseId) -> Result<Option<Meter>, Failure> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let things = held.iter().filter(|(l, ..)| l == lease).map(|(l, parts, created)| Metered {
            kind: "server".to_owned(),
            id: 1,
            name: l.to_string(),
            created: *created,
            gone: None,
            price: price(parts.servers),
        });
        Ok(Some(Meter { things: things.collect() }))
    }
}

/// Takes the time of the cell: the lease tells which one it is.
pub(crate) struct Product(pub(crate) Arc<Vec<(CellId, Parts)>>);

impl Installer for Product {
    fn site(&self, _: &Cx, lease: &LeaseId, _: &Cell) -> Result<Site, Failure> {
        Ok(lent::site(lease))
    }

    async fn install(&self, _: &Cx, _: &Cluster, cell: &Cell, site: &Site) -> Result<Installation, Failure> {
        let parts = self.0.iter().find(|(id, _)| *id == cell.id()).map(|(_, parts)| *parts).expect("a planned cell");
        seconds(parts.install).await;
        // The scenario is a plain function: what it must know travels as the namespace.
        Ok(lent::installation(parts.examine.to_string(), site))
    }
}

async fn scenario(bench: &Bench) -> Result<(), Failure> {
    let examine = async {
        seconds(bench.installation().namespace.parse().expect("seconds")).await;
        Ok(())
    };
    bench.check("GSH-TST-014", "it takes its time", examine).await
}

pub(crate) fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("time"),
        asks: "how long does it take".to_owned(),
        needs: Vec::new(),
        impact: Impact::ReadOnly,
        patience_s: 7200,
        file: "harness/engine/benches/schedule/cloud.rs".to_owned(),
    }
}

pub(crate) const CATALOGUE: &[Scenario] = &[Scenario { spec, run: |b| Box::pin(scenario(b)) }];

pub(crate) struct Nowhere;

impl Append for Nowhere {
    fn append(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }
}

/// As many as the plan counts for it, with a machine for external stores.
pub(crate) fn servers(cell: &Cell) -> u32 {
    Shape::of(cell, &[], false).servers()
}
