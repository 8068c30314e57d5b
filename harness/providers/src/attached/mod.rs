//! A cluster that somebody already has. Lends it and never destroys anything: there is no request that deletes in here.

mod command;
mod door;
mod traffic;

use std::net::IpAddr;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{
    Cluster, FoundLease, LeaseRequest, Node, NodeRole, Provider, ReleaseFailure, Released, Stores,
};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_engine::wait::{self, Progress};
use gsh_model::lease::{LeaseId, RunId};
use gsh_model::outcome::Blame;
use gsh_model::scenario::Need;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams};

pub use door::{ConnectError, Door, Way, connect};
pub use traffic::{Mode, Traffic};

/// What is lent.
#[derive(Clone)]
pub struct AttachedConfig {
    /// Client of its API.
    pub kube: kube::Client,
    /// Its machines.
    pub nodes: Vec<Node>,
    /// Where the site is reached; unspecified when nobody knows.
    pub ingress: IpAddr,
    /// How ports are reached.
    pub reach: Reach,
    /// Whether scenarios may create something.
    pub writable: bool,
    /// The operator's command that adds a node, run by a shell; none where nothing may be added.
    pub grow: Option<String>,
    /// How long that command may take, and how long its node may take after it.
    pub grows_within: Duration,
}

/// Lends a cluster that somebody already has.
#[derive(Clone)]
pub struct Attached {
    config: AttachedConfig,
}

impl Attached {
    /// Of these facts.
    #[must_use]
    pub fn new(config: AttachedConfig) -> Self {
        Self { config }
    }

    async fn names(&self, cx: &Cx) -> Result<Vec<core::Node>, Failure> {
        let nodes: Api<core::Node> = Api::all(self.config.kube.clone());
        let every = ListParams::default();
        let list = tokio::select! {
            list = nodes.list(&every) => list,
            () = cx.stopped() => return Err(Failure::stopped("the nodes to be listed")),
        };
        let failed =
            |e: kube::Error| Failure::environment("GSH-ATT-002", "the nodes can be listed", "they cannot").because(&e);
        Ok(list.map_err(failed)?.items)
    }
}

impl Provider for Attached {
    fn name(&self) -> &str {
        "attached"
    }

    fn offers(&self) -> Vec<Need> {
        let mut offers = vec![Need::SshGateway];
        if self.config.writable {
            offers.push(Need::Writable);
        }
        if self.config.writable && self.config.grow.is_some() {
            offers.push(Need::GrowableCluster);
        }
        offers
    }

    async fn acquire(&self, _: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        Ok(Cluster {
            lease: request.lease.clone(),
            nodes: self.config.nodes.clone(),
            ingress: self.config.ingress,
            ingress_inside: self.config.ingress,
            kube: self.config.kube.clone(),
            // The operator's own, which is nobody else's business.
            kubeconfig: Secret::new("kubeconfig of the operator", ""),
            stores: Stores::default(),
            reach: self.config.reach.clone(),
        })
    }

    async fn grow(&self, cx: &Cx, _: &LeaseId) -> Result<Node, Failure> {
        let Some(command) = &self.config.grow else {
            return Err(Failure::harness("GSH-ATT-001", "a command that adds a node", "there is none"));
        };
        let within = self.config.grows_within;
        let before: Vec<Option<String>> = self.names(cx).await?.into_iter().map(|n| n.metadata.name).collect();
        command::run(cx, command, within).await?;
        let look = || async {
            let nodes = self.names(cx).await?;
            let new = nodes.into_iter().find(|n| !before.contains(&n.metadata.name));
            Ok(match new {
                Some(node) => Progress::Ready(node),
                None => Progress::NotYet(format!("still {} nodes", before.len())),
            })
        };
        let node = wait::until(cx, "a new node joins", within, look)
            .await
            .map_err(|e| e.blame(Blame::Environment, "GSH-ATT-001"))?;
        Ok(node_of(&node))
    }

    /// Gives it back as it is.
    async fn release(&self, _: &Cx, _: &LeaseId) -> Result<Released, ReleaseFailure> {
        Ok(Released::default())
    }

    /// Nothing of it is ours.
    async fn find(&self, _: &Cx, _: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        Ok(Vec::new())
    }
}

/// A machine as its Node object shows it; nothing when the object is none.
#[must_use]
pub fn machine(object: &serde_json::Value) -> Option<Node> {
    serde_json::from_value::<core::Node>(object.clone()).ok().map(|node| node_of(&node))
}

fn node_of(node: &core::Node) -> Node {
    let addresses = node.status.as_ref().and_then(|s| s.addresses.as_deref()).unwrap_or_default();
    let address = |kind: &str| addresses.iter().find(|a| a.type_ == kind).and_then(|a| a.address.parse().ok());
    let (outside, inside): (Option<IpAddr>, Option<IpAddr>) = (address("ExternalIP"), address("InternalIP"));
    let has = |label: &str| node.metadata.labels.as_ref().is_some_and(|l| l.contains_key(label));
    let manages = has("node-role.kubernetes.io/control-plane") || has("node-role.kubernetes.io/master");
    let works = node.metadata.labels.iter().flatten().any(|(key, _)| key.starts_with("gitpod.io/workload_"));
    Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        role: match (manages, works) {
            (true, true) => NodeRole::ManagerAndWorker,
            (true, false) => NodeRole::Manager,
            (false, _) => NodeRole::Worker,
        },
        public: outside.or(inside).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        private: inside,
        login: None,
        inspect: None,
    }
}
