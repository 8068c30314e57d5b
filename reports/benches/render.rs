//! `cargo bench -p gsh-reports`: JUnit of 100,000 cases and the page of 1,000 cells. Figures for `docs/performance.md`.
#![allow(clippy::print_stdout, reason = "the figures are what a benchmark is for")]

#[path = "../tests/it/sample.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod sample;

use std::io::{self, Write};
use std::time::Instant;

use gsh_model::matrix::Matrix;
use gsh_model::outcome::Subject;
use gsh_model::run::{RunState, SubjectState};
use gsh_model::scenario::ScenarioId;
use gsh_reports::beside::Beside;
use gsh_reports::format::{Format, render, render_with};
use gsh_reports::junit::{self, Profile};
use gsh_reports::past::Past;

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

/// The best of three, by the clock and by what the processor spent: on a busy machine only the latter means something.
fn timed(what: &str, work: impl Fn() -> u64) {
    let (mut wall, mut cpu) = (f64::MAX, f64::MAX);
    let mut bytes = 0;
    for _ in 0..3 {
        let (begun, spent) = (Instant::now(), on_cpu());
        bytes = work();
        wall = wall.min(begun.elapsed().as_secs_f64());
        cpu = cpu.min(on_cpu() - spent);
    }
    println!("{what}: {wall:.3} s, {cpu:.3} s of CPU, {bytes} bytes");
}

/// Seconds that this thread has been on a processor, as the system accounts for it.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
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
    let run = sample::wide(1000, 4);
    let history = sample::earlier(&run, &[1; 30]);
    let matrix = Matrix::parse(include_str!("../../ci/matrix.toml")).expect("our matrix");
    timed("what a history of 30 runs of 1,000 cells says", || {
        Past::of(&history, &run, &matrix).map_or(0, |past| past.pairs.len() as u64)
    });
    let beside = Beside { past: Past::of(&history, &run, &matrix), ..Beside::default() };
    timed("html, 1,000 cells, 4 checks a subject, with that history", || {
        render_with(Format::Html, &run, &beside).len() as u64
    });
    for checks in [0, 4, 12] {
        let run = sample::wide(1000, checks);
        timed(&format!("html, 1,000 cells, {checks} checks a subject"), || render(Format::Html, &run).len() as u64);
    }
}
