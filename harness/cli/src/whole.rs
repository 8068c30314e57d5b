//! Files that are there as a whole or not at all.

use std::path::Path;

/// Writes a file as a whole or not at all.
pub(crate) fn write_whole(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    gsh_engine::artifacts::write_private(&part, bytes)?;
    std::fs::rename(part, target)
}
