//! The summary of a run for people: verdict, table, causes, leftovers.

use gsh_model::exit::Exit;
use gsh_model::outcome::Subject;
use gsh_model::run::{CellState, RunState};

use crate::beside::Beside;
use crate::cause::{Cause, causes};
use crate::change::{Earlier, Kind, changes};
use crate::mark::Mark;
use crate::past::Past;
use crate::text::one_line;

/// One sentence that says how the run ended.
#[must_use]
pub fn headline(run: &RunState) -> String {
    let count = |word: &str| run.outcomes().filter(|(_, _, o)| o.word() == word).count();
    let counts = format!(
        "{} passed, {} failed, {} inconclusive, {} skipped in {} cells",
        count("passed"),
        count("failed"),
        count("inconclusive"),
        count("skipped"),
        run.cells.len()
    );
    let verdict = match (run.finished.is_some(), run.exit()) {
        (false, _) => "not finished",
        (true, Exit::Pass) => "passed",
        (true, Exit::Fail) => "failed",
        (true, Exit::Leftovers) => "passed, but something may be left in the account",
        (true, Exit::Inconclusive | Exit::Usage | Exit::Bug) => "inconclusive",
    };
    format!("{verdict}: {counts}")
}

/// The scenario columns of a run, in plan order.
#[must_use]
pub fn columns(run: &RunState) -> Vec<Subject> {
    let mut columns = vec![Subject::Provision, Subject::Install];
    if let Some(plan) = &run.plan {
        columns.extend(plan.scenarios.iter().map(|s| Subject::Scenario(s.id.clone())));
    }
    columns.push(Subject::Teardown);
    columns
}

/// What stands in a cell's row under a column.
#[must_use]
pub fn at(cell: &CellState, column: &Subject) -> Option<Mark> {
    cell.subjects.iter().find(|s| s.subject == *column).map(Mark::of)
}

/// Bytes of a summary at most; GitHub drops a step's summary above 1 MiB altogether.
pub const MOST: usize = 900 * 1024;
/// Causes that are described; more are counted.
const CAUSES: usize = 20;
/// Columns of a matrix that people can read.
const COLUMNS: usize = 40;
/// Places named per cause; more are counted.
const PLACES: usize = 40;

/// A document that takes whole blocks while they fit, and keeps room for what says that something is missing.
struct Bounded {
    text: String,
    most: usize,
}

impl Bounded {
    /// Room that is kept for the line about what is missing.
    const KEPT: usize = 512;

    /// Adds a block with its line end, or nothing of it.
    fn add(&mut self, block: &str) -> bool {
        let fits = self.text.len() + block.len() + 1 + Self::KEPT <= self.most;
        if fits {
            self.text.push_str(block);
            self.text.push('\n');
        }
        fits
    }

    /// Adds blocks until one does not fit; says how many are missing.
    fn add_all(&mut self, blocks: impl Iterator<Item = String>) -> usize {
        let mut blocks = blocks.peekable();
        while let Some(block) = blocks.peek() {
            if !self.add(block) {
                break;
            }
            blocks.next();
        }
        blocks.count()
    }
}

/// Renders the summary with nothing known beside the run.
#[must_use]
pub fn render(run: &RunState) -> String {
    render_with(run, &Beside::default())
}

/// Renders the summary: verdict, what changed, matrix, causes, leftovers.
#[must_use]
pub fn render_with(run: &RunState, beside: &Beside) -> String {
    render_within(run, beside, MOST)
}

/// Renders the summary within a number of bytes, never cutting a row; what does not fit is counted.
#[must_use]
pub fn render_within(run: &RunState, beside: &Beside, most: usize) -> String {
    let mut out = Bounded { text: String::new(), most };
    match &beside.verdict {
        None => out.add(&format!("# gsh: {}", headline(run))),
        Some(verdict) => {
            out.add(&format!("# gsh: the gate says {}", escape(&one_line(&verdict.word, 40))));
            out.add("");
            out.add_all(verdict.reasons.iter().take(CAUSES).map(|r| format!("1. {}", escape(&one_line(r, 600)))));
            if let Some(proven) = verdict.proven {
                out.add(&format!("\nProven by this run: {proven}."));
            }
            out.add(&format!("\nThe run itself {}.", headline(run)))
        }
    };
    if let Some(h) = &run.header {
        let version = escape(&one_line(&h.version, 60));
        let provider = escape(&one_line(&h.provider, 60));
        let cost = run.cost().map(|c| format!(" · {c}")).unwrap_or_default();
        out.add(&format!(
            "\nRun `{}` · evidence **{}** · gsh {version} · provider {provider}{cost}",
            h.run, h.evidence
        ));
    }
    if let Some(before) = &beside.baseline {
        out.add(&changed(before, run));
    }
    if let Some(past) = &beside.past {
        out.add(&pairs(past));
    }
    table(run, &mut out);
    let all = causes(run);
    if !all.is_empty() {
        out.add("\n## What is not green");
        let missing = out.add_all(all.iter().take(CAUSES).map(|c| format!("\n{}", describe(c))));
        let more = all.len().saturating_sub(CAUSES) + missing;
        if more > 0 {
            out.add(&format!("\n{more} more causes: see `report.html`."));
        }
    }
    left_behind(run, &mut out);
    if !run.notes.is_empty() {
        out.add("\n## Notes\n");
        out.add_all(run.notes.iter().take(50).map(|note| format!("- {}", escape(&one_line(note, 400)))));
    }
    out.text
}

/// One row per cell, as many as fit; with too many columns or no room, none.
fn table(run: &RunState, out: &mut Bounded) {
    let columns = columns(run);
    if columns.len() > COLUMNS {
        out.add(&format!("\nThe matrix has {} columns: see `report.html`.", columns.len()));
        return;
    }
    let names = columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    out.add(&format!("\n| cell | {names} |\n|---|{}", "---|".repeat(columns.len())));
    // Not green first where not all fit: the rest is what a reader can do without.
    let row = |cell: &CellState| {
        let signs: Vec<&str> = columns.iter().map(|c| at(cell, c).map_or("", Mark::sign)).collect();
        format!("| `{}` | {} |", cell.id, signs.join(" | "))
    };
    let all: usize = run.cells.iter().map(|c| row(c).len() + 1).sum();
    // Half of the room is for the causes.
    let room = out.most / 2;
    let mut used = 0;
    let mut missing = 0;
    for cell in run.cells.iter().filter(|c| all <= room || Mark::of_cell(c).is_trouble()) {
        let row = row(cell);
        used += row.len() + 1;
        if used > room || !out.add(&row) {
            missing += 1;
        }
    }
    let shown =
        if all <= room { run.cells.len() } else { run.cells.iter().filter(|c| Mark::of_cell(c).is_trouble()).count() };
    if run.cells.len() - shown + missing > 0 {
        out.add(&format!("\n{} more cells: see `report.html`.", run.cells.len() - shown + missing));
    }
    out.add(&format!("\n{}", Mark::ALL.map(|m| format!("`{}` {}", m.sign(), m.word())).join(" · ")));
}

fn pairs(past: &Past) -> String {
    let red = past.pairs.iter().filter(|p| p.is_red()).count();
    let now = past.pairs.iter().filter(|p| p.last_green.as_ref().is_some_and(|s| s.run == past.run)).count();
    format!(
        "\nPairs of values: {} of {} green at some time, {now} of them in this run; {red} red when last seen.",
        past.green(),
        past.pairs.len()
    )
}

fn changed(before: &Earlier, run: &RunState) -> String {
    let all = changes(before, run);
    let name =
        format!("{}`{}`", if before.last_green { "the last green run, " } else { "" }, one_line(&before.name, 200));
    let count = |kind: Kind| all.subjects.iter().filter(|c| c.kind == kind).count();
    let mut words: Vec<String> =
        Kind::ALL.iter().filter(|k| count(**k) > 0).map(|k| format!("{} {}", count(*k), k.words())).collect();
    for (cells, what) in [(all.added.len(), "cells added"), (all.removed.len(), "cells no longer there")] {
        words.extend((cells > 0).then(|| format!("{cells} {what}")));
    }
    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    format!("\nChanged since {name}: {words}.")
}

fn left_behind(run: &RunState, out: &mut Bounded) {
    let left = run.leftovers();
    let leases =
        || run.unreleased().map(|(cell, l)| format!("- lease `{}` of cell `{cell}` was not released", l.lease));
    if left.is_empty() && leases().next().is_none() {
        return;
    }
    out.add("\n## Left in the account\n");
    let resources = left.iter().map(|r| format!("- {}", escape(&one_line(&r.to_string(), 200))));
    let missing = out.add_all(resources.chain(leases()));
    if missing > 0 {
        out.add(&format!("- and {missing} more"));
    }
    if let Some(h) = &run.header {
        out.add(&format!("\nRemove it with `gsh sweep --run {}`.", h.run));
    }
}

fn describe(cause: &Cause) -> String {
    let f = &cause.finding;
    let mut text = format!(
        "**{} · {}** expected {}, observed {}",
        f.check,
        cause.blame,
        escape(&one_line(&f.expected, 300)),
        escape(&one_line(&f.observed, 600))
    );
    for because in f.causes.iter().take(12) {
        text.push_str(&format!("\n  caused by: {}", escape(&one_line(because, 600))));
    }
    let places: Vec<String> =
        cause.places.iter().take(PLACES).map(|(cell, subject)| format!("`{cell}` {subject}")).collect();
    text.push_str(&format!("\n\n- in {}", places.join(", ")));
    if cause.places.len() > PLACES {
        text.push_str(&format!(" and {} more places", cause.places.len() - PLACES));
    }
    if cause.blocked > 0 {
        text.push_str(&format!("\n- {} more could not run because of it", cause.blocked));
    }
    text
}

/// Text from outside must not become markup, mention anybody, or point at an issue.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
