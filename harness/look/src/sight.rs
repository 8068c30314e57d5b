//! What one look saw of a cluster.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::Value;

use crate::reader::{Kind, Reader, Unseen};

/// Everything that one look saw, or why not.
#[derive(Debug, Clone)]
pub struct Sight {
    namespace: String,
    /// Release of the API server.
    pub server: Result<String, Unseen>,
    lists: BTreeMap<Kind, Result<Vec<Value>, Unseen>>,
}

impl Sight {
    /// Looks at these kinds: one list of each, all at once.
    pub async fn take(reader: &Reader, namespace: &str, kinds: &[Kind]) -> Self {
        let lists = kinds.iter().map(|kind| async move {
            let kind = *kind;
            let scope = if kind.everywhere() { None } else { Some(namespace) };
            (kind, reader.list(kind, scope, None).await)
        });
        let (server, lists) = futures::future::join(reader.version(), join_all(lists)).await;
        Self { namespace: namespace.to_owned(), server, lists: lists.into_iter().collect() }
    }

    /// A sight put together, for checks of checks.
    #[must_use]
    pub fn of(namespace: &str, server: &str, lists: BTreeMap<Kind, Result<Vec<Value>, Unseen>>) -> Self {
        Self { namespace: namespace.to_owned(), server: Ok(server.to_owned()), lists }
    }

    /// Takes in what a list said.
    pub(crate) fn see(&mut self, kind: Kind, list: Result<Vec<Value>, Unseen>) {
        self.lists.insert(kind, list);
    }

    /// Takes in an object that is new or has changed.
    pub(crate) fn put(&mut self, kind: Kind, object: Value) {
        let Some(Ok(list)) = self.lists.get_mut(&kind) else { return };
        match list.iter_mut().find(|o| same(o, &object)) {
            Some(old) => *old = object,
            None => list.push(object),
        }
    }

    /// Takes in that an object is gone.
    pub(crate) fn gone(&mut self, kind: Kind, object: &Value) {
        if let Some(Ok(list)) = self.lists.get_mut(&kind) {
            list.retain(|o| !same(o, object));
        }
    }

    /// The namespace of the installation.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Why objects of a kind could not be seen; nothing when they could.
    #[must_use]
    pub fn unseen(&self, kind: Kind) -> Option<&Unseen> {
        match self.lists.get(&kind) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why),
            None => Some(&Unseen::NotLooked),
        }
    }

    /// Whether nothing at all was seen.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        self.lists.values().all(Result::is_err)
    }

    /// Everything that could not be seen.
    pub fn gaps(&self) -> impl Iterator<Item = (Kind, &Unseen)> {
        self.lists.iter().filter_map(|(kind, list)| list.as_ref().err().map(|why| (*kind, why)))
    }

    /// All objects of a kind that were listed, in the order of the API.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.lists.get(&kind).and_then(|list| list.as_ref().ok()).into_iter().flatten()
    }

    /// Those in the installation's namespace.
    pub fn ours(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.all(kind).filter(|o| o["metadata"]["namespace"] == self.namespace.as_str())
    }

    /// An object of the installation's namespace by name.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.ours(kind).find(|o| o["metadata"]["name"] == name)
    }
}

/// Whether they are the same object at different times.
fn same(one: &Value, other: &Value) -> bool {
    ["namespace", "name"].iter().all(|part| one["metadata"][*part] == other["metadata"][*part])
}

/// Name of an object.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// A label of an object.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// The elements of a list; none when it is no list.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
