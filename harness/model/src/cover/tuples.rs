//! Combinations of values on a few axes, each with a number, and what is known of them as a whole.

use super::space::{AXES, Row, Space};
use crate::axis::AxisName;
use crate::tuple::Tuple;

/// Some axes; `stride` and `start` turn the values on them into a number.
#[derive(Debug, Clone)]
pub(crate) struct Subset {
    pub(crate) axes: Vec<usize>,
    stride: Vec<u32>,
    start: u32,
}

/// Every combination of values on as many axes as the strength says.
#[derive(Debug, Clone)]
pub(crate) struct Tuples {
    pub(crate) strength: usize,
    pub(crate) subsets: Vec<Subset>,
    /// For each axis: the subsets with it, and the step in their numbers from one value to the next.
    through: Vec<Vec<(usize, u32)>>,
    /// Which numbers occur in a valid row.
    pub(crate) feasible: Vec<bool>,
    /// No set of rows smaller than this can contain everything.
    pub(crate) at_least: usize,
}

impl Tuples {
    /// Axes on which nothing varies tell nothing and are left aside; where fewer axes vary than the strength asks for, the
    /// strength is theirs.
    pub(crate) fn new(space: &Space, strength: usize) -> Self {
        let mut seen = vec![[false; 256]; AXES];
        for row in &space.valid {
            (0..AXES).for_each(|a| seen[a][usize::from(row[a])] = true);
        }
        let varying: Vec<usize> = (0..AXES).filter(|a| seen[*a].iter().filter(|s| **s).count() > 1).collect();
        let strength = strength.min(varying.len());
        let mut subsets = Vec::new();
        let mut through = vec![Vec::new(); AXES];
        let mut size: u32 = 0;
        for axes in subsets_of(&varying, strength) {
            let mut stride = vec![1; axes.len()];
            for n in (0..axes.len().saturating_sub(1)).rev() {
                stride[n] = stride[n + 1] * wide(space, axes[n + 1]);
            }
            axes.iter().zip(&stride).for_each(|(a, step)| through[*a].push((subsets.len(), *step)));
            let values: u32 = axes.iter().map(|a| wide(space, *a)).product();
            subsets.push(Subset { axes, stride, start: size });
            size += values;
        }
        let mut tuples = Self { strength, subsets, through, feasible: Vec::new(), at_least: 0 };
        let mut feasible = vec![false; size as usize];
        for row in &space.valid {
            tuples.subsets.iter().for_each(|s| feasible[s.code(row) as usize] = true);
        }
        tuples.feasible = feasible;
        tuples.at_least = tuples.bound(space);
        tuples
    }

    /// The numbers of everything in a row, one for each subset.
    pub(crate) fn codes(&self, row: &Row) -> Vec<u32> {
        self.subsets.iter().map(|s| s.code(row)).collect()
    }

    /// The numbers of everything in a row of which only some values are known.
    pub(crate) fn known_codes(&self, row: &[Option<u8>]) -> impl Iterator<Item = u32> {
        self.subsets.iter().filter_map(|s| {
            s.axes.iter().zip(&s.stride).try_fold(s.start, |n, (a, stride)| Some(n + u32::from(row[*a]?) * stride))
        })
    }

    /// How many of those in a row are open.
    pub(crate) fn gain(&self, row: &Row, open: &[bool]) -> usize {
        self.subsets.iter().filter(|s| open[s.code(row) as usize]).count()
    }

    /// How many there are to cover.
    pub(crate) fn count(&self) -> usize {
        self.feasible.iter().filter(|f| **f).count()
    }

    /// The values behind a number.
    pub(crate) fn decode(&self, code: u32) -> impl Iterator<Item = (usize, u8)> + '_ {
        let at = self.subsets.partition_point(|s| s.start <= code) - 1;
        let subset = &self.subsets[at];
        let mut rest = code - subset.start;
        subset.axes.iter().zip(&subset.stride).map(move |(axis, stride)| {
            let value = rest / stride;
            rest %= stride;
            (*axis, u8::try_from(value).unwrap_or(u8::MAX))
        })
    }

    /// As people read it.
    pub(crate) fn tuple(&self, space: &Space, code: u32) -> Tuple {
        Tuple::sorted(self.decode(code).map(|(a, v)| (AxisName::CELL[a], space.value(a, v).to_owned())).collect())
    }

    /// Calls back with the old and the new number of every subset that differs between two rows.
    pub(crate) fn differences(
        &self,
        codes: &[u32],
        from: &Row,
        to: &Row,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, u32, u32),
    ) {
        scratch.touched.clear();
        for a in 0..AXES {
            if from[a] == to[a] {
                continue;
            }
            for (subset, step) in &self.through[a] {
                if !std::mem::replace(&mut scratch.marked[*subset], true) {
                    scratch.touched.push(*subset);
                    scratch.code[*subset] = codes[*subset];
                }
                // Numbers stay inside their subset, so neither side can overflow once both are applied.
                let code = scratch.code[*subset].wrapping_add(u32::from(to[a]) * step);
                scratch.code[*subset] = code.wrapping_sub(u32::from(from[a]) * step);
            }
        }
        for subset in &scratch.touched {
            scratch.marked[*subset] = false;
            each(*subset, codes[*subset], scratch.code[*subset]);
        }
    }

    /// Rows with different values on two axes are different rows. So the rows are parted by the values on a pair of axes;
    /// what can only occur in one part must occur there, and of that, combinations of the same axes need a row each.
    fn bound(&self, space: &Space) -> usize {
        // For each number and axis: the value it forces, or that it leaves a choice.
        const CHOICE: u16 = u16::MAX;
        const UNSEEN: u16 = u16::MAX - 1;
        let mut forced = vec![[UNSEEN; AXES]; self.feasible.len()];
        for row in &space.valid {
            for subset in &self.subsets {
                let forced = &mut forced[subset.code(row) as usize];
                for a in 0..AXES {
                    let value = u16::from(row[a]);
                    forced[a] = match forced[a] {
                        UNSEEN => value,
                        same if same == value => value,
                        _ => CHOICE,
                    };
                }
            }
        }
        let mut best = usize::from(!space.valid.is_empty());
        for a in 0..AXES {
            for b in a..AXES {
                let (wa, wb) = (space.width(a), space.width(b));
                let mut most = vec![0_usize; wa * wb];
                for (n, subset) in self.subsets.iter().enumerate() {
                    let end = self.subsets.get(n + 1).map_or(self.feasible.len(), |s| s.start as usize);
                    let mut here = vec![0_usize; wa * wb];
                    for code in (subset.start as usize..end).filter(|c| self.feasible[*c]) {
                        let (x, y) = (forced[code][a], forced[code][b]);
                        if x < UNSEEN && y < UNSEEN {
                            here[usize::from(x) * wb + usize::from(y)] += 1;
                        }
                    }
                    most.iter_mut().zip(here).for_each(|(m, h)| *m = (*m).max(h));
                }
                best = best.max(most.iter().sum());
            }
        }
        let alone = self.subsets.iter().enumerate().map(|(n, subset)| {
            let end = self.subsets.get(n + 1).map_or(self.feasible.len(), |s| s.start as usize);
            self.feasible[subset.start as usize..end].iter().filter(|f| **f).count()
        });
        best.max(alone.max().unwrap_or(0))
    }
}

/// Room for [`Tuples::differences`], kept between calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    marked: Vec<bool>,
    code: Vec<u32>,
    touched: Vec<usize>,
}

impl Scratch {
    pub(crate) fn new(tuples: &Tuples) -> Self {
        let size = tuples.subsets.len();
        Self { marked: vec![false; size], code: vec![0; size], touched: Vec::with_capacity(size) }
    }
}

impl Subset {
    fn code(&self, row: &Row) -> u32 {
        self.axes.iter().zip(&self.stride).fold(self.start, |n, (a, stride)| n + u32::from(row[*a]) * stride)
    }
}

fn wide(space: &Space, axis: usize) -> u32 {
    u32::try_from(space.width(axis)).unwrap_or(u32::MAX)
}

fn subsets_of(axes: &[usize], size: usize) -> Vec<Vec<usize>> {
    match (size, axes.split_first()) {
        (0, _) => vec![Vec::new()],
        (_, None) => Vec::new(),
        (_, Some((first, rest))) => {
            let with = subsets_of(rest, size - 1).into_iter().map(|mut s| {
                s.insert(0, *first);
                s
            });
            with.chain(subsets_of(rest, size)).collect()
        }
    }
}
