//! Which cells to run: all of them, the base with one axis varied, or enough for every pair or triple of values.
//!
//! The covering arrays are found greedily over the *valid* cells, so no rule can be broken and a combination that no
//! valid cell contains is never asked for. No randomness: the same matrix gives the same cells on every machine.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::axis::{AxisName, Cell};

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
pub struct Chosen {
    /// The cell.
    pub cell: Cell,
    /// The reason, one line.
    pub why: String,
}

/// Chooses from the valid cells, in a stable order; the base comes first where it is valid.
#[must_use]
pub fn choose(cover: Cover, valid: &[Cell], base: &Cell) -> Vec<Chosen> {
    match cover {
        Cover::Full => valid.iter().map(|c| Chosen { cell: c.clone(), why: "every valid cell".to_owned() }).collect(),
        Cover::Pairwise => covering(valid, base, 2, "pairs"),
        Cover::Triples => covering(valid, base, 3, "triples"),
        Cover::OneOff => one_off(valid, base),
    }
}

/// The base, and for each other value of each axis the valid cell that differs least from the base.
fn one_off(valid: &[Cell], base: &Cell) -> Vec<Chosen> {
    let distance = |c: &Cell| AxisName::CELL.iter().filter(|a| c.get(**a) != base.get(**a)).count();
    let mut chosen: Vec<Chosen> = Vec::new();
    if valid.contains(base) {
        chosen.push(Chosen { cell: base.clone(), why: "the base cell".to_owned() });
    }
    for axis in AxisName::CELL {
        let values: BTreeSet<String> = valid.iter().map(|c| c.get(axis)).collect();
        for value in values.into_iter().filter(|v| *v != base.get(axis)) {
            let nearest = valid.iter().filter(|c| c.get(axis) == value).min_by_key(|c| distance(c));
            if let Some(cell) = nearest
                && !chosen.iter().any(|c| c.cell == *cell)
            {
                chosen.push(Chosen { cell: cell.clone(), why: format!("{axis} = {value}") });
            }
        }
    }
    chosen
}

/// Greedy covering array of the given strength over the valid cells.
fn covering(valid: &[Cell], base: &Cell, strength: usize, what: &str) -> Vec<Chosen> {
    let coder = Coder::new(valid, strength);
    let codes: Vec<Vec<u32>> = valid.iter().map(|c| coder.tuples(c)).collect();
    let mut open = vec![false; coder.size];
    for code in codes.iter().flatten() {
        open[*code as usize] = true;
    }
    let mut left = open.iter().filter(|o| **o).count();
    let mut picked: Vec<usize> = Vec::new();
    let mut next = valid.iter().position(|c| c == base);
    while left > 0 {
        let best = next.take().or_else(|| {
            // The first of the best, so that the choice depends on nothing but the order of the cells.
            let mut best: Option<(usize, usize)> = None;
            for (at, code) in codes.iter().enumerate() {
                let new = code.iter().filter(|c| open[**c as usize]).count();
                if new > best.map_or(0, |(_, most)| most) {
                    best = Some((at, new));
                }
            }
            best.map(|(at, _)| at)
        });
        let Some(best) = best else { break };
        picked.push(best);
        for code in &codes[best] {
            if std::mem::take(&mut open[*code as usize]) {
                left -= 1;
            }
        }
    }
    drop_redundant(&mut picked, &codes, coder.size);
    let mut seen = vec![false; coder.size];
    picked
        .iter()
        .map(|at| {
            let new = codes[*at].iter().filter(|c| !std::mem::replace(&mut seen[**c as usize], true)).count();
            let why = if valid[*at] == *base {
                format!("the base cell, {new} {what}")
            } else {
                format!("{new} {what} that no earlier cell has")
            };
            Chosen { cell: valid[*at].clone(), why }
        })
        .collect()
}

/// Takes out cells whose tuples all occur elsewhere; the base, which is first, stays.
fn drop_redundant(picked: &mut Vec<usize>, codes: &[Vec<u32>], size: usize) {
    let mut count = vec![0_u32; size];
    for code in picked.iter().flat_map(|p| &codes[*p]) {
        count[*code as usize] += 1;
    }
    let mut at = picked.len();
    while at > 1 {
        at -= 1;
        if codes[picked[at]].iter().all(|c| count[*c as usize] > 1) {
            for code in &codes[picked[at]] {
                count[*code as usize] -= 1;
            }
            picked.remove(at);
        }
    }
}

/// Gives every tuple of axis values a number.
struct Coder {
    axes: Vec<Vec<String>>,
    combinations: Vec<(Vec<usize>, usize)>,
    size: usize,
}

impl Coder {
    fn new(valid: &[Cell], strength: usize) -> Self {
        let axes: Vec<Vec<String>> = AxisName::CELL
            .iter()
            .map(|axis| valid.iter().map(|c| c.get(*axis)).collect::<BTreeSet<_>>().into_iter().collect())
            .collect();
        let mut size = 0;
        let mut combinations = Vec::new();
        for axes_of in subsets(axes.len(), strength) {
            let values: usize = axes_of.iter().map(|a| axes[*a].len()).product();
            combinations.push((axes_of, size));
            size += values;
        }
        Self { axes, combinations, size }
    }

    fn tuples(&self, cell: &Cell) -> Vec<u32> {
        let position: Vec<usize> = AxisName::CELL
            .iter()
            .zip(&self.axes)
            .map(|(axis, values)| values.binary_search(&cell.get(*axis)).unwrap_or(0))
            .collect();
        self.combinations
            .iter()
            .map(|(axes, start)| {
                let within = axes.iter().fold(0, |n, a| n * self.axes[*a].len() + position[*a]);
                u32::try_from(start + within).unwrap_or(u32::MAX)
            })
            .collect()
    }
}

fn subsets(of: usize, strength: usize) -> Vec<Vec<usize>> {
    fn extend(from: usize, of: usize, left: usize, begun: &mut Vec<usize>, out: &mut Vec<Vec<usize>>) {
        if left == 0 {
            out.push(begun.clone());
            return;
        }
        for n in from..of {
            begun.push(n);
            extend(n + 1, of, left - 1, begun, out);
            begun.pop();
        }
    }
    let mut out = Vec::new();
    extend(0, of, strength, &mut Vec::new(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::axis::{Database, Os, Registry, Shift, Size, SshGateway, Storage, Tls};
    use crate::rules;

    /// Independent of the coder: pairs as plain text.
    fn pairs(cell: &Cell) -> Vec<String> {
        let axes = cell.axes();
        let mut out = Vec::new();
        for (n, (a, va)) in axes.iter().enumerate() {
            for (b, vb) in &axes[n + 1..] {
                out.push(format!("{a}={va} {b}={vb}"));
            }
        }
        out
    }

    fn some_of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Vec<T>> {
        proptest::sample::subsequence(all, 1..=all.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_valid_pair_is_in_and_no_invalid_cell(
            shift in some_of(Shift::ALL), os in some_of(Os::ALL), database in some_of(Database::ALL),
            registry in some_of(Registry::ALL), storage in some_of(Storage::ALL), size in some_of(Size::ALL),
            tls in some_of(Tls::ALL), gateway in some_of(SshGateway::ALL),
        ) {
            let mut valid = Vec::new();
            for s in &shift { for o in &os { for d in &database { for r in &registry { for st in &storage {
            for z in &size { for t in &tls { for g in &gateway {
                let cell = Cell { shift: *s, os: *o, database: *d, registry: *r, storage: *st, size: *z, tls: *t,
                    ssh_gateway: *g, ..Cell::default() };
                if rules::broken_by(&cell).is_none() { valid.push(cell); }
            }}}}}}}}
            let chosen = choose(Cover::Pairwise, &valid, &Cell::default());
            let wanted: BTreeSet<String> = valid.iter().flat_map(pairs).collect();
            let got: BTreeSet<String> = chosen.iter().flat_map(|c| pairs(&c.cell)).collect();
            prop_assert_eq!(wanted, got);
            prop_assert!(chosen.iter().all(|c| valid.contains(&c.cell)));
        }
    }

    #[test]
    fn one_off_varies_one_axis_where_the_rules_allow() {
        let mut valid = Vec::new();
        for shift in Shift::ALL {
            for os in Os::ALL {
                let cell = Cell { shift: *shift, os: *os, ..Cell::default() };
                if rules::broken_by(&cell).is_none() {
                    valid.push(cell);
                }
            }
        }
        let names: Vec<String> =
            choose(Cover::OneOff, &valid, &Cell::default()).iter().map(|c| c.cell.id().to_string()).collect();
        assert_eq!(names, ["default", "shift-shiftfs--os-ubuntu-20-04", "os-ubuntu-20-04", "os-ubuntu-24-04"]);
    }
}
