//! Waivers: known trouble that may pass for a while, with somebody who answers for it.

use gsh_model::axis::{Cell, CellId};
use gsh_model::outcome::{Finding, Outcome, Subject, Why};
use gsh_model::scenario::ScenarioId;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::fingerprint;
use crate::place::{self, FileError};
use crate::policy::Caps;
use crate::scope::Scope;

/// What kind of trouble is waived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The product fails, and everybody knows.
    KnownFailure,
    /// The product fails now and then.
    FlakyQuarantine,
    /// The environment is in the way.
    Infra,
}

/// One waiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Its name.
    pub id: String,
    /// Where it is being worked on.
    pub issue: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it may pass.
    pub reason: String,
    /// What it covers.
    pub scope: Scope,
    /// What kind of trouble.
    pub kind: Kind,
    /// The first day.
    pub created: Date,
    /// The last day.
    pub expires: Date,
}

/// A waiver file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waivers {
    /// The waivers, in the order of the file.
    pub all: Vec<Waiver>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    waiver: Vec<toml::Spanned<Waiver>>,
}

impl Waivers {
    /// Reads a waiver file.
    ///
    /// # Errors
    /// [`FileError`] with the place of the first mistake.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let file: File = place::read(text)?;
        let mut all: Vec<Waiver> = Vec::new();
        for spanned in file.waiver {
            let span = spanned.span();
            let waiver = spanned.into_inner();
            let wrong = |message: String| Err(FileError::at(text, Some(span.clone()), message));
            let id = &waiver.id;
            if all.iter().any(|w| w.id == *id) {
                return wrong(format!("there are two waivers `{id}`"));
            }
            for (key, value) in [("id", id), ("owner", &waiver.owner), ("reason", &waiver.reason)] {
                if value.trim().is_empty() {
                    return wrong(format!("waiver `{id}`: `{key}` is empty"));
                }
            }
            if !["https://", "http://"].iter().any(|s| waiver.issue.starts_with(s)) {
                return wrong(format!("waiver `{id}`: `issue` is no address of a page"));
            }
            if waiver.expires < waiver.created {
                return wrong(format!("waiver `{id}` expires before it is created"));
            }
            if waiver.scope.scenarios.is_empty() && waiver.scope.fingerprint.is_none() {
                return wrong(format!("waiver `{id}`: `scope` names neither scenarios nor a fingerprint"));
            }
            let phases = ["provision", "install", "teardown"];
            let known = |s: &String| phases.contains(&s.as_str()) || s.parse::<ScenarioId>().is_ok();
            if let Some(name) = waiver.scope.scenarios.iter().find(|s| !known(s)) {
                return wrong(format!("waiver `{id}`: `{name}` is no scenario name"));
            }
            let print = waiver.scope.fingerprint.as_deref().unwrap_or("0123456789ab");
            if print.len() != 12 || !print.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
                return wrong(format!("waiver `{id}`: a fingerprint is twelve hex digits, as the gate prints it"));
            }
            all.push(waiver);
        }
        Ok(Self { all })
    }
}

/// Whether a waiver counts on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It counts.
    Live,
    /// Its last day is over.
    Expired,
    /// Its first day has not come.
    NotYet,
    /// It runs longer than the policy allows, so it never counts.
    TooLong,
}

impl Waiver {
    /// Whether it counts at this moment. Days are days of UTC, the last one included.
    #[must_use]
    pub fn life(&self, now: Timestamp, caps: &Caps) -> Life {
        let today = Offset::UTC.to_datetime(now).date();
        let days = (self.expires - self.created).get_days();
        if i64::from(days) > i64::from(caps.max_age_days) {
            Life::TooLong
        } else if today > self.expires {
            Life::Expired
        } else if today < self.created {
            Life::NotYet
        } else {
            Life::Live
        }
    }

    /// Whether it is about this outcome, were it live. A result that is missing is never covered, nor is a failure of
    /// another shape, nor trouble of the environment unless the waiver says so.
    #[must_use]
    pub fn is_about(&self, id: &CellId, cell: &Cell, subject: &Subject, outcome: &Outcome) -> bool {
        let finding = match (outcome, self.kind) {
            (Outcome::Failed(finding), Kind::KnownFailure | Kind::FlakyQuarantine)
            | (Outcome::Inconclusive { why: Why::Environment, finding }, Kind::Infra) => finding,
            (Outcome::Failed(_) | Outcome::Inconclusive { .. } | Outcome::Passed | Outcome::Skipped(_), _) => {
                return false;
            }
        };
        self.scope.contains(id, cell, subject) && self.has_shape(finding)
    }

    fn has_shape(&self, finding: &Finding) -> bool {
        self.scope.fingerprint.as_ref().is_none_or(|f| *f == fingerprint::of(finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: &[(&str, &str)]) -> String {
        let mut keys = vec![
            ("id", "\"a\""),
            ("issue", "\"https://example.org/1\""),
            ("owner", "\"ada\""),
            ("reason", "\"known\""),
            ("kind", "\"known-failure\""),
            ("scope", "{ scenarios = [\"scale-out\"] }"),
            ("created", "\"2026-11-01\""),
            ("expires", "\"2026-11-30\""),
        ];
        for (key, value) in change {
            keys.retain(|(k, _)| k != key);
            if !value.is_empty() {
                keys.push((key, value));
            }
        }
        let lines: Vec<String> = keys.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        format!("# waivers\n[[waiver]]\n{}\n", lines.join("\n"))
    }

    #[test]
    fn mistakes_are_shown_with_their_place() {
        let twice = format!("{}{}", text(&[]), text(&[]));
        let shown: Vec<String> = [
            text(&[("expires", "")]),
            text(&[("owner", "")]),
            text(&[("owner", "\" \"")]),
            text(&[("reason", "\"\"")]),
            text(&[("scope", "")]),
            text(&[("scope", "{}")]),
            text(&[("scope", "{ cells = [\"default\"] }")]),
            text(&[("scope", "{ scenarios = [\"Scale Out\"] }")]),
            text(&[("scope", "{ fingerprint = \"abc\" }")]),
            text(&[("scope", "{ scenario = [\"scale-out\"] }")]),
            text(&[("issue", "\"see chat\"")]),
            text(&[("kind", "\"wontfix\"")]),
            text(&[("expires", "\"2026-10-30\"")]),
            text(&[("expires", "\"2026-02-30\"")]),
            text(&[("until", "\"2026-11-30\"")]),
            twice,
            "[[waivers]]\nid = \"a\"\n".to_owned(),
        ]
        .iter()
        .map(|text| Waivers::parse(text).map(|_| ()).expect_err(text).to_string())
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn it_lives_from_its_first_to_its_last_day() {
        let waiver = Waivers::parse(&text(&[])).expect("fine").all.remove(0);
        let life = |now: &str| waiver.life(now.parse().expect("a time"), &Caps::default());
        assert_eq!(life("2026-10-31T23:59:59Z"), Life::NotYet);
        assert_eq!(life("2026-11-01T00:00:00Z"), Life::Live);
        assert_eq!(life("2026-11-30T23:59:59Z"), Life::Live);
        assert_eq!(life("2026-12-01T00:00:00Z"), Life::Expired);
        let short = Caps { max_age_days: 28, ..Caps::default() };
        assert_eq!(waiver.life("2026-11-02T00:00:00Z".parse().expect("a time"), &short), Life::TooLong);
    }
}
