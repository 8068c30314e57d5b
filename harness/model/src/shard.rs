//! Shards: parts of one plan that run on different machines, packed so that they end at about the same time.
//!
//! The division is a function of the plan alone. Whoever plans the same cells with the same limit gets the same shards
//! under the same ids.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::axis::CellId;
use crate::plan::PlannedCell;

/// Jobs that a GitHub Actions matrix may have in one workflow run.
pub const MOST_JOBS: usize = 256;

/// Number of a shard, from 1; written with at least two digits, `01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardId(u16);

/// A text that is no shard id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no shard id: a number from 1, as in 01")]
pub struct BadShardId(String);

impl ShardId {
    /// The shard at this place of a plan, counted from 0.
    #[must_use]
    pub fn at(place: u16) -> Self {
        Self(place.saturating_add(1))
    }
}

impl FromStr for ShardId {
    type Err = BadShardId;
    fn from_str(s: &str) -> Result<Self, BadShardId> {
        let digits = !s.is_empty() && s.chars().all(|c| c.is_ascii_digit());
        s.parse().ok().filter(|n| digits && *n > 0).map(Self).ok_or_else(|| BadShardId(s.to_owned()))
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:02}", self.0))
    }
}

impl TryFrom<String> for ShardId {
    type Error = BadShardId;
    fn try_from(s: String) -> Result<Self, BadShardId> {
        s.parse()
    }
}

impl From<ShardId> for String {
    fn from(id: ShardId) -> Self {
        id.to_string()
    }
}

/// Some cells of a plan, run together on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its number.
    pub id: ShardId,
    /// Its cells, in plan order.
    pub cells: Vec<CellId>,
}

/// Divides the cells of a plan among at most `most` shards: the longest first, each to the shard that has least so far.
/// Cells without an expected duration count by their servers.
#[must_use]
pub fn divide(cells: &[PlannedCell], most: usize) -> Vec<Shard> {
    let count = most.clamp(1, MOST_JOBS).min(cells.len());
    let weight = |cell: &PlannedCell| cell.expected_s.unwrap_or(u64::from(cell.servers.max(1)) * 600).max(1);
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|at| (Reverse(weight(&cells[*at])), *at));
    let mut loads: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); count];
    for at in order {
        let least = (0..count).min_by_key(|n| (loads[*n].0, *n));
        if let Some(load) = least.and_then(|n| loads.get_mut(n)) {
            load.0 += weight(&cells[at]);
            load.1.push(at);
        }
    }
    let mut parts: Vec<Vec<usize>> = loads.into_iter().map(|(_, part)| part).filter(|p| !p.is_empty()).collect();
    parts.iter_mut().for_each(|p| p.sort_unstable());
    // Numbered by their first cell, so that with one cell each the numbers are those of the plan.
    parts.sort();
    parts
        .into_iter()
        .zip(0..)
        .map(|(part, place)| Shard {
            id: ShardId::at(place),
            cells: part.into_iter().map(|at| cells[at].id.clone()).collect(),
        })
        .collect()
}
