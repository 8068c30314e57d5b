//! What commands read: a matrix, a price list, a history folder, the ledger of a run.

use std::path::{Path, PathBuf};

use gsh_engine::ledger;
use gsh_model::budget::PriceList;
use gsh_model::history::{BadSummary, History, RunSummary};
use gsh_model::matrix::Matrix;
use gsh_model::merge::merge;
use gsh_model::run::RunState;

use crate::error::CliError;
use crate::seal::sealed;

/// Reads a matrix file.
pub(crate) fn matrix(path: &Path) -> Result<Matrix, CliError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        CliError::usage(format!("cannot read the matrix `{}`", path.display()))
            .because(&e)
            .hint("name another one with --matrix")
    })?;
    Matrix::parse(&text).map_err(|e| {
        let error = CliError::usage(format!("{}:{}:{}: {}", path.display(), e.line, e.column, e.message));
        match e.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// Reads a price list.
pub(crate) fn prices(file: &Path) -> Result<PriceList, CliError> {
    let bad = || CliError::usage(format!("`{}` is no price list", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| bad().because(&e))?;
    serde_json::from_str(&text).map_err(|e| bad().because(&e))
}

/// Reads a history folder. Files that do not end in `.json` are left alone.
pub(crate) fn history(dir: &Path) -> Result<History, CliError> {
    let unreadable = |e: &std::io::Error| {
        CliError::usage(format!("cannot read the history folder `{}`", dir.display()))
            .because(e)
            .hint("`gsh history add RUN --dir DIR` makes one")
    };
    let mut runs: Vec<RunSummary> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| unreadable(&e))? {
        let entry = entry.map_err(|e| unreadable(&e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".json") {
            continue;
        }
        let path = entry.path();
        let bad = || CliError::usage(format!("`{}` is no run summary", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|e| bad().because(&e))?;
        let summary = RunSummary::parse(&name, &text).map_err(|e| match e {
            BadSummary::Changed => bad().because(&e).hint("put back the file that `gsh history add` wrote"),
            BadSummary::Form(_) | BadSummary::Schema(_) => bad().because(&e),
        })?;
        runs.push(summary);
    }
    Ok(History::new(runs))
}

/// Reads a run back from its ledger. One that is sealed and was changed since is refused.
pub(crate) fn run(directory: &Path) -> Result<RunState, CliError> {
    let path = directory.join(ledger::FILE_NAME);
    let events = ledger::read(&path).map_err(|e| {
        CliError::usage(format!("`{}` is no run directory that can be read", directory.display()))
            .because(&e)
            .hint("give the directory that `gsh run` printed; it holds ledger.jsonl")
    })?;
    let state = RunState::replay(&events)
        .map_err(|e| CliError::usage(format!("`{}` is damaged", path.display())).because(&e))?;
    // Last, because what breaks the form says where.
    sealed(directory)?;
    Ok(state)
}

/// Reads runs of one plan back and merges them.
pub(crate) fn merged(directories: &[PathBuf]) -> Result<RunState, CliError> {
    let runs = directories.iter().map(|d| run(d)).collect::<Result<Vec<_>, _>>()?;
    merge(runs).map_err(|e| {
        CliError::usage("these runs are not parts of one")
            .because(&e)
            .hint("give runs of one plan, made by one gsh: its shards, or repetitions of a shard")
    })
}
