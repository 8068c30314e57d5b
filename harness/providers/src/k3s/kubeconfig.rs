//! The cluster's kubeconfig: fetched from the first server, its address set by parsing, never by replacing text.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Login;
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use serde_norway::Value;
use tokio::time::Instant;

use super::boot::enter;

const PATH: &str = "/etc/rancher/k3s/k3s.yaml";

/// Fetches the kubeconfig and points it at `server`. Everything secret in it is registered before it is used.
///
/// # Errors
/// When it is not there in time, or is no kubeconfig.
pub async fn fetch(cx: &Cx, reach: &Reach, login: &Login, server: &str, patience: Duration) -> Result<Secret, Failure> {
    let what = format!("{PATH} on the first server");
    let text = wait::until(cx, &what, patience, || async {
        let session = match enter(reach, login, login.port).await {
            Ok(session) => session,
            Err(e) => return Ok(Progress::NotYet(e.to_string())),
        };
        let output = session.exec(&format!("cat {PATH}"), b"", Instant::now() + Duration::from_secs(10)).await;
        session.close().await;
        Ok(match output {
            Ok(output) if output.success() && !output.stdout.is_empty() => Progress::Ready(output.text()),
            Ok(output) => Progress::NotYet(output.error_text().trim().to_owned()),
            Err(e) => Progress::NotYet(e.to_string()),
        })
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, "GSH-K3S-001"))?;
    register(cx, &text);
    Ok(Secret::new("kubeconfig", point_at(&text, server)?))
}

/// Registers what is secret in a kubeconfig: the values, in the form in which they stand there and decoded. Not the text as
/// a whole: most of its lines are words of every manifest, and the scrubber would blank them out everywhere.
fn register(cx: &Cx, text: &str) {
    for key in ["client-key-data", "token", "password"] {
        if let Some(value) = user_field(text, key) {
            if let Some(decoded) = STANDARD.decode(&value).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                let _registered = cx.secret(key, decoded);
            }
            let _registered = cx.secret(key, value);
        }
    }
}

fn user_field(text: &str, key: &str) -> Option<String> {
    let value: Value = serde_norway::from_str(text).ok()?;
    value.get("users")?.get(0)?.get("user")?.get(key)?.as_str().map(str::to_owned)
}

/// Sets the address of the first cluster.
///
/// # Errors
/// When the text is no kubeconfig.
pub fn point_at(text: &str, server: &str) -> Result<String, Failure> {
    let broken = |why: &str| Failure::environment("GSH-K3S-001", "a kubeconfig", format!("something else: {why}"));
    let mut value: Value = serde_norway::from_str(text).map_err(|_| broken("no YAML"))?;
    let cluster = value
        .get_mut("clusters")
        .and_then(|c| c.get_mut(0))
        .and_then(|c| c.get_mut("cluster"))
        .and_then(Value::as_mapping_mut)
        .ok_or_else(|| broken("no cluster"))?;
    cluster.insert("server".into(), server.into());
    serde_norway::to_string(&value).map_err(|_| broken("cannot be written again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K3S: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\ncurrent-context: default\nkind: Config\nusers:\n- name: default\n  user:\n    client-key-data: 127.0.0.1\n";

    #[test]
    fn only_the_address_of_the_cluster_changes() {
        let pointed = point_at(K3S, "https://192.0.2.7:6443").expect("a kubeconfig");
        let expected = K3S.replacen("https://127.0.0.1:6443", "https://192.0.2.7:6443", 1);
        let parse = |t: &str| serde_norway::from_str::<Value>(t).expect("YAML");
        assert_eq!(parse(&pointed), parse(&expected));
        assert_eq!(user_field(K3S, "client-key-data").as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn keys_are_scrubbed_and_the_words_of_every_manifest_are_not() {
        let cx = Cx::unrecorded(gsh_engine::stop::Stop::new(), Duration::from_secs(1));
        let pem = "-----BEGIN EC PRIVATE KEY-----\nc29tZXRoaW5n\n-----END EC PRIVATE KEY-----\n";
        let text = K3S.replace("client-key-data: 127.0.0.1", &format!("client-key-data: {}", STANDARD.encode(pem)));
        register(&cx, &text);
        let scrubbed = cx.scrubber().scrub(&text);
        assert!(!scrubbed.contains(&STANDARD.encode(pem)), "{scrubbed}");
        assert!(scrubbed.contains("apiVersion: v1") && scrubbed.contains("name: default"), "{scrubbed}");
        assert!(!cx.scrubber().scrub(pem).contains("c29tZXRoaW5n"));
    }

    #[test]
    fn something_else_is_refused() {
        for text in ["", "a: b", "clusters: []", "\u{1}"] {
            assert!(point_at(text, "https://192.0.2.7:6443").is_err(), "{text:?}");
        }
    }
}
