//! The public HTTPS front of an installation.
//!
//! Its domain is in no public DNS: the client connects to the cluster's ingress and says the name in TLS and in `Host`. It
//! never follows redirects, because a redirect to `/sorry` is how Gitpod says that it does not work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_engine::installer::Installation;
use gsh_engine::provider::Cluster;
use gsh_engine::reach::Reach;
use gsh_model::outcome::Blame;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The largest answer that is read.
const LARGEST: usize = 8 << 20;
/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// No TCP connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No TLS session: no trust in the certificate, or no TLS at all.
    #[error("no TLS session with `{host}` at {address}")]
    Tls {
        /// The name asked for.
        host: String,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The exchange broke off.
    #[error("the exchange with `{host}` broke off")]
    Http {
        /// The name asked for.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("`{host}` gave no answer within {PATIENCE:?}")]
    Slow {
        /// The name asked for.
        host: String,
    },
}

impl FrontError {
    /// Whose fault it is: an address that cannot be reached is the network's, all that comes after is the product's.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Connect { .. } => Blame::Environment,
            Self::Tls { .. } | Self::Http { .. } | Self::Slow { .. } => Blame::Product,
        }
    }

    /// As a failure of a check.
    #[must_use]
    pub fn failure(&self, check: &'static str, expected: impl Into<String>) -> Failure {
        Failure::new(self.blame(), check, expected, "no answer").because(self)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where it redirects to, if it does.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.headers.get(http::header::LOCATION)?.to_str().ok()
    }

    /// Whether this is Gitpod's way to say that a component behind the front does not answer.
    #[must_use]
    pub fn is_sorry(&self) -> bool {
        self.status.is_redirection() && self.location().is_some_and(|l| l.contains("/sorry"))
    }
}

/// Client of the front.
#[derive(Clone)]
pub struct Front {
    address: SocketAddr,
    domain: String,
    tls: Arc<rustls::ClientConfig>,
}

impl Front {
    /// The front of an installation, reached at the cluster's ingress.
    ///
    /// # Errors
    /// When the installation's authority is no certificate.
    pub fn new(cluster: &Cluster, installation: &Installation) -> Result<Self, Failure> {
        Self::at(cluster.reach.at(cluster.ingress, 443), &installation.domain, installation.ca_pem.as_deref())
    }

    /// A front at an address, trusting this authority, or the public ones.
    ///
    /// # Errors
    /// When the authority is no certificate.
    pub fn at(address: SocketAddr, domain: &str, ca_pem: Option<&str>) -> Result<Self, Failure> {
        let tls = client_config(ca_pem)
            .map_err(|e| Failure::harness("GSH-INS-056", "the site's authority is a PEM certificate", e))?;
        Ok(Self { address, domain: domain.to_owned(), tls: Arc::new(tls) })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `GET https://<domain><path>`.
    ///
    /// # Errors
    /// [`FrontError`] when there is no answer; any status is an answer.
    pub async fn get(&self, path: &str) -> Result<Reply, FrontError> {
        self.get_from(&self.domain, path, &[]).await
    }

    /// `GET https://<host><path>` with headers; the host is a name of the site such as `<workspace>.ws.<domain>`.
    ///
    /// # Errors
    /// [`FrontError`] when there is no answer; any status is an answer.
    pub async fn get_from(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Reply, FrontError> {
        let mut request = Request::get(path).header(http::header::HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let broken = |e: http::Error| FrontError::Http { host: host.to_owned(), source: e.into() };
        let request = request.body(Full::new(Bytes::new())).map_err(broken)?;
        match tokio::time::timeout(PATIENCE, self.exchange(host, request)).await {
            Ok(answer) => answer,
            Err(_late) => Err(FrontError::Slow { host: host.to_owned() }),
        }
    }

    /// The certificate that the front shows for a name, DER, once its chain and the name are verified.
    ///
    /// # Errors
    /// [`FrontError`] when there is no connection, or no trust in what is shown.
    pub async fn certificate(&self, host: &str) -> Result<Vec<u8>, FrontError> {
        let shown = async {
            let stream = self.session(host).await?;
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            Ok(chain.first().map(|c| c.to_vec()).unwrap_or_default())
        };
        match tokio::time::timeout(PATIENCE, shown).await {
            Ok(answer) => answer,
            Err(_late) => Err(FrontError::Slow { host: host.to_owned() }),
        }
    }

    async fn session(&self, host: &str) -> Result<TlsStream<TcpStream>, FrontError> {
        let address = self.address;
        let tcp = TcpStream::connect(address).await.map_err(|source| FrontError::Connect { address, source })?;
        // It fails only where the connection has gone, which the handshake tells.
        let _gone = tcp.set_nodelay(true);
        let no_tls = |source| FrontError::Tls { host: host.to_owned(), address, source };
        let name = ServerName::try_from(host.to_owned()).map_err(|e| no_tls(std::io::Error::other(e)))?;
        TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(no_tls)
    }

    async fn exchange(&self, host: &str, request: Request<Full<Bytes>>) -> Result<Reply, FrontError> {
        let stream = self.session(host).await?;
        let broken =
            |source: Box<dyn std::error::Error + Send + Sync>| FrontError::Http { host: host.to_owned(), source };
        converse(stream, request).await.map_err(broken)
    }
}

/// One request and its answer on a connection of their own.
pub(crate) async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let work = async move {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST).collect().await?.to_bytes().to_vec();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Reply { status: head.status, headers: head.headers, body })
    };
    // The connection works only while it is polled; no task is spawned for it, so none can be left behind.
    let (answer, _closed) = futures::future::join(work, connection).await;
    answer
}

/// TLS for a client that trusts one private authority, or the public ones.
pub(crate) fn client_config(ca_pem: Option<&str>) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match ca_pem {
        Some(pem) => add(&mut roots, pem)?,
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    trusting(roots)
}

/// TLS for a client that trusts the public authorities, as a store's clients in the cluster do, and some private ones.
pub(crate) fn store_config(reach: &Reach, private: Option<&str>) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match reach.public() {
        Some(pem) => add(&mut roots, pem)?,
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    private.map_or(Ok(()), |pem| add(&mut roots, pem))?;
    trusting(roots)
}

/// Adds the certificates of a text, at least one.
fn add(roots: &mut rustls::RootCertStore, pem: &str) -> Result<(), String> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|e| e.to_string())?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.len() == before { Err("there is no certificate in the text".to_owned()) } else { Ok(()) }
}

fn trusting(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
