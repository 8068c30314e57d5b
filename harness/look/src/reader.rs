//! Requests that read: the only ones there are in this crate.

use gsh_engine::failure::chain;
use http::Request;
use serde_json::Value;

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
        let mut path = format!("{}?limit={PAGE}", kind.path(namespace));
        if let Some(name) = name {
            path.push_str(&format!("&fieldSelector=metadata.name%3D{name}"));
        }
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut answer = self.read(&format!("{path}{next}")).await?;
            match answer["items"].take() {
                Value::Array(items) => all.extend(items),
                _other => return Err(Unseen::NoAnswer(format!("the answer for {} is no list", kind.plural()))),
            }
            match answer["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => next = format!("&continue={}", escaped(token)),
                _last => return Ok(all),
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
    use super::*;

    #[test]
    fn every_kind_is_where_the_api_keeps_it() {
        assert_eq!(Kind::Node.path(None), "/api/v1/nodes");
        assert_eq!(Kind::StorageClass.path(None), "/apis/storage.k8s.io/v1/storageclasses");
        assert_eq!(Kind::Certificate.path(Some("n")), "/apis/cert-manager.io/v1/namespaces/n/certificates");
        assert_eq!(Kind::NetworkPolicy.path(Some("n")), "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies");
        assert_eq!(escaped("a+/=b"), "a%2B%2F%3Db");
    }
}
