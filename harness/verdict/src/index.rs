//! The index of started runs: a run is entered before it creates anything, so a bad one cannot be left out afterwards.
//!
//! One small file a run, so that branches merge without conflicts. Each entry names the digests of the entries that nobody
//! named before it; who takes an entry out leaves its digest behind in a later one. Entries after the last one that is named
//! can be taken out unseen: keep the folder on a protected branch, and give the gate that branch.

use std::collections::{BTreeMap, BTreeSet};

use gsh_model::input::Input;
use gsh_model::lease::RunId;
use gsh_model::outcome::Evidence;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Schema of an entry.
pub const SCHEMA: &str = "gsh.started/v1";

/// One run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`SCHEMA`].
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// When it was entered.
    pub started: Timestamp,
    /// How real it is.
    pub evidence: Evidence,
    /// What it is made from.
    pub inputs: Vec<Input>,
    /// SHA-256 of the entries that no other entry had named, sorted.
    pub previous: Vec<String>,
}

/// An index that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A file that is no entry.
    #[error("`{file}` line {line}, column {column} is no entry of a started run: {message}")]
    BadEntry {
        /// Its name.
        file: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the reader says.
        message: String,
    },
    /// An entry that another one names is not there.
    #[error(
        "`{file}` names an entry with SHA-256 {missing} before it, and there is none: one was taken out or changed"
    )]
    Broken {
        /// The entry that names it.
        file: String,
        /// The digest that is missing.
        missing: String,
    },
    /// Two entries for one run.
    #[error("`{first}` and `{second}` are both about run {run}")]
    Twice {
        /// The run.
        run: RunId,
        /// A file.
        first: String,
        /// Another one.
        second: String,
    },
}

/// The index: every entry, checked as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    heads: Vec<String>,
}

impl Index {
    /// Reads the files of an index, given as name and content.
    ///
    /// # Errors
    /// [`IndexError`] with the file that is wrong.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, IndexError> {
        let mut entries: Vec<(String, Entry)> = Vec::new();
        let mut digests = BTreeSet::new();
        let mut runs: BTreeMap<RunId, String> = BTreeMap::new();
        for (file, bytes) in files {
            let bad = |line, column, message| IndexError::BadEntry { file: file.to_owned(), line, column, message };
            let entry: Entry = serde_json::from_slice(bytes).map_err(|e| bad(e.line(), e.column(), e.to_string()))?;
            if entry.schema != SCHEMA {
                return Err(bad(1, 1, format!("its schema is `{}`, this gsh reads `{SCHEMA}`", entry.schema)));
            }
            if let Some(first) = runs.insert(entry.run.clone(), file.to_owned()) {
                return Err(IndexError::Twice { run: entry.run, first, second: file.to_owned() });
            }
            digests.insert(crate::sha256(bytes));
            entries.push((file.to_owned(), entry));
        }
        let mut heads = digests.clone();
        for (file, entry) in &entries {
            for named in &entry.previous {
                if !digests.contains(named) {
                    return Err(IndexError::Broken { file: file.clone(), missing: named.clone() });
                }
                heads.remove(named);
            }
        }
        let mut entries: Vec<Entry> = entries.into_iter().map(|(_, e)| e).collect();
        entries.sort_by(|a, b| (a.started, &a.run).cmp(&(b.started, &b.run)));
        Ok(Self { entries, heads: heads.into_iter().collect() })
    }

    /// The file of the next run: its name and content.
    ///
    /// # Panics
    /// Never: an entry is plain data.
    #[must_use]
    pub fn next(&self, run: &RunId, started: Timestamp, evidence: Evidence, inputs: &[Input]) -> (String, Vec<u8>) {
        let entry = Entry {
            schema: SCHEMA.to_owned(),
            run: run.clone(),
            started,
            evidence,
            inputs: inputs.to_vec(),
            previous: self.heads.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&entry).expect("an entry is plain data");
        bytes.push(b'\n');
        (format!("{run}.json"), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(files: &mut Vec<(String, Vec<u8>)>, run: &str) {
        let index = read(files).expect("a good index");
        let at = "2026-11-23T16:46:38Z".parse().expect("a time");
        files.push(index.next(&run.parse().expect("a run id"), at, Evidence::Cloud, &[]));
    }

    fn read(files: &[(String, Vec<u8>)]) -> Result<Index, IndexError> {
        Index::read(files.iter().map(|(n, b)| (n.as_str(), b.as_slice())))
    }

    fn three() -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        ["r1-a", "r2-b", "r3-c"].iter().for_each(|run| grow(&mut files, run));
        files
    }

    #[test]
    fn an_entry_that_is_taken_out_leaves_its_digest_behind() {
        let files = three();
        assert_eq!(read(&files).expect("a good index").entries.len(), 3);
        for out in 0..2 {
            let mut fewer = files.clone();
            fewer.remove(out);
            assert!(matches!(read(&fewer), Err(IndexError::Broken { .. })), "entry {out} is missed");
        }
    }

    #[test]
    fn an_entry_that_is_changed_is_missed_too() {
        let mut files = three();
        let text = String::from_utf8(files[0].1.clone()).expect("text").replace("cloud", "emulated");
        files[0].1 = text.into_bytes();
        assert!(matches!(read(&files), Err(IndexError::Broken { .. })));
    }

    #[test]
    fn two_branches_merge_into_one_index() {
        let files = three();
        let (mut left, mut right) = (files.clone(), files.clone());
        grow(&mut left, "r4-d");
        grow(&mut right, "r5-e");
        left.push(right.remove(3));
        grow(&mut left, "r6-f");
        let index = read(&left).expect("a good index");
        assert_eq!(index.entries.len(), 6);
        assert_eq!(index.entries[5].previous.len(), 2, "the next run names both heads");
    }

    #[test]
    fn what_is_no_entry_is_named_with_its_place() {
        let error = Index::read([("started/x.json", b"{\n  \"run\": 1\n}".as_slice())]).expect_err("no entry");
        assert!(error.to_string().starts_with("`started/x.json` line 2, column"), "{error}");
        let mut files = three();
        files.push(("copy.json".to_owned(), files[0].1.clone()));
        assert!(matches!(read(&files), Err(IndexError::Twice { .. })));
    }
}
