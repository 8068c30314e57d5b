//! A runner of GitHub workflow files, as far as ours go: jobs with needs and conditions, a matrix, steps that run scripts, the
//! local action, and artifacts as the only thing that jobs share. What it does not know it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_norway::Value;

use crate::program::root;

/// How a job or a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Result {
    Success,
    Failure,
    Skipped,
}

/// A workflow and what has come of it so far.
pub(crate) struct Workflow {
    file: Value,
    folder: PathBuf,
    /// What a checkout gives.
    repository: PathBuf,
    /// Put before everything else into PATH by the action.
    programs: PathBuf,
    /// Overrides of the workflow's own `env`, as an operator changes them at the top of the file.
    env: BTreeMap<String, String>,
    /// The commit that the workflow runs for: the same for all of its jobs.
    commit: Option<String>,
    /// Result and outputs by job.
    pub(crate) jobs: BTreeMap<String, (Result, BTreeMap<String, String>)>,
    pub(crate) summary: String,
    pub(crate) log: String,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}

fn pairs(value: &Value) -> BTreeMap<String, String> {
    value.as_mapping().into_iter().flatten().map(|(k, v)| (text(k), text(v))).collect()
}

/// The values that expressions of one job see, by their full names.
type Scope = BTreeMap<String, String>;

/// Replaces `${{ … }}`; a name that is not known is empty, as on GitHub.
fn expand(template: &str, scope: &Scope) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${{") {
        let (inside, after) = after.split_once("}}").expect("an expression has an end");
        out.push_str(before);
        out.push_str(&value_of(inside.trim(), scope));
        rest = after;
    }
    out + rest
}

fn value_of(expression: &str, scope: &Scope) -> String {
    // `a || b`: the first that is not empty.
    expression
        .split("||")
        .map(|part| match part.trim() {
            quoted if quoted.starts_with('\'') => quoted.trim_matches('\'').to_owned(),
            name => scope.get(name).cloned().unwrap_or_default(),
        })
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

/// Whether a job or step runs. Without a condition it runs when nothing before it failed.
fn runs(condition: &Value, before: bool, scope: &Scope) -> bool {
    let condition = text(condition);
    match condition.as_str() {
        "" => before,
        "always()" => true,
        other => {
            let (name, wanted) = other.split_once("!=").expect("a condition that this runner knows");
            before && value_of(name.trim(), scope) != wanted.trim().trim_matches('\'')
        }
    }
}

impl Workflow {
    pub(crate) fn read(path: &str, folder: &Path, repository: &Path, programs: &Path) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        Self {
            file: serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}")),
            folder: folder.to_owned(),
            repository: repository.to_owned(),
            programs: programs.to_owned(),
            env: BTreeMap::new(),
            commit: None,
            jobs: BTreeMap::new(),
            summary: String::new(),
            log: String::new(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.folder.join("artifacts")
    }

    pub(crate) fn result(&self, job: &str) -> Result {
        self.jobs[job].0
    }

    /// Runs one job, all of its matrix.
    pub(crate) fn run(&mut self, name: &str) -> Result {
        let job = self.file["jobs"][name].clone();
        assert!(job.is_mapping(), "there is no job `{name}`");
        let needs: Vec<String> = match &job["needs"] {
            Value::Sequence(all) => all.iter().map(text).collect(),
            one => Some(text(one)).filter(|n| !n.is_empty()).into_iter().collect(),
        };
        let mut scope: Scope = BTreeMap::new();
        for need in &needs {
            let (result, outputs) = self.jobs.get(need).unwrap_or_else(|| panic!("`{name}` needs `{need}` first"));
            scope.insert(format!("needs.{need}.result"), format!("{result:?}").to_lowercase());
            scope.extend(outputs.iter().map(|(k, v)| (format!("needs.{need}.outputs.{k}"), v.clone())));
        }
        let before = needs.iter().all(|need| self.jobs[need].0 == Result::Success);
        if !runs(&job["if"], before, &scope) {
            self.jobs.insert(name.to_owned(), (Result::Skipped, BTreeMap::new()));
            return Result::Skipped;
        }
        let rows: Vec<BTreeMap<String, String>> = match &job["strategy"]["matrix"] {
            Value::Null => vec![BTreeMap::new()],
            from_json => {
                let template = text(from_json);
                let inside = template.trim_start_matches("${{").trim_end_matches("}}").trim();
                let name = inside.trim_start_matches("fromJSON(").trim_end_matches(')');
                let matrix: Value = serde_norway::from_str(&scope[name]).expect("the matrix is JSON");
                matrix["include"].as_sequence().expect("rows to include").iter().map(pairs).collect()
            }
        };
        assert!(!rows.is_empty(), "an empty matrix is an error on GitHub");
        let mut worst = Result::Success;
        let mut outputs = BTreeMap::new();
        for row in rows {
            let mut scope = scope.clone();
            scope.extend(row.iter().map(|(k, v)| (format!("matrix.{k}"), v.clone())));
            let (result, given) = self.one(name, &job, scope);
            worst = if result == Result::Failure { result } else { worst };
            outputs.extend(given);
        }
        self.jobs.insert(name.to_owned(), (worst, outputs));
        worst
    }

    /// Runs one row of a job: a machine of its own, with nothing of the others.
    fn one(&mut self, name: &str, job: &Value, mut scope: Scope) -> (Result, BTreeMap<String, String>) {
        let machine = tempfile::tempdir_in(&self.folder).expect("a machine");
        let work = machine.path().join("work");
        let head = Command::new("git").arg("-C").arg(&self.repository).args(["rev-parse", "main"]).output();
        let head = head.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
        scope.insert("github.sha".to_owned(), self.commit.get_or_insert(head).clone());
        let mut programs = Vec::new();
        let mut good = true;
        let steps = job["steps"].as_sequence().expect("steps").clone();
        for step in &steps {
            if !runs(&step["if"], good, &scope) {
                continue;
            }
            let with: BTreeMap<String, String> =
                pairs(&step["with"]).into_iter().map(|(k, v)| (k, expand(&v, &scope))).collect();
            let ended = match text(&step["uses"]).as_str() {
                "" => self.script(step, &mut scope, machine.path(), &programs),
                "actions/checkout@v4" => {
                    let done = Command::new("git").args(["clone", "-q"]).arg(&self.repository).arg(&work).status();
                    done.is_ok_and(|status| status.success())
                }
                "./.github/actions/gsh" => {
                    assert!(with.contains_key("url") && with.contains_key("sha256"), "{name}: the action's inputs");
                    programs.push(self.programs.clone());
                    true
                }
                "actions/upload-artifact@v4" => self.upload(&work, &with),
                "actions/download-artifact@v4" => self.download(&work, &with),
                other => panic!("{name}: this runner does not know `{other}`"),
            };
            good &= ended;
        }
        let outputs = pairs(&job["outputs"]).into_iter().map(|(k, v)| (k, expand(&v, &scope))).collect();
        (if good { Result::Success } else { Result::Failure }, outputs)
    }

    fn script(&mut self, step: &Value, scope: &mut Scope, machine: &Path, programs: &[PathBuf]) -> bool {
        let (output, summary) = (machine.join("output"), machine.join("summary"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(programs.iter().cloned().chain(std::env::split_paths(&path))).expect("a PATH");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &text(&step["run"])]);
        assert!(!text(&step["run"]).contains("${{"), "expressions go through env, never into a script");
        command.current_dir(machine.join("work")).env_clear().env("PATH", path).env("HOME", machine);
        for (key, value) in pairs(&self.file["env"]).into_iter().chain(pairs(&step["env"])) {
            command.env(&key, expand(&value, scope));
        }
        let files = [("GITHUB_OUTPUT", &output), ("GITHUB_STEP_SUMMARY", &summary)];
        command.envs(files).envs(&self.env).env("RUNNER_TEMP", machine).stdin(Stdio::null());
        let ended = command.output().expect("bash starts");
        self.log.push_str(&String::from_utf8_lossy(&ended.stdout));
        self.log.push_str(&String::from_utf8_lossy(&ended.stderr));
        self.summary.push_str(&std::fs::read_to_string(&summary).unwrap_or_default());
        let _consumed = std::fs::remove_file(&summary);
        let id = text(&step["id"]);
        for line in std::fs::read_to_string(&output).unwrap_or_default().lines() {
            if let Some((key, value)) = line.split_once('=') {
                scope.insert(format!("steps.{id}.outputs.{key}"), value.to_owned());
            }
        }
        let _consumed = std::fs::remove_file(&output);
        ended.status.success()
    }

    fn upload(&self, work: &Path, with: &BTreeMap<String, String>) -> bool {
        let from = work.join(&with["path"]);
        let to = self.artifacts().join(&with["name"]);
        if !from.exists() {
            return with.get("if-no-files-found").map(String::as_str) != Some("error");
        }
        assert!(!to.exists(), "artifacts are immutable and their names unique: {}", to.display());
        // The artifact of a folder is what is in it, that of a file is the file.
        let to = if from.is_dir() { to } else { to.join(from.file_name().expect("a name")) };
        copy(&from, &to);
        true
    }

    fn download(&self, work: &Path, with: &BTreeMap<String, String>) -> bool {
        if let Some(name) = with.get("name") {
            let from = self.artifacts().join(name);
            if from.is_dir() {
                copy(&from, &work.join(&with["path"]));
            }
            return from.is_dir();
        }
        let prefix = with["pattern"].trim_end_matches('*');
        for entry in std::fs::read_dir(self.artifacts()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) {
                copy(&entry.path(), &work.join(&with["path"]).join(&name));
            }
        }
        true
    }
}

/// Copies a file or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("it can be listed").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    std::fs::copy(from, to).expect("it can be copied");
}
