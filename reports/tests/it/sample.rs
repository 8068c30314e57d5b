//! Runs to render: a small one with every kind of outcome, a green one, and as large ones as wanted.

use gsh_model::axis::{AxisName, Cell, Shift};
use gsh_model::check::CheckName;
use gsh_model::cover::Cover;
use gsh_model::event::{CheckResult, Event, EventKind, FORMAT};
use gsh_model::history::{History, RunSummary};
use gsh_model::lease::Resource;
use gsh_model::outcome::{Blame, Evidence, Finding, Outcome, SkipReason, Subject, Why};
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario};
use gsh_model::run::RunState;
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};
use jiff::SignedDuration;

fn finding(text: &str) -> Finding {
    Finding {
        check: CheckName::of("GSH-SSH-004"),
        expected: "a bad token is refused".to_owned(),
        observed: text.to_owned(),
        causes: vec![text.to_owned()],
    }
}

/// A run of two cells: a flaky provision, a flaky scenario, a failure in three attempts, an error, a block, a skip, a leak; one subject without an end.
pub(crate) fn run(text: &str) -> RunState {
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
        if failed {
            kinds.push(EventKind::ArtifactKept {
                cell: cell.id(),
                subject: subject.clone(),
                attempt,
                name: text.to_owned(),
                path: format!("artifacts/{}/ssh.log", cell.id()),
                bytes: 2048,
            });
        }
        kinds.push(EventKind::SubjectFinished { cell: cell.id(), subject, attempt, outcome, took_ms: 61_234 });
    };
    let environment = || Outcome::Inconclusive { why: Why::Environment, finding: finding(text) };
    step(&one, Subject::Provision, 1, environment(), false);
    step(&one, Subject::Provision, 2, Outcome::Passed, false);
    step(&one, Subject::Install, 1, Outcome::Passed, false);
    step(&one, scenario("workspace-start"), 1, Outcome::Failed(finding(text)), false);
    step(&one, scenario("workspace-start"), 2, Outcome::Passed, false);
    step(&one, scenario("ssh-on-22"), 1, Outcome::Failed(finding(text)), true);
    step(&one, scenario("ssh-on-22"), 2, environment(), false);
    step(&one, scenario("ssh-on-22"), 3, Outcome::Failed(finding(text)), true);
    step(&one, Subject::Teardown, 1, Outcome::Passed, false);
    step(&two, Subject::Provision, 1, environment(), false);
    step(&two, Subject::Provision, 2, environment(), true);
    let blocked = Outcome::Inconclusive { why: Why::BlockedBy(Subject::Provision), finding: finding("blocked") };
    step(&two, Subject::Install, 1, blocked.clone(), false);
    step(&two, scenario("workspace-start"), 1, blocked, false);
    kinds.push(EventKind::InventoryTaken {
        left: vec![Resource { kind: "server".to_owned(), id: 7, name: "gsh-left".to_owned(), cents_per_month: None }],
    });
    fold(kinds)
}

fn fold(kinds: Vec<EventKind>) -> RunState {
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

const NAMES: [&str; 3] = ["workspace-start", "ssh-on-22", "scale-out"];

fn plan(cells: Vec<Cell>) -> Plan {
    Plan {
        matrix_sha256: "0".repeat(64),
        cover: Cover::Full,
        cells: cells
            .into_iter()
            .map(|cell| PlannedCell {
                id: cell.id(),
                why: "test".to_owned(),
                servers: 1,
                expected_s: None,
                scenarios: NAMES.map(|n| PlannedScenario { scenario: ScenarioId::of(n), skip: None }).to_vec(),
                cell,
            })
            .collect(),
        scenarios: NAMES
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
    }
}

fn started(run: &str) -> EventKind {
    EventKind::RunStarted {
        format: FORMAT,
        run: run.parse().expect("run id"),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        provider: "embedded".to_owned(),
        inputs: Vec::new(),
    }
}

/// The cells of [`run`], all green.
pub(crate) fn green() -> RunState {
    let cells = vec![Cell::default(), Cell { shift: Shift::Shiftfs, ..Cell::default() }];
    let mut kinds = vec![started("r20261122-1-aaaa"), EventKind::RunPlanned { plan: Box::new(plan(cells.clone())) }];
    for cell in &cells {
        for subject in subjects() {
            kinds.extend(ended(cell, subject, 0, Outcome::Passed));
        }
    }
    kinds.push(EventKind::InventoryTaken { left: Vec::new() });
    kinds.push(EventKind::RunFinished);
    fold(kinds)
}

fn subjects() -> Vec<Subject> {
    let mut all = vec![Subject::Provision, Subject::Install];
    all.extend(NAMES.map(|n| Subject::Scenario(ScenarioId::of(n))));
    all.push(Subject::Teardown);
    all
}

fn ended(cell: &Cell, subject: Subject, checks: usize, outcome: Outcome) -> Vec<EventKind> {
    let mut kinds = vec![EventKind::SubjectStarted { cell: cell.id(), subject: subject.clone(), attempt: 1 }];
    kinds.extend((0..checks).map(|_| EventKind::CheckFinished {
        cell: cell.id(),
        subject: subject.clone(),
        attempt: 1,
        check: CheckName::of("GSH-SSH-004"),
        title: "a bad token is refused, and so is one that was good yesterday".to_owned(),
        result: CheckResult::Passed,
        took_ms: 812,
    }));
    kinds.push(EventKind::SubjectFinished { cell: cell.id(), subject, attempt: 1, outcome, took_ms: 61_234 });
    kinds
}

/// As many cells as wanted, each with all subjects and some checks per subject; every tenth has a failure.
pub(crate) fn wide(cells: usize, checks: usize) -> RunState {
    let cells: Vec<Cell> = (0..cells)
        .map(|mut n| {
            let mut cell = Cell::default();
            for (axis, values) in [
                (AxisName::Shift, &["fuse", "shiftfs"][..]),
                (AxisName::Os, &["ubuntu-22.04", "ubuntu-20.04", "ubuntu-24.04"]),
                (AxisName::Database, &["incluster", "external", "external-tls"]),
                (AxisName::Registry, &["incluster", "incluster-s3", "external"]),
                (AxisName::Storage, &["incluster", "s3", "s3-multibucket"]),
                (AxisName::Size, &["single", "small", "medium"]),
                (AxisName::SshGateway, &["on", "off"]),
            ] {
                cell.set(axis, values[n % values.len()]).expect("a value");
                n /= values.len();
            }
            cell.set(AxisName::K3s, &format!("v1.24.{n}+k3s1")).expect("a value");
            cell
        })
        .collect();
    let mut kinds = vec![started("r20261123-1-bbbb"), EventKind::RunPlanned { plan: Box::new(plan(cells.clone())) }];
    for (n, cell) in cells.iter().enumerate() {
        for subject in subjects() {
            let failed = n % 10 == 3 && subject == Subject::Scenario(ScenarioId::of("ssh-on-22"));
            let outcome = if failed { Outcome::Failed(finding("the login succeeded")) } else { Outcome::Passed };
            kinds.extend(ended(cell, subject, checks, outcome));
        }
    }
    kinds.push(EventKind::InventoryTaken { left: Vec::new() });
    kinds.push(EventKind::RunFinished);
    fold(kinds)
}

/// Cells that each fail at something else.
pub(crate) fn every_cell_fails_its_own_way(count: usize) -> RunState {
    let mut kinds = Vec::new();
    let cells: Vec<Cell> = (0..count)
        .map(|n| {
            let mut cell = Cell::default();
            cell.set(AxisName::K3s, &format!("v1.24.{n}+k3s1")).expect("a value");
            cell
        })
        .collect();
    kinds.push(started("r20261123-1-cccc"));
    kinds.push(EventKind::RunPlanned { plan: Box::new(plan(cells.clone())) });
    for (n, cell) in cells.iter().enumerate() {
        // Only letters, since numbers do not tell two causes apart.
        let letters: String = n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        let outcome = Outcome::Failed(finding(&format!("{letters} is broken")));
        kinds.extend(ended(cell, Subject::Install, 0, outcome));
    }
    fold(kinds)
}

/// Some cells, the first ones of which are done.
pub(crate) fn begun(cells: usize, done: usize) -> RunState {
    let cells: Vec<Cell> = (0..cells)
        .map(|n| {
            let mut cell = Cell::default();
            cell.set(AxisName::K3s, &format!("v1.24.{n}+k3s1")).expect("a value");
            cell
        })
        .collect();
    let mut kinds = vec![started("r20261123-1-dddd"), EventKind::RunPlanned { plan: Box::new(plan(cells.clone())) }];
    for cell in &cells[..done] {
        for subject in subjects() {
            kinds.extend(ended(cell, subject, 0, Outcome::Passed));
        }
    }
    fold(kinds)
}

/// Earlier runs of the cells of a run, one a day, the last one yesterday, each with these exit codes.
pub(crate) fn earlier(run: &RunState, exits: &[u8]) -> History {
    let summary = RunSummary::of(run).expect("it was planned");
    let days = i64::try_from(exits.len()).expect("few");
    let runs = exits.iter().zip(0..).map(|(exit, n)| RunSummary {
        run: format!("r20261101-{n}-0000").parse().expect("a run id"),
        started: summary.started - SignedDuration::from_hours(24 * (days - n)),
        exit: *exit,
        ..summary.clone()
    });
    History::new(runs.collect())
}
