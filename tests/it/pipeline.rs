//! The workflow that repositories copy, `ci/github/gsh-nightly.yml`, run job by job on the embedded world: shards are
//! processes of their own that share nothing but artifacts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{Program, root};
use crate::workflow::{Result, Workflow, copy};

/// What a night on the embedded world is judged by. Everything else as in the project's own policy.
const POLICY: &str = r#"
evidence = ["emulated"]
seal     = "required"
[require]
scenarios = ["docker-in-workspace"]
coverage  = { t = 1, ratio = 0.1 }
"#;

/// Two cells: gsh's own machine templates, and the distribution's.
const MATRIX: &str = "[axes]\ntemplate = [\"gsh\", \"community\"]\n";

/// A repository that has copied the files, and a runner for its nightly.
struct Night {
    program: Program,
    workflow: Workflow,
}

fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git").current_dir(folder).args(args).env("HOME", folder).output().expect("git starts");
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

impl Night {
    /// `template` is the distribution's folder; `wrap` are lines of a shell script before `gsh` is started.
    fn new(template: &str, wrap: &str) -> Self {
        let program = Program::new();
        let folder = program.folder().to_owned();
        let (repository, origin) = (folder.join("repository"), folder.join("origin.git"));
        std::fs::create_dir_all(repository.join("ci")).expect("a folder");
        std::fs::write(repository.join("ci/matrix.toml"), MATRIX).expect("a matrix");
        std::fs::write(repository.join("ci/gate.toml"), POLICY).expect("a policy");
        git(&folder, &["init", "-q", "-b", "main", "repository"]);
        git(&repository, &["add", "."]);
        git(&repository, &["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "Start"]);
        git(&folder, &["clone", "-q", "--bare", "repository", "origin.git"]);
        // The program as the action installs it, on the world of this test and with one scenario only.
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs).expect("a folder");
        let template = root().join("fixtures/templates").join(template).display().to_string();
        let gsh = env!("CARGO_BIN_EXE_gsh");
        let script = format!(
            "#!/usr/bin/env bash\nset -u\ncase \"$1\" in\n  plan) set -- \"$@\" --scenario docker-in-workspace ;;\n  \
             run) set -- \"$@\" --community {template} ;;\nesac\n{wrap}\nexec {gsh} \"$@\"\n"
        );
        let path = programs.join("gsh");
        std::fs::write(&path, script).expect("a program");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it can be run");
        let mut workflow = Workflow::read("ci/github/gsh-nightly.yml", &folder, &origin, &programs);
        workflow.set("GSH_PROVIDER", "embedded");
        workflow.set("GSH_SHARDS", "2");
        Self { program, workflow }
    }

    fn planned(&mut self) {
        assert_eq!(self.workflow.run("plan"), Result::Success, "{}", self.workflow.log);
    }

    /// The night up to its report.
    fn all(&mut self) {
        self.planned();
        self.workflow.run("run");
        self.workflow.run("report");
    }

    fn artifact(&self, path: &str) -> PathBuf {
        self.workflow.artifacts().join(path)
    }

    /// Outcomes of the merged results by cell and subject, as their JSON has them.
    fn results(&self) -> Value {
        let text = std::fs::read_to_string(self.artifact("report/results.json"));
        serde_json::from_str(&text.unwrap_or_else(|e| panic!("{e}\n{}", self.workflow.log))).expect("JSON")
    }

    fn says(&self, text: &str) -> bool {
        self.workflow.log.contains(text) || self.workflow.summary.contains(text)
    }
}

#[test]
fn a_green_night_is_green_and_a_missing_shard_is_not() {
    let mut night = Night::new("community", "");
    night.all();
    let log = night.workflow.log.clone();
    assert_eq!(night.workflow.result("run"), Result::Success, "{log}");
    assert_eq!(night.workflow.result("report"), Result::Success, "{log}");
    assert!(night.artifact("results-01").is_dir() && night.artifact("results-02").is_dir(), "{log}");
    assert_eq!(night.results()["cells"].as_array().map(Vec::len), Some(2));
    assert!(night.artifact("report/junit.xml").is_file() && !night.workflow.summary.is_empty());
    // The history was committed and pushed.
    let origin = night.program.folder().join("origin.git");
    assert!(git(&origin, &["ls-tree", "-r", "--name-only", "main"]).contains("history/"), "{log}");

    // The same night, but what one shard did never arrived.
    let lost = night.program.folder().join("lost");
    copy(&night.artifact("results-02"), &lost);
    std::fs::remove_dir_all(night.artifact("results-02")).expect("it was there");
    std::fs::remove_dir_all(night.artifact("report")).expect("it was there");
    night.workflow.log.clear();
    assert_eq!(night.workflow.run("report"), Result::Failure, "a missing shard can never look green");
    assert_eq!(night.results()["cells"].as_array().map(Vec::len), Some(2), "both planned cells are told about");
    assert!(night.says("02"), "{}", night.workflow.log);
}

#[test]
fn a_night_with_a_red_cell_is_red_and_tells_of_the_other_one() {
    let mut night = Night::new("label-workload-services", "");
    night.all();
    let log = night.workflow.log.clone();
    // The jobs of the shards are green: they did their work. The one that judges is red.
    assert_eq!(night.workflow.result("run"), Result::Success, "{log}");
    assert_eq!(night.workflow.result("report"), Result::Failure, "{log}");
    assert!(night.says("shard 01 ended with exit code 0"), "{}", night.workflow.summary);
    assert!(night.says("shard 02 ended with exit code 1"), "{}", night.workflow.summary);
    assert_eq!(night.results()["cells"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_night_whose_shard_was_killed_is_not_green() {
    // The second shard dies as soon as it has asked for a cluster, as a runner dies: without a word.
    let wrap = r#"
if [ "$1" = run ] && [ "$SHARD" = 02 ]; then
  GSH "$@" &
  child=$!
  until grep -q lease-requested run-02/ledger.jsonl 2>/dev/null || ! kill -0 $child 2>/dev/null; do
    read -rt 0.05 <> <(:) || true
  done
  kill -9 $child
  wait $child
  exit 137
fi
"#;
    let mut night = Night::new("community", &wrap.replace("GSH", env!("CARGO_BIN_EXE_gsh")));
    night.all();
    let log = night.workflow.log.clone();
    assert_eq!(night.workflow.result("run"), Result::Failure, "{log}");
    assert!(night.artifact("results-02/ledger.jsonl").is_file(), "what there is of it is uploaded all the same: {log}");
    assert_eq!(night.workflow.result("report"), Result::Failure, "{log}");
    assert_eq!(night.results()["cells"].as_array().map(Vec::len), Some(2));
}
