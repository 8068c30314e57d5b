//! Planning with memory, under a budget and a time limit; what the history says afterwards.

use gsh_model::axis::{Cell, Shift};
use gsh_model::budget::{Amount, Price, PriceList};
use gsh_model::history::{Class, History, RunSummary, coverage, records};
use gsh_model::matrix::Matrix;
use gsh_model::outcome::Subject;
use gsh_model::plan::{Plan, PlanError, PlannedCell, Remembered, Selection, plan};
use gsh_model::scenario::ScenarioId;
use gsh_model::schedule::AtOnce;
use gsh_model::tonight::Limits;
use jiff::{SignedDuration, Timestamp};

use crate::recorded::{OFFERS, Recording, catalogue, green, red_where};

const MATRIX: &str = r#"
[axes]
shift = ["fuse", "shiftfs"]
os = ["ubuntu-22.04", "ubuntu-20.04"]
size = ["single", "small", "medium"]
tls = ["private-ca", "byo"]
database = ["incluster", "external"]
"#;

fn begins() -> Timestamp {
    "2026-11-01T01:00:00Z".parse().expect("a timestamp")
}

fn prices() -> PriceList {
    let hourly = |text: &str| {
        let euros = text.parse().expect("an amount");
        Price { hourly: Amount { net: euros, gross: euros }, monthly: Amount::ZERO }
    };
    PriceList {
        worker: hourly("0.10"),
        manager: hourly("0.05"),
        balancer: hourly("0.01"),
        builder: Price::default(),
        spare_hours: 0,
    }
}

fn night(history: &[RunSummary], now: Timestamp, limits: Limits) -> Result<Plan, PlanError> {
    let matrix = Matrix::parse(MATRIX).expect("a matrix");
    let history = History::new(history.to_vec());
    let selection =
        Selection { limits, memory: Some(Remembered { history, now }), prices: Some(prices()), ..Selection::default() };
    plan(&matrix, &catalogue(), &OFFERS, &selection)
}

/// Nights in a row, each planned from what the earlier ones have shown.
fn nights(
    count: i64,
    limits: Limits,
    word: impl Fn(&PlannedCell, &Subject) -> &'static str,
) -> (Vec<Plan>, Vec<RunSummary>) {
    let (mut plans, mut history) = (Vec::new(), Vec::new());
    for n in 0..count {
        let now = begins() + SignedDuration::from_hours(24 * n);
        let plan = night(&history, now, limits).expect("a plan");
        let run = Recording::of(&format!("r2026-{n:03}"), &plan, None, &now.to_string()).state(&word);
        history.push(RunSummary::of(&run).expect("it was planned"));
        plans.push(plan);
    }
    (plans, history)
}

fn two_hours() -> Limits {
    Limits { within_s: Some(3600), at_once: AtOnce { clusters: 2, servers: 20 }, budget: None }
}

#[test]
fn nights_say_why_each_cell_runs_and_what_stays_open() {
    let (plans, _) = nights(5, two_hours(), red_where(|c| c.shift == Shift::Shiftfs));
    let shown: Vec<String> = plans
        .iter()
        .map(|plan| {
            let coverage = plan.coverage.as_ref().expect("counts");
            let estimate = plan.estimate.as_ref().expect("an estimate");
            let cells: Vec<String> =
                plan.cells.iter().map(|c| format!("  {} {} s: {}", c.id, c.expected_s.unwrap_or(0), c.why)).collect();
            let open = coverage.open.iter().take(2).map(|o| format!("  open: {} {:?}", o.tuple, o.last_green));
            format!(
                "{} s, {} s of work, {} guessed, {}; {} of {} pairs\n{}\n{}",
                estimate.makespan_s,
                estimate.work_s,
                estimate.guessed,
                estimate.cost.expect("prices are known"),
                coverage.covered,
                coverage.feasible,
                cells.join("\n"),
                open.collect::<Vec<_>>().join("\n"),
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_base_runs_every_night_and_no_limit_is_exceeded() {
    let budget = Limits { budget: Some("0.60".parse().expect("an amount")), ..Limits::default() };
    for limits in [two_hours(), budget, Limits { within_s: Some(5400), ..budget }] {
        for plan in nights(4, limits, green).0 {
            let estimate = plan.estimate.as_ref().expect("an estimate");
            assert!(plan.cells.iter().any(|c| c.cell == Cell::default()));
            assert!(plan.cells.len() > 1, "there is room for more than the base");
            assert!(limits.within_s.is_none_or(|most| estimate.makespan_s <= most), "{estimate:?}");
            let cost = estimate.cost.expect("prices are known").gross;
            assert!(limits.budget.is_none_or(|most| cost <= most), "{estimate:?}");
            let times: Vec<_> = plan.cells.iter().map(|c| c.expected_s).collect();
            assert!(times.is_sorted_by(|a, b| a >= b), "longest first: {times:?}");
        }
    }
}

#[test]
fn every_pair_is_green_after_some_nights_and_stays_fresh() {
    let (_, history) = nights(14, two_hours(), green);
    let matrix = Matrix::parse(MATRIX).expect("a matrix");
    let now = begins() + SignedDuration::from_hours(24 * 14);
    let all = coverage(&History::new(history), &matrix, 2);
    for covered in all {
        let green = covered.last_green.expect("never green");
        let age = now.as_second() - green.at.as_second();
        assert!(age <= 10 * 86_400, "{} is {} h old", covered.tuple, age / 3600);
        assert_eq!(green.release, "2022.11.3");
        assert!(covered.last_red.is_none());
    }
}

#[test]
fn limits_that_leave_no_room_are_refused() {
    let limits = [
        Limits { within_s: Some(600), ..Limits::default() },
        Limits { budget: Some("0.05".parse().expect("an amount")), ..Limits::default() },
    ];
    let mut refused: Vec<String> =
        limits.map(|l| night(&[], begins(), l).expect_err("must be refused").to_string()).to_vec();
    let matrix = Matrix::parse(MATRIX).expect("a matrix");
    let selection = Selection { limits: limits[1], ..Selection::default() };
    refused.push(plan(&matrix, &catalogue(), &OFFERS, &selection).expect_err("no prices").to_string());
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn an_include_runs_every_night_also_where_the_axes_do_not_give_it() {
    let text = format!("{MATRIX}\n[[include]]\nssh-gateway = \"off\"\nbecause = \"a customer has it\"\n");
    let matrix = Matrix::parse(&text).expect("a matrix");
    let planned = |limits| {
        let selection = Selection { limits, prices: Some(prices()), ..Selection::default() };
        plan(&matrix, &catalogue(), &OFFERS, &selection)
    };
    let night = planned(two_hours()).expect("a plan");
    assert!(night.cells.iter().any(|c| c.why == "include: a customer has it"));
    assert!(night.estimate.expect("an estimate").makespan_s <= 3600);
    let tight = Limits { within_s: Some(40 * 60), at_once: AtOnce { clusters: 1, servers: 20 }, budget: None };
    assert!(matches!(planned(tight), Err(PlanError::TooLittle { cells: 2, .. })), "it counts against the limit");
}

#[test]
fn a_night_in_which_servers_are_scarce_takes_longer_and_its_time_limit_knows() {
    let with = |servers, within_s| {
        let at_once = AtOnce { clusters: 4, servers };
        night(&[], begins(), Limits { within_s, at_once, budget: None }).expect("a plan")
    };
    let takes = |plan: &Plan| plan.estimate.as_ref().expect("an estimate").makespan_s;
    assert!(takes(&with(8, None)) > takes(&with(100, None)), "the same cells, in each other's way");
    let (few, many) = (with(8, Some(2 * 3600)), with(100, Some(2 * 3600)));
    assert!(takes(&few) <= 2 * 3600 && takes(&many) <= 2 * 3600);
    let work = |plan: &Plan| plan.estimate.as_ref().expect("an estimate").work_s;
    assert!(work(&few) < work(&many), "less fits");
}

#[test]
fn a_summary_of_a_resumed_run_replaces_the_earlier_one() {
    let (plans, history) = nights(1, two_hours(), green);
    let early = RunSummary { events: 3, finished: None, ..history[0].clone() };
    let all = History::new(vec![history[0].clone(), early]);
    assert_eq!(all.runs(), history);
    assert_eq!(plans.len(), 1);
}

/// What the results of one scenario in one cell, oldest first, are called.
fn class(results: &[&'static str]) -> Class {
    let matrix = "[axes]\nsize = [\"single\"]";
    let plan = crate::recorded::planned(matrix, &Selection::default());
    let history: Vec<RunSummary> = results
        .iter()
        .zip(0_i64..)
        .map(|(word, n)| {
            let begins = (begins() + SignedDuration::from_hours(6 * n)).to_string();
            let start = Subject::Scenario(ScenarioId::of("workspace-start"));
            let run = Recording::of(&format!("r2026-{n:03}"), &plan, None, &begins)
                .state(|_, subject| if *subject == start { word } else { "passed" });
            RunSummary::of(&run).expect("it was planned")
        })
        .collect();
    let now = begins() + SignedDuration::from_hours(6 * i64::try_from(results.len()).expect("few"));
    let records = records(&History::new(history), now);
    let start = Subject::Scenario(ScenarioId::of("workspace-start"));
    records.iter().find(|r| r.subject == start).expect("it is known").class
}

#[test]
fn subjects_are_classed_by_what_they_did() {
    let many = |word: &'static str, n: usize| vec![word; n];
    let then = |a: Vec<&'static str>, b: Vec<&'static str>| [a, b].concat();
    assert_eq!(class(&many("passed", 19)), Class::Unknown);
    assert_eq!(class(&many("passed", 20)), Class::Stable);
    assert_eq!(class(&then(many("passed", 20), many("failed", 3))), Class::Broken);
    assert_eq!(class(&["failed"]), Class::Unknown);
    assert_eq!(class(&["passed", "failed", "passed"]), Class::Flaky, "both on one subject");
    assert_eq!(
        class(&then(many("passed", 40), then(many("failed", 2), then(many("passed", 6), vec!["failed", "passed"])))),
        Class::Regressed
    );
    assert_eq!(class(&then(many("passed", 20), many("environment", 5))), Class::Stable, "the cloud says nothing");
    assert_eq!(class(&many("environment", 30)), Class::Unknown);
}

#[test]
fn the_last_green_night_is_one_run_or_the_shards_of_one_plan() {
    let matrix = Matrix::parse(MATRIX).expect("a matrix");
    let divided = Selection { max_jobs: Some(2), ..Selection::default() };
    let plan = plan(&matrix, &catalogue(), &OFFERS, &divided).expect("a plan");
    let red = |_: &PlannedCell, subject: &Subject| if *subject == Subject::Install { "failed" } else { "passed" };
    let run = |id: &str, shard: Option<&str>, hour: i64, is_green: bool| {
        let at = (begins() + SignedDuration::from_hours(hour)).to_string();
        let recording = Recording::of(id, &plan, shard, &at);
        let state = if is_green { recording.state(green) } else { recording.state(red) };
        RunSummary::of(&state).expect("it was planned")
    };
    /// Name, shard, hours after the first night began, whether it was green.
    type Night = (&'static str, Option<&'static str>, i64, bool);
    let table: [(&[Night], &[&str]); 8] = [
        (&[], &[]),
        (&[("r-1", None, 0, true), ("r-2", None, 24, false)], &["r-1"]),
        (&[("r-1", None, 0, false), ("r-2", None, 24, true)], &["r-2"]),
        // One shard of the second night is red, so the night is.
        (
            &[
                ("r-1", Some("01"), 0, true),
                ("r-2", Some("02"), 0, true),
                ("r-3", Some("01"), 24, false),
                ("r-4", Some("02"), 24, true),
            ],
            &["r-1", "r-2"],
        ),
        // It was repeated, and the repetition counts.
        (&[("r-1", Some("01"), 0, false), ("r-2", Some("02"), 0, true), ("r-3", Some("01"), 4, true)], &["r-2", "r-3"]),
        (&[("r-1", Some("01"), 0, true), ("r-2", Some("02"), 1, false)], &[]),
        // A shard of the second night was never added: what it saw is not known.
        (&[("r-1", Some("01"), 0, true), ("r-2", Some("02"), 0, true), ("r-3", Some("02"), 24, true)], &["r-1", "r-2"]),
        (&[("r-1", Some("01"), 0, true)], &[]),
    ];
    for (runs, wanted) in table {
        let history = History::new(runs.iter().map(|(id, shard, hour, ok)| run(id, *shard, *hour, *ok)).collect());
        let night: Vec<&str> = history.last_green().iter().map(|r| r.run.as_str()).collect();
        assert_eq!(night, wanted, "{runs:?}");
    }
    // It is told which; and summaries of before that was written down are judged by what is here, as they were then.
    let part = History::new(vec![run("r-1", None, 0, true), run("r-2", Some("02"), 24, true)]);
    let missing: Vec<String> =
        part.incomplete_nights().iter().map(|(run, shards)| format!("{} {shards:?}", run.run)).collect();
    assert_eq!(missing, ["r-2 [ShardId(1)]"]);
    let old = RunSummary { shards: Vec::new(), ..run("r-2", Some("02"), 24, true) };
    let old = History::new(vec![old]);
    assert_eq!((old.last_green().len(), old.incomplete_nights().len()), (1, 0));
    let two = History::new(vec![run("r-1", None, 0, true), run("r-2", None, 24, true)]);
    let earlier = two.until(begins() + SignedDuration::from_hours(24));
    assert_eq!(earlier.last_green().len(), 1, "a run is no night of its own past");
    assert_eq!(earlier.runs()[0].run.as_str(), "r-1");
}

#[test]
fn a_night_costs_what_its_cells_cost_that_began() {
    let (_, history) = nights(1, Limits::default(), |_, _| "passed");
    let mut summary = history[0].clone();
    assert!(summary.cells.len() > 2, "{}", summary.cells.len());
    let euro = |text: &str| text.parse().expect("an amount");
    let one = Amount { net: euro("0.10"), gross: euro("0.12") };
    for cell in &mut summary.cells {
        (cell.took_s, cell.cost) = (0, None);
    }
    assert_eq!(summary.cost(), None, "nothing is known");
    for cell in &mut summary.cells[..2] {
        (cell.took_s, cell.cost) = (60, Some(one));
    }
    assert_eq!(summary.cost(), Some(one + one), "the others never began");
    summary.cells[2].took_s = 60;
    assert_eq!(summary.cost(), None, "a third began and nobody knows what it cost");
}
