//! The parts of the page around matrix and cells: verdict, changes, causes, leftovers, inputs.

use gsh_model::outcome::Evidence;
use gsh_model::run::LeaseEnd;
use maud::{Markup, html};

use super::{Detail, HEAD, Page, anchor, badge, cell_anchor, past};
use crate::cause::{Cause, shared};
use crate::change::{Kind, changes};
use crate::mark::Mark;
use crate::markdown::headline;
use crate::text::{duration, one_line, sanitise};

/// Links to places shown per cause and change; more are counted.
const PLACES: usize = 60;

pub(super) fn verdict(page: &Page<'_>) -> Markup {
    let run = page.run;
    let words = headline(run);
    let (word, rest) = words.split_once(": ").unwrap_or((&words, ""));
    let count = |mark: Mark| run.cells.iter().flat_map(|c| &c.subjects).filter(|s| Mark::of(s) == mark).count();
    let class = match page.beside.verdict.as_ref().map_or(word, |v| v.word.as_str()) {
        "pass" | "passed" => "good",
        "fail" | "failed" => "bad",
        _ => "open",
    };
    html! {
        header class={ "verdict " (class) } {
            h1 {
                "gsh: "
                @match &page.beside.verdict {
                    Some(verdict) => { "the gate says " (verdict.word) },
                    None => (word),
                }
            }
            @if let Some(h) = &run.header {
                p.grade { "Evidence " b { (h.evidence) } span.quiet { ": " (meaning(h.evidence)) } }
            }
            @if let Some(verdict) = &page.beside.verdict {
                @if !verdict.reasons.is_empty() {
                    ol.reasons { @for reason in verdict.reasons.iter().take(20) { li { (one_line(reason, 600)) } } }
                }
                @if let Some(proven) = verdict.proven { p { "Proven by this run: " b { (proven) } "." } }
                @for waiver in verdict.waivers.iter().take(20) { p { "Waiver " (one_line(waiver, 300)) } }
                p { "The run itself " (word) ": " (rest) "." }
            } @else {
                p { (rest) "." }
            }
            p.counts {
                @for mark in Mark::ALL { @if count(mark) > 0 { span { (badge(mark)) " " b { (count(mark)) } } " " } }
            }
            @if let Some(h) = &run.header {
                dl.facts {
                    div { dt { "Run" } dd { (h.run) } }
                    div { dt { "Provider" } dd { (one_line(&h.provider, 60)) } }
                    div { dt { "Started" } dd { (h.started.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
                    @if let Some(last) = run.last_at {
                        div { dt { "Took" } dd {
                            (duration(u64::try_from(last.as_millisecond() - h.started.as_millisecond()).unwrap_or(0)))
                            @if run.finished.is_none() { " so far" }
                        } }
                    }
                    @if let Some(cost) = run.cost() { div { dt { "Cost" } dd { (cost) } } }
                    @if let Some(cap) = run.budget { div { dt { "Budget" } dd { (cap) " EUR gross" } } }
                    @if let Some(past) = &page.beside.past {
                        div { dt { "Pairs ever green" } dd { a href="#pairs" { (past.green()) " of " (past.pairs.len()) } } }
                    }
                    div { dt { "gsh" } dd { (one_line(&h.version, 40)) } }
                }
            }
        }
    }
}

/// What a grade of evidence is worth.
fn meaning(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Cloud => "real machines of the real cloud",
        Evidence::Lab => "real hosts, an emulated cloud",
        Evidence::Emulated => "everything around gsh was emulated; it proves nothing about a release",
    }
}

pub(super) fn missing(page: &Page<'_>) -> Markup {
    html! {
        @if let Some(missing) = page.detail.missing() {
            p.missing {
                "To keep this page below " (page.most / 1024) " KiB, it lacks: " (missing) ". "
                code { "results.json" } " and " code { "ledger.jsonl" } " have everything."
            }
        }
    }
}

pub(super) fn changed(page: &Page<'_>) -> Markup {
    let Some(before) = &page.beside.baseline else { return nothing_to_compare(page) };
    let all = changes(before, page.run);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|k| all.subjects.iter().any(|c| c.kind == *k)).collect();
    html! {
        section #changed aria-labelledby="changed-h" {
            h2 #changed-h { "What changed since " @if before.last_green { "the last green run, " } (before.name) }
            @if kinds.is_empty() && all.added.is_empty() && all.removed.is_empty() { p { "Nothing." } }
            @for kind in kinds {
                h3 { (kind.words()) }
                ul { @for change in all.subjects.iter().filter(|c| c.kind == kind).take(PLACES) {
                    li {
                        (badge(change.before)) " → " (badge(change.now)) " "
                        a href={ "#" (anchor(&change.cell, &change.subject)) } { (change.cell) ", " (change.subject) }
                    }
                } }
                (more(all.subjects.iter().filter(|c| c.kind == kind).count()))
            }
            @for (words, cells) in [("cells added", &all.added), ("cells no longer there", &all.removed)] {
                @if !cells.is_empty() {
                    h3 { (words) }
                    ul { @for cell in cells.iter().take(PLACES) { li { (cell) } } }
                    (more(cells.len()))
                }
            }
            p.quiet { (all.same) " subjects stand as before." }
        }
    }
}

/// Why there is no comparison, where one was to be expected.
fn nothing_to_compare(page: &Page<'_>) -> Markup {
    let Some(past) = &page.beside.past else { return html! {} };
    html! {
        section #changed aria-labelledby="changed-h" {
            h2 #changed-h { "What changed since the last green run" }
            p { "None of the " (past.runs) " earlier runs was green as a whole, so there is nothing to compare with." }
        }
    }
}

fn more(all: usize) -> Markup {
    html! { @if all > PLACES { p.quiet { "and " (all - PLACES) " more" } } }
}

pub(super) fn causes(page: &Page<'_>) -> Markup {
    let all = &page.causes;
    html! {
        section #causes aria-labelledby="causes-h" {
            h2 #causes-h { "What is not green" }
            @if all.is_empty() { p { "Everything planned passed or was left out by the plan." } }
            @for (n, cause) in all.iter().enumerate().take(HEAD) { (one(page, n, cause)) }
            @if all.len() > HEAD { p.quiet { "and " (all.len() - HEAD) " more causes" } }
        }
    }
}

fn one(page: &Page<'_>, n: usize, cause: &Cause) -> Markup {
    let f = &cause.finding;
    let shared = if page.detail >= Detail::NoDetails { Vec::new() } else { shared(page.run, cause) };
    let blame = match cause.blame.as_str() {
        "product" => "product",
        "environment" => "environment",
        _ => "other",
    };
    html! {
        article.cause id={ "cause-" (n + 1) } tabindex="-1" {
            h3 { span class={ "blame " (blame) } { (cause.blame) } " " code { (f.check) } }
            dl {
                dt { "expected" } dd { (one_line(&f.expected, 600)) }
                dt { "observed" } dd { (one_line(&f.observed, 1200)) }
                @for because in f.causes.iter().take(12) { dt { "caused by" } dd { (one_line(because, 1200)) } }
                (past::seen_before(page, cause))
                @if !shared.is_empty() {
                    dt { "only where" }
                    dd { @for (n, (axis, value)) in shared.iter().enumerate() {
                        @if n > 0 { ", " } code { (axis) "=" (value) }
                    } }
                }
            }
            p {
                (cause.places.len()) @if cause.places.len() == 1 { " place: " } @else { " places: " }
                @for (n, (cell, subject)) in cause.places.iter().take(PLACES).enumerate() {
                    @if n > 0 { "; " }
                    @if page.detail >= Detail::NoDetails { (cell) ", " (subject) }
                    @else { a href={ "#" (anchor(cell, subject)) } { (cell) ", " (subject) } }
                }
            }
            (more(cause.places.len()))
            @if cause.blocked > 0 { p { (cause.blocked) " more could not run because of it." } }
        }
    }
}

pub(super) fn left_behind(page: &Page<'_>) -> Markup {
    let left = page.run.leftovers();
    let unreleased: Vec<_> = page.run.unreleased().collect();
    html! {
        @if !left.is_empty() || !unreleased.is_empty() {
            section #left aria-labelledby="left-h" {
                h2 #left-h { "Left in the account" }
                ul {
                    @for resource in left.iter().take(200) { li { (one_line(&resource.to_string(), 200)) } }
                    @for (cell, lease) in unreleased.iter().take(200) {
                        li { "lease " code { (lease.lease) } " of " a href={ "#" (cell_anchor(cell)) } { (cell) } ": "
                            @match &lease.end {
                                Some(LeaseEnd::Leaked { reason, .. }) => (one_line(reason, 400)),
                                Some(LeaseEnd::Released(_)) | None => "its end was never recorded",
                            }
                        }
                    }
                }
                @if let Some(h) = &page.run.header { p { "Remove it with " code { "gsh sweep --run " (h.run) } "." } }
            }
        }
    }
}

pub(super) fn inputs(page: &Page<'_>) -> Markup {
    html! {
        section #inputs aria-labelledby="inputs-h" {
            h2 #inputs-h { "Inputs" }
            @if let Some(plan) = &page.run.plan {
                dl.facts {
                    div { dt { "Matrix, SHA-256" } dd { code { (plan.matrix_sha256) } } }
                    div { dt { "Cells chosen" } dd { (plan.cover) } }
                    div { dt { "Cells" } dd { (plan.cells.len()) } }
                }
                @if !plan.left_out.is_empty() {
                    details {
                        summary { "Left out by the plan" }
                        ul { @for left in plan.left_out.iter().take(100) {
                            li { (left.cells) " by " code { (left.by) } ": " (one_line(&left.because, 300)) }
                        } }
                    }
                }
            }
            @let inputs: Vec<_> = page.run.header.iter().flat_map(|h| &h.inputs).collect();
            @if !inputs.is_empty() {
                h3 { "Made from" }
                ul { @for input in inputs.iter().take(100) {
                    li { (input.kind) " " (one_line(&input.name, 200)) " "
                        @match &input.digest { Some(digest) => code { (digest) }, None => "digest not known" } }
                } }
            }
            @if page.run.parts.len() > 1 {
                h3 { "Merged from" }
                ul { @for part in &page.run.parts { li { code { (part.run) } ", evidence " (part.evidence) } } }
            }
            @if !page.run.notes.is_empty() {
                h3 { "Notes" }
                ul { @for note in page.run.notes.iter().take(100) { li { (one_line(&sanitise(note), 600)) } } }
            }
        }
    }
}

pub(super) fn footer() -> Markup {
    html! {
        footer {
            p.keys hidden {
                "Keys: " kbd { "/" } " filter, " kbd { "j" } " and " kbd { "k" } " next and previous trouble, arrows in the matrix, "
                kbd { "Esc" } " back to the top"
            }
            p { "Written by gsh from the ledger of the run; the same ledger gives the same page." }
        }
    }
}
