//! A combination of values on some axes: a pair, a triple. `shift=fuse size=single`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::axis::{AxisName, Cell, UnknownValue};

/// Values on different axes, in the order of [`AxisName::CELL`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tuple(Vec<(AxisName, String)>);

/// A text that is no combination of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTuple {
    /// Not of the form `axis=value axis=value`.
    #[error("`{0}` is no combination of values: expected axis=value, a blank between two")]
    Form(String),
    /// A word that is no axis.
    #[error(transparent)]
    Unknown(#[from] UnknownValue),
    /// An axis that stands there twice.
    #[error("the axis `{0}` stands there twice")]
    Twice(AxisName),
}

impl Tuple {
    /// What a cell has on these axes.
    #[must_use]
    pub fn of(cell: &Cell, axes: &[AxisName]) -> Self {
        Self(AxisName::CELL.iter().filter(|a| axes.contains(a)).map(|a| (*a, cell.get(*a))).collect())
    }

    /// From values in the order of [`AxisName::CELL`].
    pub(crate) fn sorted(values: Vec<(AxisName, String)>) -> Self {
        Self(values)
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[(AxisName, String)] {
        &self.0
    }

    /// Whether a cell has all of them.
    #[must_use]
    pub fn is_in(&self, cell: &Cell) -> bool {
        self.0.iter().all(|(axis, value)| cell.get(*axis) == *value)
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        f.pad(&words.join(" "))
    }
}

impl FromStr for Tuple {
    type Err = BadTuple;
    fn from_str(s: &str) -> Result<Self, BadTuple> {
        let mut probe = Cell::default();
        let mut values: Vec<(AxisName, String)> = Vec::new();
        for word in s.split_whitespace() {
            let (axis, value) = word.split_once('=').ok_or_else(|| BadTuple::Form(s.to_owned()))?;
            let axis: AxisName = axis.parse()?;
            probe.set(axis, value)?;
            if values.iter().any(|(a, _)| *a == axis) {
                return Err(BadTuple::Twice(axis));
            }
            values.push((axis, value.to_owned()));
        }
        values.sort_by_key(|(axis, _)| AxisName::CELL.iter().position(|a| a == axis));
        if values.is_empty() { Err(BadTuple::Form(s.to_owned())) } else { Ok(Self(values)) }
    }
}

impl TryFrom<String> for Tuple {
    type Error = BadTuple;
    fn try_from(s: String) -> Result<Self, BadTuple> {
        s.parse()
    }
}

impl From<Tuple> for String {
    fn from(tuple: Tuple) -> Self {
        tuple.to_string()
    }
}
