//! The installer's configuration for a cell: the file that Gitpod's installer validates and renders.
//!
//! Facts: installer configuration `v1` of release 2022.11.3. An omitted `inCluster` means `true`, also next to an external
//! block, and nothing checks that; so every `inCluster` is written, and only the block that belongs to it.

use std::collections::BTreeMap;

use gsh_engine::failure::Failure;
use gsh_engine::provider::{Site, Stores};
use gsh_model::axis::{Cell, Database, Registry, Shift, SshGateway, Storage};
use serde::{Deserialize, Serialize};

use super::secrets;

/// Region that the installer insists on while object storage is in the cluster.
const LOCAL_REGION: &str = "local";
/// Where k3s' own containerd keeps its tasks.
const K3S_RUNTIME_DIR: &str = "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io";
/// Socket of k3s' own containerd.
const K3S_SOCKET: &str = "/run/k3s/containerd/containerd.sock";

/// The file. Reading it back tolerates what we do not write, because the cluster holds the installer's own version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) domain: String,
    pub(crate) metadata: Metadata,
    pub(crate) repository: String,
    pub(crate) certificate: Ref,
    #[serde(default, rename = "customCACert", skip_serializing_if = "Option::is_none")]
    pub(crate) custom_ca_cert: Option<Ref>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh_gateway_host_key: Option<Ref>,
    pub(crate) database: DatabaseBlock,
    pub(crate) container_registry: RegistryBlock,
    pub(crate) object_storage: StorageBlock,
    pub(crate) workspace: WorkspaceBlock,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) region: String,
    #[serde(default = "default_shortname")]
    pub(crate) shortname: String,
}

fn default_shortname() -> String {
    "default".to_owned()
}

/// A reference to a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ref {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Ref {
    fn to(name: &str) -> Self {
        Self { kind: "secret".to_owned(), name: name.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseBlock {
    pub(crate) in_cluster: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) external: Option<External>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssl: Option<Ssl>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct External {
    pub(crate) certificate: Ref,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ssl {
    pub(crate) ca_cert: Ref,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistryBlock {
    pub(crate) in_cluster: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) external: Option<ExternalRegistry>,
    #[serde(default, rename = "s3storage", skip_serializing_if = "Option::is_none")]
    pub(crate) s3_storage: Option<RegistryS3>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExternalRegistry {
    pub(crate) url: String,
    pub(crate) certificate: Ref,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RegistryS3 {
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) certificate: Ref,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageBlock {
    pub(crate) in_cluster: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) s3: Option<StorageS3>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageS3 {
    pub(crate) endpoint: String,
    pub(crate) credentials: Ref,
    /// A bucket that exists: one bucket for all. Absent: one per user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<String>,
    #[serde(default)]
    pub(crate) allow_insecure_connection: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkspaceBlock {
    pub(crate) runtime: Runtime,
    pub(crate) resources: Resources,
    #[serde(default, rename = "workspaceImage", skip_serializing_if = "Option::is_none")]
    pub(crate) workspace_image: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Runtime {
    pub(crate) fs_shift_method: String,
    pub(crate) containerd_runtime_dir: String,
    pub(crate) containerd_socket: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resources {
    pub(crate) requests: BTreeMap<String, String>,
}

/// The configuration of a cell.
pub(crate) fn of(cell: &Cell, site: &Site, stores: &Stores, repository: &str) -> Result<Config, Failure> {
    // What the machines are like is the provider's business, as is the k3s release; the installer's own release decides
    // the image that reads this file. Which certificate it is shows in `site`.
    let Cell {
        shift,
        os: _,
        database,
        registry,
        storage,
        size: _,
        k3s: _,
        gitpod: _,
        tls: _,
        ssh_gateway,
        template: _,
    } = cell;
    let missing = |what: &str| {
        Failure::harness("GSH-INS-053", format!("the provider hands out {what}"), "the cell wants it and it is absent")
    };
    let database = match database {
        Database::InCluster => DatabaseBlock { in_cluster: true, external: None, ssl: None },
        Database::External | Database::ExternalTls => {
            stores.database.as_ref().ok_or_else(|| missing("an external database"))?;
            let tls = *database == Database::ExternalTls;
            DatabaseBlock {
                in_cluster: false,
                external: Some(External { certificate: Ref::to(secrets::DATABASE) }),
                ssl: tls.then(|| Ssl { ca_cert: Ref::to(secrets::DATABASE_CA) }),
            }
        }
    };
    let s3 = || stores.s3.as_ref().ok_or_else(|| missing("an external object store"));
    let container_registry = match registry {
        Registry::InCluster => RegistryBlock { in_cluster: true, external: None, s3_storage: None },
        Registry::InClusterS3 => {
            let s3 = s3()?;
            let s3_storage = RegistryS3 {
                bucket: s3.registry_bucket.clone(),
                region: s3.region.clone(),
                endpoint: s3.endpoint.clone(),
                certificate: Ref::to(secrets::REGISTRY_S3),
            };
            RegistryBlock { in_cluster: true, external: None, s3_storage: Some(s3_storage) }
        }
        Registry::External => {
            let store = stores.registry.as_ref().ok_or_else(|| missing("an external registry"))?;
            let external = ExternalRegistry { url: store.url.clone(), certificate: Ref::to(secrets::REGISTRY) };
            RegistryBlock { in_cluster: false, external: Some(external), s3_storage: None }
        }
    };
    let (object_storage, region) = match storage {
        Storage::InCluster => (StorageBlock { in_cluster: true, s3: None }, LOCAL_REGION.to_owned()),
        Storage::S3 | Storage::S3MultiBucket => {
            let store = s3()?;
            let s3 = StorageS3 {
                endpoint: store.endpoint.clone(),
                credentials: Ref::to(secrets::STORAGE_S3),
                bucket: (*storage == Storage::S3).then(|| store.bucket.clone()),
                allow_insecure_connection: store.insecure,
            };
            (StorageBlock { in_cluster: false, s3: Some(s3) }, store.region.clone())
        }
    };
    let requests = [("cpu", "1000m"), ("memory", "2Gi")];
    Ok(Config {
        api_version: "v1".to_owned(),
        kind: "Full".to_owned(),
        domain: site.domain.clone(),
        metadata: Metadata { region, shortname: default_shortname() },
        repository: repository.to_owned(),
        certificate: Ref::to(secrets::CERTIFICATE),
        custom_ca_cert: secrets::authorities(site, stores, *registry).map(|_| Ref::to(secrets::CUSTOM_CA)),
        ssh_gateway_host_key: match ssh_gateway {
            SshGateway::On => Some(Ref::to(secrets::HOST_KEY)),
            SshGateway::Off => None,
        },
        database,
        container_registry,
        object_storage,
        workspace: WorkspaceBlock {
            runtime: Runtime {
                fs_shift_method: match shift {
                    Shift::Fuse => "fuse".to_owned(),
                    Shift::Shiftfs => "shiftfs".to_owned(),
                },
                // Given, not detected: a node may also carry the distribution's containerd, which the installer's own
                // detection can mistake for the one that runs pods.
                containerd_runtime_dir: K3S_RUNTIME_DIR.to_owned(),
                containerd_socket: K3S_SOCKET.to_owned(),
            },
            resources: Resources {
                requests: requests.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            },
            workspace_image: None,
        },
    })
}

impl Config {
    /// The file's text.
    pub(crate) fn yaml(&self) -> Result<String, Failure> {
        serde_norway::to_string(self)
            .map_err(|e| Failure::harness("GSH-INS-054", "the installer's configuration is written", e.to_string()))
    }
}
