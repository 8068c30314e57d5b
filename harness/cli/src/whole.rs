//! Files that are there as a whole or not at all.

use std::path::{Path, PathBuf};

use crate::error::CliError;

/// Writes a file as a whole or not at all.
pub(crate) fn write_whole(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    gsh_engine::artifacts::write_private(&part, bytes)?;
    std::fs::rename(part, target)
}

/// Writes a file beside another one, under its name and a suffix.
pub(crate) fn write_beside(file: &Path, suffix: &str, text: &str) -> Result<PathBuf, CliError> {
    let target = PathBuf::from(format!("{}.{suffix}", file.display()));
    write_whole(&target, text.as_bytes())
        .map_err(|e| CliError::usage(format!("cannot write `{}`", target.display())).because(&e))?;
    Ok(target)
}
