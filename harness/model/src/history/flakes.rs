//! What each subject of each cell has been like lately: stable, flaky, broken, regressed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::stats::{fisher, flaky_beyond_two_percent, wilson};
use super::{History, RunSummary, SubjectSummary};
use crate::axis::CellId;
use crate::outcome::{OutcomeKind, Subject};

/// What a subject is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The last three results failed, on at least two clusters.
    Broken,
    /// It fails significantly more often than before.
    Regressed,
    /// It has both failed and passed on the same thing, or fails in more than 2 % of its runs with 90 % probability.
    Flaky,
    /// At least twenty runs, and none of the above.
    Stable,
    /// Too few runs to say.
    Unknown,
}

impl Class {
    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Regressed => "regressed",
            Self::Flaky => "flaky",
            Self::Stable => "stable",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of one subject in one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Where.
    pub cell: CellId,
    /// What.
    pub subject: Subject,
    /// What it is like.
    pub class: Class,
    /// Results that were conclusive, in the window.
    pub runs: u32,
    /// How many of them passed in the end.
    pub passes: u32,
    /// Attempts that failed before one passed, in the window.
    pub flips: u32,
    /// 95 % interval of the pass rate.
    pub interval: (f64, f64),
    /// Probability that it fails in more than 2 % of its attempts.
    pub flaky_probability: f64,
    /// The latest outcomes, oldest first: what a strip shows.
    pub strip: Vec<OutcomeKind>,
}

/// Days that the statistics look back.
pub const WINDOW_DAYS: i64 = 30;
/// Results that the statistics look back.
pub const WINDOW_RUNS: usize = 100;
/// Results that are compared with those before them.
const SAMPLE: usize = 10;

struct Result<'a> {
    run: &'a RunSummary,
    subject: &'a SubjectSummary,
}

impl Result<'_> {
    /// Product outcomes of the attempts, oldest first; trouble of the environment says nothing about the subject.
    fn conclusive(&self) -> impl Iterator<Item = (bool, String)> {
        self.subject.attempts.iter().filter_map(|attempt| {
            let lease = attempt.lease.as_ref().map_or_else(String::new, ToString::to_string);
            let cluster = format!("{}/{lease}", self.run.run);
            match attempt.outcome {
                Some(OutcomeKind::Passed) => Some((true, cluster)),
                Some(OutcomeKind::Failed) => Some((false, cluster)),
                Some(OutcomeKind::Inconclusive | OutcomeKind::Skipped) | None => None,
            }
        })
    }

    /// The subject under test, as far as the run says what it was.
    fn thing(&self, release: &str) -> String {
        let inputs: Vec<String> = self
            .run
            .inputs
            .iter()
            .filter(|(name, _)| *name != "plan" && *name != "matrix")
            .map(|(name, digest)| format!("{name}={digest}"))
            .collect();
        format!("{release} {}", inputs.join(" "))
    }
}

/// Every subject of every cell that the history knows, the most worrying first.
///
/// Results of another version of a scenario than the latest are left aside: they are about something else.
#[must_use]
pub fn records(history: &History, now: Timestamp) -> Vec<Record> {
    let since = now - SignedDuration::from_hours(24 * WINDOW_DAYS);
    let mut by_key: BTreeMap<(&CellId, &Subject), Vec<(Result<'_>, String)>> = BTreeMap::new();
    for run in history.runs() {
        for cell in &run.cells {
            for subject in &cell.subjects {
                let release = RunSummary::release(cell);
                let result = Result { run, subject };
                let thing = result.thing(&release);
                by_key.entry((&cell.id, &subject.subject)).or_default().push((result, thing));
            }
        }
    }
    let mut records: Vec<Record> = by_key
        .into_iter()
        .filter_map(|((cell, subject), results)| {
            let digest = |run: &RunSummary| match subject {
                Subject::Scenario(id) => run.scenarios.get(id).cloned(),
                Subject::Provision | Subject::Install | Subject::Teardown => None,
            };
            let latest = results.last().and_then(|(r, _)| digest(r.run));
            let mut window: Vec<(Result<'_>, String)> =
                results.into_iter().filter(|(r, _)| r.run.started >= since && digest(r.run) == latest).collect();
            window.drain(..window.len().saturating_sub(WINDOW_RUNS));
            (!window.is_empty()).then(|| record(cell, subject, &window))
        })
        .collect();
    records.sort_by(|a, b| (a.class, &a.cell, &a.subject).cmp(&(b.class, &b.cell, &b.subject)));
    records
}

fn record(cell: &CellId, subject: &Subject, window: &[(Result<'_>, String)]) -> Record {
    let attempts: Vec<(bool, String)> = window.iter().flat_map(|(r, _)| r.conclusive()).collect();
    let ends: Vec<bool> = window.iter().filter_map(|(r, _)| r.conclusive().last().map(|(passed, _)| passed)).collect();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let failed = |all: &[bool]| number(all.iter().filter(|p| !**p).count());
    let (runs, passes) = (number(ends.len()), number(ends.len()) - failed(&ends));
    let attempt_failures = number(attempts.iter().filter(|(passed, _)| !passed).count());
    let flips: usize = window
        .iter()
        .filter(|(r, _)| r.conclusive().last().is_some_and(|(passed, _)| passed))
        .map(|(r, _)| r.conclusive().filter(|(passed, _)| !passed).count())
        .sum();
    let mut outcomes_of: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for (result, thing) in window {
        outcomes_of.entry(thing).or_default().extend(result.conclusive().map(|(passed, _)| passed));
    }
    let both = outcomes_of.values().any(|seen| seen.len() > 1);
    let flaky_probability = flaky_beyond_two_percent(attempt_failures, number(attempts.len()));

    let last_three: Vec<(bool, String)> =
        window.iter().rev().filter_map(|(r, _)| r.conclusive().last()).take(3).collect();
    let clusters: BTreeSet<&String> = last_three.iter().map(|(_, cluster)| cluster).collect();
    let broken = last_three.len() == 3 && last_three.iter().all(|(passed, _)| !passed) && clusters.len() >= 2;

    let (basis, sample) = ends.split_at(ends.len().saturating_sub(SAMPLE));
    let rate = |all: &[bool]| f64::from(failed(all)) / f64::from(number(all.len()).max(1));
    let regressed = !basis.is_empty()
        && failed(sample) >= 3
        && rate(sample) - rate(basis) > 0.05
        && fisher(failed(sample), number(sample.len()), failed(basis), number(basis.len())) < 0.05;

    let class = if broken {
        Class::Broken
    } else if regressed {
        Class::Regressed
    } else if both || (runs > 0 && flaky_probability >= 0.9) {
        Class::Flaky
    } else if runs >= 20 {
        Class::Stable
    } else {
        Class::Unknown
    };
    Record {
        cell: cell.clone(),
        subject: subject.clone(),
        class,
        runs,
        passes,
        flips: number(flips),
        interval: wilson(passes, runs),
        flaky_probability,
        strip: window.iter().map(|(r, _)| r.subject.outcome).collect(),
    }
}
