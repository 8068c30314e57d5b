//! Random trouble for two runs in one account at a time, over the emulated API: requests and faults are real ones, and the
//! account counts the requests. Whatever happens: nothing is left, neither run touches the other's things, no request is
//! refused for the rate limit, and work leaves alone what the limit reserves for teardown.
//!
//! Without more said, some schedules are played. A thousand:
//! `GSH_SCHEDULES=1000 cargo nextest run -p gsh-providers random_schedules`. The same with deaths, budgets and a whole engine
//! around it, in memory, is in `harness/engine/tests/schedules.rs`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use gsh_emu_hetzner::{EmuHetzner, Item, RequestLine};
use gsh_engine::cx::Cx;
use gsh_engine::provider::{LeaseRequest, Provider};
use gsh_engine::stop::Stop;
use gsh_model::event::StopReason;
use gsh_model::lease::{LeaseId, RunId};
use gsh_providers::HetznerProvider;
use gsh_world::World;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fault_play::hurried;
use crate::lease::{self, Nobody, cx};

/// How many are played where nobody says.
const SOME: u64 = 150;

/// Schedules at a time: most of them wait most of the time.
const AT_A_TIME: usize = 16;

/// Requests an hour where the limit is of no matter, and where it is: then ten refill in a second.
const WIDE: u32 = 3600;
const TIGHT: u32 = 36_000;

/// What the provider leaves of the limit: a sixth to teardown, a hundredth to whoever else uses the project.
const RESERVE_PART: u32 = 6;
const MARGIN_PART: u32 = 100;

/// Requests of one run that the other one cannot know of yet, because they are under way.
const UNKNOWN: f64 = 16.0;

/// Requests of the provider that trouble can strike.
const STRUCK: [(&str, &str); 15] = [
    ("*", "*"),
    ("POST", "/servers"),
    ("POST", "/networks"),
    ("POST", "/firewalls"),
    ("POST", "/load_balancers"),
    ("GET", "/servers"),
    ("GET", "/servers/*"),
    ("GET", "/networks"),
    ("GET", "/actions"),
    ("GET", "/*"),
    ("DELETE", "/*"),
    ("DELETE", "/servers/*"),
    ("DELETE", "/networks/*"),
    ("DELETE", "/load_balancers/*"),
    ("DELETE", "/firewalls/*"),
];

/// What happens to a request. None of it lasts for ever.
const EFFECTS: [&str; 14] = [
    "'reset'",
    "'close'",
    "'time-out'",
    "{ truncate = 20 }",
    "{ html = 502 }",
    "{ html = 200 }",
    "{ slow-ms = 40 }",
    "{ refuse = { status = 409, code = 'conflict' } }",
    "{ refuse = { status = 423, code = 'locked' } }",
    "{ refuse = { status = 500, code = 'server_error' } }",
    "{ refuse = { status = 504, code = 'timeout' } }",
    "{ refuse = { status = 412, code = 'resource_unavailable' } }",
    "{ refuse = { status = 401, code = 'unauthorized' } }",
    "{ action-fails = { step = 0, code = 'server_error' } }",
];

/// An account with a fault script of some rows of everything. In every fourth one others have left hardly more of the rate
/// limit than the reserve.
fn script(dice: &mut StdRng) -> (u32, String) {
    let tight = dice.random_range(0..4) == 0;
    let limit = if tight { TIGHT } else { WIDE };
    let mut text = format!("[hetzner]\nrate-limit = {limit}\n");
    for _ in 0..dice.random_range(1..8) {
        let (method, path) = STRUCK[dice.random_range(0..STRUCK.len())];
        let effect = EFFECTS[dice.random_range(0..EFFECTS.len())];
        let when = if dice.random_bool(0.5) { "before" } else { "after" };
        let (nth, times) = (dice.random_range(1..12), dice.random_range(1..4));
        text.push_str(&format!(
            "[[hetzner.fault]]\nname = 'trouble'\nmethod = '{method}'\npath = '{path}'\nnth = {nth}\ntimes = {times}\n\
             when = '{when}'\neffect = {effect}\n"
        ));
    }
    if tight {
        let drain = limit - limit / RESERVE_PART - dice.random_range(5..60);
        text.push_str(&format!("[[hetzner.fault]]\nname = 'others'\nnth = 1\neffect = {{ drain = {drain} }}\n"));
        text.push_str(&format!("# {drain}\n"));
    }
    (limit, text)
}

/// The lowest level of the account's bucket during some requests, as its log tells: the bucket itself tells only what is
/// left after the last one.
fn lowest(limit: u32, script: &str, log: &[RequestLine], until: usize) -> f64 {
    let drain: f64 = script.rsplit_once("# ").and_then(|(_, n)| n.trim().parse().ok()).unwrap_or(0.0);
    let size = f64::from(limit);
    let (mut level, mut at, mut lowest) = (size, 0, size);
    let mut lines: Vec<&RequestLine> = log.iter().take(until).collect();
    lines.sort_by_key(|line| line.at_ms);
    for line in lines {
        let passed = Duration::from_millis(line.at_ms - at).as_secs_f64();
        (level, at) = ((level + passed * size / 3600.0).min(size), line.at_ms);
        if line.fault.as_deref() == Some("others") {
            level -= drain;
        }
        level -= 1.0;
        lowest = lowest.min(level);
    }
    lowest
}

fn of_run(cloud: &EmuHetzner, run: &LeaseRequest) -> Vec<String> {
    let inventory = cloud.inventory();
    let theirs = |item: &&&Item| item.labels.values().any(|v| v == run.run.as_str());
    inventory.left().iter().filter(theirs).map(ToString::to_string).collect()
}

/// What one schedule came to.
struct Played {
    requests: usize,
    tight: bool,
    /// How far work went below the reserve.
    below: f64,
    wrong: Vec<String>,
}

/// Two runs order, one of them is perhaps stopped on the way, and both give back what they have.
async fn schedule(seed: u64) -> Played {
    let mut dice = StdRng::seed_from_u64(seed);
    let (limit, script) = script(&mut dice);
    let world = World::new(script.parse().unwrap_or_else(|e| panic!("{e}\n{script}"))).await.unwrap();
    let cloud = EmuHetzner::new(world.clone(), Arc::new(Nobody));
    let mut config = lease::config(&world, &cloud).await;
    hurried(&mut config, Duration::from_millis(700));
    config.patience.boot = Duration::from_millis(20);
    let ours = HetznerProvider::new(config.clone()).unwrap();
    let other = HetznerProvider::new(config.clone()).unwrap();
    let run = |id: &str, size: &str| {
        let run: RunId = id.parse().unwrap();
        LeaseRequest { lease: LeaseId::new(&run, 1, 1), run, ..lease::request(1, &[("size", size)]) }
    };
    let sizes = ["single", "small", "medium"];
    let one = run("r20261123-1-7f3a", sizes[dice.random_range(0..3)]);
    let two = run("r20261123-1-8b4c", sizes[dice.random_range(0..2)]);

    // A stop is seen between two requests, wherever that is.
    let stop = Stop::new();
    let stop_after = dice.random_bool(0.3).then(|| Duration::from_millis(dice.random_range(1..150)));
    let first = Cx::unrecorded(stop.clone(), Duration::from_secs(120));
    let stopping = async {
        if let Some(after) = stop_after {
            tokio::time::sleep(after).await;
            stop.first(StopReason::Signal);
        }
    };
    let second = cx();
    let _failed = tokio::join!(ours.acquire(&first, &one), other.acquire(&second, &two), stopping);
    let worked = cloud.requests().len();

    let mut wrong = Vec::new();
    let before = of_run(&cloud, &two);
    for (provider, run) in [(&ours, &one), (&other, &two)] {
        // What a run could not remove, and says so, its sweep can once the trouble is over.
        let released = provider.release(&cx(), &run.lease).await.is_ok();
        let left = of_run(&cloud, run);
        if released && !left.is_empty() {
            wrong.push(format!("said to be released, but there is {left:?}"));
        }
        if run.run == one.run && of_run(&cloud, &two) != before {
            wrong.push("the other run was touched".to_owned());
        }
    }
    cloud.clear_faults();
    // Whoever sweeps has time: on a busy machine an answer may take seconds.
    config.patience.answer = Duration::from_secs(30);
    let sweeper = HetznerProvider::new(config).unwrap();
    for run in [&one, &two] {
        if let Err(e) = sweeper.release(&cx(), &run.lease).await {
            wrong.push(format!("it cannot be released: {}", e.failure));
        }
    }
    let left = lease::left(&cloud);
    if !left.is_empty() {
        wrong.push(format!("left: {left:?}"));
    }

    let log = cloud.requests();
    let refused = log.iter().filter(|line| line.status == 429).count();
    if refused > 0 {
        wrong.push(format!("{refused} requests were refused for the rate limit"));
    }
    // What is scrapped on the way is teardown, and may use the reserve.
    let scrapped = log.iter().take(worked).filter(|line| line.method == "DELETE").count();
    let below = f64::from(limit / RESERVE_PART) - lowest(limit, &script, &log, worked);
    if below > UNKNOWN + 2.0 * scrapped as f64 {
        wrong.push(format!("work went {below:.1} below the reserve"));
    }
    if lowest(limit, &script, &log, log.len()) < f64::from(limit / MARGIN_PART) - UNKNOWN {
        wrong.push("teardown went below the margin".to_owned());
    }
    if !wrong.is_empty() {
        wrong.push(format!("seed {seed}, {} and {}:\n{script}", one.cell_id, two.cell_id));
    }
    drop((ours, other, sweeper));
    world.end().await;
    Played { requests: log.len(), tight: limit == TIGHT, below, wrong }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_schedules_of_two_runs_leave_nothing_and_stay_within_the_limit() {
    let count = std::env::var_os("GSH_SCHEDULES").and_then(|n| n.to_str()?.parse().ok()).unwrap_or(SOME);
    let began = Instant::now();
    let played: Vec<Played> = futures::stream::iter(0..count).map(schedule).buffer_unordered(AT_A_TIME).collect().await;
    let (requests, tight) =
        (played.iter().map(|p| p.requests).sum::<usize>(), played.iter().filter(|p| p.tight).count());
    let below = played.iter().map(|p| p.below).fold(f64::MIN, f64::max);
    writeln!(
        std::io::stderr(),
        "{count} schedules over the emulated API, {tight} of them at the reserve, {requests} requests; work went at most {:.1} \
         below the reserve, {:.0?}",
        below.max(0.0),
        began.elapsed()
    )
    .unwrap();
    assert!(tight > 0, "no schedule came near the limit");
    let wrong: Vec<String> = played.into_iter().flat_map(|p| p.wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
