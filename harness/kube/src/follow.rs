//! Following objects of several kinds at once: list, then watch, and judge after every change.
//!
//! This is how the harness waits for Kubernetes: one request per kind instead of polling, immediate notice, and a
//! judgement that is a pure function of what was seen last. A watch that breaks is begun again with a fresh list.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll, StreamExt};
use futures::{FutureExt, Stream};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::wait::{self, Progress, WaitError};
use gsh_model::outcome::Blame;
use kube::core::WatchEvent;
use kube::core::params::{ListParams, WatchParams};
use serde_json::Value;
use tokio::time::Instant;

use crate::api::{self, Api, BRIEF_OUTAGE, Kind};

/// What to follow.
#[derive(Debug, Clone)]
pub struct Scope {
    kind: Kind,
    namespace: Option<String>,
    labels: Option<String>,
}

impl Scope {
    /// Objects of one kind in a namespace; those of a kind without namespaces wherever they are.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, namespace: &str) -> Self {
        let kind = Kind::new(api_version, kind);
        let namespace = kind.namespaced().then(|| namespace.to_owned());
        Self { kind, namespace, labels: None }
    }

    /// Only those that this selector chooses.
    #[must_use]
    pub fn labelled(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }
}

/// What was seen last of every object, by kind and name.
#[derive(Debug, Default)]
pub struct View {
    live: BTreeMap<String, BTreeMap<String, Value>>,
    gone: BTreeMap<String, BTreeMap<String, Value>>,
}

impl View {
    /// The object, if it exists.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.live.get(kind)?.get(name)
    }

    /// The object, or its last state if it was deleted since we look: finished Jobs remove themselves.
    pub fn ever(&self, kind: &str, name: &str) -> Option<&Value> {
        self.get(kind, name).or_else(|| self.gone.get(kind)?.get(name))
    }

    /// Every object of a kind, by name.
    pub fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.live.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Puts an object in place of what was seen of it before.
    pub fn put(&mut self, kind: &str, object: Value) {
        let name = name_of(&object);
        self.live.entry(kind.to_owned()).or_default().insert(name, object);
    }

    fn remove(&mut self, kind: &str, object: Value) {
        let name = name_of(&object);
        if let Some(objects) = self.live.get_mut(kind) {
            objects.remove(&name);
        }
        self.gone.entry(kind.to_owned()).or_default().insert(name, object);
    }

    fn replace(&mut self, kind: &str, objects: Vec<Value>) {
        let before = self.live.remove(kind).unwrap_or_default();
        for object in objects {
            self.put(kind, object);
        }
        for (name, object) in before {
            if self.get(kind, &name).is_none() {
                self.gone.entry(kind.to_owned()).or_default().insert(name, object);
            }
        }
    }
}

/// The name of an object; empty where it has none.
pub fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

enum Change {
    Put(String, Value),
    Removed(String, Value),
    Replaced(String, Vec<Value>),
}

/// Objects being followed.
pub struct Follow<'a> {
    cx: &'a Cx,
    check: &'static str,
    view: View,
    /// Of each scope, whether the API answers nothing about it at the moment.
    silent: Vec<Arc<AtomicBool>>,
    changes: SelectAll<BoxStream<'a, Result<Change, Failure>>>,
}

impl<'a> Follow<'a> {
    /// Lists every scope once and is then ready to see every change from that moment on.
    ///
    /// # Errors
    /// When a scope cannot be listed.
    pub async fn of(
        cx: &'a Cx,
        client: &kube::Client,
        check: &'static str,
        scopes: Vec<Scope>,
    ) -> Result<Follow<'a>, Failure> {
        Self::start(cx, &Api::new(client.clone()), check, scopes).await
    }

    /// The same with our own words for requests.
    pub async fn start(cx: &'a Cx, api: &Api, check: &'static str, scopes: Vec<Scope>) -> Result<Follow<'a>, Failure> {
        let mut view = View::default();
        let mut changes = SelectAll::new();
        let silent: Vec<Arc<AtomicBool>> = scopes.iter().map(|_| Arc::default()).collect();
        let lists = scopes.iter().zip(&silent).map(|(scope, silent)| list(cx, api, check, scope, silent));
        let lists = futures::future::try_join_all(lists).await?;
        for ((scope, silent), (items, version)) in scopes.into_iter().zip(silent.iter().cloned()).zip(lists) {
            view.replace(&scope.kind.kind, items);
            let feed = Feed { cx, api: api.clone(), check, scope, at: At::Version(version), silent };
            changes.push(feed.changes().boxed());
        }
        Ok(Self { cx, check, view, silent, changes })
    }

    /// What was seen last.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether the API does not answer at the moment, so that what was seen last may be old.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.iter().any(|silent| silent.load(Ordering::Relaxed))
    }

    /// Judges now and after every change, until the judgement is ready or fails, patience or the context's deadline is
    /// over, or the run is asked to stop.
    ///
    /// # Errors
    /// [`WaitError`]; a time-out names what was awaited and the last thing seen.
    pub async fn until<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut judge: impl FnMut(&View) -> Result<Progress<T>, Failure>,
    ) -> Result<T, WaitError> {
        let deadline = self.cx.deadline().min(Instant::now() + patience);
        loop {
            let last = match judge(&self.view).map_err(WaitError::Gone)? {
                Progress::Ready(value) => return Ok(value),
                Progress::NotYet(seen) => seen,
            };
            let change = tokio::select! {
                change = tokio::time::timeout_at(deadline, self.changes.next()) => change,
                () = self.cx.stopped() => return Err(WaitError::Stopped { what: what.to_owned() }),
            };
            match change {
                Err(_late) => return Err(WaitError::TimedOut { what: what.to_owned(), patience, last }),
                Ok(None) => {
                    let failure = Failure::harness(self.check, what, "nothing is left to be watched");
                    return Err(WaitError::Gone(failure));
                }
                Ok(Some(change)) => self.take(change.map_err(|f| ended(f, what))?),
            }
            // Whatever else has arrived already is taken in before judging: a burst is judged once.
            while let Some(Some(change)) = self.changes.next().now_or_never() {
                self.take(change.map_err(|f| ended(f, what))?);
            }
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Put(kind, object) => self.view.put(&kind, object),
            Change::Removed(kind, object) => self.view.remove(&kind, object),
            Change::Replaced(kind, objects) => self.view.replace(&kind, objects),
        }
    }
}

/// A feed that was asked to stop says so in its failure.
fn ended(failure: Failure, what: &str) -> WaitError {
    if failure.stopped { WaitError::Stopped { what: what.to_owned() } } else { WaitError::Gone(failure) }
}

type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Value>, kube::Error>> + Send>>;

enum At {
    /// Nothing is known any more; list again.
    Lost,
    /// Up to date with this resource version; watch from it.
    Version(String),
    /// Watching; the version is that of the last event.
    Watching(String, Events),
}

struct Feed<'a> {
    cx: &'a Cx,
    api: Api,
    check: &'static str,
    scope: Scope,
    at: At,
    silent: Arc<AtomicBool>,
}

impl<'a> Feed<'a> {
    fn changes(self) -> impl Stream<Item = Result<Change, Failure>> + Send + 'a {
        futures::stream::unfold(Some(self), |feed| async {
            let mut feed = feed?;
            match feed.next().await {
                Ok(change) => Some((Ok(change), Some(feed))),
                Err(failure) => Some((Err(failure), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Change, Failure> {
        let kind = self.scope.kind.kind.clone();
        loop {
            match std::mem::replace(&mut self.at, At::Lost) {
                At::Lost => {
                    let (items, version) = list(self.cx, &self.api, self.check, &self.scope, &self.silent).await?;
                    self.at = At::Version(version);
                    return Ok(Change::Replaced(kind, items));
                }
                At::Version(version) => {
                    self.at = watch(self.cx, &self.api, self.check, &self.scope, &self.silent, version).await?;
                }
                At::Watching(version, mut events) => match events.next().await {
                    Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                        let version = version_of(&object).unwrap_or(version);
                        self.at = At::Watching(version, events);
                        return Ok(Change::Put(kind, object));
                    }
                    Some(Ok(WatchEvent::Deleted(object))) => {
                        let version = version_of(&object).unwrap_or(version);
                        self.at = At::Watching(version, events);
                        return Ok(Change::Removed(kind, object));
                    }
                    Some(Ok(WatchEvent::Bookmark(mark))) => {
                        self.at = At::Watching(mark.metadata.resource_version, events);
                    }
                    // An ordinary end: the server closes watches after some minutes.
                    None => self.at = At::Version(version),
                    // 410 Gone, or a broken connection: `Lost` is set already.
                    Some(Ok(WatchEvent::Error(_)) | Err(_)) => {}
                },
            }
        }
    }
}

/// Opens a watch; a refused version means that it is too old, so the next step lists again.
async fn watch(
    cx: &Cx,
    api: &Api,
    check: &'static str,
    scope: &Scope,
    silent: &AtomicBool,
    version: String,
) -> Result<At, Failure> {
    let params = WatchParams { label_selector: scope.labels.clone(), ..WatchParams::default() };
    let what = format!("{} objects can be watched", scope.kind.kind);
    wait::until(cx, &what, BRIEF_OUTAGE, || {
        let request = Api::request(&scope.kind, scope.namespace.as_deref()).watch(&params, &version);
        let (version, what) = (version.clone(), &what);
        async move {
            let opened = match request.map_err(kube::Error::BuildRequest) {
                Ok(request) => api.client().request_events::<Value>(request).await,
                Err(e) => Err(e),
            };
            silent.store(opened.as_ref().is_err_and(api::is_transient), Ordering::Relaxed);
            match opened {
                Ok(events) => Ok(Progress::Ready(At::Watching(version, Box::pin(events)))),
                Err(e) if api::code(&e) == Some(410) => Ok(Progress::Ready(At::Lost)),
                Err(e) if api::is_transient(&e) => Ok(Progress::NotYet(api::text(&e))),
                Err(e) => Err(api::failure(&e, Blame::Harness, check, what)),
            }
        }
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, check))
}

fn version_of(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}

async fn list(
    cx: &Cx,
    api: &Api,
    check: &'static str,
    scope: &Scope,
    silent: &AtomicBool,
) -> Result<(Vec<Value>, String), Failure> {
    let params = ListParams { label_selector: scope.labels.clone(), ..ListParams::default() };
    let what = format!("{} objects are listed", scope.kind.kind);
    // A kind whose definition is not there yet has no objects: the list is tried again until it exists.
    wait::until(cx, &what, BRIEF_OUTAGE, || {
        let answer = api.list(&scope.kind, scope.namespace.as_deref(), &params);
        async {
            let answer = answer.await;
            silent.store(answer.as_ref().is_err_and(api::is_transient), Ordering::Relaxed);
            match answer {
                Ok(found) => Ok(Progress::Ready(found)),
                Err(e) if api::is_transient(&e) || api::code(&e) == Some(404) => Ok(Progress::NotYet(api::text(&e))),
                Err(e) => Err(api::failure(&e, Blame::Harness, check, &what)),
            }
        }
    })
    .await
    .map_err(|e| e.blame(Blame::Environment, check))
}
