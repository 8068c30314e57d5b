//! How long cells take and what they cost, from what was recorded; a guess where nothing was.

use std::collections::BTreeMap;

use super::{CellSummary, History};
use crate::axis::{Cell, CellId, Size};
use crate::budget::{Amount, PriceList, Shape};
use crate::outcome::{OutcomeKind, Subject};
use crate::stores::GivenStores;

/// Results of a cell that count for how long it takes.
const LATEST: usize = 10;

/// What is expected of cells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectations {
    by_cell: BTreeMap<CellId, u64>,
    by_size: BTreeMap<Size, u64>,
    /// What was paid, and for how many server hours.
    paid: Amount,
    server_hours: u64,
}

/// What cells would take and cost tonight, by what a history has recorded.
#[derive(Debug, Clone, Default)]
pub struct Forecast(Expectations);

impl Forecast {
    /// By this history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        Self(Expectations::of(history))
    }

    /// Seconds from order to removal with so many scenarios (a guess where nothing was recorded), and what that costs with
    /// these stores given, where prices are given or costs were recorded.
    #[must_use]
    pub fn cell(
        &self,
        cell: &Cell,
        given: &GivenStores,
        scenarios: usize,
        prices: Option<&PriceList>,
    ) -> (u64, Option<Amount>) {
        let expected = self.0.duration(cell, scenarios);
        (expected.seconds, self.0.cost(Shape::of(cell, &given.serve(cell), false), expected.seconds, prices))
    }
}

/// A duration and whether it is only a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) seconds: u64,
    pub(crate) guessed: bool,
}

impl Expectations {
    pub(crate) fn of(history: &History) -> Self {
        let mut by_cell: BTreeMap<CellId, Vec<u64>> = BTreeMap::new();
        let mut by_size: BTreeMap<Size, Vec<u64>> = BTreeMap::new();
        let mut all = Self::default();
        for cell in history.runs().iter().flat_map(|r| &r.cells) {
            if let Some(cost) = cell.cost.filter(|_| cell.took_s > 0) {
                all.paid += cost;
                all.server_hours += u64::from(cell.servers) * cell.took_s.div_ceil(3600);
            }
            if went_through(cell) {
                by_cell.entry(cell.id.clone()).or_default().push(cell.took_s);
                by_size.entry(cell.axes.size).or_default().push(cell.took_s);
            }
        }
        all.by_cell = by_cell.into_iter().map(|(id, times)| (id, median(&times))).collect();
        all.by_size = by_size.into_iter().map(|(size, times)| (size, median(&times))).collect();
        all
    }

    /// How long a cell takes: what was recorded of it, or of cells of its size, or a guess.
    pub(crate) fn duration(&self, cell: &Cell, scenarios: usize) -> Expected {
        let recorded = self.by_cell.get(&cell.id()).or_else(|| self.by_size.get(&cell.size));
        if let Some(seconds) = recorded {
            return Expected { seconds: *seconds, guessed: false };
        }
        // Order, boot and k3s; installing; a few minutes a scenario; removal.
        let minutes = match cell.size {
            Size::Single => 25,
            Size::Small => 30,
            Size::Medium => 40,
        };
        Expected { seconds: 60 * (minutes + 4 * scenarios as u64), guessed: true }
    }

    /// What a cell costs: by a price list, or at what a server hour has cost so far.
    pub(crate) fn cost(&self, shape: Shape, seconds: u64, prices: Option<&PriceList>) -> Option<Amount> {
        let hours = seconds.div_ceil(3600).max(1);
        match prices {
            Some(prices) => Some(prices.lease(shape).expected(hours)),
            None if self.server_hours > 0 => {
                Some(self.paid.times(u64::from(shape.servers()) * hours).divided_up(self.server_hours))
            }
            None => None,
        }
    }
}

/// Whether a cell ran to its end, so that its duration means something.
fn went_through(cell: &CellSummary) -> bool {
    let ended = |s: &super::SubjectSummary| match s.subject {
        Subject::Provision | Subject::Install => s.outcome == OutcomeKind::Passed,
        Subject::Scenario(_) | Subject::Teardown => s.outcome != OutcomeKind::Inconclusive,
    };
    cell.took_s > 0 && cell.subjects.iter().all(ended)
}

fn median(times: &[u64]) -> u64 {
    let mut latest = times[times.len().saturating_sub(LATEST)..].to_vec();
    latest.sort_unstable();
    latest.get(latest.len() / 2).copied().unwrap_or(0)
}
