//! Takes out of objects and logs what must not leave the cluster: passwords, tokens, keys.
//!
//! Nobody can know every secret of somebody else's installation. What has the name or the shape of one goes; a name that
//! only says where a secret is kept stays.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use serde_json::Value;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Parts of names whose values are secrets.
const NAMES: &str = "passw(?:or)?d|passphrase|secret|token|credential|private_?-?key|api_?-?key|access_?-?key|auth_?-?key|\
                     encryption_?-?keys?|signing_?-?key|client_?-?key-?data";

static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| fixed(&format!("(?i)({NAMES})")));
/// Where a secret is, rather than what it is.
static PLACE_NAME: LazyLock<Regex> =
    LazyLock::new(|| fixed("(?i)(name|names|namespace|ref|path|file|mount|type|kind|url)$"));
/// `password=…`, `"token": "…"`, `secretKey: …` in running text.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    fixed(&format!(r#"(?i)([\w.-]*(?:{NAMES})[\w-]*\\?["']?\s*[:=]\s*)(\\?"[^"\\\n]*|'[^'\n]*|[^\s,;&"'{{}}\[\]]+)"#))
});
static SHAPES: LazyLock<[(Regex, &'static str); 4]> = LazyLock::new(|| {
    [
        (fixed(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"), REDACTED),
        (fixed(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}"), "$1 [redacted]"),
        // JSON Web Tokens: two Base64 documents that begin with a brace, and a signature.
        (fixed(r"\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), REDACTED),
        (fixed(r"(://[^\s/:@]*:)[^\s/@]+@"), "$1[redacted]@"),
    ]
});

fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns above are well-formed")
}

fn is_secret(name: &str) -> bool {
    SECRET_NAME.is_match(name) && !PLACE_NAME.is_match(name)
}

/// Running text without secrets.
#[must_use]
pub fn text(text: &str) -> String {
    let mut text = text.to_owned();
    for (shape, instead) in SHAPES.iter() {
        text = shape.replace_all(&text, *instead).into_owned();
    }
    let assigned = |found: &Captures<'_>| {
        let (name, value) = (&found[1], &found[2]);
        let word = name.trim_end_matches(|c: char| !c.is_alphanumeric());
        let quote: String = value.chars().take_while(|c| "\\\"'".contains(*c)).collect();
        let said = value.trim_start_matches(['\\', '"', '\'']);
        if !is_secret(word) || ["", "null", "true", "false", "nil", REDACTED].contains(&said) {
            return found[0].to_owned();
        }
        format!("{name}{quote}{REDACTED}")
    };
    ASSIGNED.replace_all(&text, assigned).into_owned()
}

/// An object of the API without secrets, and without what only its writers need.
#[must_use]
pub fn object(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            // The whole object once more, as text.
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    // Users give workspaces variables of any name.
    let users = object["metadata"]["labels"]["component"] == "workspace";
    clean(&mut object, users);
    object
}

fn clean(value: &mut Value, users: bool) {
    match value {
        Value::Object(map) => {
            let named = map.get("name").and_then(Value::as_str).is_some_and(is_secret);
            if (named || users && map.contains_key("name"))
                && let Some(Value::String(value)) = map.get_mut("value")
            {
                *value = REDACTED.to_owned();
            }
            for (key, inside) in map {
                match inside {
                    Value::String(value) if is_secret(key) && !value.is_empty() => *value = REDACTED.to_owned(),
                    other => clean(other, users),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|inside| clean(inside, users)),
        Value::String(value) => *value = document(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A value that is a document of its own, as ConfigMaps hold them.
fn document(value: &str) -> String {
    if value.starts_with(['{', '['])
        && let Ok(mut inside) = serde_json::from_str::<Value>(value)
    {
        clean(&mut inside, false);
        return inside.to_string();
    }
    text(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_the_name_or_the_shape_of_a_secret_goes_from_text() {
        let secret = "s3cr3t-w0rd";
        let token = format!("eyJh{secret}.eyJz{secret}.{secret}");
        let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{secret}\n-----END RSA PRIVATE KEY-----");
        for line in [
            format!("password={secret} user=gitpod"),
            format!("DB_PASSWORD: {secret}"),
            format!(r#"{{"accessToken":"{secret}","x":1}}"#),
            format!(r#"level=info msg="{{\"secretKey\":\"{secret}\"}}""#),
            format!("authorization: Bearer {secret}"),
            format!("mysql://gitpod:{secret}@db:3306/gitpod"),
            format!("GET /?token={secret}&a=b"),
            format!("clientSecret: '{secret}'"),
            token,
            pem.clone(),
            pem.split("-----END").next().unwrap_or_default().to_owned(),
        ] {
            let seen = text(&line);
            assert!(!seen.contains(secret) && seen.contains(REDACTED), "{line} -> {seen}");
        }
        assert_eq!(text("GET /?token=abcdefgh&a=b"), "GET /?token=[redacted]&a=b");
    }

    #[test]
    fn what_only_says_where_a_secret_is_stays() {
        for line in [
            "secretName: https-certificates",
            "imagePullSecrets: [{name: pull}]",
            "MountVolume.SetUp failed for volume \"tls\" : secret \"https-certificates\" not found",
            "tokenPath=/var/run/secrets/token",
            "http://proxy.gitpod.svc:8080/x@y",
            "password: null",
        ] {
            assert_eq!(text(line), line);
        }
    }

    #[test]
    fn objects_lose_secrets_and_keep_their_structure() {
        let pod = json!({
            "metadata": {
                "name": "p", "managedFields": [1], "labels": { "component": "server" },
                "annotations": { "gitpod/ownerToken": "abcdefgh", "kubectl.kubernetes.io/last-applied-configuration": "{}" },
            },
            "spec": { "containers": [{ "env": [
                { "name": "DB_PASSWORD", "value": "abcdefgh" },
                { "name": "DB_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "mysql", "key": "password" } } },
                { "name": "DB_HOST", "value": "db" },
            ] }] },
        });
        let seen = object(&pod);
        let env = &seen["spec"]["containers"][0]["env"];
        assert_eq!(env[0]["value"], REDACTED);
        assert_eq!(env[1], pod["spec"]["containers"][0]["env"][1]);
        assert_eq!(env[2]["value"], "db");
        assert_eq!(seen["metadata"]["annotations"], json!({ "gitpod/ownerToken": REDACTED }));
        assert_eq!(seen["metadata"].get("managedFields"), None);

        let mut workspace = pod;
        workspace["metadata"]["labels"]["component"] = "workspace".into();
        assert_eq!(object(&workspace)["spec"]["containers"][0]["env"][2]["value"], REDACTED, "a user's variable");

        let map = json!({ "kind": "ConfigMap", "data": {
            "config.json": "{\"stripe\":{\"secretKey\":\"abcdefgh\"},\"port\":1}",
            "config.yaml": "domain: a.b\ndatabase:\n  password: abcdefgh\n",
        } });
        let seen = object(&map);
        assert_eq!(seen["data"]["config.json"], "{\"port\":1,\"stripe\":{\"secretKey\":\"[redacted]\"}}");
        assert_eq!(seen["data"]["config.yaml"], "domain: a.b\ndatabase:\n  password: [redacted]\n");
    }
}
