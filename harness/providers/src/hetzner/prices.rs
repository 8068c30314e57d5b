//! What the account charges for what would be ordered. Exact, never through floating point; read from the account, never known
//! beforehand.

use std::sync::Arc;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_model::budget::{Amount, Euros, Price, PriceList};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Number;
use tokio::sync::Mutex;

use super::acquire::TARGETS;
use super::api::{Api, Call};
use super::catalogue::Offers;
use super::choice::{Candidate, MANAGER, Needs, WORKER, Wanted, balancers, candidates};
use super::config::{MachineChoice, WarmStart};
use super::error::ApiError;
use super::governor::Purpose;
use super::machines::REPLACEMENTS;
use super::provider::HetznerProvider;
use super::wire;

/// With a budget, nothing is ordered that costs more than this many times the first choice: without such a bound the
/// highest possible cost of a lease would be that of the dearest machine there is.
const DEAREST: u64 = 2;

/// The most services that one of our load balancers has.
const MOST_SERVICES: u32 = 3;

/// An amount as the API writes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Money {
    net: String,
    #[serde(default)]
    gross: Option<String>,
}

impl Money {
    /// The amount; an unreadable one is none.
    pub(crate) fn amount(&self) -> Option<Amount> {
        let net = self.net.parse().ok()?;
        let gross = self.gross.as_ref().map_or(Ok(net), |gross| gross.parse()).ok()?;
        Some(Amount { net, gross })
    }
}

/// The price of something in one location.
#[derive(Debug, Clone, Deserialize)]
struct Tag {
    #[serde(default)]
    location: String,
    price_hourly: Money,
    price_monthly: Money,
}

impl Tag {
    fn price(&self) -> Option<Price> {
        Some(Price { hourly: self.price_hourly.amount()?, monthly: self.price_monthly.amount()? })
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Tags {
    #[serde(default)]
    prices: Vec<Tag>,
}

impl Tags {
    /// The price in a location.
    pub(crate) fn at(&self, location: &str) -> Option<Price> {
        self.prices.iter().find(|t| t.location == location).and_then(Tag::price)
    }
}

/// The part of `GET /pricing` that nothing else tells.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tariff {
    #[serde(default)]
    primary_ips: Vec<Addresses>,
    #[serde(default)]
    volume: Option<PerGigabyte>,
    #[serde(default)]
    image: Option<PerGigabyte>,
}

#[derive(Debug, Clone, Deserialize)]
struct Addresses {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    prices: Vec<Tag>,
}

#[derive(Debug, Clone, Deserialize)]
struct PerGigabyte {
    price_per_gb_month: Money,
}

#[derive(Deserialize)]
struct Pricing {
    pricing: Tariff,
}

impl Tariff {
    /// A public address in a location.
    pub(crate) fn address(&self, kind: &str, location: &str) -> Option<Price> {
        let kind = self.primary_ips.iter().find(|a| a.kind == kind)?;
        kind.prices.iter().find(|t| t.location == location).and_then(Tag::price)
    }

    /// A volume of this many GB.
    pub(crate) fn volume(&self, gigabytes: u64) -> Option<Price> {
        Some(Price::by_month(self.volume.as_ref()?.price_per_gb_month.amount()?.times(gigabytes)))
    }

    /// A snapshot of this many GB.
    pub(crate) fn image(&self, gigabytes: u64) -> Option<Price> {
        Some(Price::by_month(self.image.as_ref()?.price_per_gb_month.amount()?.times(gigabytes)))
    }
}

/// A number of GB, which the API may write with a fraction: one that has begun counts.
pub(crate) fn gigabytes(number: &Number) -> u64 {
    let text = number.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let more = part.chars().any(|c| c.is_ascii_digit() && c != '0');
    whole.parse::<u64>().unwrap_or(0) + u64::from(more)
}

/// Remembers the tariff; it is asked for once.
#[derive(Debug, Default)]
pub(crate) struct Tariffs {
    known: Mutex<Option<Arc<Tariff>>>,
}

impl Tariffs {
    /// The tariff, if it was asked for before.
    pub(crate) fn known(&self) -> Option<Arc<Tariff>> {
        self.known.try_lock().ok().and_then(|known| known.clone())
    }

    pub(crate) async fn get(&self, api: &Api, cx: &Cx, purpose: Purpose) -> Result<Arc<Tariff>, ApiError> {
        let mut known = self.known.lock().await;
        if let Some(tariff) = known.as_ref() {
            return Ok(tariff.clone());
        }
        let answer: Pricing = api.read(cx, Call::get("/pricing", Vec::new(), purpose)).await?;
        let tariff = Arc::new(answer.pricing);
        *known = Some(tariff.clone());
        Ok(tariff)
    }
}

/// The machines that may be ordered when money is bounded, in the same order. What the image needs moves the bound no
/// further than what the machine itself needs: it must be known before there is an image.
pub(crate) fn bounded(offers: &Offers, wanted: &Wanted<'_>, choices: Vec<Candidate>) -> Vec<Candidate> {
    let hourly = |c: &Candidate| server_price(offers, c).map(|p| p.hourly.gross);
    let first = candidates(offers, &Wanted { disk: 0, ..*wanted }).ok().and_then(|all| all.first().and_then(hourly));
    below(first, choices, hourly)
}

/// The same for load balancers.
pub(crate) fn bounded_balancers(offers: &Offers, choices: Vec<Candidate>) -> Vec<Candidate> {
    let hourly = |c: &Candidate| balancer_price(offers, c).map(|p| p.hourly.gross);
    below(choices.first().and_then(hourly), choices, hourly)
}

fn below(
    first: Option<Euros>,
    choices: Vec<Candidate>,
    hourly: impl Fn(&Candidate) -> Option<Euros>,
) -> Vec<Candidate> {
    let Some(most) = first.map(|first| first.times(DEAREST)) else { return Vec::new() };
    choices.into_iter().filter(|c| hourly(c).is_some_and(|price| price <= most)).collect()
}

fn server_price(offers: &Offers, choice: &Candidate) -> Option<Price> {
    let kind = offers.server_types.iter().find(|t| t.name == choice.server_type)?;
    listed(&kind.prices, &choice.location)
}

fn balancer_price(offers: &Offers, choice: &Candidate) -> Option<Price> {
    let kind = offers.load_balancer_types.iter().find(|t| t.name == choice.server_type)?;
    listed(&kind.prices, &choice.location)
}

fn listed(prices: &[wire::Price], location: &str) -> Option<Price> {
    let price = prices.iter().find(|p| p.location == location)?;
    Some(Price { hourly: price.price_hourly.as_ref()?.amount()?, monthly: price.price_monthly.amount()? })
}

/// Which of the candidates a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The first choice: what it costs when the cloud has what we ask for.
    First,
    /// The dearest one that may be ordered.
    Dearest,
}

/// Prices of the parts of a lease.
pub(crate) fn price_list(
    offers: &Offers,
    tariff: &Tariff,
    locations: &[String],
    machines: &MachineChoice,
    now: Timestamp,
    which: Which,
    warm: WarmStart,
) -> Result<PriceList, String> {
    let pick = |prices: Vec<Price>, what: &str| {
        let picked = match which {
            Which::First => prices.first().copied(),
            Which::Dearest => prices.into_iter().reduce(Price::max),
        };
        picked.ok_or_else(|| format!("the catalogue names no price of {what} in {locations:?}"))
    };
    let machine = |needs: Needs, machines: &MachineChoice, what: &str| {
        let wanted = Wanted { locations, needs, disk: 0, machines, now };
        let choices = candidates(offers, &wanted).map_err(|e| e.to_string())?;
        let price = |choice: &Candidate| {
            // Where addresses are not priced they are free.
            let address = tariff.address("ipv4", &choice.location).unwrap_or_default();
            Some(server_price(offers, choice)? + address)
        };
        pick(bounded(offers, &wanted, choices).iter().filter_map(price).collect(), what)
    };
    // As when they are ordered: a type given by name is for what carries workloads.
    let managers = MachineChoice { server_type: None, ..machines.clone() };
    let manager = machine(MANAGER, &managers, "a machine for a control plane")?;
    let balancing = balancers(offers, locations, MOST_SERVICES, TARGETS, now).map_err(|e| e.to_string())?;
    let balancing = bounded_balancers(offers, balancing);
    Ok(PriceList {
        worker: machine(WORKER, machines, "a machine for workloads")?,
        manager,
        // The builder of a snapshot is a machine of the same kind.
        builder: match warm {
            WarmStart::On => manager,
            WarmStart::Off => Price::default(),
        },
        balancer: pick(balancing.iter().filter_map(|c| balancer_price(offers, c)).collect(), "a load balancer")?,
        spare_hours: match which {
            Which::First => 0,
            Which::Dearest => u64::from(REPLACEMENTS),
        },
    })
}

impl HetznerProvider {
    /// Prices of the parts of a lease, by the hour.
    ///
    /// # Errors
    /// When catalogue or prices cannot be read, or hold nothing that could be ordered.
    pub async fn prices(&self, cx: &Cx, which: Which) -> Result<PriceList, Failure> {
        let expected = "the account's prices";
        let offers = self.catalogue.offers(&self.api, cx).await.map_err(|e| e.failure(expected))?;
        let tariff = self.tariffs.get(&self.api, cx, Purpose::Work).await.map_err(|e| e.failure(expected))?;
        let (locations, machines) = (&self.config.locations, &self.config.machines);
        price_list(&offers, &tariff, locations, machines, Timestamp::now(), which, self.config.warm)
            .map_err(|observed| Failure::environment("GSH-CLOUD-009", expected, observed))
    }
}

/// Whole cents a month, net, for records.
pub(crate) fn cents_a_month(price: Price) -> u64 {
    price.monthly.net.cents()
}

#[cfg(test)]
mod tests {
    use gsh_model::axis::{Cell, Database, Size};
    use gsh_model::budget::Shape;
    use gsh_model::lease::LeaseId;

    use super::super::topology::topology;
    use super::*;

    #[test]
    fn what_is_built_is_what_is_priced() {
        let lease: LeaseId = "g7f3a-c1-a1".parse().expect("a lease id");
        for size in [Size::Single, Size::Small, Size::Medium] {
            let (built, shape) = (topology(&lease, size), Shape::of(&Cell { size, ..Cell::default() }, &[], false));
            let workers = built.members().filter(|m| m.needs() == WORKER).count();
            assert_eq!(u32::try_from(workers).ok(), Some(shape.workers), "{size}");
            assert_eq!(u32::try_from(built.members().count()).ok(), Some(shape.servers()), "{size}");
            assert_eq!(u32::from(built.site_balancer) + u32::from(built.manager_balancer), shape.balancers, "{size}");
        }
        let stores = Shape::of(&Cell { database: Database::External, ..Cell::default() }, &[], false);
        assert_eq!(stores.managers, 1, "external stores stand on a machine of the small kind");
    }

    #[test]
    fn gigabytes_that_have_begun_count() {
        let number = |text: &str| serde_json::from_str::<Number>(text).expect("a number");
        let counted: Vec<u64> = ["10", "2.3", "2.0", "0.04"].iter().map(|t| gigabytes(&number(t))).collect();
        assert_eq!(counted, [10, 3, 2, 1]);
    }

    #[test]
    fn the_dearest_that_may_be_ordered_is_bounded_by_the_first_choice() {
        let money = |euros: &str| serde_json::json!({"net": euros, "gross": euros});
        let tag = |hourly: &str, monthly: &str| serde_json::json!([{"location": "nbg1", "price_hourly": money(hourly), "price_monthly": money(monthly)}]);
        let kind = |name: &str, cores: u32, hourly: &str, monthly: &str| {
            serde_json::json!({"name": name, "cores": cores, "memory": cores * 4, "architecture": "x86",
                "prices": tag(hourly, monthly), "locations": [{"name": "nbg1"}]})
        };
        let offers = Offers {
            server_types: serde_json::from_value(serde_json::json!([
                kind("small", 2, "0.01", "6.00"),
                kind("good", 4, "0.02", "12.00"),
                kind("better", 8, "0.04", "24.00"),
                kind("huge", 64, "0.90", "560.00"),
            ]))
            .expect("server types"),
            load_balancer_types: serde_json::from_value(serde_json::json!([
                {"name": "lb", "max_services": 5, "max_targets": 25, "prices": tag("0.03", "18.00")}
            ]))
            .expect("load balancer types"),
            locations: serde_json::from_value(serde_json::json!([{"name": "nbg1", "network_zone": "eu"}]))
                .expect("places"),
        };
        let tariff: Tariff = serde_json::from_value(serde_json::json!({
            "primary_ips": [{"type": "ipv4", "prices": tag("0.001", "0.50")}],
            "volume": {"price_per_gb_month": money("0.0624")},
        }))
        .expect("a tariff");
        let (locations, machines) = (["nbg1".to_owned()], MachineChoice::default());
        let hourly = |which, warm| {
            let list = price_list(&offers, &tariff, &locations, &machines, Timestamp::UNIX_EPOCH, which, warm);
            let list = list.expect("prices");
            [list.worker, list.manager, list.balancer, list.builder].map(|p| p.hourly.gross.to_string())
        };
        assert_eq!(hourly(Which::First, WarmStart::Off), ["0.021", "0.011", "0.03", "0.00"]);
        assert_eq!(hourly(Which::Dearest, WarmStart::Off), ["0.041", "0.021", "0.03", "0.00"]);
        assert_eq!(hourly(Which::Dearest, WarmStart::On), ["0.041", "0.021", "0.03", "0.021"]);
        assert_eq!(tariff.volume(10).expect("a price").hourly.net.to_string(), "0.001");
    }
}
