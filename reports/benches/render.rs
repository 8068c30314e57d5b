//! `cargo bench -p gsh-reports`: JUnit of 100,000 cases and the page of 1,000 cells. Figures for `docs/performance.md`.
#![allow(clippy::print_stdout, reason = "the figures are what a benchmark is for")]

#[path = "../tests/it/sample.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod sample;

use std::io::{self, Write};
use std::time::Instant;

use gsh_model::outcome::Subject;
use gsh_model::run::{RunState, SubjectState};
use gsh_model::scenario::ScenarioId;
use gsh_reports::format::{Format, render};
use gsh_reports::junit::{self, Profile};

/// Counts what is written and keeps nothing.
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn timed(what: &str, work: impl Fn() -> u64) {
    let mut best = f64::MAX;
    let mut bytes = 0;
    for _ in 0..3 {
        let begun = Instant::now();
        bytes = work();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    println!("{what}: {best:.3} s, {bytes} bytes");
}

/// Peak memory of this process so far, in KiB, as the system accounts for it.
fn peak() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            s.lines().find(|l| l.starts_with("VmHWM")).map(|l| l.trim_start_matches("VmHWM:").trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

/// A thousand cells with a hundred subjects each; every tenth cell has failures.
fn hundred_thousand() -> RunState {
    let mut run = sample::wide(1000, 0);
    for cell in &mut run.cells {
        let like = cell.subjects[3].clone();
        cell.subjects.extend((0..94).filter_map(|n| {
            let id: ScenarioId = format!("scenario-{n}").parse().ok()?;
            Some(SubjectState { subject: Subject::Scenario(id), ..like.clone() })
        }));
    }
    run
}

fn main() {
    let many = hundred_thousand();
    println!("peak memory with the folded run: {}", peak());
    for (name, profile) in [("junit, rich", Profile::Rich), ("junit, strict", Profile::Strict)] {
        timed(&format!("{name}, 100,000 cases"), || {
            let mut sink = Sink(0);
            junit::write(&many, profile, &mut sink).map_or(0, |()| sink.0)
        });
    }
    println!("peak memory after JUnit: {}", peak());
    drop(many);
    for checks in [0, 4, 12] {
        let run = sample::wide(1000, checks);
        timed(&format!("html, 1,000 cells, {checks} checks a subject"), || render(Format::Html, &run).len() as u64);
    }
}
