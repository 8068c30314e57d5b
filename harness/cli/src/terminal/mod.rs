//! What a run looks like: one line per subject that ended, the cells at work below, a table and the causes at the end.
//!
//! Knows only events. A live board on a terminal, plain lines elsewhere; readable without colour.

mod live;

use std::io::{IsTerminal, Write};

use gsh_engine::run::Observer;
use gsh_model::event::{Event, EventKind};
use gsh_model::lease::Resource;
use gsh_model::outcome::Outcome;
use gsh_model::run::{LeaseEnd, RunState};
use gsh_reports::cause::causes;
use gsh_reports::mark::Mark;
use gsh_reports::markdown::{at, columns, headline};
use gsh_reports::text::{duration, one_line};

use crate::args::Color;
use crate::error::CliError;
use live::Live;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Progress and the end.
    All,
    /// Only the end.
    End,
}

/// Whether colour is used on stderr.
pub(crate) fn colored(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stderr().is_terminal() && !crate::env::no_color(),
    }
}

/// Prints one line for people. When stderr is gone there is nobody left to tell.
pub(crate) fn say(text: &str) {
    let _nobody = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints data on standard output. A reader that has seen enough and went away, as `head` does, is no trouble.
pub(crate) fn print(text: &str, what: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::inconclusive(format!("cannot write {what}")).because(&e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The terminal of one run.
pub(crate) struct Terminal {
    live: Option<Live>,
    show: Show,
    color: bool,
}

impl Terminal {
    pub(crate) fn new(show: Show, color: bool) -> Self {
        Self::at_speed(show, color, 1.0)
    }

    /// A terminal on which time passes faster or slower between two events.
    pub(crate) fn at_speed(show: Show, color: bool, speed: f64) -> Self {
        let live = (show == Show::All && std::io::stderr().is_terminal()).then(|| Live::new(speed));
        Self { live, show, color }
    }

    /// The end of a run, or of what is recorded of it.
    pub(crate) fn end(&mut self, state: &RunState) {
        if let Some(live) = self.live.take() {
            live.clear();
        }
        end(state, self.color);
    }

    fn line(&self, text: &str) {
        match &self.live {
            // Above the board only its owner may print.
            Some(live) => live.above(|| say(text)),
            None if self.show == Show::All => say(text),
            None => {}
        }
    }

    fn paint(&self, mark: Mark, text: &str) -> String {
        paint(self.color, mark, text)
    }
}

fn paint(color: bool, mark: Mark, text: &str) -> String {
    if !color {
        return text.to_owned();
    }
    let code = match mark {
        Mark::Passed => 32,
        Mark::Failed => 31,
        Mark::Flaky | Mark::Unclear | Mark::NotRun => 33,
        Mark::Blocked | Mark::Skipped => 90,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

impl Observer for Terminal {
    fn recorded(&mut self, event: &Event, state: &RunState) {
        match &event.kind {
            EventKind::SubjectFinished { cell, subject, outcome, took_ms, .. } => {
                let mark = Mark::of_outcome(outcome);
                let text = format!("{} {cell}  {subject}  {}  {}", mark.sign(), outcome.word(), duration(*took_ms));
                let mut text = self.paint(mark, &text);
                if let Some(finding) = outcome.finding() {
                    let blame = blame(outcome);
                    text.push_str(&format!("  {} ({blame}): {}", finding.check, one_line(&finding.observed, 160)));
                }
                self.line(&text);
            }
            EventKind::StopRequested { .. } => {
                self.line(
                    "stopping: nothing new is begun, everything is being removed; signal once more to give up on that",
                );
            }
            EventKind::Noted { cell: None, text, .. } => self.line(&format!("note: {}", one_line(text, 300))),
            EventKind::RunFinished => self.end(state),
            EventKind::RunResumed { .. } => self.line("resumed: what was cut off is given back first"),
            EventKind::RunStarted { .. }
            | EventKind::SubjectStarted { .. }
            | EventKind::BudgetSet { .. }
            | EventKind::PartCharged { .. }
            | EventKind::LeaseCharged { .. }
            | EventKind::RunPlanned { .. }
            | EventKind::LeaseRequested { .. }
            | EventKind::LeaseReady { .. }
            | EventKind::CheckFinished { .. }
            | EventKind::Noted { cell: Some(_), .. }
            | EventKind::ArtifactKept { .. }
            | EventKind::NodeAdded { .. }
            | EventKind::LeaseReleased { .. }
            | EventKind::LeaseLeaked { .. }
            | EventKind::InventoryTaken { .. } => {}
        }
        if let Some(live) = &self.live {
            live.show(event, state);
        }
    }

    fn ledger_lost(&mut self, error: &std::io::Error) {
        self.line(&format!("the ledger can no longer be written ({error}): no evidence, no verdict; stopping"));
    }
}

/// Whose fault an outcome is, in words.
fn blame(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(_) => "product".to_owned(),
        Outcome::Inconclusive { why, .. } => why.to_string(),
        Outcome::Passed | Outcome::Skipped(_) => String::new(),
    }
}

/// The end of a run: table, causes, leftovers.
fn end(state: &RunState, color: bool) {
    let columns = columns(state);
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["cell".to_owned()];
    header.extend(columns.iter().map(ToString::to_string));
    table.set_header(header);
    for cell in &state.cells {
        let mut row = vec![cell.id.to_string()];
        row.extend(
            columns.iter().map(|c| at(cell, c).map_or_else(String::new, |mark| paint(color, mark, mark.sign()))),
        );
        table.add_row(row);
    }
    say(&table.to_string());
    for cause in causes(state) {
        let finding = &cause.finding;
        say(&format!("\n{} ({})", finding.check, cause.blame));
        say(&format!("  expected {}", one_line(&finding.expected, 300)));
        say(&format!("  observed {}", one_line(&finding.observed, 600)));
        for because in &finding.causes {
            say(&format!("  caused by {}", one_line(because, 600)));
        }
        for (cell, subject) in &cause.places {
            say(&format!("  in {cell}, {subject}"));
        }
        if cause.blocked > 0 {
            say(&format!("  {} more could not run because of it", cause.blocked));
        }
    }
    let left = state.leftovers();
    let unreleased: Vec<_> = state.unreleased().collect();
    if !left.is_empty() || !unreleased.is_empty() {
        say("\nleft in the account:");
        left.iter().for_each(|r| say(&format!("  {r}")));
        if left.iter().any(|r| r.cents_per_month.is_some()) {
            say(&format!("  together {} EUR a month, net", a_month(&left)));
        }
        for (cell, lease) in unreleased {
            let reason = match &lease.end {
                Some(LeaseEnd::Leaked { reason, .. }) => reason.as_str(),
                Some(LeaseEnd::Released(_)) | None => "its end was never recorded",
            };
            say(&format!("  lease {} of {cell}: {reason}", lease.lease));
        }
        if let Some(h) = &state.header {
            say(&format!("  remove it with: gsh sweep --run {}", h.run));
        }
    }
    let cost = state.cost().map(|c| format!(", cost {c}")).unwrap_or_default();
    say(&format!("\n{}{cost}", headline(state)));
}

/// What resources cost together in a month, net.
pub(crate) fn a_month(left: &[Resource]) -> String {
    let cents: u64 = left.iter().filter_map(|r| r.cents_per_month).sum();
    format!("{}.{:02}", cents / 100, cents % 100)
}
