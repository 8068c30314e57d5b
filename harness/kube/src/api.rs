//! Requests to the Kubernetes API in terms of plain JSON objects.
//!
//! The objects of an installation come from the installer and go to the API as they are: typed structs would drop fields
//! that they do not know. Paths come from a table of our own instead of discovery, which saves a round of requests.

use gsh_engine::cx::Cx;
use gsh_engine::failure::{Failure, chain};
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use http::StatusCode;
use kube::client::UpgradeConnectionError;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams};
use kube::core::subresource::LogParams;
use serde_json::Value;
use std::time::Duration;

/// Who we are to server-side apply.
pub const FIELD_MANAGER: &str = "gsh";

/// How long an API server that does not answer is given to come back.
pub const BRIEF_OUTAGE: Duration = Duration::from_secs(60);

/// A kind of object and where the API keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Pod`, `Deployment`, ...
    pub kind: String,
}

impl Kind {
    /// By its names, `apps/v1` and `Deployment`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self { api_version: api_version.to_owned(), kind: kind.to_owned() }
    }

    /// The kind of an object that says it itself.
    pub fn of(object: &Value) -> Option<Self> {
        Some(Self::new(object["apiVersion"].as_str()?, object["kind"].as_str()?))
    }

    /// Whether objects of this kind live in a namespace. Kinds that we do not know do.
    pub fn namespaced(&self) -> bool {
        !matches!(
            self.kind.as_str(),
            "Namespace"
                | "Node"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "StorageClass"
                | "PersistentVolume"
                | "CustomResourceDefinition"
                | "PodSecurityPolicy"
                | "PriorityClass"
                | "APIService"
                | "ClusterIssuer"
        )
    }

    /// The path segment: the lower-case plural.
    fn plural(&self) -> String {
        let word = self.kind.to_lowercase();
        match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if word.ends_with('s') => format!("{word}es"),
            None => format!("{word}s"),
        }
    }

    fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        let version = &self.api_version;
        let plural = self.plural();
        match namespace.filter(|_| self.namespaced()) {
            Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("/{root}/{version}/{plural}"),
        }
    }
}

/// The API of one cluster.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
}

impl Api {
    /// Over a client that is ready for it.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// The client below, for what is no object.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// A request for objects of a kind, everywhere or in a namespace.
    pub fn request(kind: &Kind, namespace: Option<&str>) -> Request {
        Request::new(kind.path(namespace))
    }

    /// One object, or nothing when there is none.
    pub async fn get(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>, kube::Error> {
        let request = Self::request(kind, namespace).get(name, &GetParams::default());
        match self.client.request::<Value>(request.map_err(kube::Error::BuildRequest)?).await {
            Ok(object) => Ok(Some(object)),
            Err(e) if code(&e) == Some(404) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All objects that match, and the resource version of the list.
    pub async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<(Vec<Value>, String), kube::Error> {
        let request = Self::request(kind, namespace).list(params).map_err(kube::Error::BuildRequest)?;
        let mut list: Value = self.client.request(request).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let items = match list["items"].take() {
            Value::Array(items) => items,
            _other => Vec::new(),
        };
        Ok((items, version))
    }

    /// Applies an object server-side. Conflicts are ours to win: on a cluster on loan nobody else owns these fields.
    pub async fn apply(&self, object: &Value) -> Result<Value, kube::Error> {
        let (Some(kind), Some(name)) = (Kind::of(object), object["metadata"]["name"].as_str()) else {
            return Err(kube::Error::BuildRequest(kube::core::request::Error::Validation(
                "an object without apiVersion, kind or name".to_owned(),
            )));
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let request = Self::request(&kind, object["metadata"]["namespace"].as_str());
        let request = request.patch(name, &params, &Patch::Apply(object)).map_err(kube::Error::BuildRequest)?;
        self.client.request(request).await
    }

    /// Deletes an object with what it owns. That it does not exist is fine.
    pub async fn delete(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<(), kube::Error> {
        let request = Self::request(kind, namespace).delete(name, &DeleteParams::background());
        match self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await {
            Ok(_) => Ok(()),
            Err(e) if code(&e) == Some(404) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// The log of a container.
    pub async fn log(&self, namespace: &str, pod: &str, params: &LogParams) -> Result<String, kube::Error> {
        let request = Self::request(&Kind::new("v1", "Pod"), Some(namespace)).logs(pod, params);
        self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await
    }
}

/// The HTTP code of an answer of the API server; nothing when it did not answer.
pub fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => Some(status.as_u16()),
        _no_answer => None,
    }
}

/// What an answer says, without the debug form that the library's own text carries.
pub fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}: {}", status.code, status.reason, status.message),
        other => chain(other),
    }
}

/// Whether the same request may succeed in a moment.
pub fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        // The way into a container: a 4xx is an answer about the container, all else is the way.
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            *status == StatusCode::TOO_MANY_REQUESTS || !status.is_client_error()
        }
        kube::Error::UpgradeConnection(_) => true,
        _ours => false,
    }
}

/// A failed request as a failure: an API that does not answer is the environment, a refusal is whoever's request it was.
pub fn failure(error: &kube::Error, refusal: Blame, check: &'static str, expected: &str) -> Failure {
    let blame = if is_transient(error) { Blame::Environment } else { refusal };
    Failure::new(blame, check, expected, text(error))
}

/// Makes a request until the API answers; refusals end it at once.
pub async fn patiently<T, F, Fut>(
    cx: &Cx,
    what: &str,
    refusal: Blame,
    check: &'static str,
    mut request: F,
) -> Result<T, Failure>
where
    T: Send,
    F: FnMut() -> Fut + Send,
    Fut: Future<Output = Result<T, kube::Error>> + Send,
{
    wait::until(cx, what, BRIEF_OUTAGE, || {
        let answer = request();
        async move {
            match answer.await {
                Ok(value) => Ok(Progress::Ready(value)),
                Err(e) if is_transient(&e) => Ok(Progress::NotYet(text(&e))),
                Err(e) => Err(failure(&e, refusal, check, what)),
            }
        }
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_into_a_container_that_breaks_is_the_environment_and_a_refusal_is_not() {
        let blame = |status: StatusCode| {
            let error = kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status));
            failure(&error, Blame::Product, "GSH-DKR-002", "a command runs").blame
        };
        assert_eq!(blame(StatusCode::BAD_GATEWAY), Blame::Environment);
        assert_eq!(blame(StatusCode::INTERNAL_SERVER_ERROR), Blame::Environment);
        assert_eq!(blame(StatusCode::NOT_FOUND), Blame::Product);
    }

    #[test]
    fn every_kind_has_the_path_of_its_api_group() {
        let path = |version: &str, kind: &str| Kind::new(version, kind).path(Some("n"));
        assert_eq!(path("v1", "Pod"), "/api/v1/namespaces/n/pods");
        assert_eq!(
            path("networking.k8s.io/v1", "NetworkPolicy"),
            "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies"
        );
        assert_eq!(path("storage.k8s.io/v1", "StorageClass"), "/apis/storage.k8s.io/v1/storageclasses");
        assert_eq!(path("v1", "Node"), "/api/v1/nodes");
        assert_eq!(path("helm.cattle.io/v1", "HelmChart"), "/apis/helm.cattle.io/v1/namespaces/n/helmcharts");
    }
}
