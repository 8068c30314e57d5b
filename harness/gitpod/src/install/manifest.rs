//! The objects that the installer renders: a stream of YAML documents, read as they are.

use gsh_engine::failure::Failure;
use serde::Deserialize as _;
use serde_json::Value;

use gsh_kube::api::Kind;
use gsh_kube::follow::name_of;

/// The rendered objects, in the installer's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Manifest {
    objects: Vec<Value>,
}

impl Manifest {
    /// Reads the output of `render`.
    ///
    /// What stands before the first `---` is no object: in a container's log, warnings on standard error land there.
    pub(crate) fn parse(text: &str, namespace: &str, check: &'static str) -> Result<Self, Failure> {
        let expected = "`render` prints a stream of Kubernetes objects";
        let start = if text.starts_with("---") { Some(0) } else { text.find("\n---") };
        let Some(start) = start else {
            return Err(Failure::product(check, expected, "there is no `---` in its output"));
        };
        let mut objects = Vec::new();
        for document in serde_norway::Deserializer::from_str(&text[start..]) {
            let value = Value::deserialize(document)
                .map_err(|e| Failure::product(check, expected, format!("document {}: {e}", objects.len() + 1)))?;
            if value.is_null() {
                continue;
            }
            objects.push(tidy(value, namespace, check, expected)?);
        }
        if objects.is_empty() {
            return Err(Failure::product(check, expected, "there is no object in its output"));
        }
        Ok(Self { objects })
    }

    pub(crate) fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// An object by kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name)
    }

    /// Every kind and name, for the record.
    pub(crate) fn inventory(&self) -> String {
        let line = |o: &Value| {
            format!(
                "{}/{} {}\n",
                o["apiVersion"].as_str().unwrap_or("?"),
                o["kind"].as_str().unwrap_or("?"),
                name_of(o)
            )
        };
        self.objects.iter().map(line).collect()
    }
}

/// Makes an object fit for server-side apply: whoever applies `status` or a null timestamp claims fields that belong to
/// the server, and the installer's Go types print both.
fn tidy(mut object: Value, namespace: &str, check: &'static str, expected: &str) -> Result<Value, Failure> {
    let complete = Kind::of(&object).filter(|_| !name_of(&object).is_empty());
    let Some(kind) = complete else {
        return Err(Failure::product(check, expected, "an object without apiVersion, kind or name"));
    };
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    drop_null_timestamps(&mut object);
    if kind.namespaced() && object["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        object["metadata"]["namespace"] = namespace.into();
    }
    Ok(object)
}

/// Also pod templates and claim templates carry them.
fn drop_null_timestamps(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("creationTimestamp").is_some_and(Value::is_null) {
                fields.remove("creationTimestamp");
            }
            fields.values_mut().for_each(drop_null_timestamps);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null_timestamps),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_before_the_first_object_are_passed_over() {
        let text = "some warning: with a colon\n---\n# v1/Secret a\napiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  creationTimestamp: null\nstatus: {}\n---\n# comment only\n";
        let manifest = Manifest::parse(text, "gitpod", "GSH-INS-007").expect("objects");
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a", "namespace": "gitpod" },
        });
        assert_eq!(manifest.objects(), [expected]);
    }

    #[test]
    fn output_without_objects_is_the_products_fault() {
        for text in ["", "panic: no provider\n", "---\n# nothing\n", "---\nkind: Secret\n"] {
            let failure = Manifest::parse(text, "gitpod", "GSH-INS-007").expect_err(text);
            assert_eq!(failure.blame, gsh_model::outcome::Blame::Product, "{text}");
        }
    }
}
