//! GitLab as far as our file goes: a pipeline is made of the jobs whose rules match, and run stage by stage, each job on a machine
//! of its own that gets nothing but a checkout and the artifacts that it needs. What this does not know it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_norway::{Mapping, Value};

use super::repository::{Repository, copy};

type Variables = BTreeMap<String, String>;

/// How a job ended. A warning is a failure that the job allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Warning,
    Failed,
    Skipped,
}

/// What starts a pipeline.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A schedule of the default branch with its variable `GSH_JOB`.
    Schedule(&'static str),
    Push,
    Tag(&'static str),
}

/// What GitLab, its administrator and the machines bring.
pub(crate) struct Forge {
    folder: PathBuf,
    origin: PathBuf,
    /// Variables of the project, and those that only jobs of an environment get.
    pub(crate) variables: Variables,
    pub(crate) scoped: BTreeMap<String, Variables>,
    /// Jobs whose machine dies as soon as they have done their work.
    pub(crate) dying: Vec<String>,
    pub(crate) pipelines: Vec<Pipeline>,
}

/// A pipeline that has run.
pub(crate) struct Pipeline {
    pub(crate) id: usize,
    pub(crate) commit: String,
    pub(crate) source: &'static str,
    /// Jobs by name in the order in which they ended, `run 1/2` and `run 2/2` where one is divided.
    pub(crate) jobs: Vec<(String, Status)>,
    pub(crate) log: String,
    folder: PathBuf,
}

impl Pipeline {
    pub(crate) fn status(&self, job: &str) -> Status {
        self.jobs.iter().find(|(name, _)| name == job).unwrap_or_else(|| panic!("no job `{job}`\n{}", self.log)).1
    }

    /// What becomes of the whole: a warning does not count, a failure does.
    pub(crate) fn passed(&self) -> bool {
        self.jobs.iter().all(|(_, status)| matches!(status, Status::Success | Status::Warning))
    }

    /// What a job has left, if anything.
    pub(crate) fn artifacts(&self, job: &str) -> PathBuf {
        self.folder.join(job.replace('/', "-of-"))
    }
}

/// One job, with what it extends put in.
#[derive(Clone)]
struct Job {
    name: String,
    spec: Mapping,
    /// `always`, or `on_success`.
    when: String,
    /// Which of how many.
    part: Option<(u64, u64)>,
}

const KNOWN: [&str; 14] = [
    "extends",
    "image",
    "before_script",
    "script",
    "stage",
    "rules",
    "needs",
    "parallel",
    "environment",
    "allow_failure",
    "artifacts",
    "timeout",
    "interruptible",
    "resource_group",
];

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        other => panic!("a text, not {other:?}"),
    }
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_sequence).cloned().unwrap_or_default()
}

/// A job with what it extends below it.
fn extended(file: &Mapping, name: &str) -> Mapping {
    let own = file.get(name).and_then(Value::as_mapping).unwrap_or_else(|| panic!("no job `{name}`")).clone();
    let mut whole = own.get("extends").map(|base| extended(file, &text(base))).unwrap_or_default();
    for (key, value) in own {
        assert!(KNOWN.contains(&text(&key).as_str()), "{name}: this runner does not know `{}`", text(&key));
        // Maps are merged, everything else is replaced.
        match (whole.get_mut(&key).and_then(Value::as_mapping_mut), &value) {
            (Some(below), Value::Mapping(above)) => below.extend(above.clone()),
            _ => drop(whole.insert(key, value)),
        }
    }
    whole
}

/// Whether a rule's condition holds: terms joined by `&&`, each `$NAME` or `$NAME == "text"`.
fn holds(condition: &str, variables: &Variables) -> bool {
    condition.split("&&").all(|term| {
        let (name, wanted) = term.split_once("==").map_or((term, None), |(n, w)| (n, Some(w.trim().trim_matches('"'))));
        let name = name.trim().strip_prefix('$').expect("a variable");
        let value = variables.get(name).map(String::as_str).unwrap_or_default();
        wanted.map_or(!value.is_empty(), |wanted| value == wanted)
    })
}

/// When a job runs, by the first of its rules that matches; no rule, no job.
fn when(spec: &Mapping, variables: &Variables) -> Option<String> {
    for rule in list(spec.get("rules")) {
        let rule = rule.as_mapping().expect("a rule").clone();
        assert!(rule.keys().all(|k| ["if", "when"].contains(&text(k).as_str())), "{rule:?}");
        if rule.get("if").is_none_or(|condition| holds(&text(condition), variables)) {
            return Some(rule.get("when").map_or("on_success".to_owned(), text));
        }
    }
    None
}

impl Forge {
    pub(crate) fn new(repository: &Repository) -> Self {
        Self {
            folder: repository.folder().to_owned(),
            origin: repository.origin(),
            variables: repository.variables().into_iter().collect(),
            scoped: BTreeMap::new(),
            dying: Vec::new(),
            pipelines: Vec::new(),
        }
    }

    /// Runs the pipeline that something starts for a commit; none, where no job has a place in it.
    pub(crate) fn run(&mut self, repository: &Repository, commit: &str, source: &Source) -> Option<&Pipeline> {
        let file: Mapping = serde_norway::from_str(&repository.show(commit, ".gitlab-ci.yml")).expect("YAML");
        let mut variables = self.variables.clone();
        for (name, value) in file.get("variables").and_then(Value::as_mapping).into_iter().flatten() {
            variables.insert(text(name), text(value));
        }
        variables.extend(predefined(commit, source));
        let stages: Vec<String> = list(file.get("stages")).iter().map(text).collect();
        let jobs = planned(&file, &variables);
        if jobs.is_empty() {
            return None;
        }
        let id = self.pipelines.len() + 1;
        let folder = self.folder.join("pipelines").join(id.to_string());
        let source = match source {
            Source::Schedule(_) => "schedule",
            Source::Push | Source::Tag(_) => "push",
        };
        let mut pipeline =
            Pipeline { id, commit: commit.to_owned(), source, jobs: Vec::new(), log: String::new(), folder };
        let stage = |job: &Job| {
            let name = job.spec.get("stage").map(text).expect("a stage");
            stages.iter().position(|s| *s == name).unwrap_or_else(|| panic!("no stage `{name}`"))
        };
        let mut ordered: Vec<&Job> = jobs.iter().collect();
        ordered.sort_by_key(|job| stage(job));
        for job in ordered {
            let before: Vec<&Job> = match job.spec.get("needs") {
                Some(_) => needed(job, &jobs),
                None => jobs.iter().filter(|other| stage(other) < stage(job)).collect(),
            };
            let good = before.iter().all(|b| matches!(pipeline.status(&b.name), Status::Success | Status::Warning));
            let status = match job.when.as_str() {
                "on_success" if !good => Status::Skipped,
                "on_success" | "always" => self.job(job, &before, &variables, &mut pipeline),
                other => panic!("{}: this runner does not know `when: {other}`", job.name),
            };
            pipeline.log.push_str(&format!("== {}: {status:?}\n", job.name));
            pipeline.jobs.push((job.name.clone(), status));
        }
        self.pipelines.push(pipeline);
        self.pipelines.last()
    }

    /// Runs one job: checkout, artifacts of what it needs, script, and what it leaves.
    fn job(&self, job: &Job, before: &[&Job], variables: &Variables, pipeline: &mut Pipeline) -> Status {
        let machine = tempfile::tempdir_in(&self.folder).expect("a machine");
        let work = machine.path().join("work");
        // As a runner does it: shallow, and at the commit, not on a branch.
        for args in [
            vec!["init", "-q", "work"],
            vec!["-C", "work", "fetch", "-q", "--depth", "20", self.origin.to_str().expect("text"), &pipeline.commit],
            vec!["-C", "work", "checkout", "-q", "--detach", &pipeline.commit],
        ] {
            let done = Command::new("git").current_dir(machine.path()).args(&args).status();
            assert!(done.is_ok_and(|s| s.success()), "git {args:?}");
        }
        for needed in before {
            let left = pipeline.artifacts(&needed.name);
            if left.is_dir() {
                copy(&left, &work);
            }
        }
        // The forge's own address for pushes is this test's folder.
        let redirect = format!(
            "[url \"file://{}\"]\n\tinsteadOf = https://gsh:may-push@gitlab.example.org/community/distribution.git\n",
            self.origin.display()
        );
        std::fs::write(machine.path().join(".gitconfig"), redirect).expect("a file");

        let lines = ["before_script", "script"].iter().flat_map(|part| list(job.spec.get(*part)));
        let script: Vec<String> = lines.map(|line| text(&line)).collect();
        let mut path = vec![self.folder.join("tools")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-c", &format!("set -eo pipefail\n{}", script.join("\n"))]);
        command.current_dir(&work).env_clear().envs(variables).stdin(Stdio::null());
        command.env("PATH", std::env::join_paths(path).expect("a PATH")).env("HOME", machine.path());
        if let Some(environment) = job.spec.get("environment") {
            command.envs(self.scoped.get(&text(&environment["name"])).into_iter().flatten());
        }
        if let Some((index, total)) = job.part {
            command.env("CI_NODE_INDEX", index.to_string()).env("CI_NODE_TOTAL", total.to_string());
        }
        let ended = command.output().expect("bash starts");
        pipeline.log.push_str(&String::from_utf8_lossy(&ended.stdout));
        pipeline.log.push_str(&String::from_utf8_lossy(&ended.stderr));
        if self.dying.contains(&job.name) {
            return Status::Failed;
        }
        let code = ended.status.code().unwrap_or(-1);
        upload(job, code == 0, &work, pipeline);
        let allowed = job.spec.get("allow_failure").map(|allow| list(allow.get("exit_codes"))).unwrap_or_default();
        match code {
            0 => Status::Success,
            _ if allowed.contains(&Value::from(code)) => Status::Warning,
            _ => Status::Failed,
        }
    }
}

/// The jobs that have a place in the pipeline, divided ones in their parts.
fn planned(file: &Mapping, variables: &Variables) -> Vec<Job> {
    let mut jobs = Vec::new();
    for name in file.keys().map(text).filter(|n| !n.starts_with('.') && n != "stages" && n != "variables") {
        let spec = extended(file, &name);
        let Some(when) = when(&spec, variables) else { continue };
        match spec.get("parallel").and_then(Value::as_u64) {
            None => jobs.push(Job { name, spec, when, part: None }),
            Some(total) => {
                for index in 1..=total {
                    let (name, when) = (format!("{name} {index}/{total}"), when.clone());
                    jobs.push(Job { name, spec: spec.clone(), when, part: Some((index, total)) });
                }
            }
        }
    }
    jobs
}

/// The jobs that one needs, all parts of them; one that is missing is an error of the pipeline unless it is optional.
fn needed<'a>(job: &Job, jobs: &'a [Job]) -> Vec<&'a Job> {
    let mut all = Vec::new();
    for need in list(job.spec.get("needs")) {
        let (name, optional) = match &need {
            Value::Mapping(map) => {
                assert!(map.keys().all(|k| ["job", "optional"].contains(&text(k).as_str())), "{need:?}");
                (text(&need["job"]), need.get("optional").and_then(Value::as_bool).unwrap_or(false))
            }
            plain => (text(plain), false),
        };
        let part = |j: &&Job| j.name == name || (j.part.is_some() && j.name.starts_with(&format!("{name} ")));
        let found: Vec<&Job> = jobs.iter().filter(part).collect();
        assert!(optional || !found.is_empty(), "`{}` needs `{name}`, which is not in the pipeline", job.name);
        all.extend(found);
    }
    all
}

/// Keeps what a job leaves, as it says when.
fn upload(job: &Job, good: bool, work: &Path, pipeline: &mut Pipeline) {
    let Some(artifacts) = job.spec.get("artifacts").and_then(Value::as_mapping) else { return };
    let known = ["when", "paths", "expire_in", "reports"];
    assert!(artifacts.keys().all(|k| known.contains(&text(k).as_str())), "{artifacts:?}");
    let keep = match artifacts.get("when").map_or("on_success".to_owned(), text).as_str() {
        "always" => true,
        "on_success" => good,
        other => panic!("this runner does not know artifacts of `{other}`"),
    };
    let reports = artifacts.get("reports").and_then(Value::as_mapping).into_iter().flatten().map(|(_, path)| path);
    for path in list(artifacts.get("paths")).iter().chain(reports).map(text).filter(|_| keep) {
        if work.join(&path).exists() {
            copy(&work.join(&path), &pipeline.artifacts(&job.name).join(&path));
        } else {
            pipeline.log.push_str(&format!("{path}: no matching files\n"));
        }
    }
}

/// What GitLab itself tells every job.
fn predefined(commit: &str, source: &Source) -> Variables {
    let mut variables: Variables = [
        ("CI_COMMIT_SHA", commit),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_SERVER_HOST", "gitlab.example.org"),
        ("CI_PROJECT_PATH", "community/distribution"),
        ("CI_PROJECT_ID", "7"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let more = match source {
        Source::Schedule(job) => [("CI_PIPELINE_SOURCE", "schedule"), ("GSH_JOB", job)],
        Source::Push => [("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_BRANCH", "main")],
        Source::Tag(tag) => [("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_TAG", tag)],
    };
    variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}
