//! What an installed Gitpod tells about itself: the parts of an `Installation` that only the cluster knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::WsmanCredentials;
use gsh_model::outcome::Blame;
use serde_json::Value;

use crate::api::{self, Api, Kind};

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
pub(crate) fn decoded(secret: &Value, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok()
}

/// Client certificate of ws-manager.
pub(crate) async fn wsman(cx: &Cx, api: &Api, namespace: &str) -> Result<WsmanCredentials, Failure> {
    let check = "GSH-INS-030";
    let name = "ws-manager-client-tls";
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
    for name in ["server-ide-config", "ide-config"] {
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

/// The record that the installer leaves of itself: effective configuration (YAML) and version.
pub(crate) async fn record(cx: &Cx, api: &Api, namespace: &str) -> Result<Option<(String, String)>, Failure> {
    let Some(map) = get(cx, api, namespace, "GSH-INS-032", "ConfigMap", "gitpod").await? else { return Ok(None) };
    let config = map["data"]["config.yaml"].as_str();
    let versions: Option<Value> = map["data"]["versions.json"].as_str().and_then(|t| serde_json::from_str(t).ok());
    let version = versions.and_then(|v| v["versions"]["version"].as_str().or(v["version"].as_str()).map(str::to_owned));
    Ok(config.map(str::to_owned).zip(version))
}
