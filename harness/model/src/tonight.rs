//! The cells of one night under a budget and a time limit: those whose combinations need it most.
//!
//! Every combination of values has a need: most when it was never green, much when its last result was red, and the more
//! the longer ago it was green. The base cell comes first. Then, again and again, the cell that meets most need for its
//! price and time, as long as it fits. Whole numbers only; the same history gives the same night.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;

use crate::axis::Cell;
use crate::budget::{Amount, Euros};
use crate::cover::space::{Row, Space};
use crate::cover::tuples::Tuples;
use crate::cover::{Chosen, combinations, counted};
use crate::history::Memory;
use crate::schedule::{AtOnce, Work, makespan};

/// Need of a combination that was never green.
const NEVER: u64 = 1000;
/// Need of a combination whose last result was red.
const RED: u64 = 700;
/// What each day since it was green adds.
const A_DAY: u64 = 10;
/// Days beyond which a combination is not staler.
const STALE_DAYS: u64 = 60;

/// What bounds a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most that it may cost, with tax.
    pub budget: Option<Euros>,
    /// The most time it may take, in seconds.
    pub within_s: Option<u64>,
    /// What may exist at a time.
    pub at_once: AtOnce,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budget: None, within_s: None, at_once: AtOnce { clusters: 4, servers: 20 } }
    }
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn bind(&self) -> bool {
        self.budget.is_some() || self.within_s.is_some()
    }
}

/// What one cell takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Toll {
    pub(crate) work: Work,
    pub(crate) cost: Option<Amount>,
}

/// How much a combination needs a green result.
pub(crate) fn need(memory: &Memory, code: u32, now: Timestamp) -> u64 {
    let (green, red) = (memory.last_green[code as usize], memory.last_red[code as usize]);
    match green {
        None => NEVER,
        Some(_) if red > green => RED,
        Some(green) => 1 + A_DAY * days(green, now).min(STALE_DAYS),
    }
}

/// Whole days between two moments.
pub(crate) fn days(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.as_second() - from.as_second()) / 86_400).unwrap_or(0)
}

/// A night in the making.
struct Night<'a> {
    limits: Limits,
    toll: &'a dyn Fn(&Row) -> Toll,
    works: Vec<Work>,
    spent: Amount,
}

impl Night<'_> {
    /// Takes the cell when it fits under every limit.
    fn take(&mut self, row: &Row) -> bool {
        let toll = (self.toll)(row);
        let spent = self.spent + toll.cost.unwrap_or_default();
        let mut works = self.works.clone();
        works.push(toll.work);
        // The order in which they will run takes no longer than this one.
        works.sort_by_key(|work| Reverse(work.seconds));
        let fits = self.limits.budget.is_none_or(|most| spent.gross <= most)
            && self.limits.within_s.is_none_or(|most| makespan(works.iter().copied(), self.limits.at_once) <= most);
        if fits {
            (self.spent, self.works) = (spent, works);
        }
        fits
    }
}

/// Chooses the night's cells. What must run is in whatever it costs; whoever calls has looked whether it fits.
pub(crate) fn choose(
    space: &Space,
    tuples: &Tuples,
    memory: &Memory,
    musts: &[(Cell, String)],
    limits: Limits,
    now: Timestamp,
    toll: &dyn Fn(&Cell) -> Toll,
) -> Vec<Chosen> {
    let mut needs: Vec<u64> =
        (0..).zip(&tuples.feasible).map(|(code, f)| if *f { need(memory, code, now) } else { 0 }).collect();
    let row_toll = |row: &Row| toll(&space.cell(row));
    let mut night = Night { limits, toll: &row_toll, works: Vec::new(), spent: Amount::ZERO };
    let mut chosen = Vec::new();
    let mut settle = |row: &Row, why: &str, needs: &mut Vec<u64>| {
        let reason = reasons(tuples, memory, needs, row, now);
        tuples.codes(row).into_iter().for_each(|c| needs[c as usize] = 0);
        let why = if why.is_empty() { reason } else { format!("{why}; {reason}") };
        chosen.push(Chosen { cell: space.cell(row), why });
    };
    let mut outside = Vec::new();
    for (cell, why) in musts {
        let toll = toll(cell);
        night.spent += toll.cost.unwrap_or_default();
        night.works.push(toll.work);
        match space.row(cell) {
            Some(row) => settle(&row, why, &mut needs),
            // The axes do not give it, so it has nothing of what is looked for.
            None => outside.push(Chosen { cell: cell.clone(), why: why.clone() }),
        }
    }
    // Need met for each unit of what a cell takes; it only shrinks, so an old figure is an upper bound.
    let worth = |row: &Row, needs: &[u64]| {
        let met: u64 = tuples.codes(row).iter().map(|c| needs[*c as usize]).sum();
        let toll = row_toll(row);
        let takes = match (limits.budget, toll.cost) {
            (Some(_), Some(cost)) => cost.gross.cents().max(1),
            (_, _) => toll.work.seconds.max(1),
        };
        met * 1_000_000 / takes
    };
    let mut queue: BinaryHeap<(u64, Reverse<usize>)> =
        space.valid.iter().enumerate().map(|(at, row)| (worth(row, &needs), Reverse(at))).collect();
    while let Some((promised, Reverse(at))) = queue.pop() {
        let row = &space.valid[at];
        let real = worth(row, &needs);
        if real == 0 {
            continue;
        }
        if real < promised {
            queue.push((real, Reverse(at)));
        } else if night.take(row) {
            settle(row, "", &mut needs);
        }
        // What does not fit now will not fit later either: a night only fills up.
    }
    chosen.extend(outside);
    chosen
}

/// Why a cell is worth its price, one line: how many combinations it has that were never green, are red, or are stale.
fn reasons(tuples: &Tuples, memory: &Memory, needs: &[u64], row: &Row, now: Timestamp) -> String {
    let open: Vec<u32> = tuples.codes(row).into_iter().filter(|c| needs[*c as usize] > 0).collect();
    let what = combinations(tuples.strength);
    let never = open.iter().filter(|c| memory.last_green[**c as usize].is_none()).count();
    let greens = open.iter().filter_map(|c| memory.last_green[*c as usize].map(|green| (green, *c)));
    let (red, old): (Vec<_>, Vec<_>) = greens.partition(|(green, c)| memory.last_red[*c as usize] > Some(*green));
    let mut parts = Vec::new();
    if never > 0 {
        parts.push(format!("{} never green", counted(never, tuples.strength)));
    }
    if !red.is_empty() {
        parts.push(format!("{} last red", red.len()));
    }
    if let Some((oldest, _)) = old.iter().min() {
        let count = old.len();
        match days(*oldest, now) {
            0 => parts.push(format!("{count} green today")),
            1 => parts.push(format!("{count} green, the oldest yesterday")),
            days => parts.push(format!("{count} green, the oldest {days} days ago")),
        }
    }
    if parts.is_empty() { format!("no {what} that are not in already") } else { parts.join(", ") }
}
