//! One file of the history: what a run has shown, without its words.
//!
//! The file is named after the run and its own digest, so that two branches which add runs never collide, adding a run
//! twice changes nothing, and a file that was changed afterwards is found out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::axis::{Cell, CellId};
use crate::budget::Amount;
use crate::check::CheckName;
use crate::input;
use crate::lease::{LeaseId, RunId};
use crate::outcome::{Evidence, Outcome, OutcomeKind, Subject, Why};
use crate::run::{Attempt, CellState, RunState};
use crate::scenario::ScenarioId;
use crate::shard::ShardId;

/// Name and version of the format.
pub const SCHEMA: &str = "gsh.history/v1";

/// What one run has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// [`SCHEMA`].
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// When it finished; absent when its ledger ends early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Number of events in its ledger. Of two summaries of one run the one with more events is the later.
    pub events: u64,
    /// How real it was.
    pub evidence: Evidence,
    /// Version of gsh.
    pub version: String,
    /// `hetzner`, `embedded`, `attached`.
    pub provider: String,
    /// Which shard of its plan it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// Which shards that plan has; nothing where the run is none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardId>,
    /// What went in, by name, each with its SHA-256 in hex: `matrix`, `plan`, and whatever else the run recorded, such as
    /// `templates`, `installer`, `distribution`.
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of each scenario as data, together with the version of gsh that ran it.
    pub scenarios: BTreeMap<ScenarioId, String>,
    /// The exit code that its record stands for.
    pub exit: u8,
    /// Its cells, in plan order.
    pub cells: Vec<CellSummary>,
}

/// What came of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellSummary {
    /// Stable name.
    pub id: CellId,
    /// The values.
    pub axes: Cell,
    /// Servers it was planned to occupy.
    pub servers: u32,
    /// Seconds from its first lease request to the end of its last subject; 0 when it never began.
    pub took_s: u64,
    /// What it cost, where the run recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
    /// Its subjects, in report order.
    pub subjects: Vec<SubjectSummary>,
}

/// What came of one subject of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectSummary {
    /// Which.
    pub subject: Subject,
    /// What came of it in the end; inconclusive without attempts means that it never ran.
    pub outcome: OutcomeKind,
    /// Why it was inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The check, or the kind of trouble, that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckName>,
    /// Its attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptSummary>,
}

/// One attempt at a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptSummary {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// On which cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// What came of it; absent when the record ends before it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// Why it was inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The check, or the kind of trouble, that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckName>,
}

/// A file of the history that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSummary {
    /// Not what the schema says.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// Another version of the format.
    #[error("format `{0}`; this gsh reads {SCHEMA}")]
    Schema(String),
    /// The content is not what the name promises.
    #[error("the content is not the one that the file was named after; it was changed afterwards")]
    Changed,
}

impl RunSummary {
    /// Sums a run up. Nothing when its record ends before the plan: then it has shown nothing.
    #[must_use]
    pub fn of(run: &RunState) -> Option<Self> {
        let header = run.header.as_ref()?;
        let plan = run.plan.as_ref()?;
        let mut inputs = input::by_name(&header.inputs);
        inputs.insert("matrix".to_owned(), plan.matrix_sha256.clone());
        inputs.insert("plan".to_owned(), plan.digest());
        let scenarios = plan.scenarios.iter().map(|spec| {
            let json = serde_json::to_vec(&(spec, &header.version)).unwrap_or_default();
            (spec.id.clone(), sha256(&json))
        });
        Some(Self {
            schema: SCHEMA.to_owned(),
            run: header.run.clone(),
            started: header.started,
            finished: run.finished,
            events: run.last_seq,
            evidence: header.evidence,
            version: header.version.clone(),
            provider: header.provider.clone(),
            shard: plan.shard,
            shards: plan.shard.iter().flat_map(|_| plan.shards.iter().map(|s| s.id)).collect(),
            inputs,
            scenarios: scenarios.collect(),
            exit: run.exit() as u8,
            cells: run
                .cells
                .iter()
                .filter_map(|state| {
                    let planned = plan.cell(&state.id)?;
                    Some(CellSummary {
                        id: state.id.clone(),
                        axes: planned.cell.clone(),
                        servers: planned.servers,
                        took_s: took_s(state),
                        cost: state.cost(),
                        subjects: subjects(state),
                    })
                })
                .collect(),
        })
    }

    /// The file's content.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Values of our own types always have a JSON form.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The file's name: the run and the beginning of the content's digest.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.run, &self.to_text())
    }

    /// Reads a file of this name.
    ///
    /// # Errors
    /// [`BadSummary`] when the content is damaged or does not belong to the name.
    pub fn parse(name: &str, text: &str) -> Result<Self, BadSummary> {
        let summary: Self = serde_json::from_str(text)?;
        if summary.schema != SCHEMA {
            return Err(BadSummary::Schema(summary.schema));
        }
        if name != file_name(&summary.run, text) {
            return Err(BadSummary::Changed);
        }
        Ok(summary)
    }

    /// What it cost, where that is known of every cell that began; a cell that never began costs nothing.
    #[must_use]
    pub fn cost(&self) -> Option<Amount> {
        self.cells.iter().filter(|c| c.took_s > 0 || c.cost.is_some()).map(|c| c.cost).reduce(|a, b| Some(a? + b?))?
    }

    /// The release of Gitpod that a cell ran, as text; it is one of its axis values.
    #[must_use]
    pub fn release(cell: &CellSummary) -> String {
        cell.axes.gitpod.to_string()
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn file_name(run: &RunId, text: &str) -> String {
    format!("{run}.{}.json", &sha256(text.as_bytes())[..12])
}

fn took_s(cell: &CellState) -> u64 {
    let begin = cell.leases.iter().map(|l| l.requested).min();
    let ends = cell.subjects.iter().flat_map(|s| &s.attempts).filter_map(|a| a.finished.as_ref().map(|(at, _)| *at));
    match (begin, ends.max()) {
        (Some(begin), Some(end)) => u64::try_from(end.as_second() - begin.as_second()).unwrap_or(0),
        (None, _) | (_, None) => 0,
    }
}

fn subjects(cell: &CellState) -> Vec<SubjectSummary> {
    cell.subjects
        .iter()
        .map(|state| {
            let outcome = state.outcome();
            SubjectSummary {
                subject: state.subject.clone(),
                outcome: outcome.kind(),
                why: why(&outcome),
                check: outcome.finding().map(|f| f.check.clone()),
                attempts: state.attempts.iter().map(|a| attempt(cell, a)).collect(),
            }
        })
        .collect()
}

fn attempt(cell: &CellState, attempt: &Attempt) -> AttemptSummary {
    let outcome = attempt.finished.as_ref().map(|(_, outcome)| outcome);
    // A fresh cluster is ordered before the attempts that run on it.
    let lease = cell.leases.iter().rfind(|l| l.requested <= attempt.started).or(cell.leases.first());
    AttemptSummary {
        started: attempt.started,
        took_ms: attempt.took_ms,
        lease: lease.map(|l| l.lease.clone()),
        outcome: outcome.map(Outcome::kind),
        why: outcome.and_then(why),
        check: outcome.and_then(Outcome::finding).map(|f| f.check.clone()),
    }
}

fn why(outcome: &Outcome) -> Option<Why> {
    match outcome {
        Outcome::Inconclusive { why, .. } => Some(why.clone()),
        Outcome::Passed | Outcome::Failed(_) | Outcome::Skipped(_) => None,
    }
}
