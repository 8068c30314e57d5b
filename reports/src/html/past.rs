//! What earlier runs have shown: strips of results, and the age of every pair of values.

use gsh_model::history::{Class, Covered, Record};
use gsh_model::outcome::OutcomeKind;
use maud::{Markup, html};

use super::{Detail, Page, class};
use crate::cause::Cause;
use crate::mark::Mark;
use crate::text::one_line;

/// Results that a strip shows.
const STRIP: usize = 30;
/// Pairs listed of each kind; more are counted.
const PAIRS: usize = 60;

fn mark(outcome: OutcomeKind) -> Mark {
    match outcome {
        OutcomeKind::Passed => Mark::Passed,
        OutcomeKind::Failed => Mark::Failed,
        OutcomeKind::Inconclusive => Mark::Unclear,
        OutcomeKind::Skipped => Mark::Skipped,
    }
}

/// Results in a row, the newest on the right; equal neighbours share an element.
pub(super) fn strip(outcomes: &[OutcomeKind]) -> Markup {
    let last = &outcomes[outcomes.len().saturating_sub(STRIP)..];
    let count = |outcome: OutcomeKind| last.iter().filter(|o| **o == outcome).count();
    let counts: Vec<String> =
        [OutcomeKind::Passed, OutcomeKind::Failed, OutcomeKind::Inconclusive, OutcomeKind::Skipped]
            .into_iter()
            .filter(|o| count(*o) > 0)
            .map(|o| format!("{} {}", count(o), o.as_str()))
            .collect();
    html! {
        span.strip role="img" aria-label={ "before: " (counts.join(", ")) } {
            @for same in last.chunk_by(|a, b| a == b) {
                @let mark = mark(same[0]);
                span class=(class(mark)) { (mark.sign().repeat(same.len())) }
            }
        }
    }
}

/// How a subject stood before.
pub(super) fn lately(record: &Record) -> Markup {
    let percent = |rate: f64| format!("{:.0} %", rate * 100.0);
    html! {
        p.lately {
            "Before: " (strip(&record.strip))
            @if record.runs > 0 {
                " passed " (record.passes) " of " (record.runs)
                span.quiet { " (95 % between " (percent(record.interval.0)) " and " (percent(record.interval.1)) ")" }
            }
            @match record.class {
                Class::Broken | Class::Regressed | Class::Flaky => { ", " b { (record.class.as_str()) } },
                Class::Stable | Class::Unknown => {},
            }
        }
    }
}

/// Whether the check that decided a cause has decided in earlier runs.
pub(super) fn seen_before(page: &Page<'_>, cause: &Cause) -> Markup {
    let Some(past) = page.beside.past.as_ref().filter(|p| p.runs > 0) else { return html! {} };
    html! {
        dt { "seen before" }
        dd { @match past.decided.get(&cause.finding.check) {
            None => { "in none of the " (past.runs) " earlier runs" },
            Some(seen) => {
                "in " (seen.runs) " of the " (past.runs) " earlier runs, first " (ago(past.days(seen.first.0))) " in "
                (seen.first.1)
                @if seen.runs > 1 { ", last " (ago(past.days(seen.last.0))) " in " (seen.last.1) }
            },
        } }
    }
}

fn ago(days: i64) -> String {
    match days {
        0 => "within a day".to_owned(),
        1 => "1 day before".to_owned(),
        days => format!("{days} days before"),
    }
}

/// Which pairs were green, and when.
pub(super) fn pairs(page: &Page<'_>) -> Markup {
    let Some(past) = &page.beside.past else { return html! {} };
    let never: Vec<&Covered> = past.pairs.iter().filter(|p| p.last_green.is_none()).collect();
    let red: Vec<&Covered> = past.pairs.iter().filter(|p| p.is_red()).collect();
    let stalest: Vec<&Covered> =
        past.pairs.iter().filter(|p| p.last_green.as_ref().is_some_and(|s| s.run != past.run)).collect();
    let now = past.green() - stalest.len();
    html! {
        section #pairs aria-labelledby="pairs-h" {
            h2 #pairs-h { "Pairs of values" }
            p {
                b { (past.green()) " of " (past.pairs.len()) } " pairs that the matrix can have were green at some time, "
                (now) " of them in this run. " (red.len()) " were red when last seen. "
                span.quiet { (past.runs) " earlier runs are known." }
            }
            @if page.detail < Detail::NoDetails {
                (list(page, "never green", &never))
                (list(page, "red when last seen", &red))
                (list(page, "longest ago", &stalest))
            }
        }
    }
}

fn list(page: &Page<'_>, what: &str, pairs: &[&Covered]) -> Markup {
    let Some(past) = page.beside.past.as_ref().filter(|_| !pairs.is_empty()) else { return html! {} };
    html! {
        details {
            summary { (what) " (" (pairs.len()) ")" }
            div.wide role="region" tabindex="0" aria-label={ "pairs " (what) } {
                table.pairs {
                    thead { tr {
                        th scope="col" { "pair" } th scope="col" { "last green" } th scope="col" { "release" }
                        th scope="col" { "green" } th scope="col" { "red" }
                    } }
                    tbody { @for pair in pairs.iter().take(PAIRS) { tr {
                        th scope="row" { (pair.tuple.to_string()) }
                        @match &pair.last_green {
                            None => { td { "never" } td { "–" } },
                            Some(seen) => {
                                td { (ago(past.days(seen.at))) }
                                td { (one_line(&seen.release, 40)) }
                            },
                        }
                        td { (pair.green) }
                        td { (pair.red) }
                    } } }
                }
            }
            @if pairs.len() > PAIRS { p.quiet { "and " (pairs.len() - PAIRS) " more" } }
        }
    }
}
