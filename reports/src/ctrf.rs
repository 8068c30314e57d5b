//! CTRF, the Common Test Report Format: one JSON for readers of many tools. A cheap view of the same facts; what it has no
//! word for stands under `extra`.

use gsh_model::outcome::Outcome;
use gsh_model::run::{Attempt, CellState, RunState, SubjectState};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::mark::Mark;
use crate::text::{one_line, sanitise};

/// The version of the format that is written.
const SPEC: &str = "0.0.0";

/// Renders the report.
#[must_use]
pub fn render(run: &RunState) -> String {
    let header = run.header.as_ref();
    let count =
        |status: &str| run.cells.iter().flat_map(|c| &c.subjects).filter(|s| word(Mark::of(s)) == status).count();
    let start = header.map_or(0, |h| h.started.as_millisecond());
    let tests: Vec<Value> =
        run.cells.iter().flat_map(|cell| cell.subjects.iter().map(move |s| test(run, cell, s))).collect();
    let value = json!({
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "generatedBy": "gsh",
        "results": {
            "tool": { "name": "gsh", "version": header.map_or("", |h| h.version.as_str()) },
            "summary": {
                "tests": tests.len(),
                "passed": count("passed"),
                "failed": count("failed"),
                "skipped": count("skipped"),
                "pending": count("pending"),
                "other": count("other"),
                "flaky": run.cells.iter().flat_map(|c| &c.subjects).filter(|s| s.is_flaky()).count(),
                "suites": run.cells.len(),
                "start": start,
                "stop": run.last_at.map_or(start, Timestamp::as_millisecond),
            },
            "tests": tests,
            "environment": {
                "reportName": header.map_or_else(|| "gsh".to_owned(), |h| h.run.to_string()),
                "testEnvironment": header.map_or_else(String::new, |h| h.evidence.to_string()),
                "extra": { "provider": header.map(|h| &h.provider) },
            },
        },
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

/// The format has no word for "we cannot tell" but `other`, which no reader counts as passed.
fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Passed | Mark::Flaky => "passed",
        Mark::Failed => "failed",
        Mark::Skipped => "skipped",
        Mark::Unclear | Mark::NotRun | Mark::Blocked => "other",
    }
}

fn test(run: &RunState, cell: &CellState, subject: &SubjectState) -> Value {
    let outcome = subject.outcome();
    let planned = run.plan.as_ref().and_then(|p| p.cell(&cell.id));
    let spec = run.plan.iter().flat_map(|p| &p.scenarios).find(|s| subject.subject.to_string() == s.id.as_str());
    let mut all = Map::new();
    all.insert("name".to_owned(), json!(format!("{} / {}", cell.id, subject.subject)));
    all.insert("status".to_owned(), json!(word(Mark::of(subject))));
    all.insert("rawStatus".to_owned(), json!(Mark::of(subject).word()));
    all.insert("duration".to_owned(), json!(subject.attempts.last().map_or(0, |a| a.took_ms)));
    all.insert("suite".to_owned(), json!([cell.id]));
    all.insert("flaky".to_owned(), json!(subject.is_flaky()));
    let earlier = &subject.attempts[..subject.attempts.len().saturating_sub(1)];
    all.insert("retries".to_owned(), json!(earlier.len()));
    if !earlier.is_empty() {
        all.insert("retryAttempts".to_owned(), earlier.iter().map(attempt).collect());
    }
    if let Some((message, trace)) = said(&outcome) {
        all.insert("message".to_owned(), json!(message));
        all.insert("trace".to_owned(), json!(trace));
    }
    if let Some(spec) = spec {
        all.insert("filePath".to_owned(), json!(spec.file));
    }
    if let Some(planned) = planned {
        let axes: Map<String, Value> =
            planned.cell.axes().into_iter().map(|(a, v)| (a.to_string(), json!(v))).collect();
        all.insert("parameters".to_owned(), Value::Object(axes));
    }
    let kept: Vec<Value> = subject
        .attempts
        .iter()
        .flat_map(|a| &a.artifacts)
        .map(|a| json!({ "name": one_line(&a.name, 200), "contentType": "application/octet-stream", "path": a.path }))
        .collect();
    if !kept.is_empty() {
        all.insert("attachments".to_owned(), json!(kept));
    }
    Value::Object(all)
}

fn attempt(attempt: &Attempt) -> Value {
    let mark = attempt.finished.as_ref().map_or(Mark::NotRun, |(_, o)| Mark::of_outcome(o));
    let mut all = json!({ "attempt": attempt.number, "status": word(mark), "duration": attempt.took_ms });
    if let (Some((message, trace)), Some(all)) =
        (attempt.finished.as_ref().and_then(|(_, o)| said(o)), all.as_object_mut())
    {
        all.insert("message".to_owned(), json!(message));
        all.insert("trace".to_owned(), json!(trace));
    }
    all
}

/// One line and the whole.
fn said(outcome: &Outcome) -> Option<(String, String)> {
    match outcome {
        Outcome::Passed => None,
        Outcome::Skipped(reason) => Some((one_line(&reason.0, 300), sanitise(&reason.0))),
        Outcome::Failed(f) => Some((format!("[product] {}", one_line(&f.observed, 300)), sanitise(&f.to_string()))),
        Outcome::Inconclusive { why, finding } => {
            Some((format!("[{why}] {}", one_line(&finding.observed, 300)), sanitise(&finding.to_string())))
        }
    }
}
