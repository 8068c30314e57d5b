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
