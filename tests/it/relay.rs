//! A relay before the API of a cluster: whoever speaks through it is cut off after the n-th step.
//!
//! A step is a request, or a piece of what is said through a forwarded port or to a command: so ws-manager's calls are
//! steps, too. The n-th one reaches the cluster and has its effect; its answer reaches nobody, and nothing comes after it.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A relay; what it carries ends with it.
pub(crate) struct Relay {
    address: SocketAddr,
    wire: Wire,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.wire.carried().abort_all();
    }
}

#[derive(Clone)]
struct Wire {
    client: kube::Client,
    steps: Arc<Steps>,
    posted: Arc<Mutex<Vec<Value>>>,
    carried: Arc<Mutex<JoinSet<()>>>,
}

struct Steps {
    seen: AtomicUsize,
    last: usize,
    reached: Notify,
}

/// Which step it is.
#[derive(PartialEq)]
enum Step {
    Passes,
    Last,
}

impl Steps {
    /// The next step. After the last one there is none.
    async fn next(&self) -> Step {
        match (self.seen.fetch_add(1, Ordering::SeqCst) + 1).cmp(&self.last) {
            std::cmp::Ordering::Less => Step::Passes,
            std::cmp::Ordering::Equal => Step::Last,
            std::cmp::Ordering::Greater => pending().await,
        }
    }

    /// The last step was taken.
    async fn over(&self) -> Infallible {
        self.reached.notify_one();
        pending().await
    }
}

impl Relay {
    /// A relay to the cluster of this client that carries so many steps.
    pub(crate) async fn start(client: kube::Client, last: usize) -> Self {
        let steps = Arc::new(Steps { seen: AtomicUsize::new(0), last, reached: Notify::new() });
        let wire = Wire { client, steps, posted: Arc::default(), carried: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let serve = wire.clone();
        wire.carried().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let wire = serve.clone();
                let service = service_fn(move |request| {
                    let wire = wire.clone();
                    async move { wire.pass(request).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                serve.carried().spawn(async move {
                    // How a connection ends is the matter of its ends.
                    let _ended = connection.await;
                });
            }
        });
        Self { address, wire }
    }

    /// With which the cluster is reached through it.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: 'http://{}'}}\n\
             contexts:\n- name: here\n  context: {{cluster: c, user: u}}\ncurrent-context: here\nusers:\n- name: u\n  user: {{}}\n",
            self.address
        )
    }

    /// Returns when the last step was taken.
    pub(crate) async fn reached(&self) {
        self.wire.steps.reached.notified().await;
    }

    /// What was asked to be made.
    pub(crate) fn posted(&self) -> Vec<Value> {
        self.wire.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The steps that were taken so far.
    pub(crate) fn steps(&self) -> usize {
        self.wire.steps.seen.load(Ordering::SeqCst)
    }
}

impl Wire {
    fn carried(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, mut request: Request<Incoming>) -> Result<Response<Body>, kube::Error> {
        let step = self.steps.next().await;
        let near = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        // The client says whom it speaks to, and as whom.
        parts.headers.remove(header::HOST);
        parts.extensions.clear();
        let body = body.collect().await.map_err(kube::Error::HyperError)?.to_bytes();
        if parts.method == http::Method::POST
            && let Ok(object) = serde_json::from_slice(&body)
        {
            self.posted.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        }
        let mut response = self.client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await?;
        if step == Step::Last {
            self.steps.over().await;
        }
        if let (Some(near), StatusCode::SWITCHING_PROTOCOLS) = (near, response.status()) {
            let (wire, far) = (self.clone(), hyper::upgrade::on(&mut response));
            self.carried().spawn(async move { wire.carry(near, far).await });
        }
        Ok(response)
    }

    /// Carries what is said after an upgrade.
    async fn carry(&self, near: OnUpgrade, far: OnUpgrade) {
        let (Ok(near), Ok(far)) = tokio::join!(near, far) else { return };
        let (mut near_out, mut near_in) = tokio::io::split(TokioIo::new(near));
        let (mut far_out, mut far_in) = tokio::io::split(TokioIo::new(far));
        let there = async {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = near_out.read(&mut piece).await {
                let step = self.steps.next().await;
                // Who reads no more may still have something to say.
                let _unread = async { far_in.write_all(&piece[..n]).await.and(far_in.flush().await) }.await;
                if step == Step::Last {
                    self.steps.over().await;
                }
            }
            let _closed = far_in.shutdown().await;
        };
        let back = async {
            let _ended = tokio::io::copy(&mut far_out, &mut near_in).await;
            // What is still on the way from there is taken in all the same: a connection closed over unread bytes is reset, and
            // a reset takes with it what the other end has not read yet.
            let _closed = near_in.shutdown().await;
        };
        tokio::join!(there, back);
    }
}
