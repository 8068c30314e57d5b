//! The provider: what the engine sees of this door.

use std::path::Path;
use std::sync::atomic::Ordering;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Cluster, FoundLease, LeaseRequest, Node, NodeRole, Provider, ReleaseFailure, Released};
use gsh_model::axis::{Cell, Template};
use gsh_model::budget::{Meter, Price, Quote, Shape};
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_model::scenario::Need;

use super::actions::Watched;
use super::api::Api;
use super::catalogue::Catalogue;
use super::config::HetznerConfig;
use super::machines::Shortages;
use super::meter::Scrapped;
use super::prices::{Tariffs, Which};
use super::state::Leases;
use super::topology::{Member, worker_name};
use super::warm::Snapshots;
use crate::k3s::node::Join;

/// Lends clusters of Hetzner Cloud machines.
pub struct HetznerProvider {
    pub(crate) config: HetznerConfig,
    pub(crate) api: Api,
    pub(crate) actions: Watched,
    pub(crate) catalogue: Catalogue,
    pub(crate) shortages: Shortages,
    pub(crate) snapshots: Snapshots,
    pub(crate) leases: Leases,
    pub(crate) tariffs: Tariffs,
    pub(crate) scrapped: Scrapped,
}

impl std::fmt::Debug for HetznerProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HetznerProvider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl HetznerProvider {
    /// A provider for one account. Sends nothing.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: HetznerConfig) -> Result<Self, Failure> {
        let api = Api::new(&config)
            .map_err(|e| Failure::harness("GSH-CLOUD-001", "an HTTP client", "it cannot be set up").because(&e))?;
        Ok(Self {
            config,
            api,
            actions: Watched::default(),
            catalogue: Catalogue::default(),
            shortages: Shortages::default(),
            snapshots: Snapshots::default(),
            leases: Leases::default(),
            tariffs: Tariffs::default(),
            scrapped: Scrapped::default(),
        })
    }

    /// API requests sent so far, refused and repeated ones included.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.api.sent()
    }

    /// Everything of a run that is in the account.
    ///
    /// # Errors
    /// When the account cannot be listed.
    pub async fn inventory(&self, cx: &Cx, run: &RunId) -> Result<Vec<Resource>, Failure> {
        Ok(self.search(cx, Some(run)).await?.into_iter().flat_map(|l| l.resources).collect())
    }

    pub(crate) fn community(&self) -> Result<&Path, Failure> {
        self.config.community.as_deref().ok_or_else(|| {
            let expected = "a folder with the distribution's templates, because the cell says template = \"community\"";
            Failure::harness("GSH-CLOUD-013", expected, "none was given: use --community DIR")
        })
    }
}

impl Provider for HetznerProvider {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn offers(&self) -> Vec<Need> {
        vec![Need::GrowableCluster, Need::Writable]
    }

    async fn acquire(&self, cx: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        self.make(cx, request).await
    }

    async fn grow(&self, cx: &Cx, lease: &LeaseId) -> Result<Node, Failure> {
        let held = self.leases.get(lease)?;
        let number = held.workers.fetch_add(1, Ordering::Relaxed) + 1;
        let member = Member { name: worker_name(lease, number), role: NodeRole::Worker };
        let join = Join::Agent { first: held.join.clone() };
        let wish = self.wish(cx, &held.base, &member, join, Vec::new())?;
        let (ordered, server) = self.order_and_wait(cx, &held.base, &wish).await?;
        self.node(&held.base, &ordered, &server)
    }

    async fn release(&self, cx: &Cx, lease: &LeaseId) -> Result<Released, ReleaseFailure> {
        self.remove(cx, lease).await
    }

    async fn find(&self, cx: &Cx, run: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        self.search(cx, run).await
    }

    async fn quote(&self, cx: &Cx, cell: &Cell, grows: bool) -> Result<Option<Quote>, Failure> {
        let mut prices = self.prices(cx, Which::Dearest).await?;
        if cell.template == Template::Community {
            // Its nodes never start from a snapshot, so none is built for them.
            prices.builder = Price::default();
        }
        Ok(Some(prices.lease(Shape::of(cell, &self.config.stores.serve(cell), grows))))
    }

    async fn meter(&self, cx: &Cx, lease: &LeaseId) -> Result<Option<Meter>, Failure> {
        self.priced(cx, lease).await.map(Some)
    }
}
