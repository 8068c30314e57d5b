//! Few rows that contain every feasible combination: greedily first, then fewer and fewer by search.
//!
//! The search takes a row out and repairs what that leaves open, one change of a row at a time, never undoing what it has
//! just done. All arithmetic is on whole numbers and the one source of chance is [`Dice`], whose numbers are fixed: the
//! same matrix gives the same rows on every machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::space::{AXES, Row, Space};
use super::tuples::{Scratch, Tuples};

/// SplitMix64: a fixed sequence of numbers that look like chance.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // Multiply and shift: no division, and the same on every machine.
        usize::try_from((u128::from(z) * (bound as u128)) >> 64).unwrap_or(0)
    }
}

/// Rows that contain every feasible combination, the pinned ones first, each of the rest after those that add more.
pub(crate) fn cover(space: &Space, tuples: &Tuples, pinned: &[Row], effort: u64) -> Vec<Row> {
    let rows = greedy(space, tuples, pinned);
    let floor = tuples.at_least.max(pinned.len());
    let best =
        if rows.len() > floor { Search::new(space, tuples, &rows, pinned.len()).shrink(floor, effort) } else { rows };
    ordered(tuples, best, pinned.len())
}

/// The pinned rows, then again and again the first of the rows that add most.
fn greedy(space: &Space, tuples: &Tuples, pinned: &[Row]) -> Vec<Row> {
    let mut open = tuples.feasible.clone();
    let mut left = tuples.count();
    let mut take = |row: &Row, open: &mut Vec<bool>| {
        for code in tuples.codes(row) {
            left -= usize::from(std::mem::take(&mut open[code as usize]));
        }
        left
    };
    let mut rows: Vec<Row> = pinned.to_vec();
    let mut left_now = tuples.count();
    for row in pinned {
        left_now = take(row, &mut open);
    }
    // What a row adds only shrinks, so an old figure is an upper bound: look again only at the head of the queue.
    let mut queue: BinaryHeap<(usize, Reverse<usize>)> =
        space.valid.iter().enumerate().map(|(at, row)| (tuples.gain(row, &open), Reverse(at))).collect();
    while left_now > 0 {
        let Some((promised, Reverse(at))) = queue.pop() else { break };
        let row = &space.valid[at];
        let real = tuples.gain(row, &open);
        if real == promised {
            rows.push(*row);
            left_now = take(row, &mut open);
        } else if real > 0 {
            queue.push((real, Reverse(at)));
        }
    }
    rows
}

/// Puts first what adds most, so that a run that is cut short has seen much.
pub(super) fn ordered(tuples: &Tuples, mut rows: Vec<Row>, pinned: usize) -> Vec<Row> {
    let mut open = tuples.feasible.clone();
    for at in 0..rows.len() {
        if at >= pinned {
            let best =
                (at..rows.len()).min_by_key(|n| (Reverse(tuples.gain(&rows[*n], &open)), rows[*n])).unwrap_or(at);
            rows.swap(at, best);
        }
        tuples.codes(&rows[at]).into_iter().for_each(|c| open[c as usize] = false);
    }
    rows
}

/// How long a change of a row stays, in steps.
const TABU: u64 = 10;

/// One step in so many is a leap.
const LEAPS: usize = 1000;

struct Search<'a> {
    space: &'a Space,
    tuples: &'a Tuples,
    pinned: usize,
    rows: Vec<Row>,
    codes: Vec<Vec<u32>>,
    count: Vec<u16>,
    open: Vec<u32>,
    place: Vec<u32>,
    /// For each row and axis: until which step it is not to be changed.
    tabu: Vec<[u64; AXES]>,
    step: u64,
    work: u64,
    dice: Dice,
    scratch: Scratch,
}

const COVERED: u32 = u32::MAX;

impl<'a> Search<'a> {
    fn new(space: &'a Space, tuples: &'a Tuples, rows: &[Row], pinned: usize) -> Self {
        let size = tuples.feasible.len();
        let mut search = Self {
            space,
            tuples,
            pinned,
            rows: Vec::new(),
            codes: Vec::new(),
            count: vec![0; size],
            open: Vec::new(),
            place: vec![COVERED; size],
            tabu: Vec::new(),
            step: 0,
            work: 0,
            dice: Dice::new(0x6773_6800),
            scratch: Scratch::new(tuples),
        };
        (0..size).filter(|c| tuples.feasible[*c]).for_each(|c| search.opened(u32::try_from(c).unwrap_or(COVERED)));
        rows.iter().for_each(|row| search.add(*row));
        search
    }

    fn opened(&mut self, code: u32) {
        self.place[code as usize] = u32::try_from(self.open.len()).unwrap_or(COVERED);
        self.open.push(code);
    }

    fn raise(&mut self, code: u32) {
        self.count[code as usize] += 1;
        if self.count[code as usize] == 1 {
            let at = std::mem::replace(&mut self.place[code as usize], COVERED) as usize;
            self.open.swap_remove(at);
            if let Some(moved) = self.open.get(at) {
                self.place[*moved as usize] = u32::try_from(at).unwrap_or(COVERED);
            }
        }
    }

    fn lower(&mut self, code: u32) {
        self.count[code as usize] -= 1;
        if self.count[code as usize] == 0 {
            self.opened(code);
        }
    }

    fn add(&mut self, row: Row) {
        let codes = self.tuples.codes(&row);
        codes.iter().for_each(|c| self.raise(*c));
        self.rows.push(row);
        self.codes.push(codes);
        self.tabu.push([0; AXES]);
    }

    fn remove(&mut self, at: usize) {
        self.rows.remove(at);
        self.tabu.remove(at);
        for code in self.codes.remove(at) {
            self.lower(code);
        }
    }

    /// What changing a row would gain and lose.
    fn score(&mut self, at: usize, to: &Row) -> i64 {
        let (count, mut score) = (&self.count, 0);
        self.tuples.differences(&self.codes[at], &self.rows[at], to, &mut self.scratch, |_, old, new| {
            score += i64::from(count[new as usize] == 0) - i64::from(count[old as usize] == 1);
        });
        self.work += 1;
        score
    }

    fn change(&mut self, at: usize, to: Row) {
        for a in (0..AXES).filter(|a| self.rows[at][*a] != to[*a]) {
            self.tabu[at][a] = self.step + TABU;
        }
        let mut changes = Vec::new();
        self.tuples.differences(&self.codes[at], &self.rows[at], &to, &mut self.scratch, |s, old, new| {
            changes.push((s, old, new));
        });
        for (subset, old, new) in changes {
            self.raise(new);
            self.lower(old);
            self.codes[at][subset] = new;
        }
        self.rows[at] = to;
    }

    /// Fewer rows, as long as the effort lasts and the floor is not reached.
    fn shrink(mut self, floor: usize, effort: u64) -> Vec<Row> {
        let mut best = self.rows.clone();
        while best.len() > floor {
            let lost = |at: &usize| self.codes[*at].iter().filter(|c| self.count[**c as usize] == 1).count();
            let Some(least) = (self.pinned..self.rows.len()).min_by_key(lost) else { break };
            self.remove(least);
            while !self.open.is_empty() {
                if self.work >= effort {
                    return best;
                }
                self.repair();
            }
            best.clone_from(&self.rows);
        }
        best
    }

    /// Covers one open combination by changing the row where that costs least.
    fn repair(&mut self) {
        self.step += 1;
        self.work += 1;
        let code = self.open[self.dice.below(self.open.len())];
        let wanted: Vec<(usize, u8)> = self.tuples.decode(code).collect();
        let open = i64::try_from(self.open.len()).unwrap_or(i64::MAX);
        let mut best: Option<(i64, usize, Row)> = None;
        let mut equals = 0;
        for at in self.pinned..self.rows.len() {
            let mut to = self.rows[at];
            wanted.iter().for_each(|(a, v)| to[*a] = *v);
            let Some(to) = self.mend(at, to, &wanted) else { continue };
            let score = self.score(at, &to);
            let fresh = (0..AXES).any(|a| self.rows[at][a] != to[a] && self.tabu[at][a] > self.step);
            if fresh && score < open {
                continue;
            }
            match &best {
                Some((most, ..)) if score < *most => {}
                Some((most, ..)) if score == *most => {
                    equals += 1;
                    if self.dice.below(equals + 1) == 0 {
                        best = Some((score, at, to));
                    }
                }
                Some(_) | None => {
                    equals = 0;
                    best = Some((score, at, to));
                }
            }
        }
        // Now and then a leap, so that the search does not turn in circles.
        let leap = self.dice.below(LEAPS) == 0;
        match best {
            Some((_, at, to)) if !leap => self.change(at, to),
            Some(_) | None => self.leap(&wanted),
        }
    }

    /// The row itself where it may run; else with one more value changed, the first that makes it so.
    fn mend(&mut self, at: usize, to: Row, wanted: &[(usize, u8)]) -> Option<Row> {
        if self.space.allows(&to) {
            return Some(to);
        }
        let mut best: Option<(i64, Row)> = None;
        for a in (0..AXES).filter(|a| wanted.iter().all(|(w, _)| w != a)) {
            for v in 0..self.space.width(a) {
                let mut other = to;
                other[a] = u8::try_from(v).unwrap_or(u8::MAX);
                if other != to && self.space.allows(&other) {
                    let score = self.score(at, &other);
                    if best.as_ref().is_none_or(|(most, _)| score > *most) {
                        best = Some((score, other));
                    }
                }
            }
        }
        best.map(|(_, row)| row)
    }

    /// Replaces some row by a valid one with the combination.
    fn leap(&mut self, wanted: &[(usize, u8)]) {
        if self.pinned == self.rows.len() {
            return;
        }
        let at = self.pinned + self.dice.below(self.rows.len() - self.pinned);
        let start = self.dice.below(self.space.valid.len());
        let has = |row: &&Row| wanted.iter().all(|(a, v)| row[*a] == *v);
        let (head, tail) = self.space.valid.split_at(start);
        if let Some(row) = tail.iter().chain(head).find(has) {
            let row = *row;
            self.change(at, row);
        }
    }
}
