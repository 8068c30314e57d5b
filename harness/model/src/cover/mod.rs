//! Which cells to run: all of them, the base with one axis varied, or enough for every pair or triple of values.
//!
//! Covering arrays are looked for among the *valid* cells, so no rule can be broken and a combination that no valid cell
//! contains is never asked for. The same matrix gives the same cells on every machine; [`check`] proves by another way
//! that nothing is missing.

use serde::{Deserialize, Serialize};

use crate::axis::{AxisName, Cell};
use crate::plan::{Coverage, Open};

pub mod check;
pub(crate) mod search;
pub(crate) mod space;
pub(crate) mod tuples;

use self::space::{Row, Space};
use self::tuples::Tuples;

/// How cells are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cover {
    /// Every valid cell.
    Full,
    /// Few cells in which every valid pair of axis values occurs.
    #[default]
    Pairwise,
    /// Few cells in which every valid triple of axis values occurs.
    Triples,
    /// The base cell, and one cell for each other value of each axis.
    OneOff,
}

impl Cover {
    /// How many axes a combination spans that this way of choosing is measured by.
    #[must_use]
    pub fn strength(self) -> usize {
        match self {
            Self::Full | Self::Pairwise | Self::OneOff => 2,
            Self::Triples => 3,
        }
    }

    /// The text used in arguments and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Pairwise => "pairwise",
            Self::Triples => "triples",
            Self::OneOff => "one-off",
        }
    }
}

impl std::fmt::Display for Cover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Cover {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Full, Self::Pairwise, Self::Triples, Self::OneOff]
            .into_iter()
            .find(|c| c.as_str() == s)
            .ok_or_else(|| format!("`{s}` is none of full, pairwise, triples, one-off"))
    }
}

/// A cell that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The cell.
    pub(crate) cell: Cell,
    /// The reason, one line.
    pub(crate) why: String,
}

/// What combinations of so many axes are called.
#[must_use]
pub fn combinations(strength: usize) -> &'static str {
    match strength {
        0 | 1 => "values",
        2 => "pairs",
        3 => "triples",
        _ => "combinations",
    }
}

/// So many of them: `1 pair`, `12 pairs`.
#[must_use]
pub fn counted(count: usize, strength: usize) -> String {
    let what = combinations(strength);
    format!("{count} {}", if count == 1 { &what[..what.len() - 1] } else { what })
}

/// How long to look for fewer cells, counted in changes tried; where the strength has no figure the greedy cover stands.
fn effort(strength: usize) -> u64 {
    match strength {
        2 => 40_000,
        3 => 500_000,
        _ => 0,
    }
}

/// Chooses from the valid cells, in a stable order; the base comes first where it is valid, then what must be in, each
/// with its reason.
pub(crate) fn choose(
    cover: Cover,
    space: &Space,
    tuples: &Tuples,
    base: &Cell,
    musts: &[(Cell, String)],
) -> Vec<Chosen> {
    let mut pinned: Vec<Row> = space.row(base).into_iter().collect();
    for row in musts.iter().filter_map(|(cell, _)| space.row(cell)) {
        if !pinned.contains(&row) {
            pinned.push(row);
        }
    }
    let rows = match cover {
        Cover::Full => space.valid.clone(),
        Cover::Pairwise | Cover::Triples => search::cover(space, tuples, &pinned, effort(tuples.strength)),
        Cover::OneOff => one_off(space, base, &pinned),
    };
    let mut seen = vec![false; tuples.feasible.len()];
    let mut chosen: Vec<Chosen> = rows
        .iter()
        .map(|row| {
            let new = tuples.codes(row).iter().filter(|c| !std::mem::replace(&mut seen[**c as usize], true)).count();
            let cell = space.cell(row);
            let new = counted(new, tuples.strength);
            let why = match musts.iter().find(|(must, _)| *must == cell) {
                _ if cell == *base => format!("the base cell, {new}"),
                Some((_, because)) => format!("include: {because}; {new} that no earlier cell has"),
                None => format!("{new} that no earlier cell has"),
            };
            Chosen { cell, why }
        })
        .collect();
    // What must be in although the axes do not give it.
    for (cell, because) in musts {
        if !chosen.iter().any(|c| c.cell == *cell) {
            chosen.push(Chosen { cell: cell.clone(), why: format!("include: {because}") });
        }
    }
    chosen
}

/// What must be in, and for each other value of each axis the valid row that differs least from the base.
fn one_off(space: &Space, base: &Cell, pinned: &[Row]) -> Vec<Row> {
    let mut rows = pinned.to_vec();
    let away = |row: &Row| {
        AxisName::CELL.iter().enumerate().filter(|(a, axis)| space.value(*a, row[*a]) != base.get(**axis)).count()
    };
    for (a, axis) in AxisName::CELL.into_iter().enumerate() {
        for v in (0..space.width(a)).filter_map(|v| u8::try_from(v).ok()) {
            let nearest = space.valid.iter().filter(|row| row[a] == v).min_by_key(|row| away(row));
            if let Some(row) = nearest
                && space.value(a, v) != base.get(axis)
                && !rows.contains(row)
            {
                rows.push(*row);
            }
        }
    }
    rows
}

/// Which combinations these cells contain, and which they leave open; those in the order of `staleness`, small first.
pub(crate) fn coverage<K: Ord>(
    space: &Space,
    tuples: &Tuples,
    cells: &[&Cell],
    staleness: impl Fn(u32) -> (K, Option<jiff::Timestamp>),
) -> Coverage {
    let mut open = tuples.feasible.clone();
    for row in cells.iter().filter_map(|cell| space.row(cell)) {
        tuples.codes(&row).into_iter().for_each(|c| open[c as usize] = false);
    }
    let mut left: Vec<u32> = (0..).zip(&open).filter(|(_, open)| **open).map(|(code, _)| code).collect();
    let feasible = tuples.count();
    let covered = feasible - left.len();
    left.sort_by_cached_key(|code| (staleness(*code).0, *code));
    left.truncate(Coverage::LISTED);
    Coverage {
        strength: u8::try_from(tuples.strength).unwrap_or(u8::MAX),
        feasible,
        covered,
        at_least: tuples.at_least,
        open: left
            .into_iter()
            .map(|code| Open { tuple: tuples.tuple(space, code), last_green: staleness(code).1 })
            .collect(),
    }
}
