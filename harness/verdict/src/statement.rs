//! What the gate states and signs: an in-toto Statement about the subject, with the results of every cell.

use std::collections::BTreeMap;

use gsh_model::input::{Input, InputKind};
use gsh_model::outcome::{Outcome, Subject};
use gsh_model::scenario::ScenarioSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::gate::Case;
use crate::verdict::{Answer, Source, Status, Verdict};

/// Type of every statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Type of the predicate that lists results.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// Type of the predicate that sums a pass up: a *simple verification result*.
pub const SVR: &str = "https://in-toto.io/attestation/svr/v0.2";
/// Who verified.
pub const VERIFIER: &str = "urn:gsh:gate";

/// Why nothing can be stated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NothingToState {
    /// There is no answer.
    #[error("the verdict is inconclusive, and a test result says passed or failed: there is nothing to attest")]
    Inconclusive,
    /// Nothing is known by digest.
    #[error("the record names no input by digest, so there is nothing that a statement could be about")]
    NoSubject,
}

/// Something by its name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Algorithm and hex digits.
    pub digest: BTreeMap<String, String>,
}

/// A statement as it is read back. Fields that are not known are left alone, as in-toto asks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Statement {
    /// [`STATEMENT`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Descriptor>,
    /// What it says of it.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// In full.
    pub predicate: Value,
}

impl Statement {
    /// Reads the bytes that a signature was verified over.
    ///
    /// # Errors
    /// When they are no statement.
    pub fn parse(verified: &[u8]) -> Result<Self, String> {
        let statement: Self = serde_json::from_slice(verified).map_err(|e| e.to_string())?;
        if statement.kind != STATEMENT {
            return Err(format!("its type is `{}`, not {STATEMENT}", statement.kind));
        }
        if statement.subject.is_empty() {
            return Err("it is about nothing".to_owned());
        }
        Ok(statement)
    }

    /// Whether it says yes: a passed test result, or a verification result, which exists for a pass only.
    #[must_use]
    pub fn says_yes(&self) -> bool {
        match self.predicate_type.as_str() {
            SVR => true,
            TEST_RESULT => matches!(self.predicate["result"].as_str(), Some("PASSED" | "WARNED")),
            _other => false,
        }
    }
}

fn descriptor(name: &str, algorithm: &str, hex: &str) -> Value {
    json!({ "name": name, "digest": { algorithm: hex } })
}

fn file(source: &Source) -> Value {
    descriptor(&source.name, "sha256", &source.sha256)
}

/// What is released: the commit and what belongs to it. A store is only where it was tried.
fn subjects(inputs: &[Input]) -> Vec<Value> {
    let released = inputs.iter().filter(|i| i.kind != InputKind::Store);
    let known = released.filter_map(|i| i.digest.as_ref().map(|d| descriptor(&i.name, d.algorithm(), d.hex())));
    known.collect()
}

/// SHA-256 of the scenarios as data.
fn suite(scenarios: &[ScenarioSpec]) -> String {
    crate::sha256(&serde_json::to_vec(scenarios).unwrap_or_default())
}

/// The statement with every result. `None` for a verdict that says neither yes nor no.
///
/// # Errors
/// [`NothingToState`] when there is no answer, or nothing that it is about.
pub fn test_result(case: &Case<'_>, verdict: &Verdict) -> Result<String, NothingToState> {
    let (mut passed, mut warned, mut failed, mut skipped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let waived = |name: &String| {
        let counts = |w: &&crate::verdict::WaiverSeen| w.state == crate::verdict::WaiverState::Matched;
        verdict.waivers.iter().filter(counts).any(|w| w.matched.contains(name))
    };
    let mut unclear = Vec::new();
    for (cell, subject, outcome) in case.state.outcomes() {
        let name = test_name(cell.as_str(), subject);
        match outcome {
            Outcome::Passed if verdict.flaky.contains(&name) => warned.push(name),
            Outcome::Passed => passed.push(name),
            Outcome::Failed(_) | Outcome::Inconclusive { .. } if waived(&name) => warned.push(name),
            Outcome::Failed(_) => failed.push(name),
            Outcome::Inconclusive { .. } => unclear.push(name),
            Outcome::Skipped(_) => skipped.push(name),
        }
    }
    let result = match verdict.verdict {
        Answer::Inconclusive => return Err(NothingToState::Inconclusive),
        Answer::Fail => "FAILED",
        Answer::Pass if warned.is_empty() => "PASSED",
        Answer::Pass => "WARNED",
    };
    let subject = about(verdict)?;
    let mut configuration: Vec<Value> = vec![file(&verdict.policy)];
    configuration.extend(verdict.waiver_file.iter().map(file));
    configuration.extend(verdict.inputs.iter().map(file));
    configuration.extend(
        verdict
            .subject
            .iter()
            .filter(|i| i.kind == InputKind::Matrix)
            .filter_map(|i| i.digest.as_ref().map(|d| descriptor(&i.name, d.algorithm(), d.hex()))),
    );
    configuration.push(descriptor("scenarios", "sha256", &suite(case.suite)));
    let statement = json!({
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": result,
            "configuration": configuration,
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
            // Freshness must be inside what is signed, and what was not run must not look as if it had never been planned.
            "gshSkippedTests": skipped,
            "gshInconclusiveTests": unclear,
            "gshTimeFinished": verdict.freshness.newest,
            "gshTimeEvaluated": verdict.evaluated_at,
            "gshEvidence": verdict.evidence,
            "gshVersion": verdict.tool_version,
        },
    });
    Ok(statement.to_string())
}

/// The summary of a pass. There is none for anything else: its absence is the no.
///
/// # Errors
/// [`NothingToState`] when nothing is known that it could be about.
pub fn summary(verdict: &Verdict) -> Result<Option<String>, NothingToState> {
    if verdict.verdict != Answer::Pass {
        return Ok(None);
    }
    let mut properties: Vec<String> = verdict
        .requirements
        .iter()
        .filter(|r| r.status == Status::Met)
        .map(|r| format!("GSH_{}", r.id.to_uppercase().replace('-', "_")))
        .collect();
    properties.extend(verdict.evidence.map(|e| format!("GSH_EVIDENCE_{}", e.to_string().to_uppercase())));
    properties
        .extend(verdict.coverage.as_ref().filter(|c| c.covered == c.feasible).map(|c| format!("GSH_MATRIX_T{}", c.t)));
    properties.sort();
    let statement = json!({
        "_type": STATEMENT,
        "subject": about(verdict)?,
        "predicateType": SVR,
        "predicate": {
            "verifier": { "id": VERIFIER, "version": { "gsh": verdict.tool_version } },
            "policies": [file(&verdict.policy)],
            "timeCreated": verdict.evaluated_at,
            "properties": properties,
        },
    });
    Ok(Some(statement.to_string()))
}

fn about(verdict: &Verdict) -> Result<Vec<Value>, NothingToState> {
    let subject = subjects(&verdict.subject);
    if subject.is_empty() { Err(NothingToState::NoSubject) } else { Ok(subject) }
}

fn test_name(cell: &str, subject: &Subject) -> String {
    format!("{cell}/{subject}")
}
