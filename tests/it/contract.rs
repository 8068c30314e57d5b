//! The contract of the emulated API server: the same requests are sent to it and to a real `kube-apiserver`, and both must
//! answer alike.
//!
//! The requests are those of `contract.yaml`: what the harness and `gsh-verify` send. Answers are compared whole, but for
//! what no two servers have in common (ids, versions, times). Where the releases differ on purpose, the step says why.

use std::collections::BTreeMap;
use std::io::Write as _;

use gsh_fixtures::Still;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, assets};

/// One request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Method and path; `{name}` is what was kept under this name. `WATCH` is a `GET` whose answer is lines.
    send: String,
    /// Media type of the body.
    #[serde(rename = "type", default = "plain")]
    content: String,
    /// What is accepted.
    #[serde(default = "plain")]
    accept: String,
    #[serde(default)]
    body: Value,
    /// As whom: the account whose token was kept under this name, instead of an administrator.
    #[serde(rename = "as")]
    token: Option<String>,
    /// The status that both must answer with.
    status: u16,
    /// Values of the answer that later steps use, by their place.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// Places in which answers may differ, and why.
    #[serde(default)]
    differs: BTreeMap<String, String>,
}

fn plain() -> String {
    "application/json".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    name: String,
    steps: Vec<Step>,
}

/// One of the two servers, with what was kept of its answers.
struct Side {
    config: kube::Config,
    client: kube::Client,
    kept: BTreeMap<String, String>,
}

impl Side {
    async fn of(kubeconfig: &str) -> Self {
        let file = kube::config::Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await;
        let config = config.expect("a way");
        let client = kube::Client::try_from(config.clone()).expect("a client");
        Self { config, client, kept: BTreeMap::new() }
    }

    /// The client of an account.
    fn holding(&self, token: &str) -> kube::Client {
        let mut config = self.config.clone();
        config.auth_info =
            kube::config::AuthInfo { token: Some(self.kept[token].clone().into()), ..Default::default() };
        kube::Client::try_from(config).expect("a client")
    }

    async fn send(&mut self, step: &Step) -> (u16, Value) {
        let (method, mut path) = step.send.split_once(' ').map(|(m, p)| (m, p.to_owned())).expect("method and path");
        let mut body = if step.body.is_null() { String::new() } else { step.body.to_string() };
        for (name, value) in &self.kept {
            path = path.replace(&format!("{{{name}}}"), &value.replace('+', "%2B").replace('=', "%3D"));
            body = body.replace(&format!("{{{name}}}"), value);
        }
        let request = http::Request::builder().method(if method == "WATCH" { "GET" } else { method }).uri(path);
        let request = request.header("content-type", &step.content).header("accept", &step.accept);
        let request = request.body(kube::client::Body::from(body.into_bytes())).expect("a request");
        let client = step.token.as_ref().map_or_else(|| self.client.clone(), |token| self.holding(token));
        let answer = client.send(request).await.unwrap_or_else(|e| panic!("{}: {e}", step.send));
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("the whole answer").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let value = if method == "WATCH" && status == 200 {
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
            // Each server sends bookmarks when it likes.
            lines.filter(|event| event["type"] != "BOOKMARK").collect()
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_no_json| json!(text))
        };
        for (name, place) in &step.keep {
            let found = value.pointer(place).and_then(Value::as_str);
            let found = found.unwrap_or_else(|| panic!("{}: nothing at {place}: {value}", step.send));
            self.kept.insert(name.clone(), found.to_owned());
        }
        (status, value)
    }
}

/// What no two servers have in common is only there or not. Who wrote which field is left out: what follows from it, the
/// conflicts of server-side apply, is compared.
fn leveled(value: &mut Value) {
    const ANY: [&str; 10] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "continue",
        "time",
        "controller-uid",
        "clusterIP",
        "lastTransitionTime",
        "nodePort",
    ];
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            for (name, value) in fields {
                if ANY.contains(&name.as_str()) && value.is_string() {
                    *value = json!("(any)");
                }
                leveled(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leveled),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes a place out; `*` is every element.
fn without(value: &mut Value, place: &str) {
    let Some((first, rest)) = place.trim_start_matches('/').split_once('/') else {
        match value {
            Value::Object(fields) => drop(fields.remove(place.trim_start_matches('/'))),
            Value::Array(items) if place.ends_with('*') => items.clear(),
            _other => {}
        }
        return;
    };
    match value {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|item| without(item, rest)),
        Value::Array(items) => {
            if let Some(item) = first.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                without(item, rest);
            }
        }
        Value::Object(fields) => {
            if let Some(inside) = fields.get_mut(first) {
                without(inside, rest);
            }
        }
        _plain => {}
    }
}

/// Every place in which two answers differ.
fn differences(place: &str, real: &Value, ours: &Value, found: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(&format!("{place}/{name}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place}/{at}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{place}: real {a}, emulated {b}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulated_api_server_answers_as_a_real_one_does() {
    let Some(assets) = assets() else {
        writeln!(std::io::stderr(), "left out: KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd")
            .expect("stderr");
        return;
    };
    let server = ApiServer::start(&assets).await;
    let still = Still::start(Vec::new()).await.expect("an emulated server");
    let text = std::fs::read_to_string(crate::program::root().join("tests/it/contract.yaml")).expect("the sequences");
    let sequences: Vec<Sequence> = serde_norway::from_str(&text).expect("sequences");
    let mut wrong = Vec::new();
    let mut sent = 0;
    for Sequence { name, steps } in &sequences {
        let (mut real, mut ours) = (Side::of(&server.kubeconfig()).await, Side::of(&still.kubeconfig()).await);
        for step in steps {
            sent += 1;
            let (there, mut real) = real.send(step).await;
            let (here, mut ours) = ours.send(step).await;
            let mut found = Vec::new();
            if (there, here) != (step.status, step.status) {
                found.push(format!("status {there} and {here}, not {}: {real} and {ours}", step.status));
            }
            for value in [&mut real, &mut ours] {
                leveled(value);
                step.differs.keys().for_each(|place| without(value, place));
            }
            differences("", &real, &ours, &mut found);
            wrong.extend(found.into_iter().map(|text| format!("{name}: {}: {text}", step.send)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(sequences.len() >= 10 && sent >= 80, "{} sequences of {sent} requests", sequences.len());
    writeln!(std::io::stderr(), "{} sequences of {sent} requests were answered alike", sequences.len())
        .expect("stderr");
}
