//! The ways to read a run: live as events, again as it looked, in every format.

use crate::program::{Ended, Program};

fn small(program: &Program, extra: &[&str]) -> Ended {
    let matrix = program.matrix(&[("ssh-gateway", &["on", "off"])]).display().to_string();
    let mut args = vec!["--matrix", &matrix, "--cover", "full", "--scenario", "workspace-start"];
    args.extend(extra);
    program.run(&args)
}

#[test]
fn events_come_live_on_standard_output_and_the_run_can_be_seen_again() {
    let program = Program::new();
    let ended = small(&program, &["--format", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let directory = ended.out.display().to_string();
    assert_eq!(ended.stdout.trim_end(), ended.file("ledger.jsonl").trim_end(), "the stream has what the ledger has");
    assert!(ended.stderr.contains(&directory), "the run directory is named for people");

    // What the terminal said about the run, it says again.
    let again = program.gsh(&["replay", &directory]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let told = |text: &str| -> Vec<String> {
        let own = |l: &&str| !l.starts_with("run r") && !l.contains(&directory);
        text.lines().filter(own).map(str::to_owned).collect()
    };
    assert_eq!(told(&again.stderr), told(&ended.stderr));
    assert!(again.stderr.contains("workspace-start"), "{}", again.stderr);

    // A record without its end is shown as far as it goes.
    let ledger = ended.file("ledger.jsonl");
    let lines: Vec<&str> = ledger.lines().collect();
    std::fs::write(ended.out.join("ledger.jsonl"), format!("{}\n", lines[..lines.len() - 4].join("\n")))
        .expect("write");
    let cut = program.gsh(&["replay", &directory]);
    assert_eq!(cut.code, 0, "{}", cut.stderr);
    assert!(cut.stderr.contains("the record ends here"), "{}", cut.stderr);
}

#[test]
fn every_format_can_be_had_from_a_ledger_and_the_schema_is_published() {
    let program = Program::new();
    let ended = small(&program, &[]);
    let directory = ended.out.display().to_string();
    for (format, begin) in [
        ("junit-strict", "<?xml"),
        ("html", "<!DOCTYPE html>"),
        ("github", "::notice title=gsh::passed"),
        ("ctrf", "{\n  \"generatedBy\": \"gsh\""),
        ("markdown", "# gsh: passed"),
    ] {
        let report = program.gsh(&["report", &directory, "--format", format, "--baseline", &directory]);
        assert_eq!(report.code, 0, "{}", report.stderr);
        assert!(report.stdout.starts_with(begin), "{format}: {:.200}", report.stdout);
        let changed = ["Changed since `r", "What changed since r"].iter().any(|w| report.stdout.contains(w));
        assert_eq!(changed, ["html", "markdown"].contains(&format), "{format}");
    }
    let schema = program.gsh(&["schema", "results"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).expect("a schema is JSON");
    assert_eq!(schema["properties"]["schema"]["const"], ended.results()["schema"]);
}
