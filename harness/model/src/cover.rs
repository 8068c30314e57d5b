//! Which cells to run: all of them, the default with one axis varied, or every pair of values.

use serde::{Deserialize, Serialize};

/// How cells are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cover {
    /// Every valid cell.
    Full,
    /// Few cells in which every valid pair of axis values occurs.
    Pairwise,
    /// Few cells in which every valid triple of axis values occurs.
    Triples,
    /// The default cell, and one cell for each other value of each axis.
    OneOff,
}
