//! Labelled failures, run through the code that decides whose fault they are. Prints the confusion matrix; CI shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use gsh_gitpod::http::FrontError;
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_ssh::SshError;
use serde_json::{Value, json};
use toml::Table;

/// One labelled failure.
struct Labelled {
    door: String,
    text: String,
    label: Blame,
    /// What the code decides; nothing when it sees no failure, which is always wrong here.
    decided: Option<Blame>,
}

const BLAMES: [Blame; 3] = [Blame::Product, Blame::Environment, Blame::Harness];

fn corpus() -> Vec<Labelled> {
    let file: Table = include_str!("failures.toml").parse().unwrap_or_else(|e| panic!("failures.toml: {e}"));
    let mut all = Vec::new();
    for (door, groups) in &file {
        for group in groups.as_array().expect("groups of a door") {
            let template = match group.get("template").and_then(toml::Value::as_str) {
                Some("community") => Template::Community,
                Some("gsh") | None => Template::Gsh,
                Some(other) => panic!("`{other}` is no template"),
            };
            for label in BLAMES {
                for entry in group.get(label.to_string()).and_then(toml::Value::as_array).into_iter().flatten() {
                    let words: Vec<&str> = match entry {
                        toml::Value::Array(sequence) => sequence.iter().filter_map(toml::Value::as_str).collect(),
                        other => vec![other.as_str().expect("a text")],
                    };
                    let decided = decide(door, template, &words);
                    all.push(Labelled { door: door.clone(), text: words.join(" → "), label, decided });
                }
            }
        }
    }
    all
}

/// The door's own decision.
fn decide(door: &str, template: Template, words: &[&str]) -> Option<Blame> {
    let text = words[0];
    let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (reason, message) = text.split_once(": ").unwrap_or((text, ""));
    match door {
        "refusal" => {
            let (code, message) = rest.split_once(": ").expect("a code and a message");
            Some(gsh_providers::blame::refusal(number(head), code, message))
        }
        "action" => {
            let (code, message) = message.split_once(": ").expect("a code and a message");
            Some(gsh_providers::blame::action(reason, code, message))
        }
        "unit" => Some(gsh_providers::blame::unit(template, text)),
        "cloud-init" => {
            let (errors, output) = text.split_once(" » ").expect("errors and output");
            Some(gsh_providers::blame::cloud_init(template, errors, output))
        }
        "waiting" | "sequence" => Some(gsh_gitpod::blame::pods(&words.iter().map(|w| waiting(w)).collect::<Vec<_>>())),
        "ended" => {
            let status = json!({ "phase": "Failed", "reason": reason, "message": message });
            Some(gsh_gitpod::blame::pods(&[json!({ "metadata": { "name": "p" }, "status": status })]))
        }
        "unschedulable" => {
            let condition =
                json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text });
            let status = json!({ "phase": "Pending", "conditions": [condition] });
            Some(gsh_gitpod::blame::pods(&[json!({ "metadata": { "name": "p" }, "status": status })]))
        }
        "object" => {
            let mut words = reason.split(' ');
            let mut next = || words.next().expect("kind, condition, reason");
            let (kind, condition, reason) = (next(), next(), next());
            let status = if condition == "Issuing" { "False" } else { "True" };
            let condition = json!({ "type": condition, "status": status, "reason": reason, "message": message });
            gsh_gitpod::blame::object(kind, &json!({ "status": { "conditions": [condition] } }))
        }
        "installer" => {
            let (code, printed) = rest.split_once(": ").expect("a code and what was printed");
            gsh_gitpod::blame::installer(head, number(code), printed, "")
        }
        "kubernetes" => {
            let (reason, message) = rest.split_once(": ").expect("a reason and a message");
            Some(gsh_gitpod::blame::kubernetes(number(head), reason, message))
        }
        "wsman" => Some(gsh_gitpod::blame::wsman(number(head), rest)),
        "workspace" => gsh_gitpod::blame::workspace(text),
        "front" => Some(front(head, rest).blame()),
        "ssh" => Some(gsh_scenarios::blame::ssh(&ssh(head, rest))),
        "command" => gsh_scenarios::blame::command(number(head), "", rest),
        "way-in" => gsh_gitpod::blame::way_in(text, text, "gsh-1"),
        other => panic!("`{other}` is no door"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// A pod whose container waits, `reason: message`.
fn waiting(text: &str) -> Value {
    let (reason, message) = text.split_once(": ").expect("a reason and a message");
    let container = json!({
        "name": "c", "image": "r/i:t", "restartCount": 5,
        "state": { "waiting": { "reason": reason, "message": message } },
        "lastState": { "terminated": { "exitCode": 1, "message": "it ended" } },
    });
    json!({ "metadata": { "name": "p" }, "status": { "phase": "Pending", "containerStatuses": [container] } })
}

fn at() -> SocketAddr {
    ([10, 2, 0, 3], 443).into()
}

fn front(what: &str, words: &str) -> FrontError {
    let host = "gsh.internal".to_owned();
    let source = Error::new(ErrorKind::ConnectionRefused, words.to_owned());
    match what {
        "connect" => FrontError::Connect { address: at(), source },
        "tls" => FrontError::Tls { host, address: at(), source },
        "http" => FrontError::Http { host, source: words.into() },
        "slow" => FrontError::Slow { host },
        other => panic!("`{other}` is nothing that a front does"),
    }
}

fn ssh(what: &str, words: &str) -> SshError {
    let target = at();
    let during =
        ["connecting", "greeting", "key exchange", "login"].into_iter().find(|d| *d == words).unwrap_or("login");
    match what {
        "unreachable" => SshError::Unreachable { target, source: Error::other(words.to_owned()) },
        "timed-out" => SshError::TimedOut { target, during },
        "refused" => SshError::Refused { target },
        "not-ssh" => SshError::NotSsh { target, saw: words.to_owned() },
        "host-key-mismatch" => SshError::HostKeyMismatch { target, got: "a".to_owned(), expected: "b".to_owned() },
        "auth-refused" => {
            SshError::AuthRefused { target, user: "amber-lynx-1".to_owned(), offers: vec![words.to_owned()] }
        }
        "closed-after-auth" => SshError::ClosedAfterAuth { target },
        "closed-early" => SshError::ClosedEarly { target, during },
        "protocol" => SshError::Protocol { target, during: "key exchange", source: words.into() },
        "bad-key" => SshError::BadKey { what: "private key", reason: words.to_owned() },
        other => panic!("`{other}` is nothing that SSH does"),
    }
}

/// Rows: whose fault it is. Columns: whose fault the code says it is.
fn matrix(all: &[Labelled]) -> String {
    let mut counts: BTreeMap<(Blame, Option<Blame>), usize> = BTreeMap::new();
    for one in all {
        *counts.entry((one.label, one.decided)).or_default() += 1;
    }
    let mut out = format!("{} labelled failures\n\n{:>14}", all.len(), "really \\ called");
    for called in BLAMES {
        let _infallible = write!(out, "{called:>13}");
    }
    out.push_str("     no failure\n");
    for really in BLAMES {
        let _infallible = write!(out, "{really:>15}");
        for called in BLAMES.map(Some).into_iter().chain([None]) {
            let _infallible = write!(out, "{:>13}", counts.get(&(really, called)).copied().unwrap_or(0));
        }
        out.push('\n');
    }
    out
}

#[test]
#[expect(clippy::print_stderr, reason = "CI shows the matrix")]
fn no_product_failure_is_called_infrastructure_and_no_infrastructure_failure_product() {
    let all = corpus();
    assert!(all.len() >= 150, "{} failures", all.len());
    eprintln!("{}", matrix(&all));
    let of_the_product = |blame: Blame| blame == Blame::Product;
    let wrong: Vec<String> = all
        .iter()
        .filter(|one| one.decided.map(of_the_product) != Some(of_the_product(one.label)))
        .map(|one| format!("{}: {} is called {:?}: {}", one.door, one.label, one.decided, one.text))
        .collect();
    assert!(wrong.is_empty(), "{}\n{}", matrix(&all), wrong.join("\n"));
    let mixed: Vec<String> = all
        .iter()
        .filter(|one| one.decided != Some(one.label))
        .map(|one| format!("{}: {} is called {:?}: {}", one.door, one.label, one.decided, one.text))
        .collect();
    assert!(mixed.is_empty(), "environment and harness mixed up:\n{}", mixed.join("\n"));
}
