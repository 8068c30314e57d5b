//! Creates something with a name of its own, exactly once: when the answer to a create is lost, the thing is looked up by
//! its name and our label before the create is repeated.

use gsh_engine::cx::Cx;
use gsh_model::lease::LeaseId;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::{Api, Call, Outcome, decode, rest};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::labels;
use super::retry::Effect;
use super::wire::{Action, Thing};

/// A kind of resource with a name: what wraps many and one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `servers`: path and key of the list.
    pub(crate) many: &'static str,
    /// `server`: key of one.
    pub(crate) one: &'static str,
    /// Whether making one starts actions.
    pub(crate) acts: Acts,
}

/// Whether making a thing of a kind starts actions, which can then be listed under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acts {
    /// It does.
    Yes,
    /// It is there at once.
    No,
}

const fn kind(many: &'static str, one: &'static str, acts: Acts) -> Kind {
    Kind { many, one, acts }
}

pub(crate) const SERVER: Kind = kind("servers", "server", Acts::Yes);
pub(crate) const LOAD_BALANCER: Kind = kind("load_balancers", "load_balancer", Acts::Yes);
pub(crate) const FIREWALL: Kind = kind("firewalls", "firewall", Acts::Yes);
pub(crate) const VOLUME: Kind = kind("volumes", "volume", Acts::Yes);
pub(crate) const PRIMARY_IP: Kind = kind("primary_ips", "primary_ip", Acts::Yes);
pub(crate) const NETWORK: Kind = kind("networks", "network", Acts::No);
pub(crate) const PLACEMENT_GROUP: Kind = kind("placement_groups", "placement_group", Acts::No);
pub(crate) const SSH_KEY: Kind = kind("ssh_keys", "ssh_key", Acts::No);
pub(crate) const IMAGE: Kind = kind("images", "image", Acts::No);

/// Something that exists now.
#[derive(Debug)]
pub(crate) struct Created<T> {
    /// What the API says about it.
    pub(crate) thing: T,
    /// Actions that were started for it, in the order in which they run.
    pub(crate) actions: Vec<Action>,
}

/// How often a create is repeated after a lookup that found nothing.
const REPEATS: u32 = 3;

/// Creates it, or finds it when it turns out to exist already.
pub(crate) async fn create<T: DeserializeOwned>(
    api: &Api,
    cx: &Cx,
    lease: &LeaseId,
    kind: Kind,
    name: &str,
    body: Value,
) -> Result<Created<T>, ApiError> {
    let call = Call {
        method: Method::POST,
        path: format!("/{}", kind.many),
        query: Vec::new(),
        body: Some(body),
        effect: Effect::Create,
        purpose: Purpose::Work,
    };
    let label = format!("POST /{}", kind.many);
    let mut lost = None;
    for n in 0..=REPEATS {
        // A name stays taken for a moment after its owner was deleted, and what broke down needs one too.
        if n > 0 && !rest(cx, api.pace().pause(n)).await {
            return Err(ApiError::silent(label, Trouble::Stopped));
        }
        let error = match api.send(cx, &call).await? {
            Outcome::Answer(mut answer) => match decode(&label, answer.get(kind.one).cloned().unwrap_or_default()) {
                Ok(thing) => return Ok(Created { thing, actions: actions(&mut answer) }),
                Err(e) => e,
            },
            Outcome::LookUp(e) => e,
            Outcome::Gone => continue,
        };
        if let Some(created) = look_up(api, cx, lease, kind, name).await? {
            return Ok(created);
        }
        lost = Some(error);
    }
    Err(lost.unwrap_or_else(|| {
        ApiError::silent(label, Trouble::Garbled { status: 200, reason: format!("no `{}`", kind.one) })
    }))
}

/// Finds a thing of this lease by its name, with the actions that were started for it.
async fn look_up<T: DeserializeOwned>(
    api: &Api,
    cx: &Cx,
    lease: &LeaseId,
    kind: Kind,
    name: &str,
) -> Result<Option<Created<T>>, ApiError> {
    let call = format!("GET /{}", kind.many);
    let found: Vec<Value> = api.list(cx, kind.many, &[("name", name.to_owned())], Purpose::Work).await?;
    for value in found {
        let thing: Thing = decode(&call, value.clone())?;
        if thing.name.as_deref() != Some(name) {
            continue;
        }
        if thing.labels.get(labels::LEASE).map(String::as_str) != Some(lease.as_str()) {
            return Err(ApiError::silent(call, Trouble::ForeignName { name: name.to_owned() }));
        }
        let actions = match kind.acts {
            Acts::Yes => started(api, cx, kind, thing.id).await?,
            Acts::No => Vec::new(),
        };
        return Ok(Some(Created { thing: decode(&call, value)?, actions }));
    }
    Ok(None)
}

/// The actions of a thing that is as new as it can be: all of them belong to its making. Without them a server whose start
/// failed would only look as if it took long.
async fn started(api: &Api, cx: &Cx, kind: Kind, id: u64) -> Result<Vec<Action>, ApiError> {
    let query = vec![("sort", "id:asc".to_owned()), ("per_page", "50".to_owned())];
    let call = Call::get(format!("/{}/{id}/actions", kind.many), query, Purpose::Work);
    let mut answer: Value = api.read(cx, call).await?;
    Ok(actions(&mut answer))
}

/// The actions of an answer, in the order in which they run. A shape that is not understood means none: the state of the
/// thing itself is looked at anyway.
pub(crate) fn actions(answer: &mut Value) -> Vec<Action> {
    let mut all: Vec<Action> = Vec::new();
    if let Some(action) = answer.get_mut("action").map(Value::take).filter(|a| !a.is_null()) {
        all.extend(serde_json::from_value::<Action>(action));
    }
    for key in ["next_actions", "actions"] {
        let list = answer.get_mut(key).map(Value::take).unwrap_or_default();
        all.extend(serde_json::from_value::<Vec<Action>>(list).unwrap_or_default());
    }
    all
}
