//! A runner of GitHub workflow files, as far as ours go: jobs with needs and conditions, a matrix, steps that run scripts, the
//! local action, and artifacts as the only thing that jobs share. What it does not know it refuses, and so it does actions that
//! are not pinned by commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_norway::Value;

use super::repository::{Repository, copy, head};

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
    origin: PathBuf,
    branch: String,
    /// Number of this run of the workflow: its artifacts are found by it.
    id: u32,
    /// Overrides of the workflow's own `env`, as an operator changes them at the top of the file.
    env: BTreeMap<String, String>,
    /// What expressions see besides what jobs and steps have made: variables, secrets, the event.
    context: Scope,
    /// The commit that the workflow runs for: the same for all of its jobs.
    commit: String,
    /// Result and outputs by job.
    pub(crate) jobs: BTreeMap<String, (Result, BTreeMap<String, String>)>,
    pub(crate) summary: String,
    pub(crate) log: String,
}

/// What a job's machine has of its own.
struct Machine {
    folder: PathBuf,
    /// What steps have put before PATH.
    path: Vec<PathBuf>,
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
    /// The workflow as it stands on a branch of the repository, for the head of that branch.
    pub(crate) fn read(repository: &Repository, name: &str, branch: &str, id: u32) -> Self {
        let text = repository.show(branch, &format!(".github/workflows/{name}"));
        let mut context = Scope::new();
        for (name, value) in repository.variables() {
            context.insert(format!("vars.{name}"), value);
        }
        context.insert("github.repository".to_owned(), "community/distribution".to_owned());
        context.insert("github.token".to_owned(), "of-the-job".to_owned());
        Self {
            file: serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")),
            folder: repository.folder().to_owned(),
            origin: repository.origin(),
            branch: branch.to_owned(),
            id,
            env: BTreeMap::new(),
            context,
            commit: head(&repository.origin(), branch),
            jobs: BTreeMap::new(),
            summary: String::new(),
            log: String::new(),
        }
    }

    /// Changes an `env` at the top of the file.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        assert!(!self.file["env"][name].is_null(), "the workflow has no `{name}` at its top");
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Says what an expression is worth, by its full name.
    pub(crate) fn say(&mut self, name: &str, value: &str) {
        self.context.insert(name.to_owned(), value.to_owned());
    }

    /// Whether an event starts it.
    pub(crate) fn is_started_by(&self, event: &str) -> bool {
        self.file["on"].get(event).is_some()
    }

    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        artifacts(&self.folder, &self.id.to_string())
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
        let mut scope = self.context.clone();
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
        let folder = tempfile::tempdir_in(&self.folder).expect("a machine");
        let mut machine = Machine { folder: folder.path().to_owned(), path: vec![self.folder.join("tools")] };
        let work = machine.folder.join("work");
        scope.insert("github.sha".to_owned(), self.commit.clone());
        let mut good = true;
        for step in job["steps"].as_sequence().expect("steps").clone() {
            if !runs(&step["if"], good, &scope) {
                continue;
            }
            let with: BTreeMap<String, String> =
                pairs(&step["with"]).into_iter().map(|(k, v)| (k, expand(&v, &scope))).collect();
            let uses = text(&step["uses"]);
            good &= match action(&uses) {
                "" => self.script(&step, &mut scope, &mut machine),
                "actions/checkout" => {
                    let clone = ["clone", "-q", "-b", &self.branch];
                    let done = Command::new("git").args(clone).arg(&self.origin).arg(&work).status();
                    done.is_ok_and(|status| status.success())
                }
                "actions/upload-artifact" => self.upload(&work, &with),
                "actions/download-artifact" => self.download(&work, &with),
                local if local.starts_with("./") => self.composite(&work.join(local), &with, &mut machine),
                other => panic!("{name}: this runner does not know `{other}`"),
            };
        }
        let outputs = pairs(&job["outputs"]).into_iter().map(|(k, v)| (k, expand(&v, &scope))).collect();
        (if good { Result::Success } else { Result::Failure }, outputs)
    }

    /// Runs the steps of a composite action that was checked out.
    fn composite(&mut self, folder: &Path, with: &BTreeMap<String, String>, machine: &mut Machine) -> bool {
        let file = std::fs::read_to_string(folder.join("action.yml")).expect("the action was checked out");
        let file: Value = serde_norway::from_str(&file).expect("an action");
        let mut scope = Scope::new();
        for (input, about) in file["inputs"].as_mapping().expect("inputs") {
            let given = with.get(&text(input)).cloned();
            let value = given.or_else(|| about.get("default").map(text)).expect("every required input is given");
            scope.insert(format!("inputs.{}", text(input)), value);
        }
        assert!(with.keys().all(|k| !file["inputs"][k.as_str()].is_null()), "inputs that the action does not have");
        let mut good = true;
        for step in file["runs"]["steps"].as_sequence().expect("steps") {
            assert!(!step["shell"].is_null(), "a composite action names its shell");
            good = good && self.script(step, &mut scope, machine);
        }
        good
    }

    fn script(&mut self, step: &Value, scope: &mut Scope, machine: &mut Machine) -> bool {
        let file = |name: &str| machine.folder.join(name);
        let (output, summary, path) = (file("output"), file("summary"), file("path"));
        let known = std::env::var_os("PATH").unwrap_or_default();
        let all = machine.path.iter().cloned().chain(std::env::split_paths(&known));
        let all = std::env::join_paths(all).expect("a PATH");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &text(&step["run"])]);
        assert!(!text(&step["run"]).contains("${{"), "expressions go through env, never into a script");
        command.current_dir(file("work")).env_clear().env("PATH", all).env("HOME", &machine.folder);
        for (key, value) in pairs(&self.file["env"]).into_iter().chain(pairs(&step["env"])) {
            command.env(&key, expand(&value, scope));
        }
        let files = [("GITHUB_OUTPUT", &output), ("GITHUB_STEP_SUMMARY", &summary), ("GITHUB_PATH", &path)];
        command.envs(files).envs(&self.env).env("RUNNER_TEMP", &machine.folder).stdin(Stdio::null());
        let ended = command.output().expect("bash starts");
        self.log.push_str(&String::from_utf8_lossy(&ended.stdout));
        self.log.push_str(&String::from_utf8_lossy(&ended.stderr));
        self.summary.push_str(&taken(&summary));
        let id = text(&step["id"]);
        for line in taken(&output).lines() {
            if let Some((key, value)) = line.split_once('=') {
                scope.insert(format!("steps.{id}.outputs.{key}"), value.to_owned());
            }
        }
        for line in taken(&path).lines() {
            machine.path.insert(0, PathBuf::from(line));
        }
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
        let from = match with.get("run-id") {
            Some(run) => {
                assert!(with.get("github-token").is_some_and(|t| !t.is_empty()), "other runs are read with a token");
                artifacts(&self.folder, run)
            }
            None => self.artifacts(),
        };
        let prefix = with["pattern"].trim_end_matches('*');
        for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) {
                copy(&entry.path(), &work.join(&with["path"]).join(&name));
            }
        }
        true
    }
}

/// Where the artifacts of a workflow run are.
fn artifacts(folder: &Path, id: &str) -> PathBuf {
    folder.join("runs").join(id)
}

/// The action that a step uses, without its version.
fn action(uses: &str) -> &str {
    let Some((name, version)) = uses.split_once('@') else { return uses };
    let pinned = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
    assert!(pinned, "`{uses}` is not pinned by commit");
    name
}

/// What a step wrote into one of its files, which the next one gets empty.
fn taken(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let _absent = std::fs::remove_file(file);
    text
}
