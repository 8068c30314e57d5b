//! `results.json`, schema `gsh.results/v1`: the versioned export of the fold.

use gsh_model::event::CheckResult;
use gsh_model::run::{Attempt, LeaseEnd, RunState};
use serde_json::{Value, json};

use crate::mark::Mark;

/// Name and version of the schema.
pub const SCHEMA: &str = "gsh.results/v1";

/// JSON Schema (draft 2020-12) of the document.
pub const JSON_SCHEMA: &str = include_str!("results.schema.json");

/// Renders `results.json`.
#[must_use]
pub fn render(run: &RunState) -> String {
    let header = run.header.as_ref();
    let cells: Vec<Value> = run
        .cells
        .iter()
        .map(|cell| {
            let planned = run.plan.as_ref().and_then(|p| p.cell(&cell.id));
            json!({
                "id": cell.id,
                "axes": planned.map(|p| p.cell.axes().into_iter().map(|(a, v)| (a.to_string(), json!(v))).collect::<serde_json::Map<_, _>>()),
                "why": planned.map(|p| &p.why),
                "cost": cell.cost(),
                "leases": cell.leases.iter().map(|lease| json!({
                    "id": lease.lease,
                    "requested": lease.requested,
                    "bill": lease.bill,
                    "expires": lease.expires,
                    "servers": lease.servers,
                    "end": match &lease.end {
                        None => json!(null),
                        Some(LeaseEnd::Released(removed)) => json!({"released": removed}),
                        Some(LeaseEnd::Leaked { left, reason }) => json!({"leaked": left, "reason": reason}),
                    },
                })).collect::<Vec<_>>(),
                "subjects": cell.subjects.iter().map(|subject| json!({
                    "name": subject.subject.to_string(),
                    "outcome": subject.outcome(),
                    "mark": Mark::of(subject).word(),
                    "flaky": subject.is_flaky(),
                    "attempts": subject.attempts.iter().map(attempt).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "notes": cell.notes,
            })
        })
        .collect();
    let value = json!({
        "schema": SCHEMA,
        "run": header.map(|h| &h.run),
        "version": header.map(|h| &h.version),
        "evidence": header.map(|h| h.evidence),
        "provider": header.map(|h| &h.provider),
        "started": header.map(|h| h.started),
        "finished": run.finished,
        "resumed": run.resumed,
        "inputs": header.map(|h| &h.inputs),
        "merged_from": run.parts.iter().map(|p| &p.run).collect::<Vec<_>>(),
        "budget": run.budget,
        "cost": run.cost(),
        "complete": run.finished.is_some(),
        "exit": run.exit() as u8,
        "matrix_sha256": run.plan.as_ref().map(|p| &p.matrix_sha256),
        "cover": run.plan.as_ref().map(|p| p.cover),
        "left_out": run.plan.as_ref().map(|p| &p.left_out),
        "cells": cells,
        "stops": run.stops,
        "leftovers": run.leftovers(),
        "inventory": run.inventory,
        "notes": run.notes,
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "started": attempt.started,
        "finished": attempt.finished.as_ref().map(|(at, _)| at),
        "outcome": attempt.finished.as_ref().map(|(_, outcome)| outcome),
        "took_ms": attempt.took_ms,
        "checks": attempt.checks.iter().map(|check| json!({
            "check": check.check,
            "title": check.title,
            "result": match &check.result {
                CheckResult::Passed => json!("passed"),
                CheckResult::Failed { blame, finding } => json!({"failed": finding, "blame": blame}),
                CheckResult::Skipped(reason) => json!({"skipped": reason}),
            },
            "took_ms": check.took_ms,
            "finished": check.at,
        })).collect::<Vec<_>>(),
        "artifacts": attempt.artifacts.iter().map(|a| json!({"name": a.name, "path": a.path, "bytes": a.bytes})).collect::<Vec<_>>(),
        "notes": attempt.notes,
    })
}
