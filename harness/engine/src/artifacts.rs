//! Evidence on disk: scrubbed, bounded, named by its content.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::secret::Scrubber;

/// The most bytes kept of one piece of evidence: the first quarter and the last three quarters of this.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// The folder `artifacts/` of a run.
#[derive(Debug, Clone)]
pub struct Artifacts {
    run_directory: PathBuf,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Path below the run directory.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Artifacts {
    /// The artifacts of a run directory.
    #[must_use]
    pub fn of(run_directory: &Path) -> Self {
        Self { run_directory: run_directory.to_owned() }
    }

    /// Keeps bytes under the hash of what is kept. The same content is stored once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, name: &str, bytes: &[u8], scrubber: &Scrubber) -> io::Result<Kept> {
        let clean = bound(scrubber.scrub(&String::from_utf8_lossy(bytes)));
        let hash: String = Sha256::digest(clean.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect();
        let path = format!("artifacts/{hash}-{}", safe_name(name));
        let target = self.run_directory.join(&path);
        if !target.exists() {
            write_private(&target, clean.as_bytes())?;
        }
        Ok(Kept { path, bytes: clean.len() as u64 })
    }
}

/// Writes a file with mode 0600, making its folder with mode 0700.
///
/// # Errors
/// As the file system says.
pub fn write_private(target: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    if let Some(folder) = target.parent() {
        private_folder(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(target)?.write_all(bytes)
}

/// Makes a folder with mode 0700, and its parents.
///
/// # Errors
/// As the file system says.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn bound(text: String) -> String {
    if text.len() <= LARGEST {
        return text;
    }
    let mut head = LARGEST / 4;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len() - (LARGEST - LARGEST / 4);
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

/// A file name that no file system and no JUnit attachment tag refuses.
fn safe_name(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let safe: String = name.chars().take(80).map(|c| if legal(c) { c } else { '-' }).collect();
    if safe.trim_matches(['.', '-']).is_empty() { "unnamed".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn secrets_never_reach_the_disk() {
        let directory = tempfile::tempdir().expect("temp dir");
        let scrubber = Scrubber::default();
        scrubber.learn(&Secret::new("token", "canary-bird\nsecond-line"));
        let kept = Artifacts::of(directory.path())
            .keep("../pod log", b"a canary-bird b second-line c", &scrubber)
            .expect("keep");
        let text = std::fs::read_to_string(directory.path().join(&kept.path)).expect("read");
        assert_eq!(text, "a {token} b {token} c");
        assert!(kept.path.ends_with("-..-pod-log"), "{}", kept.path);
    }

    #[test]
    fn too_much_is_cut_in_the_middle_and_says_so() {
        let text = bound("x".repeat(LARGEST + 10));
        assert!(text.len() < LARGEST + 40 && text.contains("[10 bytes left out]"));
    }
}
