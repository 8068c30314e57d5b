//! The nightly, the gate and the janitor for GitHub.

use std::path::PathBuf;

use serde_json::Value;

use super::repository::{Repository, SHOW_CERTIFICATE, WHOLE_CERTIFICATE, copy, git, script};
use super::workflow::{Result, Workflow};

/// What stands for GitHub's own command line: it knows the one question that the gate asks, and answers it from `nights`, a line
/// with commit and run for each night.
const GH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
test -n "$GH_TOKEN"
commit="${8:?}"
wanted="run list --repo community/distribution --workflow gsh-nightly.yml --commit $commit --status completed --limit 1 --json databaseId --jq .[0].databaseId // empty"
if [ "$*" != "$wanted" ]; then
  echo "gh: not known here: $*" >&2
  exit 1
fi
sed -n "s/^$commit //p" "$(dirname "$0")/nights" | tail -n 1
"#;

/// A repository, and a runner for its nightly.
struct Night {
    repository: Repository,
    workflow: Workflow,
}

impl Night {
    fn new(template: &str, wrap: &str) -> Self {
        Self::on(Repository::new(template, wrap), "main")
    }

    fn on(repository: Repository, branch: &str) -> Self {
        let mut workflow = Workflow::read(&repository, "gsh-nightly.yml", branch, 1);
        workflow.set("GSH_PROVIDER", "embedded");
        workflow.set("GSH_SHARDS", "2");
        Self { repository, workflow }
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
    assert!(night.artifact("report/verdict/gate.json").is_file(), "{log}");
    assert!(night.artifact("report/junit.xml").is_file() && !night.workflow.summary.is_empty());
    // The history was committed and pushed.
    let origin = night.repository.origin();
    assert!(git(&origin, &["ls-tree", "-r", "--name-only", "main"]).contains("history/"), "{log}");

    // The same night, but what one shard did never arrived.
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

#[test]
fn a_certificate_is_given_to_the_run_where_there_is_one() {
    let mut night = Night::new("community", SHOW_CERTIFICATE);
    night.planned();
    night.workflow.run("run");
    assert!(!night.says("given --tls"), "{}", night.workflow.log);

    night.workflow.say("vars.GSH_TLS_DOMAIN", "gitpod.example.org");
    night.workflow.say("secrets.GSH_TLS_CERT", "the chain");
    night.workflow.say("secrets.GSH_TLS_KEY", "the key");
    night.workflow.run("run");
    for part in WHOLE_CERTIFICATE {
        assert!(night.says(part), "{part}: {}", night.workflow.log);
    }
}

/// Runs the gate of the release branch for a pull request.
fn gate(repository: &Repository, commit: &str) -> (Result, Workflow) {
    let mut gate = Workflow::read(repository, "gsh-gate.yml", "main", 90);
    let _verdict_of_before = std::fs::remove_dir_all(gate.artifacts());
    gate.say("github.event.pull_request.head.sha", commit);
    let result = gate.run("gate");
    (result, gate)
}

#[test]
fn the_gate_judges_the_night_of_the_commit_by_the_rules_of_the_release_branch() {
    let repository = Repository::new("community", "");
    // A pull request that changes what is supported: its night is run on its branch, and judged by its own matrix.
    let matrix = repository.show("main", "ci/matrix.toml");
    repository.commit("change", "ci/matrix.toml", &format!("{matrix}size = [\"small\", \"single\"]\n"));
    let mut night = Night::on(repository, "change");
    night.planned();
    assert_eq!(night.workflow.run("run"), Result::Success, "{}", night.workflow.log);
    let commit = night.workflow.commit().to_owned();
    let repository = &night.repository;
    let tools = repository.folder().join("tools");
    script(&tools.join("gh"), GH);
    let nights = |text: String| std::fs::write(tools.join("nights"), text).expect("a file");
    nights(format!("{commit} 1\n"));

    let (result, judged) = gate(repository, &commit);
    assert_eq!(result, Result::Success, "{}", judged.log);
    assert!(judged.is_started_by("pull_request_target"), "a pull request could change what judges it");
    assert!(judged.summary.contains("pass") && judged.artifacts().join("verdict/gate.json").is_file());

    // No night of this commit: another commit's does not do.
    nights(format!("{} 1\n", "0".repeat(40)));
    let (result, judged) = gate(repository, &commit);
    assert_eq!(result, Result::Failure, "{}", judged.log);
    assert!(judged.log.contains(&format!("No nightly run of commit {commit} has ended")), "{}", judged.log);

    // The newest night of the commit lost a shard; that the one before was green does not help.
    let artifacts = night.workflow.artifacts();
    copy(&artifacts.join("results-01"), &artifacts.with_file_name("2").join("results-01"));
    nights(format!("{commit} 1\n{commit} 2\n"));
    let (result, judged) = gate(repository, &commit);
    assert_eq!(result, Result::Failure, "{}", judged.log);
    assert!(judged.summary.contains("inconclusive"), "{}", judged.summary);

    // The release branch accepts no night of an emulated world; that the pull request's own policy would, does not count.
    nights(format!("{commit} 1\n"));
    repository.commit("main", "ci/gate.toml", "");
    let (result, judged) = gate(repository, &commit);
    assert_eq!(result, Result::Failure, "{}", judged.log);
    assert!(judged.summary.contains("inconclusive"), "{}", judged.summary);
}

#[test]
fn what_is_installed_must_be_what_the_checksum_says() {
    let repository = Repository::new("community", "");
    let mut night = Night::on(repository, "main");
    night.workflow.say("vars.GSH_SHA256", &"0".repeat(64));
    assert_eq!(night.workflow.run("plan"), Result::Failure);
    assert!(night.says("FAILED"), "{}", night.workflow.log);
}

/// Runs the janitor of a repository whose released program has these lines before it.
fn janitor(wrap: &str) -> (Result, Workflow) {
    let repository = Repository::new("community", wrap);
    let mut janitor = Workflow::read(&repository, "gsh-janitor.yml", "main", 1);
    janitor.set("GSH_PROVIDER", "embedded");
    (janitor.run("sweep"), janitor)
}

#[test]
fn the_janitor_tells_what_is_left_and_is_red_for_it() {
    let (result, nothing) = janitor("");
    assert_eq!(result, Result::Success, "{}", nothing.log);
    assert!(nothing.summary.contains("nothing to remove"), "{}", nothing.summary);

    // An account that cannot be emptied.
    let (result, stuck) = janitor("if [ \"$1\" = sweep ]; then echo \"1 resources are left\"; exit 4; fi");
    assert_eq!(result, Result::Failure);
    assert!(stuck.summary.contains("1 resources are left"), "{}", stuck.summary);
    assert!(stuck.log.contains("::error title=Paid resources are left::"), "{}", stuck.log);
}
