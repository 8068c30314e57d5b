//! What the installer wrote down about itself: ConfigMap `gitpod` (configuration, versions) and ConfigMap `gitpod-app`
//! (every object but Jobs). Read with tolerance: it is somebody else's file.

use serde::Deserialize as _;
use serde_json::Value;

use crate::reader::Kind;
use crate::sight::Sight;

/// One line of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Kind, `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// The installer's record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The effective configuration, from `config.yaml`.
    pub config: Option<Value>,
    /// The release, from `versions.json`.
    pub version: Option<String>,
    /// Every object but Jobs, from `app.yaml`.
    pub inventory: Option<Vec<Item>>,
}

/// ConfigMap with configuration and versions.
pub const RECORD: &str = "gitpod";
/// ConfigMap with the inventory.
pub const INVENTORY: &str = "gitpod-app";

impl Record {
    /// Reads it from what was seen.
    #[must_use]
    pub fn of(sight: &Sight) -> Self {
        let text = |name: &str, key: &str| {
            sight.get(Kind::ConfigMap, name).and_then(|m| m["data"][key].as_str()).map(str::to_owned)
        };
        let config = text(RECORD, "config.yaml").and_then(|t| serde_norway::from_str::<Value>(&t).ok());
        let versions = text(RECORD, "versions.json").and_then(|t| serde_json::from_str::<Value>(&t).ok());
        let version = versions.and_then(|v| {
            let text = v["versions"]["version"].as_str().or_else(|| v["version"].as_str());
            text.map(str::to_owned)
        });
        Self {
            config: config.filter(Value::is_object),
            version,
            inventory: text(INVENTORY, "app.yaml").map(|t| items(&t)).filter(|items| !items.is_empty()),
        }
    }

    /// A field of the configuration, by JSON pointer; `null` counts as absent.
    #[must_use]
    pub fn field(&self, pointer: &str) -> Option<&Value> {
        self.config.as_ref()?.pointer(pointer).filter(|v| !v.is_null())
    }

    /// A text of the configuration; an empty one counts as absent.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.field(pointer)?.as_str().filter(|t| !t.is_empty())
    }

    /// A switch of the configuration. The installer takes an omitted `inCluster` for true.
    #[must_use]
    pub fn in_cluster(&self, block: &str) -> bool {
        self.field(&format!("/{block}/inCluster")).and_then(Value::as_bool).unwrap_or(true)
    }

    /// Whether the whole product was installed, not a part of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.config.is_some() && self.text("/kind").is_none_or(|k| k == "Full")
    }

    /// Whether the SSH gateway is on.
    #[must_use]
    pub fn gateway(&self) -> bool {
        self.field("/sshGatewayHostKey").is_some()
    }

    /// Whether the inventory names an object.
    #[must_use]
    pub fn lists(&self, kind: Kind, name: &str) -> bool {
        self.inventory.iter().flatten().any(|i| i.kind == kind.word() && i.name == name)
    }
}

fn items(text: &str) -> Vec<Item> {
    let documents = serde_norway::Deserializer::from_str(text).filter_map(|d| Value::deserialize(d).ok());
    documents
        .filter_map(|d| {
            let kind = d["kind"].as_str()?.to_owned();
            Some(Item { kind, name: d["metadata"]["name"].as_str()?.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_is_a_stream_of_documents() {
        let text = "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n---\n# nothing\n---\nkind: Issuer\nmetadata: {name: b}\n";
        let seen = items(text);
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[1].kind.as_str(), seen[1].name.as_str()), ("Issuer", "b"));
        assert!(items("no: objects").is_empty());
    }
}
