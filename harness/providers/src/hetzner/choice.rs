//! Chooses what to order by what is needed: never by a name, because names come and go. Pure.

use jiff::Timestamp;

use super::catalogue::{ARCHITECTURE, Offers};

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

/// Something that can be ordered somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) server_type: String,
    pub(crate) location: String,
    pub(crate) zone: String,
    /// Net euro cents per month.
    pub(crate) cents: u64,
}

/// What to try, in this order: what is said to be available before what is not, the cheapest first, then by the order of
/// locations. All in the network zone of the first location that exists, because a network does not leave its zone.
pub(crate) fn candidates(offers: &Offers, wanted: &[String], needs: Needs, now: Timestamp) -> Vec<Candidate> {
    let zone_of = |name: &str| offers.locations.iter().find(|l| l.name == name).map(|l| l.network_zone.clone());
    let Some(zone) = wanted.iter().find_map(|name| zone_of(name)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for server_type in &offers.server_types {
        let fits = server_type.architecture == ARCHITECTURE
            && server_type.cores >= needs.cores
            && server_type.memory >= f64::from(needs.memory);
        if !fits {
            continue;
        }
        for (rank, location) in wanted.iter().enumerate() {
            if zone_of(location).as_ref() != Some(&zone) {
                continue;
            }
            let price = server_type.prices.iter().find(|p| p.location == *location).and_then(super::wire::Price::cents);
            let Some(cents) = price else {
                continue;
            };
            let there = server_type.locations.iter().find(|l| l.name == *location);
            let retired = there
                .and_then(|l| l.deprecation.as_ref())
                .and_then(|d| d.unavailable_after)
                .is_some_and(|after| after <= now);
            if retired {
                continue;
            }
            // A hint only: orders for what is "available" fail too, and the other way round.
            let doubtful = there.and_then(|l| l.available) == Some(false);
            let candidate = Candidate {
                server_type: server_type.name.clone(),
                location: location.clone(),
                zone: zone.clone(),
                cents,
            };
            found.push(((doubtful, cents, rank, server_type.name.clone()), candidate));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The cheapest load balancer type with enough services and targets in a location.
pub(crate) fn load_balancer_type(offers: &Offers, location: &str, services: u32, targets: u32) -> Option<String> {
    offers
        .load_balancer_types
        .iter()
        .filter(|t| t.max_services >= services && t.max_targets >= targets)
        .filter_map(|t| {
            let price = t.prices.iter().find(|p| p.location == location)?;
            Some((price.cents()?, t.name.clone()))
        })
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers() -> Offers {
        let kind = |name: &str, cores: u32, memory: u32, arch: &str, cents: u32, locations: serde_json::Value| {
            let euros = f64::from(cents) / 100.0;
            let places: Vec<String> = locations
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|l| l["name"].as_str().map(str::to_owned))
                .collect();
            let prices: Vec<_> = places
                .iter()
                .map(|l| serde_json::json!({"location": l, "price_monthly": {"net": format!("{euros:.10}")}}))
                .collect();
            serde_json::from_value(serde_json::json!({
                "name": name, "cores": cores, "memory": memory, "architecture": arch,
                "prices": prices, "locations": locations,
            }))
            .expect("a server type")
        };
        let eu = serde_json::json!([{"name": "nbg1"}, {"name": "hel1"}]);
        Offers {
            server_types: vec![
                kind("small", 2, 4, "x86", 549, eu.clone()),
                kind("dear", 8, 32, "x86", 13849, eu.clone()),
                kind("arm", 8, 16, "arm", 2099, eu.clone()),
                kind("good", 8, 16, "x86", 1599, eu.clone()),
                kind(
                    "hinted",
                    8,
                    16,
                    "x86",
                    1499,
                    serde_json::json!([{"name": "nbg1", "available": false}, {"name": "hel1", "available": true}]),
                ),
                kind(
                    "gone",
                    8,
                    16,
                    "x86",
                    999,
                    serde_json::json!([{"name": "nbg1", "deprecation": {"unavailable_after": "2026-01-01T00:00:00Z"}}]),
                ),
                kind("overseas", 8, 16, "x86", 1, serde_json::json!([{"name": "ash"}])),
            ],
            load_balancer_types: Vec::new(),
            locations: serde_json::from_value(serde_json::json!([
                {"name": "nbg1", "network_zone": "eu-central"},
                {"name": "hel1", "network_zone": "eu-central"},
                {"name": "ash", "network_zone": "us-east"},
            ]))
            .expect("locations"),
        }
    }

    fn names(needs: Needs, wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|l| (*l).to_owned()).collect();
        let now = "2026-11-23T00:00:00Z".parse().expect("a time");
        candidates(&offers(), &wanted, needs, now)
            .into_iter()
            .map(|c| format!("{}@{}", c.server_type, c.location))
            .collect()
    }

    #[test]
    fn the_cheapest_that_fits_comes_first_and_hints_only_order() {
        assert_eq!(
            names(WORKER, &["nbg1", "hel1", "ash"]),
            ["hinted@hel1", "good@nbg1", "good@hel1", "dear@nbg1", "dear@hel1", "hinted@nbg1"]
        );
        assert_eq!(names(MANAGER, &["hel1"])[0], "small@hel1");
    }

    #[test]
    fn another_zone_is_never_mixed_in() {
        assert_eq!(names(WORKER, &["ash", "nbg1"]), ["overseas@ash"]);
        assert!(names(WORKER, &["nowhere"]).is_empty());
    }
}
