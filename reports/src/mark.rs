//! One mark per subject: what a reader must tell apart at a glance, by sign and word, never by colour alone.

use gsh_model::history::SubjectSummary;
use gsh_model::outcome::{Outcome, OutcomeKind, Why};
use gsh_model::run::{CellState, SubjectState};

/// How a subject stands. The order is that of importance: the worst of several stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// Left out by the plan.
    Skipped,
    /// It works.
    Passed,
    /// It works, but not at the first attempt.
    Flaky,
    /// Could not run because of another subject.
    Blocked,
    /// Stopped first, or nothing was ever recorded about it.
    NotRun,
    /// Environment or harness were at fault: nothing is known about the product.
    Unclear,
    /// The product is at fault.
    Failed,
}

impl Mark {
    /// Every mark, in the order in which a legend explains them.
    pub const ALL: [Self; 7] =
        [Self::Passed, Self::Flaky, Self::Failed, Self::Unclear, Self::NotRun, Self::Blocked, Self::Skipped];

    /// The mark of a subject.
    #[must_use]
    pub fn of(subject: &SubjectState) -> Self {
        if let Some(skip) = &subject.planned_skip {
            return Self::of_outcome(skip);
        }
        // As `SubjectState::outcome`, without copying texts: a page asks this many times.
        match subject.attempts.last().and_then(|a| a.finished.as_ref()) {
            Some((_, outcome)) if subject.attempts.len() == 1 => Self::of_outcome(outcome),
            Some((_, Outcome::Passed)) if subject.is_flaky() => Self::Flaky,
            Some((_, outcome)) => Self::of_outcome(outcome),
            None => Self::NotRun,
        }
    }

    /// The mark of an outcome, whose earlier attempts are not known.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Inconclusive { why, .. } => Self::of_why(why),
        }
    }

    fn of_why(why: &Why) -> Self {
        match why {
            Why::Environment | Why::Harness => Self::Unclear,
            Why::BlockedBy(_) => Self::Blocked,
            Why::Stopped | Why::Interrupted | Why::Budget | Why::NeverRan | Why::ShardMissing => Self::NotRun,
        }
    }

    /// The mark of a subject of the history.
    #[must_use]
    pub fn of_summary(subject: &SubjectSummary) -> Self {
        // As `SubjectState::is_flaky`: a process that died says nothing about the subject.
        let spoke = |a: &gsh_model::history::AttemptSummary| match a.outcome {
            Some(OutcomeKind::Failed) => true,
            Some(OutcomeKind::Inconclusive) => a.why != Some(Why::Interrupted),
            Some(OutcomeKind::Passed | OutcomeKind::Skipped) | None => false,
        };
        match (subject.outcome, &subject.why) {
            (OutcomeKind::Passed, _) if subject.attempts.iter().any(spoke) => Self::Flaky,
            (OutcomeKind::Passed, _) => Self::Passed,
            (OutcomeKind::Failed, _) => Self::Failed,
            (OutcomeKind::Skipped, _) => Self::Skipped,
            (OutcomeKind::Inconclusive, Some(why)) => Self::of_why(why),
            (OutcomeKind::Inconclusive, None) => Self::NotRun,
        }
    }

    /// The worst mark of a cell.
    #[must_use]
    pub fn of_cell(cell: &CellState) -> Self {
        cell.subjects.iter().map(Self::of).max().unwrap_or(Self::NotRun)
    }

    /// One character; readable without colour.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Flaky => "~",
            Self::Failed => "✗",
            Self::Unclear => "!",
            Self::NotRun => "?",
            Self::Blocked => "·",
            Self::Skipped => "–",
        }
    }

    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky => "flaky",
            Self::Failed => "failed",
            Self::Unclear => "inconclusive",
            Self::NotRun => "not run",
            Self::Blocked => "blocked",
            Self::Skipped => "skipped",
        }
    }

    /// What it says, for a legend.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Passed => "it works",
            Self::Flaky => "it works, but not at the first attempt",
            Self::Failed => "the product is at fault",
            Self::Unclear => "environment or gsh at fault, nothing known about the product",
            Self::NotRun => "stopped, out of budget, or nothing was recorded",
            Self::Blocked => "could not run because of another subject",
            Self::Skipped => "left out by the plan",
        }
    }

    /// Whether somebody should look at it: neither passed, nor skipped by the plan, nor only blocked by something else.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Failed | Self::Unclear | Self::NotRun => true,
            Self::Passed | Self::Flaky | Self::Blocked | Self::Skipped => false,
        }
    }
}
