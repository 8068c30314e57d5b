//! A cloud-config document: built as values and written by the YAML library, never by pasting text.

use std::collections::BTreeMap;

use gsh_engine::failure::Failure;
use serde::Serialize;

/// Most bytes of user-data that Hetzner takes.
pub const LIMIT: usize = 32_768;

/// The parts of cloud-config that we use. No `Debug`: keys and tokens are in its files.
#[derive(Clone, Default, Serialize)]
pub struct CloudConfig {
    /// Root logs in, with a key.
    pub disable_root: bool,
    /// Nobody logs in with a password.
    pub ssh_pwauth: bool,
    /// Keys that the image brought are removed.
    pub ssh_deletekeys: bool,
    /// Host keys: `ed25519_private`, `ed25519_public`. Keys given here suppress the making of others.
    pub ssh_keys: BTreeMap<String, String>,
    /// Who may log in.
    pub ssh_authorized_keys: Vec<String>,
    /// Clocks of all machines in one zone.
    pub timezone: String,
    /// Packages to install before `runcmd`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Whether to fetch package lists first.
    #[serde(skip_serializing_if = "is_false")]
    pub package_update: bool,
    /// Runs at every boot, before sshd.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bootcmd: Vec<Vec<String>>,
    /// Files, written before users exist and before sshd.
    pub write_files: Vec<File>,
    /// Runs once, last; only the last command's status counts.
    pub runcmd: Vec<Vec<String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A file to write. No `Debug`, for the same reason.
#[derive(Clone, Serialize)]
pub struct File {
    /// Where.
    pub path: String,
    /// Octal, as a string: YAML would read a bare `0644` as a number.
    pub permissions: String,
    /// What.
    pub content: String,
}

impl File {
    /// A file that everybody may read.
    #[must_use]
    pub fn public(path: &str, content: impl Into<String>) -> Self {
        Self { path: path.to_owned(), permissions: "0644".to_owned(), content: content.into() }
    }

    /// A file that only root may read.
    #[must_use]
    pub fn secret(path: &str, content: impl Into<String>) -> Self {
        Self { path: path.to_owned(), permissions: "0600".to_owned(), content: content.into() }
    }

    /// A script that only root may read and run.
    #[must_use]
    pub fn script(path: &str, content: impl Into<String>) -> Self {
        Self { path: path.to_owned(), permissions: "0700".to_owned(), content: content.into() }
    }
}

impl CloudConfig {
    /// Written down, first line and all.
    ///
    /// # Errors
    /// When it is longer than the cloud takes: a mistake of the template.
    pub fn render(&self) -> Result<String, Failure> {
        let yaml = serde_norway::to_string(self).map_err(|e| {
            Failure::harness("GSH-NODE-015", "user-data that can be written as YAML", "it cannot").because(&e)
        })?;
        checked(format!("#cloud-config\n{yaml}"))
    }
}

/// Checks the size.
///
/// # Errors
/// When it is longer than the cloud takes.
pub fn checked(text: String) -> Result<String, Failure> {
    if text.len() > LIMIT {
        let observed = format!("{} bytes", text.len());
        return Err(Failure::harness("GSH-NODE-015", format!("user-data of at most {LIMIT} bytes"), observed));
    }
    Ok(text)
}

/// One command as an argument vector.
#[must_use]
pub fn argv<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
