//! JUnit XML: junit-report writes the bare document, a streaming pass adds what it cannot express.
//!
//! Suite = cell, class = `gsh.<cell>`, case = subject. Passed is a plain case, failed a `failure`, inconclusive an
//! `error`, skipped a `skipped` with its reason; a subject blocked by another one that is itself red is `skipped` of
//! type `blocked`, against N-fold red. Earlier attempts become `flaky…` or `rerun…` elements of the one case. Every text
//! goes through the sanitiser before the library sees it: it filters nothing.

use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::run::{Attempt, CellState, LeaseEnd, RunState, SubjectState};
use jiff::Timestamp;
use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestResult, TestSuite};
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use crate::text::{one_line, sanitise};

/// Longest `message` attribute, in characters.
const MESSAGE: usize = 300;
/// Longest text of a case, in bytes.
const BODY: usize = 64 * 1024;

/// Renders the document.
#[must_use]
pub fn render(run: &RunState) -> String {
    let mut bare = Vec::new();
    let written = report(run).write_xml(&mut bare);
    let enriched = written.map_err(|e| e.to_string()).and_then(|()| enrich(&bare, run).map_err(|e| e.to_string()));
    // Both writers write to memory and read their own output; an error here is a bug that the tests would show.
    enriched.unwrap_or_else(|e| {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<testsuites name=\"gsh\"><testsuite name=\"gsh\" tests=\"1\" \
             errors=\"1\" failures=\"0\"><testcase name=\"report\" classname=\"gsh\"><error type=\"harness\" \
             message=\"{}\"/></testcase></testsuite></testsuites>\n",
            quick_xml::escape::escape(one_line(&e, MESSAGE).as_str())
        )
    })
}

fn case_name(subject: &Subject) -> String {
    match subject {
        Subject::Provision => "[setup] provision".to_owned(),
        Subject::Install => "[setup] install".to_owned(),
        Subject::Scenario(id) => id.to_string(),
        Subject::Teardown => "[teardown] teardown".to_owned(),
    }
}

/// Type and message of what is not green.
struct Trouble {
    element: &'static str,
    kind: String,
    message: String,
    body: String,
}

fn trouble(outcome: &Outcome) -> Option<Trouble> {
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
    Some(Trouble { element, kind, message: one_line(&message, MESSAGE), body: bounded(&sanitise(&body)) })
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
fn cdata(text: &str) -> String {
    text.replace("]]>", "]]]]><![CDATA[>")
}

fn milliseconds(ms: u64) -> Duration {
    Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn report(run: &RunState) -> Report {
    let mut report = Report::new();
    for cell in &run.cells {
        let mut suite = TestSuite::new(cell.id.as_str());
        suite.package = "gsh".to_owned();
        suite.hostname = "gsh".to_owned();
        let began = began(cell).or(run.header.as_ref().map(|h| h.started));
        suite.timestamp = OffsetDateTime::from_unix_timestamp(began.map_or(0, Timestamp::as_second))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        for subject in &cell.subjects {
            suite.add_testcase(case(run, cell, subject));
        }
        report.add_testsuite(suite);
    }
    report
}

fn case(run: &RunState, cell: &CellState, subject: &SubjectState) -> TestCase {
    let name = case_name(&subject.subject);
    let mut case = TestCase::success(&name, milliseconds(took(subject)));
    case.set_classname(&format!("gsh.{}", cell.id));
    if let (Subject::Scenario(id), Some(plan)) = (&subject.subject, &run.plan)
        && let Some(spec) = plan.scenarios.iter().find(|s| s.id == *id)
    {
        case.set_filepath(&one_line(&spec.file, MESSAGE));
    }
    if let Some(Trouble { element, kind: type_, message, body }) = trouble(&subject.outcome()) {
        let cause = (!body.is_empty()).then(|| cdata(&body));
        case.result = match element {
            "failure" => TestResult::Failure { type_, message, cause },
            "error" => TestResult::Error { type_, message, cause },
            _ => TestResult::SkippedWithCause { type_, message, cause },
        };
    }
    if let Some(out) = output(cell, subject) {
        case.set_system_out(&cdata(&out));
    }
    case
}

/// Checks, notes and artifacts of what is not green; a passed case carries no output.
fn output(cell: &CellState, subject: &SubjectState) -> Option<String> {
    if matches!(subject.outcome(), Outcome::Passed | Outcome::Skipped(_)) {
        return None;
    }
    let mut out = String::new();
    for attempt in &subject.attempts {
        for check in &attempt.checks {
            let word = match &check.result {
                gsh_model::event::CheckResult::Passed => "passed",
                gsh_model::event::CheckResult::Failed { .. } => "failed",
                gsh_model::event::CheckResult::Skipped(_) => "skipped",
            };
            out.push_str(&format!("attempt {} {} {word}: {}\n", attempt.number, check.check, check.title));
        }
        for note in &attempt.notes {
            out.push_str(&format!("attempt {} note: {note}\n", attempt.number));
        }
        for artifact in &attempt.artifacts {
            out.push_str(&format!("[[ATTACHMENT|{}]]\n", artifact.path));
        }
    }
    if subject.subject == Subject::Teardown {
        for lease in &cell.leases {
            if let Some(LeaseEnd::Leaked { left, reason }) = &lease.end {
                out.push_str(&format!("{} was not released: {reason}\n", lease.lease));
                left.iter().for_each(|r| out.push_str(&format!("left: {r}\n")));
            }
        }
    }
    (!out.is_empty()).then(|| bounded(&sanitise(&out)))
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

fn wall_clock(from: Option<Timestamp>, to: Option<Timestamp>) -> u64 {
    match (from, to) {
        (Some(from), Some(to)) => u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0),
        (None, _) | (_, None) => 0,
    }
}

struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

fn count<'a>(subjects: impl Iterator<Item = &'a SubjectState>) -> Counts {
    let mut counts = Counts { tests: 0, failures: 0, errors: 0, skipped: 0 };
    for subject in subjects {
        counts.tests += 1;
        match trouble(&subject.outcome()).map(|t| t.element) {
            Some("failure") => counts.failures += 1,
            Some("error") => counts.errors += 1,
            Some(_) => counts.skipped += 1,
            None => {}
        }
    }
    counts
}

/// Adds root attributes, counts, wall-clock times, properties, earlier attempts and line breaks.
fn enrich(bare: &[u8], run: &RunState) -> Result<String, quick_xml::Error> {
    let mut reader = Reader::from_reader(bare);
    let mut writer = Writer::new(Vec::with_capacity(bare.len() * 2));
    let mut suites = run.cells.iter();
    let mut cell: Option<&CellState> = None;
    let mut cases = [].iter();
    let mut case: Option<&SubjectState> = None;
    // Earlier attempts stand after failure and error but before system-out; whoever comes first writes them.
    let mut attempts_due = false;
    let mut depth = 0_usize;
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Eof => break,
            Event::Start(start) => {
                let name = start.name().as_ref().to_vec();
                let start = match name.as_slice() {
                    b"testsuites" => root(run),
                    b"testsuite" => {
                        cell = suites.next();
                        cases = cell.map_or([].iter(), |c| c.subjects.iter());
                        suite_start(&start, cell)
                    }
                    b"testcase" => {
                        case = cases.next();
                        attempts_due = true;
                        timed(&start, case.map_or(0, took))
                    }
                    b"system-out" if std::mem::take(&mut attempts_due) => {
                        earlier(&mut writer, depth, case)?;
                        start.into_owned()
                    }
                    _ => start.into_owned(),
                };
                new_line(&mut writer, depth)?;
                writer.write_event(Event::Start(start))?;
                depth += 1;
                match name.as_slice() {
                    b"testsuite" => properties(&mut writer, depth, &suite_properties(run, cell))?,
                    b"testcase" => properties(&mut writer, depth, &case_properties(case))?,
                    _ => {}
                }
            }
            Event::Empty(start) => {
                new_line(&mut writer, depth)?;
                match start.name().as_ref() {
                    b"testsuites" => writer.write_event(Event::Empty(root(run)))?,
                    b"testsuite" => {
                        cell = suites.next();
                        writer.write_event(Event::Empty(suite_start(&start, cell)))?;
                    }
                    b"testcase" => {
                        case = cases.next();
                        writer.write_event(Event::Start(timed(&start, case.map_or(0, took))))?;
                        properties(&mut writer, depth + 1, &case_properties(case))?;
                        earlier(&mut writer, depth + 1, case)?;
                        new_line(&mut writer, depth)?;
                        writer.write_event(Event::End(BytesEnd::new("testcase")))?;
                    }
                    _ => writer.write_event(Event::Empty(start))?,
                }
            }
            Event::End(end) => {
                depth -= 1;
                if end.name().as_ref() == b"testcase" && std::mem::take(&mut attempts_due) {
                    earlier(&mut writer, depth + 1, case)?;
                }
                if matches!(end.name().as_ref(), b"testcase" | b"testsuite" | b"testsuites") {
                    new_line(&mut writer, depth)?;
                }
                writer.write_event(Event::End(end))?;
            }
            other @ (Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_)) => writer.write_event(other)?,
        }
        buffer.clear();
    }
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn new_line(writer: &mut Writer<Vec<u8>>, depth: usize) -> Result<(), quick_xml::Error> {
    Ok(writer.write_event(Event::Text(BytesText::from_escaped(format!("\n{}", "  ".repeat(depth)))))?)
}

fn root(run: &RunState) -> BytesStart<'static> {
    let counts = count(run.cells.iter().flat_map(|c| &c.subjects));
    let started = run.header.as_ref().map(|h| h.started);
    let mut start = BytesStart::new("testsuites");
    start.push_attribute(("name", "gsh"));
    start.push_attribute(("tests", counts.tests.to_string().as_str()));
    start.push_attribute(("failures", counts.failures.to_string().as_str()));
    start.push_attribute(("errors", counts.errors.to_string().as_str()));
    start.push_attribute(("skipped", counts.skipped.to_string().as_str()));
    start.push_attribute(("time", seconds(wall_clock(started, run.last_at)).as_str()));
    if let Some(started) = started {
        start.push_attribute(("timestamp", whole_seconds(started).as_str()));
    }
    start
}

fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn suite_start(start: &BytesStart<'_>, cell: Option<&CellState>) -> BytesStart<'static> {
    let wall = cell.map_or(0, |c| wall_clock(began(c), ended(c)));
    let skipped = cell.map_or(0, |c| count(c.subjects.iter()).skipped);
    let mut start = timed(start, wall);
    start.push_attribute(("skipped", skipped.to_string().as_str()));
    start
}

/// The element with its time replaced: the library prints full precision, and sums for suites.
fn timed(start: &BytesStart<'_>, ms: u64) -> BytesStart<'static> {
    let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
    let mut timed = BytesStart::new(name);
    for attribute in start.attributes().flatten() {
        if attribute.key.as_ref() != b"time" {
            timed.push_attribute(attribute);
        }
    }
    timed.push_attribute(("time", seconds(ms).as_str()));
    timed
}

type Properties = Vec<(String, String)>;

fn suite_properties(run: &RunState, cell: Option<&CellState>) -> Properties {
    let mut all = Properties::new();
    if let Some(h) = &run.header {
        all.push(("gsh.run_id".to_owned(), h.run.to_string()));
        all.push(("gsh.version".to_owned(), h.version.clone()));
        all.push(("gsh.evidence".to_owned(), h.evidence.to_string()));
        all.push(("gsh.provider".to_owned(), h.provider.clone()));
    }
    if let (Some(plan), Some(cell)) = (&run.plan, cell) {
        all.push(("gsh.matrix.sha256".to_owned(), plan.matrix_sha256.clone()));
        all.push(("gsh.cell".to_owned(), cell.id.to_string()));
        if let Some(planned) = plan.cell(&cell.id) {
            all.extend(planned.cell.axes().into_iter().map(|(axis, value)| (format!("gsh.axis.{axis}"), value)));
        }
    }
    all
}

fn case_properties(case: Option<&SubjectState>) -> Properties {
    let Some(case) = case else { return Properties::new() };
    let outcome = case.outcome();
    let mut all = vec![("gsh.outcome".to_owned(), outcome.word().to_owned())];
    if let Outcome::Inconclusive { why, .. } = &outcome {
        all.push(("gsh.reason".to_owned(), why.to_string()));
    }
    if let Some(finding) = outcome.finding() {
        all.push(("gsh.check".to_owned(), finding.check.to_string()));
    }
    all.push(("gsh.attempts".to_owned(), case.attempts.len().to_string()));
    all
}

fn properties(writer: &mut Writer<Vec<u8>>, depth: usize, all: &Properties) -> Result<(), quick_xml::Error> {
    if all.is_empty() {
        return Ok(());
    }
    new_line(writer, depth)?;
    writer.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in all {
        new_line(writer, depth + 1)?;
        let mut property = BytesStart::new("property");
        property.push_attribute(("name", one_line(name, MESSAGE).as_str()));
        property.push_attribute(("value", one_line(value, MESSAGE).as_str()));
        writer.write_event(Event::Empty(property))?;
    }
    new_line(writer, depth)?;
    writer.write_event(Event::End(BytesEnd::new("properties")))?;
    Ok(())
}

/// Attempts before the last one.
fn earlier(writer: &mut Writer<Vec<u8>>, depth: usize, case: Option<&SubjectState>) -> Result<(), quick_xml::Error> {
    let Some(case) = case else { return Ok(()) };
    let last = case.attempts.len().saturating_sub(1);
    let flaky = case.is_flaky();
    for attempt in &case.attempts[..last] {
        let Some(Trouble { element, kind, message, body }) = attempt_trouble(attempt) else { continue };
        let name = match (flaky, element) {
            (true, "failure") => "flakyFailure",
            (true, _) => "flakyError",
            (false, "failure") => "rerunFailure",
            (false, _) => "rerunError",
        };
        new_line(writer, depth)?;
        let mut start = BytesStart::new(name);
        start.push_attribute(("type", kind.as_str()));
        start.push_attribute(("message", message.as_str()));
        writer.write_event(Event::Start(start))?;
        writer.write_event(Event::Start(BytesStart::new("stackTrace")))?;
        writer.write_event(Event::Text(BytesText::new(&body)))?;
        writer.write_event(Event::End(BytesEnd::new("stackTrace")))?;
        writer.write_event(Event::End(BytesEnd::new(name)))?;
    }
    Ok(())
}

fn attempt_trouble(attempt: &Attempt) -> Option<Trouble> {
    attempt.finished.as_ref().and_then(|(_, outcome)| trouble(outcome))
}
