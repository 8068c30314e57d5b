//! Runs the real program in an environment of its own and reads what it left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for one test, and the program in it.
pub(crate) struct Program {
    folder: TempDir,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) out: PathBuf,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where `run` puts its run directory.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("write into the temporary folder");
        path
    }

    /// A matrix of these axes; every other axis at its default.
    pub(crate) fn matrix(&self, axes: &[(&str, &[&str])]) -> PathBuf {
        let mut text = "[axes]\n".to_owned();
        for (axis, values) in axes {
            text.push_str(&format!("{axis} = {values:?}\n"));
        }
        self.write("matrix.toml", &text)
    }

    /// The program with a clean environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsh"));
        command
            .current_dir(root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn gsh(&self, args: &[&str]) -> Ended {
        self.ended(self.command().args(args).output().expect("gsh starts"))
    }

    /// `gsh run` on the embedded world with `--out`.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let out = self.out().display().to_string();
        let mut all = vec!["run", "--provider", "embedded", "--out", &out];
        all.extend(args);
        self.gsh(&all)
    }

    /// The same with environment variables.
    pub(crate) fn run_with(&self, args: &[&str], env: &BTreeMap<String, String>) -> Ended {
        let out = self.out().display().to_string();
        let mut command = self.command();
        command.args(["run", "--provider", "embedded", "--out", &out]).args(args).envs(env);
        self.ended(command.output().expect("gsh starts"))
    }

    pub(crate) fn ended(&self, output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            out: self.out(),
        }
    }
}

impl Ended {
    /// A file of the run directory.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.out.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}\n{}", path.display(), self.stderr))
    }

    pub(crate) fn results(&self) -> Value {
        serde_json::from_str(&self.file("results.json")).expect("results.json is JSON")
    }

    /// Every (cell, subject, outcome) as words: `passed`, `failed`, `skipped`, `inconclusive environment`.
    pub(crate) fn outcomes(&self) -> Vec<(String, String, String)> {
        let results = self.results();
        let mut all = Vec::new();
        for cell in results["cells"].as_array().expect("cells") {
            for subject in cell["subjects"].as_array().expect("subjects") {
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                all.push((text(&cell["id"]), text(&subject["name"]), word(&subject["outcome"])));
            }
        }
        all
    }
}

fn word(outcome: &Value) -> String {
    if let Some(plain) = outcome.as_str() {
        return plain.to_owned();
    }
    let Some((kind, inside)) = outcome.as_object().and_then(|o| o.iter().next()) else { return outcome.to_string() };
    match (kind.as_str(), &inside["why"]) {
        ("inconclusive", Value::String(why)) => format!("inconclusive {why}"),
        ("inconclusive", Value::Object(_)) => "inconclusive blocked".to_owned(),
        _ => kind.clone(),
    }
}
