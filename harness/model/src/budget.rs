//! Money: what things cost, what a lease may cost at most, and a cap that is never broken.
//!
//! Exact decimal arithmetic, no floating point: prices are read as the account writes them, and a sum of them is the sum.
//! A cap is compared with the *gross* amount, which is what is charged; net is shown beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::axis::{Cell, Size};
use crate::lease::LeaseId;
use crate::stores::{self, StoreKind};

/// Decimal places that are kept. The account's price list has 16 in gross prices.
const PLACES: usize = 16;
/// One euro.
const ONE: u128 = 10_u128.pow(16);

/// Hours of a month as the account counts them when it divides a monthly price into an hourly one.
pub const HOURS_OF_A_MONTH: u64 = 624;

/// An amount of euros, never negative, exact to 16 decimal places.
///
/// Written as a decimal with at least two places, `0.0088`. Given a precision it is rounded half up: `{:.2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Euros(u128);

/// A text that is no amount of euros.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount of euros: digits with a point, such as `2.50`")]
pub struct BadEuros(String);

impl Euros {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many times.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(n)))
    }

    /// A part of it, rounded up; the whole when there are no parts.
    #[must_use]
    pub fn divided_up(self, parts: u64) -> Self {
        Self(self.0.div_ceil(u128::from(parts.max(1))))
    }

    /// What is left after taking some away; nothing when that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whole cents, rounded half up.
    #[must_use]
    pub fn cents(self) -> u64 {
        u64::try_from((self.0 + ONE / 200) / (ONE / 100)).unwrap_or(u64::MAX)
    }
}

impl FromStr for Euros {
    type Err = BadEuros;
    fn from_str(s: &str) -> Result<Self, BadEuros> {
        let bad = || BadEuros(s.to_owned());
        let (whole, part) = s.split_once('.').unwrap_or((s, "0"));
        let digits = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_digit());
        let part_ok = digits(part) && part.chars().skip(PLACES).all(|c| c == '0');
        if !digits(whole) || !part_ok {
            return Err(bad());
        }
        let kept: String = part.chars().chain(std::iter::repeat('0')).take(PLACES).collect();
        let whole: u128 = whole.parse().map_err(|_| bad())?;
        let part: u128 = kept.parse().map_err(|_| bad())?;
        whole.checked_mul(ONE).and_then(|w| w.checked_add(part)).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Euros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |value: u128| format!("{}.{:016}", value / ONE, value % ONE);
        let text = match f.precision() {
            Some(places) if places < PLACES => {
                let step = 10_u128.pow(u32::try_from(PLACES - places).unwrap_or(0));
                let mut text = exact((self.0.saturating_add(step / 2) / step).saturating_mul(step));
                text.truncate(text.len() - (PLACES - places));
                if places == 0 { text.trim_end_matches('.').to_owned() } else { text }
            }
            Some(_) | None => {
                let text = exact(self.0);
                let least = text.len() - PLACES + 2;
                let end = text.trim_end_matches('0').len().max(least);
                text[..end].to_owned()
            }
        };
        f.write_str(&text)
    }
}

impl TryFrom<String> for Euros {
    type Error = BadEuros;
    fn try_from(s: String) -> Result<Self, BadEuros> {
        s.parse()
    }
}

impl From<Euros> for String {
    fn from(v: Euros) -> Self {
        v.to_string()
    }
}

impl Add for Euros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Euros {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// The same amount without and with tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Without tax.
    pub net: Euros,
    /// With tax: what is charged.
    pub gross: Euros,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { net: Euros::ZERO, gross: Euros::ZERO };

    /// This many times.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self { net: self.net.times(n), gross: self.gross.times(n) }
    }

    /// A part of it, rounded up.
    #[must_use]
    pub fn divided_up(self, parts: u64) -> Self {
        Self { net: self.net.divided_up(parts), gross: self.gross.divided_up(parts) }
    }

    /// The larger one, by what is charged.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.gross > self.gross { other } else { self }
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { net: self.net + other.net, gross: self.gross + other.gross }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// `0.12 EUR net, 0.14 gross`. Four places below one euro, where cents would hide everything; two from there on.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.gross < Euros(ONE) && self.gross != Euros::ZERO { 4 } else { 2 };
        write!(f, "{:.places$} EUR net, {:.places$} gross", self.net, self.gross)
    }
}

/// What one thing costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For each hour that has begun.
    pub hourly: Amount,
    /// The most for a month.
    pub monthly: Amount,
}

impl Price {
    /// Whether it costs nothing.
    fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// The price of something that has only a monthly one.
    #[must_use]
    pub fn by_month(monthly: Amount) -> Self {
        Self { hourly: monthly.divided_up(HOURS_OF_A_MONTH), monthly }
    }

    /// The price of this many.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self { hourly: self.hourly.times(n), monthly: self.monthly.times(n) }
    }

    /// The dearer one of two, by the hour.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.hourly.gross > self.hourly.gross { other } else { self }
    }
}

impl Add for Price {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { hourly: self.hourly + other.hourly, monthly: self.monthly + other.monthly }
    }
}

/// Hours that have begun between two moments, as an account counts them: at least one, also when a clock is behind.
#[must_use]
pub fn started_hours(from: Timestamp, to: Timestamp) -> u64 {
    let seconds = to.as_second().saturating_sub(from.as_second());
    u64::try_from(seconds).unwrap_or(0).div_ceil(3600).max(1)
}

/// How many of what a lease consists of. Providers build exactly this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Machines that carry workloads.
    pub workers: u32,
    /// Machines that only run the control plane, or only external stores.
    pub managers: u32,
    /// Load balancers.
    pub balancers: u32,
}

impl Shape {
    /// The shape of a cell that gets these stores from elsewhere; `grows` when a scenario adds a node.
    #[must_use]
    pub fn of(cell: &Cell, served: &[StoreKind], grows: bool) -> Self {
        let (workers, managers, balancers) = match cell.size {
            Size::Single => (1, 0, 0),
            Size::Small => (2, 0, 1),
            Size::Medium => (3, 3, 2),
        };
        let machine = u32::from(stores::leave_open(cell, served));
        Self { workers: workers + u32::from(grows), managers: managers + machine, balancers }
    }

    /// All machines.
    #[must_use]
    pub fn servers(self) -> u32 {
        self.workers + self.managers
    }
}

/// What each part of a lease costs. A machine's price has its public address in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// A machine that carries workloads.
    pub worker: Price,
    /// A machine that only runs the control plane, or only stores.
    pub manager: Price,
    /// A load balancer.
    pub balancer: Price,
    /// A machine that a lease may need beside its own for a while: the one that builds a snapshot.
    #[serde(default, skip_serializing_if = "Price::is_free")]
    pub builder: Price,
    /// Hours that a machine may cost beyond those of its lease, because it had to be replaced.
    #[serde(default)]
    pub spare_hours: u64,
}

impl PriceList {
    /// What a lease of this shape costs.
    #[must_use]
    pub fn lease(&self, shape: Shape) -> Quote {
        let machines = self.worker.times(u64::from(shape.workers)) + self.manager.times(u64::from(shape.managers));
        Quote {
            price: machines + self.balancer.times(u64::from(shape.balancers)),
            builder: self.builder,
            spare: (machines + self.builder).hourly.times(self.spare_hours),
        }
    }

    /// What leases of these shapes cost in sum, when each lives this many started hours.
    #[must_use]
    pub fn all(&self, shapes: impl IntoIterator<Item = Shape>, hours: u64) -> Amount {
        shapes.into_iter().map(|shape| self.lease(shape).up_to(hours)).sum()
    }
}

/// What a lease costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// All its parts together.
    pub price: Price,
    /// What it may need besides, for as long as it lives at most: the machine that builds a snapshot.
    pub builder: Price,
    /// What replacements may add, once.
    pub spare: Amount,
}

impl Quote {
    /// What it costs when all goes well and it lives this many started hours.
    #[must_use]
    pub fn expected(&self, hours: u64) -> Amount {
        self.price.hourly.times(hours.max(1))
    }

    /// What it can cost at most when it lives this many started hours.
    #[must_use]
    pub fn up_to(&self, hours: u64) -> Amount {
        self.expected(hours) + self.builder.hourly.times(hours.max(1)) + self.spare
    }
}

/// One priced thing of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillLine {
    /// `server`, `load-balancer`, `volume`, …
    pub kind: String,
    /// Number in the account.
    pub id: u64,
    /// Name in the account.
    pub name: String,
    /// Started hours.
    pub hours: u64,
    /// What they cost.
    pub cost: Amount,
}

/// What a lease has cost, from the account's own prices and times.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bill {
    /// Its lines.
    pub lines: Vec<BillLine>,
}

impl Bill {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.lines.iter().map(|l| l.cost).sum()
    }

    /// Takes over what a later look found: the same thing counts once, with its later price; what is gone stays counted.
    pub fn merge(&mut self, later: &Self) {
        for line in &later.lines {
            match self.lines.iter_mut().find(|l| l.kind == line.kind && l.id == line.id) {
                Some(known) => known.clone_from(line),
                None => self.lines.push(line.clone()),
            }
        }
    }
}

/// A priced thing of a lease, and how long it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// `server`, `load-balancer`, `volume`, …
    pub kind: String,
    /// Number in the account.
    pub id: u64,
    /// Name in the account.
    pub name: String,
    /// When the account made it.
    pub created: Timestamp,
    /// When it was removed, if it is gone.
    pub gone: Option<Timestamp>,
    /// Its price.
    pub price: Price,
}

/// The priced things of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meter {
    /// All of them.
    pub things: Vec<Metered>,
}

impl Meter {
    /// The bill when those that are not gone live until then.
    #[must_use]
    pub fn read(&self, until: Timestamp) -> Bill {
        let line = |thing: &Metered| {
            let hours = started_hours(thing.created, thing.gone.unwrap_or(until));
            BillLine {
                kind: thing.kind.clone(),
                id: thing.id,
                name: thing.name.clone(),
                hours,
                cost: thing.price.hourly.times(hours),
            }
        };
        Bill { lines: self.things.iter().map(line).collect() }
    }
}

/// A hard cap and what counts against it.
///
/// Each lease is reserved at its highest possible cost before it is taken, and settled at its real cost after it was
/// given back. The sum of both never exceeds the cap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purse {
    cap: Option<Euros>,
    held: BTreeMap<LeaseId, Amount>,
    spent: Amount,
}

/// What came of asking for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// The lease may be taken.
    Taken,
    /// Not now: other leases hold what may be left over when they are settled.
    Later,
    /// Never: what is spent already leaves too little.
    Refused {
        /// What is left under the cap.
        left: Euros,
    },
}

impl Purse {
    /// A purse with a cap, or without one.
    #[must_use]
    pub fn new(cap: Option<Euros>) -> Self {
        Self { cap, ..Self::default() }
    }

    /// The cap.
    #[must_use]
    pub fn cap(&self) -> Option<Euros> {
        self.cap
    }

    /// What was spent for certain.
    #[must_use]
    pub fn spent(&self) -> Amount {
        self.spent
    }

    /// What is spent or reserved.
    #[must_use]
    pub fn committed(&self) -> Amount {
        self.spent + self.held.values().copied().sum()
    }

    /// Counts what was spent by somebody else, such as the process that this one resumes.
    pub fn add_spent(&mut self, cost: Amount) {
        self.spent += cost;
    }

    /// Counts a lease that exists, whatever the cap says: it was taken by the process that this one resumes.
    pub fn hold(&mut self, lease: &LeaseId, at_most: Amount) {
        self.held.insert(lease.clone(), at_most);
    }

    /// Reserves the highest possible cost of a lease.
    pub fn reserve(&mut self, lease: &LeaseId, at_most: Amount) -> Reservation {
        let fits = |committed: Amount| self.cap.is_none_or(|cap| (committed + at_most).gross <= cap);
        if fits(self.committed()) {
            self.held.insert(lease.clone(), at_most);
            return Reservation::Taken;
        }
        if fits(self.spent) && !self.held.is_empty() {
            return Reservation::Later;
        }
        Reservation::Refused { left: self.cap.unwrap_or_default().less(self.spent.gross) }
    }

    /// Replaces the reservation of a lease by its cost. Without a known cost the reservation counts as spent.
    pub fn settle(&mut self, lease: &LeaseId, cost: Option<Amount>) {
        let held = self.held.remove(lease).unwrap_or_default();
        self.spent += cost.unwrap_or(held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::axis::Database;

    fn euros(text: &str) -> Euros {
        text.parse().expect("an amount")
    }

    fn amount(net: &str, gross: &str) -> Amount {
        Amount { net: euros(net), gross: euros(gross) }
    }

    fn lease(n: usize) -> LeaseId {
        LeaseId::new(&"r20261123-1-7f3a".parse().expect("a run id"), n, 1)
    }

    #[test]
    fn prices_are_read_as_the_account_writes_them() {
        assert_eq!(euros("5.4900000000").to_string(), "5.49");
        assert_eq!(euros("6.5331000000000000").to_string(), "6.5331");
        assert_eq!(euros("0.0088").to_string(), "0.0088");
        assert_eq!(euros("7").to_string(), "7.00");
        assert_eq!(euros("0.0000000000000001").to_string(), "0.0000000000000001");
        assert_eq!(format!("{:.2} {:.0} {:.4}", euros("0.005"), euros("1.5"), euros("0.00005")), "0.01 2 0.0001");
        assert_eq!((euros("15.994").cents(), euros("15.995").cents()), (1599, 1600));
        for bad in ["", ".", "1.", ".5", "-1", "1,5", "1e3", "5 EUR", "0.00000000000000001", &"9".repeat(40)] {
            assert!(bad.parse::<Euros>().is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_are_shown_with_the_places_they_need() {
        assert_eq!(amount("0.0264", "0.031416").to_string(), "0.0264 EUR net, 0.0314 gross");
        assert_eq!(amount("1.5", "1.785").to_string(), "1.50 EUR net, 1.79 gross");
        assert_eq!(Amount::ZERO.to_string(), "0.00 EUR net, 0.00 gross");
    }

    #[test]
    fn an_hour_that_has_begun_counts() {
        let at = |s: i64| Timestamp::from_second(s).expect("a time");
        for (from, to, hours) in [(0, 0, 1), (0, 1, 1), (0, 3600, 1), (0, 3601, 2), (0, 9000, 3), (500, 0, 1)] {
            assert_eq!(started_hours(at(from), at(to)), hours, "{from} to {to}");
        }
    }

    #[test]
    fn a_lease_costs_the_sum_of_its_parts() {
        let by_hour = |hourly: Amount| Price { hourly, monthly: hourly.times(HOURS_OF_A_MONTH) };
        let list = PriceList {
            worker: by_hour(amount("0.03", "0.04")),
            manager: by_hour(amount("0.01", "0.02")),
            balancer: by_hour(amount("0.012", "0.015")),
            builder: Price::default(),
            spare_hours: 2,
        };
        let medium =
            Shape::of(&Cell { size: Size::Medium, database: Database::External, ..Cell::default() }, &[], true);
        assert_eq!(medium, Shape { workers: 4, managers: 4, balancers: 2 });
        let quote = list.lease(medium);
        assert_eq!(quote.price.hourly, amount("0.184", "0.27"));
        assert_eq!(quote.expected(3), amount("0.552", "0.81"));
        assert_eq!(quote.up_to(3), amount("0.872", "1.29"), "machines may be replaced, balancers are not");
        assert_eq!(list.all([medium, medium], 3), amount("1.744", "2.58"));
        let built = PriceList { builder: list.manager, ..list }.lease(medium);
        assert_eq!(built.expected(3), quote.expected(3), "a builder is not there when all goes well");
        assert_eq!(built.up_to(3), quote.up_to(3) + amount("0.05", "0.10"), "and may be replaced like the others");
    }

    #[test]
    fn what_is_gone_costs_no_more() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).expect("a time");
        let thing = |id, gone| Metered {
            kind: "server".to_owned(),
            id,
            name: "n".to_owned(),
            created: at(1),
            gone,
            price: Price { hourly: amount("0.01", "0.02"), monthly: Amount::ZERO },
        };
        let bill = Meter { things: vec![thing(1, None), thing(2, Some(at(2)))] }.read(at(6));
        let hours: Vec<u64> = bill.lines.iter().map(|l| l.hours).collect();
        assert_eq!((hours, bill.total()), (vec![5, 1], amount("0.06", "0.12")));
    }

    #[test]
    fn a_bill_counts_everything_once() {
        let line = |id, hours, cost: &str| BillLine {
            kind: "server".to_owned(),
            id,
            name: "n".to_owned(),
            hours,
            cost: amount(cost, cost),
        };
        let mut bill = Bill { lines: vec![line(1, 1, "0.10"), line(2, 1, "0.10")] };
        bill.merge(&Bill { lines: vec![line(2, 2, "0.20"), line(3, 1, "0.10")] });
        assert_eq!(bill.total(), amount("0.40", "0.40"));
    }

    #[test]
    fn a_reservation_waits_only_for_what_may_still_come_back() {
        let mut purse = Purse::new(Some(euros("1.00")));
        assert_eq!(purse.reserve(&lease(1), amount("0.5", "0.6")), Reservation::Taken);
        assert_eq!(purse.reserve(&lease(2), amount("0.5", "0.6")), Reservation::Later);
        purse.settle(&lease(1), Some(amount("0.2", "0.25")));
        assert_eq!(purse.reserve(&lease(2), amount("0.5", "0.6")), Reservation::Taken);
        purse.settle(&lease(2), None);
        assert_eq!(purse.spent(), amount("0.7", "0.85"), "an unknown cost counts as reserved");
        assert_eq!(purse.reserve(&lease(3), amount("0.1", "0.2")), Reservation::Refused { left: euros("0.15") });
        assert_eq!(Purse::new(None).reserve(&lease(4), amount("999", "999")), Reservation::Taken);
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_text(value in 0..u128::MAX / 4) {
            prop_assert_eq!(Euros(value).to_string().parse(), Ok(Euros(value)));
        }

        /// Whatever is reserved and settled in whatever order, at no more than what was reserved: the cap holds.
        #[test]
        fn the_cap_is_never_broken(cap in 0_u64..500, steps in proptest::collection::vec((0_usize..8, 0_u64..200, 0_u64..=100, any::<bool>()), 0..60)) {
            let mut purse = Purse::new(Some(Euros(u128::from(cap))));
            let mut held: BTreeMap<usize, u64> = BTreeMap::new();
            for (n, cost, percent, settles) in steps {
                let of = |v: u64| Amount { net: Euros(u128::from(v / 2)), gross: Euros(u128::from(v)) };
                match held.get(&n).copied() {
                    Some(reserved) if settles => {
                        purse.settle(&lease(n), (percent < 90).then(|| of(reserved * percent / 100)));
                        held.remove(&n);
                    }
                    Some(_) => {}
                    None => match purse.reserve(&lease(n), of(cost)) {
                        Reservation::Taken => drop(held.insert(n, cost)),
                        Reservation::Later => prop_assert!(!held.is_empty(), "somebody can give something back"),
                        Reservation::Refused { left } => prop_assert!(left < Euros(u128::from(cost))),
                    },
                }
                prop_assert!(purse.committed().gross <= Euros(u128::from(cap)));
            }
        }
    }
}
