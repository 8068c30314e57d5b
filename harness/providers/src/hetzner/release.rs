//! Removes everything of a lease, found by label alone, and proves by listing that nothing is left. Works after a crash.
//!
//! **Invariant:** every list here carries a label selector of ours. Nothing is deleted that was not in such a list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{FoundLease, ReleaseFailure, Released};
use gsh_model::lease::{LeaseId, Resource, RunId};
use jiff::Timestamp;

use super::api::rest;
use super::create::{
    FIREWALL, IMAGE, Kind, LOAD_BALANCER, NETWORK, PLACEMENT_GROUP, PRIMARY_IP, SERVER, SSH_KEY, VOLUME,
};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::labels;
use super::prices::{cents_a_month, gigabytes};
use super::provider::HetznerProvider;
use super::strangers::{Key, TakenOver};
use super::wire::Thing;

/// Every kind that can carry our labels, in the order in which they can be removed, with the word for it in records.
const KINDS: [(Kind, &str); 9] = [
    (LOAD_BALANCER, "load-balancer"),
    (SERVER, "server"),
    (VOLUME, "volume"),
    (PRIMARY_IP, "primary-ip"),
    (PLACEMENT_GROUP, "placement-group"),
    (FIREWALL, "firewall"),
    (NETWORK, "network"),
    (SSH_KEY, "ssh-key"),
    (IMAGE, "image"),
];

/// How often the whole is gone through before what is left counts as left.
const PASSES: u32 = 6;
/// After how many passes that changed nothing what is protected counts as left: only a person can take that off.
const PROTECTED: u32 = 2;
/// The shortest pause between two passes while something is locked. A lock ends when its action does, which may take
/// minutes; it costs a pass of requests to find that out.
const LOCKED: Duration = Duration::from_millis(500);

/// Something found, with where it stands in [`KINDS`].
#[derive(Debug, Clone)]
pub(crate) struct Found {
    rank: usize,
    pub(crate) thing: Thing,
}

/// What kind of thing was found.
pub(crate) fn kind_of(found: &Found) -> Kind {
    KINDS[found.rank].0
}

/// What there is of a lease.
struct Look {
    found: Vec<Found>,
    /// What must stay for now, because it names something that could not be looked at; and why that could not be.
    held: BTreeSet<Key>,
    unseen: Option<ApiError>,
}

/// Whether something must stay for now: it is held, or in use by a server that is.
fn stays(found: &Found, held: &BTreeSet<Key>) -> bool {
    let kind = kind_of(found);
    held.contains(&(kind.many, found.thing.id))
        || ([PRIMARY_IP, PLACEMENT_GROUP, FIREWALL, NETWORK].contains(&kind)
            && held.iter().any(|(many, _)| *many == SERVER.many))
}

/// What is listed: never everything.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    /// Everything of one lease.
    Lease(&'a LeaseId),
    /// Everything of one run, or of any run of ours.
    Run(Option<&'a RunId>),
}

impl Scope<'_> {
    fn selector(self) -> String {
        match self {
            Self::Lease(lease) => labels::of_lease(lease),
            Self::Run(run) => labels::of_run(run),
        }
    }

    /// Whether something with these labels belongs to it.
    fn holds(self, labels: &BTreeMap<String, String>) -> bool {
        let label = |name: &str| labels.get(name).map(String::as_str);
        match self {
            Self::Lease(lease) => label(labels::LEASE) == Some(lease.as_str()),
            Self::Run(Some(run)) => label(labels::RUN) == Some(run.as_str()) && label(labels::LEASE).is_some(),
            Self::Run(None) => label(labels::RUN).is_some() && label(labels::LEASE).is_some(),
        }
    }
}

impl HetznerProvider {
    pub(crate) async fn remove(&self, cx: &Cx, lease: &LeaseId) -> Result<Released, ReleaseFailure> {
        let scope = Scope::Lease(lease);
        let mut removed: Vec<Resource> = Vec::new();
        let mut trouble: Option<ApiError> = None;
        let (mut pass, mut counted) = (0, 0);
        let (mut before, mut unchanged) = (Vec::new(), 0);
        while counted < PASSES {
            let Look { found, held, unseen } = match self.all_of(cx, lease).await {
                Ok(look) => look,
                Err(e) => {
                    let failure = e.failure(format!("a list of what is left of `{lease}`"));
                    return Err(ReleaseFailure { left: Vec::new(), failure });
                }
            };
            if found.is_empty() {
                self.leases.forget(lease);
                return Ok(Released { removed });
            }
            let there: Vec<(usize, u64)> = found.iter().map(|f| (f.rank, f.thing.id)).collect();
            let protected = trouble.as_ref().is_some_and(ApiError::is_protected);
            unchanged = if protected && before == there { unchanged + 1 } else { 0 };
            before = there;
            if unchanged >= PROTECTED {
                break;
            }
            // Out of time, what is left is worth more than another try: it must be told.
            let locked = trouble.as_ref().is_some_and(ApiError::is_locked);
            let shortest = if locked { LOCKED } else { Duration::ZERO };
            if pass > 0 && (cx.left().is_zero() || !rest(cx, self.config.pace.pause(pass).max(shortest)).await) {
                break;
            }
            let now: Vec<Found> = found.into_iter().filter(|f| !stays(f, &held)).collect();
            trouble = self.sweep_once(cx, &now).await.err().or(unseen);
            pass += 1;
            // Waiting for a lock is bounded by the time for teardown alone: what is locked will be free.
            if !trouble.as_ref().is_some_and(ApiError::is_locked) {
                counted += 1;
            }
            for found in &now {
                let resource = self.resource(found);
                if !removed.contains(&resource) {
                    removed.push(resource);
                }
            }
        }
        let left: Vec<Resource> = match self.labelled(cx, scope).await {
            Ok(left) if left.is_empty() => {
                self.leases.forget(lease);
                return Ok(Released { removed });
            }
            Ok(left) => left.iter().map(|found| self.resource(found)).collect(),
            Err(_unknown) => Vec::new(),
        };
        let expected = format!("nothing left of `{lease}`");
        let failure = match trouble {
            Some(e) => e.failure(expected),
            None => {
                Failure::environment("GSH-CLOUD-012", expected, "something stays, although its removal is accepted")
            }
        };
        Err(ReleaseFailure { left, failure })
    }

    /// Everything of a lease, with what its cluster made for itself.
    async fn all_of(&self, cx: &Cx, lease: &LeaseId) -> Result<Look, ApiError> {
        let mut found = self.labelled(cx, Scope::Lease(lease)).await?;
        let TakenOver { any, held, trouble } = self.take_over(cx, lease, &found).await;
        if let Some(e) = &trouble {
            // What does not name it is removed all the same; the next pass looks again.
            cx.note(&format!("what the cluster of {lease} made for itself cannot be found out: {}", e.trouble)).await;
        }
        if any {
            found = self.labelled(cx, Scope::Lease(lease)).await?;
        }
        Ok(Look { found, held, unseen: trouble })
    }

    /// Goes through the kinds in order; things of one kind at once. Trouble with one thing keeps no other from being removed.
    async fn sweep_once(&self, cx: &Cx, found: &[Found]) -> Result<(), ApiError> {
        let mut trouble = None;
        for (rank, (kind, _)) in KINDS.iter().enumerate() {
            let of_kind = found.iter().filter(|f| f.rank == rank);
            let deleted = join_all(of_kind.map(|f| self.delete(cx, *kind, f.thing.id, Purpose::Teardown))).await;
            let mut actions = Vec::new();
            for deleted in deleted {
                match deleted {
                    Ok(started) => actions.extend(started),
                    Err(e) => trouble = trouble.or(Some(e)),
                }
            }
            let patience = self.config.patience.actions;
            if let Err(e) = self.actions.finished(&self.api, cx, actions, patience, Purpose::Teardown).await {
                trouble = trouble.or(Some(e));
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Everything of a scope, in the order of removal.
    async fn labelled(&self, cx: &Cx, scope: Scope<'_>) -> Result<Vec<Found>, ApiError> {
        let selector = scope.selector();
        let lists = join_all(KINDS.iter().map(|(kind, _)| async {
            let mut query = vec![("label_selector", selector.clone())];
            if *kind == IMAGE {
                query.push(("type", "snapshot".to_owned()));
            }
            self.api.list::<Thing>(cx, kind.many, &query, Purpose::Teardown).await
        }))
        .await;
        let mut found = Vec::new();
        for (rank, list) in lists.into_iter().enumerate() {
            let list = list?;
            // Belt and braces: a selector that was not understood must not become "everything", nor another lease; and labels
            // that got lost must not become "nothing left".
            if let Some(foreign) = list.iter().find(|thing| !scope.holds(&thing.labels)) {
                let call = format!("GET /{}", KINDS[rank].0.many);
                let reason = format!("{} was not asked for, the label selector was `{selector}`", foreign.id);
                return Err(ApiError::silent(call, Trouble::Garbled { status: 200, reason }));
            }
            found.extend(list.into_iter().map(|thing| Found { rank, thing }));
        }
        Ok(found)
    }

    pub(crate) async fn search(&self, cx: &Cx, run: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        let found =
            self.labelled(cx, Scope::Run(run)).await.map_err(|e| e.failure("a list of everything with our labels"))?;
        if found.iter().any(|f| [VOLUME, PRIMARY_IP, IMAGE].contains(&kind_of(f))) {
            // Only to name their price; what is left is told also without.
            let _unpriced = self.tariffs.get(&self.api, cx, Purpose::Teardown).await;
        }
        let mut leases: BTreeMap<LeaseId, FoundLease> = BTreeMap::new();
        for found in found {
            let label = |name: &str| found.thing.labels.get(name).map(String::as_str).unwrap_or_default();
            // What does not parse was not made by us, whatever it calls itself.
            let (Ok(run), Ok(lease)) = (label(labels::RUN).parse::<RunId>(), label(labels::LEASE).parse::<LeaseId>())
            else {
                continue;
            };
            let Some(expires) = label(labels::EXPIRES).parse().ok().and_then(|s| Timestamp::from_second(s).ok()) else {
                continue;
            };
            let owner = Some(label(labels::OWNER)).filter(|owner| !owner.is_empty()).map(str::to_owned);
            let entry = leases.entry(lease.clone()).or_insert(FoundLease {
                run,
                lease,
                expires,
                owner: None,
                resources: Vec::new(),
            });
            entry.owner = entry.owner.take().or(owner);
            // Grown nodes may have been given more time: the latest expiry counts for the whole.
            entry.expires = entry.expires.max(expires);
            entry.resources.push(self.resource(&found));
        }
        Ok(leases.into_values().collect())
    }
}

impl HetznerProvider {
    fn resource(&self, found: &Found) -> Resource {
        let thing = &found.thing;
        let place = thing.location.as_ref().map(|l| l.name.as_str()).unwrap_or_default();
        let prices = thing.server_type.iter().chain(&thing.load_balancer_type).flat_map(|p| &p.prices);
        let own = prices.into_iter().find(|p| p.location == place).and_then(super::wire::Price::cents);
        let kind = kind_of(found);
        let listed = self.tariffs.known().and_then(|tariff| {
            let price = if kind == VOLUME {
                tariff.volume(thing.size.as_ref().map(gigabytes)?)
            } else if kind == IMAGE {
                tariff.image(thing.image_size.as_ref().map(gigabytes)?)
            } else if kind == PRIMARY_IP {
                tariff.address(thing.kind.as_deref()?, place)
            } else {
                None
            };
            price.map(cents_a_month)
        });
        Resource {
            kind: KINDS[found.rank].1.to_owned(),
            id: thing.id,
            name: thing.name.clone().unwrap_or_default(),
            cents_per_month: own.or(listed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_selector_that_was_not_understood_is_not_believed() {
        let lease: LeaseId = "g7f3a-c1-a1".parse().expect("a lease id");
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let ours = of(&[(labels::RUN, "r"), (labels::LEASE, "g7f3a-c1-a1")]);
        let neighbour = of(&[(labels::RUN, "r"), (labels::LEASE, "g7f3a-c2-a1")]);
        let foreign = of(&[("role", "worker")]);
        assert!(Scope::Lease(&lease).holds(&ours));
        assert!(!Scope::Lease(&lease).holds(&neighbour) && !Scope::Lease(&lease).holds(&foreign));
        assert!(Scope::Run(None).holds(&neighbour) && !Scope::Run(None).holds(&foreign));
    }
}
