//! What a case says: its name, what is wrong with it, what it printed.

use gsh_model::event::CheckResult;
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::run::{CellState, LeaseEnd, SubjectState};

use super::{BODY, MESSAGE, Profile, Properties};
use crate::mark::Mark;
use crate::text::{one_line, sanitise};

pub(super) fn case_name(subject: &Subject) -> String {
    match subject {
        Subject::Provision => "[setup] provision".to_owned(),
        Subject::Install => "[setup] install".to_owned(),
        Subject::Scenario(id) => id.to_string(),
        Subject::Teardown => "[teardown] teardown".to_owned(),
    }
}

/// Type and message of what is not green.
pub(super) struct Trouble {
    pub(super) element: &'static str,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) body: String,
}

pub(super) fn trouble(outcome: &Outcome) -> Option<Trouble> {
    let (element, kind, finding) = match outcome {
        Outcome::Passed => return None,
        Outcome::Skipped(reason) => {
            return Some(Trouble {
                element: "skipped",
                kind: "unsupported".to_owned(),
                message: one_line(&reason.0, MESSAGE),
                body: String::new(),
            });
        }
        Outcome::Failed(finding) => ("failure", "assertion".to_owned(), finding),
        Outcome::Inconclusive { why, finding } => match why {
            Why::Environment => ("error", format!("infra.{}", finding.check.as_str().to_lowercase()), finding),
            Why::Harness => ("error", "harness".to_owned(), finding),
            Why::Stopped => ("error", "stopped".to_owned(), finding),
            Why::Interrupted => ("error", "interrupted".to_owned(), finding),
            Why::Budget => ("error", "budget".to_owned(), finding),
            Why::NeverRan => ("error", "never-ran".to_owned(), finding),
            Why::ShardMissing => ("error", "shard-missing".to_owned(), finding),
            Why::BlockedBy(by) => {
                return Some(Trouble {
                    element: "skipped",
                    kind: "blocked".to_owned(),
                    message: format!("[blocked] {} did not pass", case_name(by)),
                    body: String::new(),
                });
            }
        },
    };
    let message = format!("[{kind}] {}: {}", finding.check, one_line(&finding.observed, MESSAGE));
    let mut body = format!("{}\nexpected: {}\nobserved: {}", finding.check, finding.expected, finding.observed);
    for cause in &finding.causes {
        body.push_str("\ncaused by: ");
        body.push_str(cause);
    }
    Some(Trouble { element, kind, message: one_line(&message, MESSAGE), body: fit(&body) })
}

/// Bounded before it is sanitised, for the time that takes, and after, since a replaced character may be longer.
fn fit(text: &str) -> String {
    bounded(&sanitise(&bounded(text)))
}

/// Head and tail of a long text, with a line that says how much was cut.
fn bounded(text: &str) -> String {
    if text.len() <= BODY {
        return text.to_owned();
    }
    let (mut head, mut tail) = (BODY / 4, text.len() - BODY * 3 / 4);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[{} bytes left out; the artifacts have all]\n{}", &text[..head], tail - head, &text[tail..])
}

/// The library copies `]]>` into CDATA as it is, which ends the section early.
pub(super) fn cdata(text: &str) -> String {
    text.replace("]]>", "]]]]><![CDATA[>")
}

/// What the strict profile has no element for, then checks, notes and artifacts of what is not green; a case that passed at
/// once carries nothing of that.
pub(super) fn output(profile: Profile, cell: &CellState, subject: &SubjectState) -> Option<String> {
    let mut out = String::new();
    let properties = match profile {
        Profile::Rich => Properties::new(),
        Profile::Strict => case_properties(subject),
    };
    for (name, value) in properties.iter().filter(|(name, _)| name != "attachment") {
        out.push_str(&format!("[[PROPERTY|{name}={}]]\n", one_line(value, MESSAGE).replace(['[', ']', '|'], " ")));
    }
    let mark = Mark::of(subject);
    if !matches!(mark, Mark::Passed | Mark::Skipped) {
        said(cell, subject, &mut out);
    }
    (!out.is_empty()).then(|| fit(&out))
}

fn said(cell: &CellState, subject: &SubjectState, out: &mut String) {
    for attempt in &subject.attempts {
        for check in &attempt.checks {
            let word = match &check.result {
                CheckResult::Passed => "passed",
                CheckResult::Failed { .. } => "failed",
                CheckResult::Skipped(_) => "skipped",
            };
            out.push_str(&format!("attempt {} {} {word}: {}\n", attempt.number, check.check, check.title));
        }
        for note in &attempt.notes {
            out.push_str(&format!("attempt {} note: {note}\n", attempt.number));
        }
    }
    for path in attachments(subject) {
        out.push_str(&format!("[[ATTACHMENT|{path}]]\n"));
    }
    if subject.subject == Subject::Teardown {
        for lease in &cell.leases {
            if let Some(LeaseEnd::Leaked { left, reason }) = &lease.end {
                out.push_str(&format!("{} was not released: {reason}\n", lease.lease));
                left.iter().for_each(|r| out.push_str(&format!("left: {r}\n")));
            }
        }
    }
}

/// Paths of kept files that readers can find inside `[[ATTACHMENT|…]]`.
fn attachments(subject: &SubjectState) -> impl Iterator<Item = &str> {
    subject
        .attempts
        .iter()
        .flat_map(|a| &a.artifacts)
        .map(|a| a.path.as_str())
        .filter(|path| !path.contains(['[', ']', '|', '\n', '\r']))
}

/// Facts about a case that are no outcome.
pub(super) fn case_properties(case: &SubjectState) -> Properties {
    let outcome = case.outcome();
    let mut all = vec![("gsh.outcome".to_owned(), outcome.word().to_owned())];
    match &outcome {
        Outcome::Failed(_) => all.push(("gsh.blame".to_owned(), "product".to_owned())),
        Outcome::Inconclusive { why, .. } => all.push(("gsh.blame".to_owned(), why.to_string())),
        Outcome::Passed | Outcome::Skipped(_) => {}
    }
    if let Some(finding) = outcome.finding() {
        all.push(("gsh.check".to_owned(), finding.check.to_string()));
    }
    all.push(("gsh.attempts".to_owned(), case.attempts.len().to_string()));
    if case.is_flaky() {
        all.push(("gsh.flaky".to_owned(), "true".to_owned()));
    }
    all.extend(attachments(case).map(|path| ("attachment".to_owned(), path.to_owned())));
    all
}
