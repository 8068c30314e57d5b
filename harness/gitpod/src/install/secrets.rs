//! The Secrets that the installer's configuration refers to, with exactly the keys that it checks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsh_engine::cx::Cx;
use gsh_engine::provider::{Site, Stores};
use gsh_model::axis::Registry;
use rand::RngCore;
use serde_json::{Value, json};

use super::config::Config;
use super::hostkey::HostKey;

/// Certificate of the site: `tls.crt`, `tls.key`.
pub(crate) const CERTIFICATE: &str = "https-certificates";
/// Authority behind it: `ca.crt`.
pub(crate) const CUSTOM_CA: &str = "ca-certificate";
/// Host key of the SSH gateway; any key name will do, `host.key` is the documented one.
pub(crate) const HOST_KEY: &str = "ssh-gateway-host-key";
/// External database: `encryptionKeys`, `host`, `password`, `port`, `username`.
pub(crate) const DATABASE: &str = "database";
/// Authority behind the external database: `ca.crt`.
pub(crate) const DATABASE_CA: &str = "database-ca";
/// External registry: `.dockerconfigjson`.
pub(crate) const REGISTRY: &str = "container-registry";
/// Object store of the in-cluster registry: `s3AccessKey`, `s3SecretKey`, unlike [`STORAGE_S3`].
pub(crate) const REGISTRY_S3: &str = "container-registry-s3-backend";
/// Object store of workspaces: `accessKeyId`, `secretAccessKey`.
pub(crate) const STORAGE_S3: &str = "storage-s3";

/// The Secrets for a configuration, ready to be applied. What is secret in them is known to the scrubber, also in the
/// base64 form in which the API shows it.
pub(crate) fn of(
    cx: &Cx,
    config: &Config,
    site: &Site,
    stores: &Stores,
    host_key: Option<&HostKey>,
    namespace: &str,
) -> Vec<Value> {
    let mut all =
        vec![(CERTIFICATE, vec![("tls.crt", site.cert_pem.clone()), ("tls.key", site.key.expose().to_owned())])];
    let registry = if config.container_registry.in_cluster { Registry::InCluster } else { Registry::External };
    if let (Some(_), Some(ca)) = (&config.custom_ca_cert, authorities(site, stores, registry)) {
        all.push((CUSTOM_CA, vec![("ca.crt", ca)]));
    }
    if let (Some(_), Some(key)) = (&config.ssh_gateway_host_key, host_key) {
        all.push((HOST_KEY, vec![("host.key", key.private.expose().to_owned())]));
    }
    if let (Some(_), Some(store)) = (&config.database.external, &stores.database) {
        let keys = cx.secret("database encryption keys", encryption_keys());
        all.push((
            DATABASE,
            vec![
                ("encryptionKeys", keys.expose().to_owned()),
                ("host", store.host.clone()),
                ("password", store.password.expose().to_owned()),
                ("port", store.port.to_string()),
                ("username", store.username.clone()),
            ],
        ));
        if let (Some(_), Some(ca)) = (&config.database.ssl, &store.ca_pem) {
            all.push((DATABASE_CA, vec![("ca.crt", ca.clone())]));
        }
    }
    if let (Some(external), Some(store)) = (&config.container_registry.external, &stores.registry) {
        let login = docker_config(cx, &external.url, &store.username, store.password.expose());
        all.push((REGISTRY, vec![(".dockerconfigjson", login)]));
    }
    if let Some(s3) = &stores.s3 {
        let (access, secret) = (s3.access_key.expose().to_owned(), s3.secret_key.expose().to_owned());
        if config.container_registry.s3_storage.is_some() {
            all.push((REGISTRY_S3, vec![("s3AccessKey", access.clone()), ("s3SecretKey", secret.clone())]));
        }
        if config.object_storage.s3.is_some() {
            all.push((STORAGE_S3, vec![("accessKeyId", access), ("secretAccessKey", secret)]));
        }
    }
    all.into_iter().map(|(name, data)| object(cx, name, data, namespace)).collect()
}

/// The private authorities that Gitpod must trust, as one PEM text: the site's, and that of an external registry. There is
/// one place for both in the installer's configuration.
pub(crate) fn authorities(site: &Site, stores: &Stores, registry: Registry) -> Option<String> {
    let store = match registry {
        Registry::External => stores.registry.as_ref().and_then(|r| r.ca_pem.as_deref()),
        Registry::InCluster | Registry::InClusterS3 => None,
    };
    let all: Vec<&str> = site.ca_pem.as_deref().into_iter().chain(store).map(str::trim_end).collect();
    (!all.is_empty()).then(|| all.join("\n") + "\n")
}

fn object(cx: &Cx, name: &str, data: Vec<(&str, String)>, namespace: &str) -> Value {
    let mut encoded = BTreeMap::new();
    for (key, value) in data {
        let text = STANDARD.encode(&value);
        if !PUBLIC.contains(&key) {
            let _known = cx.secret(&format!("secret {name}/{key}"), text.as_str());
        }
        encoded.insert(key.to_owned(), text);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "type": "Opaque",
        "data": encoded,
    })
}

/// Keys whose values are no secret; blanking them out would make evidence unreadable.
const PUBLIC: [&str; 5] = ["tls.crt", "ca.crt", "host", "port", "username"];

/// The list of keys that Gitpod encrypts tokens with: one fresh key of 256 bits.
fn encryption_keys() -> String {
    let mut material = [0_u8; 32];
    rand::rng().fill_bytes(&mut material);
    json!([{ "name": "general", "version": 1, "primary": true, "material": STANDARD.encode(material) }]).to_string()
}

/// A login as Docker keeps it. The host is what stands before the first slash of the registry's address.
fn docker_config(cx: &Cx, url: &str, username: &str, password: &str) -> String {
    let host = url.split('/').next().unwrap_or(url);
    let auth = cx.secret("registry login", STANDARD.encode(format!("{username}:{password}")));
    json!({ "auths": { host: { "username": username, "password": password, "auth": auth.expose() } } }).to_string()
}
