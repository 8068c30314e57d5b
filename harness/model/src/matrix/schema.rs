//! The JSON Schema of the matrix file, made from the tables that its parser reads by.

use serde_json::{Map, Value, json};

use super::stores::{KINDS, REGISTRY_KEYS, S3_KEYS};
use super::{KEYS, PATIENCE_KEYS, values_of};
use crate::axis::{AxisName, Cell};

/// JSON Schema (draft 2020-12) of the matrix file; TOML has the same shape.
///
/// It knows what may stand where. That excludes match a cell and includes break no rule is for `gsh plan` to say.
#[must_use]
pub fn schema() -> String {
    let properties: Map<String, Value> = KEYS.into_iter().map(|key| (key.to_owned(), of_key(key))).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gsh support matrix",
        "description": "The combinations that a distribution claims to support: ci/matrix.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": { "values": one_value_each() },
    });
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn of_key(key: &str) -> Value {
    match key {
        "axes" => json!({
            "description": "values by axis; the first value of each makes the base cell, an axis that is not named stays at its default",
            "type": "object",
            "additionalProperties": false,
            "properties": AxisName::CELL.into_iter().map(|axis| (axis.to_string(), json!({
                "description": about(axis),
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": value(axis),
                "default": [Cell::default().get(axis)],
            }))).collect::<Map<_, _>>(),
        }),
        "patience" => json!({
            "description": "time limits, such as 90s, 45m or 2h; a week at most",
            "type": "object",
            "additionalProperties": false,
            "properties": PATIENCE_KEYS.into_iter().map(|key| (key.to_owned(), json!({
                "type": "string",
                "pattern": "^0*[1-9][0-9]*[smh]$",
            }))).collect::<Map<_, _>>(),
        }),
        "exclude" => rows("cells that do not run, by the values that they have", &json!({ "minProperties": 2 })),
        "include" => {
            rows("cells that run besides; an axis that is not named has the value of the base cell", &json!({}))
        }
        "tag" => rows(
            "names for the cells that have some values, for --select tag=NAME",
            &json!({
                "properties": { "name": { "type": "string", "pattern": "^[a-z0-9-]+$" } },
                "required": ["name"],
            }),
        ),
        "stores" => json!({
            "description": "stores that somebody already has; gsh brings up the others",
            "type": "object",
            "additionalProperties": false,
            "properties": KINDS.into_iter().map(|kind| (kind.to_owned(), store(kind))).collect::<Map<_, _>>(),
        }),
        _ => json!(false),
    }
}

fn store(kind: &str) -> Value {
    let (keys, optional): (&[&str], &[&str]) = match kind {
        "s3" => (&S3_KEYS, &[]),
        "registry" => (&REGISTRY_KEYS, &["ca"]),
        _ => return json!(false),
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": keys.iter().map(|key| ((*key).to_owned(), of_store(key))).collect::<Map<_, _>>(),
        "required": keys.iter().filter(|key| !optional.contains(key)).collect::<Vec<_>>(),
    })
}

fn of_store(key: &str) -> Value {
    match key {
        "endpoint" => json!({
            "description": "`https://host` or `https://host:port`, without a path",
            "type": "string",
            "pattern": "^https?://[A-Za-z0-9.-]+(:[0-9]+)?$",
        }),
        "bucket" | "registry-bucket" => json!({
            "description": "name of a bucket that exists",
            "type": "string",
            "pattern": "^[a-z0-9.-]{3,63}$",
        }),
        "url" => json!({
            "description": "`host`, `host:port` or `host/path`, without a scheme",
            "type": "string",
            "pattern": "^[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*[!-.0-~])?$",
        }),
        "ca" => json!({
            "description": "file with the authority behind the certificate, PEM, beside this file",
            "type": "string",
            "pattern": "\\S",
        }),
        "access-key-from" | "secret-key-from" | "password-from" => json!({
            "description": "name of an environment variable; the secret itself stands in no file",
            "type": "string",
            "pattern": "^(?=.*_)[A-Z_][A-Z0-9_]*$",
        }),
        "region" | "username" => json!({ "type": "string", "pattern": "^[!-~]+$" }),
        _ => json!(false),
    }
}

/// A list of tables of axis values with a reason, and what else holds for each.
fn rows(description: &str, more: &Value) -> Value {
    let mut row = more.as_object().cloned().unwrap_or_default();
    row.insert("$ref".to_owned(), json!("#/$defs/values"));
    row.insert("unevaluatedProperties".to_owned(), json!(false));
    json!({ "description": description, "type": "array", "items": row })
}

fn one_value_each() -> Value {
    let mut properties: Map<String, Value> =
        AxisName::CELL.into_iter().map(|axis| (axis.to_string(), value(axis))).collect();
    properties.insert(
        "because".to_owned(),
        json!({ "description": "the reason, for readers", "type": "string", "pattern": "\\S" }),
    );
    json!({ "type": "object", "properties": properties, "required": ["because"] })
}

fn value(axis: AxisName) -> Value {
    match axis {
        AxisName::K3s => {
            json!({ "type": "string", "pattern": r"^v1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\+k3s(0|[1-9][0-9]*)$" })
        }
        AxisName::Gitpod => json!({ "type": "string", "pattern": r"^2022\.11\.(0|[1-9][0-9]*)$" }),
        AxisName::Shift
        | AxisName::Os
        | AxisName::Database
        | AxisName::Registry
        | AxisName::Storage
        | AxisName::Size
        | AxisName::Tls
        | AxisName::SshGateway
        | AxisName::Template
        | AxisName::Axis => json!({ "enum": values_of(axis) }),
    }
}

fn about(axis: AxisName) -> &'static str {
    match axis {
        AxisName::Shift => "how user ids are shifted in workspaces",
        AxisName::Os => "operating system of the nodes",
        AxisName::Database => "where Gitpod's database is",
        AxisName::Registry => "where built images are kept",
        AxisName::Storage => "where workspace content is kept",
        AxisName::Size => "one node; one manager and one node; three managers and at least three nodes",
        AxisName::K3s => "pinned releases of k3s, such as v1.24.17+k3s1",
        AxisName::Gitpod => "releases of Gitpod, such as 2022.11.3",
        AxisName::Tls => "who signed the certificate of the site",
        AxisName::SshGateway => "whether workspaces can be reached by SSH on port 22",
        AxisName::Template => "whose machine templates are under test",
        AxisName::Axis => "",
    }
}
