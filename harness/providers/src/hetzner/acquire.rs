//! Makes a cluster: base, first server, everything else at once, then the watch until it is a cluster.
//!
//! The first server is ordered alone because agents are told its private address at birth and the cloud chooses it; that
//! costs some seconds and spares every other way to find it. Requests under way are never dropped: parallel orders are all
//! waited for before the first of their failures counts.

use std::net::IpAddr;
use std::sync::atomic::AtomicU32;

use futures::future::{join, join_all, try_join_all};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Cluster, LeaseRequest, Login, Node};
use gsh_model::axis::{Os, Template};
use gsh_model::outcome::Blame;
use gsh_ssh::KeyPair;
use serde_json::Value;

use super::choice::{MANAGER, balancers, zone};
use super::config::Spending;
use super::create::{FIREWALL, Kind, LOAD_BALANCER, NETWORK, PLACEMENT_GROUP, SSH_KEY, create};
use super::governor::Purpose;
use super::labels;
use super::machines::{Ordered, Wish, host_key, nothing};
use super::prices::bounded_balancers;
use super::provider::HetznerProvider;
use super::requests::{self, API_PORT, Balancer, SSH_PORT};
use super::state::{Base, Groups, Held};
use super::topology::{Topology, dns_records, site_ports, topology};
use super::wire::{Action, LoadBalancer, Server, Thing};
use crate::k3s::boot::{Machine, configured};
use crate::k3s::node::Join;
use crate::k3s::{client, conformance, kubeconfig, ready, stores};

/// Most targets that a load balancer must take: the workers of the largest shape, and some that come later.
pub(crate) const TARGETS: u32 = 10;

/// Address of a load balancer, and the actions that make it.
type Balanced = (IpAddr, Vec<Action>);

/// What became of one machine.
struct Made {
    ordered: Ordered,
    node: Node,
}

impl HetznerProvider {
    pub(crate) async fn make(&self, cx: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        match request.cell.template {
            Template::Gsh => {}
            Template::Community => {
                self.community()?;
            }
        }
        stores::feasible(&request.cell, &self.config.stores)?;
        let shape = topology(&request.lease, request.cell.size);
        let mut base = self.base(cx, request).await?;
        base.image = self.warm_image(cx, &base).await?;
        if self.config.runner_address.is_none() {
            cx.note("the runner's own address is not known: API and SSH ports are open to the world, behind keys")
                .await;
        }
        let (site, manager) = self.balancers(cx, &base, &shape).await?;
        let tls_sans: Vec<String> = manager.iter().map(|(address, _)| address.to_string()).collect();

        let etcd = !shape.servers.is_empty();
        let wish = self.wish(cx, &base, &shape.first, Join::First { etcd }, tls_sans.clone())?;
        let (ordered, server) = self.order_and_wait(cx, &base, &wish).await?;
        let first = Made { node: self.node(&base, &ordered, &server)?, ordered };
        let join_at = address(&first.node)?;

        let mut balancing = Vec::new();
        for (_, actions) in site.iter().chain(&manager) {
            balancing.extend(actions.iter().cloned());
        }
        let (others, external) =
            join(self.others(cx, &base, &shape, &join_at, &tls_sans), self.stores_machine(cx, &base)).await;
        let (others, external) = (others?, external?);
        self.actions
            .finished(&self.api, cx, balancing, self.config.patience.actions, Purpose::Work)
            .await
            .map_err(|e| e.failure("the load balancers"))?;

        let mut made = vec![first];
        made.extend(others);
        self.boot(cx, &base, &made, external.as_ref()).await?;

        let api_at = manager.as_ref().map_or(made[0].node.public, |(address, _)| *address);
        let target = self.config.reach.at(api_at, API_PORT);
        let (kube, config) = self.cluster(cx, &base, &shape, &made, &format!("https://{target}")).await?;

        let ingress = site.as_ref().map_or(made[0].node.public, |(address, _)| *address);
        let records = dns_records(&request.site.domain, ingress, manager.as_ref().map(|(address, _)| *address));
        cx.keep("dns-records.json", &serde_json::to_vec_pretty(&records).unwrap_or_default()).await;
        let of_machine =
            |(plan, made): (stores::StorePlan, Made)| plan.stores(made.node.private.unwrap_or(made.node.public));
        let made_here = external.map(of_machine).unwrap_or_default();
        let stores = stores::together(&request.cell, &self.config.stores, made_here);
        let workers = u32::try_from(shape.workers.len()).unwrap_or(u32::MAX);
        self.leases.hold(&request.lease, Held { base, join: join_at, workers: AtomicU32::new(workers) });
        Ok(Cluster {
            lease: request.lease.clone(),
            nodes: made.into_iter().map(|m| m.node).collect(),
            ingress,
            ingress_inside: ingress,
            kube,
            kubeconfig: config,
            stores,
            reach: self.config.reach.clone(),
        })
    }

    /// Key, network, firewall and placement group, and the secrets of the lease.
    async fn base(&self, cx: &Cx, request: &LeaseRequest) -> Result<Base, Failure> {
        let login = KeyPair::generate("gsh")
            .map_err(|e| Failure::harness("GSH-NODE-014", "a login key", "it cannot be made").because(&e))?;
        let login_key = cx.secret("login-key", login.private_pem.clone());
        let image = self.catalogue.image(&self.api, cx, request.cell.os).await?;
        let expected = format!("the base of `{}`", request.lease);
        let offers = self.catalogue.offers(&self.api, cx).await.map_err(|e| e.failure(&expected))?;
        let zone = zone(&offers, &self.config.locations).map_err(|e| nothing(&expected, &e))?;
        let name = |part: &str| format!("{}-{part}", request.lease);
        let labels = |role: &str| labels::labels(request, &self.config.owner, role);
        let (key, net, fw, group) = (name("key"), name("net"), name("fw"), name("group"));
        let runner = self.config.runner_address;
        let mut open = site_ports(request.cell.ssh_gateway);
        open.extend(self.config.open_ports.iter().filter(|port| ![22, 80, 443].contains(*port)));
        let bodies: [(Kind, &str, Value); 4] = [
            (SSH_KEY, &key, requests::ssh_key(&key, &login.public_line, &labels("key"))),
            (NETWORK, &net, requests::network(&net, &zone, &labels("network"))),
            (FIREWALL, &fw, requests::firewall(&fw, &open, runner, &labels("firewall"))),
            (PLACEMENT_GROUP, &group, requests::placement_group(&group, &labels("group"))),
        ];
        let made = join_all(bodies.into_iter().map(|(kind, name, body)| async move {
            create::<Thing>(&self.api, cx, &request.lease, kind, name, body)
                .await
                .map_err(|e| e.failure(format!("{} `{name}`", kind.one)))
        }))
        .await;
        let mut ids = Vec::new();
        let mut actions = Vec::new();
        for made in made {
            let made = made?;
            ids.push(made.thing.id);
            actions.extend(made.actions);
        }
        self.actions
            .finished(&self.api, cx, actions, self.config.patience.actions, Purpose::Work)
            .await
            .map_err(|e| e.failure(&expected))?;
        let [ssh_key, network, firewall, placement_group] = ids[..] else {
            return Err(Failure::harness("GSH-CLOUD-016", "four resources of the base", format!("{}", ids.len())));
        };
        Ok(Base {
            request: request.clone(),
            login,
            login_key,
            server_token: cx.secret("k3s-server-token", stores::random(32)),
            agent_token: cx.secret("k3s-agent-token", stores::random(32)),
            image,
            ssh_key,
            network,
            firewall,
            groups: tokio::sync::Mutex::new(Groups { ids: vec![placement_group], placed: 0 }),
        })
    }

    async fn balancers(
        &self,
        cx: &Cx,
        base: &Base,
        shape: &Topology,
    ) -> Result<(Option<Balanced>, Option<Balanced>), Failure> {
        let lease = &base.request.lease;
        let site_ports = site_ports(base.request.cell.ssh_gateway);
        let site = async {
            match shape.site_balancer {
                true => self.balancer(cx, base, "site", &site_ports, labels::workers_of(lease)).await.map(Some),
                false => Ok(None),
            }
        };
        let manager = async {
            match shape.manager_balancer {
                true => {
                    let ports = [API_PORT, SSH_PORT];
                    self.balancer(cx, base, "managers", &ports, labels::managers_of(lease)).await.map(Some)
                }
                false => Ok(None),
            }
        };
        let (site, manager) = join(site, manager).await;
        Ok((site?, manager?))
    }

    async fn balancer(
        &self,
        cx: &Cx,
        base: &Base,
        what: &str,
        ports: &[u16],
        selector: String,
    ) -> Result<Balanced, Failure> {
        let request = &base.request;
        let name = format!("{}-{what}", request.lease);
        let expected = format!("the load balancer `{name}`");
        let offers = self.catalogue.offers(&self.api, cx).await.map_err(|e| e.failure(&expected))?;
        let services = u32::try_from(ports.len()).unwrap_or(u32::MAX);
        let choices = balancers(&offers, &self.config.locations, services, TARGETS, jiff::Timestamp::now())
            .map_err(|e| nothing(&expected, &e))?;
        let choices = match self.config.spending {
            Spending::Free => choices,
            Spending::Bounded => bounded_balancers(&offers, choices),
        };
        let labels = labels::labels(request, &self.config.owner, what);
        let balancer = Balancer { name: &name, network: base.network, ports, selector, labels: &labels };
        let mut refused = Vec::new();
        let mut made = None;
        for choice in &choices {
            let body = requests::load_balancer(&balancer, choice);
            match create::<LoadBalancer>(&self.api, cx, &request.lease, LOAD_BALANCER, &name, body).await {
                Ok(created) => {
                    made = Some(created);
                    break;
                }
                Err(e) if e.is_capacity() => {
                    refused.push(format!("{} in {}: {}", choice.server_type, choice.location, e.trouble));
                }
                Err(e) => return Err(e.failure(&expected)),
            }
        }
        let Some(made) = made else {
            let failure = Failure::environment(
                "GSH-CLOUD-006",
                expected,
                format!("none of {} candidates can be had", choices.len()),
            );
            return Err(refused.into_iter().fold(failure, Failure::cause));
        };
        let address = made.thing.public_net.ipv4.map(|a| a.ip).ok_or_else(|| {
            let observed = format!("load balancer {} has none", made.thing.id);
            Failure::environment("GSH-CLOUD-015", format!("a public address of `{name}`"), observed)
        })?;
        Ok((address, made.actions))
    }

    /// Workers all at once, further servers one after the other beside them: each is told the address of the one before it.
    async fn others(
        &self,
        cx: &Cx,
        base: &Base,
        shape: &Topology,
        first: &str,
        tls_sans: &[String],
    ) -> Result<Vec<Made>, Failure> {
        let servers = async {
            let mut made: Vec<Made> = Vec::new();
            let mut after = first.to_owned();
            for member in &shape.servers {
                let join = Join::Server { first: first.to_owned(), after: after.clone() };
                let wish = self.wish(cx, base, member, join, tls_sans.to_vec())?;
                let one = self.machine(cx, base, &wish).await?;
                after = address(&one.node)?;
                made.push(one);
            }
            Ok::<_, Failure>(made)
        };
        let workers = join_all(shape.workers.iter().map(|member| async {
            let join = Join::Agent { first: first.to_owned() };
            let wish = self.wish(cx, base, member, join, Vec::new())?;
            self.machine(cx, base, &wish).await
        }));
        let (servers, workers) = join(servers, workers).await;
        let mut made = servers?;
        for worker in workers {
            made.push(worker?);
        }
        Ok(made)
    }

    async fn machine(&self, cx: &Cx, base: &Base, wish: &Wish) -> Result<Made, Failure> {
        let (ordered, server): (Ordered, Server) = self.order_and_wait(cx, base, wish).await?;
        Ok(Made { node: self.node(base, &ordered, &server)?, ordered })
    }

    async fn stores_machine(&self, cx: &Cx, base: &Base) -> Result<Option<(stores::StorePlan, Made)>, Failure> {
        let Some(wanted) = stores::wanted(&base.request.cell, &self.config.stores) else {
            return Ok(None);
        };
        let name = format!("{}-stores", base.request.lease);
        let host_key = host_key(cx, &name)?;
        let plan = stores::plan(cx, wanted, &host_key, &base.login.public_line)?;
        let image = self.catalogue.image(&self.api, cx, Os::Ubuntu2204).await?;
        let wish = Wish {
            name,
            role: None,
            label: labels::STORES,
            needs: MANAGER,
            image,
            host_key,
            user_data: plan.user_data.text.clone(),
            digest: Some(plan.user_data.digest.clone()),
        };
        let made = self.machine(cx, base, &wish).await?;
        Ok(Some((plan, made)))
    }

    /// Watches all machines; the first one that cannot become what it should ends the watch.
    async fn boot(
        &self,
        cx: &Cx,
        base: &Base,
        made: &[Made],
        external: Option<&(stores::StorePlan, Made)>,
    ) -> Result<(), Failure> {
        let nodes = made.iter().filter_map(|m| machine(m, base.request.cell.template, true));
        let stores = external.and_then(|(_, m)| machine(m, Template::Gsh, false));
        let machines: Vec<Machine<'_>> = nodes.chain(stores).collect();
        let watch = |machine| configured(cx, &self.config.reach, machine, self.config.patience.boot);
        try_join_all(machines.iter().map(watch)).await.map(|_| ())
    }

    async fn cluster(
        &self,
        cx: &Cx,
        base: &Base,
        shape: &Topology,
        made: &[Made],
        server: &str,
    ) -> Result<(kube::Client, gsh_engine::secret::Secret), Failure> {
        let patience = self.config.patience.ready;
        let reach = &self.config.reach;
        let login: &Login = made
            .first()
            .and_then(|m| m.node.login.as_ref())
            .ok_or_else(|| Failure::harness("GSH-CLOUD-016", "a login of the first server", "none"))?;
        let config = kubeconfig::fetch(cx, reach, login, server, patience).await?;
        let client = client::client(&config).await?;
        ready::api(cx, &client, patience).await?;
        let names: Vec<&str> = made.iter().map(|m| m.ordered.name.as_str()).collect();
        let template = base.request.cell.template;
        let (ours, late) = match template {
            Template::Gsh => (Blame::Harness, Blame::Environment),
            Template::Community => (Blame::Product, Blame::Product),
        };
        let nodes = ready::nodes(cx, &client, &names, patience, late).await?;
        ready::add_ons(cx, &client, patience).await?;
        cx.check("GSH-K3S-005", "Traefik does not take the site's ports", ready::no_traefik(&client, ours)).await?;
        let machines: Vec<Machine<'_>> = made.iter().filter_map(|m| machine(m, template, true)).collect();
        let labelled: Vec<&str> = shape.members().filter(|m| m.carries_workloads()).map(|m| m.name.as_str()).collect();
        conformance::examine(cx, reach, &machines, &nodes, &labelled, base.request.cell.shift, template).await?;
        Ok((client, config))
    }
}

fn machine(made: &Made, template: Template, runs_k3s: bool) -> Option<Machine<'_>> {
    Some(Machine {
        name: &made.ordered.name,
        login: made.node.login.as_ref()?,
        digest: made.ordered.digest.as_deref(),
        runs_k3s,
        template,
    })
}

fn address(node: &Node) -> Result<String, Failure> {
    node.private
        .map(|ip| ip.to_string())
        .ok_or_else(|| Failure::environment("GSH-CLOUD-015", format!("a private address of `{}`", node.name), "none"))
}
