//! The way to ws-manager: a port-forward to one of its pods, and TLS 1.2 through it.
//!
//! ws-manager is a ClusterIP service that speaks TLS 1.2 only, under a private authority and the name `ws-manager`. A
//! port-forward breaks now and then; the channel above asks for a new tunnel when that happens.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use gsh_engine::installer::WsmanCredentials;
use gsh_model::outcome::Blame;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Name in ws-manager's certificate.
const SERVER_NAME: &str = "ws-manager";
/// Port of its pods.
const PORT: u16 = 8080;
/// How long ws-manager may take for its half of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long it may take to get through the cluster's API to the pod; with [`HANDSHAKE`] less than the whole connection gets.
const WAY: Duration = Duration::from_secs(4);

/// A byte stream to ws-manager, before TLS.
pub(crate) type Stream = Box<dyn Io>;

/// Anything that bytes go through.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How to get a stream; called anew for every connection.
pub(crate) type Dial = Arc<dyn Fn() -> BoxFuture<'static, Result<Stream, TunnelError>> + Send + Sync>;

/// Why there is no way to ws-manager.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    /// The API of the cluster did not help.
    #[error("the cluster's API gives no way to ws-manager: {0}")]
    Api(String),
    /// There is no ready pod.
    #[error("no pod of ws-manager is ready")]
    NoPod,
    /// Its port takes no connection, or drops it.
    #[error("ws-manager's pod takes no connection: {0}")]
    Port(String),
    /// The TLS session failed.
    #[error("no TLS session with ws-manager: {0}")]
    Tls(#[source] std::io::Error),
    /// It takes the connection and says nothing.
    #[error("ws-manager takes the connection and does not answer within {HANDSHAKE:?}")]
    Silent,
}

impl TunnelError {
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::Api(_) => Blame::Environment,
            Self::NoPod | Self::Port(_) | Self::Tls(_) | Self::Silent => Blame::Product,
        }
    }
}

/// Dials by port-forward to the first ready pod.
pub(crate) fn forward(client: kube::Client, namespace: &str) -> Dial {
    let pods: kube::Api<Pod> = kube::Api::namespaced(client, namespace);
    Arc::new(move || {
        let pods = pods.clone();
        async move {
            let list = pods.list(&ListParams::default().labels("app=gitpod,component=ws-manager")).await;
            let list = list.map_err(|e| TunnelError::Api(gsh_kube::api::text(&e)))?;
            let name = list.items.into_iter().find(is_ready).and_then(|p| p.metadata.name).ok_or(TunnelError::NoPod)?;
            let forward = pods.portforward(&name, &[PORT]).await;
            let mut forward = forward.map_err(|e| TunnelError::Api(gsh_kube::api::text(&e)))?;
            let error = forward.take_error(PORT);
            let stream = forward.take_stream(PORT).ok_or_else(|| TunnelError::Port("no stream".to_owned()))?;
            // What kubelet has to say about the port comes at once, if it comes.
            match error.and_then(|e| e.now_or_never()).flatten() {
                Some(text) => Err(TunnelError::Port(text)),
                None => Ok(Box::new(stream) as Stream),
            }
        }
        .boxed()
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// TLS as ws-manager wants it.
pub(crate) fn tls(credentials: &WsmanCredentials) -> Result<TlsConnector, String> {
    let text = |e: &dyn std::error::Error| e.to_string();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(credentials.ca.as_bytes()) {
        roots.add(certificate.map_err(|e| text(&e))?).map_err(|e| text(&e))?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(credentials.cert.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(credentials.key.expose().as_bytes()).map_err(|e| text(&e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(|e| text(&e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.map_err(|e| text(&e))?, key)
        .map_err(|e| text(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One connection.
pub(crate) async fn open(dial: Dial, tls: TlsConnector) -> Result<TlsStream<Stream>, TunnelError> {
    // Shorter than a call's own patience: a way that does not open must not look like a ws-manager that says nothing.
    let stream = match tokio::time::timeout(WAY, dial()).await {
        Ok(dialled) => dialled?,
        Err(_late) => return Err(TunnelError::Api(format!("no port-forward within {WAY:?}"))),
    };
    let name = ServerName::try_from(SERVER_NAME).map_err(|e| TunnelError::Tls(std::io::Error::other(e)))?;
    // The tunnel stands; whoever is silent now is ws-manager, and the channel's own time-out could not tell.
    match tokio::time::timeout(HANDSHAKE, tls.connect(name, stream)).await {
        Ok(session) => session.map_err(TunnelError::Tls),
        Err(_late) => Err(TunnelError::Silent),
    }
}
