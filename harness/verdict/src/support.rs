//! What may be claimed: the support table, made from what passed and from nothing else.

use std::collections::BTreeMap;

use gsh_model::axis::{AxisName, Cell, CellId};
use serde::Serialize;

use crate::facts::{Facts, Standing};
use crate::gate::Case;
use crate::verdict::{Answer, Verdict};

/// Schema of `support.json`.
pub const SCHEMA: &str = "gsh.support/v1";

/// One combination that works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The cell.
    pub cell: CellId,
    /// Its values.
    pub axes: BTreeMap<String, String>,
    /// Scenarios that passed in it.
    pub passed: Vec<String>,
    /// Ids of the waivers that cover a known issue in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_issues: Vec<String>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Support {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The verdict that it follows from.
    pub verdict: Answer,
    /// The commit that was tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When the tests finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<jiff::Timestamp>,
    /// The combinations; none unless the verdict is a pass.
    pub rows: Vec<Row>,
}

impl Support {
    /// The table of a verdict. Nothing is claimed unless it is a pass, and then only cells in which everything was examined
    /// that decides.
    #[must_use]
    pub fn of(case: &Case<'_>, verdict: &Verdict) -> Self {
        let facts = Facts::of(case);
        let proven: Vec<&Cell> = if verdict.verdict == Answer::Pass { facts.proven() } else { Vec::new() };
        let rows = proven.into_iter().map(|cell| row(&facts, cell)).collect();
        let commit = verdict.subject.iter().find(|i| i.kind == gsh_model::input::InputKind::Commit);
        Self {
            schema: SCHEMA,
            verdict: verdict.verdict,
            commit: commit.and_then(|i| i.digest.as_ref()).map(|d| d.hex().to_owned()),
            tested: verdict.freshness.newest,
            rows,
        }
    }

    /// As JSON.
    ///
    /// # Panics
    /// Never: the table is plain data.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("the table is plain data");
        text.push('\n');
        text
    }

    /// As Markdown: what all combinations have in common once, and a table of what differs.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = "# Tested combinations\n\n".to_owned();
        if self.rows.is_empty() {
            out.push_str(&format!("Nothing is claimed: the gate's verdict is *{}*.\n", self.verdict.word()));
            return out;
        }
        let on = self.tested.map(|t| format!(" on {}", t.strftime("%Y-%m-%d"))).unwrap_or_default();
        let of = self.commit.as_ref().map(|c| format!(" of commit `{c}`")).unwrap_or_default();
        let n = self.rows.len();
        out.push_str(&format!("{n} combination{}{of} passed{on}.\n\n", if n == 1 { "" } else { "s" }));
        let axes = AxisName::CELL.map(AxisName::as_str);
        let of = |row: &Row, axis: &str| row.axes.get(axis).cloned().unwrap_or_default();
        let (same, differ): (Vec<&str>, Vec<&str>) =
            axes.into_iter().partition(|a| self.rows.iter().all(|r| of(r, a) == of(&self.rows[0], a)));
        if !same.is_empty() {
            let common: Vec<String> = same.iter().map(|a| format!("{a} {}", of(&self.rows[0], a))).collect();
            out.push_str(&format!("All with {}.\n\n", common.join(", ")));
        }
        let mut head: Vec<&str> = differ.clone();
        head.extend(["scenarios", "known issues"]);
        out.push_str(&format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len())));
        for row in &self.rows {
            let mut cells: Vec<String> = differ.iter().map(|a| of(row, a)).collect();
            cells.push(row.passed.join(", "));
            cells.push(row.known_issues.iter().map(|i| escaped(i)).collect::<Vec<_>>().join(", "));
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out
    }

    /// A badge: `gsh | 9 combinations`.
    #[must_use]
    pub fn badge(&self) -> String {
        let (text, colour) = match self.verdict {
            Answer::Pass => (format!("{} combinations", self.rows.len()), "#2e7d32"),
            Answer::Inconclusive => ("not proven".to_owned(), "#616161"),
            Answer::Fail => ("failing".to_owned(), "#c62828"),
        };
        let left = 36;
        let right = 14 + 7 * text.chars().count();
        let (width, middle) = (left + right, left + right / 2);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"20\" role=\"img\" aria-label=\"gsh: {text}\">\n\
             <title>gsh: {text}</title>\n\
             <rect width=\"{left}\" height=\"20\" fill=\"#37474f\"/><rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\n\
             <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\n\
             <text x=\"18\" y=\"14\">gsh</text><text x=\"{middle}\" y=\"14\">{text}</text>\n</g>\n</svg>\n"
        )
    }
}

/// Text of a file that people write, in a Markdown table.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '`' | '<' | '>' | '*' | '_' | '[' | ']' | '\\' | '#' | '@' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

fn row(facts: &Facts<'_>, cell: &Cell) -> Row {
    let id = cell.id();
    let here = || facts.places.iter().filter(|p| p.planned.id == id);
    let is_scenario = |s: &gsh_model::outcome::Subject| matches!(s, gsh_model::outcome::Subject::Scenario(_));
    let mut known_issues: Vec<String> = here().filter_map(|p| p.waiver.map(|w| w.id.clone())).collect();
    known_issues.sort();
    known_issues.dedup();
    Row {
        cell: id.clone(),
        axes: cell.axes().into_iter().map(|(axis, value)| (axis.to_string(), value)).collect(),
        passed: here()
            .filter(|p| matches!(p.standing, Standing::Passed | Standing::Flaky) && is_scenario(p.subject))
            .map(|p| p.subject.to_string())
            .collect(),
        known_issues,
    }
}
