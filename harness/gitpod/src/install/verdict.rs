//! What the installer says about itself, the configuration and the cluster: its JSON answers.
//!
//! In a container's log an answer stands between log lines and usage texts, because standard error goes to the same place.
//! So every JSON value in the text is tried, and the first one of the right shape is the answer.

use gsh_engine::failure::Failure;
use gsh_model::outcome::Blame;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::errand::Output;

/// Answer of `validate config`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ConfigVerdict {
    pub(crate) valid: bool,
    #[serde(default)]
    pub(crate) warn: Vec<String>,
    #[serde(default)]
    pub(crate) fatal: Vec<String>,
}

/// Answer of `validate cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ClusterVerdict {
    pub(crate) status: Status,
    pub(crate) items: Vec<Item>,
}

/// How bad an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Ok,
    Warning,
    Error,
}

/// One examination of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) errors: Vec<ItemError>,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ItemError {
    pub(crate) message: String,
}

/// The first JSON value in a text that has this shape.
fn find<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let end = values.byte_offset();
                if let Ok(found) = serde_json::from_value(value) {
                    return Some(found);
                }
                rest = &rest[end..];
            }
            _no_json_here => rest = &rest[1..],
        }
    }
    None
}

fn answer<T: DeserializeOwned>(output: &Output) -> Option<T> {
    find(&output.text).or_else(|| find(&output.errors))
}

/// The last line that says something, for output without an answer.
pub(crate) fn last_line(output: &Output) -> String {
    let last = |text: &str| text.lines().map(str::trim).rfind(|l| !l.is_empty()).map(str::to_owned);
    let line = last(&output.errors).or_else(|| last(&output.text));
    format!("exit code {}: {}", output.code, line.unwrap_or_else(|| "no output".to_owned()))
}

/// An errand that ended without an answer: the product's, unless it could not reach the cluster it was to look at.
fn no_answer(output: &Output, check: &'static str, expected: &str) -> Failure {
    const WORDS: [&str; 8] = [
        "connection refused",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "TLS handshake timeout",
        "connection reset by peer",
        "the server is currently unable to handle the request",
        "etcdserver: request timed out",
    ];
    let line = last_line(output);
    let blame = if WORDS.iter().any(|w| line.contains(w)) { Blame::Environment } else { Blame::Product };
    Failure::new(blame, check, expected, line)
}

/// The version, from `version`.
pub(crate) fn version(output: &Output, check: &'static str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    match answer::<Version>(output) {
        Some(found) if output.code == 0 => Ok(found.version),
        _other => Err(Failure::product(check, "the installer tells its version as JSON", last_line(output))),
    }
}

/// Judges `validate config`; hands back warnings.
pub(crate) fn config(output: &Output, check: &'static str) -> Result<Vec<String>, Failure> {
    let expected = "the installer accepts its configuration";
    let Some(verdict) = answer::<ConfigVerdict>(output) else {
        return Err(Failure::product(check, expected, last_line(output)));
    };
    if verdict.valid && verdict.fatal.is_empty() && output.code == 0 {
        return Ok(verdict.warn);
    }
    let mut failure = Failure::product(check, expected, format!("{} fatal", count(verdict.fatal.len(), "message")));
    for message in verdict.fatal {
        failure = failure.cause(message);
    }
    Err(failure)
}

/// Judges `validate cluster`; hands back the names and words of items that are mere warnings.
pub(crate) fn cluster(output: &Output, check: &'static str) -> Result<Vec<String>, Failure> {
    let expected = "the installer accepts the cluster";
    let Some(verdict) = answer::<ClusterVerdict>(output) else {
        return Err(no_answer(output, check, expected));
    };
    let words = |item: &Item| {
        let messages: Vec<&str> = item.errors.iter().map(|e| e.message.as_str()).collect();
        format!("{}: {}", item.name, messages.join("; "))
    };
    let with = |status| verdict.items.iter().filter(move |i| i.status == status);
    if verdict.status != Status::Error && output.code == 0 {
        return Ok(with(Status::Warning).map(words).collect());
    }
    let failed: Vec<String> = with(Status::Error).map(words).collect();
    let mut failure = Failure::product(check, expected, format!("{} failed", count(failed.len(), "item")));
    for item in failed {
        failure = failure.cause(item);
    }
    Err(failure)
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: i64, text: &str) -> Output {
        Output { code, text: text.to_owned(), errors: String::new() }
    }

    const CHECK: &str = "GSH-INS-005";

    #[test]
    fn a_valid_configuration_hands_back_its_warnings() {
        let seen = config(&output(0, r#"{"valid": true, "warn": ["Deprecated config parameter: x=1"]}"#), CHECK);
        assert_eq!(seen.expect("valid"), ["Deprecated config parameter: x=1"]);
    }

    #[test]
    fn every_fatal_message_is_a_cause() {
        let text =
            r#"{"valid": false, "fatal": ["Field 'Config.Domain' is required", "Field 'X' failed fqdn validation"]}"#;
        let failure = config(&output(1, text), CHECK).expect_err("invalid");
        assert_eq!(failure.finding.observed, "2 messages fatal");
        assert_eq!(failure.finding.causes[0], "Field 'Config.Domain' is required");
        assert_eq!(failure.finding.causes.len(), 2);
    }

    #[test]
    fn a_failed_item_is_found_between_log_lines_and_usage() {
        let text = r#"{"level":"info","message":"checking"}
{
  "status": "ERROR",
  "items": [
    {"name": "Linux kernel version", "description": "d", "status": "OK"},
    {"name": "cert-manager installed", "description": "d", "status": "WARNING", "errors": [{"message": "no cluster issuers configured", "type": "WARNING"}]},
    {"name": "affinity labels", "description": "d", "status": "ERROR", "errors": [{"message": "label not found", "type": "ERROR"}]}
  ]
}
Error: cluster is invalid
Usage:
  gitpod-installer validate cluster [flags] {x}"#;
        let failure = cluster(&output(1, text), CHECK).expect_err("an error");
        assert_eq!(failure.finding.observed, "1 item failed");
        assert_eq!(failure.finding.causes, ["affinity labels: label not found"]);
        assert_eq!(failure.blame, gsh_model::outcome::Blame::Product);
    }

    #[test]
    fn a_warning_passes_and_is_handed_back() {
        let text =
            r#"{"status": "WARNING", "items": [{"name": "a", "status": "WARNING", "errors": [{"message": "m"}]}]}"#;
        assert_eq!(cluster(&output(0, text), CHECK).expect("fine"), ["a: m"]);
    }

    #[test]
    fn an_answer_that_is_none_is_told_by_its_last_line() {
        let failure =
            config(&output(2, "panic: runtime error\n\ngoroutine 1 [running]:\n"), CHECK).expect_err("a panic");
        assert_eq!(failure.finding.observed, "exit code 2: goroutine 1 [running]:");
        let good = r#"{"version":"release-2022.11.3","components":{}}"#;
        assert_eq!(version(&output(0, good), CHECK).expect("a version"), "release-2022.11.3");
        assert!(version(&output(1, good), CHECK).is_err());
    }
}
