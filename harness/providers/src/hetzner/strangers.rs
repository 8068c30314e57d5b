//! What a cluster made for itself in our account: servers of an autoscaler, load balancers of a cloud controller, volumes
//! of a CSI driver. They carry no label of ours, so nobody would find them once the cluster is gone.
//!
//! They are found by reference only: a network, a server of the lease names what is attached to it. Before anything is
//! removed they are given the lease's labels; from then on they are found like everything else, also after a crash.
//!
//! What cannot be looked at keeps what names it alive: with a server that is gone nothing would tell of its volumes.
//!
//! **Invariant:** only what carries the mark of such a controller is taken over. Somebody's own volume that hangs on one
//! of our machines stays, and is told.

use std::collections::{BTreeMap, BTreeSet};

use gsh_engine::cx::Cx;
use gsh_model::lease::LeaseId;
use reqwest::Method;

use super::api::{Call, decode};
use super::create::{Kind, LOAD_BALANCER, NETWORK, SERVER, VOLUME};
use super::error::ApiError;
use super::governor::Purpose;
use super::labels;
use super::provider::HetznerProvider;
use super::release::{Found, kind_of};
use super::retry::Effect;
use super::wire::Thing;

/// Label of servers that the cluster autoscaler made; its value is the pool.
const NODE_GROUP: &str = "hcloud/node-group";
/// Label of load balancers that the cloud controller made.
const SERVICE: &str = "hcloud-ccm/service-uid";
/// Label of volumes that the CSI driver made, and its value.
const MANAGED_BY: (&str, &str) = ("managed-by", "csi-driver");

/// Whose a stranger is.
enum Taken {
    /// The lease's; it names these.
    Ours(Vec<Key>),
    /// Somebody else's, or gone.
    NotOurs,
}

/// Role of what was taken over.
const FROM_INSIDE: &str = "made-inside";

fn is_marked(kind: Kind, labels: &BTreeMap<String, String>) -> bool {
    if kind == SERVER {
        labels.contains_key(NODE_GROUP)
    } else if kind == LOAD_BALANCER {
        labels.contains_key(SERVICE)
    } else {
        labels.get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1)
    }
}

/// A kind by the name of its list, and a number.
pub(crate) type Key = (&'static str, u64);

/// What came of looking for strangers.
#[derive(Debug, Default)]
pub(crate) struct TakenOver {
    /// Whether there was anything: the lease's list is longer now.
    pub(crate) any: bool,
    /// What names something that could not be looked at or labelled, and so must stay for now: it is the only trace.
    pub(crate) held: BTreeSet<Key>,
    /// Why it could not be.
    pub(crate) trouble: Option<ApiError>,
}

impl HetznerProvider {
    /// Gives the lease's labels to what its cluster made.
    pub(crate) async fn take_over(&self, cx: &Cx, lease: &LeaseId, found: &[Found]) -> TakenOver {
        let mut taken = TakenOver::default();
        let Some(ours) = found.iter().map(|f| &f.thing.labels).max_by_key(|l| l.get(labels::EXPIRES)) else {
            return taken;
        };
        let mut seen: BTreeSet<Key> = found.iter().map(|f| (kind_of(f).many, f.thing.id)).collect();
        let mut named: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
        for one in found {
            for key in named_by(kind_of(one), &one.thing) {
                named.entry(key).or_default().insert((kind_of(one).many, one.thing.id));
            }
        }
        while let Some((key, by)) = named.pop_first() {
            if !seen.insert(key) {
                continue;
            }
            match self.take_over_one(cx, lease, key, ours).await {
                Ok(Taken::Ours(more)) => {
                    taken.any = true;
                    for next in more {
                        named.entry(next).or_default().insert(key);
                    }
                }
                Ok(Taken::NotOurs) => {}
                Err(e) => {
                    taken.held.extend(by);
                    taken.trouble = taken.trouble.or(Some(e));
                }
            }
        }
        taken
    }

    async fn take_over_one(
        &self,
        cx: &Cx,
        lease: &LeaseId,
        (many, id): Key,
        ours: &BTreeMap<String, String>,
    ) -> Result<Taken, ApiError> {
        let Some(kind) = [SERVER, LOAD_BALANCER, VOLUME].into_iter().find(|k| k.many == many) else {
            return Ok(Taken::NotOurs);
        };
        let Some(thing) = self.one(cx, kind, id).await? else { return Ok(Taken::NotOurs) };
        let name = thing.name.clone().unwrap_or_default();
        match thing.labels.get(labels::LEASE) {
            // Made between two of our lists.
            Some(owner) if owner == lease.as_str() => Ok(Taken::Ours(Vec::new())),
            Some(_) => Ok(Taken::NotOurs),
            None if is_marked(kind, &thing.labels) => {
                self.label(cx, kind, &thing, ours).await?;
                cx.note(&format!("{} `{name}` ({id}) was made from inside the cluster; it is removed too", kind.one))
                    .await;
                Ok(Taken::Ours(named_by(kind, &thing)))
            }
            None => {
                cx.note(&format!(
                    "{} `{name}` ({id}) is attached to {lease}, but nothing says that its cluster made it; it stays",
                    kind.one
                ))
                .await;
                Ok(Taken::NotOurs)
            }
        }
    }

    async fn one(&self, cx: &Cx, kind: Kind, id: u64) -> Result<Option<Thing>, ApiError> {
        let call = Call::get(format!("/{}/{id}", kind.many), Vec::new(), Purpose::Teardown);
        match self.api.read::<serde_json::Value>(cx, call).await {
            Ok(mut answer) => {
                let thing = answer.get_mut(kind.one).map(serde_json::Value::take).unwrap_or_default();
                decode(&format!("GET /{}", kind.many), thing).map(Some)
            }
            Err(e) if e.code() == Some("not_found") => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn label(&self, cx: &Cx, kind: Kind, thing: &Thing, ours: &BTreeMap<String, String>) -> Result<(), ApiError> {
        // Labels are replaced as a whole set: what it carries stays.
        let mut all = thing.labels.clone();
        for name in [labels::RUN, labels::LEASE, labels::EXPIRES, labels::OWNER] {
            if let Some(value) = ours.get(name) {
                all.insert(name.to_owned(), value.clone());
            }
        }
        all.insert(labels::ROLE.to_owned(), FROM_INSIDE.to_owned());
        let call = Call {
            method: Method::PUT,
            path: format!("/{}/{}", kind.many, thing.id),
            query: Vec::new(),
            body: Some(serde_json::json!({"labels": all})),
            // Like a removal, doing it twice is doing it once, and what is gone needs no label.
            effect: Effect::Delete,
            purpose: Purpose::Teardown,
        };
        self.api.send(cx, &call).await.map(drop)
    }
}

/// What a thing says is attached to it.
fn named_by(kind: Kind, thing: &Thing) -> Vec<Key> {
    let of = |kind: Kind, ids: &[u64]| ids.iter().map(move |id| (kind.many, *id)).collect::<Vec<_>>();
    if kind == NETWORK {
        [of(SERVER, &thing.servers), of(LOAD_BALANCER, &thing.load_balancers)].concat()
    } else if kind == SERVER {
        [of(LOAD_BALANCER, &thing.load_balancers), of(VOLUME, &thing.volumes)].concat()
    } else {
        Vec::new()
    }
}
