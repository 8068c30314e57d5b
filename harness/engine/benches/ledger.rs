//! Events per second of the ledger, beside the same bytes written without it.
//!
//! `cargo bench -p gsh-engine --bench ledger`. Most events are checks, which are appended; one in ten is an outcome, which
//! is synced. The bound is a plain loop that writes and syncs the same bytes in the same rhythm.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::Write;
use std::time::Instant;

use gsh_engine::ledger::{Append, Ledger};
use gsh_model::axis::Cell;
use gsh_model::check::CheckName;
use gsh_model::event::{CheckResult, Event, EventKind};
use gsh_model::outcome::{Outcome, Subject};

const EVENTS: u64 = 20_000;

fn event(seq: u64) -> Event {
    let (cell, subject, attempt) = (Cell::default().id(), Subject::Provision, 1);
    let kind = if seq.is_multiple_of(10) {
        EventKind::SubjectFinished { cell, subject, attempt, outcome: Outcome::Passed, took_ms: seq }
    } else {
        EventKind::CheckFinished {
            cell,
            subject,
            attempt,
            check: CheckName::of("GSH-SSH-004"),
            title: "a bad token is refused".to_owned(),
            result: CheckResult::Passed,
            took_ms: seq,
        }
    };
    Event { seq, at: jiff::Timestamp::UNIX_EPOCH, kind }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events: Vec<Event> = (1..=EVENTS).map(event).collect();
    let mut ledger = Ledger::create(folder.path()).expect("create");
    let began = Instant::now();
    for event in &events {
        ledger.append(event).expect("append");
    }
    let ours = began.elapsed().as_secs_f64();

    let lines: Vec<Vec<u8>> = events.iter().map(|e| serde_json::to_vec(e).expect("event")).collect();
    let mut plain = std::fs::File::create(folder.path().join("plain")).expect("create");
    let began = Instant::now();
    for (line, seq) in lines.iter().zip(1_u64..) {
        plain.write_all(line).expect("write");
        plain.write_all(b"\n").expect("write");
        if seq.is_multiple_of(10) {
            plain.sync_data().expect("sync");
        }
    }
    let bound = began.elapsed().as_secs_f64();
    println!("ledger {:9.0} events/s", EVENTS as f64 / ours);
    println!("bound  {:9.0} events/s (the same bytes, written and synced by hand)", EVENTS as f64 / bound);
    println!("ratio  {:.2}", ours / bound);
}
