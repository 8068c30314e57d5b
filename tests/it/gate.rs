//! `gsh gate` as a release manager uses it: on real runs of the embedded world, with keys, OpenSSL and broken input.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{Ended, Program, root};

const COMMIT: &str = "3f2a91bc3f2a91bc3f2a91bc3f2a91bc3f2a91bc";
/// The default policy, but for how real the evidence is.
const EMULATED: &str = "evidence = [\"emulated\"]\n";

/// A recorded run of one cell in which everything passes, bound to a commit and entered into an index.
fn recorded(program: &Program) -> Ended {
    let matrix = program.matrix(&[("size", &["single"])]);
    let index = program.folder().join("started");
    let (matrix, index) = (matrix.display().to_string(), index.display().to_string());
    let ended = program.run(&["--matrix", &matrix, "--subject-commit", COMMIT, "--index", &index]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

struct Gate<'a> {
    program: &'a Program,
    run: String,
    matrix: String,
}

impl<'a> Gate<'a> {
    fn of(program: &'a Program, run: &Path) -> Self {
        let matrix = program.folder().join("matrix.toml").display().to_string();
        Self { program, run: run.display().to_string(), matrix }
    }

    fn judge(&self, policy: &str, more: &[&str]) -> Ended {
        let policy = self.program.write("policy.toml", policy).display().to_string();
        let mut args = vec!["gate", &self.run, "--policy", &policy, "--matrix", &self.matrix];
        args.extend(more);
        self.program.gsh(&args)
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("the ledger").lines().map(str::to_owned).collect()
}

#[test]
fn a_recorded_run_is_judged_signed_and_verified_with_openssl() {
    let program = Program::new();
    let run = recorded(&program);
    let gate = Gate::of(&program, &run.out);

    let default = root().join("ci/gate.toml").display().to_string();
    let cloud = program.gsh(&["gate", &gate.run, "--policy", &default, "--matrix", &gate.matrix]);
    assert_eq!(cloud.code, 3, "the default policy accepts cloud alone\n{}", cloud.stdout);
    assert!(
        cloud.stdout.contains("unproven  evidence: the run is emulated; the policy accepts cloud"),
        "{}",
        cloud.stdout
    );

    let path = |name: &str| program.folder().join(name).display().to_string();
    let made = program.gsh(&["gate", "--new-key", &path("key")]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(program.gsh(&["gate", "--new-key", &path("key")]).code, 2, "a key is never written over");

    let index = path("started");
    let policy = format!("{EMULATED}index = \"required\"\n");
    let (key, output) = (path("key"), path("verdict"));
    let more = ["--index", &index, "--subject-commit", COMMIT, "--attest", &key, "--output", &output];
    let passed = gate.judge(&policy, &more);
    assert_eq!(passed.code, 0, "{}{}", passed.stdout, passed.stderr);
    let verdict: Value = serde_json::from_str(&std::fs::read_to_string(path("verdict/gate.json")).expect("gate.json"))
        .expect("gate.json is JSON");
    assert_eq!(verdict["verdict"], "pass");
    let support = std::fs::read_to_string(path("verdict/support.md")).expect("support.md");
    assert!(support.contains("workspace-start"), "{support}");
    let badge = std::fs::read_to_string(path("verdict/badge.svg")).expect("badge.svg");
    roxmltree::Document::parse(&badge).expect("the badge is XML");

    for (file, kind) in [("test-result.dsse.json", "test-result/v0.1"), ("verification.dsse.json", "svr/v0.2")] {
        let file = path(&format!("verdict/{file}"));
        let seen = program.gsh(&["gate", "--verify", &file, "--key", &path("key.pub"), "--subject-commit", COMMIT]);
        assert_eq!(seen.code, 0, "{}", seen.stderr);
        let statement: Value = serde_json::from_str(&seen.stdout).expect("a statement");
        assert!(statement["predicateType"].as_str().is_some_and(|t| t.ends_with(kind)), "{statement}");
        assert_eq!(statement["subject"][0]["digest"]["gitCommit"], COMMIT);
        openssl_agrees(&program, &file);
        in_toto_agrees(&seen.stdout);

        let changed = std::fs::read_to_string(&file).expect("the envelope").replacen("ey", "eX", 1);
        let changed = program.write("changed.json", &changed).display().to_string();
        let refused = program.gsh(&["gate", "--verify", &changed, "--key", &path("key.pub")]);
        assert_eq!(refused.code, 2, "{}", refused.stdout);
        assert!(refused.stdout.is_empty(), "nothing unverified is shown");
        let other = "00000000000000000000000000000000000000aa";
        let wrong = program.gsh(&["gate", "--verify", &file, "--key", &path("key.pub"), "--subject-commit", other]);
        assert_eq!(wrong.code, 2, "it is about another commit");
    }

    // A verdict that is no pass takes the statements of the earlier one away.
    let stale = gate.judge(&policy, &[&more[..], &["--now", "2030-01-01T00:00:00Z"]].concat());
    assert_eq!(stale.code, 3, "{}", stale.stdout);
    assert!(stale.stdout.contains("unproven  fresh"), "{}", stale.stdout);
    assert!(!program.folder().join("verdict/verification.dsse.json").exists());
    assert!(!program.folder().join("verdict/test-result.dsse.json").exists());
    let support = std::fs::read_to_string(path("verdict/support.md")).expect("support.md");
    assert!(support.contains("Nothing is claimed"), "{support}");
}

/// OpenSSL verifies the same signature over the same bytes, with the same public key, and reads the private one.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn openssl_agrees(program: &Program, envelope: &str) {
    let here = program.folder();
    // The commands of docs/gate.md, as they stand there.
    let docs = std::fs::read_to_string(root().join("docs/gate.md")).expect("docs/gate.md");
    let script = docs
        .split("```sh verify-with-openssl\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("docs/gate.md says how OpenSSL verifies");
    let absent = |program: &str| Command::new(program).arg("--help").output().is_err();
    if ["openssl", "jq", "base64"].iter().any(|p| absent(p)) {
        eprintln!("not checked: openssl, jq or base64 is absent: the signature is not checked with OpenSSL here");
        return;
    }
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(here)
        .env("ENVELOPE", envelope)
        .env("KEY", here.join("key.pub"))
        .output()
        .expect("sh starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("Signature Verified Successfully"), "{output:?}");
    let read = Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(here.join("key")).output().expect("openssl");
    assert!(read.status.success(), "OpenSSL reads the private key: {read:?}");
}

/// The bindings that the in-toto project publishes read the statement, and its predicate where they know the kind.
const IN_TOTO: &str = "\
import json, sys
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement, statement_pb2
given = json.loads(sys.argv[1])
read = json_format.ParseDict(given, statement_pb2.Statement())
statement.Statement.copy_from_pb(read).validate()
if 'test-result' in given['predicateType']:
    result = json_format.ParseDict(given['predicate'], test_result_pb2.TestResult(), ignore_unknown_fields=True)
    print(result.result, len(result.passed_tests), len(result.configuration))
";

#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn in_toto_agrees(statement: &str) {
    let python = |args: &[&str]| Command::new("python3").args(args).output();
    if !python(&["-c", "import in_toto_attestation"]).is_ok_and(|o| o.status.success()) {
        eprintln!("not checked: Python's in_toto_attestation is absent: no outside reader reads the statements here");
        return;
    }
    let read = python(&["-c", IN_TOTO, statement]).expect("python3 starts");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let ours: Value = serde_json::from_str(statement).expect("a statement");
    if let Some(passed) = ours["predicate"]["passedTests"].as_array() {
        let configuration = ours["predicate"]["configuration"].as_array().map_or(0, Vec::len);
        let wanted = format!("PASSED {} {configuration}", passed.len());
        assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), wanted);
    }
    let untyped = statement.replacen("in-toto.io/Statement/v1", "in-toto.io/Statement/v9", 1);
    let refused = python(&["-c", IN_TOTO, &untyped]).expect("python3 starts");
    assert!(!refused.status.success(), "the reader must be able to refuse");
}

#[test]
fn damaged_ledgers_are_refused_and_nothing_is_written() {
    let program = Program::new();
    let run = recorded(&program);
    let gate = Gate::of(&program, &run.out);
    let ledger = run.out.join("ledger.jsonl");
    let whole = std::fs::read(&ledger).expect("the ledger");
    let output = program.folder().join("verdict").display().to_string();
    let check = |what: &str, bytes: &[u8], words: &str| {
        std::fs::write(&ledger, bytes).expect("write");
        let ended = gate.judge(EMULATED, &["--output", &output]);
        assert_eq!(ended.code, 2, "{what}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("ledger.jsonl") && ended.stderr.contains(words), "{what}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{what}: {}", ended.stdout);
        assert!(!Path::new(&output).exists(), "{what}: nothing is written");
    };
    let text = lines(&ledger);
    let joined = |lines: &[String]| lines.iter().map(|l| format!("{l}\n")).collect::<String>().into_bytes();
    let mut swapped = text.clone();
    swapped.swap(5, 6);
    check("swapped", &joined(&swapped), "event 7");
    let mut fewer = text.clone();
    fewer.remove(9);
    check("a line less", &joined(&fewer), "event 11");
    check("cut in half", &whole[..whole.len() / 2], "ledger.sha256");
    let mut broken = whole.clone();
    let middle = whole.len() / 2;
    broken[middle] = 0;
    check("a byte of nothing", &broken, "");
    let word = String::from_utf8(whole.clone()).expect("text").replace("\"emulated\"", "\"cloud\"");
    check("relabelled", word.as_bytes(), "ledger.sha256");
    check("empty", b"", "ledger.sha256");

    // Without the seal beside it a change goes unseen, and so it is no proof.
    std::fs::write(&ledger, &whole).expect("write");
    std::fs::remove_file(run.out.join("ledger.sha256")).expect("the seal");
    let open = gate.judge(EMULATED, &[]);
    assert_eq!(open.code, 3, "{}", open.stdout);
    assert!(open.stdout.contains("unproven  complete: a ledger without a seal"), "{}", open.stdout);
}

#[test]
fn broken_policies_waivers_keys_and_indexes_are_named_with_their_place() {
    let program = Program::new();
    let run = recorded(&program);
    let gate = Gate::of(&program, &run.out);
    let output = program.folder().join("verdict").display().to_string();
    let check = |ended: Ended, words: &str| {
        assert_eq!(ended.code, 2, "{words}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        assert!(!Path::new(&output).exists(), "{words}: nothing is written");
    };
    check(gate.judge("evidence = [\"cloud\"\n", &["--output", &output]), "policy.toml:1:");
    check(gate.judge("\nmax_agee = \"72h\"\n", &["--output", &output]), "policy.toml:2:1: unknown field `max_agee`");
    let waivers = program.write("waivers.toml", "# known\n[[waiver]]\nid = \"a\"\n").display().to_string();
    check(gate.judge(EMULATED, &["--waivers", &waivers, "--output", &output]), "waivers.toml:2:1: missing field");
    check(gate.judge(EMULATED, &["--waivers", "nowhere.toml"]), "cannot read the waiver file `nowhere.toml`");
    let key = program.write("no-key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    let key = key.display().to_string();
    check(gate.judge(EMULATED, &["--attest", &key, "--output", &output]), "cannot sign with");
    let index = program.folder().join("started");
    let entry = std::fs::read_dir(&index).expect("the index").flatten().next().expect("an entry").path();
    let text = std::fs::read_to_string(&entry).expect("an entry");
    std::fs::write(&entry, text.replace("\"previous\": []", &format!("\"previous\": [\"{}\"]", "0".repeat(64))))
        .expect("write");
    let index = index.display().to_string();
    check(gate.judge(EMULATED, &["--index", &index, "--output", &output]), "one was taken out or changed");
    std::fs::write(&entry, "{").expect("write");
    check(gate.judge(EMULATED, &["--index", &index, "--output", &output]), "line 1, column");
    let nowhere = program.gsh(&["gate", "nowhere", "--policy", "ci/gate.toml"]);
    check(nowhere, "`nowhere` is no run directory");
    check(program.gsh(&["gate"]), "RUN");
    check(gate.judge(EMULATED, &["--now", "yesterday"]), "yesterday");
    check(gate.judge(EMULATED, &["--subject-commit", "main"]), "gitCommit");
}

#[test]
fn runs_of_different_plans_are_not_judged_together() {
    let program = Program::new();
    let run = recorded(&program);
    let other = Program::new();
    let matrix = other.matrix(&[("size", &["single"]), ("tls", &["byo"])]).display().to_string();
    let second = other.run(&["--matrix", &matrix, "--scenario", "workspace-start"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let gate = Gate::of(&program, &run.out);
    let mixed = gate.judge(EMULATED, &[&second.out.display().to_string()]);
    assert_eq!(mixed.code, 2, "{}", mixed.stdout);
    assert!(mixed.stderr.contains("are not of one plan"), "{}", mixed.stderr);
}

#[test]
fn a_run_without_any_one_of_its_lines_is_never_a_pass() {
    use gsh_model::event::Event;
    let program = Program::new();
    let run = recorded(&program);
    let whole: Vec<Event> =
        lines(&run.out.join("ledger.jsonl")).iter().map(|l| serde_json::from_str(l).expect("an event")).collect();
    let last = whole.len() - 1;
    for left_out in 0..whole.len() {
        let mut fewer = whole.clone();
        fewer.remove(left_out);
        let state = gsh_model::run::RunState::replay(&fewer);
        // The numbers have a gap; without the last line the run has no end.
        assert_eq!(state.is_ok(), left_out == last, "line {}", left_out + 1);
        assert!(state.is_err() || state.is_ok_and(|s| s.finished.is_none()));
    }
}
