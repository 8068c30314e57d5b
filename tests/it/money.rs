//! Money and bad input on an account of its own: what `gsh doctor` says, what a budget keeps from being ordered, what a
//! cell has cost; and that nothing is created when something is wrong.

use crate::account::Account;
use crate::program::{Ended, Program};

const HEALTHY: &str = "[hetzner]\nrate-limit = 1000000\n";

fn gsh(account: &Account, program: &Program, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = account.command(program);
    command.args(args).envs(env.iter().copied());
    program.ended(command.output().expect("gsh starts"))
}

/// A run of one cell that is refused: one line for the error, one for what to do, nothing else.
fn refused(account: &Account, args: &[&str], env: &[(&str, &str)], code: i32) -> String {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let out = program.out().display().to_string();
    let mut all = vec!["run", "--provider", "hetzner", "--matrix", &matrix, "--out", &out];
    all.extend(args);
    let ended = gsh(account, &program, &all, env);
    assert_eq!(ended.code, code, "{args:?} {env:?}: {}", ended.stderr);
    assert!(!ended.out.exists(), "{args:?} {env:?} created a run directory");
    assert!(ended.stderr.lines().count() <= 2 && ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert_eq!(account.there(), Vec::<String>::new());
    ended.stderr.replace(&account.endpoint, "<endpoint>")
}

#[test]
fn an_account_that_cannot_be_used_is_told_in_one_line_and_nothing_is_created() {
    let account = Account::start(HEALTHY);
    let elsewhere = account.endpoint.trim_end_matches("/v1").to_owned();
    let said = [
        refused(&account, &[], &[("HCLOUD_TOKEN", "0123456789")], 2),
        refused(&account, &[], &[("HCLOUD_ENDPOINT", &elsewhere)], 2).replace(&elsewhere, "<endpoint>"),
        refused(&account, &["--locations", "nbg1,nowhere"], &[], 2),
        refused(&account, &["--budget", "0.01"], &[], 2),
    ];
    let history = refused(&account, &["--server-type", "cx41"], &[], 2);
    assert!(
        history.starts_with("error: machines: there is no server type `cx41` (any more); fit for this: [\"cx43\", "),
        "{history}"
    );
    assert!(history.contains("\nhint: name another one with --server-type"), "{history}");
    insta::assert_snapshot!(said.join("---\n"));
}

/// An account where the API's first answers are spoilt, or its answers to orders of keys.
fn spoilt(rows: &str) -> Account {
    Account::start(&format!("{HEALTHY}{rows}"))
}

fn strange(answer: &str) -> String {
    format!("[[hetzner.fault]]\npath = '/locations'\nquery = ''\neffect = {answer}\n")
}

const READ_ONLY: &str = "[[hetzner.fault]]\nmethod = 'POST'\npath = '/ssh_keys'\n\
    effect = { refuse = { status = 401, code = 'token_readonly' } }\n";

#[test]
fn whatever_else_answers_is_called_no_api_at_once_and_nothing_is_created() {
    let mut said = Vec::new();
    for (answer, code) in [
        ("{ html = 404 }", 2),
        ("{ html = 200 }", 2),
        ("{ html = 301 }", 2),
        ("{ html = 403 }", 2),
        ("{ rewrite = { at = '/locations' } }", 2),
    ] {
        said.push(refused(&spoilt(&strange(answer)), &[], &[], code));
    }
    said.push(refused(&spoilt(READ_ONLY), &[], &[], 2));
    insta::assert_snapshot!(said.join("---\n"));
}

#[test]
fn what_cannot_be_sent_is_refused_without_sending_anything() {
    let account = Account::start(HEALTHY);
    let before = account.requests().len();
    let said = ["banana", "file:///etc/passwd", "https://api.hetzner.cloud/v1?page=1"]
        .map(|endpoint| refused(&account, &[], &[("HCLOUD_ENDPOINT", endpoint)], 2));
    let token = refused(&account, &[], &[("HCLOUD_TOKEN", "first line\nsecond line")], 2);
    assert!(!token.contains("first") && !token.contains("second"), "{token}");
    insta::assert_snapshot!([&said[..], &[token]].concat().join("---\n"));
    // Only the test itself has asked, for what is there: eight kinds each time.
    assert_eq!(account.requests().len() - before, 4 * 8);
    // A line break behind a token is no part of it.
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let token = format!("{}\n", account.token);
    let args = ["doctor", "--provider", "hetzner", "--matrix", &matrix];
    let ended = gsh(&account, &program, &args, &[("HCLOUD_TOKEN", &token)]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn who_does_not_answer_is_told_with_the_reason() {
    let account = Account::start(HEALTHY);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let closed = format!("http://{nobody}/v1");
    let silent = refused(&account, &[], &[("HCLOUD_ENDPOINT", &closed)], 3);
    assert!(silent.contains("endpoint: no Hetzner API at") && silent.contains("HCLOUD_ENDPOINT"), "{silent}");
    assert!(silent.contains("refused"), "{silent}");
}

#[test]
fn a_sweep_is_told_what_is_wrong_with_the_account_in_one_line() {
    let sweep = |account: &Account, args: &[&str], env: &[(&str, &str)], code: i32| {
        let ended = gsh(account, &Program::new(), &[&["sweep"], args].concat(), env);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{args:?} {env:?}: {}", ended.stderr);
        assert!(ended.stderr.lines().count() == 2 && ended.stderr.starts_with("error: "), "{}", ended.stderr);
        ended.stderr.replace(&account.endpoint, "<endpoint>")
    };
    let account = Account::start(HEALTHY);
    let said = [
        sweep(&account, &["--expired"], &[("HCLOUD_TOKEN", "0123456789")], 2),
        sweep(&spoilt(&strange("{ html = 404 }")), &["--expired"], &[], 2),
        sweep(&spoilt(READ_ONLY), &["--expired"], &[], 2),
    ];
    insta::assert_snapshot!(said.join("---\n"));
    // Who only wants to see needs a token that may only read.
    let ended = gsh(&spoilt(READ_ONLY), &Program::new(), &["sweep", "--expired", "--dry-run"], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "nothing to remove\n"), "{}", ended.stderr);
}

#[test]
fn without_quota_no_machine_is_made_and_the_limit_is_named() {
    let account = Account::start("[hetzner]\nrate-limit = 1000000\n[hetzner.quota]\nservers = 0\n");
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let out = program.out().display().to_string();
    let args = ["run", "--provider", "hetzner", "--matrix", &matrix, "--out", &out, "--attempts", "1", "--quiet"];
    let ended = gsh(&account, &program, &args, &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("resource_limit_exceeded"), "{}", ended.stderr);
    assert_eq!(account.there(), Vec::<String>::new());
}

#[test]
fn doctor_says_what_a_plan_needs_and_costs_and_creates_nothing() {
    let account = Account::start(HEALTHY);
    let (status, _) = account.request("POST", "/networks", r#"{"name": "theirs", "ip_range": "10.0.0.0/16"}"#);
    assert_eq!(status, 201);
    let before = account.there();
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single", "medium"])]).display().to_string();
    let args = ["doctor", "--provider", "hetzner", "--matrix", &matrix, "--cover", "full", "--budget", "1.00"];
    let ended = gsh(&account, &program, &args, &[("PATH", "")]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // What depends on the moment is looked at apart.
    let (moment, said): (Vec<&str>, Vec<&str>) =
        ended.stdout.lines().partition(|l| l.starts_with("clock ") || l.starts_with("rate limit "));
    assert!(moment.len() == 2 && moment.iter().all(|l| l.contains(" ok ")), "{moment:?}");
    insta::assert_snapshot!(said.join("\n").replace(&account.endpoint, "<endpoint>"));
    let json = gsh(&account, &program, &[&args[..], &["--format", "json"]].concat(), &[]);
    let said: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&said["schema"], &said["ok"]), (&"gsh.doctor/v1".into(), &true.into()));
    assert_eq!(account.there(), before, "nothing was created, and what is somebody else's is there");
}

#[test]
fn a_cell_that_the_budget_does_not_pay_for_is_inconclusive_and_the_others_have_their_cost() {
    let account = Account::start(HEALTHY);
    let program = Program::new();
    // The prices are the account's: what one single cell can cost at most is read from it first.
    let matrix = program.matrix(&[("size", &["single", "medium"])]).display().to_string();
    let out = program.out().display().to_string();
    let args = ["run", "--provider", "hetzner", "--matrix", &matrix, "--cover", "full", "--budget", "1.20"];
    let rest = ["--scenario", "workspace-start", "--out", &out];
    let ended = gsh(&account, &program, &[&args[..], &rest].concat(), &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let of = |size: &str, subject: &str| {
        let all = ended.outcomes();
        let found = all.iter().find(|(cell, s, _)| cell.contains(size) && s == subject);
        found.map(|(_, _, o)| o.clone()).unwrap_or_else(|| panic!("{size} {subject} in {all:?}"))
    };
    assert_eq!(of("medium", "provision"), "inconclusive budget");
    assert_eq!(of("medium", "workspace-start"), "inconclusive blocked");
    let results = ended.results();
    let cells = results["cells"].as_array().expect("cells");
    let paid = cells.iter().find(|c| !c["cost"].is_null()).expect("a cell with a cost");
    assert_eq!(paid["cost"], results["cost"], "only one cell was paid for");
    assert_eq!(results["budget"], "1.20");
    assert!(ended.file("summary.md").contains("EUR net"), "{}", ended.file("summary.md"));
    assert!(ended.file("junit.xml").contains("name=\"gsh.cost.gross_eur\""), "{}", ended.file("junit.xml"));
    assert_eq!(account.there(), Vec::<String>::new());
}

#[test]
fn cells_that_want_a_certificate_are_refused_before_anything_is_asked_of_the_account() {
    let account = Account::start(HEALTHY);
    let program = Program::new();
    let matrix = program.matrix(&[("tls", &["byo"])]).display().to_string();
    let out = program.out().display().to_string();
    let ended = gsh(&account, &program, &["run", "--provider", "hetzner", "--matrix", &matrix, "--out", &out], &[]);
    assert_eq!((ended.code, ended.out.exists()), (2, false), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .starts_with("error: cell `tls-byo` has tls = byo, and no certificate was given\nhint: give --tls-cert"),
        "{}",
        ended.stderr
    );
    assert_eq!(account.requests(), Vec::<String>::new());
}
