//! `gsh-verify --bundle FILE`: what was seen, in one compressed archive for whoever helps.

use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use gsh_look::evidence::File;
use gsh_look::redact;
use jiff::Timestamp;

use crate::error::CliError;
use crate::whole::write_whole;

/// Files of the run directory that belong to the evidence.
const RESULTS: [&str; 4] = ["summary.md", "results.json", "junit.xml", "ledger.jsonl"];

/// Refuses what is there already, before any work is done.
///
/// # Errors
/// Usage.
pub(super) fn free(target: &Path) -> Result<(), CliError> {
    if target.exists() {
        return Err(CliError::usage(format!("there is something already at `{}`", target.display()))
            .hint("evidence is never written over; choose another --bundle"));
    }
    Ok(())
}

/// Writes the archive: the results of the run, and the evidence.
///
/// # Errors
/// When it cannot be written; nothing is there then.
pub(super) fn write(target: &Path, run: &Path, evidence: &[File], now: Timestamp) -> Result<(), CliError> {
    let failed = |e: io::Error| {
        CliError::inconclusive(format!("cannot write the evidence into `{}`", target.display())).because(&e)
    };
    let root = target.file_name().unwrap_or_default().to_string_lossy();
    let root = root.trim_end_matches(".gz").trim_end_matches(".tgz").trim_end_matches(".tar").to_owned();
    let archive = archive(&root, run, evidence, now).map_err(failed)?;
    write_whole(target, &archive).map_err(failed)
}

fn archive(root: &str, run: &Path, evidence: &[File], now: Timestamp) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut add = |path: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or(0));
        tar.append_data(&mut header, format!("{root}/{path}"), text.as_bytes())
    };
    for file in evidence {
        add(&file.path, &file.text)?;
    }
    for name in RESULTS {
        let text = std::fs::read_to_string(run.join(name))?;
        add(&format!("results/{name}"), &redact::text(&text))?;
    }
    tar.into_inner()?.finish()
}
