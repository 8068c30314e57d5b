//! The result for people: what is not good first, with what to do; then everything, by category.

use std::fmt::Write as _;

use gsh_look::standing::WORTH_KNOWING;
use gsh_model::event::CheckResult;
use gsh_model::outcome::{Blame, Outcome, Subject};
use gsh_model::run::{CheckRecord, RunState};

/// Where remedies are written down.
const REMEDIES: &str = "docs/troubleshooting.md";

/// The table.
pub(crate) fn table(state: &RunState, quiet: bool) -> String {
    let mut out = String::new();
    for cell in &state.cells {
        for subject in &cell.subjects {
            let outcome = subject.outcome();
            let plain = matches!(subject.subject, Subject::Provision | Subject::Install | Subject::Teardown);
            // The bracket around the scenarios is only news when it did not hold.
            if plain && outcome == Outcome::Passed {
                continue;
            }
            line(&mut out, &format!("{}: {}", subject.subject, outcome.word()));
            if let Outcome::Skipped(reason) = &outcome {
                line(&mut out, &format!("    {reason}"));
            }
            let Some(attempt) = subject.attempts.last() else { continue };
            for check in attempt.checks.iter().filter(|c| !quiet || !matches!(c.result, CheckResult::Passed)) {
                check_lines(&mut out, check);
            }
            if attempt.checks.is_empty()
                && let Some(finding) = outcome.finding()
            {
                line(&mut out, &format!("    {finding}"));
            }
            for note in &attempt.notes {
                line(&mut out, &format!("    {note}"));
            }
        }
    }
    let checks = state.cells.iter().flat_map(|c| &c.subjects).filter_map(|s| s.attempts.last()).flat_map(|a| &a.checks);
    let (mut good, mut bad, mut unknown, mut worth, mut left) = (0, 0, 0, 0, 0);
    for check in checks {
        match &check.result {
            CheckResult::Passed => good += 1,
            CheckResult::Failed { blame: Blame::Product, .. } => bad += 1,
            CheckResult::Failed { blame: Blame::Environment | Blame::Harness, .. } => unknown += 1,
            CheckResult::Skipped(reason) if reason.to_string().starts_with(WORTH_KNOWING) => worth += 1,
            CheckResult::Skipped(_) => left += 1,
        }
    }
    line(
        &mut out,
        &format!("{good} good, {bad} bad, {unknown} cannot be told, {worth} worth knowing, {left} not judged"),
    );
    out
}

/// Where it is written what to do about a code.
pub(super) fn remedy(code: &str) -> String {
    format!("{REMEDIES}, {code}")
}

fn check_lines(out: &mut String, check: &CheckRecord) {
    let code = &check.check;
    match &check.result {
        CheckResult::Passed => line(out, &format!("  ok    {code}  {}", check.title)),
        CheckResult::Skipped(reason) => line(out, &format!("  -     {code}  {}: {reason}", check.title)),
        CheckResult::Failed { blame, finding } => {
            let sign = match blame {
                Blame::Product => "BAD",
                Blame::Environment | Blame::Harness => "?",
            };
            line(out, &format!("  {sign:5} {code}  {}", check.title));
            line(out, &format!("        expected {}", finding.expected));
            line(out, &format!("        observed {}", finding.observed));
            for cause in &finding.causes {
                line(out, &format!("        because  {cause}"));
            }
            line(out, &format!("        remedy   {}", remedy(code.as_str())));
        }
    }
}

fn line(out: &mut String, text: &str) {
    // Writing into a String cannot fail.
    let _infallible = writeln!(out, "{text}");
}
