//! What an installed Gitpod tells about itself: the parts of an `Installation` that only the cluster knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, WsmanCredentials};
use gsh_engine::secret::Secret;
use gsh_model::outcome::Blame;
use serde_json::Value;

use super::hostkey;
use gsh_kube::api::{self, Api, Kind};

/// Workspace image that the server falls back to when the configuration names none.
pub(crate) const DEFAULT_WORKSPACE_IMAGE: &str = "docker.io/gitpod/workspace-full:latest";

async fn get(
    cx: &Cx,
    api: &Api,
    namespace: &str,
    check: &'static str,
    kind: &str,
    name: &str,
) -> Result<Option<Value>, Failure> {
    let what = format!("{kind} `{name}` can be read");
    let kind = Kind::new("v1", kind);
    api::patiently(cx, &what, Blame::Harness, check, || api.get(&kind, Some(namespace), name)).await
}

/// A Secret, if there is one.
pub(crate) async fn secret(
    cx: &Cx,
    api: &Api,
    namespace: &str,
    check: &'static str,
    name: &str,
) -> Result<Option<Value>, Failure> {
    get(cx, api, namespace, check, "Secret", name).await
}

/// The value of a key of a Secret.
pub fn decoded(secret: &Value, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok()
}

/// Secret with the client certificate of ws-manager. From rendered objects of the installer.
pub const WSMAN_SECRET: &str = "ws-manager-client-tls";
/// ConfigMaps that name the images of IDEs, in the order in which they are asked.
pub const IDE_CONFIGS: [&str; 2] = ["server-ide-config", "ide-config"];

/// Client certificate of ws-manager.
pub(crate) async fn wsman(cx: &Cx, api: &Api, namespace: &str) -> Result<WsmanCredentials, Failure> {
    let check = "GSH-INS-030";
    let name = WSMAN_SECRET;
    let expected = format!("Secret `{name}` holds ca.crt, tls.crt and tls.key");
    let secret = secret(cx, api, namespace, check, name).await?;
    let Some(secret) = secret else {
        return Err(Failure::product(check, expected, "there is no such Secret"));
    };
    let part = |key: &str| {
        decoded(&secret, key).ok_or_else(|| Failure::product(check, expected.clone(), format!("`{key}` is missing")))
    };
    let key = cx.secret("ws-manager client key", part("tls.key")?);
    Ok(WsmanCredentials { ca: part("ca.crt")?, cert: part("tls.crt")?, key })
}

/// Image of the browser IDE. `ide-config` carries the same catalogue for releases that dropped the server's copy.
pub(crate) async fn ide_image(cx: &Cx, api: &Api, namespace: &str) -> Result<String, Failure> {
    let check = "GSH-INS-031";
    for name in IDE_CONFIGS {
        let Some(map) = get(cx, api, namespace, check, "ConfigMap", name).await? else { continue };
        let config: Option<Value> = map["data"]["config.json"].as_str().and_then(|t| serde_json::from_str(t).ok());
        let image = config.and_then(|c| c["ideOptions"]["options"]["code"]["image"].as_str().map(str::to_owned));
        if let Some(image) = image {
            return Ok(image);
        }
    }
    let expected = "ConfigMap `server-ide-config` or `ide-config` names the image of the browser IDE";
    Err(Failure::product(check, expected, "neither does"))
}

/// What is known of an installation that somebody already has, before its Secrets are read.
#[derive(Debug, Clone)]
pub struct Known {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Domain of the site.
    pub domain: String,
    /// Release as the installer recorded it.
    pub version: String,
    /// PEM of the authority behind the site's certificate, when it is a private one.
    pub ca_pem: Option<String>,
    /// Public host key of the SSH gateway, where the operator told it.
    pub host_key: Option<String>,
    /// Secret with the host key of the SSH gateway, when the gateway is on.
    pub host_key_secret: Option<String>,
    /// Default image of workspaces, where the configuration names one.
    pub workspace_image: Option<String>,
}

/// Completes it with what scenarios need that use the installation: client certificate, images, host key.
///
/// # Errors
/// When something of it is not there, or may not be read.
pub async fn installation(cx: &Cx, kube: &kube::Client, known: &Known) -> Result<Installation, Failure> {
    let api = Api::new(kube.clone());
    let namespace = known.namespace.as_str();
    let host_key = match (&known.host_key, &known.host_key_secret) {
        (Some(line), _) => Some(line.clone()),
        (None, Some(name)) => secret(cx, &api, namespace, "GSH-INS-032", name).await?.and_then(|s| public_key(cx, &s)),
        (None, None) => None,
    };
    Ok(Installation {
        ide_image: ide_image(cx, &api, namespace).await?,
        wsman: wsman(cx, &api, namespace).await?,
        gateway_host_key: host_key,
        ..seen(known)
    })
}

/// The installation as far as looking tells: without client certificate, and so for scenarios that only look.
#[must_use]
pub fn seen(known: &Known) -> Installation {
    Installation {
        namespace: known.namespace.clone(),
        domain: known.domain.clone(),
        version: known.version.clone(),
        ca_pem: known.ca_pem.clone(),
        gateway_host_key: known.host_key.clone(),
        workspace_image: known.workspace_image.clone().unwrap_or_else(|| DEFAULT_WORKSPACE_IMAGE.to_owned()),
        ide_image: String::new(),
        wsman: WsmanCredentials {
            ca: String::new(),
            cert: String::new(),
            key: Secret::new("no client key: only looking", ""),
        },
    }
}

/// The public half of the first value that is a private key; the names of the keys are free.
fn public_key(cx: &Cx, secret: &Value) -> Option<String> {
    let keys = secret["data"].as_object()?.keys();
    keys.filter_map(|k| decoded(secret, k)).find_map(|text| {
        let public = hostkey::public_half(&text)?;
        let _known = cx.secret("SSH gateway host key", text);
        Some(public)
    })
}
