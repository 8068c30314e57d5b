//! An error on its way to an outcome: it always carries a blame.

use std::error::Error;
use std::fmt;

use gsh_model::check::CheckName;
use gsh_model::outcome::{Blame, Finding, Outcome, Why};
use kube::client::AuthError;

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
        self.finding.causes.extend(causes(error));
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
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for more in causes(error) {
        match text.as_str() {
            "" => text = more,
            told if told.contains(&more) => {}
            told => text = format!("{told}: {more}"),
        }
    }
    text
}

/// An error and its causes, one line each.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let (mut lines, mut next) = (Vec::new(), Some(error));
    while let Some(e) = next {
        if let Some(line) = of_the_client(e) {
            lines.push(line);
            return lines;
        }
        lines.push(e.to_string());
        next = e.source();
    }
    lines
}

/// One line for what the Kubernetes client says badly; what stands below it says the same again.
fn of_the_client(error: &(dyn Error + 'static)) -> Option<String> {
    let of_auth = |error: &AuthError| match error {
        // Its own text has all that the program printed, a token too where there was one.
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("nothing");
            Some(format!("the exec plug-in ended with {}, its last words: {}", out.status, last.trim()))
        }
        AuthError::AuthExecStart(e) => Some(format!("the exec plug-in cannot be run: {e}")),
        _plainer => None,
    };
    match error.downcast_ref::<kube::Error>() {
        // Its own text is the answer twice, the second time as Rust prints every field.
        Some(kube::Error::Api(status)) => {
            let reason = if status.reason.is_empty() { String::new() } else { format!(" {}", status.reason) };
            let message = if status.message.is_empty() { "no reason given" } else { status.message.as_str() };
            Some(format!("the API answers {}{reason}: {message}", status.code))
        }
        Some(kube::Error::Auth(auth)) => of_auth(auth),
        Some(_plainer) => None,
        None => error.downcast_ref::<AuthError>().and_then(of_auth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the nodes cannot be listed")]
    struct Around(#[source] kube::Error);

    #[test]
    fn a_refused_request_is_one_line_in_the_words_of_the_server() {
        let message = "nodes is forbidden: User \"u\" cannot list resource \"nodes\"";
        let status = kube::core::Status { code: 403, ..kube::core::Status::failure(message, "Forbidden") };
        let error = Around(kube::Error::Api(status.boxed()));
        let told = Failure::environment("GSH-ATT-002", "a list", "none").because(&error).finding.causes;
        let line = format!("the API answers 403 Forbidden: {message}");
        assert_eq!(told, ["the nodes cannot be listed".to_owned(), line.clone()]);
        assert_eq!(chain(&error), format!("the nodes cannot be listed: {line}"));
    }
}
