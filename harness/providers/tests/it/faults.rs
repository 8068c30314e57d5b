//! Plays the fault matrix of [`super::fault_table`]: each case orders a cluster, releases it and looks for leases, with one
//! fault at one place. Whatever happens, in the end the account is empty, and no fault of the cloud is the product's.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Provider;
use gsh_model::outcome::Blame;
use gsh_providers::{HetznerProvider, Pace};
use gsh_world::World;
use gsh_world::spec::WorldSpec;

use crate::fault_table::{Calls, ROWS, SITES, SPECIALS, Site};
use crate::lease::{self, Nobody};

/// How far an order gets where no machine ever answers.
const ORDERED: &str = "GSH-NODE-001";

/// Cases at a time: most of them wait most of the time.
const AT_A_TIME: usize = 24;

/// How long a case may take; most take some hundredths of a second.
const MOST: Duration = Duration::from_secs(30);

/// One case.
#[derive(Clone, Copy)]
struct Case {
    site: &'static Site,
    name: &'static str,
    strikes: &'static str,
    effect: &'static str,
    expected: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.site.name, self.name)
    }
}

/// What is done in each case, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Acquire,
    Release,
    Find,
}

/// What came of a case.
struct Played {
    /// As in the table; of the step that makes the call.
    outcome: String,
    /// Requests that the place made during that step, and those of them that were struck.
    seen: u32,
    struck: u32,
    /// Everything that must never be.
    wrong: Vec<String>,
    /// All requests, as method and path with query.
    requests: Vec<(String, String)>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for site in &SITES {
        for row in &ROWS {
            let Some(expected) = row.at(site.calls) else {
                continue;
            };
            // Of a place that stands for many calls at once it cannot be said how often each of them is repeated.
            if site.path == "/*" && !row.strikes.starts_with("nth") {
                continue;
            }
            cases.push(Case { site, name: row.name, strikes: row.strikes, effect: row.effect, expected });
        }
    }
    for special in &SPECIALS {
        let site = SITES.iter().find(|s| s.name == special.site).unwrap();
        let (name, strikes, effect, expected) = (special.name, special.strikes, special.effect, special.expected);
        cases.push(Case { site, name, strikes, effect, expected });
    }
    cases
}

/// Orders, releases and looks, with a row of the fault script for the place.
async fn play(site: &Site, strikes: &str, effect: &str, answer: Duration) -> Played {
    let Site { method, path, query, body, .. } = site;
    let fault = format!(
        "[[hetzner.fault]]\nname = 'case'\nmethod = '{method}'\npath = '{path}'\nquery = '{query}'\nbody = '{body}'\n\
         {strikes}\neffect = {effect}",
    );
    let fault: WorldSpec = fault.parse().unwrap_or_else(|e| panic!("{e}\n{fault}"));
    let world = World::new(site.world.parse().unwrap()).await.unwrap();
    let cloud = EmuHetzner::new(world.clone(), Arc::new(Nobody));
    let mut config = lease::config(&world, &cloud).await;
    config.pace = Pace {
        retry: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        tries: 4,
        look: Duration::from_millis(2),
        look_longest: Duration::from_millis(20),
    };
    config.patience.answer = answer;
    config.patience.actions = answer + Duration::from_millis(700);
    config.patience.boot = Duration::from_millis(1);
    config.patience.off = Duration::from_millis(30);
    let request = lease::request(1, site.axes);
    let provider = HetznerProvider::new(config).unwrap();
    let cx = lease::cx();

    let mut wrong = Vec::new();
    let mut judge = |step: &str, failure: &Failure| {
        if failure.blame == Blame::Product || failure.stopped {
            wrong.push(format!("{step} blames {:?}: {failure}", failure.blame));
        }
        failure.finding.check.as_str().to_owned()
    };
    let count = || cloud.faults().into_iter().find(|f| f.name == "case").map_or((0, 0), |f| (f.seen, f.struck));

    let step = match site.calls {
        Calls::Read | Calls::Poll | Calls::Make | Calls::Order => Step::Acquire,
        Calls::Delete | Calls::Release | Calls::Settle => Step::Release,
        Calls::Find => Step::Find,
    };
    let begins = |this: Step| {
        if this == step {
            fault.hetzner.fault.iter().cloned().for_each(|row| cloud.add_fault(row));
        }
    };

    begins(Step::Acquire);
    let acquired = match provider.acquire(&cx, &request).await {
        Ok(_) => "a cluster that nobody made".to_owned(),
        Err(failure) => judge("acquire", &failure),
    };
    let acquired = if acquired == ORDERED { "ok".to_owned() } else { acquired };
    let on_the_way = count();
    if step == Step::Acquire {
        cloud.clear_faults();
    }
    begins(Step::Release);
    let released = match provider.release(&cx, &request.lease).await {
        Ok(_) => "ok".to_owned(),
        Err(e) => judge("release", &e.failure),
    };
    let in_release = count();
    let ours = || -> Vec<String> {
        let items = cloud.inventory().items.into_iter();
        items.filter(|i| !i.stock || i.labels.contains_key("gsh-lease")).map(|i| i.to_string()).collect()
    };
    let unsaid = if released == "ok" { ours() } else { Vec::new() };
    begins(Step::Find);
    let found = match provider.find(&cx, None).await {
        Ok(leases) if leases.is_empty() || released != "ok" => "ok".to_owned(),
        Ok(leases) => format!("{leases:?}"),
        Err(failure) => judge("find", &failure),
    };
    let in_find = count();

    // What could not be removed can be once the trouble is over.
    cloud.clear_faults();
    if let Err(e) = provider.release(&cx, &request.lease).await {
        wrong.push(format!("it cannot even be released afterwards: {}", e.failure));
    }
    if !unsaid.is_empty() {
        wrong.push(format!("the release says that all is gone, but there is {unsaid:?}"));
    }
    let left = ours();
    if !left.is_empty() {
        wrong.push(format!("left: {left:?}"));
    }
    if step != Step::Acquire && acquired != "ok" {
        wrong.push(format!("acquire ends with {acquired}"));
    }
    let (outcome, (seen, struck)) = match step {
        Step::Acquire => (acquired, on_the_way),
        Step::Release => (released, in_release),
        Step::Find => (found, in_find),
    };
    let requests = cloud.requests().into_iter().map(|line| (line.method, line.path)).collect();
    drop(provider);
    world.end().await;
    Played { outcome, seen, struck, wrong, requests }
}

/// A fault that never strikes: what the place does when all is well.
async fn undisturbed(site: &Site) -> Played {
    play(site, "nth = 1000000", "'reset'", Duration::from_secs(10)).await
}

/// Says what is not as the table says.
async fn check(case: &Case, normally: u32, answer: Duration) -> Vec<String> {
    let played = tokio::time::timeout(MOST, play(case.site, case.strikes, case.effect, answer)).await;
    let Ok(mut played) = played else {
        return vec![format!("it is not over after {MOST:?}")];
    };
    let mut wrong = std::mem::take(&mut played.wrong);
    if played.struck == 0 {
        wrong.push("the fault never struck".to_owned());
    }
    // In a step that succeeded, what came on top of the usual; in one that failed, what came after the first strike.
    let repeated = match played.outcome.as_str() {
        "ok" => played.seen.saturating_sub(normally),
        _ => played.struck.saturating_sub(1),
    };
    let (outcome, count) = case.expected.split_once(' ').unwrap();
    let count: u32 = count.parse().unwrap();
    let as_often = match case.site.calls {
        // How often it looks is a matter of time, and so is how many of its looks are struck.
        Calls::Poll => repeated >= count || outcome == "ok",
        Calls::Settle => true,
        Calls::Release | Calls::Read | Calls::Make | Calls::Order | Calls::Delete | Calls::Find => repeated == count,
    };
    if played.outcome != outcome || !as_often {
        wrong.push(format!("expected {}, came to {} {repeated}", case.expected, played.outcome));
    }
    wrong
}

/// Plays all cases at places of some kinds.
async fn matrix(of: &[Calls]) {
    let began = Instant::now();
    let sites: Vec<&Site> = SITES.iter().filter(|s| of.contains(&s.calls)).collect();
    let normally: Vec<Played> =
        futures::stream::iter(&sites).map(|s| undisturbed(s)).buffered(AT_A_TIME).collect().await;
    let mut wrong = Vec::new();
    for (site, played) in sites.iter().zip(&normally) {
        if played.outcome != "ok" || played.seen == 0 {
            wrong.push(format!("{} undisturbed: {} after {} requests", site.name, played.outcome, played.seen));
        }
        wrong.extend(played.wrong.iter().map(|w| format!("{} undisturbed: {w}", site.name)));
        // A call that no place stands for is a hole in the table.
        for (method, line) in &played.requests {
            let (path, query) = line.split_once('?').unwrap_or((line, ""));
            if !SITES.iter().any(|s| s.method == method && glob(s.path, path) && glob(s.query, &plain(query))) {
                wrong.push(format!("no place in the table: {method} {line}"));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    let usual = |case: &Case| {
        sites.iter().zip(&normally).find(|(s, _)| s.name == case.site.name).map_or(0, |(_, played)| played.seen)
    };
    let cases: Vec<Case> = cases().into_iter().filter(|case| of.contains(&case.site.calls)).collect();
    let short = Duration::from_millis(500);
    let played = futures::stream::iter(&cases)
        .map(|case| async move { (case, check(case, usual(case), short).await) })
        .buffer_unordered(AT_A_TIME);
    let doubtful: Vec<(&Case, Vec<String>)> =
        played.filter_map(|(case, wrong)| async move { (!wrong.is_empty()).then_some((case, wrong)) }).collect().await;
    // A busy machine makes time-outs of its own, and those count as tries: what is not as expected is played again, with less
    // beside it and with time. What is wrong is wrong again.
    let again = doubtful.len();
    let mut stderr = std::io::stderr();
    for (case, why) in &doubtful {
        writeln!(stderr, "played again, {case}: {}", why.join("; ")).unwrap();
    }
    let played = futures::stream::iter(doubtful)
        .map(|(case, _)| async move { (case, check(case, usual(case), Duration::from_secs(3)).await) })
        .buffer_unordered(3);
    let lines: Vec<Vec<String>> =
        played.map(|(case, lines)| lines.into_iter().map(|line| format!("{case}: {line}")).collect()).collect().await;
    wrong.extend(lines.into_iter().flatten());
    let (places, took) = (sites.len(), began.elapsed());
    let size =
        format!("fault matrix, {of:?}: {} cases at {places} places, {again} played again, {took:.1?}", cases.len());
    writeln!(stderr, "{size}").unwrap();
    assert!(wrong.is_empty(), "{size}\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_reads() {
    matrix(&[Calls::Read]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_polls() {
    matrix(&[Calls::Poll, Calls::Settle]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_things_made() {
    matrix(&[Calls::Make]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_orders() {
    matrix(&[Calls::Order]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_removals() {
    matrix(&[Calls::Delete]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_lists() {
    matrix(&[Calls::Release, Calls::Find]).await;
}

/// A name that two rows share would hide one of them, and a fault that can strike nowhere is no row.
#[test]
fn fault_matrix_is_whole() {
    let cases = cases();
    let names: std::collections::BTreeSet<String> = cases.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), cases.len());
    for row in &ROWS {
        assert!(cases.iter().any(|case| case.name == row.name), "{}", row.name);
    }
    writeln!(std::io::stderr(), "fault matrix: {} cases at {} places", cases.len(), SITES.len()).unwrap();
}

/// `*` matches any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| glob(tail, &rest[i..]))
}

/// A query with the escapes resolved that occur in it.
fn plain(query: &str) -> String {
    query.replace("%3D", "=").replace("%2C", ",").replace('+', " ")
}
