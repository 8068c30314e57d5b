//! What reports show beside the folded run: the ends of kept files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use gsh_model::run::RunState;
use gsh_reports::beside::{Beside, EXCERPT_BYTES, Excerpt};
use gsh_reports::mark::Mark;

/// Excerpts in one report, in bytes at most: a run in which everything fails still renders quickly.
const MOST: usize = 4 * 1024 * 1024;

/// Adds the excerpts that are still missing: of what is not green, from files inside the run directories. A file that cannot be
/// read gets none: the report links to it all the same.
pub(crate) fn excerpts(beside: &mut Beside, directories: &[PathBuf], state: &RunState) {
    let mut bytes: usize = beside.excerpts.values().map(|e| e.text.len()).sum();
    let trouble = state.cells.iter().flat_map(|c| &c.subjects).filter(|s| Mark::of(s).is_trouble() || s.is_flaky());
    for artifact in trouble.flat_map(|s| &s.attempts).flat_map(|a| &a.artifacts) {
        if bytes >= MOST {
            return;
        }
        if beside.excerpts.contains_key(&artifact.path) || !is_inside(&artifact.path) {
            continue;
        }
        // Merged runs may each have a file of this name: then nobody can say which one is meant.
        let mut found = directories.iter().map(|d| d.join(&artifact.path)).filter(|p| p.is_file());
        if let (Some(file), None) = (found.next(), found.next())
            && let Some(excerpt) = end_of(&file)
        {
            bytes += excerpt.text.len();
            beside.excerpts.insert(artifact.path.clone(), excerpt);
        }
    }
}

/// A ledger is input like any other: a path in it must not lead out of the run directory.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
}

/// The end of a file; `None` for what is no text.
fn end_of(path: &Path) -> Option<Excerpt> {
    /// Whole files up to this size are read, so that lines have their numbers.
    const WHOLE: u64 = 256 * 1024;
    let is_file = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let from = if is_file.len() > WHOLE { is_file.len() - 2 * EXCERPT_BYTES as u64 } else { 0 };
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(WHOLE).read_to_end(&mut bytes).ok()?;
    if bytes.contains(&0) {
        return None;
    }
    let mut excerpt = Excerpt::of(&String::from_utf8_lossy(&bytes));
    if from > 0 {
        excerpt.first_line = 0;
        excerpt.left_out += from;
    }
    Some(excerpt)
}
