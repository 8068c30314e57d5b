//! Reports of a small run with every kind of outcome, with any text at all in every place where text can stand.

use gsh_model::axis::{Cell, Shift};
use gsh_model::check::CheckName;
use gsh_model::cover::Cover;
use gsh_model::event::{CheckResult, Event, EventKind, FORMAT};
use gsh_model::lease::Resource;
use gsh_model::outcome::{Blame, Evidence, Finding, Outcome, SkipReason, Subject, Why};
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario};
use gsh_model::run::RunState;
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};
use gsh_reports::format::{Format, render};
use proptest::prelude::*;

fn finding(text: &str) -> Finding {
    Finding {
        check: CheckName::of("GSH-SSH-004"),
        expected: "a bad token is refused".to_owned(),
        observed: text.to_owned(),
        causes: vec![text.to_owned()],
    }
}

/// A run of two cells: a flaky provision, a failure, an error, a block, a skip, a leak; one subject without an end.
fn run(text: &str) -> RunState {
    let names = ["workspace-start", "ssh-on-22", "scale-out"];
    let planned = |cell: Cell| PlannedCell {
        id: cell.id(),
        why: "test".to_owned(),
        servers: 2,
        expected_s: None,
        scenarios: names
            .map(|n| PlannedScenario {
                scenario: ScenarioId::of(n),
                skip: (n == "scale-out").then(|| SkipReason(format!("cannot grow {text}"))),
            })
            .to_vec(),
        cell,
    };
    let one = Cell::default();
    let two = Cell { shift: Shift::Shiftfs, ..Cell::default() };
    let plan = Plan {
        matrix_sha256: "0".repeat(64),
        cover: Cover::OneOff,
        cells: vec![planned(one.clone()), planned(two.clone())],
        scenarios: names
            .map(|n| ScenarioSpec {
                id: ScenarioId::of(n),
                asks: "?".to_owned(),
                needs: Vec::new(),
                impact: Impact::ReadOnly,
                patience_s: 1,
                file: format!("scenarios/src/{}.rs", n.replace('-', "_")),
            })
            .to_vec(),
        left_out: Vec::new(),
        ..Plan::default()
    };
    let scenario = |n: &'static str| Subject::Scenario(ScenarioId::of(n));
    let mut kinds = vec![
        EventKind::RunStarted {
            format: FORMAT,
            run: "r20261123-1-7f3a".parse().expect("run id"),
            version: "0.1.0".to_owned(),
            evidence: Evidence::Emulated,
            provider: "embedded".to_owned(),
            inputs: Vec::new(),
        },
        EventKind::RunPlanned { plan: Box::new(plan) },
        EventKind::Noted { cell: None, subject: None, text: text.to_owned() },
    ];
    let mut step = |cell: &Cell, subject: Subject, attempt: u32, outcome: Outcome, failed: bool| {
        kinds.push(EventKind::SubjectStarted { cell: cell.id(), subject: subject.clone(), attempt });
        if failed {
            kinds.push(EventKind::CheckFinished {
                cell: cell.id(),
                subject: subject.clone(),
                attempt,
                check: CheckName::of("GSH-SSH-004"),
                title: text.to_owned(),
                result: CheckResult::Failed { blame: Blame::Product, finding: finding(text) },
                took_ms: 12,
            });
        }
        kinds.push(EventKind::SubjectFinished { cell: cell.id(), subject, attempt, outcome, took_ms: 61_234 });
    };
    let environment = || Outcome::Inconclusive { why: Why::Environment, finding: finding(text) };
    step(&one, Subject::Provision, 1, environment(), false);
    step(&one, Subject::Provision, 2, Outcome::Passed, false);
    step(&one, Subject::Install, 1, Outcome::Passed, false);
    step(&one, scenario("workspace-start"), 1, Outcome::Passed, false);
    step(&one, scenario("ssh-on-22"), 1, Outcome::Failed(finding(text)), true);
    step(&one, Subject::Teardown, 1, Outcome::Passed, false);
    step(&two, Subject::Provision, 1, environment(), false);
    step(&two, Subject::Provision, 2, environment(), true);
    let blocked = Outcome::Inconclusive { why: Why::BlockedBy(Subject::Provision), finding: finding("blocked") };
    step(&two, Subject::Install, 1, blocked.clone(), false);
    step(&two, scenario("workspace-start"), 1, blocked, false);
    kinds.push(EventKind::InventoryTaken {
        left: vec![Resource { kind: "server".to_owned(), id: 7, name: "gsh-left".to_owned(), cents_per_month: None }],
    });
    let events: Vec<Event> = kinds
        .into_iter()
        .zip(1_u64..)
        .map(|(kind, seq)| {
            let at = jiff::Timestamp::from_second(1_795_000_000 + i64::try_from(seq).expect("small")).expect("time");
            Event { seq, at, kind }
        })
        .collect();
    RunState::replay(&events).expect("legal")
}

#[test]
fn junit_reads_well() {
    insta::assert_snapshot!(render(Format::Junit, &run("permission granted <b>&\n]]> \u{1b}[31mred")));
}

#[test]
fn summary_reads_well() {
    insta::assert_snapshot!(render(Format::Markdown, &run("permission granted <b>| `x`\n")));
}

#[test]
fn results_read_well() {
    insta::assert_snapshot!(render(Format::Json, &run("permission granted")));
}

#[test]
fn a_run_of_nothing_renders_in_every_format() {
    for format in Format::ALL {
        let text = render(format, &RunState::default());
        assert!(!text.is_empty());
    }
    let xml = render(Format::Junit, &RunState::default());
    roxmltree::Document::parse(&xml).unwrap_or_else(|e| panic!("{e}: {xml}"));
}

proptest! {
    #[test]
    fn any_text_at_all_gives_xml_that_a_strict_parser_accepts(text in any::<String>(), tail in "(\\]\\]>|<!\\[CDATA\\[|&|\\x1b\\[31m|\\x00|\\r){0,4}") {
        let xml = render(Format::Junit, &run(&format!("{text}{tail}")));
        let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e}")))?;
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase")).count();
        prop_assert_eq!(cases, 12);
        let failure = document.descendants().find(|n| n.has_tag_name("failure")).expect("the failure is there");
        let body = failure.text().unwrap_or_default();
        // A trailing carriage return or escape takes its neighbour with it; the visible text is what must survive.
        let visible: String = gsh_reports::text::sanitise(&format!("observed: {text}{tail}"));
        prop_assert!(body.contains(visible.trim_end()), "{:?} not in {:?}", visible, body);
    }
}
