//! `gsh report`: renders a recorded run, from its ledger and nothing else.

use std::io::Write;
use std::path::{Path, PathBuf};

use gsh_engine::ledger;
use gsh_model::exit::Exit;
use gsh_model::merge::merge;
use gsh_model::run::RunState;
use gsh_reports::beside::Beside;
use gsh_reports::format::{Format, render_with};

use crate::args::{self, ReportFormat};
use crate::error::CliError;

/// Renders a run.
pub(crate) fn report(args: &args::Report) -> Result<Exit, CliError> {
    let state = load_merged(&args.runs)?;
    let format = match args.format {
        ReportFormat::Junit => Format::Junit,
        ReportFormat::Markdown => Format::Markdown,
        ReportFormat::Json => Format::Json,
        ReportFormat::JunitStrict => Format::JunitStrict,
        ReportFormat::Html => Format::Html,
        ReportFormat::Github => Format::Github,
        ReportFormat::Ctrf => Format::Ctrf,
    };
    let mut beside = Beside { baseline: args.baseline.as_deref().map(load).transpose()?, ..Beside::default() };
    crate::evidence::excerpts(&mut beside, &args.runs, &state);
    let text = render_with(format, &state, &beside);
    match &args.output {
        Some(file) => write_whole(file, text.as_bytes())
            .map_err(|e| CliError::usage(format!("cannot write `{}`", file.display())).because(&e))?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|e| CliError::inconclusive("cannot write the report").because(&e))?,
    }
    Ok(Exit::Pass)
}

/// Reads a run back from its ledger.
pub(crate) fn load(directory: &Path) -> Result<RunState, CliError> {
    let path = directory.join(ledger::FILE_NAME);
    let events = ledger::read(&path).map_err(|e| {
        CliError::usage(format!("`{}` is no run directory that can be read", directory.display()))
            .because(&e)
            .hint("give the directory that `gsh run` printed; it holds ledger.jsonl")
    })?;
    RunState::replay(&events).map_err(|e| CliError::usage(format!("`{}` is damaged", path.display())).because(&e))
}

/// Reads runs of one plan back and merges them.
pub(crate) fn load_merged(directories: &[PathBuf]) -> Result<RunState, CliError> {
    let runs = directories.iter().map(|d| load(d)).collect::<Result<Vec<_>, _>>()?;
    merge(runs).map_err(|e| {
        CliError::usage("these runs are not parts of one")
            .because(&e)
            .hint("give runs of one plan, made by one gsh: its shards, or repetitions of a shard")
    })
}

/// Writes a file as a whole or not at all.
pub(crate) fn write_whole(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    gsh_engine::artifacts::write_private(&part, bytes)?;
    std::fs::rename(part, target)
}
