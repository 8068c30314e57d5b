//! What earlier runs have shown: a folder of small files, one for each run, folded into answers.
//!
//! Reading and writing the folder is the command line's business; here are the shape of a file and what follows from
//! many of them.

mod summary;

pub use summary::{AttemptSummary, BadSummary, CellSummary, RunSummary, SCHEMA, SubjectSummary};
