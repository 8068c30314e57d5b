//! Reading the folder of run summaries for whoever asks which tested combination this is.

use std::path::Path;

use gsh_model::history::RunSummary;

use crate::error::CliError;

/// Every summary in a folder.
///
/// # Errors
/// When the folder or a file in it cannot be used: half a history would give half an answer.
pub(crate) fn read(folder: &Path) -> Result<Vec<RunSummary>, CliError> {
    let unusable = |what: &Path, e: &dyn std::error::Error| {
        CliError::usage(format!("the history `{}` cannot be used", what.display()))
            .because(e)
            .hint("--history takes the folder that `gsh history add` keeps")
    };
    let mut summaries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unusable(folder, &e))? {
        let path = entry.map_err(|e| unusable(folder, &e))?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|e| unusable(&path, &e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        summaries.push(RunSummary::parse(&name, &text).map_err(|e| unusable(&path, &e))?);
    }
    Ok(summaries)
}
