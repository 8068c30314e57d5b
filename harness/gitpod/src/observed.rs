//! The installer's port for an installation that is already there: finds what is needed and installs nothing.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, Installer};
use gsh_engine::provider::{Cluster, Site};
use gsh_engine::secret::Secret;
use gsh_model::axis::Cell;
use gsh_model::lease::LeaseId;

use crate::install::found::{self, Known};
use crate::leftovers;

/// What scenarios will do with the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Look at it: no Secret is read.
    Look,
    /// Use it: the client certificate of ws-manager is read.
    Work,
}

/// Hands out an installation that is already there.
#[derive(Debug, Clone)]
pub struct Observed {
    known: Known,
    purpose: Use,
}

impl Observed {
    /// Of what is known.
    #[must_use]
    pub fn new(known: Known, purpose: Use) -> Self {
        Self { known, purpose }
    }
}

impl Installer for Observed {
    fn site(&self, _: &Cx, _: &LeaseId, _: &Cell) -> Result<Site, Failure> {
        Ok(Site {
            domain: self.known.domain.clone(),
            node_registry: format!("reg.{}:20000", self.known.domain),
            ca_pem: self.known.ca_pem.clone(),
            // Nobody orders a machine or a certificate here.
            cert_pem: String::new(),
            key: Secret::new("no key: the site exists", ""),
        })
    }

    async fn install(&self, cx: &Cx, cluster: &Cluster, _: &Cell, _: &Site) -> Result<Installation, Failure> {
        match self.purpose {
            Use::Look => Ok(found::seen(&self.known)),
            Use::Work => {
                let found = found::installation(cx, &cluster.kube, &self.known);
                let title = "what scenarios need of the installation can be read";
                let installation = cx.check("GSH-INS-032", title, found).await?;
                let clear = leftovers::clear(cx, cluster, &installation);
                let cleared = cx.check("GSH-ATT-003", "nothing is left of earlier runs", clear).await?;
                if cleared > 0 {
                    cx.note(&format!("{cleared} things of earlier runs were removed")).await;
                }
                Ok(installation)
            }
        }
    }
}
