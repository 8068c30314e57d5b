//! The fault matrix: all cases of [`super::fault_table`] at all places of [`super::fault_sites`], played and compared.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use futures::StreamExt;

use crate::fault_grow::Growing;
use crate::fault_play::{Played, play};
use crate::fault_sites::{Calls, SITES, Site, Step};
use crate::fault_table::{ROWS, SPECIALS};

/// Cases at a time: most of them wait most of the time.
const AT_A_TIME: usize = 24;

/// How long a case may take; most take some hundredths of a second.
const MOST: Duration = Duration::from_secs(120);

/// How long an answer may take, at least: on a busy machine as long as a whole job does when nothing strikes.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(4);

/// One case.
#[derive(Clone)]
struct Case {
    site: &'static Site,
    name: &'static str,
    strikes: &'static str,
    effect: &'static str,
    expected: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.site.name, self.name)
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for site in &SITES {
        for row in &ROWS {
            let Some(expected) = row.at(site) else {
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
        cases.push(Case { site, name, strikes, effect, expected: expected.to_owned() });
    }
    cases
}

/// A fault that never strikes: what the place does when all is well.
const NEVER: &str = "nth = 1000000";

/// Says what is not as the table says.
fn compare(case: &Case, normally: u32, mut played: Played) -> Vec<String> {
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
        // A builder's removal that fails is made up for by the release; the warm start is well all the same.
        Calls::Scrap if case.site.step == Step::Warm => played.struck.saturating_sub(1) == count || repeated == count,
        Calls::Release
        | Calls::Read
        | Calls::Make
        | Calls::Order
        | Calls::Change
        | Calls::Delete
        | Calls::Scrap
        | Calls::Inside
        | Calls::Label
        | Calls::Extra
        | Calls::First
        | Calls::Probe
        | Calls::Look => {
            // What is only good to have, and what is made to be refused, is well without an answer too.
            let without = matches!(case.site.calls, Calls::Extra | Calls::Probe);
            repeated == count || (without && played.struck.saturating_sub(1) == count)
        }
    };
    if played.outcome != outcome || !as_often {
        wrong.push(format!("expected {}, came to {} {repeated}", case.expected, played.outcome));
    }
    wrong
}

async fn check(case: &Case, normally: u32, answer: Duration) -> Vec<String> {
    let playing = tokio::time::timeout(MOST, play(case.site, case.strikes, case.effect, answer)).await;
    match playing {
        Ok(played) => compare(case, normally, played),
        Err(_) => vec![format!("it is not over after {MOST:?}")],
    }
}

/// What is wrong with a place when nothing strikes, and calls that no place stands for: holes in the table.
fn whole(site: &Site, played: &Played) -> Vec<String> {
    let mut wrong: Vec<String> = played.wrong.iter().map(|w| format!("{} undisturbed: {w}", site.name)).collect();
    if played.outcome != "ok" || played.seen == 0 {
        wrong.push(format!("{} undisturbed: {} after {} requests", site.name, played.outcome, played.seen));
    }
    for (method, line) in &played.requests {
        let (path, query) = line.split_once('?').unwrap_or((line, ""));
        if !SITES.iter().any(|s| s.method == method && glob(s.path, path) && glob(s.query, &plain(query))) {
            wrong.push(format!("no place in the table: {method} {line}"));
        }
    }
    wrong
}

fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("stderr");
}

/// Plays all cases at some places.
async fn matrix(what: &str, of: impl Fn(&Site) -> bool) {
    let began = Instant::now();
    let sites: Vec<&Site> = SITES.iter().filter(|s| of(s)).collect();
    let undisturbed = async |site| {
        let begins = Instant::now();
        (play(site, NEVER, "'reset'", Duration::from_secs(30)).await, begins.elapsed())
    };
    let (normally, times): (Vec<Played>, Vec<Duration>) = futures::stream::iter(&sites)
        .map(|s| undisturbed(s))
        .buffered(AT_A_TIME)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .unzip();
    let short = times.into_iter().max().unwrap_or_default().clamp(SHORT, LONG);
    let mut wrong: Vec<String> = sites.iter().zip(&normally).flat_map(|(site, played)| whole(site, played)).collect();
    wrong.sort();
    wrong.dedup();
    let usual = |case: &Case| {
        sites.iter().zip(&normally).find(|(s, _)| s.name == case.site.name).map_or(0, |(_, played)| played.seen)
    };
    let cases: Vec<Case> = cases().into_iter().filter(|case| of(case.site)).collect();
    let played = futures::stream::iter(&cases)
        .map(|case| async move { (case, check(case, usual(case), short).await) })
        .buffer_unordered(AT_A_TIME);
    let doubtful: Vec<(&Case, Vec<String>)> =
        played.filter_map(|(case, wrong)| async move { (!wrong.is_empty()).then_some((case, wrong)) }).collect().await;
    // A busy machine makes time-outs of its own, and those count as tries: what is not as expected is played again, with less
    // beside it and with time. What is wrong is wrong again.
    let again = doubtful.len();
    for (case, why) in &doubtful {
        say(&format!("played again, {case}: {}", why.join("; ")));
    }
    let played = futures::stream::iter(doubtful)
        .map(|(case, _)| async move { (case, check(case, usual(case), LONG).await) })
        .buffer_unordered(3);
    let lines: Vec<Vec<String>> =
        played.map(|(case, lines)| lines.into_iter().map(|line| format!("{case}: {line}")).collect()).collect().await;
    wrong.extend(lines.into_iter().flatten());
    conclude(what, cases.len(), sites.len(), again, began, &wrong);
}

fn conclude(what: &str, cases: usize, places: usize, again: usize, began: Instant, wrong: &[String]) {
    let took = began.elapsed();
    let size = format!("fault matrix, {what}: {cases} cases at {places} places, {again} played again, {took:.1?}");
    say(&size);
    assert!(wrong.is_empty(), "{size}\n{}", wrong.join("\n"));
}

/// All cases at one place where nodes are added: one after the other, on one cluster.
async fn growth(site: &'static Site, answer: Duration) -> (usize, usize, Vec<String>) {
    let mut growing = Growing::new(site, answer).await;
    let normally = growing.play(NEVER, "'reset'").await;
    let mut wrong = whole(site, &normally);
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.site.name == site.name).collect();
    let mut again = 0;
    for case in &cases {
        let mut lines = Vec::new();
        for n in 0..3 {
            lines = compare(case, normally.seen, growing.play(case.strikes, case.effect).await);
            if lines.is_empty() {
                break;
            }
            again += usize::from(n == 0);
        }
        wrong.extend(lines.into_iter().map(|line| format!("{case}: {line}")));
    }
    wrong.extend(growing.end().await);
    (cases.len(), again, wrong)
}

fn acquires(site: &Site, calls: &[Calls]) -> bool {
    site.step == Step::Acquire && calls.contains(&site.calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_reads() {
    matrix("reads", |s| acquires(s, &[Calls::Read, Calls::Poll, Calls::Scrap])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_things_made() {
    matrix("things made", |s| acquires(s, &[Calls::Make, Calls::Order])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_warm_starts() {
    matrix("warm starts", |s| s.step == Step::Warm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_growth() {
    let began = Instant::now();
    let sites: Vec<&'static Site> = SITES.iter().filter(|s| s.step == Step::Grow).collect();
    let played: Vec<_> = futures::stream::iter(&sites)
        .map(|site| growth(site, Duration::from_secs(1)))
        .buffer_unordered(sites.len())
        .collect()
        .await;
    let cases = played.iter().map(|(cases, _, _)| cases).sum();
    let again = played.iter().map(|(_, again, _)| again).sum();
    let wrong: Vec<String> = played.into_iter().flat_map(|(_, _, wrong)| wrong).collect();
    conclude("growth", cases, sites.len(), again, began, &wrong);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_removals() {
    matrix("removals", |s| s.step == Step::Release && s.calls == Calls::Delete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_what_clusters_made() {
    matrix("what clusters made", |s| [Calls::Inside, Calls::Label].contains(&s.calls)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_lists() {
    let of = |s: &Site| {
        let lists = [Calls::Release, Calls::Settle].contains(&s.calls);
        lists || [Step::Find, Step::Price, Step::Meter].contains(&s.step)
    };
    matrix("lists", of).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_matrix_of_surveys() {
    matrix("surveys and snapshots", |s| [Step::Survey, Step::Snapshots].contains(&s.step)).await;
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
    for site in &SITES {
        assert!(cases.iter().any(|case| case.site.name == site.name), "{}", site.name);
    }
    say(&format!("fault matrix: {} cases at {} places", cases.len(), SITES.len()));
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
