//! The gate: from records, policy, waivers and a time to a verdict.

use gsh_model::axis::Cell;
use gsh_model::input::Digest;
use gsh_model::lease::RunId;
use gsh_model::matrix::Matrix;
use gsh_model::run::RunState;
use gsh_model::scenario::ScenarioSpec;
use jiff::Timestamp;

use crate::facts::Facts;
use crate::index::Index;
use crate::missing;
use crate::past::Past;
use crate::policy::Policy;
use crate::requirements;
use crate::verdict::{Answer, Freshness, SCHEMA, Source, Status, Verdict};
use crate::waiver::Waivers;

/// One ledger that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Its name and digest.
    pub source: Source,
    /// Whose record it is.
    pub run: Option<RunId>,
    /// Whether the file beside it holds the same digest.
    pub seal: Seal,
}

/// Whether a ledger is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The file beside it holds its digest.
    Whole,
    /// There is no such file.
    Absent,
}

/// What the evidence must be about, as far as the caller says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The distribution's commit.
    pub commit: Option<Digest>,
    /// The distribution's folder of machine templates.
    pub template: Option<Digest>,
}

/// Price and time of a cell, where they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Euro cents, gross.
    pub cents: Option<u64>,
    /// Minutes.
    pub minutes: Option<u64>,
}

/// Everything that the gate looks at.
#[derive(Clone)]
pub struct Case<'a> {
    /// What counts as proof.
    pub policy: &'a Policy,
    /// Where the policy came from.
    pub policy_source: Source,
    /// Known trouble.
    pub waivers: &'a Waivers,
    /// Where the waivers came from.
    pub waiver_source: Option<Source>,
    /// The record: one run, or the shards of one plan merged.
    pub state: &'a RunState,
    /// The ledgers that it was folded from.
    pub ledgers: &'a [Ledger],
    /// Earlier runs.
    pub past: &'a [Past],
    /// The index of started runs.
    pub index: Option<&'a Index>,
    /// The supported matrix.
    pub matrix: Option<&'a Matrix>,
    /// Every scenario that there is.
    pub suite: &'a [ScenarioSpec],
    /// What the evidence must be about.
    pub expected: Expected,
    /// What a cell would cost.
    pub cost: &'a dyn Fn(&Cell) -> Cost,
    /// The time that it is judged at.
    pub now: Timestamp,
    /// Version of gsh.
    pub tool_version: String,
}

/// Judges.
#[must_use]
pub fn judge(case: &Case<'_>) -> Verdict {
    let facts = Facts::of(case);
    let (mut requirements, coverage) = requirements::all(case, &facts);
    let worst = requirements.iter().map(|r| r.status).min().unwrap_or(Status::Unproven);
    let verdict = match worst {
        Status::Failed => Answer::Fail,
        Status::Unproven => Answer::Inconclusive,
        Status::Met | Status::Off => Answer::Pass,
    };
    // A stable sort keeps the order of importance among those that stand alike.
    requirements.sort_by_key(|r| r.status);
    let header = case.state.header.as_ref();
    let mut not_run = facts.not_run();
    not_run.extend(facts.left_out.iter().map(ToString::to_string));
    Verdict {
        schema: SCHEMA,
        verdict,
        evaluated_at: case.now,
        tool_version: case.tool_version.clone(),
        subject: header.map(|h| h.inputs.clone()).unwrap_or_default(),
        evidence: header.map(|h| h.evidence),
        policy: case.policy_source.clone(),
        waiver_file: case.waiver_source.clone(),
        inputs: case.ledgers.iter().map(|l| l.source.clone()).collect(),
        freshness: Freshness {
            oldest: header.map(|h| h.started),
            newest: case.state.finished,
            max_age_hours: case.policy.max_age.0.as_hours(),
        },
        coverage,
        requirements,
        waivers: facts.waivers_seen(case),
        flaky: facts.flaky(),
        not_run,
        missing: if verdict == Answer::Pass { Vec::new() } else { missing::cells(case, &facts) },
        counts: facts.counts(),
    }
}
