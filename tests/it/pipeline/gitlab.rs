//! The nightly, the gate and the janitor for GitLab.

use super::api::{Api, TOKEN};
use super::repository::{Repository, SHOW_CERTIFICATE, WHOLE_CERTIFICATE, git, head, script};
use super::runner::{Forge, Pipeline, Source, Status};
use crate::outside::present;

/// What the image's package manager is asked for: nothing that a test machine could not have.
const APT_GET: &str = r#"#!/usr/bin/env bash
case "$*" in
  "update -qq") ;;
  "install -y -qq --no-install-recommends ca-certificates curl git") ;;
  "install -y -qq --no-install-recommends jq unzip") ;;
  *) echo "apt-get: not known here: $*" >&2; exit 100 ;;
esac
"#;

/// A project with its variables, and two shards.
struct Project {
    repository: Repository,
    forge: Forge,
    commit: String,
}

impl Project {
    fn new(template: &str, wrap: &str) -> Self {
        let repository = Repository::new(template, wrap);
        // What an operator changes at the top of the file.
        let file = repository.show("main", ".gitlab-ci.yml");
        let mut edited = file.clone();
        for (from, to) in [
            ("GSH_PROVIDER: hetzner", "GSH_PROVIDER: embedded"),
            ("GSH_SHARDS: \"4\"", "GSH_SHARDS: \"2\""),
            ("parallel: 4", "parallel: 2"),
        ] {
            assert!(edited.contains(from), "the file has no `{from}` any more");
            edited = edited.replace(from, to);
        }
        repository.commit("main", ".gitlab-ci.yml", &edited);
        script(&repository.folder().join("tools/apt-get"), APT_GET);
        let mut forge = Forge::new(&repository);
        forge.variables.insert("GSH_PUSH_TOKEN".to_owned(), "may-push".to_owned());
        let token = [("HCLOUD_TOKEN".to_owned(), "of-the-cloud".to_owned())];
        forge.scoped.insert("hetzner".to_owned(), token.into());
        let commit = head(&repository.origin(), "main");
        Self { repository, forge, commit }
    }

    fn run(&mut self, source: &Source) -> Option<&Pipeline> {
        self.forge.run(&self.repository, &self.commit, source)
    }

    fn night(&mut self) -> &Pipeline {
        self.run(&Source::Schedule("nightly")).expect("a pipeline")
    }

    /// The pipeline of a release tag on the commit.
    fn tag(&mut self) -> &Pipeline {
        let api = Api::serve(&self.forge);
        self.forge.variables.insert("CI_API_V4_URL".to_owned(), api.address);
        self.forge.variables.insert("GSH_READ_TOKEN".to_owned(), TOKEN.to_owned());
        let pipeline = self.run(&Source::Tag("v1.0.0")).expect("a pipeline");
        assert_eq!(pipeline.jobs.len(), 1, "nothing else can skip the gate: {:?}", pipeline.jobs);
        pipeline
    }
}

/// Programs that the gate's image has.
fn gate_can_be_run() -> bool {
    ["curl", "jq", "unzip"].iter().all(|program| present("sh", &["-c", &format!("command -v {program}")]))
}

#[test]
fn a_green_night_is_green_and_lets_the_tag_pass_until_a_newer_one_loses_a_shard() {
    let mut project = Project::new("community", "[ \"$1\" != run ] || echo \"shard has ${HCLOUD_TOKEN:-no token}\"");
    assert!(project.run(&Source::Push).is_none(), "a push starts nothing");
    let night = project.night();
    assert!(night.passed(), "{:?}\n{}", night.jobs, night.log);
    let names: Vec<&str> = night.jobs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["plan", "run 1/2", "run 2/2", "report", "history", "keep"]);
    assert!(night.log.contains("shard has of-the-cloud"), "{}", night.log);
    for file in ["merged/junit.xml", "merged/results.json", "merged/summary.md", "verdict/gate.json"] {
        assert!(night.artifacts("report").join(file).is_file(), "{file}\n{}", night.log);
    }
    assert!(git(&project.repository.origin(), &["ls-tree", "-r", "--name-only", "main"]).contains("history/"));
    let gate_can_be_run = gate_can_be_run();
    if gate_can_be_run {
        let gate = project.tag();
        assert!(gate.passed(), "{}", gate.log);
        assert!(gate.artifacts("gate").join("verdict/gate.json").is_file(), "{}", gate.log);
    }

    // The next night of the same commit: a machine dies, and nothing of its shard ever arrives.
    project.forge.dying = vec!["run 2/2".to_owned()];
    let night = project.night();
    assert_eq!(night.status("run 2/2"), Status::Failed);
    assert_eq!(night.status("report"), Status::Failed, "a missing shard can never look green: {}", night.log);
    assert_eq!(night.status("keep"), Status::Success, "{}", night.log);
    let results = std::fs::read_to_string(night.artifacts("report").join("merged/results.json")).expect("results");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["cells"].as_array().map(Vec::len), Some(2), "both planned cells are told about");
    if gate_can_be_run {
        // A janitor's pipeline is newer still, and is no night.
        assert!(project.run(&Source::Schedule("janitor")).expect("a pipeline").passed());
        let gate = project.tag();
        assert_eq!(gate.status("gate"), Status::Failed, "that an earlier night was green does not help");
        assert!(gate.log.contains("inconclusive"), "{}", gate.log);
    }
}

#[test]
fn a_certificate_is_given_to_the_run_where_there_is_one() {
    let mut project = Project::new("community", SHOW_CERTIFICATE);
    let night = project.night();
    assert!(!night.log.contains("given --tls"), "{}", night.log);

    // A variable of the type file is the name of one.
    let folder = project.repository.folder().to_owned();
    for (name, text) in [("GSH_TLS_CERT", "the chain"), ("GSH_TLS_KEY", "the key")] {
        std::fs::write(folder.join(name), text).expect("a file");
        project.forge.variables.insert(name.to_owned(), folder.join(name).display().to_string());
    }
    project.forge.variables.insert("GSH_TLS_DOMAIN".to_owned(), "gitpod.example.org".to_owned());
    let night = project.night();
    for part in WHOLE_CERTIFICATE {
        assert!(night.log.contains(part), "{part}: {}", night.log);
    }
}

#[test]
fn a_night_with_a_red_cell_is_red_and_so_is_its_tag() {
    let mut project = Project::new("label-workload-services", "");
    let night = project.night();
    assert_eq!(night.status("run 1/2"), Status::Success, "{}", night.log);
    assert_eq!(night.status("run 2/2"), Status::Warning, "a red cell is judged once, in the report: {}", night.log);
    assert_eq!(night.status("report"), Status::Failed, "{}", night.log);
    assert_eq!(night.status("history"), Status::Success, "what was red is remembered: {}", night.log);
    if gate_can_be_run() {
        let gate = project.tag();
        assert_eq!(gate.status("gate"), Status::Failed, "{}", gate.log);
        assert!(gate.log.contains("fail"), "{}", gate.log);
    }
}

#[test]
fn a_night_whose_shard_was_killed_is_not_green() {
    let wrap = r#"
if [ "$1" = run ] && [ "$CI_NODE_INDEX" = 2 ]; then
  GSH "$@" &
  child=$!
  until grep -q lease-requested results/2/ledger.jsonl 2>/dev/null || ! kill -0 $child 2>/dev/null; do
    read -rt 0.05 <> <(:) || true
  done
  kill -9 $child
  wait $child
  exit 137
fi
"#;
    let mut project = Project::new("community", &wrap.replace("GSH", env!("CARGO_BIN_EXE_gsh")));
    let night = project.night();
    assert_eq!(night.status("run 2/2"), Status::Failed, "{}", night.log);
    assert!(night.artifacts("run 2/2").join("results/2/ledger.jsonl").is_file(), "what there is of it is kept");
    assert_eq!(night.status("report"), Status::Failed, "{}", night.log);
    assert!(night.artifacts("report").join("merged/junit.xml").is_file(), "{}", night.log);
}

#[test]
fn nothing_runs_of_what_the_checksum_does_not_allow() {
    let mut project = Project::new("community", "");
    project.forge.variables.insert("GSH_SHA256".to_owned(), "0".repeat(64));
    let night = project.night();
    assert_eq!(night.status("plan"), Status::Failed, "{}", night.log);
    assert_eq!(night.status("run 1/2"), Status::Skipped, "{}", night.log);
    assert_eq!(night.status("report"), Status::Failed, "a night that did not happen is not green: {}", night.log);
    assert!(!night.passed());
}

#[test]
fn a_tag_of_a_commit_without_a_night_does_not_pass() {
    if !gate_can_be_run() {
        return;
    }
    let mut project = Project::new("community", "");
    let gate = project.tag();
    assert_eq!(gate.status("gate"), Status::Failed);
    assert!(gate.log.contains(&format!("No night of commit {} is on main", gate.commit)), "{}", gate.log);

    // One that has not left anything: its machine died.
    let commit = project.commit.clone();
    project.forge.dying = ["plan", "run 1/2", "run 2/2", "keep"].map(str::to_owned).into();
    assert!(!project.night().passed());
    let gate = project.tag();
    assert_eq!(gate.status("gate"), Status::Failed);
    assert!(gate.log.contains(&format!("has left nothing of commit {commit}")), "{}", gate.log);
}

#[test]
fn the_janitor_is_red_for_what_is_left() {
    let mut clean = Project::new("community", "");
    let pipeline = clean.run(&Source::Schedule("janitor")).expect("a pipeline");
    let names: Vec<&str> = pipeline.jobs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["janitor"]);
    assert!(pipeline.passed() && pipeline.log.contains("nothing to remove"), "{}", pipeline.log);

    let stuck = "if [ \"$1\" = sweep ]; then echo \"1 resources are left\"; exit 4; fi";
    let mut stuck = Project::new("community", stuck);
    let pipeline = stuck.run(&Source::Schedule("janitor")).expect("a pipeline");
    assert_eq!(pipeline.status("janitor"), Status::Failed);
    assert!(pipeline.log.contains("1 resources are left"), "{}", pipeline.log);
}
