//! One look at a machine over SSH: a read-only script that prints sections, and what they say.

use gsh_ssh::sections::{Sections, section};
use serde_json::Value;

use super::node::{FAILED, SENTINEL, STEP};

/// The look while a machine is being configured: cloud-init, our own script, k3s.
#[must_use]
pub fn look() -> String {
    section(&[
        // Before 22.4 there is no JSON; the text says the same in fewer words.
        ("cloud-init", "cloud-init status --format json || cloud-init status"),
        ("result", "cat /run/cloud-init/result.json"),
        ("finished", "test -e /var/lib/cloud/instance/boot-finished && echo yes"),
        ("step", &format!("cat {STEP}")),
        ("failed", &format!("cat {FAILED}")),
        ("sentinel", &format!("cat {SENTINEL}")),
        ("server", "systemctl is-active k3s"),
        ("agent", "systemctl is-active k3s-agent"),
        ("journal", "journalctl -u k3s -u k3s-agent --no-pager -o cat -b -n 20"),
    ])
}

/// The command that prints what cloud-init's commands said, for the finding.
#[must_use]
pub fn output_tail() -> &'static str {
    "tail -n 20 /var/log/cloud-init-output.log"
}

/// How far cloud-init is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudInit {
    /// Still at work, or not begun.
    Running,
    /// At its end without errors, in this boot.
    Done,
    /// It reports errors.
    Error(String),
    /// It will do nothing.
    Disabled,
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How far cloud-init is.
    pub cloud_init: CloudInit,
    /// What our script is doing.
    pub step: String,
    /// Why our script stopped; empty when it did not.
    pub failed: String,
    /// The digest in the sentinel; empty when there is none.
    pub sentinel: String,
    /// State of k3s' unit, `active`, `activating`, …; the unit that is not installed does not count.
    pub unit: String,
    /// The last lines of k3s' journal.
    pub journal: String,
}

impl Seen {
    /// Reads the output of [`look`].
    #[must_use]
    pub fn parse(output: &str) -> Self {
        let sections = Sections::parse(output);
        let (server, agent) = (sections.get("server"), sections.get("agent"));
        let unit = if matches!(server, "active" | "activating" | "failed" | "deactivating") { server } else { agent };
        Self {
            cloud_init: cloud_init(&sections),
            step: sections.get("step").to_owned(),
            failed: sections.get("failed").to_owned(),
            sentinel: sections.get("sentinel").to_owned(),
            unit: unit.to_owned(),
            journal: sections.get("journal").to_owned(),
        }
    }
}

fn cloud_init(sections: &Sections) -> CloudInit {
    let said = sections.get("cloud-init");
    let (status, mut errors) = match serde_json::from_str::<Value>(said) {
        Ok(json) => {
            let status = json.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut errors = texts(json.get("errors"));
            // Deprecations and warnings are not our business; what cloud-init itself calls an error is.
            for level in ["ERROR", "CRITICAL"] {
                errors.extend(texts(json.get("recoverable_errors").and_then(|r| r.get(level))));
            }
            (status, errors)
        }
        Err(_) => {
            let status = said.lines().find_map(|l| l.strip_prefix("status:")).unwrap_or_default();
            (status.trim().to_owned(), Vec::new())
        }
    };
    if let Ok(result) = serde_json::from_str::<Value>(sections.get("result")) {
        errors.extend(texts(result.get("v1").and_then(|v| v.get("errors"))));
    }
    errors.dedup();
    match status.as_str() {
        "error" => CloudInit::Error(if errors.is_empty() { "no reason given".to_owned() } else { errors.join("; ") }),
        "disabled" => CloudInit::Disabled,
        // The file is removed at every boot's start, so it speaks of this boot.
        "done" if sections.get("finished") == "yes" => {
            if errors.is_empty() {
                CloudInit::Done
            } else {
                CloudInit::Error(errors.join("; "))
            }
        }
        _ => CloudInit::Running,
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_node_is_read_whole() {
        let seen = Seen::parse(
            "== cloud-init\n{\"status\": \"done\", \"errors\": [], \"recoverable_errors\": {\"WARNING\": [\"x\"]}}\n\
             == result\n{\"v1\": {\"datasource\": \"DataSourceHetzner\", \"errors\": []}}\n== finished\nyes\n== step\nstarting k3s\n\
             == failed\n== sentinel\nabc\n== server\ninactive\n== agent\nactive\n== journal\nline\n",
        );
        assert_eq!((seen.cloud_init, seen.unit.as_str(), seen.sentinel.as_str()), (CloudInit::Done, "active", "abc"));
    }

    #[test]
    fn done_without_this_boots_sign_is_still_running() {
        let seen = Seen::parse("== cloud-init\n{\"status\": \"done\"}\n== finished\n");
        assert_eq!(seen.cloud_init, CloudInit::Running);
    }

    #[test]
    fn old_releases_answer_in_text_and_errors_are_found_in_the_result_file() {
        let seen = Seen::parse(
            "== cloud-init\nstatus: done\n== result\n{\"v1\": {\"errors\": [\"boom\"]}}\n== finished\nyes\n",
        );
        assert_eq!(seen.cloud_init, CloudInit::Error("boom".to_owned()));
        let seen = Seen::parse("== cloud-init\nstatus: running\n");
        assert_eq!(seen.cloud_init, CloudInit::Running);
    }
}
