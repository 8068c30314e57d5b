//! Which (cell, subject) something is about: a waiver, or what merely informs.

use std::fmt;
use std::str::FromStr;

use gsh_model::axis::{AxisName, Cell, CellId};
use gsh_model::outcome::Subject;
use serde::{Deserialize, Serialize};

/// Cells: one by its id, or all that have some values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cells {
    /// `shift-shiftfs--os-ubuntu-20-04`.
    One(CellId),
    /// `shift=shiftfs, os=ubuntu-20.04`: every value must be there.
    With(Vec<(AxisName, String)>),
}

/// A text that names no cells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no cells: {reason}")]
pub struct BadCells {
    text: String,
    reason: String,
}

impl Cells {
    /// Whether this cell is meant.
    #[must_use]
    pub fn contains(&self, id: &CellId, cell: &Cell) -> bool {
        match self {
            Self::One(one) => one == id,
            Self::With(values) => values.iter().all(|(axis, value)| cell.get(*axis) == *value),
        }
    }
}

impl FromStr for Cells {
    type Err = BadCells;
    fn from_str(s: &str) -> Result<Self, BadCells> {
        let bad = |reason: String| BadCells { text: s.to_owned(), reason };
        if !s.contains('=') {
            return s.parse().map(Self::One).map_err(|_| bad("expected a cell id, or axis=value".to_owned()));
        }
        let mut values = Vec::new();
        for term in s.split(',') {
            let (name, value) =
                term.split_once('=').ok_or_else(|| bad(format!("`{}` is no axis=value", term.trim())))?;
            let (name, value) = (name.trim(), value.trim());
            let axis = AxisName::CELL
                .into_iter()
                .find(|a| a.as_str() == name)
                .ok_or_else(|| bad(format!("there is no axis `{name}`")))?;
            Cell::default().set(axis, value).map_err(|e| bad(e.to_string()))?;
            values.push((axis, value.to_owned()));
        }
        Ok(Self::With(values))
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(id) => write!(f, "{id}"),
            Self::With(values) => {
                let terms: Vec<String> = values.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
                f.write_str(&terms.join(","))
            }
        }
    }
}

impl TryFrom<String> for Cells {
    type Error = BadCells;
    fn try_from(s: String) -> Result<Self, BadCells> {
        s.parse()
    }
}

impl From<Cells> for String {
    fn from(v: Cells) -> Self {
        v.to_string()
    }
}

/// Where something applies. An empty list means everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// In which cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<Cells>,
    /// In which subjects, by name: a scenario, or `provision`, `install`, `teardown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<String>,
    /// Only for a failure with this fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Scope {
    /// Whether this place is meant, whatever happened there.
    #[must_use]
    pub fn contains(&self, id: &CellId, cell: &Cell, subject: &Subject) -> bool {
        let here = self.cells.is_empty() || self.cells.iter().any(|c| c.contains(id, cell));
        here && (self.scenarios.is_empty() || self.scenarios.contains(&subject.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_by_id_or_by_values() {
        let mut cell = Cell::default();
        cell.set(AxisName::Os, "ubuntu-24.04").expect("a value");
        let yes = |text: &str| text.parse::<Cells>().expect("cells").contains(&cell.id(), &cell);
        assert!(yes("os-ubuntu-24-04"));
        assert!(yes("os=ubuntu-24.04"));
        assert!(yes("os=ubuntu-24.04, shift=fuse"));
        assert!(!yes("os=ubuntu-24.04,shift=shiftfs"));
        assert!(!yes("default"));
    }

    #[test]
    fn a_slip_of_the_pen_is_no_cell() {
        for text in ["so=ubuntu-24.04", "os=ubuntu-26.04", "os=ubuntu-24.04,x", "Default", ""] {
            assert!(text.parse::<Cells>().is_err(), "{text}");
        }
    }
}
