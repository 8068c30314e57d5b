//! The run directory of `gsh-verify`: kept where that was asked for, else a temporary folder that goes with the process.
//!
//! Whoever is killed removes nothing. So each process holds a lock on its folder, which the system gives back at any death,
//! and each removes the folders of its own user that nobody holds any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use gsh_engine::artifacts::private_folder;
use tempfile::TempDir;

use crate::error::CliError;

/// How the names of temporary folders begin.
const PREFIX: &str = "gsh-verify-";
/// How often a folder is made anew because somebody took it for left before it was held.
const TRIES: usize = 16;

/// The run directory.
pub(super) enum Directory {
    Kept(PathBuf),
    Passing(Held),
}

impl Directory {
    /// A new one.
    ///
    /// # Errors
    /// Usage, when something is already where it should be; inconclusive when there is no room for a temporary one.
    pub(super) fn new(out: Option<&Path>) -> Result<Self, CliError> {
        let Some(out) = out else {
            let made = Held::beneath(&tempfile::env::temp_dir())
                .map_err(|e| CliError::inconclusive("cannot make a temporary folder").because(&e))?;
            made.remove_left();
            return Ok(Self::Passing(made));
        };
        if out.exists() {
            return Err(CliError::usage(format!("there is something already at `{}`", out.display()))
                .hint("a run never writes over another one; choose another --out"));
        }
        private_folder(out)
            .map_err(|e| CliError::usage(format!("cannot create the run directory `{}`", out.display())).because(&e))?;
        Ok(Self::Kept(out.to_owned()))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(held) => held.folder.path(),
        }
    }
}

/// A temporary folder that shows by a lock that its process lives.
pub(super) struct Held {
    folder: TempDir,
    lock: File,
}

impl Held {
    fn beneath(parent: &Path) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..TRIES {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = match File::open(folder.path()) {
                Ok(lock) => lock,
                Err(e) => {
                    last = e;
                    continue;
                }
            };
            // Where there are no locks nobody takes it for left either.
            let _no_locks_here = lock.lock();
            // Whoever held it before us removes it before letting go.
            if folder.path().exists() {
                return Ok(Self { folder, lock });
            }
        }
        Err(last)
    }

    /// Removes what killed processes of this user left beside it. What cannot be removed stays: it is in nobody's way.
    fn remove_left(&self) {
        let own = self.lock.metadata().map(|m| m.uid());
        let beside = self.folder.path().parent().and_then(|parent| parent.read_dir().ok());
        for entry in beside.into_iter().flatten().flatten() {
            let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            // Of the entry itself: a link to somewhere else is no folder.
            let ours = entry.metadata().is_ok_and(|m| m.is_dir() && own.as_ref().is_ok_and(|own| *own == m.uid()));
            if !named || !ours {
                continue;
            }
            // Our own is held as well.
            if let Ok(left) = File::open(entry.path())
                && left.try_lock().is_ok()
            {
                let _stays = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_until_its_process_is_gone() {
        let place = tempfile::tempdir().expect("a folder");
        let held = Held::beneath(place.path()).expect("a folder");
        let path = held.folder.path().to_owned();
        std::fs::write(path.join("ledger.jsonl"), "").expect("a file");
        let next = Held::beneath(place.path()).expect("another");
        next.remove_left();
        assert!(path.join("ledger.jsonl").exists() && next.folder.path().exists(), "both are held");
        // As a kill does it: the lock goes, the folder stays.
        let Held { folder, lock } = held;
        let path = folder.keep();
        drop(lock);
        next.remove_left();
        assert!(!path.exists() && next.folder.path().exists());
    }

    #[test]
    fn what_only_has_the_name_stays() {
        let (place, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        let held = Held::beneath(place.path()).expect("a folder");
        let (file, link) = (place.path().join("gsh-verify-file"), place.path().join("gsh-verify-link"));
        std::fs::write(&file, "").expect("a file");
        std::os::unix::fs::symlink(elsewhere.path(), &link).expect("a link");
        held.remove_left();
        assert!(file.exists() && link.exists() && elsewhere.path().exists());
    }
}
