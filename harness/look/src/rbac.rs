//! The least rights that a look needs: a ClusterRole for what is listed in the whole cluster, a Role for the rest.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::reader::Kind;

/// Roles and their bindings for whoever looks: `subject` is the name of a service account in the namespace.
///
/// `authority` names the Secret whose `ca.crt` is read, where there is one: a Role can be limited to names.
#[must_use]
pub fn objects(namespace: &str, subject: &str, authority: Option<&str>, works: bool) -> Vec<Value> {
    let meta = |name: &str| json!({ "name": name });
    let here = |name: &str| json!({ "name": name, "namespace": namespace });
    let group = "rbac.authorization.k8s.io";
    let subjects = json!([{ "kind": "ServiceAccount", "name": subject, "namespace": namespace }]);
    let mut inside = rules(Kind::LISTED.into_iter().filter(|k| !k.everywhere()));
    if let Some(name) = authority {
        inside.push(json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"] }));
    }
    if works {
        inside.extend(for_work());
    }
    let reference = |kind: &str| json!({ "apiGroup": group, "kind": kind, "name": "gsh-verify" });
    let object = |kind: &str, metadata: Value, rest: Value| {
        let mut object = json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata });
        for (key, value) in rest.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object
    };
    let everywhere = rules(Kind::LISTED.into_iter().filter(|k| k.everywhere()));
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

/// What scenarios need beyond looking: they call ws-manager through a forwarded port with its client certificate, run
/// commands in workspaces of their own, remove pods that a killed run left, and explain failures with events and logs.
fn for_work() -> Vec<Value> {
    let rule =
        |resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [""], "resources": resources, "verbs": verbs });
    vec![
        rule(&["pods"], &["get", "list", "watch", "delete"]),
        rule(&["pods/exec", "pods/portforward"], &["create", "get"]),
        rule(&["pods/log"], &["get"]),
        rule(&["events"], &["list"]),
        rule(&["configmaps", "secrets"], &["get"]),
    ]
}

/// One rule for each API group.
fn rules(kinds: impl Iterator<Item = Kind>) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        groups.entry(kind.group()).or_default().push(kind.plural());
    }
    let rule = |(group, mut resources): (&str, Vec<String>)| {
        resources.sort();
        json!({ "apiGroups": [group], "resources": resources, "verbs": ["list"] })
    };
    groups.into_iter().map(rule).collect()
}

/// The objects as YAML documents, ready to be applied.
#[must_use]
pub fn yaml(objects: &[Value]) -> String {
    let document = |o: &Value| serde_norway::to_string(o).unwrap_or_default();
    objects.iter().map(|o| format!("---\n{}", document(o))).collect()
}
