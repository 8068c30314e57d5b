//! The dispatcher's schedule of 200 cells under limits of clusters, servers and requests, in virtual time, beside what no
//! schedule can be faster than.
//!
//! `cargo bench -p gsh-engine --bench schedule`. The dispatcher is the real one. Its provider is a bucket of requests and a clock: each
//! lease takes the requests that one takes on the emulated API, and the time that one takes on the real cloud, more or less
//! by chance. The plan has the order that `gsh plan` gives to cells whose time is remembered; what is
//! remembered is off by up to a fifth, and in the lines with surprises one cell in twenty takes twice as long as all others like it.
//!
//! The bound is the largest of: the longest cell; the time of all clusters through how many there may be; the time of all servers
//! through how many there may be; and until the requests for the last order have come back, with the shortest cell behind them.
//! It knows every time beforehand, packs clusters as if they could be cut into servers, and knows of no budget.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use gsh_engine::artifacts::Artifacts;
use gsh_engine::job::{Job, Patience, Settings};
use gsh_engine::run::run;
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_model::axis::{Cell, CellId};
use gsh_model::budget::Euros;
use gsh_model::exit::Exit;
use gsh_model::lease::RunId;
use gsh_model::outcome::Evidence;
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario};
use gsh_model::run::RunState;
use gsh_model::scenario::ScenarioId;
use gsh_model::schedule::{AtOnce, Work, order};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use cloud::{CATALOGUE, Cloud, LIMIT, Nowhere, Parts, Product, RESERVE, needs, now, price, servers, spec};

mod cloud;
#[path = "../../tests/lent/mod.rs"]
mod lent;

const CELLS: usize = 200;

/// Sets of cells for each line of the table; the median is shown, and the worst ratio.
const SEEDS: u64 = 9;

/// Cells of all sizes with the time that each takes, the same ones every time.
fn cells(dice: &mut StdRng) -> Vec<(Cell, Parts)> {
    let mut all = Vec::new();
    for size in ["single", "small", "medium"] {
        for os in ["ubuntu-22.04", "ubuntu-20.04", "ubuntu-24.04"] {
            for database in ["incluster", "external", "external-tls"] {
                for registry in ["incluster", "incluster-s3", "external"] {
                    for storage in ["incluster", "s3", "s3-multibucket"] {
                        let mut cell = Cell::default();
                        for (axis, value) in [
                            ("size", size),
                            ("os", os),
                            ("database", database),
                            ("registry", registry),
                            ("storage", storage),
                        ] {
                            cell.set(axis.parse().expect("an axis"), value).expect("a value");
                        }
                        all.push(cell);
                    }
                }
            }
        }
    }
    all.shuffle(dice);
    all.truncate(CELLS);
    all.into_iter()
        .map(|cell| {
            let (make, remove, ready) = needs(cell.size);
            let mut about = |s: u64| (s as f64 * dice.random_range(0.7..1.5)) as u64;
            let parts = Parts {
                servers: servers(&cell),
                make: about(ready),
                install: about(12 * 60),
                examine: about(14 * 60),
                remove: about(40),
                requests: (make, remove),
            };
            (cell, parts)
        })
        .collect()
}

/// What no schedule can be faster than, and which limit says so.
fn bound(cells: &[(Cell, Parts)], clusters: usize, servers: u32) -> (f64, &'static str) {
    let sum = |of: &dyn Fn(&Parts) -> f64| cells.iter().map(|(_, parts)| of(parts)).sum::<f64>();
    // When the last order goes out all others have, and all clusters but as many as there may be have been removed.
    let mut removals: Vec<f64> = cells.iter().map(|(_, parts)| parts.requests.1).collect();
    removals.sort_by(f64::total_cmp);
    let removed: f64 = removals.iter().take(cells.len().saturating_sub(clusters)).sum();
    let sent = sum(&|p| p.requests.0) + removed;
    let shortest = cells.iter().map(|(_, parts)| parts.all()).fold(f64::MAX, f64::min);
    let requests = (sent - (LIMIT - RESERVE)).max(0.0) * 3600.0 / LIMIT + shortest;
    [
        (sum(&|p| p.all() * f64::from(p.servers)) / f64::from(servers), "servers"),
        (sum(&Parts::all) / clusters as f64, "clusters"),
        (requests, "requests"),
        (cells.iter().map(|(_, p)| p.all()).fold(0.0, f64::max), "the longest cell"),
    ]
    .into_iter()
    .fold((0.0, ""), |a, b| if b.0 > a.0 { b } else { a })
}

/// What one line of the table allows.
#[derive(Clone, Copy)]
struct Allowed {
    clusters: usize,
    servers: u32,
    /// What the whole plan costs, and for so many clusters besides what they can cost at most; nothing: no cap.
    budget: Option<u64>,
}

async fn schedule(cells: &[(Cell, Parts)], remembered: &[u64], allowed: Allowed, budget: Option<Euros>) -> f64 {
    let Allowed { clusters, servers, .. } = allowed;
    let parts: Arc<Vec<(CellId, Parts)>> = Arc::new(cells.iter().map(|(cell, parts)| (cell.id(), *parts)).collect());
    let mut planned: Vec<PlannedCell> = cells
        .iter()
        .zip(remembered)
        .map(|((cell, parts), seconds)| PlannedCell {
            id: cell.id(),
            why: "benchmark".to_owned(),
            servers: parts.servers,
            expected_s: Some(*seconds),
            scenarios: vec![PlannedScenario { scenario: ScenarioId::of("time"), skip: None }],
            cell: cell.clone(),
        })
        .collect();
    let works: Vec<Work> = planned.iter().map(PlannedCell::work).collect();
    let at_once = AtOnce { clusters: u32::try_from(clusters).expect("few"), servers };
    planned = order(&works, at_once).into_iter().map(|at| planned[at].clone()).collect();
    let week = Duration::from_secs(7 * 24 * 3600);
    let provider = Cloud::new(parts.clone());
    let job = Job {
        provider,
        installer: Product(parts),
        catalogue: CATALOGUE,
        plan: Plan { matrix_sha256: "0".repeat(64), cells: planned, scenarios: vec![spec()], ..Plan::default() },
        run: "r20261123-1-7f3a".parse::<RunId>().expect("a run id"),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        inputs: Vec::new(),
        settings: Settings {
            max_clusters: clusters,
            max_servers: servers,
            // The run is as long as it must be, and who waits for requests is not given up.
            patience: Patience { run: week, provision: Duration::from_secs(2 * 3600), ..Patience::default() },
            budget,
            ..Settings::default()
        },
        now,
        notes: Vec::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let began = Instant::now();
    let end = run(job, Nowhere, Artifacts::of(folder.path()), Vec::new(), Stop::new(), Scrubber::default()).await;
    let state: &RunState = &end.state;
    assert_eq!(state.exit(), Exit::Pass, "every cell passes");
    began.elapsed().as_secs_f64()
}

/// What was remembered of each cell, and what each really takes: one in so many twice as long as was remembered of it.
fn surprised(cells: &mut [(Cell, Parts)], dice: &mut StdRng, one_in: Option<u32>) -> Vec<u64> {
    cells
        .iter_mut()
        .map(|(_, parts)| {
            let remembered = (parts.all() * dice.random_range(0.8..1.2)) as u64;
            if one_in.is_some_and(|n| dice.random_ratio(1, n)) {
                parts.install *= 2;
                parts.examine *= 2;
            }
            remembered
        })
        .collect()
}

/// The cap that a number of clusters stands for.
fn cap(cells: &[(Cell, Parts)], clusters: u64) -> Euros {
    let hours = Settings::default().lease_hours();
    let cost = |parts: &Parts| price(parts.servers).hourly.gross.times((parts.all() / 3600.0).ceil() as u64);
    let costs = cells.iter().map(|(_, parts)| cost(parts)).fold(Euros::ZERO, |all, one| all + one);
    let most = cells.iter().map(|(_, parts)| price(parts.servers).hourly.gross.times(hours)).max();
    costs + most.unwrap_or(Euros::ZERO).times(clusters)
}

/// The median of some sets of cells, and the worst ratio.
fn line(allowed: Allowed, one_in: Option<u32>) {
    let mut runs: Vec<(f64, f64, &str)> = (0..SEEDS)
        .map(|seed| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let mut dice = StdRng::seed_from_u64(seed);
            let mut cells = cells(&mut dice);
            let remembered = surprised(&mut cells, &mut dice, one_in);
            let budget = allowed.budget.map(|clusters| cap(&cells, clusters));
            let took = runtime.expect("a runtime").block_on(schedule(&cells, &remembered, allowed, budget));
            let (least, by) = bound(&cells, allowed.clusters, allowed.servers);
            (took, least, by)
        })
        .collect();
    runs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (took, least, by) = runs[runs.len() / 2];
    let worst = runs.last().map_or(0.0, |(took, least, _)| took / least);
    let Allowed { clusters, servers, budget } = allowed;
    let budget = budget.map_or("none".to_owned(), |n| format!("for {n}"));
    let surprises = one_in.map_or("none".to_owned(), |n| format!("1 in {n}"));
    let ratio = took / least;
    println!(
        "{clusters:>8} {servers:>8} {budget:>8} {surprises:>9}  {least:>8.0} s {took:>8.0} s {ratio:>6.3} {worst:>6.3}  {by}"
    );
}

fn main() {
    println!(
        "{:>8} {:>8} {:>8} {:>9}  {:>10} {:>10} {:>6} {:>6}  bound by",
        "clusters", "servers", "budget", "surprises", "at least", "took", "ratio", "worst"
    );
    let allowed = |clusters, servers, budget| Allowed { clusters, servers, budget };
    for one_in in [None, Some(20)] {
        for (clusters, servers) in [(4, 20), (12, 30), (20, 100), (40, 100), (60, 500)] {
            line(allowed(clusters, servers, None), one_in);
        }
    }
    for budget in [20, 5, 1] {
        line(allowed(20, 100, Some(budget)), None);
    }
}
