//! The details of each cell: a timeline, then every subject with its attempts, checks, notes and evidence.

use gsh_model::event::CheckResult;
use gsh_model::outcome::Outcome;
use gsh_model::run::{Attempt, CellState, CheckRecord, LeaseEnd, SubjectState};
use jiff::Timestamp;
use maud::{Markup, html};

use super::{Detail, Page, anchor, badge, cell_anchor, class, link, past};
use crate::beside::Excerpt;
use crate::mark::Mark;
use crate::text::{duration, one_line, sanitise};

/// Checks, notes and artifacts shown per attempt; more are counted.
const ROWS: usize = 200;
/// Width of a timeline in units of its drawing.
const WIDTH: i64 = 1000;

pub(super) fn section(page: &Page<'_>) -> Markup {
    if page.detail >= Detail::NoDetails {
        return html! {};
    }
    html! {
        section #cells aria-labelledby="cells-h" {
            h2 #cells-h { "Cells" }
            p.filter hidden {
                label for="q" { "Filter" } " "
                input #q type="search" autocomplete="off" spellcheck="false"
                    placeholder="status:failed,inconclusive cell:shiftfs subject:ssh" aria-describedby="q-n";
                " " span #q-n role="status" {}
            }
            @for cell in page.run.cells.iter().filter(|c| page.has_details(c)) { (one(page, cell)) }
        }
    }
}

fn one(page: &Page<'_>, cell: &CellState) -> Markup {
    let mark = page.mark(cell);
    let words: Vec<&str> = cell.subjects.iter().map(|s| Mark::of(s).word()).collect();
    html! {
        article.cell id=(cell_anchor(&cell.id)) data-cell=(cell.id) data-status=(words.join(",")) tabindex="-1" {
            h3 { (badge(mark)) " " (cell.id) @if let Some(cost) = cell.cost() { " " span.quiet { (cost) } } }
            (about(page, cell))
            (timeline(cell))
            @for subject in &cell.subjects { (detail(page, cell, subject)) }
        }
    }
}

fn about(page: &Page<'_>, cell: &CellState) -> Markup {
    let planned = page.planned.get(&cell.id);
    html! {
        details.about {
            summary { "axes, leases, how to run it again" }
            @if let Some(planned) = planned {
                p { "Chosen because: " (one_line(&planned.why, 300)) }
                dl.facts { @for (axis, value) in planned.cell.axes() { div { dt { (axis) } dd { (value) } } } }
                p { "Again: " code { (again(page, planned, None)) } }
            }
            @for lease in &cell.leases {
                p {
                    "Lease " code { (lease.lease) } ", requested " (lease.requested.strftime("%H:%M:%S UTC"))
                    @if !lease.servers.is_empty() { ", servers " (lease.servers.join(", ")) }
                    @match &lease.end {
                        None => ", its end was never recorded",
                        Some(LeaseEnd::Released(removed)) => { ", released with " (removed.len()) " resources" },
                        Some(LeaseEnd::Leaked { left, reason }) => {
                            ", leaked " (left.len()) " resources: " (one_line(reason, 300))
                        },
                    }
                }
            }
            @for note in cell.notes.iter().take(ROWS) { p.note { (one_line(note, 600)) } }
        }
    }
}

/// The command that runs a cell again: the values that tell it apart from the others of the plan.
fn again(page: &Page<'_>, planned: &gsh_model::plan::PlannedCell, scenario: Option<&str>) -> String {
    let terms: Vec<String> =
        page.varying.iter().map(|(axis, _)| format!("{axis}={}", planned.cell.get(*axis))).collect();
    let select = if terms.is_empty() { String::new() } else { format!(" --select {}", terms.join(",")) };
    let scenario = scenario.map(|s| format!(" --scenario {s}")).unwrap_or_default();
    format!("gsh run --cover full{select}{scenario}")
}

/// One lane per subject, one bar per attempt, one notch per check. What it shows stands as text beside and below.
fn timeline(cell: &CellState) -> Markup {
    let attempts = || cell.subjects.iter().flat_map(|s| &s.attempts);
    let Some(from) = attempts().map(|a| a.started).min() else { return html! {} };
    let to = attempts().map(end).max().unwrap_or(from);
    let whole = (to.as_millisecond() - from.as_millisecond()).max(1);
    let x = |at: Timestamp| (at.as_millisecond() - from.as_millisecond()).clamp(0, whole) * WIDTH / whole;
    html! {
        div.lanes {
            @for subject in cell.subjects.iter().filter(|s| !s.attempts.is_empty()) {
                div.lane {
                    span.what { (subject.subject) }
                    svg viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                        @for attempt in &subject.attempts {
                            @let left = x(attempt.started);
                            rect.bar.(class(attempt_mark(attempt)))
                                x=(left) y="1" width=((x(end(attempt)) - left).max(3)) height="10" {}
                            @for check in &attempt.checks {
                                rect class={ "notch" @if matches!(check.result, CheckResult::Failed { .. }) { " bad" } }
                                    x=(x(check.at)) y="1" width="1.5" height="10" {}
                            }
                        }
                    }
                    span.took { (duration(subject.attempts.iter().map(|a| a.took_ms).sum())) }
                }
            }
        }
    }
}

/// When an attempt ended, or the last that is known of it.
fn end(attempt: &Attempt) -> Timestamp {
    match &attempt.finished {
        Some((at, _)) => *at,
        None => attempt.checks.last().map_or(attempt.started, |c| c.at),
    }
}

fn attempt_mark(attempt: &Attempt) -> Mark {
    attempt.finished.as_ref().map_or(Mark::NotRun, |(_, outcome)| Mark::of_outcome(outcome))
}

fn detail(page: &Page<'_>, cell: &CellState, subject: &SubjectState) -> Markup {
    let mark = Mark::of(subject);
    let took: u64 = subject.attempts.iter().map(|a| a.took_ms).sum();
    let brief = page.detail >= Detail::PassedInBrief && !mark.is_trouble();
    html! {
        details.subject open[mark.is_trouble()] data-subject=(subject.subject) data-status=(mark.word()) {
            summary { (badge(mark)) " " (subject.subject) @if took > 0 { " " span.took { (duration(took)) } } }
            div id=(anchor(&cell.id, &subject.subject)) tabindex="-1" {
                (said(&subject.outcome()))
                @if let (false, Some(past)) = (brief, &page.beside.past)
                    && let Some(record) = past.records.get(&(cell.id.clone(), subject.subject.clone())) {
                    (past::lately(record))
                }
                @for attempt in &subject.attempts {
                    @if subject.attempts.len() > 1 {
                        h4 { "Attempt " (attempt.number) " " (badge(attempt_mark(attempt))) " " (duration(attempt.took_ms)) }
                        @if let Some((_, outcome)) = &attempt.finished && *outcome != subject.outcome() { (said(outcome)) }
                    }
                    @if !brief { (inside(page, cell, subject, attempt)) }
                }
                @if let (true, gsh_model::outcome::Subject::Scenario(id)) = (mark.is_trouble(), &subject.subject)
                    && let Some(planned) = page.planned.get(&cell.id) {
                    p { "Again: " code { (again(page, planned, Some(id.as_str()))) } }
                }
            }
        }
    }
}

/// An outcome in words.
fn said(outcome: &Outcome) -> Markup {
    html! {
        @match outcome {
            Outcome::Passed => {},
            Outcome::Skipped(reason) => p { "Left out by the plan: " (one_line(&reason.0, 400)) },
            Outcome::Failed(f) => (finding("product", f)),
            Outcome::Inconclusive { why, finding: f } => (finding(&why.to_string(), f)),
        }
    }
}

fn finding(blame: &str, f: &gsh_model::outcome::Finding) -> Markup {
    html! {
        dl.finding {
            dt { "blame" } dd { (blame) }
            dt { "check" } dd { code { (f.check) } }
            dt { "expected" } dd { (one_line(&f.expected, 600)) }
            dt { "observed" } dd { (one_line(&f.observed, 1200)) }
            @for because in f.causes.iter().take(12) { dt { "caused by" } dd { (one_line(because, 1200)) } }
        }
    }
}

fn inside(page: &Page<'_>, cell: &CellState, subject: &SubjectState, attempt: &Attempt) -> Markup {
    html! {
        @if !attempt.checks.is_empty() {
            ul.checks { @for check in attempt.checks.iter().take(ROWS) { (observation(check)) } }
            @if attempt.checks.len() > ROWS { p.quiet { "and " (attempt.checks.len() - ROWS) " more checks" } }
        }
        @for note in attempt.notes.iter().take(ROWS) { p.note { (one_line(note, 600)) } }
        @for (n, artifact) in attempt.artifacts.iter().take(ROWS).enumerate() {
            p.artifact {
                @match link::artifact(&artifact.path) {
                    Some(to) => a href=(to) { (one_line(&artifact.name, 120)) },
                    None => (one_line(&artifact.name, 120)),
                }
                " " span.quiet { (size(artifact.bytes)) }
            }
            @if let Some(excerpt) = page.beside.excerpts.get(&artifact.path) {
                (lines(page, excerpt, &artifact.name, &format!("l-{}--{}-{}-{n}", cell.id, subject.subject, attempt.number)))
            }
        }
        @if attempt.artifacts.len() > ROWS { p.quiet { "and " (attempt.artifacts.len() - ROWS) " more files" } }
    }
}

fn observation(check: &CheckRecord) -> Markup {
    let mark = match &check.result {
        CheckResult::Passed => Mark::Passed,
        CheckResult::Failed { blame: gsh_model::outcome::Blame::Product, .. } => Mark::Failed,
        CheckResult::Failed { .. } => Mark::Unclear,
        CheckResult::Skipped(_) => Mark::Skipped,
    };
    html! {
        li {
            (badge(mark)) " " code { (check.check) } " " (one_line(&check.title, 300)) " " span.took { (duration(check.took_ms)) }
            @match &check.result {
                CheckResult::Passed => {},
                CheckResult::Failed { finding, .. } => p { "observed " (one_line(&finding.observed, 1200)) },
                CheckResult::Skipped(reason) => p { (one_line(&reason.0, 400)) },
            }
        }
    }
}

/// The last lines of a kept file, each with an anchor.
fn lines(page: &Page<'_>, excerpt: &Excerpt, name: &str, anchor: &str) -> Markup {
    let shorter;
    let excerpt = match page.detail {
        Detail::All => excerpt,
        Detail::ShortExcerpts => {
            shorter = excerpt.shorter(40, 4 * 1024);
            &shorter
        }
        Detail::NoExcerpts | Detail::PassedInBrief | Detail::TroubleOnly | Detail::NoDetails | Detail::Head => {
            return html! {};
        }
    };
    let text = sanitise(&excerpt.text);
    html! {
        @if excerpt.left_out > 0 { p.quiet { (size(excerpt.left_out)) " before this are left out here." } }
        pre.log role="group" tabindex="0" aria-label={ "end of " (one_line(name, 120)) } {
            @for (n, line) in text.lines().enumerate() {
                @let number = excerpt.first_line + n;
                span id={ (anchor) "-" (number) } { @if excerpt.first_line > 0 { b { (number) } " " } (line) } "\n"
            }
        }
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}
