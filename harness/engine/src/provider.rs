//! The port to whoever lends clusters.

use std::net::IpAddr;
use std::path::PathBuf;

use gsh_model::axis::{Cell, CellId};
use gsh_model::budget::{Meter, Quote};
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_model::scenario::Need;
use gsh_model::stores::{self, StoreKind};
use jiff::Timestamp;

use crate::cx::Cx;
use crate::failure::Failure;
use crate::reach::Reach;
use crate::secret::Secret;

/// What a cell asks of a provider.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The run.
    pub run: RunId,
    /// Name of the lease; server names derive from it.
    pub lease: LeaseId,
    /// Stable name of the cell.
    pub cell_id: CellId,
    /// What to build.
    pub cell: Cell,
    /// From when on anybody may remove it.
    pub expires: Timestamp,
    /// The site that will be installed: nodes must trust its registry from birth, scaled-out ones too.
    pub site: Site,
}

/// The site that will be installed on a lease, decided before the first machine is ordered.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its domain. In no public DNS: whoever connects brings the address.
    pub domain: String,
    /// `host:port` of the registry that nodes pull workspace images from, `reg.<domain>:20000`.
    pub node_registry: String,
    /// PEM of the certificate authority that nodes must be taught to trust; absent when the certificate is publicly trusted.
    pub ca_pem: Option<String>,
    /// Certificate chain of the site, PEM, for `<domain>`, `*.<domain>`, `*.ws.<domain>`.
    pub cert_pem: String,
    /// Its key, PEM.
    pub key: Secret,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeRole {
    /// Runs the control plane and carries workloads (`single`, `small`).
    ManagerAndWorker,
    /// Runs the control plane only, tainted (`medium`).
    Manager,
    /// Carries workloads.
    Worker,
}

/// How to log in to a machine as root. The host key is pinned: it was made by us and given to the machine at birth.
#[derive(Debug, Clone)]
pub struct Login {
    /// Public address.
    pub address: IpAddr,
    /// Port of the machine's own SSH server.
    pub port: u16,
    /// User.
    pub user: String,
    /// The only host key accepted, as one OpenSSH line (`ssh-ed25519 AAAA…`).
    pub host_key: String,
    /// Private key, OpenSSH PEM.
    pub key: Secret,
}

/// One machine of a cluster.
#[derive(Debug, Clone)]
pub struct Node {
    /// Server name, host name and Node name at once.
    pub name: String,
    /// What it is for.
    pub role: NodeRole,
    /// Public address.
    pub public: IpAddr,
    /// Address in the lease's private network.
    pub private: Option<IpAddr>,
    /// How to log in, where that is possible.
    pub login: Option<Login>,
    /// How scenarios look at the machine itself; nothing where nobody asked for that, or where its provider has looked.
    pub inspect: Option<Result<Visit, Barred>>,
}

/// How to log in to a machine that is somebody else's, to look at it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Where its SSH server is.
    pub address: IpAddr,
    /// Port of that server.
    pub port: u16,
    /// User.
    pub user: String,
    /// The only host key accepted, as one OpenSSH line.
    pub host_key: String,
    /// What is shown to it, one after the other.
    pub proofs: Vec<Proof>,
}

/// What proves who a visitor is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A private key, OpenSSH PEM.
    Key(Secret),
    /// A key that an SSH agent holds.
    Agent {
        /// Where the agent listens.
        socket: PathBuf,
        /// The public half, one OpenSSH line.
        key: String,
    },
}

/// Why nobody can log in to a machine that should be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barred {
    /// It shows another host key than the one that is known.
    Stranger {
        /// What is known.
        expected: String,
        /// What it shows.
        observed: String,
    },
    /// It cannot be told who answers there, and why.
    Unknown(String),
}

/// External database, registry and object store of a cell, as the installer needs them.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// Database, when the cell wants an external one.
    pub database: Option<DatabaseStore>,
    /// Registry, when the cell wants an external one.
    pub registry: Option<RegistryStore>,
    /// Object store, when registry or storage want S3.
    pub s3: Option<S3Store>,
}

impl Stores {
    /// Of the stores that a cell wants, those that are here.
    #[must_use]
    pub fn serve(&self, cell: &Cell) -> Vec<StoreKind> {
        let mut serve = stores::wanted(cell);
        serve.retain(|kind| match kind {
            StoreKind::Database => self.database.is_some(),
            StoreKind::Registry => self.registry.is_some(),
            StoreKind::S3 => self.s3.is_some(),
        });
        serve
    }
}

/// Where a store comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// gsh brought it up for one lease, and removes it with everything in it.
    Made,
    /// Somebody has it; what is written stays there.
    Given,
}

/// An external MySQL 5.7 with the logical database `gitpod`.
#[derive(Debug, Clone)]
pub struct DatabaseStore {
    /// Host name or address as pods reach it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User, which may create databases.
    pub username: String,
    /// Password.
    pub password: Secret,
    /// PEM of the CA that signed its certificate, for `external-tls`.
    pub ca_pem: Option<String>,
}

/// An external registry.
#[derive(Debug, Clone)]
pub struct RegistryStore {
    /// Without scheme, a path prefix is allowed.
    pub url: String,
    /// User.
    pub username: String,
    /// Password.
    pub password: Secret,
    /// PEM of the CA that signed its certificate, when that is not publicly trusted.
    pub ca_pem: Option<String>,
    /// Whose it is.
    pub origin: Origin,
}

/// An external S3 store.
#[derive(Debug, Clone)]
pub struct S3Store {
    /// `host[:port]`, without scheme.
    pub endpoint: String,
    /// Region.
    pub region: String,
    /// Bucket of workspace content in single-bucket mode.
    pub bucket: String,
    /// Bucket of the in-cluster registry.
    pub registry_bucket: String,
    /// Access key id.
    pub access_key: Secret,
    /// Secret access key.
    pub secret_key: Secret,
    /// Plain HTTP.
    pub insecure: bool,
    /// Whose it is.
    pub origin: Origin,
}

/// A reachable k3s.
#[derive(Clone)]
pub struct Cluster {
    /// The lease.
    pub lease: LeaseId,
    /// Its machines.
    pub nodes: Vec<Node>,
    /// Where the site is reached from outside (80, 443, 22).
    pub ingress: IpAddr,
    /// Where nodes and pods inside the cluster reach the site; the same address unless a load balancer is private.
    pub ingress_inside: IpAddr,
    /// Client of its API.
    pub kube: kube::Client,
    /// Kubeconfig that works from the runner, YAML.
    pub kubeconfig: Secret,
    /// External stores.
    pub stores: Stores,
    /// How the runner reaches ports.
    pub reach: Reach,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("lease", &self.lease).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// What a release removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Everything that was removed, in order.
    pub removed: Vec<Resource>,
}

/// Why a release is not complete.
#[derive(Debug, Clone)]
pub struct ReleaseFailure {
    /// What is known to be left; empty when even that could not be found out.
    pub left: Vec<Resource>,
    /// What went wrong.
    pub failure: Failure,
}

/// A lease found in the account by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLease {
    /// The run that made it.
    pub run: RunId,
    /// The lease.
    pub lease: LeaseId,
    /// From when on anybody may remove it.
    pub expires: Timestamp,
    /// Whose it is, where its labels say so: who to ask about it.
    pub owner: Option<String>,
    /// Its resources.
    pub resources: Vec<Resource>,
}

/// Lends clusters.
///
/// `acquire` and `grow` are never dropped halfway: they look at the stop *between* requests and let a sent request
/// finish. `release` works from labels alone, is idempotent, and works after a crash.
pub trait Provider: Send + Sync + 'static {
    /// `hetzner`, `embedded` or `attached`, for the record.
    fn name(&self) -> &str;

    /// What it can offer to scenarios.
    fn offers(&self) -> Vec<Need>;

    /// Makes a cluster.
    fn acquire(&self, cx: &Cx, request: &LeaseRequest) -> impl Future<Output = Result<Cluster, Failure>> + Send;

    /// Adds a node; it must join from its user-data alone.
    fn grow(&self, cx: &Cx, lease: &LeaseId) -> impl Future<Output = Result<Node, Failure>> + Send;

    /// Removes everything of a lease and proves by listing that nothing is left.
    fn release(&self, cx: &Cx, lease: &LeaseId) -> impl Future<Output = Result<Released, ReleaseFailure>> + Send;

    /// Every lease in the account that carries our labels; of one run, where given.
    fn find(&self, cx: &Cx, run: Option<&RunId>) -> impl Future<Output = Result<Vec<FoundLease>, Failure>> + Send;

    /// What a lease of this cell costs, at the dearest that would be ordered for it; `grows` when a node will be added.
    /// Nothing where clusters cost nothing.
    fn quote(
        &self,
        _cx: &Cx,
        _cell: &Cell,
        _grows: bool,
    ) -> impl Future<Output = Result<Option<Quote>, Failure>> + Send {
        async { Ok(None) }
    }

    /// The priced things of a lease that exist now. Nothing where clusters cost nothing.
    fn meter(&self, _cx: &Cx, _lease: &LeaseId) -> impl Future<Output = Result<Option<Meter>, Failure>> + Send {
        async { Ok(None) }
    }
}
