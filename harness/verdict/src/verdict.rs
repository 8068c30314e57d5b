//! The gate's answer, as data: what `gate.json` holds. Field names are those of its published schema.

use gsh_model::axis::CellId;
use gsh_model::exit::Exit;
use gsh_model::input::Input;
use gsh_model::outcome::Evidence;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// Schema of `gate.json`.
pub const SCHEMA: &str = "gsh.gate/v1";

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The evidence says no.
    Fail,
    /// There is not enough evidence.
    Inconclusive,
    /// Everything that the policy requires is proven.
    Pass,
}

impl Answer {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Pass => "pass",
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::Fail => Exit::Fail,
            Self::Inconclusive => Exit::Inconclusive,
            Self::Pass => Exit::Pass,
        }
    }
}

/// How one requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The evidence says no.
    Failed,
    /// The evidence does not say yes.
    Unproven,
    /// Proven.
    Met,
    /// The policy does not ask for it.
    Off,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// Stable name.
    pub id: &'static str,
    /// How it stands.
    pub status: Status,
    /// In words, one line.
    pub reason: String,
    /// Where: cells, or `<cell>/<subject>`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<String>,
}

/// A file by its name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Name as it was given.
    pub name: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// How old the evidence is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// When the first run began.
    pub oldest: Option<Timestamp>,
    /// When the last one finished.
    pub newest: Option<Timestamp>,
    /// Most hours that the policy accepts.
    pub max_age_hours: i64,
}

/// How much of the supported matrix is proven.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Covered {
    /// Combinations of so many axes.
    pub t: usize,
    /// How many are proven.
    pub covered: usize,
    /// How many there are.
    pub feasible: usize,
}

/// How a waiver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaiverState {
    /// It covers something.
    Matched,
    /// It covers nothing.
    Unmatched,
    /// It has covered nothing although it is two weeks old.
    Stale,
    /// What it is about has passed five times in a row: remove it.
    Unneeded,
    /// Its last day is over; what it covered is no longer covered.
    Expired,
    /// It runs longer than the policy allows; it covers nothing.
    TooLong,
    /// Its first day has not come; it covers nothing.
    NotYet,
}

impl WaiverState {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Matched => "in use",
            Self::Unmatched => "covers nothing",
            Self::Stale => "stale, it has covered nothing for two weeks",
            Self::Unneeded => "unneeded, what it is about has passed five times",
            Self::Expired => "expired",
            Self::TooLong => "longer than the policy allows",
            Self::NotYet => "not begun",
        }
    }
}

/// One waiver of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaiverSeen {
    /// Its name.
    pub id: String,
    /// How it stands.
    pub state: WaiverState,
    /// `<cell>/<subject>` that it covers, or would cover were it live.
    pub matched: Vec<String>,
    /// Its last day.
    pub expires: Date,
    /// Who answers for it.
    pub owner: String,
    /// Where it is being worked on.
    pub issue: String,
}

/// What could be run to get more evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The cell.
    pub cell: CellId,
    /// What it would prove.
    pub why: String,
    /// Servers it takes.
    pub servers: u32,
    /// Its price tonight in euro cents, gross; absent where neither prices nor earlier costs are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cents: Option<u64>,
    /// How long it would take, in minutes; absent where nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u64>,
}

/// How many subjects stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In the plan, what it skips included.
    pub planned: usize,
    /// Passed.
    pub passed: usize,
    /// Of these, passed only after a product failure.
    pub flaky: usize,
    /// The product failed.
    pub failed: usize,
    /// Environment or harness.
    pub unclear: usize,
    /// Never ran, blocked or stopped.
    pub not_run: usize,
    /// Covered by a live waiver.
    pub waived: usize,
    /// Left out by the plan.
    pub skipped: usize,
}

/// The gate's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The answer.
    pub verdict: Answer,
    /// When it was given.
    pub evaluated_at: Timestamp,
    /// Version of gsh.
    pub tool_version: String,
    /// What it is about.
    pub subject: Vec<Input>,
    /// How real the evidence is.
    pub evidence: Option<Evidence>,
    /// The policy.
    pub policy: Source,
    /// The waiver file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver_file: Option<Source>,
    /// The ledgers.
    pub inputs: Vec<Source>,
    /// How old the evidence is.
    pub freshness: Freshness,
    /// How much of the supported matrix is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Covered>,
    /// Every requirement, what decides the answer first.
    pub requirements: Vec<Requirement>,
    /// Every waiver.
    pub waivers: Vec<WaiverSeen>,
    /// `<cell>/<subject>` that passed only after a product failure.
    pub flaky: Vec<String>,
    /// What has no result: `<cell>/<subject>`, or the id of a run that was left out.
    pub not_run: Vec<String>,
    /// What could be run to get more evidence.
    pub missing: Vec<Missing>,
    /// How many subjects stand how.
    pub counts: Counts,
}

impl Verdict {
    /// What keeps it from being a pass, most important first.
    pub fn reasons(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter().filter(|r| matches!(r.status, Status::Failed | Status::Unproven))
    }

    /// The requirement with this name.
    #[must_use]
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|r| r.id == id)
    }

    /// `gate.json`.
    ///
    /// # Panics
    /// Never: a verdict is plain data.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a verdict is plain data");
        text.push('\n');
        text
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        const SHOWN: usize = 12;
        let mut out = format!("verdict: {}\n", self.verdict.word());
        for requirement in self.reasons() {
            let word = if requirement.status == Status::Failed { "failed" } else { "unproven" };
            out.push_str(&format!("\n{word:8}  {}: {}\n", requirement.id, requirement.reason));
            for place in requirement.cells.iter().take(SHOWN) {
                out.push_str(&format!("          {place}\n"));
            }
            if requirement.cells.len() > SHOWN {
                out.push_str(&format!("          and {} more\n", requirement.cells.len() - SHOWN));
            }
        }
        let met: Vec<&Requirement> = self.requirements.iter().filter(|r| r.status == Status::Met).collect();
        if !met.is_empty() {
            out.push('\n');
        }
        for requirement in met {
            out.push_str(&format!("met       {}: {}\n", requirement.id, requirement.reason));
        }
        if !self.waivers.is_empty() {
            out.push_str("\nwaivers\n");
        }
        for waiver in &self.waivers {
            let state = serde_json::to_value(waiver.state).ok().and_then(|v| v.as_str().map(str::to_owned));
            let places = if waiver.matched.is_empty() { "nothing".to_owned() } else { waiver.matched.join(", ") };
            out.push_str(&format!(
                "          {} ({}), until {}, {}: {places}\n",
                waiver.id,
                state.unwrap_or_default(),
                waiver.expires,
                waiver.owner
            ));
        }
        if !self.missing.is_empty() {
            out.push_str("\nto be run for more evidence\n");
        }
        for missing in self.missing.iter().take(SHOWN) {
            let price = missing.cents.map(|c| format!(", {}.{:02} EUR", c / 100, c % 100)).unwrap_or_default();
            let time = missing.minutes.map(|m| format!(", {m} min")).unwrap_or_default();
            let servers = if missing.servers == 1 { "server" } else { "servers" };
            out.push_str(&format!(
                "          {} ({} {servers}{price}{time}): {}\n",
                missing.cell, missing.servers, missing.why
            ));
        }
        if self.missing.len() > SHOWN {
            out.push_str(&format!("          and {} more cells\n", self.missing.len() - SHOWN));
        }
        let c = &self.counts;
        out.push_str(&format!(
            "\n{} planned: {} passed ({} flaky), {} failed, {} unclear, {} not run, {} waived, {} skipped\n",
            c.planned, c.passed, c.flaky, c.failed, c.unclear, c.not_run, c.waived, c.skipped
        ));
        out
    }
}
