//! An error on its way to an outcome: it always carries a blame.

use std::error::Error;
use std::fmt;

use gsh_model::check::CheckName;
use gsh_model::outcome::{Blame, Finding, Outcome, Why};

/// Why something did not succeed, and whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Set when the run was asked to stop; then nobody is to blame.
    pub stopped: bool,
    /// Whose fault.
    pub blame: Blame,
    /// What was seen.
    pub finding: Finding,
}

impl Failure {
    /// A failure with a blame.
    #[must_use]
    pub fn new(blame: Blame, check: &'static str, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            stopped: false,
            blame,
            finding: Finding {
                check: CheckName::of(check),
                expected: expected.into(),
                observed: observed.into(),
                causes: Vec::new(),
            },
        }
    }

    /// The product is at fault.
    #[must_use]
    pub fn product(check: &'static str, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::new(Blame::Product, check, expected, observed)
    }

    /// The cloud, the network or a registry is at fault.
    #[must_use]
    pub fn environment(check: &'static str, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::new(Blame::Environment, check, expected, observed)
    }

    /// gsh is at fault.
    #[must_use]
    pub fn harness(check: &'static str, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::new(Blame::Harness, check, expected, observed)
    }

    /// The run was asked to stop while this was under way.
    #[must_use]
    pub fn stopped(what: impl Into<String>) -> Self {
        let mut failure = Self::new(Blame::Environment, "GSH-RUN-002", what, "the run was asked to stop");
        failure.stopped = true;
        failure
    }

    /// Adds the chain of an error as causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(e) = next {
            self.finding.causes.push(e.to_string());
            next = e.source();
        }
        self
    }

    /// Adds one cause in words.
    #[must_use]
    pub fn cause(mut self, text: impl Into<String>) -> Self {
        self.finding.causes.push(text.into());
        self
    }

    /// The outcome that this makes of a subject.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        if self.stopped {
            return Outcome::Inconclusive { why: Why::Stopped, finding: self.finding };
        }
        Outcome::of(self.blame, self.finding)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finding)
    }
}

impl Error for Failure {}

/// An error with its causes in one line, each said once: libraries tend to repeat a cause in the text above it.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = e.source();
    }
    text
}
