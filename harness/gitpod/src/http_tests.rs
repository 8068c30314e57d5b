//! The front's client against a small HTTPS server on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use gsh_model::outcome::Blame;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::http::{Front, FrontError};

const DOMAIN: &str = "g1-c1-a1.gsh.internal";

struct Server {
    address: SocketAddr,
    ca: String,
    tasks: JoinSet<()>,
}

async fn server() -> Server {
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let names = vec![DOMAIN.to_owned(), format!("*.ws.{DOMAIN}")];
    let leaf = CertificateParams::new(names).expect("parameters").signed_by(&key, &ca).expect("a leaf");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("PEM"),
        )
        .expect("a certificate");
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(stream) = tls.accept(tcp).await else { continue };
            let service = hyper::service::service_fn(answer);
            let http = hyper::server::conn::http1::Builder::new();
            let _closed = http.serve_connection(TokioIo::new(stream), service).await;
        }
    });
    Server { address, ca: ca.pem(), tasks }
}

/// Says back who was asked for, and with which token; `/` redirects to the apology.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
    let text = format!("{} {} {}", header("host"), request.uri(), header("x-gitpod-owner-token"));
    let mut response = Response::new(Full::new(Bytes::from(text)));
    if request.uri() == "/" {
        *response.status_mut() = StatusCode::FOUND;
        let to = http::HeaderValue::from_static("/sorry/#Error 502");
        response.headers_mut().insert("location", to);
    }
    Ok(response)
}

#[tokio::test]
async fn names_are_said_and_the_address_is_given() {
    let server = server().await;
    let front = Front::at(server.address, DOMAIN, Some(&server.ca)).expect("a CA");
    let reply = front.get("/api/version").await.expect("an answer");
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, format!("{DOMAIN} /api/version -")));
    let host = format!("x.ws.{DOMAIN}");
    let reply = front.get_from(&host, "/a", &[("x-gitpod-owner-token", "t")]).await.expect("an answer");
    assert_eq!(reply.text(), format!("{host} /a t"));
}

#[tokio::test]
async fn an_apology_is_seen_and_not_followed() {
    let server = server().await;
    let front = Front::at(server.address, DOMAIN, Some(&server.ca)).expect("a CA");
    let reply = front.get("/").await.expect("an answer");
    assert_eq!(reply.location(), Some("/sorry/#Error 502"));
    assert!(reply.is_sorry());
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_the_product() {
    let (server, other) = (self::server().await, self::server().await);
    let ca = other.ca.clone();
    let front = Front::at(server.address, DOMAIN, Some(&ca)).expect("a CA");
    let error = front.get("/").await.expect_err("not trusted");
    assert!(matches!(error, FrontError::Tls { .. }), "{error}");
    assert_eq!(error.blame(), Blame::Product);
    let public = Front::at(server.address, DOMAIN, None).expect("the public authorities");
    assert!(matches!(public.get("/").await, Err(FrontError::Tls { .. })));
}

#[tokio::test]
async fn an_address_without_a_listener_is_the_environment() {
    let mut server = server().await;
    server.tasks.shutdown().await;
    let front = Front::at(server.address, DOMAIN, Some(&server.ca)).expect("a CA");
    let error = front.get("/").await.expect_err("nobody listens");
    assert_eq!(error.blame(), Blame::Environment, "{error}");
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let address = "127.0.0.1:1".parse().expect("an address");
    assert!(Front::at(address, DOMAIN, Some("no certificate")).is_err());
}
