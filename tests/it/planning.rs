//! Plans on disk, shards, history and explanations, with the real program.

use gsh_model::axis::Database;
use gsh_model::check::CheckName;
use gsh_model::event::{Event, EventKind, FORMAT};
use gsh_model::lease::{LeaseId, RunId};
use gsh_model::outcome::{Evidence, Finding, Outcome, Subject};
use gsh_model::plan::{Plan, PlannedCell};
use jiff::{SignedDuration, Timestamp};

use crate::program::{Ended, Program};

/// Writes the ledger of a run in which every cell with this property fails, as the program would have.
fn recorded(program: &Program, run: &str, plan: &Plan, red: impl Fn(&PlannedCell) -> bool) -> String {
    let begins: Timestamp = "2026-11-23T01:00:00Z".parse().expect("a timestamp");
    let run: RunId = run.parse().expect("a run id");
    let finding = || Finding {
        check: CheckName::of("GSH-TST-001"),
        expected: "it works".to_owned(),
        observed: "it does not".to_owned(),
        causes: Vec::new(),
    };
    let mut kinds = vec![
        EventKind::RunStarted {
            format: FORMAT,
            run: run.clone(),
            version: "0.1.0".to_owned(),
            evidence: Evidence::Emulated,
            provider: "embedded".to_owned(),
            inputs: Vec::new(),
        },
        EventKind::RunPlanned { plan: Box::new(plan.clone()) },
    ];
    for (n, planned) in plan.own_cells().enumerate() {
        let (cell, lease) = (planned.id.clone(), LeaseId::new(&run, n, 1));
        let expires = begins + SignedDuration::from_hours(4);
        kinds.push(EventKind::LeaseRequested { cell: cell.clone(), lease: lease.clone(), expires });
        for subject in planned.subjects() {
            kinds.push(EventKind::SubjectStarted { cell: cell.clone(), subject: subject.clone(), attempt: 1 });
            let fails = matches!(subject, Subject::Scenario(_)) && red(planned);
            let outcome = if fails { Outcome::Failed(finding()) } else { Outcome::Passed };
            kinds.push(EventKind::SubjectFinished { cell: cell.clone(), subject, attempt: 1, outcome, took_ms: 1000 });
        }
        kinds.push(EventKind::LeaseReleased { cell, lease, removed: Vec::new() });
    }
    kinds.extend([EventKind::InventoryTaken { left: Vec::new() }, EventKind::RunFinished]);
    let lines: Vec<String> = kinds
        .into_iter()
        .zip(1_u64..)
        .map(|(kind, seq)| {
            let at = begins + SignedDuration::from_secs(i64::try_from(seq).expect("few"));
            serde_json::to_string(&Event { seq, at, kind }).expect("JSON")
        })
        .collect();
    let folder = program.folder().join(run.as_str());
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("ledger.jsonl"), lines.join("\n") + "\n").expect("a ledger");
    folder.display().to_string()
}

fn plan_file(path: &str) -> Plan {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a plan")).expect("a plan")
}

fn good(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

#[test]
fn shards_of_a_plan_run_apart_and_are_reported_together() {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"]), ("tls", &["private-ca", "byo"])]).display().to_string();
    let file = program.folder().join("plan.json").display().to_string();
    let output = program.folder().join("output");
    let args = ["plan", "--matrix", &matrix, "--scenario", "ssh-on-22", "--format", "github", "--output", &file];
    let ended = good(program.ended(program.command().args(args).env("GITHUB_OUTPUT", &output).output().expect("gsh")));
    insta::assert_snapshot!(ended.stdout);
    let outputs = std::fs::read_to_string(&output).expect("the step's outputs");
    assert_eq!(outputs, format!("matrix={}\ncount=2\n", ended.stdout.trim_end()));

    let run = |shard: &str, out: &str| {
        let out = program.folder().join(out).display().to_string();
        let args =
            ["run", "--provider", "embedded", "--matrix", &matrix, "--plan", &file, "--shard", shard, "--out", &out];
        good(program.gsh(&args));
        out
    };
    let (one, two) = (run("01", "one"), run("2", "two"));
    let merged = good(program.gsh(&["report", &two, &one, "--format", "json"]));
    let again = good(program.gsh(&["report", &one, &two, "--format", "json"]));
    assert_eq!(merged.stdout, again.stdout, "the order does not matter");
    let results: serde_json::Value = serde_json::from_str(&merged.stdout).expect("JSON");
    assert_eq!(results["exit"], 0);
    assert_eq!(results["cells"].as_array().map(Vec::len), Some(2));

    let missing = good(program.gsh(&["report", &one, "--format", "junit"]));
    assert_eq!(missing.stdout.matches("type=\"shard-missing\"").count(), 4, "{}", missing.stdout);

    let other = program.folder().join("other.json").display().to_string();
    good(program.gsh(&["plan", "--matrix", &matrix, "--max-jobs", "1", "--output", &other]));
    shard_that_was_never_added(&program, &matrix, &file);
    let mixed = recorded(&program, "r20261123-01-aa", &plan_file(&other), |_| false);
    let refused = program.gsh(&["report", &one, &mixed]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("are not of one plan"), "{}", refused.stderr);
}

/// A night of which a shard was never added is told, and is no last green one; one shard more, and it is.
fn shard_that_was_never_added(program: &Program, matrix: &str, file: &str) {
    let history = program.folder().join("nights").display().to_string();
    let plan = plan_file(file);
    let night = |shard: &str| {
        let of_shard = Plan { shard: Some(shard.parse().expect("a shard")), ..plan.clone() };
        let run = recorded(program, &format!("r20261123-{shard}-0000"), &of_shard, |_| false);
        good(program.gsh(&["history", "add", &run, "--dir", &history]));
        good(program.gsh(&["history", "show", "--dir", &history])).stdout
    };
    let part = night("01");
    assert!(part.contains("incomplete: of the night of r20261123-01-0000 shard 02"), "{part}");
    // A plan that was made before compares its runs with a history as any other does.
    let out = program.folder().join("later").display().to_string();
    let later = |out: &str| {
        let args = ["run", "--provider", "embedded", "--matrix", matrix, "--plan", file, "--shard", "01", "--out", out];
        good(program.gsh(&[&args[..], &["--history", &history]].concat()));
        std::fs::read_to_string(format!("{out}/summary.md")).expect("a summary")
    };
    let summary = later(&out);
    assert!(!summary.contains("the last green"), "{summary}");
    for shard in plan.shards.iter().skip(1) {
        let _all_there = night(&shard.id.to_string());
    }
    let whole = good(program.gsh(&["history", "show", "--dir", &history])).stdout;
    assert!(!whole.contains("incomplete"), "{whole}");
    let summary = later(&format!("{out}-again"));
    assert!(summary.contains("the last green"), "{summary}");
}

#[test]
fn bad_parts_of_plans_are_refused() {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let other = program.write("other.toml", "[axes]\nsize = [\"single\", \"small\"]\n").display().to_string();
    let file = program.folder().join("plan.json").display().to_string();
    good(program.gsh(&["plan", "--matrix", &matrix, "--output", &file]));
    let broken = program.write("broken.json", "{\"cells\":[]").display().to_string();
    let damaged = program.folder().join("history");
    std::fs::create_dir(&damaged).expect("a folder");
    std::fs::write(damaged.join("r1.000000000000.json"), "{}").expect("a file");
    let damaged = damaged.display().to_string();
    let missing = program.folder().join("missing").display().to_string();
    let cases: Vec<Vec<&str>> = vec![
        vec!["run", "--matrix", &matrix, "--plan", &file, "--shard", "01"],
        vec!["run", "--matrix", &other, "--plan", &file],
        vec!["run", "--matrix", &matrix, "--plan", &broken],
        vec!["run", "--matrix", &matrix, "--plan", &file, "--select", "size=single"],
        vec!["run", "--matrix", &matrix, "--shard", "0"],
        vec!["plan", "--matrix", &matrix, "--max-jobs", "257"],
        vec!["plan", "--matrix", &matrix, "--budget", "1"],
        vec!["plan", "--matrix", &matrix, "--scenario", "ssh-on-22", "--within", "5m"],
        vec!["plan", "--matrix", &matrix, "--within", "soon"],
        vec!["plan", "--matrix", &matrix, "--history", &missing],
        vec!["plan", "--matrix", &matrix, "--history", &damaged],
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|args| {
            let ended = program.gsh(args);
            assert_eq!(ended.code, 2, "{args:?}: {}", ended.stderr);
            ended.stderr.replace(&program.folder().display().to_string(), "<folder>")
        })
        .collect();
    insta::assert_snapshot!(shown.join("---\n"));
}

#[test]
fn a_history_remembers_and_plans() {
    let program = Program::new();
    let matrix = program
        .matrix(&[
            ("size", &["single", "small"]),
            ("tls", &["private-ca", "byo"]),
            ("database", &["incluster", "external"]),
        ])
        .display()
        .to_string();
    let file = program.folder().join("plan.json").display().to_string();
    let proved =
        good(program.gsh(&["plan", "--matrix", &matrix, "--scenario", "ssh-on-22", "--check", "--output", &file]));
    assert!(proved.stdout.contains("checked by another way: 12 of 12 pairs"), "{}", proved.stdout);
    let plan = plan_file(&file);
    let run = recorded(&program, "r20261123-01-aa", &plan, |c| c.cell.database == Database::External);

    let history = program.folder().join("history").display().to_string();
    let added = good(program.gsh(&["history", "add", &run, "--dir", &history]));
    assert_eq!(added.stdout, good(program.gsh(&["history", "add", &run, "--dir", &history])).stdout);
    assert_eq!(std::fs::read_dir(&history).expect("a folder").count(), 1, "adding again changes nothing");

    let at = ["--now", "2026-11-26T01:00:00Z", "--dir", &history];
    let look = |args: &[&str]| good(program.gsh(&[&["history"], args, &at[..]].concat())).stdout;
    let night = ["plan", "--matrix", &matrix, "--scenario", "ssh-on-22", "--history", &history, "--within", "40m"];
    // How long ago something was green depends on when the test runs; which cells are needed does not.
    let night = good(program.gsh(&night)).stdout;
    assert!(night.contains("the base cell") && night.contains("pairs never green"), "{night}");
    let page = look(&["show", "--format", "html", "--matrix", &matrix]);
    roxmltree::Document::parse(&page.replacen("<!DOCTYPE html>", "", 1)).map_or_else(
        // HTML leaves the ends of some elements away; what matters here is that nothing else is wrong.
        |e| assert!(e.to_string().contains("meta"), "{e}"),
        |_| (),
    );
    assert!(!page.contains("<script") && !page.contains("http://") && page.contains("last result red"));
    insta::assert_snapshot!(
        [look(&["show"]), look(&["coverage", "--matrix", &matrix]), look(&["flaky"])].join("---\n")
    );
}

#[test]
fn failures_are_explained_and_narrowed_down() {
    let program = Program::new();
    let matrix = program
        .matrix(&[
            ("size", &["single", "small"]),
            ("tls", &["private-ca", "byo"]),
            ("database", &["incluster", "external"]),
            ("registry", &["incluster", "external"]),
        ])
        .display()
        .to_string();
    let file = program.folder().join("plan.json").display().to_string();
    good(program.gsh(&["plan", "--matrix", &matrix, "--scenario", "ssh-on-22", "--output", &file]));
    let run = recorded(&program, "r20261123-01-aa", &plan_file(&file), |c| c.cell.database == Database::External);
    let explained = good(program.gsh(&["explain", &run, "--matrix", &matrix]));
    insta::assert_snapshot!(explained.stdout.replace(&program.folder().display().to_string(), "<folder>"));

    let green = recorded(&program, "r20261123-01-bb", &plan_file(&file), |_| false);
    let refused = program.run(&["--matrix", &matrix, "--narrow", &green]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("nothing failed in these runs"), "{}", refused.stderr);
    assert!(!refused.out.exists());

    // The embedded world is healthy, so what failed in the record passes now, in just the cells that would decide.
    let ended = program.run(&["--matrix", &matrix, "--narrow", &run]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let planned: Vec<String> =
        plan_file(&ended.out.join("plan.json").display().to_string()).cells.iter().map(|c| c.id.to_string()).collect();
    assert!(planned.iter().all(|id| explained.stdout.contains(&format!("would decide: {id} "))), "{planned:?}");
    assert!(ended.outcomes().iter().any(|(_, subject, _)| subject == "ssh-on-22"));
}
