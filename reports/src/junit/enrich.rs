//! The streaming pass: root attributes, counts, wall-clock times, properties, earlier attempts, line breaks.
//!
//! Children of a case stand in Surefire's order, which every schema that knows the elements accepts: failure, earlier
//! failures, skipped or error, earlier errors, output.

use std::io::{self, Write};

use gsh_model::budget::Amount;
use gsh_model::outcome::Outcome;
use gsh_model::run::{Attempt, CellState, RunState, SubjectState};
use jiff::Timestamp;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::words::{Trouble, case_properties, trouble};
use super::{MESSAGE, Profile, Properties, began, ended, took};
use crate::mark::Mark;
use crate::text::one_line;

#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

fn count<'a>(subjects: impl Iterator<Item = &'a SubjectState>) -> Counts {
    let mut counts = Counts::default();
    for subject in subjects {
        counts.tests += 1;
        match Mark::of(subject) {
            Mark::Failed => counts.failures += 1,
            Mark::Unclear | Mark::NotRun => counts.errors += 1,
            Mark::Blocked | Mark::Skipped => counts.skipped += 1,
            Mark::Passed | Mark::Flaky => {}
        }
    }
    counts
}

/// A document that is being written.
pub(super) struct Document<'a, W: Write> {
    run: &'a RunState,
    profile: Profile,
    writer: Writer<W>,
    /// The same for every cell.
    shared: Properties,
}

/// What of a case's earlier attempts is still to be written.
struct Due<'a> {
    case: &'a SubjectState,
    failures: bool,
    errors: bool,
}

impl<'a, W: Write> Document<'a, W> {
    pub(super) fn begin(run: &'a RunState, profile: Profile, out: W) -> io::Result<Self> {
        let mut document = Self { run, profile, writer: Writer::new(out), shared: shared(run) };
        document.event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        document.new_line(0)?;
        document.event(Event::Start(root(run, profile)))?;
        Ok(document)
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.new_line(0)?;
        self.event(Event::End(BytesEnd::new("testsuites")))?;
        self.writer.get_mut().write_all(b"\n")?;
        self.writer.get_mut().flush()
    }

    /// Copies the one suite of a bare document, enriched.
    pub(super) fn suite(&mut self, bare: &[u8], number: usize, cell: &CellState) -> io::Result<()> {
        let mut reader = Reader::from_reader(bare);
        let mut cases = cell.subjects.iter();
        let mut due: Option<Due<'_>> = None;
        let mut depth = 0_usize;
        loop {
            match reader.read_event().map_err(io::Error::other)? {
                Event::Eof => return Ok(()),
                Event::Start(start) if start.name().as_ref() == b"testsuites" => depth += 1,
                Event::End(end) if end.name().as_ref() == b"testsuites" => depth -= 1,
                Event::Start(start) => {
                    let name = start.name();
                    let open = match name.as_ref() {
                        b"testsuite" => suite_start(&start, number, cell),
                        b"testcase" => {
                            due = cases.next().map(|case| Due { case, failures: true, errors: true });
                            timed(&start, due.as_ref().map_or(0, |d| took(d.case)))
                        }
                        child => {
                            self.earlier_before(child, depth, &mut due)?;
                            start.to_owned()
                        }
                    };
                    self.new_line(depth)?;
                    self.event(Event::Start(open))?;
                    depth += 1;
                    match name.as_ref() {
                        b"testsuite" => self.properties(depth, &self.suite_properties(cell))?,
                        b"testcase" => self.case_properties(depth, due.as_ref())?,
                        _ => {}
                    }
                }
                Event::Empty(start) => match start.name().as_ref() {
                    b"testsuite" => {
                        self.new_line(depth)?;
                        self.event(Event::Start(suite_start(&start, number, cell)))?;
                        self.properties(depth + 1, &self.suite_properties(cell))?;
                        self.new_line(depth)?;
                        self.event(Event::End(BytesEnd::new("testsuite")))?;
                    }
                    b"testcase" => {
                        due = cases.next().map(|case| Due { case, failures: true, errors: true });
                        self.new_line(depth)?;
                        self.event(Event::Start(timed(&start, due.as_ref().map_or(0, |d| took(d.case)))))?;
                        self.case_properties(depth + 1, due.as_ref())?;
                        self.earlier_before(b"system-out", depth + 1, &mut due)?;
                        self.new_line(depth)?;
                        self.event(Event::End(BytesEnd::new("testcase")))?;
                    }
                    child => {
                        self.earlier_before(child, depth, &mut due)?;
                        self.new_line(depth)?;
                        self.event(Event::Empty(start.to_owned()))?;
                    }
                },
                Event::End(end) => {
                    depth -= 1;
                    if end.name().as_ref() == b"testcase" {
                        self.earlier_before(b"system-out", depth + 1, &mut due)?;
                    }
                    if matches!(end.name().as_ref(), b"testcase" | b"testsuite") {
                        self.new_line(depth)?;
                    }
                    self.event(Event::End(end))?;
                }
                other
                @ (Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::GeneralRef(_)) => {
                    self.event(other)?;
                }
                Event::Decl(_) | Event::DocType(_) => {}
            }
        }
    }

    /// Earlier attempts that stand before a child of the case.
    fn earlier_before(&mut self, child: &[u8], depth: usize, due: &mut Option<Due<'_>>) -> io::Result<()> {
        let Some(due) = due else { return Ok(()) };
        let (failures, errors) = match child {
            b"skipped" | b"error" => (true, false),
            b"system-out" | b"system-err" => (true, true),
            _ => return Ok(()),
        };
        if failures && std::mem::take(&mut due.failures) {
            self.earlier(depth, due.case, true)?;
        }
        if errors && std::mem::take(&mut due.errors) {
            self.earlier(depth, due.case, false)?;
        }
        Ok(())
    }

    /// Attempts before the last one: those that failed, or the others that are not green.
    fn earlier(&mut self, depth: usize, case: &SubjectState, failures: bool) -> io::Result<()> {
        let last = case.attempts.len().saturating_sub(1);
        for attempt in &case.attempts[..last] {
            let Some(Trouble { element, kind, message, body }) = attempt_trouble(attempt) else { continue };
            let name = match (case.is_flaky(), element == "failure") {
                (_, failure) if failure != failures => continue,
                (true, true) => "flakyFailure",
                (true, false) => "flakyError",
                (false, true) => "rerunFailure",
                (false, false) => "rerunError",
            };
            self.new_line(depth)?;
            let mut start = BytesStart::new(name);
            start.push_attribute(("type", kind.as_str()));
            start.push_attribute(("message", message.as_str()));
            self.event(Event::Start(start))?;
            self.event(Event::Start(BytesStart::new("stackTrace")))?;
            self.event(Event::Text(BytesText::new(&body)))?;
            self.event(Event::End(BytesEnd::new("stackTrace")))?;
            self.event(Event::End(BytesEnd::new(name)))?;
        }
        Ok(())
    }

    fn suite_properties(&self, cell: &CellState) -> Properties {
        let mut all = self.shared.clone();
        all.push(("gsh.cell".to_owned(), cell.id.to_string()));
        if let Some(planned) = self.run.plan.as_ref().and_then(|p| p.cell(&cell.id)) {
            all.extend(planned.cell.axes().into_iter().map(|(axis, value)| (format!("gsh.axis.{axis}"), value)));
        }
        for lease in &cell.leases {
            all.push((
                "gsh.cluster".to_owned(),
                format!("{} {}", lease.lease, lease.servers.join(" ")).trim().to_owned(),
            ));
        }
        all.extend(cost(cell.cost()));
        all
    }

    fn case_properties(&mut self, depth: usize, due: Option<&Due<'_>>) -> io::Result<()> {
        match (self.profile, due) {
            (Profile::Rich, Some(due)) => self.properties(depth, &case_properties(due.case)),
            (Profile::Rich | Profile::Strict, _) => Ok(()),
        }
    }

    fn properties(&mut self, depth: usize, all: &Properties) -> io::Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        self.new_line(depth)?;
        self.event(Event::Start(BytesStart::new("properties")))?;
        for (name, value) in all {
            self.new_line(depth + 1)?;
            let mut property = BytesStart::new("property");
            property.push_attribute(("name", one_line(name, MESSAGE).as_str()));
            property.push_attribute(("value", one_line(value, MESSAGE).as_str()));
            self.event(Event::Empty(property))?;
        }
        self.new_line(depth)?;
        self.event(Event::End(BytesEnd::new("properties")))
    }

    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        self.writer.write_event(event)
    }

    fn new_line(&mut self, depth: usize) -> io::Result<()> {
        const BREAK: &str = "\n                    ";
        self.writer.get_mut().write_all(&BREAK.as_bytes()[..=(2 * depth).min(BREAK.len() - 1)])
    }
}

/// Properties that every suite of a run has.
fn shared(run: &RunState) -> Properties {
    let mut all = Properties::new();
    if let Some(h) = &run.header {
        all.push(("gsh.run_id".to_owned(), h.run.to_string()));
        all.push(("gsh.version".to_owned(), h.version.clone()));
        all.push(("gsh.evidence".to_owned(), h.evidence.to_string()));
        all.push(("gsh.provider".to_owned(), h.provider.clone()));
        let inputs = gsh_model::input::by_name(&h.inputs);
        all.extend(inputs.into_iter().map(|(name, digest)| (format!("gsh.input.{name}"), digest)));
    }
    if let Some(plan) = &run.plan {
        all.push(("gsh.matrix.sha256".to_owned(), plan.matrix_sha256.clone()));
        all.extend(plan.shard.map(|shard| ("gsh.shard".to_owned(), shard.to_string())));
    }
    all
}

fn cost(cost: Option<Amount>) -> Properties {
    cost.map_or_else(Properties::new, |amount| {
        vec![
            ("gsh.cost.net_eur".to_owned(), amount.net.to_string()),
            ("gsh.cost.gross_eur".to_owned(), amount.gross.to_string()),
        ]
    })
}

fn root(run: &RunState, profile: Profile) -> BytesStart<'static> {
    let counts = count(run.cells.iter().flat_map(|c| &c.subjects));
    let started = run.header.as_ref().map(|h| h.started);
    let mut start = BytesStart::new("testsuites");
    start.push_attribute(("name", "gsh"));
    start.push_attribute(("tests", counts.tests.to_string().as_str()));
    start.push_attribute(("failures", counts.failures.to_string().as_str()));
    start.push_attribute(("errors", counts.errors.to_string().as_str()));
    start.push_attribute(("time", seconds(wall_clock(started, run.last_at)).as_str()));
    if profile == Profile::Rich {
        start.push_attribute(("skipped", counts.skipped.to_string().as_str()));
        if let Some(started) = started {
            start.push_attribute(("timestamp", whole_seconds(started).as_str()));
        }
    }
    start
}

fn suite_start(start: &BytesStart<'_>, number: usize, cell: &CellState) -> BytesStart<'static> {
    let mut suite = with_time(start, wall_clock(began(cell), ended(cell)), b"id");
    // The library numbers within one report, and each suite is a report of its own here.
    suite.push_attribute(("id", number.to_string().as_str()));
    suite.push_attribute(("skipped", count(cell.subjects.iter()).skipped.to_string().as_str()));
    suite
}

/// The element with its time replaced: the library prints full precision, and sums for suites.
fn timed(start: &BytesStart<'_>, ms: u64) -> BytesStart<'static> {
    with_time(start, ms, b"")
}

fn with_time(start: &BytesStart<'_>, ms: u64, without: &[u8]) -> BytesStart<'static> {
    let mut timed = BytesStart::new(String::from_utf8_lossy(start.name().as_ref()).into_owned());
    for attribute in start.attributes().flatten() {
        if attribute.key.as_ref() != b"time" && attribute.key.as_ref() != without {
            timed.push_attribute(attribute);
        }
    }
    timed.push_attribute(("time", seconds(ms).as_str()));
    timed
}

fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn wall_clock(from: Option<Timestamp>, to: Option<Timestamp>) -> u64 {
    match (from, to) {
        (Some(from), Some(to)) => u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0),
        (None, _) | (_, None) => 0,
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn attempt_trouble(attempt: &Attempt) -> Option<Trouble> {
    attempt.finished.as_ref().and_then(|(_, outcome): &(Timestamp, Outcome)| trouble(outcome))
}
