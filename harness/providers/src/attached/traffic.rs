//! What is sent to a cluster that is somebody else's: counted, and in read-only mode nothing but reading.
//!
//! This stands below every client type: a request that writes is refused before it leaves the process, whoever made it.
//! A list that was seen once is not asked for again, so that one look costs one request for each kind.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::client::{Body, DynBody};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only what reads; each answer is remembered.
    ReadOnly,
    /// Everything.
    Everything,
}

/// What was sent so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Requests by method.
    pub by_method: std::collections::BTreeMap<String, usize>,
    /// Time until their answers, added up; requests go out at the same time.
    pub waited: Duration,
    /// Bytes of the answers that were read whole.
    pub bytes: usize,
}

impl Sent {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.by_method.values().sum()
    }
}

/// Watches over the traffic of one client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Traffic {
    mode: Mode,
    sent: Arc<Mutex<Sent>>,
    /// Answers that were read whole; nothing once they are not to be remembered any more.
    known: Arc<Mutex<Option<HashMap<String, Bytes>>>>,
}

impl Traffic {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { mode, sent: Arc::default(), known: Arc::new(Mutex::new(Some(HashMap::new()))) }
    }

    /// What was sent so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on every question is asked anew: for whoever looks more than once.
    pub fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known(&self, key: &str) -> Option<Bytes> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(key).cloned()
    }

    fn remember(&self, key: String, bytes: &Bytes) {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.insert(key, bytes.clone());
        }
    }

    fn count(&self, method: &Method) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent.by_method.entry(method.to_string()).or_default() += 1;
    }

    fn answered(&self, waited: Duration, bytes: usize) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.waited += waited;
        sent.bytes += bytes;
    }
}

impl<S> Layer<S> for Traffic {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, traffic: self.clone() }
    }
}

/// A request that would write, in read-only mode.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} was not sent: this client only reads")]
pub(crate) struct Refused {
    method: Method,
    path: String,
}

/// A service whose traffic is watched.
pub struct Watched<S> {
    inner: S,
    traffic: Traffic,
}

type Answer = Response<Box<DynBody>>;

impl<S> Service<Request<Body>> for Watched<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, uri) = (request.method().clone(), request.uri().to_string());
        let traffic = self.traffic.clone();
        let remembered = match traffic.mode {
            Mode::Everything => None,
            Mode::ReadOnly if method != Method::GET => {
                let refused = Refused { method, path: request.uri().path().to_owned() };
                return Box::pin(async move { Err(refused.into()) });
            }
            // A watch is no answer that ends.
            Mode::ReadOnly if uri.contains("watch=true") => None,
            Mode::ReadOnly => Some(uri),
        };
        if let Some(bytes) = remembered.as_deref().and_then(|key| traffic.known(key)) {
            return Box::pin(async move { Ok(whole(StatusCode::OK, http::HeaderMap::new(), bytes)) });
        }
        traffic.count(&method);
        let began = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let Some(key) = remembered else {
                traffic.answered(began.elapsed(), 0);
                return Ok(answer);
            };
            let (head, body) = answer.into_parts();
            let bytes = body.collect().await?.to_bytes();
            traffic.answered(began.elapsed(), bytes.len());
            if head.status == StatusCode::OK {
                traffic.remember(key, &bytes);
            }
            Ok(whole(head.status, head.headers, bytes))
        })
    }
}

fn whole(status: StatusCode, headers: http::HeaderMap, bytes: Bytes) -> Answer {
    let body: Box<DynBody> = Box::new(Full::new(bytes).map_err(|never: Infallible| match never {}));
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
