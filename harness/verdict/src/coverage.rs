//! Which combinations of axis values the supported matrix has, and which of them cells prove.
//!
//! Written apart from the planner on purpose: a cover that planner and gate compute with the same code checks nothing.

use std::collections::BTreeSet;

use gsh_model::axis::Cell;
use gsh_model::matrix::Matrix;
use gsh_model::rules;

/// Packed form of a tuple: 16 bits each for (axis, value), the first axis highest.
type Packed = u64;

/// Combinations of `t` axes of a matrix.
#[derive(Debug)]
pub struct Space<'a> {
    matrix: &'a Matrix,
    axes: Vec<usize>,
    t: usize,
    valid: Vec<Cell>,
    feasible: BTreeSet<Packed>,
}

impl<'a> Space<'a> {
    /// The combinations of `t` axes (1 to 3; of all, where fewer vary) that appear in a cell which rules and excludes leave in.
    #[must_use]
    pub fn new(matrix: &'a Matrix, t: usize) -> Self {
        let supported =
            |c: &Cell| rules::forbidding(c, &matrix.stores).is_none() && !matrix.excludes.iter().any(|e| e.matches(c));
        let valid: Vec<Cell> = matrix.cells().filter(supported).collect();
        // An axis of one value combines with everything and tells nothing.
        let mut axes: Vec<usize> = (0..matrix.axes.len()).filter(|a| matrix.axes[*a].1.len() > 1).collect();
        if axes.is_empty() {
            axes.push(0);
        }
        let t = t.min(axes.len());
        let mut space = Self { matrix, axes, t, valid, feasible: BTreeSet::new() };
        let mut feasible = BTreeSet::new();
        for cell in &space.valid {
            space.visit(cell, |tuple| {
                feasible.insert(tuple);
            });
        }
        space.feasible = feasible;
        space
    }

    /// How many there are.
    #[must_use]
    pub fn feasible(&self) -> usize {
        self.feasible.len()
    }

    /// How many of them these cells have.
    #[must_use]
    pub fn covered<'c>(&self, cells: impl IntoIterator<Item = &'c Cell>) -> usize {
        let mut seen = BTreeSet::new();
        for cell in cells {
            self.visit(cell, |tuple| {
                seen.insert(tuple);
            });
        }
        seen.intersection(&self.feasible).count()
    }

    /// Supported cells that together have every combination that these cells lack: always the one that adds most, at most
    /// so many.
    #[must_use]
    pub fn completing<'c>(&self, cells: impl IntoIterator<Item = &'c Cell>, most: usize) -> Vec<(Cell, usize)> {
        let mut open = self.feasible.clone();
        for cell in cells {
            self.visit(cell, |tuple| {
                open.remove(&tuple);
            });
        }
        let mut chosen = Vec::new();
        while !open.is_empty() && chosen.len() < most {
            let gain = |cell: &Cell| {
                let mut gain = 0;
                self.visit(cell, |tuple| gain += usize::from(open.contains(&tuple)));
                gain
            };
            // The first of equals: the same answer every time.
            let best = self.valid.iter().map(|c| (gain(c), c)).reduce(|a, b| if b.0 > a.0 { b } else { a });
            let Some((gain, cell)) = best.filter(|(gain, _)| *gain > 0) else { break };
            self.visit(cell, |tuple| {
                open.remove(&tuple);
            });
            chosen.push((cell.clone(), gain));
        }
        chosen
    }

    /// Calls with every combination of a cell. A value that the matrix does not have makes none.
    fn visit(&self, cell: &Cell, mut each: impl FnMut(Packed)) {
        let mut parts: Vec<u64> = Vec::with_capacity(self.matrix.axes.len());
        for a in &self.axes {
            let (axis, values) = &self.matrix.axes[*a];
            let value = cell.get(*axis);
            if let Some(v) = values.iter().position(|known| *known == value) {
                parts.push(((*a as u64) << 8) | (v as u64 & 0xff));
            }
        }
        for (i, first) in parts.iter().enumerate() {
            if self.t == 1 {
                each(*first);
                continue;
            }
            for (j, second) in parts.iter().enumerate().skip(i + 1) {
                let two = (first << 16) | second;
                if self.t == 2 {
                    each(two);
                    continue;
                }
                for third in parts.iter().skip(j + 1) {
                    each((two << 16) | third);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        Matrix::parse(
            "[axes]\nshift = [\"fuse\", \"shiftfs\"]\nos = [\"ubuntu-22.04\", \"ubuntu-20.04\"]\nsize = [\"single\", \"small\", \"medium\"]",
        )
        .expect("a matrix")
    }

    #[test]
    fn what_a_rule_forbids_is_not_demanded() {
        let matrix = matrix();
        let space = Space::new(&matrix, 2);
        // 2·2 + 2·3 + 2·3 = 16, less shiftfs on cgroup v2.
        assert_eq!(space.feasible(), 15);
        assert_eq!(Space::new(&matrix, 3).feasible(), 9);
        assert_eq!(Space::new(&matrix, 1).feasible(), 7);
        assert_eq!(space.covered(&space.valid), 15);
        assert_eq!(space.covered([]), 0);
    }

    #[test]
    fn what_completes_covers_everything_and_nothing_unsupported() {
        let matrix = matrix();
        let space = Space::new(&matrix, 2);
        let have = [Cell::default()];
        let more: Vec<Cell> = space.completing(&have, 100).into_iter().map(|(c, _)| c).collect();
        assert_eq!(space.covered(have.iter().chain(&more)), space.feasible());
        assert!(more.iter().all(|c| rules::broken_by(c).is_none()));
        assert_eq!(space.completing(&have, 1).len(), 1);
    }
}
