//! Installing Gitpod: implements the engine's port.
//!
//! The order: names and rights, cert-manager, the installer's image (probed before anything depends on it), its two
//! validations, its rendered objects with proofs of the variant, applying and awaiting them together, and the front. Every
//! step is a check of its own, so a red installation says which step was red.

mod apply;
mod config;
pub(crate) mod errand;
mod evidence;
pub mod found;
mod front;
mod hostkey;
pub mod judge;
mod manifest;
mod prepare;
pub(crate) mod ready;
mod secrets;
mod site;
pub mod trouble;
mod variant;
pub(crate) mod verdict;

#[cfg(test)]
mod config_tests;
#[cfg(test)]
mod render_tests;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, Installer};
use gsh_engine::provider::{Cluster, Site};
use gsh_model::axis::{Cell, SshGateway};
use gsh_model::lease::LeaseId;
use gsh_model::outcome::Blame;

use self::errand::{Errand, Tool};
pub(crate) use self::found::{decoded, secret};
use self::manifest::Manifest;
use self::prepare::NAMESPACE;
use crate::http::Front;
use crate::settings::Settings;
use crate::stores::given;
use gsh_kube::api::Api;
use gsh_kube::follow::Follow;

/// Installs Gitpod.
#[derive(Debug, Clone)]
pub struct GitpodInstaller {
    settings: Settings,
}

impl GitpodInstaller {
    /// An installer with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The installer's image for a cell's release.
    #[must_use]
    pub fn image(&self, cell: &Cell) -> String {
        let of_release = || format!("{}/installer:{}", self.settings.repository, cell.gitpod.installer_tag());
        self.settings.installer_image.clone().unwrap_or_else(of_release)
    }

    /// Validates and renders: what the installer itself does.
    async fn render(&self, cx: &Cx, tool: &Tool<'_>, cell: &Cell) -> Result<(String, Manifest), Failure> {
        let probe = async {
            let output = tool.run(cx, "GSH-INS-003", Errand::Version).await?;
            verdict::version(&output, "GSH-INS-003")
        };
        let version = cx.check("GSH-INS-003", "the installer runs and tells its version", probe).await?;
        let validate = async {
            let output = tool.run(cx, "GSH-INS-004", Errand::ValidateConfig).await?;
            verdict::config(&output, "GSH-INS-004")
        };
        let warnings = cx.check("GSH-INS-004", "the installer accepts its configuration", validate).await?;
        let validate = async {
            let output = tool.run(cx, "GSH-INS-005", Errand::ValidateCluster).await?;
            verdict::cluster(&output, "GSH-INS-005")
        };
        let more = cx.check("GSH-INS-005", "the installer accepts the cluster", validate).await?;
        for warning in warnings.iter().chain(&more) {
            cx.note(&format!("the installer warns: {warning}")).await;
        }
        let render = async {
            let output = tool.run(cx, "GSH-INS-006", Errand::Render).await?;
            if output.code != 0 {
                let expected = "the installer renders its objects";
                return Err(Failure::product("GSH-INS-006", expected, verdict::last_line(&output)));
            }
            Manifest::parse(&output.text, NAMESPACE, "GSH-INS-006")
        };
        let manifest = cx.check("GSH-INS-006", "the installer renders its objects", render).await?;
        cx.keep("install/inventory.txt", manifest.inventory().as_bytes()).await;
        let mut failed = None;
        for (code, title, proof) in variant::proofs(cell, &manifest) {
            let proof = cx.check(code, title, async { proof }).await;
            failed = failed.or(proof.err());
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok((version, manifest)),
        }
    }

    /// Applies and awaits at once: Jobs remove themselves soon after they end.
    async fn bring_up(&self, cx: &Cx, api: &Api, manifest: &Manifest) -> Result<(), Failure> {
        let patience = &self.settings.patience;
        let awaited = ready::Awaited::from(manifest);
        let mut follow = Follow::start(cx, api, "GSH-INS-008", ready::scopes()).await?;
        let what = format!("{} things that the installer rendered are ready", awaited.len());
        let judge = |view: &gsh_kube::follow::View| ready::all(view, &awaited, patience.crashes, "GSH-INS-008");
        let applying = cx.check(
            "GSH-INS-007",
            "every object is accepted by the API",
            apply::all(cx, api, manifest, "GSH-INS-007"),
        );
        let applying = async { applying.await.map_err(Step::Applying) };
        let waiting = async {
            let seen = follow.until(&what, patience.ready, judge).await;
            // What is late is the product's, unless nobody could see it.
            let late = if follow.is_silent() { Blame::Environment } else { Blame::Product };
            seen.map_err(|e| Step::Waiting(e.blame(late, "GSH-INS-008")))
        };
        let both = futures::future::try_join(applying, waiting).await;
        // Recorded only now: the finding is to hold what the events say.
        let title = "everything rendered is ready, by name";
        match both {
            Ok(((), ())) => cx.check("GSH-INS-008", title, async { Ok(()) }).await,
            Err(Step::Waiting(failure)) => {
                let failure = ready::late(follow.view(), failure);
                let failure = evidence::explain(cx, api, NAMESPACE, follow.view(), failure).await;
                cx.check("GSH-INS-008", title, async { Err(failure) }).await
            }
            Err(Step::Applying(failure)) => Err(failure),
        }
    }
}

/// Which of two things that go on at once failed.
enum Step {
    Applying(Failure),
    Waiting(Failure),
}

impl Installer for GitpodInstaller {
    fn site(&self, cx: &Cx, lease: &LeaseId, cell: &Cell) -> Result<Site, Failure> {
        site::decide(cx, &self.settings, lease, cell.tls)
    }

    async fn install(&self, cx: &Cx, cluster: &Cluster, cell: &Cell, site: &Site) -> Result<Installation, Failure> {
        let patience = &self.settings.patience;
        let api = Api::new(cluster.kube.clone());
        let config = config::of(cell, site, &cluster.stores, &self.settings.repository)?;
        let host_key = match cell.ssh_gateway {
            SshGateway::On => Some(hostkey::make(cx)?),
            SshGateway::Off => None,
        };
        let yaml = config.yaml()?;
        cx.keep("install/gitpod.config.yaml", yaml.as_bytes()).await;

        let image = self.image(cell);
        let tool = match &self.settings.installer_binary {
            Some(path) => Tool::binary(path, &cluster.kubeconfig, &yaml, patience.errand)?,
            None => Tool::Image { api: &api, image: &image, patience: patience.errand },
        };
        let ground = async {
            prepare::ground(cx, &api, cluster, site).await?;
            for secret in secrets::of(cx, &config, site, &cluster.stores, host_key.as_ref(), NAMESPACE) {
                prepare::put(cx, &api, "GSH-INS-001", &secret).await?;
            }
            tool.give(cx, &yaml).await
        };
        cx.check("GSH-INS-001", "the cluster is prepared: namespace, names, rights, secrets", ground).await?;
        given::examine(cx, cluster, cell, NAMESPACE).await?;
        let cert_manager = prepare::cert_manager(cx, &api, patience.cert_manager, patience.crashes);
        cx.check("GSH-INS-002", "cert-manager is ready to issue", cert_manager).await?;

        let (version, manifest) = self.render(cx, &tool, cell).await?;
        self.bring_up(cx, &api, &manifest).await?;

        let front = Front::at(cluster.reach.at(cluster.ingress, 443), &site.domain, site.ca_pem.as_deref())?;
        let look = front::version(cx, &front, &version, patience.front);
        cx.check("GSH-INS-020", "the site answers as the release that was installed", look).await?;
        cx.check("GSH-INS-021", "the site shows its dashboard", front::dashboard(&front)).await?;

        let look = found::wsman(cx, &api, NAMESPACE);
        let wsman = cx.check("GSH-INS-030", "ws-manager's client certificate is there", look).await?;
        let look = found::ide_image(cx, &api, NAMESPACE);
        let ide_image = cx.check("GSH-INS-031", "the image of the browser IDE is configured", look).await?;
        Ok(Installation {
            namespace: NAMESPACE.to_owned(),
            domain: site.domain.clone(),
            version,
            ca_pem: site.ca_pem.clone(),
            gateway_host_key: host_key.map(|key| key.public),
            workspace_image: found::DEFAULT_WORKSPACE_IMAGE.to_owned(),
            ide_image,
            wsman,
        })
    }
}
