//! `gsh replay`: a recorded run as the terminal showed it, by the same eyes, fed from the ledger.

use std::io::IsTerminal;
use std::time::Duration;

use gsh_engine::ledger;
use gsh_engine::run::Observer;
use gsh_model::exit::Exit;
use gsh_model::run::RunState;
use jiff::Timestamp;

use crate::args::{self, Gsh};
use crate::error::CliError;
use crate::terminal::{Show, Terminal, colored, say};

/// The longest that a replay stands still, however long nothing happened.
const LONGEST: Duration = Duration::from_secs(3);

/// Shows a run again. On a terminal at a speed, elsewhere at once.
pub(crate) fn replay(args: &args::Replay, all: &Gsh) -> Result<Exit, CliError> {
    let path = args.run.join(ledger::FILE_NAME);
    let events = ledger::read(&path).map_err(|e| {
        CliError::usage(format!("`{}` is no run directory that can be read", args.run.display()))
            .because(&e)
            .hint("give the directory that `gsh run` printed; it holds ledger.jsonl")
    })?;
    let paced = std::io::stderr().is_terminal() && !all.quiet;
    let show = if all.quiet { Show::End } else { Show::All };
    let mut terminal = Terminal::at_speed(show, colored(all.color), args.speed);
    let mut state = RunState::default();
    let mut last: Option<Timestamp> = None;
    for event in &events {
        if let (true, Some(last)) = (paced, last) {
            pause(event.at.duration_since(last).unsigned_abs().div_f64(args.speed));
        }
        last = Some(event.at);
        state.apply(event).map_err(|e| CliError::usage(format!("`{}` is damaged", path.display())).because(&e))?;
        terminal.recorded(event, &state);
    }
    if state.finished.is_none() {
        terminal.end(&state);
        say("the record ends here: the run is not finished, or was killed");
    }
    Ok(Exit::Pass)
}

#[expect(clippy::disallowed_methods, reason = "there is no state to wait for: the time itself is what is shown")]
fn pause(time: Duration) {
    std::thread::sleep(time.min(LONGEST));
}
