//! What is installed: namespace, domain, release and every axis of the matrix, each with how it is known. What cannot be
//! told is not guessed.

use std::collections::BTreeSet;

use gsh_model::axis::{
    AxisName, Cell, Database, GitpodVersion, K3sVersion, Os, Registry, Shift, Size, SshGateway, Storage, Tls,
};
use serde_json::Value;

use crate::reader::{Kind, Reader, Unseen};
use crate::record::{RECORD, Record};
use crate::sight::{Sight, label, name};

/// Something that looking told, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The value; nothing when it cannot be told.
    pub value: Option<String>,
    /// How it is known, or why it cannot be told.
    pub how: String,
}

impl Known {
    fn by(value: impl ToString, how: impl Into<String>) -> Self {
        Self { value: Some(value.to_string()), how: how.into() }
    }

    fn not(why: impl Into<String>) -> Self {
        Self { value: None, how: why.into() }
    }
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Namespace.
    pub namespace: String,
    /// Domain of the site.
    pub domain: Known,
    /// Release as the installer recorded it.
    pub version: Known,
    /// Every axis of a cell, in their order.
    pub axes: Vec<(AxisName, Known)>,
}

impl Found {
    /// Reads it from what was seen.
    #[must_use]
    pub fn of(sight: &Sight, record: &Record) -> Self {
        let config = "config.yaml of ConfigMap `gitpod`";
        let absent = || Known::not(format!("{config} is absent or names none"));
        let domain = record.text("/domain").map_or_else(absent, |d| Known::by(d, config));
        let version = match &record.version {
            Some(version) => Known::by(version, "versions.json of ConfigMap `gitpod`"),
            None => Known::not("versions.json of ConfigMap `gitpod` is absent"),
        };
        let axes = AxisName::CELL.into_iter().map(|axis| (axis, axis_of(axis, sight, record))).collect();
        Self { namespace: sight.namespace().to_owned(), domain, version, axes }
    }

    /// The cell that this is. An axis that cannot be told stands at its default; [`Found::untold`] names those.
    #[must_use]
    pub fn cell(&self) -> Cell {
        let mut cell = Cell::default();
        for (axis, known) in &self.axes {
            if let Some(value) = &known.value {
                // Values that the matrix does not know were not taken for known.
                let _known = cell.set(*axis, value);
            }
        }
        cell
    }

    /// The axes that cannot be told.
    #[must_use]
    pub fn untold(&self) -> Vec<AxisName> {
        self.axes.iter().filter(|(_, known)| known.value.is_none()).map(|(axis, _)| *axis).collect()
    }
}

fn axis_of(axis: AxisName, sight: &Sight, record: &Record) -> Known {
    let config = "config.yaml of ConfigMap `gitpod`";
    let with_config = |value: fn(&Record) -> String| match record.config {
        Some(_) => Known::by(value(record), config),
        None => Known::not(format!("{config} is absent")),
    };
    match axis {
        AxisName::Shift => match record.text("/workspace/runtime/fsShiftMethod") {
            Some(text) => recognized::<Shift>(text, config),
            None => match daemon_shift(sight) {
                Some(shift) => Known::by(shift, "config.json of ConfigMap `ws-daemon`"),
                None => Known::not("neither the configuration nor ws-daemon's says"),
            },
        },
        AxisName::Os => agreed(sight, "osImage", |image| {
            let known = [("20.04", Os::Ubuntu2004), ("22.04", Os::Ubuntu2204), ("24.04", Os::Ubuntu2404)];
            known.iter().find(|(n, _)| image.starts_with("Ubuntu") && image.contains(n)).map(|(_, os)| os.to_string())
        }),
        AxisName::K3s => {
            agreed(sight, "kubeletVersion", |text| text.parse::<K3sVersion>().ok().map(|version| version.to_string()))
        }
        AxisName::Database => with_config(|r| {
            let axis = match (r.in_cluster("database"), r.field("/database/ssl/caCert")) {
                (true, _) => Database::InCluster,
                (false, None) => Database::External,
                (false, Some(_)) => Database::ExternalTls,
            };
            axis.to_string()
        }),
        AxisName::Registry => with_config(|r| {
            let axis = match (r.in_cluster("containerRegistry"), r.field("/containerRegistry/s3storage")) {
                (true, None) => Registry::InCluster,
                (true, Some(_)) => Registry::InClusterS3,
                (false, _) => Registry::External,
            };
            axis.to_string()
        }),
        AxisName::Storage => with_config(|r| {
            let axis = match (r.in_cluster("objectStorage"), r.text("/objectStorage/s3/bucket")) {
                (true, _) => Storage::InCluster,
                (false, Some(_)) => Storage::S3,
                (false, None) => Storage::S3MultiBucket,
            };
            axis.to_string()
        }),
        AxisName::Size => size(sight),
        AxisName::Gitpod => match &record.version {
            Some(version) => recognized::<GitpodVersion>(
                version.trim_start_matches("release-"),
                "versions.json of ConfigMap `gitpod`",
            ),
            None => Known::not("versions.json of ConfigMap `gitpod` is absent"),
        },
        AxisName::Tls => {
            with_config(|r| (if r.field("/customCACert").is_some() { Tls::PrivateCa } else { Tls::Byo }).to_string())
        }
        AxisName::SshGateway => {
            with_config(|r| (if r.gateway() { SshGateway::On } else { SshGateway::Off }).to_string())
        }
        AxisName::Template => Known::not("a running machine does not tell which template it was born from"),
        AxisName::Axis => Known::not("no axis of a cell"),
    }
}

/// A value, if the matrix has it.
fn recognized<T: std::str::FromStr<Err: std::fmt::Display> + ToString>(text: &str, how: &str) -> Known {
    match text.parse::<T>() {
        Ok(value) => Known::by(value.to_string(), how),
        Err(e) => Known::not(format!("{how}: {e}")),
    }
}

/// A fact that all nodes share.
fn agreed(sight: &Sight, fact: &str, value: impl Fn(&str) -> Option<String>) -> Known {
    if let Some(why) = sight.unseen(Kind::Node) {
        return Known::not(format!("nodes cannot be listed: {why}"));
    }
    let facts: BTreeSet<&str> =
        sight.all(Kind::Node).map(|n| n["status"]["nodeInfo"][fact].as_str().unwrap_or_default()).collect();
    let facts: Vec<&str> = facts.into_iter().collect();
    match facts.as_slice() {
        [] => Known::not("there are no nodes"),
        [one] => match value(one) {
            Some(value) => Known::by(value, format!("{fact} of every node")),
            None => Known::not(format!("{fact} of every node is `{one}`, which the matrix does not know")),
        },
        several => Known::not(format!("nodes differ in {fact}: {}", several.join(", "))),
    }
}

fn size(sight: &Sight) -> Known {
    if let Some(why) = sight.unseen(Kind::Node) {
        return Known::not(format!("nodes cannot be listed: {why}"));
    }
    let manages = |node: &&Value| {
        ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"]
            .iter()
            .any(|l| label(node, l).is_some())
    };
    let nodes = sight.all(Kind::Node).count();
    let managers = sight.all(Kind::Node).filter(manages).count();
    let how = format!("{managers} managers among {nodes} nodes");
    match (managers, nodes) {
        (1, 1) => Known::by(Size::Single, how),
        (1, 2) => Known::by(Size::Small, how),
        (3, 6..) => Known::by(Size::Medium, how),
        _other => Known::not(format!("{how}: no size of the matrix")),
    }
}

/// How ws-daemon was told to shift user ids.
pub(crate) fn daemon_shift(sight: &Sight) -> Option<Shift> {
    let text = sight.get(Kind::ConfigMap, "ws-daemon")?["data"]["config.json"].as_str()?;
    let config: Value = serde_json::from_str(text).ok()?;
    match config["daemon"]["content"]["userNamespaces"]["fsShift"].as_str()? {
        "FUSE" => Some(Shift::Fuse),
        "SHIFTFS" => Some(Shift::Shiftfs),
        _unknown => None,
    }
}

/// Where Gitpod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this namespace.
    Here(String),
    /// In more than one.
    Several(Vec<String>),
    /// Nowhere, and everything was looked at.
    Nowhere,
    /// Nowhere that may be looked at, but not everything may: what was refused.
    Hidden(Unseen),
    /// Nothing could be looked at.
    Dark(Unseen),
}

/// Components that only a Gitpod has together: enough to recognize one whose record is gone.
const COMPONENTS: [&str; 3] = ["server", "ws-manager", "ws-daemon"];

/// Finds the namespace of the installation: where the installer left its record, else where its components are.
pub async fn place(reader: &Reader, home: &str) -> Place {
    let everywhere = reader.list(Kind::ConfigMap, None, Some(RECORD)).await;
    let refused = match everywhere {
        Ok(maps) => {
            let of = |m: &Value| m["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            let ours = |m: &&Value| m["data"]["config.yaml"].is_string();
            let mut namespaces: Vec<String> = maps.iter().filter(ours).map(of).collect();
            namespaces.sort();
            return match namespaces.as_slice() {
                [] => half(reader).await,
                [one] => Place::Here(one.clone()),
                _several => Place::Several(namespaces),
            };
        }
        Err(why @ Unseen::Forbidden(_)) => why,
        Err(why) => return Place::Dark(why),
    };
    // Whoever may not look everywhere may still look where it usually is.
    let mut candidates = vec!["gitpod", "default"];
    if !candidates.contains(&home) {
        candidates.insert(0, home);
    }
    let mut seen = false;
    for namespace in candidates {
        match reader.list(Kind::ConfigMap, Some(namespace), Some(RECORD)).await {
            Ok(maps) if maps.iter().any(|m| m["data"]["config.yaml"].is_string()) => {
                return Place::Here(namespace.to_owned());
            }
            Ok(_none) => seen = true,
            Err(Unseen::Forbidden(_)) => {}
            Err(why) => return Place::Dark(why),
        }
        match reader.list(Kind::Deployment, Some(namespace), None).await {
            Ok(deployments) if deployments.iter().any(component) => return Place::Here(namespace.to_owned()),
            Ok(_none) => seen = true,
            Err(Unseen::Forbidden(_)) => {}
            Err(why) => return Place::Dark(why),
        }
    }
    if seen { Place::Hidden(refused) } else { Place::Dark(refused) }
}

/// Whether it is a Deployment that only Gitpod has.
fn component(object: &Value) -> bool {
    COMPONENTS.contains(&name(object)) && label(object, "app") == Some("gitpod")
}

/// A Gitpod without its record.
async fn half(reader: &Reader) -> Place {
    let deployments = match reader.list(Kind::Deployment, None, None).await {
        Ok(deployments) => deployments,
        Err(why @ Unseen::Forbidden(_)) => return Place::Hidden(why),
        Err(why) => return Place::Dark(why),
    };
    let mut namespaces: BTreeSet<String> = BTreeSet::new();
    for object in deployments.iter().filter(|o| component(o)) {
        namespaces.extend(object["metadata"]["namespace"].as_str().map(str::to_owned));
    }
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    match namespaces.as_slice() {
        [] => Place::Nowhere,
        [one] => Place::Here(one.clone()),
        _several => Place::Several(namespaces),
    }
}
