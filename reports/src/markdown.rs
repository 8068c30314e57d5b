//! The summary of a run for people: verdict, table, causes, leftovers.

use std::fmt::Write;

use gsh_model::exit::Exit;
use gsh_model::outcome::Subject;
use gsh_model::run::{CellState, RunState};

use crate::cause::{Cause, causes};
use crate::mark::Mark;
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

/// Renders the summary.
#[must_use]
pub fn render(run: &RunState) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(out, "{text}");
    };
    line(format!("# gsh: {}", headline(run)));
    line(String::new());
    if let Some(h) = &run.header {
        line(format!("Run `{}` · evidence **{}** · gsh {} · provider {}", h.run, h.evidence, h.version, h.provider));
        line(String::new());
    }
    let columns = columns(run);
    line(format!("| cell | {} |", columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")));
    line(format!("|---|{}", "---|".repeat(columns.len())));
    for cell in &run.cells {
        let signs: Vec<&str> = columns.iter().map(|c| at(cell, c).map_or("", Mark::sign)).collect();
        line(format!("| `{}` | {} |", cell.id, signs.join(" | ")));
    }
    line(String::new());
    line(Mark::ALL.map(|m| format!("`{}` {}", m.sign(), m.word())).join(" · "));
    let causes = causes(run);
    if !causes.is_empty() {
        line(String::new());
        line("## What is not green".to_owned());
        for cause in &causes {
            line(String::new());
            line(describe(cause));
        }
    }
    let left = run.leftovers();
    if !left.is_empty() || run.unreleased().next().is_some() {
        line(String::new());
        line("## Left in the account".to_owned());
        line(String::new());
        for resource in &left {
            line(format!("- {}", escape(&resource.to_string())));
        }
        for (cell, lease) in run.unreleased() {
            line(format!("- lease `{}` of cell `{cell}` was not released", lease.lease));
        }
        if let Some(h) = &run.header {
            line(String::new());
            line(format!("Remove it with `gsh sweep --run {}`.", h.run));
        }
    }
    if !run.notes.is_empty() {
        line(String::new());
        line("## Notes".to_owned());
        line(String::new());
        for note in &run.notes {
            line(format!("- {}", escape(&one_line(note, 400))));
        }
    }
    out
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
    for because in &f.causes {
        text.push_str(&format!("\n  caused by: {}", escape(&one_line(because, 600))));
    }
    let places: Vec<String> = cause.places.iter().map(|(cell, subject)| format!("`{cell}` {subject}")).collect();
    text.push_str(&format!("\n\n- in {}", places.join(", ")));
    if cause.blocked > 0 {
        text.push_str(&format!("\n- {} more could not run because of it", cause.blocked));
    }
    text
}

/// Text from outside must not become markup.
fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '<' => vec!['&', 'l', 't', ';'],
            '>' => vec!['&', 'g', 't', ';'],
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect()
}
