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
fn a_page_with_history_and_policy_says_verdict_strips_and_what_changed() {
    let program = Program::new();
    let matrix = program.matrix(&[("ssh-gateway", &["on", "off"])]).display().to_string();
    let scenario = ["--cover", "full", "--scenario", "workspace-start"];
    let path = |name: &str| program.folder().join(name).display().to_string();
    let history = path("history");
    let run = |out: &str, more: &[&str]| {
        let ended = program.gsh(
            &[&["run", "--provider", "embedded", "--matrix", &matrix, "--out", out][..], &scenario, more].concat(),
        );
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    };
    let (first, second) = (path("first"), path("second"));
    run(&first, &[]);
    let added = program.gsh(&["history", "add", &first, "--dir", &history]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    run(&second, &["--history", &history]);
    let read = |file: &str| std::fs::read_to_string(program.folder().join(file)).expect("a report");
    let page = read("second/report.html");
    for needed in ["What changed since the last green run, r", "aria-label=\"before: 1 passed\"", "Pairs of values"] {
        assert!(page.contains(needed), "gsh run --history: {needed}");
    }
    assert!(read("second/summary.md").contains("Changed since the last green run, `r"));
    assert!(!read("first/report.html").contains("Pairs of values"), "nothing was known then");

    let policy = program.write("policy.toml", "evidence = [\"emulated\"]\n").display().to_string();
    let report = |more: &[&str]| {
        let given = ["report", &second, "--format", "html", "--history", &history, "--matrix", &matrix];
        program.gsh(&[&given[..], more].concat())
    };
    let judged = report(&["--policy", &policy]);
    assert_eq!(judged.code, 0, "{}", judged.stderr);
    // Whatever the gate says, the page says.
    let gate = program.gsh(&[
        "gate",
        &second,
        "--policy",
        &policy,
        "--matrix",
        &matrix,
        "--history",
        &history,
        "--format",
        "json",
    ]);
    let verdict: serde_json::Value = serde_json::from_str(&gate.stdout).expect("a verdict");
    let word = verdict["verdict"].as_str().expect("a word");
    assert!(judged.stdout.contains(&format!("the gate says {word}")), "{word}");
    let coverage = &verdict["coverage"];
    let proven = format!("<b>{} of {} pairs of values</b>", coverage["covered"], coverage["feasible"]);
    assert!(judged.stdout.contains(&proven), "{proven}");
    let left_out = report(&["--waivers", &policy]);
    assert_eq!(left_out.code, 2, "{}", left_out.stdout);
    assert!(left_out.stderr.contains("--waivers says nothing without a policy"), "{}", left_out.stderr);
}

#[test]
fn a_ledger_damaged_at_any_byte_is_refused_with_its_file_and_nothing_is_written() {
    let program = Program::new();
    let ended = small(&program, &[]);
    let ledger = ended.out.join("ledger.jsonl");
    let whole = std::fs::read(&ledger).expect("the ledger");
    let directory = ended.out.display().to_string();
    let (output, history) = (program.folder().join("report"), program.folder().join("history"));
    let (to, dir) = (output.display().to_string(), history.display().to_string());
    let commands: [&[&str]; 3] = [
        &["report", &directory, "--format", "json", "--output", &to],
        &["history", "add", &directory, "--dir", &dir],
        &["explain", &directory],
    ];
    let mut places = 0;
    for n in 0..24 {
        let mut broken = whole.clone();
        let at = n * (whole.len() - 1) / 23;
        if n % 2 == 0 {
            broken[at] ^= 0x01;
        } else {
            broken.truncate(at);
        }
        std::fs::write(&ledger, &broken).expect("write");
        let refused = program.gsh(commands[n % commands.len()]);
        assert_eq!(refused.code, 2, "byte {at}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("ledger.jsonl") && refused.stdout.is_empty(), "byte {at}: {}", refused.stderr);
        places += usize::from(refused.stderr.contains("line ") || refused.stderr.contains("event "));
        assert!(!output.exists() && !history.exists(), "byte {at}: nothing is written");
    }
    assert!(places > 0, "what breaks the form is shown with its line");
    std::fs::write(&ledger, &whole).expect("write");
    commands.iter().for_each(|args| assert_eq!(program.gsh(args).code, 0, "{args:?}"));
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

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    use std::io::Read as _;
    use std::process::Stdio;
    let program = Program::new();
    // More than a pipe holds, read by somebody who stops after the first bytes.
    let mut child = program
        .command()
        .args(["plan", "--cover", "full", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gsh starts");
    let mut few = [0; 64];
    child.stdout.take().expect("piped").read_exact(&mut few).expect("it writes");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
