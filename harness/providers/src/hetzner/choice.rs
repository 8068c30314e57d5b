//! Chooses what to order by what is needed: never by a name, because names come and go. Pure.

use jiff::Timestamp;

use super::catalogue::{ARCHITECTURE, Offers};
use super::config::{Cores, MachineChoice};
use super::wire::{LoadBalancerType, Price, ServerType};

/// What a machine must have at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) cores: u32,
    /// GB.
    pub(crate) memory: u32,
}

/// A machine that carries workloads: below 16 GB ws-daemon and a workspace do not fit on one node.
pub(crate) const WORKER: Needs = Needs { cores: 4, memory: 16 };
/// A machine that only runs the control plane, or only stores.
pub(crate) const MANAGER: Needs = Needs { cores: 2, memory: 4 };

/// What is asked of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Locations in the order of preference; the first one that exists decides the network zone.
    pub(crate) locations: &'a [String],
    pub(crate) needs: Needs,
    /// Size of the disk that the image needs, in GB.
    pub(crate) disk: u32,
    pub(crate) machines: &'a MachineChoice,
    pub(crate) now: Timestamp,
}

/// Something that can be ordered somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) server_type: String,
    pub(crate) location: String,
    /// Net euro cents per month.
    pub(crate) cents: u64,
}

/// Why nothing can be ordered: always with what could be ordered instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoChoice {
    /// None of the locations exists.
    #[error("there is no location {wanted:?}; there are {there:?}")]
    Location { wanted: Vec<String>, there: Vec<String> },
    /// Nothing is big enough.
    #[error("no type with {needs} is sold in {locations:?}; there are {there:?}")]
    TooSmall { needs: String, locations: Vec<String>, there: Vec<String> },
    /// The type that was asked for is not in the catalogue.
    #[error("there is no server type `{name}` (any more); fit for this: {instead:?}")]
    Unknown { name: String, instead: Vec<String> },
    /// The type that was asked for is sold no more, or elsewhere.
    #[error("server type `{name}` {why}; fit for this: {instead:?}")]
    NotSold { name: String, why: String, instead: Vec<String> },
    /// The type that was asked for is too small, or another machine altogether.
    #[error("server type `{name}` has {has}, but {needs} are needed; fit for this: {instead:?}")]
    Unfit { name: String, has: String, needs: String, instead: Vec<String> },
}

/// The zone of the first location that exists: a network does not leave its zone.
pub(crate) fn zone(offers: &Offers, wanted: &[String]) -> Result<String, NoChoice> {
    wanted.iter().find_map(|name| offers.zone(name)).map(str::to_owned).ok_or_else(|| NoChoice::Location {
        wanted: wanted.to_vec(),
        there: offers.locations.iter().map(|l| l.name.clone()).collect(),
    })
}

/// What to try, in this order: what is said to be available before what is not, what will stay before what is announced to
/// go, the cheapest first, then by the order of locations. Never empty.
pub(crate) fn candidates(offers: &Offers, wanted: &Wanted<'_>) -> Result<Vec<Candidate>, NoChoice> {
    let locations = in_zone(offers, wanted.locations)?;
    let open = |kind: &ServerType| fits(kind, wanted) && of_cores(kind, wanted.machines.cores);
    let fitting: Vec<Candidate> = offered(offers, &locations, wanted.now, open);
    let Some(name) = &wanted.machines.server_type else {
        if fitting.is_empty() {
            let there = offered(offers, &locations, wanted.now, |kind| kind.architecture == ARCHITECTURE);
            return Err(NoChoice::TooSmall { needs: spell(wanted), locations, there: names(&there) });
        }
        return Ok(fitting);
    };
    let instead = names(&fitting);
    let name = name.clone();
    let Some(kind) = offers.server_types.iter().find(|t| t.name == name) else {
        return Err(NoChoice::Unknown { name, instead });
    };
    // Whoever names a type has decided about its cores; what it must have is not up for decision.
    if !fits(kind, wanted) {
        let has = format!("{} cores, {} GB, {} GB disk, {}", kind.cores, kind.memory, kind.disk, kind.architecture);
        return Err(NoChoice::Unfit { name, has, needs: spell(wanted), instead });
    }
    let this = offered(offers, &locations, wanted.now, |kind| kind.name == name);
    if this.is_empty() {
        let sold: Vec<&str> = kind.prices.iter().map(|p| p.location.as_str()).collect();
        let why = match locations.iter().find_map(|l| kind.gone(l, wanted.now)) {
            Some(since) => format!("is no longer sold in {locations:?} since {}", since.strftime("%Y-%m-%d")),
            None => format!("is not sold in {locations:?}, only in {sold:?}"),
        };
        return Err(NoChoice::NotSold { name, why, instead });
    }
    Ok(this)
}

/// Load balancer types with enough services and targets, where they can be ordered: what will stay before what is announced
/// to go, the cheapest first, then by the order of locations. Never empty.
pub(crate) fn balancers(
    offers: &Offers,
    locations: &[String],
    services: u32,
    targets: u32,
    now: Timestamp,
) -> Result<Vec<Candidate>, NoChoice> {
    let locations = in_zone(offers, locations)?;
    let mut found = Vec::new();
    let gone = |kind: &&LoadBalancerType| {
        kind.deprecation.as_ref().and_then(|d| d.unavailable_after).is_some_and(|after| after <= now)
    };
    for kind in offers.load_balancer_types.iter().filter(|kind| !gone(kind)) {
        if kind.max_services < services || kind.max_targets < targets {
            continue;
        }
        let leaving = kind.deprecation.is_some();
        for (rank, location) in locations.iter().enumerate() {
            if let Some(cents) = price(&kind.prices, location) {
                let candidate = Candidate { server_type: kind.name.clone(), location: location.clone(), cents };
                found.push(((leaving, cents, rank, kind.name.clone()), candidate));
            }
        }
    }
    if found.is_empty() {
        let sold = offers.load_balancer_types.iter().filter(|kind| !gone(kind));
        let there = sold.map(|t| t.name.clone()).collect();
        return Err(NoChoice::TooSmall { needs: format!("{services} services, {targets} targets"), locations, there });
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
}

/// The wanted locations that share the zone of the first one.
fn in_zone(offers: &Offers, wanted: &[String]) -> Result<Vec<String>, NoChoice> {
    let zone = zone(offers, wanted)?;
    Ok(wanted.iter().filter(|name| offers.zone(name) == Some(zone.as_str())).cloned().collect())
}

fn fits(kind: &ServerType, wanted: &Wanted<'_>) -> bool {
    kind.architecture == ARCHITECTURE
        && kind.cores >= wanted.needs.cores
        && kind.memory >= f64::from(wanted.needs.memory)
        && kind.disk >= f64::from(wanted.disk)
}

fn of_cores(kind: &ServerType, cores: Cores) -> bool {
    match cores {
        Cores::Any => true,
        Cores::Shared => kind.cpu_type == "shared",
        Cores::Dedicated => kind.cpu_type == "dedicated",
    }
}

/// What can be ordered of the types that a condition lets through.
fn offered(
    offers: &Offers,
    locations: &[String],
    now: Timestamp,
    open: impl Fn(&ServerType) -> bool,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for kind in offers.server_types.iter().filter(|t| open(t)) {
        for (rank, location) in locations.iter().enumerate() {
            let Some(cents) = price(&kind.prices, location) else {
                continue;
            };
            if kind.gone(location, now).is_some() {
                continue;
            }
            // A hint only: orders for what is "available" fail too, and the other way round.
            let doubtful = kind.at(location).and_then(|l| l.available) == Some(false);
            let leaving = kind.end(location).is_some();
            let candidate = Candidate { server_type: kind.name.clone(), location: location.clone(), cents };
            found.push(((doubtful, leaving, cents, rank, kind.name.clone()), candidate));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

fn price(prices: &[Price], location: &str) -> Option<u64> {
    prices.iter().find(|p| p.location == location).and_then(Price::cents)
}

fn spell(wanted: &Wanted<'_>) -> String {
    let cores = match wanted.machines.cores {
        Cores::Any => "",
        Cores::Shared => "shared ",
        Cores::Dedicated => "dedicated ",
    };
    let Needs { cores: n, memory } = wanted.needs;
    let disk = match wanted.disk {
        0 => String::new(),
        disk => format!(", {disk} GB disk"),
    };
    format!("{n} {cores}{ARCHITECTURE} cores, {memory} GB{disk}")
}

/// Each type once, in the order in which it would be tried.
fn names(candidates: &[Candidate]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for candidate in candidates {
        if !names.contains(&candidate.server_type) {
            names.push(candidate.server_type.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kind(name: &str, (cores, memory, disk): (u32, u32, u32), arch: &str, cents: u32, locations: Value) -> Value {
        let euros = f64::from(cents) / 100.0;
        let places = locations.as_array().into_iter().flatten().filter_map(|l| l["name"].as_str().map(str::to_owned));
        let prices: Vec<_> =
            places.map(|l| json!({"location": l, "price_monthly": {"net": format!("{euros:.10}")}})).collect();
        json!({
            "name": name, "cores": cores, "memory": memory, "disk": disk, "architecture": arch,
            "cpu_type": if name.starts_with("own") { "dedicated" } else { "shared" },
            "prices": prices, "locations": locations,
        })
    }

    fn offers() -> Offers {
        let eu = json!([{"name": "nbg1"}, {"name": "hel1"}]);
        let over = |date: &str| json!([{"name": "nbg1", "deprecation": {"unavailable_after": date}}]);
        let hint = json!([{"name": "nbg1", "available": false}, {"name": "hel1", "available": true}]);
        let types = json!([
            kind("small", (2, 4, 40), "x86", 549, eu.clone()),
            kind("own-dear", (8, 32, 240), "x86", 13849, eu.clone()),
            kind("arm", (8, 16, 160), "arm", 2099, eu.clone()),
            kind("good", (8, 16, 160), "x86", 1599, eu.clone()),
            kind("flat", (8, 16, 20), "x86", 1550, eu),
            kind("hinted", (8, 16, 160), "x86", 1499, hint),
            kind("gone", (8, 16, 160), "x86", 999, over("2026-01-01T00:00:00Z")),
            kind("going", (8, 16, 160), "x86", 998, over("2027-02-01T00:00:00Z")),
            kind("overseas", (8, 16, 160), "x86", 1, json!([{"name": "ash"}])),
        ]);
        let lb = |name: &str, targets: u32, euros: &str, place: &str| {
            json!({"name": name, "max_services": 5, "max_targets": targets,
                   "prices": [{"location": place, "price_monthly": {"net": euros}}]})
        };
        let ends = |mut lb: Value, date: &str| {
            lb["deprecation"] = json!({"unavailable_after": date});
            lb
        };
        let balancers = json!([
            lb("lb21", 75, "20", "nbg1"),
            lb("lb11", 25, "7.49", "hel1"),
            lb("lb1", 5, "1", "nbg1"),
            ends(lb("lb-gone", 75, "1", "nbg1"), "2026-01-01T00:00:00Z"),
            ends(lb("lb-going", 75, "1", "nbg1"), "2027-01-01T00:00:00Z"),
        ]);
        let locations = json!([
            {"name": "nbg1", "network_zone": "eu-central"},
            {"name": "hel1", "network_zone": "eu-central"},
            {"name": "ash", "network_zone": "us-east"},
        ]);
        Offers {
            server_types: serde_json::from_value(types).expect("server types"),
            load_balancer_types: serde_json::from_value(balancers).expect("load balancer types"),
            locations: serde_json::from_value(locations).expect("locations"),
        }
    }

    fn choose(needs: Needs, wanted: &[&str], machines: &MachineChoice) -> Result<Vec<String>, NoChoice> {
        let locations: Vec<String> = wanted.iter().map(|l| (*l).to_owned()).collect();
        let now = "2026-11-23T00:00:00Z".parse().expect("a time");
        let found = candidates(&offers(), &Wanted { locations: &locations, needs, disk: 30, machines, now })?;
        Ok(found.into_iter().map(|c| format!("{}@{}", c.server_type, c.location)).collect())
    }

    fn names(needs: Needs, wanted: &[&str]) -> Vec<String> {
        choose(needs, wanted, &MachineChoice::default()).expect("candidates")
    }

    fn asked(name: &str) -> MachineChoice {
        MachineChoice { server_type: Some(name.to_owned()), ..MachineChoice::default() }
    }

    #[test]
    fn the_cheapest_that_fits_comes_first_and_hints_and_announced_ends_only_order() {
        assert_eq!(
            names(WORKER, &["nbg1", "hel1", "ash"]),
            ["hinted@hel1", "good@nbg1", "good@hel1", "own-dear@nbg1", "own-dear@hel1", "going@nbg1", "hinted@nbg1"]
        );
        assert_eq!(names(MANAGER, &["hel1"])[0], "small@hel1");
    }

    #[test]
    fn another_zone_is_never_mixed_in() {
        assert_eq!(names(WORKER, &["ash", "nbg1"]), ["overseas@ash"]);
    }

    #[test]
    fn cores_can_be_asked_for() {
        let own = MachineChoice { cores: Cores::Dedicated, ..MachineChoice::default() };
        assert_eq!(choose(MANAGER, &["nbg1"], &own).expect("one"), ["own-dear@nbg1"]);
        let shared = MachineChoice { cores: Cores::Shared, ..MachineChoice::default() };
        assert!(choose(WORKER, &["nbg1"], &shared).expect("some").iter().all(|c| !c.starts_with("own")));
    }

    #[test]
    fn a_type_that_cannot_be_had_is_named_with_what_can() {
        assert_eq!(choose(WORKER, &["nbg1"], &asked("good")).expect("it fits"), ["good@nbg1"]);
        for (name, wanted, says) in [
            ("cx41", &["nbg1"][..], "there is no server type `cx41` (any more); fit for this: [\"good\", "),
            (
                "gone",
                &["nbg1"],
                "server type `gone` is no longer sold in [\"nbg1\"] since 2026-01-01; fit for this: [\"good\",",
            ),
            ("overseas", &["nbg1"], "is not sold in [\"nbg1\"], only in [\"ash\"]; fit for this: [\"good\""),
            ("small", &["nbg1"], "has 2 cores, 4 GB, 40 GB disk, x86, but 4 x86 cores, 16 GB, 30 GB disk are needed"),
            ("arm", &["nbg1"], "160 GB disk, arm, but 4 x86 cores"),
            ("flat", &["nbg1"], "20 GB disk, x86, but 4 x86 cores, 16 GB, 30 GB disk"),
        ] {
            let error = choose(WORKER, wanted, &asked(name)).expect_err(name).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_does_not_exist_is_answered_with_what_does() {
        let machines = MachineChoice::default();
        let error = choose(WORKER, &["nowhere"], &machines).expect_err("no such location").to_string();
        assert_eq!(error, "there is no location [\"nowhere\"]; there are [\"nbg1\", \"hel1\", \"ash\"]");
        let huge = Needs { cores: 64, memory: 16 };
        let error = choose(huge, &["hel1"], &machines).expect_err("none so big").to_string();
        assert!(
            error.starts_with("no type with 64 x86 cores, 16 GB, 30 GB disk is sold in [\"hel1\"]; there are ["),
            "{error}"
        );
    }

    #[test]
    fn load_balancers_are_chosen_alike() {
        let now = "2026-11-23T00:00:00Z".parse().expect("a time");
        let wanted = ["nbg1".to_owned(), "hel1".to_owned()];
        let found = balancers(&offers(), &wanted, 3, 10, now).expect("some");
        let found: Vec<String> = found.into_iter().map(|c| format!("{}@{}", c.server_type, c.location)).collect();
        assert_eq!(found, ["lb11@hel1", "lb21@nbg1", "lb-going@nbg1"]);
        let error = balancers(&offers(), &wanted, 50, 10, now).expect_err("none with so many services").to_string();
        assert!(error.ends_with("there are [\"lb21\", \"lb11\", \"lb1\", \"lb-going\"]"), "{error}");
    }
}
