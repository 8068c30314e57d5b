//! Following a kind of object: the requests that do not end by themselves.

use std::time::Duration;

use futures::{Stream, StreamExt};
use http::Request;
use kube::core::WatchEvent;
use serde_json::Value;

use super::{Kind, Reader, Unseen};

/// How long the server is asked to keep a watch open. Shorter than what usual proxies in between allow.
pub(crate) const LIFE: Duration = Duration::from_secs(240);

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An object is there, new or changed.
    Put(Value),
    /// An object is gone; as it was last.
    Gone(Value),
    /// Nothing happened up to this version.
    Mark(String),
}

impl Change {
    /// The version up to which everything was told with this.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Put(object) | Self::Gone(object) => {
                object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
            }
            Self::Mark(version) => version,
        }
    }
}

impl Reader {
    /// Follows a kind from a version on. The stream ends when the server closes it, which it does after a while.
    ///
    /// # Errors
    /// Why it cannot be followed; [`Unseen::Expired`] when the version is too old, here or later in the stream.
    pub async fn watch(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        version: &str,
    ) -> Result<impl Stream<Item = Result<Change, Unseen>> + Send + use<>, Unseen> {
        let (root, life) = (kind.path(namespace), LIFE.as_secs());
        let version = super::escaped(version);
        let path =
            format!("{root}?watch=true&allowWatchBookmarks=true&timeoutSeconds={life}&resourceVersion={version}");
        let request = Request::get(path).body(Vec::new()).map_err(|e| Unseen::NoAnswer(e.to_string()))?;
        let events = self.client.request_events::<Value>(request).await.map_err(|e| Unseen::of(&e))?;
        let told = |event: Result<WatchEvent<Value>, kube::Error>| match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Ok(Change::Put(object)),
            Ok(WatchEvent::Deleted(object)) => Ok(Change::Gone(object)),
            Ok(WatchEvent::Bookmark(mark)) => Ok(Change::Mark(mark.metadata.resource_version)),
            Ok(WatchEvent::Error(status)) => Err(Unseen::of(&kube::Error::Api(status))),
            Err(e) => Err(Unseen::of(&e)),
        };
        Ok(events.map(told))
    }
}
