//! Which cell an installation that somebody already has is: read from the cluster, changing nothing.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::Installation;
use gsh_engine::provider::Cluster;
use gsh_model::axis::{
    Cell, Database, GitpodVersion, K3sVersion, Os, Registry, Shift, Size, SshGateway, Storage, Template, Tls,
};
use gsh_model::outcome::Blame;
use kube::core::params::ListParams;
use serde_json::Value;

use super::config::Config;
use super::{found, hostkey};
use crate::api::{self, Api, Kind};

const CHECK: &str = "GSH-INS-032";
/// Where Gitpod may be: its own packaging uses the first, the plain installer the second.
const NAMESPACES: [&str; 2] = ["gitpod", "default"];

/// Finds the installation.
pub(crate) async fn installation(cx: &Cx, cluster: &Cluster) -> Result<(Cell, Installation), Failure> {
    let api = Api::new(cluster.kube.clone());
    for namespace in NAMESPACES {
        if let Some((config, version)) = found::record(cx, &api, namespace).await? {
            return observe(cx, &api, namespace, &config, version).await;
        }
    }
    Err(Failure::product(CHECK, "ConfigMap `gitpod` records an installation", "there is none in `gitpod` or `default`"))
}

async fn observe(
    cx: &Cx,
    api: &Api,
    namespace: &str,
    config: &str,
    version: String,
) -> Result<(Cell, Installation), Failure> {
    let config: Config = serde_norway::from_str(config)
        .map_err(|e| Failure::product(CHECK, "the recorded configuration can be read", e.to_string()))?;
    let node = Kind::new("v1", "Node");
    let every = ListParams::default();
    let (nodes, _) =
        api::patiently(cx, "the nodes can be listed", Blame::Harness, CHECK, || api.list(&node, None, &every)).await?;
    let cell = cell(&config, &version, &nodes)?;
    let ca_pem = match &config.custom_ca_cert {
        Some(at) => {
            found::secret(cx, api, namespace, CHECK, &at.name).await?.and_then(|s| found::decoded(&s, "ca.crt"))
        }
        None => None,
    };
    let gateway_host_key = match &config.ssh_gateway_host_key {
        Some(at) => found::secret(cx, api, namespace, CHECK, &at.name).await?.and_then(|s| public_key(cx, &s)),
        None => None,
    };
    let installation = Installation {
        namespace: namespace.to_owned(),
        domain: config.domain.clone(),
        version,
        ca_pem,
        gateway_host_key,
        workspace_image: config
            .workspace
            .workspace_image
            .clone()
            .filter(|i| !i.is_empty())
            .unwrap_or_else(|| found::DEFAULT_WORKSPACE_IMAGE.to_owned()),
        ide_image: found::ide_image(cx, api, namespace).await?,
        wsman: found::wsman(cx, api, namespace).await?,
    };
    Ok((cell, installation))
}

/// The public half of the first value that is a private key; the names of the keys are free.
fn public_key(cx: &Cx, secret: &Value) -> Option<String> {
    let keys = secret["data"].as_object()?.keys();
    keys.filter_map(|k| found::decoded(secret, k)).find_map(|text| {
        let public = hostkey::public_half(&text)?;
        let _known = cx.secret("SSH gateway host key", text);
        Some(public)
    })
}

fn cell(config: &Config, version: &str, nodes: &[Value]) -> Result<Cell, Failure> {
    let unknown = |what: &str, seen: &str| {
        Failure::harness(CHECK, format!("{what} is one that the matrix knows"), format!("it is `{seen}`"))
    };
    let gitpod = version.trim_start_matches("release-").parse::<GitpodVersion>();
    let info = nodes.first().map(|n| &n["status"]["nodeInfo"]).unwrap_or(&Value::Null);
    let kubelet = info["kubeletVersion"].as_str().unwrap_or_default();
    let k3s = kubelet.parse::<K3sVersion>().map_err(|_| unknown("the k3s release", kubelet))?;
    let image = info["osImage"].as_str().unwrap_or_default();
    let os = [("20.04", Os::Ubuntu2004), ("22.04", Os::Ubuntu2204), ("24.04", Os::Ubuntu2404)];
    let os = os.into_iter().find(|(number, _)| image.contains(number)).map(|(_, os)| os);
    let database = &config.database;
    let (registry, storage) = (&config.container_registry, &config.object_storage);
    let shift = config.workspace.runtime.fs_shift_method.parse::<Shift>();
    Ok(Cell {
        shift: shift.map_err(|_| unknown("the shift method", &config.workspace.runtime.fs_shift_method))?,
        os: os.ok_or_else(|| unknown("the operating system", image))?,
        database: match (database.in_cluster, &database.ssl) {
            (true, _) => Database::InCluster,
            (false, None) => Database::External,
            (false, Some(_)) => Database::ExternalTls,
        },
        registry: match (registry.in_cluster, &registry.s3_storage) {
            (true, None) => Registry::InCluster,
            (true, Some(_)) => Registry::InClusterS3,
            (false, _) => Registry::External,
        },
        storage: match &storage.s3 {
            _ if storage.in_cluster => Storage::InCluster,
            Some(s3) if s3.bucket.as_deref().unwrap_or_default().is_empty() => Storage::S3MultiBucket,
            _single_bucket => Storage::S3,
        },
        size: match nodes.len() {
            0 | 1 => Size::Single,
            2 | 3 => Size::Small,
            _more => Size::Medium,
        },
        k3s,
        gitpod: gitpod.map_err(|_| unknown("the Gitpod release", version))?,
        tls: if config.custom_ca_cert.is_some() { Tls::PrivateCa } else { Tls::Byo },
        ssh_gateway: if config.ssh_gateway_host_key.is_some() { SshGateway::On } else { SshGateway::Off },
        // A running machine does not tell which template it was born from.
        template: Template::Gsh,
    })
}
