//! JUnit XML: junit-report writes the bare suites, a streaming pass adds what it cannot express.
//!
//! Suite = cell, class = `gsh.<cell>`, case = subject. Passed is a plain case, failed a `failure`, inconclusive an
//! `error`, skipped a `skipped` with its reason; a subject blocked by another one that is itself red is `skipped` of
//! type `blocked`, against N-fold red. Earlier attempts become `flaky…` or `rerun…` elements of the one case. Every text
//! goes through the sanitiser before the library sees it: it filters nothing.
//!
//! One suite is in memory at a time, so a document of any size needs the memory of its largest cell.

mod enrich;
mod words;

use std::io::{self, Write};

use gsh_model::outcome::Subject;
use gsh_model::run::{CellState, RunState, SubjectState};
use jiff::Timestamp;
use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestResult, TestSuite};

use crate::mark::Mark;
use crate::text::one_line;
use words::{Trouble, case_name, cdata, output, trouble};

/// Longest `message` attribute, in characters.
const MESSAGE: usize = 300;
/// Longest text of a case, in bytes.
const BODY: usize = 64 * 1024;

/// How much of what tolerant readers understand is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Properties of cases, `file` of cases, totals of the root.
    Rich,
    /// Only what the schema of Jenkins' xUnit plugin (`junit-10.xsd`) allows; the facts stand in `system-out`.
    Strict,
}

type Properties = Vec<(String, String)>;

/// Renders the document.
#[must_use]
pub fn render(run: &RunState, profile: Profile) -> String {
    let mut bytes = Vec::new();
    // Both libraries write to memory and read their own output; an error here is a bug that the tests would show.
    match write(run, profile, &mut bytes) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<testsuites name=\"gsh\"><testsuite name=\"gsh\" tests=\"1\" \
             errors=\"1\" failures=\"0\"><testcase name=\"report\" classname=\"gsh\"><error type=\"harness\" \
             message=\"{}\"/></testcase></testsuite></testsuites>\n",
            quick_xml::escape::escape(one_line(&e.to_string(), MESSAGE).as_str())
        ),
    }
}

/// Writes the document piece by piece.
///
/// # Errors
/// When the target cannot be written to.
pub fn write(run: &RunState, profile: Profile, out: impl Write) -> io::Result<()> {
    let mut document = enrich::Document::begin(run, profile, out)?;
    let mut bare = Vec::new();
    for (number, cell) in run.cells.iter().enumerate() {
        bare.clear();
        let mut report = Report::new();
        report.add_testsuite(suite(run, profile, cell));
        report.write_xml(&mut bare).map_err(io::Error::other)?;
        document.suite(&bare, number, cell)?;
    }
    document.end()
}

fn suite(run: &RunState, profile: Profile, cell: &CellState) -> TestSuite {
    let mut suite = TestSuite::new(cell.id.as_str());
    suite.package = "gsh".to_owned();
    suite.hostname = "gsh".to_owned();
    let began = began(cell).or(run.header.as_ref().map(|h| h.started));
    suite.timestamp = OffsetDateTime::from_unix_timestamp(began.map_or(0, Timestamp::as_second))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    suite.testcases = cell.subjects.iter().map(|subject| case(run, profile, cell, subject)).collect();
    suite
}

fn case(run: &RunState, profile: Profile, cell: &CellState, subject: &SubjectState) -> TestCase {
    let name = case_name(&subject.subject);
    let ms = i64::try_from(took(subject)).unwrap_or(i64::MAX);
    let mut case = TestCase::success(&name, Duration::milliseconds(ms));
    case.classname = Some(format!("gsh.{}", cell.id));
    if let (Profile::Rich, Subject::Scenario(id), Some(plan)) = (profile, &subject.subject, &run.plan)
        && let Some(spec) = plan.scenarios.iter().find(|s| s.id == *id)
    {
        case.filepath = Some(one_line(&spec.file, MESSAGE));
    }
    if !matches!(Mark::of(subject), Mark::Passed | Mark::Flaky)
        && let Some(Trouble { element, kind: type_, message, body }) = trouble(&subject.outcome())
    {
        let cause = (!body.is_empty()).then(|| cdata(&body));
        case.result = match element {
            "failure" => TestResult::Failure { type_, message, cause },
            "error" => TestResult::Error { type_, message, cause },
            _ => TestResult::SkippedWithCause { type_, message, cause },
        };
    }
    case.system_out = output(profile, cell, subject).map(|out| cdata(&out));
    case
}

fn began(cell: &CellState) -> Option<Timestamp> {
    cell.subjects.iter().flat_map(|s| &s.attempts).map(|a| a.started).min()
}

fn ended(cell: &CellState) -> Option<Timestamp> {
    cell.subjects.iter().flat_map(|s| &s.attempts).filter_map(|a| a.finished.as_ref().map(|(at, _)| *at)).max()
}

fn took(subject: &SubjectState) -> u64 {
    subject.attempts.last().map_or(0, |a| a.took_ms)
}
