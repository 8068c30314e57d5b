//! What a lease consists of and costs: what the account has of it now, and what was removed before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::future::try_join_all;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::LeaseRequest;
use gsh_model::budget::{Meter, Metered};
use gsh_model::event::EventKind;
use gsh_model::lease::LeaseId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Number, Value};

use super::create::{Kind, LOAD_BALANCER, SERVER, VOLUME};
use super::error::ApiError;
use super::governor::Purpose;
use super::labels;
use super::machines::Ordered;
use super::prices::{Tags, Tariff, gigabytes};
use super::provider::HetznerProvider;
use super::wire::{self, Server};

/// A priced thing of a lease, as listed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Priced {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    created: Timestamp,
    #[serde(default)]
    location: Option<wire::Named>,
    #[serde(default)]
    server_type: Option<Tags>,
    #[serde(default)]
    load_balancer_type: Option<Tags>,
    #[serde(default)]
    public_net: PublicNet,
    #[serde(default)]
    size: Option<Number>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PublicNet {
    ipv4: Option<AddressId>,
}

#[derive(Debug, Clone, Deserialize)]
struct AddressId {
    #[serde(default)]
    id: Option<u64>,
}

/// A server as the answer to its order shows it, with what tells its price: a lack of that is no reason to refuse the machine.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct PricedServer {
    pub(crate) server: Server,
    pub(crate) priced: Option<Priced>,
}

impl TryFrom<Value> for PricedServer {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Ok(Self { priced: Priced::deserialize(&value).ok(), server: Server::deserialize(value)? })
    }
}

/// The machines that leases had and that are gone, with their prices: they have cost an hour at least. Or why nobody knows the
/// price of one of them, and so not that of the lease.
#[derive(Debug, Default)]
pub(crate) struct Scrapped {
    of_leases: Mutex<BTreeMap<LeaseId, Result<Vec<Metered>, Failure>>>,
}

impl Scrapped {
    fn note(&self, lease: &LeaseId, things: Result<Vec<Metered>, Failure>) {
        let mut of_leases = self.of_leases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = of_leases.entry(lease.clone()).or_insert_with(|| Ok(Vec::new()));
        match (known, things) {
            (Ok(known), Ok(things)) => known.extend(things),
            (Err(_), _) => {}
            (known, unknown) => *known = unknown,
        }
    }

    fn of(&self, lease: &LeaseId) -> Result<Vec<Metered>, Failure> {
        let of_leases = self.of_leases.lock().unwrap_or_else(PoisonError::into_inner);
        of_leases.get(lease).cloned().unwrap_or_else(|| Ok(Vec::new()))
    }
}

impl HetznerProvider {
    /// The priced things of a lease: machines with their addresses, load balancers, volumes.
    pub(crate) async fn priced(&self, cx: &Cx, lease: &LeaseId) -> Result<Meter, Failure> {
        let failed = |e: ApiError| e.failure(format!("what `{lease}` consists of"));
        let tariff = self.tariffs.get(&self.api, cx, Purpose::Teardown).await.map_err(failed)?;
        let kinds: [(Kind, &str); 3] = [(SERVER, "server"), (LOAD_BALANCER, "load-balancer"), (VOLUME, "volume")];
        let lists = try_join_all(kinds.iter().map(|(kind, _)| async {
            let query = [("label_selector", labels::of_lease(lease))];
            self.api.list::<Priced>(cx, kind.many, &query, Purpose::Teardown).await
        }));
        let mut meter = Meter::default();
        for (list, (_, word)) in lists.await.map_err(failed)?.into_iter().zip(kinds) {
            for thing in list {
                // A selector that was not understood must not charge us for somebody else's machines.
                if thing.labels.get(labels::LEASE).map(String::as_str) == Some(lease.as_str()) {
                    read(&thing, word, &tariff, &mut meter)?;
                }
            }
        }
        let mut gone = self.scrapped.of(lease)?;
        // A removal that failed has removed nothing.
        gone.retain(|g| meter.things.iter().all(|thing| (&thing.kind, thing.id) != (&g.kind, g.id)));
        meter.things.extend(gone);
        Ok(meter)
    }

    /// What a machine has cost that is about to be removed while its lease lives on. It is recorded at once: a process that
    /// dies after the removal leaves nobody who could find it out. What nobody can price is told instead.
    pub(crate) async fn charge_early(&self, cx: &Cx, request: &LeaseRequest, ordered: &Ordered) {
        let expected = || format!("the price of `{}`", ordered.name);
        let priced = async {
            let thing = ordered.priced.as_ref().ok_or_else(|| {
                Failure::environment("GSH-CLOUD-015", expected(), "the answer to its order does not tell")
            })?;
            let tariff = self.tariffs.get(&self.api, cx, Purpose::Teardown).await.map_err(|e| e.failure(expected()))?;
            let mut meter = Meter::default();
            read(thing, "server", &tariff, &mut meter)?;
            Ok::<_, Failure>(meter)
        };
        match priced.await {
            Ok(mut meter) => {
                let now = Timestamp::now();
                for thing in &mut meter.things {
                    thing.gone = Some(now);
                }
                let (cell, lease) = (request.cell_id.clone(), request.lease.clone());
                cx.record(EventKind::PartCharged { cell, lease, bill: meter.read(now) }).await;
                self.scrapped.note(&request.lease, Ok(meter.things));
            }
            Err(failure) => {
                cx.note(&format!("what `{}` has cost could not be found out: {failure}", ordered.name)).await;
                self.scrapped.note(&request.lease, Err(failure));
            }
        }
    }
}

fn read(thing: &Priced, kind: &str, tariff: &Tariff, meter: &mut Meter) -> Result<(), Failure> {
    let location = thing.location.as_ref().map(|l| l.name.as_str()).unwrap_or_default();
    let tags = thing.server_type.as_ref().or(thing.load_balancer_type.as_ref());
    let price = match (&thing.size, tags) {
        (_, Some(tags)) => tags.at(location),
        (Some(size), None) => tariff.volume(gigabytes(size)),
        (None, None) => None,
    };
    let price = price.ok_or_else(|| {
        let expected = format!("the price of {kind} `{}` in `{location}`", thing.name);
        Failure::environment("GSH-CLOUD-015", expected, "the account names none")
    })?;
    let metered = |kind: &str, id, price| Metered {
        kind: kind.to_owned(),
        id,
        name: thing.name.clone(),
        created: thing.created,
        gone: None,
        price,
    };
    meter.things.push(metered(kind, thing.id, price));
    // Load balancers have their address in their price.
    let own = thing.server_type.as_ref().and(thing.public_net.ipv4.as_ref()).and_then(|a| a.id);
    if let (Some(id), Some(price)) = (own, tariff.address("ipv4", location)) {
        meter.things.push(metered("primary-ip", id, price));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gsh_model::budget::Price;

    use super::*;

    #[test]
    fn one_machine_without_a_price_makes_the_cost_of_its_lease_unknown() {
        let lease: LeaseId = "g7f3a-c1-a1".parse().expect("a lease id");
        let thing = |id| Metered {
            kind: "server".to_owned(),
            id,
            name: "n".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            gone: None,
            price: Price::default(),
        };
        let scrapped = Scrapped::default();
        assert_eq!(scrapped.of(&lease).map(|all| all.len()).ok(), Some(0));
        scrapped.note(&lease, Ok(vec![thing(1)]));
        scrapped.note(&lease, Ok(vec![thing(2)]));
        assert_eq!(scrapped.of(&lease).map(|all| all.len()).ok(), Some(2));
        scrapped.note(&lease, Err(Failure::environment("GSH-CLOUD-015", "a price", "none")));
        scrapped.note(&lease, Ok(vec![thing(3)]));
        assert!(scrapped.of(&lease).is_err(), "a later one does not make up for it");
    }
}
