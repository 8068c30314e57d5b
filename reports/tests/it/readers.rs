//! Programs and schemas that nobody here wrote read what is rendered. Where one is absent, the test says so.

use std::process::{Command, Output, Stdio};

use gsh_model::run::RunState;
use gsh_reports::format::{Format, render};
use gsh_reports::mark::Mark;

use crate::sample;

/// Whether a program is there; says so where it is not.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn present(program: &str, args: &[&str]) -> bool {
    let quiet = || Stdio::null();
    let there = Command::new(program).args(args).stdout(quiet()).stderr(quiet()).status().is_ok_and(|s| s.success());
    if !there {
        eprintln!("not checked: `{program} {}` is not there", args.join(" "));
    }
    there
}

fn read(program: &str, args: &[&str], text: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("report");
    std::fs::write(&file, text).expect("write the report");
    Command::new(program).args(args).arg(&file).output().expect("the reader starts")
}

fn runs() -> Vec<RunState> {
    vec![sample::run("permission granted\n]]> \u{1b}[31m"), sample::green(), sample::wide(200, 2), RunState::default()]
}

#[test]
fn the_strict_profile_keeps_to_the_schema_and_the_rich_one_does_not() {
    if !present("xmllint", &["--version"]) {
        return;
    }
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/strict.xsd");
    let args = ["--noout", "--schema", schema];
    for run in runs() {
        let checked = read("xmllint", &args, &render(Format::JunitStrict, &run));
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    let rich = read("xmllint", &args, &render(Format::Junit, &sample::run("x")));
    assert!(!rich.status.success(), "the schema must be able to refuse");
}

#[test]
fn junitparser_counts_what_the_marks_say() {
    if !present("python3", &["-c", "import junitparser"]) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/readers.py");
    for (run, format) in runs().iter().take(3).flat_map(|r| [(r, Format::Junit), (r, Format::JunitStrict)]) {
        let said = read("python3", &[script], &render(format, run));
        let all = || run.cells.iter().flat_map(|c| &c.subjects);
        let count = |wanted: &[Mark]| all().filter(|s| wanted.contains(&Mark::of(s))).count();
        let earlier = |s: &gsh_model::run::SubjectState| s.attempts.len().saturating_sub(1);
        let wanted = format!(
            "cases={} passed={} failed={} error={} skipped={} flaky={} rerun={} earlier={}",
            all().count(),
            count(&[Mark::Passed, Mark::Flaky]),
            count(&[Mark::Failed]),
            count(&[Mark::Unclear, Mark::NotRun]),
            count(&[Mark::Skipped, Mark::Blocked]),
            count(&[Mark::Flaky]),
            all().filter(|s| earlier(s) > 0 && Mark::of(s) != Mark::Flaky).count(),
            all().map(earlier).sum::<usize>(),
        );
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), wanted, "{}", String::from_utf8_lossy(&said.stderr));
    }
}

/// How many subjects have one of these marks.
fn count(run: &RunState, wanted: &[Mark]) -> usize {
    run.cells.iter().flat_map(|c| &c.subjects).filter(|s| wanted.contains(&Mark::of(s))).count()
}

#[test]
fn junit_to_ctrf_counts_what_the_marks_say() {
    if !present("junit-to-ctrf", &["--version"]) {
        return;
    }
    for (run, format) in runs().iter().take(3).flat_map(|r| [(r, Format::Junit), (r, Format::JunitStrict)]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("junit.xml"), folder.path().join("ctrf.json"));
        std::fs::write(&from, render(format, run)).expect("write the report");
        let said = Command::new("junit-to-ctrf").arg(&from).arg("-o").arg(&to).output().expect("the reader starts");
        let read = std::fs::read_to_string(&to).unwrap_or_else(|e| panic!("{e}: {said:?}"));
        let read: serde_json::Value = serde_json::from_str(&read).expect("it writes JSON");
        let summary = &read["results"]["summary"];
        let seen = ["tests", "passed", "failed", "skipped"].map(|key| summary[key].as_u64().unwrap_or_default());
        // It knows no difference between a failure and an error.
        let wanted = [
            run.cells.iter().map(|c| c.subjects.len()).sum(),
            count(run, &[Mark::Passed, Mark::Flaky]),
            count(run, &[Mark::Failed, Mark::Unclear, Mark::NotRun]),
            count(run, &[Mark::Skipped, Mark::Blocked]),
        ];
        assert_eq!(seen, wanted.map(|n| n as u64));
        let tests = read["results"]["tests"].as_array().expect("tests");
        assert_eq!(tests.iter().filter(|t| t["flaky"] == true).count(), count(run, &[Mark::Flaky]));
        let retries: u64 = tests.iter().filter_map(|t| t["retries"].as_u64()).sum();
        let attempts = run.cells.iter().flat_map(|c| &c.subjects).map(|s| s.attempts.len().saturating_sub(1));
        assert_eq!(retries, attempts.sum::<usize>() as u64);
    }
}

#[test]
fn xunit_viewer_counts_what_the_marks_say() {
    if !present("xunit-viewer", &["--version"]) {
        return;
    }
    for (run, format) in runs().iter().take(3).flat_map(|r| [(r, Format::Junit), (r, Format::JunitStrict)]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("junit.xml"), folder.path().join("page.html"));
        std::fs::write(&from, render(format, run)).expect("write the report");
        let args = ["--console", "--no-color", "--clear", "false", "--results"];
        let said =
            Command::new("xunit-viewer").args(args).arg(&from).arg("--output").arg(&to).output().expect("it starts");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let line = said.lines().rev().find(|l| l.contains(" passed")).unwrap_or_else(|| panic!("{said}"));
        let number = |words: &[&str]| -> usize {
            let parts = line.split(", ").filter_map(|part| part.split_once(' '));
            parts.filter(|(_, word)| words.contains(word)).filter_map(|(n, _)| n.parse::<usize>().ok()).sum()
        };
        // What passed at a later attempt is a state of its own there.
        assert_eq!(number(&["passed"]), count(run, &[Mark::Passed]), "{line}");
        assert_eq!(number(&["flakyFailure", "flakyError"]), count(run, &[Mark::Flaky]), "{line}");
        assert_eq!(number(&["failure"]), count(run, &[Mark::Failed]), "{line}");
        assert_eq!(number(&["error"]), count(run, &[Mark::Unclear, Mark::NotRun]), "{line}");
        assert_eq!(number(&["skipped"]), count(run, &[Mark::Skipped, Mark::Blocked]), "{line}");
    }
}

#[test]
fn results_keep_to_the_published_schema() {
    if !present("python3", &["-c", "import jsonschema"]) {
        return;
    }
    let script = "import json, sys, jsonschema\n\
                  schema = json.loads(sys.argv[1])\n\
                  jsonschema.Draft202012Validator.check_schema(schema)\n\
                  jsonschema.Draft202012Validator(schema).validate(json.load(open(sys.argv[2])))";
    for run in runs() {
        let checked = read("python3", &["-c", script, gsh_reports::json::JSON_SCHEMA], &render(Format::Json, &run));
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    let broken = render(Format::Json, &sample::green()).replace("\"passed\"", "\"green\"");
    let checked = read("python3", &["-c", script, gsh_reports::json::JSON_SCHEMA], &broken);
    assert!(!checked.status.success(), "the schema must be able to refuse");
}
