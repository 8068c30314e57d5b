//! The port to whoever installs the product.

use gsh_model::axis::Cell;
use gsh_model::lease::LeaseId;

use crate::cx::Cx;
use crate::failure::Failure;
use crate::provider::{Cluster, Site};
use crate::secret::Secret;

/// Gitpod running in a cluster.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Domain of the site. In no public DNS: connect to the cluster's ingress and use it as server name.
    pub domain: String,
    /// What the installer says it installed.
    pub version: String,
    /// PEM of the certificate authority behind the site's certificate, when it is a private one.
    pub ca_pem: Option<String>,
    /// Public host key of the SSH gateway as one OpenSSH line, when the gateway is on.
    pub gateway_host_key: Option<String>,
    /// Default image of workspaces.
    pub workspace_image: String,
    /// Image of the browser IDE; ws-manager needs one.
    pub ide_image: String,
    /// Client certificate, key and CA of ws-manager (PEM), as found in its Secret.
    pub wsman: WsmanCredentials,
}

/// What a client of ws-manager needs.
#[derive(Debug, Clone)]
pub struct WsmanCredentials {
    /// CA certificate, PEM.
    pub ca: String,
    /// Client certificate, PEM.
    pub cert: String,
    /// Client key, PEM.
    pub key: Secret,
}

/// Installs the product.
pub trait Installer: Send + Sync + 'static {
    /// Decides domain and certificate of the site, before any machine is ordered.
    ///
    /// # Errors
    /// When the cell wants a certificate that nobody gave.
    fn site(&self, cx: &Cx, lease: &LeaseId, cell: &Cell) -> Result<Site, Failure>;

    /// Installs what the cell asks for.
    fn install(
        &self,
        cx: &Cx,
        cluster: &Cluster,
        cell: &Cell,
        site: &Site,
    ) -> impl Future<Output = Result<Installation, Failure>> + Send;
}
