//! Orders machines: the first candidate that the cloud has, with the lease's network, firewall and key; and waits until
//! their actions are done.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Login, Node, NodeRole};
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_ssh::KeyPair;
use serde::Deserialize;

use super::api::{Call, Outcome, rest};
use super::catalogue::Chosen;
use super::choice::{Candidate, Needs, NoChoice, Wanted, candidates};
use super::config::{MachineChoice, Spending};
use super::create::{Created, Kind, PLACEMENT_GROUP, SERVER, actions, create};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::labels;
use super::meter::{Priced, PricedServer};
use super::prices::bounded;
use super::provider::HetznerProvider;
use super::requests::{self, Order, SSH_PORT, server};
use super::retry::Effect;
use super::state::Base;
use super::topology::Member;
use super::wire::{Action, Server, Thing};
use crate::k3s::community::{Folder, Pins, Values};
use crate::k3s::node::{Join, NodePlan, user_data};

/// Most servers of one placement group.
const GROUP: usize = 10;

/// How often a machine whose actions failed is replaced.
pub(crate) const REPLACEMENTS: u32 = 2;

/// What the cloud has refused lately for lack of capacity, by type and location: other machines of the run try it last.
#[derive(Default)]
pub(crate) struct Shortages {
    refused: Mutex<BTreeSet<(String, String)>>,
}

impl Shortages {
    fn note(&self, choice: &Candidate) {
        let key = (choice.server_type.clone(), choice.location.clone());
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// It could be had after all.
    fn over(&self, choice: &Candidate) {
        let key = (choice.server_type.clone(), choice.location.clone());
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// The same candidates, what was refused behind what was not.
    fn last(&self, choices: Vec<Candidate>) -> Vec<Candidate> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (short, open): (Vec<_>, Vec<_>) =
            choices.into_iter().partition(|c| refused.contains(&(c.server_type.clone(), c.location.clone())));
        open.into_iter().chain(short).collect()
    }
}

/// What a server came to after its actions succeeded.
enum Settled {
    /// It runs and has its addresses.
    Runs(Box<Server>),
    /// It is off and stays so.
    Off,
}

/// A machine that was ordered.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) role: Option<NodeRole>,
    pub(crate) host_key: KeyPair,
    pub(crate) digest: Option<String>,
    /// What tells its price.
    pub(crate) priced: Option<Priced>,
}

/// A machine that is to be ordered.
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) role: Option<NodeRole>,
    pub(crate) label: &'static str,
    pub(crate) needs: Needs,
    pub(crate) image: Chosen,
    pub(crate) host_key: KeyPair,
    pub(crate) user_data: String,
    pub(crate) digest: Option<String>,
}

#[derive(Deserialize)]
struct One {
    server: Server,
}

impl HetznerProvider {
    /// Writes the user-data of a node, from the cell's templates.
    pub(crate) fn wish(
        &self,
        cx: &Cx,
        base: &Base,
        member: &Member,
        join: Join,
        tls_sans: Vec<String>,
    ) -> Result<Wish, Failure> {
        let host_key = host_key(cx, &member.name)?;
        let cell = &base.request.cell;
        let site = &base.request.site;
        let (user_data, digest) = match cell.template {
            Template::Gsh => {
                let data = user_data(&NodePlan {
                    role: member.role,
                    os: cell.os,
                    shift: cell.shift,
                    k3s: &cell.k3s,
                    install_url: &self.config.k3s_install_url,
                    join,
                    server_token: base.server_token.expose(),
                    agent_token: base.agent_token.expose(),
                    tls_sans,
                    ca_pem: site.ca_pem.as_deref(),
                    node_registry: &site.node_registry,
                    host_key: &host_key,
                    login: &base.login.public_line,
                })?;
                (data.text, Some(data.digest))
            }
            Template::Community => {
                let folder = Folder::read(self.community()?)?;
                let version = cell.k3s.to_string();
                let trust = site.ca_pem.as_deref().map(|ca| (ca, site.node_registry.as_str()));
                let pins = Pins { host_key: &host_key, login: &base.login.public_line, trust };
                let token = base.server_token.expose();
                let values = |address| Values { server_address: address, join_token: token, k3s_version: &version };
                let text = match &join {
                    Join::First { .. } => folder.manager(&values(""), &pins)?,
                    Join::Server { first, .. } => folder.manager(&values(first), &pins)?,
                    Join::Agent { first } => folder.node(&values(first), &pins)?,
                };
                (text, None)
            }
        };
        Ok(Wish {
            name: member.name.clone(),
            role: Some(member.role),
            label: member.label(),
            needs: member.needs(),
            image: base.image,
            host_key,
            user_data,
            digest,
        })
    }

    /// What can be ordered for a machine, best first.
    async fn choices(&self, cx: &Cx, wish: &Wish) -> Result<Vec<Candidate>, Failure> {
        let expected = format!("something to order for `{}`", wish.name);
        let offers = self.catalogue.offers(&self.api, cx).await.map_err(|e| e.failure(&expected))?;
        // A type given by name is meant for what carries workloads; a control plane or stores take what is cheapest.
        let named = match wish.role {
            Some(NodeRole::ManagerAndWorker | NodeRole::Worker) => self.config.machines.server_type.clone(),
            Some(NodeRole::Manager) | None => None,
        };
        let machines = MachineChoice { server_type: named, ..self.config.machines.clone() };
        let wanted = Wanted {
            locations: &self.config.locations,
            needs: wish.needs,
            disk: wish.image.disk,
            machines: &machines,
            now: jiff::Timestamp::now(),
        };
        let choices = candidates(&offers, &wanted).map_err(|e| nothing(&expected, &e))?;
        let choices = match self.config.spending {
            Spending::Free => choices,
            Spending::Bounded => bounded(&offers, &wanted, choices),
        };
        Ok(self.shortages.last(choices))
    }

    /// Orders a machine where the cloud has one; does not wait for it. Where every candidate is refused for lack of capacity
    /// it comes back to them for a while.
    pub(crate) async fn order(
        &self,
        cx: &Cx,
        base: &Base,
        wish: &Wish,
        group: u64,
    ) -> Result<(Ordered, Vec<Action>), Failure> {
        let expected = format!("the server `{}`", wish.name);
        let request = &base.request;
        let labels = labels::labels(request, &self.config.owner, wish.label);
        let order = Order {
            name: &wish.name,
            image: wish.image.id,
            ssh_key: base.ssh_key,
            network: base.network,
            firewall: base.firewall,
            placement_group: group,
            user_data: &wish.user_data,
            labels: &labels,
        };
        let give_up = tokio::time::Instant::now() + self.config.patience.capacity;
        loop {
            let mut refused = Vec::new();
            for choice in self.choices(cx, wish).await? {
                let body = server(&order, &choice);
                match create::<PricedServer>(&self.api, cx, &request.lease, SERVER, &wish.name, body).await {
                    Ok(Created { thing, actions }) => {
                        self.shortages.over(&choice);
                        let PricedServer { server, priced } = thing;
                        let ordered = Ordered {
                            id: server.id,
                            name: server.name,
                            role: wish.role,
                            host_key: wish.host_key.clone(),
                            digest: wish.digest.clone(),
                            priced,
                        };
                        return Ok((ordered, actions));
                    }
                    Err(e) if e.is_capacity() => {
                        self.shortages.note(&choice);
                        refused.push(format!("{} in {}: {}", choice.server_type, choice.location, e.trouble));
                    }
                    Err(e) => return Err(e.failure(&expected)),
                }
            }
            let pause = self.api.pace().longest;
            if tokio::time::Instant::now() + pause >= give_up {
                let observed = format!("none of {} candidates can be had", refused.len());
                let failure = Failure::environment("GSH-CLOUD-006", expected, observed);
                return Err(refused.into_iter().fold(failure, Failure::cause));
            }
            let n = refused.len();
            cx.note(&format!("no capacity for `{}` in any of {n} candidates: trying again in {pause:?}", wish.name))
                .await;
            if !rest(cx, pause).await {
                return Err(Failure::stopped(expected));
            }
        }
    }

    /// The placement group of the next machine. Groups take ten servers each; the first one is part of the base.
    async fn group(&self, cx: &Cx, base: &Base) -> Result<u64, Failure> {
        let mut groups = base.groups.lock().await;
        let index = groups.placed / GROUP;
        let id = match groups.ids.get(index) {
            Some(id) => *id,
            None => {
                let request = &base.request;
                let name = format!("{}-group-{}", request.lease, index + 1);
                let labels = labels::labels(request, &self.config.owner, "group");
                let body = requests::placement_group(&name, &labels);
                let made = create::<Thing>(&self.api, cx, &request.lease, PLACEMENT_GROUP, &name, body)
                    .await
                    .map_err(|e| e.failure(format!("the placement group `{name}`")))?;
                groups.ids.push(made.thing.id);
                made.thing.id
            }
        };
        groups.placed += 1;
        Ok(id)
    }

    /// Orders a machine and waits until it runs; one whose actions fail, or that is left `off`, is removed and replaced. No
    /// machine that did not come to run is left behind.
    pub(crate) async fn order_and_wait(&self, cx: &Cx, base: &Base, wish: &Wish) -> Result<(Ordered, Server), Failure> {
        let group = self.group(cx, base).await?;
        let mut replaced = 0;
        loop {
            let (ordered, actions) = self.order(cx, base, wish, group).await?;
            let to_run = format!("`{}` to run", wish.name);
            let done = self.actions.finished(&self.api, cx, actions, self.config.patience.actions, Purpose::Work).await;
            let (failure, another) = match done {
                Ok(()) => match self.settled(cx, base, &ordered).await {
                    Ok(Settled::Runs(server)) => return Ok((ordered, *server)),
                    Ok(Settled::Off) => {
                        let observed = "all its actions succeeded, but it stays off";
                        (Failure::environment("GSH-CLOUD-010", &to_run, observed), true)
                    }
                    Err(failure) => (failure, false),
                },
                Err(e) => (e.failure(&to_run), matches!(e.trouble, Trouble::Action { .. })),
            };
            // Release would find it too; but a lease may live on without a machine that it could not get.
            let scrapped = self.scrap(cx, base, &ordered).await;
            if !another || replaced == REPLACEMENTS {
                return Err(failure);
            }
            replaced += 1;
            scrapped.map_err(|e| e.failure(format!("`{}` to be removed", wish.name)))?;
            cx.note(&format!("`{}` is replaced: {}", wish.name, failure.finding.observed)).await;
        }
    }

    /// Removes a machine while its lease lives on. What it has cost stays counted.
    pub(crate) async fn scrap(&self, cx: &Cx, base: &Base, ordered: &Ordered) -> Result<(), ApiError> {
        self.charge_early(cx, &base.request, ordered).await;
        let actions = self.delete(cx, SERVER, ordered.id, Purpose::Teardown).await?;
        self.actions.finished(&self.api, cx, actions, self.config.patience.actions, Purpose::Teardown).await
    }

    /// Waits until a server runs and has its private address.
    async fn settled(&self, cx: &Cx, base: &Base, ordered: &Ordered) -> Result<Settled, Failure> {
        use gsh_engine::wait::{Progress, until};
        let what = format!("`{}` to run with its private address", ordered.name);
        let off_since: Mutex<Option<tokio::time::Instant>> = Mutex::new(None);
        until(cx, &what, self.config.patience.actions, || async {
            let call = Call::get(format!("/servers/{}", ordered.id), Vec::new(), Purpose::Work);
            let One { server } = self.api.read(cx, call).await.map_err(|e| e.failure(&what))?;
            let attached = private(&server, base.network).is_some() && server.public_net.ipv4.is_some();
            let status = server.status.clone();
            if status == "running" && attached {
                return Ok(Progress::Ready(Settled::Runs(Box::new(server))));
            }
            let mut since = off_since.lock().unwrap_or_else(PoisonError::into_inner);
            if status == "off" {
                if since.get_or_insert_with(tokio::time::Instant::now).elapsed() >= self.config.patience.off {
                    return Ok(Progress::Ready(Settled::Off));
                }
            } else {
                *since = None;
            }
            Ok(Progress::NotYet(format!("status {status}, {} private networks", server.private_net.len())))
        })
        .await
        .map_err(|e| e.blame(Blame::Environment, "GSH-CLOUD-010"))
    }

    /// Deletes one thing; gives the actions that do it.
    pub(crate) async fn delete(&self, cx: &Cx, kind: Kind, id: u64, purpose: Purpose) -> Result<Vec<Action>, ApiError> {
        let call = Call {
            method: reqwest::Method::DELETE,
            path: format!("/{}/{id}", kind.many),
            query: Vec::new(),
            body: None,
            effect: Effect::Delete,
            purpose,
        };
        match self.api.send(cx, &call).await? {
            Outcome::Answer(mut value) => Ok(actions(&mut value)),
            Outcome::Gone => Ok(Vec::new()),
            Outcome::LookUp(e) => Err(e),
        }
    }

    /// The node that a running server is.
    pub(crate) fn node(&self, base: &Base, ordered: &Ordered, server: &Server) -> Result<Node, Failure> {
        let public = server.public_net.ipv4.as_ref().map(|a| a.ip).ok_or_else(|| {
            Failure::environment("GSH-CLOUD-015", format!("a public address of `{}`", ordered.name), "none")
        })?;
        Ok(Node {
            name: ordered.name.clone(),
            role: ordered.role.unwrap_or(NodeRole::Worker),
            public,
            private: private(server, base.network),
            inspect: None,
            login: Some(Login {
                address: public,
                port: SSH_PORT,
                user: "root".to_owned(),
                host_key: ordered.host_key.public_line.clone(),
                key: base.login_key.clone(),
            }),
        })
    }
}

/// A choice that cannot be made, as a failure.
pub(crate) fn nothing(expected: &str, why: &NoChoice) -> Failure {
    Failure::environment("GSH-CLOUD-009", expected, why.to_string())
}

/// The address of a server in a network.
pub(crate) fn private(server: &Server, network: u64) -> Option<IpAddr> {
    server.private_net.iter().find(|n| n.network == network).map(|n| n.ip)
}

/// A fresh host key; its private half is a secret from now on.
pub(crate) fn host_key(cx: &Cx, name: &str) -> Result<KeyPair, Failure> {
    let pair = KeyPair::generate(name)
        .map_err(|e| Failure::harness("GSH-NODE-014", "a host key", "it cannot be made").because(&e))?;
    let _registered = cx.secret("host-key", pair.private_pem.clone());
    Ok(pair)
}
