//! The combinations that a matrix gives, as rows of small numbers, and what takes each one out.
//!
//! A rule names the axes it looks at, so it is asked once for each combination of those and never again: a matrix of a
//! million combinations is gone through in the time that a million table look-ups take.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::axis::{AxisName, Cell};
use crate::matrix::Matrix;
use crate::plan::{Infeasible, LeftOut};
use crate::rules;

/// Number of axes of a cell.
pub(crate) const AXES: usize = AxisName::CELL.len();

/// A cell as the position of its value on each axis, in the order of [`AxisName::CELL`].
pub(crate) type Row = [u8; AXES];

/// The values on every axis, and the combinations that may run.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    values: Vec<Vec<String>>,
    stride: [usize; AXES],
    /// In the order of [`Matrix::cells`].
    pub(crate) valid: Vec<Row>,
    allowed: Vec<bool>,
}

/// Why some combinations make no sense, as a table over the axes concerned.
struct Ban<'a> {
    by: &'a str,
    because: &'a str,
    axes: Vec<usize>,
    hit: Vec<bool>,
}

impl Ban<'_> {
    fn takes_out(&self, row: &Row, values: &[Vec<String>]) -> bool {
        self.hit[self.axes.iter().fold(0, |n, a| n * values[*a].len() + usize::from(row[*a]))]
    }
}

/// What is left of a matrix, and what is not.
pub(crate) struct Sifted {
    pub(crate) space: Space,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) infeasible: Vec<Infeasible>,
}

/// The value of each axis, whatever it is looked up in.
pub(crate) type Values<'v> = dyn Fn(AxisName) -> Cow<'v, str> + 'v;

/// Goes through every combination of the matrix.
pub(crate) fn sift(matrix: &Matrix, selected: impl Fn(&Values<'_>) -> bool) -> Sifted {
    let values: Vec<Vec<String>> = AxisName::CELL.iter().map(|a| matrix.values(*a).to_vec()).collect();
    let mut stride = [1; AXES];
    for a in (0..AXES - 1).rev() {
        stride[a] = stride[a + 1] * values[a + 1].len();
    }
    let bans = bans(matrix, &values);
    let mut taken = vec![0_usize; bans.len()];
    let mut unselected = 0;
    let mut alive: Vec<Vec<bool>> = values.iter().map(|v| vec![false; v.len()]).collect();
    let mut valid = Vec::new();
    let mut allowed = vec![false; matrix.product()];
    for (n, slot) in allowed.iter_mut().enumerate() {
        let row = row_at(n, &values, &stride);
        if let Some(ban) = bans.iter().position(|b| b.takes_out(&row, &values)) {
            taken[ban] += 1;
            continue;
        }
        (0..AXES).for_each(|a| alive[a][usize::from(row[a])] = true);
        let value = |axis: AxisName| {
            let at = AxisName::CELL.iter().position(|a| *a == axis);
            Cow::Borrowed(at.map_or("", |a| values[a][usize::from(row[a])].as_str()))
        };
        if selected(&value) {
            *slot = true;
            valid.push(row);
        } else {
            unselected += 1;
        }
    }
    let mut left_out: Vec<LeftOut> = bans
        .iter()
        .zip(&taken)
        .filter(|(_, cells)| **cells > 0)
        .map(|(ban, cells)| LeftOut { by: ban.by.to_owned(), because: ban.because.to_owned(), cells: *cells })
        .collect();
    if unselected > 0 {
        left_out.push(LeftOut { by: "select".to_owned(), because: "not selected".to_owned(), cells: unselected });
    }
    let infeasible = dead(&values, &stride, &alive, &bans);
    Sifted { space: Space { values, stride, valid, allowed }, left_out, infeasible }
}

/// The values that no valid cell has, each with everything that takes one of its cells out.
fn dead(values: &[Vec<String>], stride: &[usize; AXES], alive: &[Vec<bool>], bans: &[Ban<'_>]) -> Vec<Infeasible> {
    let product: usize = values.iter().map(Vec::len).product();
    let mut out = Vec::new();
    for (a, axis) in AxisName::CELL.into_iter().enumerate() {
        for (v, value) in values[a].iter().enumerate().filter(|(v, _)| !alive[a][*v]) {
            let rows = (0..product).map(|n| row_at(n, values, stride)).filter(|row| usize::from(row[a]) == v);
            let by: BTreeSet<&str> =
                rows.filter_map(|row| bans.iter().find(|b| b.takes_out(&row, values)).map(|b| b.by)).collect();
            out.push(Infeasible { axis, value: value.clone(), by: by.into_iter().map(str::to_owned).collect() });
        }
    }
    out
}

fn row_at(n: usize, values: &[Vec<String>], stride: &[usize; AXES]) -> Row {
    let mut row = [0; AXES];
    for a in 0..AXES {
        // An axis has far fewer than 256 values: the product is bounded long before.
        row[a] = u8::try_from(n / stride[a] % values[a].len()).unwrap_or(u8::MAX);
    }
    row
}

fn bans<'a>(matrix: &'a Matrix, values: &[Vec<String>]) -> Vec<Ban<'a>> {
    let position = |axis: &AxisName| AxisName::CELL.iter().position(|a| a == axis);
    let rules = rules::holding(&matrix.stores).map(|rule| {
        let axes: Vec<usize> = rule.axes.iter().filter_map(position).collect();
        let hit = table(&axes, values, |cell| (rule.excludes)(cell));
        Ban { by: rule.id, because: rule.because, axes, hit }
    });
    let excludes = matrix.excludes.iter().map(|exclude| {
        let axes: Vec<usize> = exclude.values.iter().filter_map(|(axis, _)| position(axis)).collect();
        let hit = table(&axes, values, |cell| exclude.matches(cell));
        Ban { by: "exclude", because: &exclude.because, axes, hit }
    });
    rules.chain(excludes).collect()
}

/// What a property says of every combination of some axes, the last of them changing fastest.
fn table(axes: &[usize], values: &[Vec<String>], property: impl Fn(&Cell) -> bool) -> Vec<bool> {
    let size: usize = axes.iter().map(|a| values[*a].len()).product();
    (0..size)
        .map(|mut n| {
            let mut cell = Cell::default();
            for a in axes.iter().rev() {
                let value = &values[*a][n % values[*a].len()];
                cell.set(AxisName::CELL[*a], value).expect("values are checked when the matrix is read");
                n /= values[*a].len();
            }
            property(&cell)
        })
        .collect()
}

impl Space {
    /// Number of values on an axis.
    pub(crate) fn width(&self, axis: usize) -> usize {
        self.values[axis].len()
    }

    /// A value as text.
    pub(crate) fn value(&self, axis: usize, at: u8) -> &str {
        &self.values[axis][usize::from(at)]
    }

    /// Whether this combination may run.
    pub(crate) fn allows(&self, row: &Row) -> bool {
        self.allowed[(0..AXES).map(|a| usize::from(row[a]) * self.stride[a]).sum::<usize>()]
    }

    /// The row as a cell.
    pub(crate) fn cell(&self, row: &Row) -> Cell {
        let mut cell = Cell::default();
        for (a, axis) in AxisName::CELL.into_iter().enumerate() {
            cell.set(axis, self.value(a, row[a])).expect("values are checked when the matrix is read");
        }
        cell
    }

    /// The cell as a row, where the axes have its values and it may run.
    pub(crate) fn row(&self, cell: &Cell) -> Option<Row> {
        let mut row = [0; AXES];
        for (a, axis) in AxisName::CELL.into_iter().enumerate() {
            let value = cell.get(axis);
            row[a] = u8::try_from(self.values[a].iter().position(|v| *v == value)?).ok()?;
        }
        self.allows(&row).then_some(row)
    }
}
