//! Orders machines: the first candidate that the cloud has, with the lease's network, firewall and key; and waits until
//! their actions are done.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Login, Node, NodeRole};
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_ssh::KeyPair;
use serde::Deserialize;

use super::actions::finished;
use super::api::Call;
use super::choice::{Needs, candidates};
use super::create::{Created, SERVER, create};
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::labels;
use super::provider::HetznerProvider;
use super::requests::{Order, SSH_PORT, server};
use super::retry::Effect;
use super::state::Base;
use super::topology::Member;
use super::wire::{Action, Server};
use crate::k3s::community::{Folder, Pins, Values};
use crate::k3s::node::{Join, NodePlan, user_data};

/// Most servers of one placement group.
const GROUP: u32 = 10;

/// How often a machine whose actions failed is replaced.
const REPLACEMENTS: u32 = 2;

/// A machine that was ordered.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) role: Option<NodeRole>,
    pub(crate) host_key: KeyPair,
    pub(crate) digest: Option<String>,
}

/// A machine that is to be ordered.
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) role: Option<NodeRole>,
    pub(crate) label: &'static str,
    pub(crate) needs: Needs,
    pub(crate) image: u64,
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

    /// Orders a machine where the cloud has one; does not wait for it.
    pub(crate) async fn order(&self, cx: &Cx, base: &Base, wish: &Wish) -> Result<(Ordered, Vec<Action>), Failure> {
        let expected = format!("the server `{}`", wish.name);
        let offers = self.catalogue.offers(&self.api, cx).await.map_err(|e| e.failure(&expected))?;
        let choices = candidates(&offers, &self.config.locations, wish.needs, jiff::Timestamp::now());
        let request = &base.request;
        let labels = labels::labels(&request.run, &request.lease, request.expires, wish.label);
        let group = base.placed.fetch_add(1, Ordering::Relaxed) < GROUP;
        let order = Order {
            name: &wish.name,
            image: wish.image,
            ssh_key: base.ssh_key,
            network: base.network,
            firewall: base.firewall,
            placement_group: group.then_some(base.placement_group),
            user_data: &wish.user_data,
            labels: &labels,
        };
        let mut refused = Vec::new();
        for choice in &choices {
            let body = server(&order, choice);
            match create::<Server>(&self.api, cx, &request.lease, SERVER, &wish.name, body).await {
                Ok(Created { thing, actions }) => {
                    let ordered = Ordered {
                        id: thing.id,
                        name: thing.name,
                        role: wish.role,
                        host_key: wish.host_key.clone(),
                        digest: wish.digest.clone(),
                    };
                    return Ok((ordered, actions));
                }
                Err(e) if e.is_capacity() => {
                    refused.push(format!("{} in {}: {}", choice.server_type, choice.location, e.trouble));
                }
                Err(e) => return Err(e.failure(&expected)),
            }
        }
        if choices.is_empty() {
            let Needs { cores, memory } = wish.needs;
            let expected = format!("a server type with {cores} cores and {memory} GB in {:?}", self.config.locations);
            return Err(Failure::environment("GSH-CLOUD-009", expected, "the catalogue has none"));
        }
        let observed = format!("none of {} candidates can be had", choices.len());
        let failure = Failure::environment("GSH-CLOUD-006", expected, observed);
        Err(refused.into_iter().fold(failure, Failure::cause))
    }

    /// Orders a machine and waits for its actions; a machine whose actions fail is removed and replaced.
    pub(crate) async fn order_and_wait(&self, cx: &Cx, base: &Base, wish: &Wish) -> Result<(Ordered, Server), Failure> {
        let mut replaced = 0;
        loop {
            let (ordered, actions) = self.order(cx, base, wish).await?;
            match finished(&self.api, cx, actions, self.config.patience.actions, Purpose::Work).await {
                Ok(()) => {
                    let server = self.settled(cx, base, &ordered).await?;
                    return Ok((ordered, server));
                }
                Err(e) if matches!(e.trouble, Trouble::Action { .. }) && replaced < REPLACEMENTS => {
                    replaced += 1;
                    cx.note(&format!("`{}` is replaced: {}", wish.name, e.trouble)).await;
                    self.scrap(cx, ordered.id)
                        .await
                        .map_err(|e| e.failure(format!("`{}` to be removed", wish.name)))?;
                }
                Err(e) => return Err(e.failure(format!("`{}` to start", wish.name))),
            }
        }
    }

    async fn scrap(&self, cx: &Cx, id: u64) -> Result<(), ApiError> {
        let actions = self.delete(cx, SERVER, id, Purpose::Work).await?;
        finished(&self.api, cx, actions, self.config.patience.actions, Purpose::Work).await
    }

    /// Waits until a server runs and has its private address: what counts when its actions are not known.
    async fn settled(&self, cx: &Cx, base: &Base, ordered: &Ordered) -> Result<Server, Failure> {
        use gsh_engine::wait::{Progress, until};
        let what = format!("`{}` to run with its private address", ordered.name);
        until(cx, &what, self.config.patience.actions, || async {
            let call = Call::get(format!("/servers/{}", ordered.id), Vec::new(), Purpose::Work);
            let One { server } = self.api.read(cx, call).await.map_err(|e| e.failure(&what))?;
            let attached = private(&server, base.network).is_some() && server.public_net.ipv4.is_some();
            Ok(match server.status.as_str() {
                "running" if attached => Progress::Ready(server),
                status => Progress::NotYet(format!("status {status}, {} private networks", server.private_net.len())),
            })
        })
        .await
        .map_err(|e| e.blame(Blame::Environment, "GSH-CLOUD-010"))
    }

    /// Deletes one thing; gives the actions that do it.
    pub(crate) async fn delete(
        &self,
        cx: &Cx,
        kind: super::create::Kind,
        id: u64,
        purpose: Purpose,
    ) -> Result<Vec<Action>, ApiError> {
        let call = Call {
            method: reqwest::Method::DELETE,
            path: format!("/{}/{id}", kind.many),
            query: Vec::new(),
            body: None,
            effect: Effect::Delete,
            purpose,
        };
        match self.api.send(cx, &call).await? {
            super::api::Outcome::Answer(mut value) => Ok(super::create::actions(&mut value)),
            super::api::Outcome::Gone => Ok(Vec::new()),
            super::api::Outcome::LookUp(e) => Err(e),
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
