//! Digests, and the seal of a run: the digest of its finished ledger, beside it.

use std::path::Path;

use gsh_engine::ledger;
use sha2::{Digest, Sha256};

use crate::error::CliError;
use crate::whole::write_whole;

/// Name of the file with the digest of the finished ledger, as `sha256sum -c` reads it.
pub(crate) const SEAL: &str = "ledger.sha256";

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes the digest of a finished ledger beside it.
pub(crate) fn seal(directory: &Path) -> std::io::Result<()> {
    let digest = sha256(&std::fs::read(directory.join(ledger::FILE_NAME))?);
    write_whole(&directory.join(SEAL), format!("{digest}  {}\n", ledger::FILE_NAME).as_bytes())
}

/// The digest of a ledger, and whether the seal beside it says the same; a ledger without a seal has none.
///
/// # Errors
/// When there is a seal and it says otherwise: then the ledger is not what the run wrote.
pub(crate) fn sealed(directory: &Path) -> Result<(String, bool), CliError> {
    let (path, seal) = (directory.join(ledger::FILE_NAME), directory.join(SEAL));
    let sha256 = sha256(&std::fs::read(&path).map_err(|e| CliError::unreadable(&path, &e))?);
    match std::fs::read_to_string(&seal) {
        Ok(text) if text.split_whitespace().next() == Some(sha256.as_str()) => Ok((sha256, true)),
        Ok(_) => Err(CliError::usage(format!("`{}` is not what `{}` sealed", path.display(), seal.display()))
            .hint("the ledger was changed after the run, or its copy is damaged; fetch it again")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((sha256, false)),
        Err(e) => Err(CliError::unreadable(&seal, &e)),
    }
}
