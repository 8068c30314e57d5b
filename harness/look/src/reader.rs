//! Requests that read: the only ones there are in this crate.

mod watch;

use gsh_engine::failure::chain;
use http::Request;
use serde_json::Value;

pub use watch::Change;
pub(crate) use watch::LIFE as WATCH_LIFE;

/// Objects in one answer; further ones come in further answers.
const PAGE: u32 = 500;

/// A kind of object that checks look at, and where the API keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nodes of the cluster.
    Node,
    /// Classes of storage.
    StorageClass,
    /// Volumes, also those that nobody claims any more.
    PersistentVolume,
    /// Pods, in every namespace: what is left on a node depends on all of them.
    Pod,
    /// Services, in every namespace: two of them may want the same port of the nodes.
    Service,
    /// Configuration, the installer's own record included.
    ConfigMap,
    /// Deployments.
    Deployment,
    /// Stateful sets.
    StatefulSet,
    /// Daemon sets.
    DaemonSet,
    /// Jobs.
    Job,
    /// Jobs by the clock.
    CronJob,
    /// Claims of volumes.
    PersistentVolumeClaim,
    /// Service accounts.
    ServiceAccount,
    /// Network policies.
    NetworkPolicy,
    /// Certificates of cert-manager.
    Certificate,
    /// Issuers of cert-manager.
    Issuer,
    /// Events. Not part of a look: read for evidence only.
    Event,
    /// Secrets. Never listed: only one, by name, and only for the certificate of an authority in it.
    Secret,
}

impl Kind {
    /// Every kind that a look lists.
    pub const LISTED: [Self; 16] = [
        Self::Node,
        Self::StorageClass,
        Self::PersistentVolume,
        Self::Pod,
        Self::Service,
        Self::ConfigMap,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
        Self::PersistentVolumeClaim,
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::Certificate,
        Self::Issuer,
    ];

    /// As objects name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::StorageClass => "StorageClass",
            Self::PersistentVolume => "PersistentVolume",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::ServiceAccount => "ServiceAccount",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Certificate => "Certificate",
            Self::Issuer => "Issuer",
            Self::Event => "Event",
            Self::Secret => "Secret",
        }
    }

    /// API group, empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Node
            | Self::PersistentVolume
            | Self::Pod
            | Self::Service
            | Self::ConfigMap
            | Self::PersistentVolumeClaim
            | Self::ServiceAccount
            | Self::Event
            | Self::Secret => "",
            Self::StorageClass => "storage.k8s.io",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::Job | Self::CronJob => "batch",
            Self::NetworkPolicy => "networking.k8s.io",
            Self::Certificate | Self::Issuer => "cert-manager.io",
        }
    }

    /// As paths and rules name it.
    #[must_use]
    pub fn plural(self) -> String {
        match self {
            Self::StorageClass => "storageclasses".to_owned(),
            Self::NetworkPolicy => "networkpolicies".to_owned(),
            Self::Node
            | Self::PersistentVolume
            | Self::Pod
            | Self::Service
            | Self::ConfigMap
            | Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::Job
            | Self::CronJob
            | Self::PersistentVolumeClaim
            | Self::ServiceAccount
            | Self::Certificate
            | Self::Issuer
            | Self::Event
            | Self::Secret => format!("{}s", self.word().to_lowercase()),
        }
    }

    /// Whether a look lists it in the whole cluster rather than in the installation's namespace.
    #[must_use]
    pub fn everywhere(self) -> bool {
        matches!(self, Self::Node | Self::StorageClass | Self::PersistentVolume | Self::Pod | Self::Service)
    }

    fn path(self, namespace: Option<&str>) -> String {
        let root = match self.group() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural()),
            None => format!("{root}/{}", self.plural()),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// Why something could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// The server does not let us; its own words.
    Forbidden(String),
    /// The server does not know who we are.
    Unauthorized(String),
    /// The server does not serve such objects at all.
    NotServed,
    /// What was there when the reading began is not kept any more.
    Expired,
    /// No answer, or one that is none.
    NoAnswer(String),
    /// Nobody looked.
    NotLooked,
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden(words) => f.write_str(words),
            Self::Unauthorized(words) => write!(f, "the server does not accept our credentials: {words}"),
            Self::NotServed => f.write_str("the server does not serve such objects"),
            Self::Expired => f.write_str("what was there when the reading began is not kept any more"),
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
            Self::NotLooked => f.write_str("nobody looked"),
        }
    }
}

impl Unseen {
    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(status.message.clone()),
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized(status.message.clone()),
            kube::Error::Api(status) if status.code == 404 => Self::NotServed,
            kube::Error::Api(status) if status.code == 410 => Self::Expired,
            kube::Error::Api(status) => {
                Self::NoAnswer(format!("{} {}: {}", status.code, status.reason, status.message))
            }
            // Its own text says no more than that it is one.
            kube::Error::Service(inside) => Self::NoAnswer(chain(inside.as_ref())),
            other => Self::NoAnswer(chain(other)),
        }
    }
}

/// Reads from one cluster. It has no method that writes, and hands its client to nobody.
#[derive(Clone)]
pub struct Reader {
    client: kube::Client,
}

impl Reader {
    /// A reader that uses this client.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Release of the API server, `v1.24.17+k3s1`.
    ///
    /// # Errors
    /// Why it could not be seen.
    pub async fn version(&self) -> Result<String, Unseen> {
        let version = self.read("/version").await?;
        Ok(version["gitVersion"].as_str().unwrap_or_default().to_owned())
    }

    /// All objects of a kind, in one namespace or in all of them; `name` narrows it to those of that name.
    ///
    /// # Errors
    /// Why they could not be seen.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>, name: Option<&str>) -> Result<Vec<Value>, Unseen> {
        self.list_at(kind, namespace, name).await.map(|(objects, _)| objects)
    }

    /// The same, and the version at which they were seen: from there on [`Reader::watch`] follows them.
    ///
    /// # Errors
    /// Why they could not be seen.
    pub async fn list_at(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<(Vec<Value>, String), Unseen> {
        let root = kind.path(namespace);
        let only = name.map(|name| format!("&fieldSelector=metadata.name%3D{name}")).unwrap_or_default();
        let (mut limit, mut all, mut next) = (PAGE, Vec::new(), String::new());
        loop {
            let mut answer = match self.read(&format!("{root}?limit={limit}{only}{next}")).await {
                // A token lives about as long as etcd keeps what was: whoever was too slow reads everything at once.
                Err(Unseen::Expired) if limit == PAGE && !next.is_empty() => {
                    (limit, all, next) = (0, Vec::new(), String::new());
                    continue;
                }
                answer => answer?,
            };
            match answer["items"].take() {
                Value::Array(items) => all.extend(items),
                // How Go writes a list that was never filled.
                Value::Null if answer["kind"].as_str().is_some_and(|k| k.ends_with("List")) => {}
                _other => return Err(Unseen::NoAnswer(format!("the answer for {} is no list", kind.plural()))),
            }
            match answer["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => next = format!("&continue={}", escaped(token)),
                _last => {
                    let version = answer["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                    return Ok((all, version.to_owned()));
                }
            }
        }
    }

    /// One object; nothing when there is none of that name.
    ///
    /// # Errors
    /// Why it could not be seen.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, Unseen> {
        match self.read(&format!("{}/{name}", kind.path(Some(namespace)))).await {
            Ok(object) => Ok(Some(object)),
            Err(Unseen::NotServed) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The log of a container, its last lines; `previous` for the container before the last restart.
    ///
    /// # Errors
    /// Why it could not be seen.
    pub async fn log(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Result<String, Unseen> {
        const LINES: u32 = 200;
        let path = Kind::Pod.path(Some(namespace));
        let path = format!("{path}/{pod}/log?container={container}&tailLines={LINES}&previous={previous}");
        let request = Request::get(path).body(Vec::new()).map_err(|e| Unseen::NoAnswer(e.to_string()))?;
        self.client.request_text(request).await.map_err(|e| Unseen::of(&e))
    }

    async fn read(&self, path: &str) -> Result<Value, Unseen> {
        let request = Request::get(path).body(Vec::new()).map_err(|e| Unseen::NoAnswer(e.to_string()))?;
        self.client.request(request).await.map_err(|e| Unseen::of(&e))
    }
}

/// Percent-encodes what a query would misread; continue tokens are opaque.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::Response;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_is_where_the_api_keeps_it() {
        assert_eq!(Kind::Node.path(None), "/api/v1/nodes");
        assert_eq!(Kind::StorageClass.path(None), "/apis/storage.k8s.io/v1/storageclasses");
        assert_eq!(Kind::Certificate.path(Some("n")), "/apis/cert-manager.io/v1/namespaces/n/certificates");
        assert_eq!(Kind::NetworkPolicy.path(Some("n")), "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies");
        assert_eq!(escaped("a+/=b"), "a%2B%2F%3Db");
    }

    /// Lists pods where the server gives these answers, one after the other. What was seen, and what was asked.
    async fn listed(answers: Vec<(u16, Value)>) -> (Result<Vec<Value>, Unseen>, Vec<String>) {
        let (left, asked) = (Arc::new(Mutex::new(VecDeque::from(answers))), Arc::new(Mutex::new(Vec::new())));
        let (server, log) = (left.clone(), asked.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            log.lock().expect("nobody failed").push(request.uri().to_string());
            let (status, body) =
                server.lock().expect("nobody failed").pop_front().expect("one request for each answer");
            let answer = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            async move { answer }
        });
        let reader = Reader::new(kube::Client::new(service, "default"));
        let seen = reader.list(Kind::Pod, Some("n"), None).await;
        assert!(left.lock().expect("nobody failed").is_empty(), "an answer that nobody asked for");
        let asked = asked.lock().expect("nobody failed").clone();
        (seen, asked)
    }

    fn page(names: &[&str], next: &str) -> (u16, Value) {
        let items: Vec<Value> = names.iter().map(|n| json!({ "metadata": { "name": n } })).collect();
        (200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "continue": next }, "items": items }))
    }

    fn names(seen: Result<Vec<Value>, Unseen>) -> Vec<String> {
        let name = |o: &Value| o["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        seen.expect("a list").iter().map(name).collect()
    }

    fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
        let kind = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure" });
        let mut status = kind;
        (status["message"], status["reason"], status["code"]) = (message.into(), reason.into(), code.into());
        (code, status)
    }

    #[tokio::test]
    async fn a_long_list_is_read_page_by_page() {
        let (seen, asked) = listed(vec![page(&["a", "b"], "x+/="), page(&["c"], "")]).await;
        assert_eq!(names(seen), ["a", "b", "c"]);
        let root = "/api/v1/namespaces/n/pods";
        assert_eq!(asked, [format!("{root}?limit=500"), format!("{root}?limit=500&continue=x%2B%2F%3D")]);
    }

    #[tokio::test]
    async fn what_expired_between_two_pages_is_read_again_from_the_start() {
        let gone = status(410, "Expired", "The provided continue parameter is too old");
        let (seen, asked) = listed(vec![page(&["a", "b"], "x"), gone, page(&["a", "c"], "")]).await;
        assert_eq!(names(seen), ["a", "c"], "nothing of the first reading");
        assert_eq!(asked.last().map(String::as_str), Some("/api/v1/namespaces/n/pods?limit=0"));
    }

    #[tokio::test]
    async fn a_list_that_expires_at_once_is_not_asked_for_for_ever() {
        let (seen, _) = listed(vec![status(410, "Expired", "too old")]).await;
        assert_eq!(seen, Err(Unseen::Expired));
    }

    #[tokio::test]
    async fn a_list_without_items_is_empty_and_what_is_no_list_is_not() {
        let empty = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": null });
        assert_eq!(listed(vec![(200, empty)]).await.0, Ok(Vec::new()));
        let (seen, _) = listed(vec![(200, json!({ "kind": "Pod", "metadata": { "name": "a" } }))]).await;
        assert_eq!(seen, Err(Unseen::NoAnswer("the answer for pods is no list".to_owned())));
    }

    #[tokio::test]
    async fn a_refusal_keeps_the_words_of_the_server() {
        let (seen, _) = listed(vec![status(403, "Forbidden", "pods is forbidden: User \"u\" cannot list")]).await;
        assert_eq!(seen, Err(Unseen::Forbidden("pods is forbidden: User \"u\" cannot list".to_owned())));
    }
}
