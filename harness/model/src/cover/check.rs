//! Proves a choice of cells by another way than it was made: in plain text, cell by cell, with nothing shared with the
//! search but the matrix and the rules.

use std::collections::BTreeSet;

use crate::axis::{AxisName, Cell, CellId};
use crate::matrix::Matrix;
use crate::rules;
use crate::tuple::Tuple;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Combinations that occur in a valid cell.
    pub feasible: usize,
    /// Combinations that occur in a valid cell and in none of those chosen.
    pub missing: Vec<Tuple>,
    /// Chosen cells that must not be run, and what says so.
    pub invalid: Vec<(CellId, String)>,
}

impl Proof {
    /// Every combination is in and no invalid cell is.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing.is_empty() && self.invalid.is_empty()
    }
}

/// Checks cells against every combination of `strength` axes that some valid and selected cell of the matrix has.
///
/// Goes through the whole matrix as text, which takes its time: some seconds for ten thousand combinations.
#[must_use]
pub fn check(matrix: &Matrix, selected: impl Fn(&Cell) -> bool, cells: &[Cell], strength: usize) -> Proof {
    let mut feasible = BTreeSet::new();
    for cell in matrix.cells().filter(|c| objection(matrix, c).is_none() && selected(c)) {
        feasible.extend(tuples_of(matrix, &cell, strength));
    }
    let covered: BTreeSet<Vec<(AxisName, String)>> =
        cells.iter().flat_map(|c| tuples_of(matrix, c, strength)).collect();
    let missing: Vec<Tuple> = feasible.difference(&covered).map(|values| Tuple::sorted(values.clone())).collect();
    let invalid = cells.iter().filter_map(|c| Some((c.id(), objection(matrix, c)?))).collect();
    Proof { feasible: feasible.len(), missing, invalid }
}

/// Why a cell must not be run.
fn objection(matrix: &Matrix, cell: &Cell) -> Option<String> {
    let rule = rules::holding(&matrix.stores).find(|r| (r.excludes)(cell)).map(|r| r.id.to_owned());
    let exclude = || matrix.excludes.iter().find(|e| e.matches(cell)).map(|e| format!("exclude: {}", e.because));
    rule.or_else(exclude)
}

/// Every choice of `strength` of the axes that have several values, with what the cell has there.
fn tuples_of(matrix: &Matrix, cell: &Cell, strength: usize) -> Vec<Vec<(AxisName, String)>> {
    let axes: Vec<(AxisName, String)> =
        cell.axes().into_iter().filter(|(axis, _)| matrix.values(*axis).len() > 1).collect();
    let mut out = vec![Vec::new()];
    for _ in 0..strength.min(axes.len()) {
        let mut longer = Vec::new();
        for begun in &out {
            let from = begun.last().map_or(0, |last| axes.iter().position(|a| a == last).map_or(0, |n| n + 1));
            for next in &axes[from..] {
                let mut more: Vec<(AxisName, String)> = begun.clone();
                more.push(next.clone());
                longer.push(more);
            }
        }
        out = longer;
    }
    out
}
