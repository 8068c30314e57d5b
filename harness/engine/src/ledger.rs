//! The ledger: one event a line, appended, synced where losing it would cost money or truth.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gsh_model::event::{Event, EventKind};

/// Name of the ledger in a run directory.
pub const FILE_NAME: &str = "ledger.jsonl";

/// Where events are appended.
pub trait Append: Send {
    /// Appends one event; on return it is as safe as its kind demands.
    ///
    /// # Errors
    /// When it could not be written. The run then stops: no evidence, no verdict.
    fn append(&mut self, event: &Event) -> io::Result<()>;
}

/// A ledger on disk.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// Creates the ledger of a new run, mode 0600.
    ///
    /// # Errors
    /// When it exists, or cannot be created.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(directory.join(FILE_NAME))? })
    }
}

impl Append for Ledger {
    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if must_survive(&event.kind) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// What must be on disk before anything else happens: everything that decides what exists in the account, and every
/// outcome.
fn must_survive(kind: &EventKind) -> bool {
    match kind {
        EventKind::RunStarted { .. }
        | EventKind::RunPlanned { .. }
        | EventKind::BudgetSet { .. }
        | EventKind::RunResumed { .. }
        | EventKind::LeaseCharged { .. }
        | EventKind::LeaseRequested { .. }
        | EventKind::LeaseReleased { .. }
        | EventKind::LeaseLeaked { .. }
        | EventKind::InventoryTaken { .. }
        | EventKind::SubjectFinished { .. }
        | EventKind::RunFinished => true,
        EventKind::LeaseReady { .. }
        | EventKind::SubjectStarted { .. }
        | EventKind::CheckFinished { .. }
        | EventKind::Noted { .. }
        | EventKind::ArtifactKept { .. }
        | EventKind::NodeAdded { .. }
        | EventKind::StopRequested { .. } => false,
    }
}

/// A ledger that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No such file, or no permission.
    #[error("cannot read the ledger `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is no event, before the last one.
    #[error("`{}` line {line} is no event", path.display())]
    BadLine {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the reader says.
        source: serde_json::Error,
    },
}

/// Reads a ledger back. A last line without its end was being written when the process died and is left out.
///
/// # Errors
/// [`LedgerError`] with file and line.
pub fn read(path: &Path) -> Result<Vec<Event>, LedgerError> {
    let bytes = std::fs::read(path).map_err(|source| LedgerError::Unreadable { path: path.to_owned(), source })?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Event>, LedgerError> {
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    bytes[..complete]
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(n, line)| {
            serde_json::from_slice(line).map_err(|source| LedgerError::BadLine {
                path: path.to_owned(),
                line: n + 1,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use gsh_model::run::RunState;

    use super::*;

    fn some_events() -> Vec<Event> {
        let kinds = [
            EventKind::RunStarted {
                format: gsh_model::event::FORMAT,
                run: "r20261123-1-7f3a".parse().expect("run id"),
                version: "0.1.0".to_owned(),
                evidence: gsh_model::outcome::Evidence::Emulated,
                provider: "embedded".to_owned(),
                inputs: Vec::new(),
            },
            EventKind::Noted {
                cell: None,
                subject: None,
                text: "a note with \u{1b}[31m colour and a \n break".to_owned(),
            },
            EventKind::InventoryTaken { left: Vec::new() },
            EventKind::RunFinished,
        ];
        kinds
            .into_iter()
            .zip(1..)
            .map(|(kind, seq)| Event { seq, at: "2026-11-23T16:46:38Z".parse().expect("timestamp"), kind })
            .collect()
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let directory = tempfile::tempdir().expect("temp dir");
        let mut ledger = Ledger::create(directory.path()).expect("create");
        for event in some_events() {
            ledger.append(&event).expect("append");
        }
        assert_eq!(read(&directory.path().join(FILE_NAME)).expect("read"), some_events());
        assert!(Ledger::create(directory.path()).is_err(), "an existing ledger is never written over");
    }

    #[test]
    fn a_ledger_cut_at_any_byte_replays_to_a_legal_prefix() {
        let whole: Vec<u8> = some_events()
            .iter()
            .flat_map(|e| {
                let mut line = serde_json::to_vec(e).expect("event");
                line.push(b'\n');
                line
            })
            .collect();
        for cut in 0..=whole.len() {
            let events = parse(&whole[..cut], Path::new("x")).expect("a cut ledger is readable");
            RunState::replay(&events).expect("a prefix is legal");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let error = parse(b"{}\n{\"seq\":1}\n", Path::new("ledger.jsonl")).expect_err("damaged");
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
