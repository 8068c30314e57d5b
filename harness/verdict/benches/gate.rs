//! How long the gate takes over a year of nights.
//!
//! `cargo bench -p gsh-verdict --bench gate`. Reads 365 summaries and 365 index entries from their text, as `gsh gate
//! --history --index` does, and judges tonight's run by a policy that counts runs; beside it, parsing the same text alone.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[expect(dead_code, reason = "the corpus needs more of it")]
#[path = "../tests/corpus/recording.rs"]
mod recording;

use gsh_model::history::RunSummary;
use gsh_model::outcome::Evidence;
use gsh_model::run::RunState;
use gsh_verdict::gate::{Case, Cost, Expected, Ledger, Seal, judge};
use gsh_verdict::index::Index;
use gsh_verdict::past::Past;
use gsh_verdict::policy::Policy;
use gsh_verdict::verdict::Source;
use gsh_verdict::waiver::Waivers;
use jiff::SignedDuration;

use crate::recording::{Script, matrix, suite};

/// Twelve cells, all of which run.
const MATRIX: &str = "[axes]\nsize = [\"single\", \"small\", \"medium\"]\ntls = [\"private-ca\", \"byo\"]\nssh-gateway = [\"on\", \"off\"]\n";
const NIGHTS: i64 = 365;

fn main() {
    let supported = matrix(MATRIX);
    let tonight = Script::green(MATRIX);
    let mut summaries: Vec<(String, String)> = Vec::new();
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    let read = |entries: &[(String, Vec<u8>)]| {
        Index::read(entries.iter().map(|(n, b)| (n.as_str(), b.as_slice()))).expect("an index")
    };
    for night in (0..NIGHTS).rev() {
        let run = if night == 0 { tonight.run.clone() } else { format!("r-night-{night:05}") };
        let started = tonight.started - SignedDuration::from_hours(24 * night);
        let script = Script { run: run.clone(), started, ..tonight.clone() };
        let state = RunState::replay(&script.events()).expect("a legal ledger");
        let summary = RunSummary::of(&state).expect("it was planned");
        summaries.push((summary.file_name(), summary.to_text()));
        entries.push(read(&entries).next(&run.parse().expect("a run id"), started, Evidence::Cloud, &tonight.inputs));
    }
    let state = RunState::replay(&tonight.events()).expect("a legal ledger");
    let policy = Policy::parse(
        "[require]\nconsecutive = 30\nwindow = { days = 365, wilson = 0.9 }\n[subject]\nmatrix = \"exact\"\n",
    )
    .expect("a policy");
    let source = || Source { name: "x".to_owned(), sha256: "0".repeat(64) };
    let run = state.header.as_ref().map(|h| h.run.clone());
    let ledgers = [Ledger { source: source(), run, seal: Seal::Whole }];

    let began = on_cpu();
    let mut results = 0;
    for (_, text) in &summaries {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        results += value["cells"].as_array().map_or(0, Vec::len);
    }
    let bound = on_cpu() - began;

    let began = on_cpu();
    let past: Vec<Past> = summaries
        .iter()
        .map(|(name, text)| Past::of_summary(&RunSummary::parse(name, text).expect("a summary")))
        .collect();
    let index = read(&entries);
    let reading = on_cpu() - began;
    let began = on_cpu();
    let verdict = judge(&Case {
        policy: &policy,
        policy_source: source(),
        waivers: &Waivers::default(),
        waiver_source: None,
        state: &state,
        ledgers: &ledgers,
        past: &past,
        index: Some(&index),
        matrix: Some(&supported),
        suite: &suite(),
        expected: Expected::default(),
        cost: &|_| Cost::default(),
        now: tonight.started + SignedDuration::from_hours(6),
        tool_version: "bench".to_owned(),
    });
    let judging = on_cpu() - began;
    println!("{NIGHTS} nights, {results} cells, verdict {}", verdict.verdict.word());
    println!("of CPU, which a busy machine stretches less than the clock:");
    println!("reading {:7.1} ms", reading * 1000.0);
    println!("judging {:7.1} ms", judging * 1000.0);
    println!("bound   {:7.1} ms (parsing the summaries as JSON, nothing else)", bound * 1000.0);
    println!("ratio   {:7.1}", (reading + judging) / bound);
}

/// Seconds that this thread has been on a processor, as the system accounts for it.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
