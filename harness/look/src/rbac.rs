//! The least rights that a look needs: a ClusterRole for what is listed in the whole cluster, a Role for the rest.

use std::collections::BTreeMap;

use gsh_gitpod::install::found::{IDE_CONFIGS, WSMAN_SECRET};
use serde_json::{Value, json};

use crate::reader::Kind;

/// What the roles are for.
#[derive(Debug, Clone, Default)]
pub struct Purpose<'a> {
    /// Secret whose `ca.crt` is read, where there is one: a Role can be limited to names.
    pub authority: Option<&'a str>,
    /// Secret with the host key of the SSH gateway, where it is read.
    pub host_key: Option<&'a str>,
    /// Whether what is listed is followed too.
    pub follows: bool,
    /// Whether events and logs are read for evidence.
    pub evidence: bool,
    /// Scenarios that create something.
    pub works: Vec<&'a str>,
}

/// Roles and their bindings for whoever looks: `subject` is the name of a service account in the namespace.
#[must_use]
pub fn objects(namespace: &str, subject: &str, purpose: &Purpose<'_>) -> Vec<Value> {
    let meta = |name: &str| json!({ "name": name });
    let here = |name: &str| json!({ "name": name, "namespace": namespace });
    let group = "rbac.authorization.k8s.io";
    let subjects = json!([{ "kind": "ServiceAccount", "name": subject, "namespace": namespace }]);
    let verbs: &[&str] = if purpose.follows { &["list", "watch"] } else { &["list"] };
    let mut inside = rules(Kind::LISTED.into_iter().filter(|k| !k.everywhere()), verbs);
    let mut everywhere = rules(Kind::LISTED.into_iter().filter(|k| k.everywhere()), verbs);
    let mut secrets: Vec<&str> = purpose.authority.into_iter().collect();
    if !purpose.works.is_empty() {
        secrets.push(WSMAN_SECRET);
        secrets.extend(purpose.host_key);
        inside.push(named("configmaps", &IDE_CONFIGS));
        inside.extend(EVERY_WORK.iter().map(Right::rule));
    }
    if purpose.evidence && purpose.works.is_empty() {
        inside.extend(EVIDENCE.iter().map(Right::rule));
    }
    if !secrets.is_empty() {
        inside.push(named("secrets", &secrets));
    }
    for (_, right) in OF_SCENARIOS.iter().filter(|(of, _)| of.iter().any(|name| purpose.works.contains(name))) {
        if right.everywhere { everywhere.push(right.rule()) } else { inside.push(right.rule()) }
    }
    let reference = |kind: &str| json!({ "apiGroup": group, "kind": kind, "name": "gsh-verify" });
    let object = |kind: &str, metadata: Value, rest: Value| {
        let mut object = json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata });
        for (key, value) in rest.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object
    };
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": here(subject) }),
        object("ClusterRole", meta("gsh-verify"), json!({ "rules": everywhere })),
        object("Role", here("gsh-verify"), json!({ "rules": inside })),
        object(
            "ClusterRoleBinding",
            meta("gsh-verify"),
            json!({ "roleRef": reference("ClusterRole"), "subjects": subjects }),
        ),
        object("RoleBinding", here("gsh-verify"), json!({ "roleRef": reference("Role"), "subjects": subjects })),
    ]
}

/// What a scenario may do with a kind of object, beyond looking.
struct Right {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    /// In the whole cluster rather than in the namespace of the installation.
    everywhere: bool,
}

impl Right {
    const fn new(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { group, resource, verbs, everywhere: false }
    }

    fn rule(&self) -> Value {
        json!({ "apiGroups": [self.group], "resources": [self.resource], "verbs": self.verbs })
    }
}

/// Of every scenario that creates something: it calls ws-manager through a forwarded port, runs commands in workspaces
/// of its own, removes pods that a killed run left, and explains failures with events and logs.
const EVERY_WORK: [Right; 5] = [
    Right::new("", "pods", &["get", "list", "watch", "delete"]),
    Right::new("", "pods/exec", &["create", "get"]),
    Right::new("", "pods/portforward", &["create", "get"]),
    Right::new("", "pods/log", &["get"]),
    Right::new("", "events", &["list"]),
];

/// What evidence is made of, beside the objects that a look lists.
const EVIDENCE: [Right; 2] = [Right::new("", "pods/log", &["get"]), Right::new("", "events", &["list"])];

/// Of single scenarios. A right of several is there once.
const OF_SCENARIOS: [(&[&str], Right); 7] = [
    // A pod that asks from beside the workspaces, or that takes the room which a new node must give.
    (&["store-roundtrip", "isolation", "scale-out"], Right::new("", "pods", &["create"])),
    (&["isolation"], Right::new("networking.k8s.io", "networkpolicies", &["get"])),
    // Where the stores are and how to log in to them; the names are the operator's.
    (&["store-roundtrip"], Right::new("", "secrets", &["get"])),
    (&["store-roundtrip"], Right::new("", "configmaps", &["get"])),
    (&["store-roundtrip"], Right::new("apps", "deployments", &["get"])),
    (&["store-roundtrip"], Right::new("apps", "daemonsets", &["get"])),
    (&["scale-out"], Right { everywhere: true, ..Right::new("", "nodes", &["get", "list"]) }),
];

/// Reading of single objects.
fn named(resource: &str, names: &[&str]) -> Value {
    json!({ "apiGroups": [""], "resources": [resource], "resourceNames": names, "verbs": ["get"] })
}

/// One rule for each API group.
fn rules(kinds: impl Iterator<Item = Kind>, verbs: &[&str]) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        groups.entry(kind.group()).or_default().push(kind.plural());
    }
    let rule = |(group, mut resources): (&str, Vec<String>)| {
        resources.sort();
        json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
    };
    groups.into_iter().map(rule).collect()
}

/// The objects as YAML documents, ready to be applied.
#[must_use]
pub fn yaml(objects: &[Value]) -> String {
    let document = |o: &Value| serde_norway::to_string(o).unwrap_or_default();
    objects.iter().map(|o| format!("---\n{}", document(o))).collect()
}
