//! The ledger: one event a line, appended, synced where losing it would cost money or truth.

use std::fs::{File, OpenOptions, TryLockError};
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
        let file = options.open(directory.join(FILE_NAME))?;
        // Held while the process lives, however it ends: nobody can go on with a run that is still going on.
        file.try_lock()?;
        Ok(Self { file })
    }

    /// Opens the ledger of a run whose process died, and gives what it holds. A last line without its end was being
    /// written then; it is cut away.
    ///
    /// # Errors
    /// When it cannot be read, or another process still writes it.
    pub fn resume(directory: &Path) -> Result<(Self, Vec<Event>), ResumeError> {
        let path = directory.join(FILE_NAME);
        let unreadable = |source| ResumeError::Unreadable(LedgerError::Unreadable { path: path.clone(), source });
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(unreadable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ResumeError::Busy),
            Err(TryLockError::Error(source)) => return Err(unreadable(source)),
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let events = parse(&bytes, &path).map_err(ResumeError::Unreadable)?;
        file.set_len(complete(&bytes) as u64).and_then(|()| file.sync_data()).map_err(unreadable)?;
        Ok((Self { file }, events))
    }
}

/// Why a run cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// Its process lives.
    #[error("another process is at work on it")]
    Busy,
    /// Its ledger cannot be read.
    #[error(transparent)]
    Unreadable(LedgerError),
}

/// Length of the lines that are whole.
fn complete(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1)
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
        | EventKind::PartCharged { .. }
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
    bytes[..complete(bytes)]
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
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

    #[test]
    fn a_bad_line_is_named_by_its_place_in_the_file() {
        let good = serde_json::to_string(&some_events()[0]).expect("event");
        let text = format!("{good}\n\n\n{{\"seq\": 2\n");
        let error = parse(text.as_bytes(), Path::new("ledger.jsonl")).expect_err("the fourth line is no event");
        assert!(matches!(error, LedgerError::BadLine { line: 4, .. }), "{error}");
    }

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
    fn a_torn_ledger_is_gone_on_with_where_its_last_whole_line_ends_and_by_one_process_only() {
        let directory = tempfile::tempdir().expect("temp dir");
        let path = directory.path().join(FILE_NAME);
        let [first, second, ..] = &some_events()[..] else { panic!("events") };
        let mut ledger = Ledger::create(directory.path()).expect("create");
        ledger.append(first).expect("append");
        assert!(matches!(Ledger::resume(directory.path()), Err(ResumeError::Busy)), "its process lives");
        drop(ledger);
        let torn = serde_json::to_vec(second).expect("json");
        let whole = std::fs::read(&path).expect("read");
        std::fs::write(&path, [whole, torn[..torn.len() / 2].to_vec()].concat()).expect("write");
        let (mut ledger, events) = Ledger::resume(directory.path()).expect("resume");
        assert_eq!(&events[..], std::slice::from_ref(first));
        ledger.append(second).expect("append");
        assert_eq!(read(&path).expect("read"), [first.clone(), second.clone()]);
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
