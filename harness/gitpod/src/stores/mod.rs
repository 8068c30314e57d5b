//! The stores that an installation really uses: as its own components are configured, not as somebody meant to configure
//! them; and a client for each, which speaks through a [`Probe`](crate::probe::Probe).

mod database;
pub(crate) mod given;
mod images;
mod objects;
mod word;

pub use database::{Database, NoAnswer};
pub use images::Images;
pub use objects::Objects;
pub use word::{NotOurs, Word};

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use gsh_model::outcome::Blame;
use serde_json::Value;

use crate::install::{decoded, secret};
use gsh_kube::api::{self, Api, Kind};

/// Where a component is configured, and for which check it is read.
struct Place<'a> {
    cx: &'a Cx,
    api: Api,
    namespace: &'a str,
    check: &'static str,
}

impl<'a> Place<'a> {
    fn new(cx: &'a Cx, kube: &kube::Client, namespace: &'a str, check: &'static str) -> Self {
        Self { cx, api: Api::new(kube.clone()), namespace, check }
    }

    /// An object that has to be there.
    async fn object(&self, api_version: &str, kind: &str, name: &str) -> Result<Value, Failure> {
        let expected = format!("{kind} `{name}` can be read");
        let of = Kind::new(api_version, kind);
        let (api, namespace) = (&self.api, Some(self.namespace));
        let found =
            api::patiently(self.cx, &expected, Blame::Harness, self.check, || api.get(&of, namespace, name)).await?;
        found.ok_or_else(|| Failure::product(self.check, expected, "there is none"))
    }

    /// A JSON document in a ConfigMap: the first value that is one.
    async fn config(&self, name: &str) -> Result<Value, Failure> {
        let map = self.object("v1", "ConfigMap", name).await?;
        let values = map["data"].as_object().into_iter().flatten();
        let mut parsed = values.filter_map(|(_, text)| serde_json::from_str::<Value>(text.as_str()?).ok());
        parsed.next().filter(Value::is_object).ok_or_else(|| {
            Failure::product(
                self.check,
                format!("ConfigMap `{name}` holds a configuration"),
                "it holds no JSON document",
            )
        })
    }

    /// A value of a Secret.
    async fn secret(&self, name: &str, key: &str) -> Result<Secret, Failure> {
        let found = secret(self.cx, &self.api, self.namespace, self.check, name).await?;
        let value = found.as_ref().and_then(|s| decoded(s, key));
        let value = value.ok_or_else(|| {
            Failure::product(self.check, format!("Secret `{name}` holds `{key}`"), "it does not, or there is none")
        })?;
        Ok(self.cx.secret(&format!("{name}/{key}"), value))
    }

    /// An environment variable of a container: as it stands, or from the Secret that it names.
    async fn env(&self, container: &Value, name: &str) -> Result<Option<Secret>, Failure> {
        let all = container["env"].as_array();
        let Some(entry) = all.into_iter().flatten().find(|e| e["name"] == name) else { return Ok(None) };
        if let Some(value) = entry["value"].as_str() {
            return Ok(Some(Secret::new(name, value)));
        }
        let source = &entry["valueFrom"]["secretKeyRef"];
        match (source["name"].as_str(), source["key"].as_str()) {
            (Some(secret), Some(key)) => Ok(Some(self.public_or_secret(secret, key).await?)),
            _ => Ok(None),
        }
    }

    /// Hosts, ports and user names are no secrets; treating them as such would blank them out of every text.
    async fn public_or_secret(&self, name: &str, key: &str) -> Result<Secret, Failure> {
        if !matches!(key, "host" | "port" | "username" | "ca.crt") {
            return self.secret(name, key).await;
        }
        let found = secret(self.cx, &self.api, self.namespace, self.check, name).await?;
        let value = found.as_ref().and_then(|s| decoded(s, key)).unwrap_or_default();
        Ok(Secret::new(key, value))
    }
}

/// The container of a workload by its name.
fn container<'v>(workload: &'v Value, name: &str) -> Option<&'v Value> {
    let all = workload["spec"]["template"]["spec"]["containers"].as_array()?;
    all.iter().find(|c| c["name"] == name)
}

/// Whether a host is a name of the cluster: of a Service in this namespace, short or full.
fn is_inside(host: &str, namespace: &str) -> bool {
    !host.contains('.') || host.ends_with(&format!(".{namespace}.svc")) || host.ends_with(".svc.cluster.local")
}

#[cfg(test)]
mod tests {
    use super::is_inside;

    #[test]
    fn names_of_services_are_inside_and_addresses_are_not() {
        assert!(is_inside("db", "gitpod") && is_inside("minio.gitpod.svc.cluster.local", "gitpod"));
        assert!(!is_inside("10.2.0.5", "gitpod") && !is_inside("db.example.com", "gitpod"));
    }
}
