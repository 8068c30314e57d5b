//! The live part of a terminal: cells × phases while they work, what is done, how long it will take, what it has cost.
//!
//! A [`Board`] is a pure picture of the folded run; time passes between events by a [`Clock`] that starts again at each of
//! them, so a replay looks as the run did.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gsh_model::event::Event;
use gsh_model::run::{CellPhase, CellState, RunState};
use gsh_reports::mark::Mark;
use gsh_reports::remaining::remaining;
use gsh_reports::text::duration;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use jiff::{SignedDuration, Timestamp};

/// Cells shown at a time; more are counted.
const ROWS: usize = 16;

/// What is on the board.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    rows: Vec<Row>,
    counts: Vec<(Mark, usize)>,
    settled: usize,
    planned: usize,
    /// From the last event on, in milliseconds.
    remaining: Option<u64>,
    spent: Option<String>,
    at: Timestamp,
}

#[derive(Debug, Clone)]
struct Row {
    cell: String,
    signs: String,
    doing: String,
    since: Timestamp,
}

impl Board {
    /// The board of a run as it stands.
    pub(super) fn of(state: &RunState) -> Self {
        let subjects = || state.cells.iter().flat_map(|c| &c.subjects);
        let count = |mark: Mark| subjects().filter(|s| s.is_settled() && Mark::of(s) == mark).count();
        Self {
            rows: state.cells.iter().filter_map(row).collect(),
            counts: Mark::ALL.into_iter().map(|m| (m, count(m))).filter(|(_, n)| *n > 0).collect(),
            settled: subjects().filter(|s| s.is_settled()).count(),
            planned: subjects().count(),
            remaining: remaining(state),
            spent: state.cost().map(|c| c.to_string()),
            at: state.last_at.unwrap_or_default(),
        }
    }

    /// The lines at a moment, none longer than the terminal is wide.
    pub(super) fn lines(&self, now: Timestamp, width: usize) -> Vec<String> {
        let ms = |d: SignedDuration| u64::try_from(d.as_millis()).unwrap_or(0);
        let shown = &self.rows[..self.rows.len().min(ROWS)];
        let widest = shown.iter().map(|r| r.cell.chars().count()).max().unwrap_or(0).min(width / 2);
        let mut lines: Vec<String> = shown
            .iter()
            .map(|r| {
                let took = duration(ms(now.duration_since(r.since)) / 1000 * 1000);
                format!("  {:widest$.widest$}  {}  {} {took}", r.cell, r.signs, r.doing)
            })
            .collect();
        if self.rows.len() > ROWS {
            lines.push(format!("  and {} more cells at work", self.rows.len() - ROWS));
        }
        let mut last = format!("  {} of {}", self.settled, self.planned);
        for (mark, count) in &self.counts {
            last.push_str(&format!("  {} {count} {}", mark.sign(), mark.word()));
        }
        if let Some(left) = self.remaining {
            let left = left.saturating_sub(ms(now.duration_since(self.at)));
            last.push_str(&format!("  about {} left", duration(left / 1000 * 1000)));
        }
        if let Some(spent) = &self.spent {
            last.push_str(&format!("  spent {spent}"));
        }
        lines.push(last);
        lines.into_iter().map(|l| l.chars().take(width.max(20)).collect()).collect()
    }
}

/// The row of a cell that is at work.
fn row(cell: &CellState) -> Option<Row> {
    match cell.phase {
        CellPhase::Planned | CellPhase::Done => return None,
        CellPhase::Provisioning | CellPhase::Installing | CellPhase::Examining | CellPhase::Releasing => {}
    }
    let signs: Vec<&str> = cell
        .subjects
        .iter()
        .map(|s| match (s.is_settled(), s.attempts.is_empty()) {
            (true, _) => Mark::of(s).sign(),
            (false, false) => "●",
            (false, true) => "○",
        })
        .collect();
    let working = cell.subjects.iter().find_map(|s| s.attempts.last().filter(|a| a.finished.is_none()).map(|a| (s, a)));
    let last =
        cell.subjects.iter().flat_map(|s| &s.attempts).filter_map(|a| a.finished.as_ref().map(|(at, _)| *at)).max();
    Some(Row {
        cell: cell.id.to_string(),
        signs: signs.join(" "),
        doing: match working {
            Some((subject, attempt)) if attempt.number > 1 => {
                format!("{}, attempt {}", subject.subject, attempt.number)
            }
            Some((subject, _)) => subject.subject.to_string(),
            None => "between two subjects".to_owned(),
        },
        since: working.map(|(_, a)| a.started).or(last).unwrap_or_default(),
    })
}

/// Time as the record has it, going on between events.
#[derive(Debug, Clone, Copy)]
struct Clock {
    at: Timestamp,
    heard: Instant,
    speed: f64,
}

impl Clock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.heard.elapsed().mul_f64(self.speed)).unwrap_or(SignedDuration::ZERO);
        self.at.checked_add(gone).unwrap_or(self.at)
    }
}

/// The board on a terminal.
pub(super) struct Live {
    bar: ProgressBar,
    shared: Arc<Mutex<(Board, Clock)>>,
}

impl Live {
    /// A board that is redrawn a few times a second; time passes at this speed.
    pub(super) fn new(speed: f64) -> Self {
        let clock = Clock { at: Timestamp::UNIX_EPOCH, heard: Instant::now(), speed };
        let shared = Arc::new(Mutex::new((Board::default(), clock)));
        let drawn = Arc::clone(&shared);
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let (board, now) = {
                let shared = drawn.lock().unwrap_or_else(PoisonError::into_inner);
                (shared.0.clone(), shared.1.now())
            };
            let width = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
            // Nothing to do about a terminal that cannot be written to.
            let _gone = out.write_str(&board.lines(now, width.saturating_sub(1)).join("\n"));
        };
        let style = ProgressStyle::with_template("{board}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style.with_key("board", draw));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, shared }
    }

    /// Shows the run as it stands after an event.
    pub(super) fn show(&self, event: &Event, state: &RunState) {
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.0 = Board::of(state);
            shared.1 = Clock { at: event.at, heard: Instant::now(), speed: shared.1.speed };
        }
        self.bar.tick();
    }

    /// Prints something above the board.
    pub(super) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the board away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_says_what_is_at_work_and_what_is_left() {
        let at = Timestamp::from_second(1_795_000_000).expect("time");
        let row = |cell: &str, signs: &str| Row {
            cell: cell.to_owned(),
            signs: signs.to_owned(),
            doing: "install, attempt 2".to_owned(),
            since: at,
        };
        let board = Board {
            rows: vec![row("default", "✓ ● ○ ○"), row("size-small", "~ ● ○ ○")],
            counts: vec![(Mark::Passed, 9), (Mark::Failed, 1)],
            settled: 10,
            planned: 28,
            remaining: Some(245_000),
            spent: Some("0.1200 EUR net, 0.1428 gross".to_owned()),
            at,
        };
        let later = at.checked_add(SignedDuration::from_secs(65)).expect("time");
        insta::assert_snapshot!(board.lines(later, 100).join("\n"));
        assert!(board.lines(later, 40).iter().all(|l| l.chars().count() <= 40), "no line is wider than the terminal");
        let many = Board { rows: vec![row("default", "●"); 40], ..board };
        assert_eq!(many.lines(at, 100).len(), ROWS + 2);
    }
}
