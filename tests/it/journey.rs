//! The main job: from a matrix to a run directory, and back from the ledger to the same reports.

use std::path::{Path, PathBuf};

use crate::program::{Ended, Program};

#[test]
fn a_run_leaves_a_complete_private_run_directory() {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let ended = program.run(&["--matrix", &matrix, "--cover", "full"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout.trim(), ended.out.display().to_string(), "the run directory is the data");
    for file in ["ledger.jsonl", "plan.json", "results.json", "junit.xml", "summary.md", "report.html"] {
        assert!(!ended.file(file).is_empty(), "{file}");
        mode(&ended.out.join(file), 0o600);
    }
    mode(&ended.out, 0o700);
    dns_records(&ended);
    let results = ended.results();
    assert_eq!(results["evidence"], "emulated");
    assert_eq!(results["inventory"], serde_json::json!([]), "emptiness is proved");
    assert!(ended.outcomes().iter().all(|(_, _, o)| o == "passed"), "{:?}", ended.outcomes());

    // A year later the ledger alone gives the same reports.
    for (format, file) in
        [("junit", "junit.xml"), ("markdown", "summary.md"), ("json", "results.json"), ("html", "report.html")]
    {
        let again = program.gsh(&["report", &ended.out.display().to_string(), "--format", format]);
        assert_eq!(again.stdout, ended.file(file), "{format}");
    }
}

/// What a public DNS would need is kept as data, for whoever wants it: the site and its wildcards, at the ingress.
fn dns_records(ended: &Ended) {
    let kept = walk(&ended.out.join("artifacts"))
        .into_iter()
        .find(|path| path.display().to_string().ends_with("-dns-records.json"));
    let records: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(kept.expect("it is kept")).expect("read")).expect("JSON");
    let records = records.as_array().expect("a list");
    let names: Vec<&str> = records.iter().filter_map(|r| r["name"].as_str()).collect();
    let [site, all, workspaces] = names[..] else { panic!("{names:?}") };
    assert_eq!((all, workspaces), (&*format!("*.{site}"), &*format!("*.ws.{site}")));
    assert!(records.iter().all(|r| r["type"] == "A" && r["value"] == records[0]["value"]), "{records:?}");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry").path());
    inside.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[cfg(unix)]
fn mode(path: &std::path::Path, wanted: u32) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode, wanted, "{}", path.display());
}

#[test]
fn two_runs_of_one_plan_have_the_same_cases_in_the_same_order() {
    let cases = || {
        let program = Program::new();
        let matrix = program.matrix(&[("size", &["single", "small"])]).display().to_string();
        let ended = program.run(&["--matrix", &matrix, "--cover", "full"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let xml = ended.file("junit.xml");
        let document = roxmltree::Document::parse(&xml).expect("a strict parser accepts it");
        document
            .descendants()
            .filter(|n| n.has_tag_name("testcase"))
            .map(|n| format!("{} {}", n.attribute("classname").unwrap_or(""), n.attribute("name").unwrap_or("")))
            .collect::<Vec<_>>()
    };
    let first = cases();
    // Three phases and eight scenarios in each of two cells.
    assert_eq!(first.len(), 22);
    assert_eq!(first, cases());
}

#[test]
fn a_plan_is_shown_with_what_is_left_out() {
    let program = Program::new();
    let matrix = program.matrix(&[("shift", &["fuse", "shiftfs"]), ("os", &["ubuntu-22.04", "ubuntu-20.04"])]);
    let ended = program.gsh(&["plan", "--matrix", &matrix.display().to_string()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    insta::assert_snapshot!(ended.stdout);
}
