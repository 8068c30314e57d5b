//! The registry that workspace images are built into, spoken to by the HTTP API of registries.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::Installation;
use gsh_engine::provider::{Cluster, RegistryStore};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_model::axis::Registry as Axis;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;

use super::Place;
use crate::http::{Reply, converse, store_config};
use crate::probe::Probe;

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where it is and as whom the image builder uses it.
pub struct Images {
    /// Host, port and path prefix of the repositories.
    pub url: String,
    domain: String,
    /// The value of the header `Authorization`.
    login: Secret,
    ca_pem: Option<String>,
    reach: Reach,
}

impl Images {
    /// One that is handed out with a cluster; nobody is configured with it yet.
    #[must_use]
    pub(super) fn handed_out(cx: &Cx, store: &RegistryStore, reach: &Reach) -> Self {
        let login = STANDARD.encode(format!("{}:{}", store.username, store.password.expose()));
        Self {
            url: store.url.clone(),
            domain: String::new(),
            login: cx.secret("registry login", format!("Basic {login}")),
            ca_pem: store.ca_pem.clone(),
            reach: reach.clone(),
        }
    }

    /// What the image builder is configured with.
    ///
    /// # Errors
    /// When it names no registry, or no login for it.
    pub async fn configured(
        cx: &Cx,
        cluster: &Cluster,
        installation: &Installation,
        check: &'static str,
    ) -> Result<Self, Failure> {
        let place = Place::new(cx, &cluster.kube, &installation.namespace, check);
        let config = place.config("image-builder-mk3-config").await?;
        let builder = &config["orchestrator"];
        let expected = "the image builder's configuration names a registry and a Secret with its login";
        let repository = builder["baseImageRepository"].as_str().unwrap_or_default();
        let Some(url) = repository.strip_suffix("/base-images") else {
            return Err(Failure::product(check, expected, format!("baseImageRepository is `{repository}`")));
        };
        let secret = builder["pullSecret"].as_str().unwrap_or_default();
        let text = place.secret(secret, ".dockerconfigjson").await?;
        let logins: Value = serde_json::from_str(text.expose()).unwrap_or_default();
        let host = url.split('/').next().unwrap_or(url);
        let auth = &logins["auths"][host];
        let pair = auth["username"].as_str().zip(auth["password"].as_str());
        let encoded = pair.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        let encoded = encoded.or_else(|| auth["auth"].as_str().map(str::to_owned));
        let encoded = encoded
            .ok_or_else(|| Failure::product(check, expected, format!("Secret `{secret}` has no login for {host}")))?;
        let store = cluster.stores.registry.as_ref().and_then(|r| r.ca_pem.clone());
        let authorities: Vec<String> = installation.ca_pem.clone().into_iter().chain(store).collect();
        Ok(Self {
            url: url.to_owned(),
            domain: installation.domain.clone(),
            login: cx.secret("registry login", format!("Basic {encoded}")),
            ca_pem: (!authorities.is_empty()).then(|| authorities.join("\n")),
            reach: cluster.reach.clone(),
        })
    }

    /// Whether this is the registry that a cell asks for.
    ///
    /// # Errors
    /// When it is another one.
    pub fn is_of(&self, axis: Axis, cluster: &Cluster, check: &'static str) -> Result<(), Failure> {
        let own = format!("registry.{}", self.domain);
        let inside = self.url == own;
        let given = cluster.stores.registry.as_ref().map(|r| r.url.trim_end_matches('/'));
        let (expected, good) = match axis {
            Axis::InCluster | Axis::InClusterS3 => (own, inside),
            Axis::External => {
                let place = given.map_or("outside of the cluster".to_owned(), str::to_owned);
                (place, !inside && given.is_none_or(|url| url == self.url))
            }
        };
        if good {
            Ok(())
        } else {
            Err(Failure::product(
                check,
                format!("workspace images go to {expected}"),
                format!("they go to {}", self.url),
            ))
        }
    }

    /// Host and port, and what stands before the repositories' names.
    fn place(&self) -> (&str, u16, &str) {
        let (authority, prefix) = self.url.split_once('/').unwrap_or((&self.url, ""));
        let (host, port) = split(authority);
        (host, port, prefix)
    }

    /// Sends one request over HTTPS. Any status is an answer.
    async fn send(
        &self,
        probe: &Probe,
        method: Method,
        target: &str,
        body: &[u8],
        login: Option<&Secret>,
        check: &'static str,
    ) -> Result<Reply, Failure> {
        let (host, port, _) = self.place();
        self.send_to(probe, (host, port), method, (target, body, login), check).await
    }

    /// The same to another place: a registry that keeps its blobs in a bucket sends who reads one there.
    async fn send_to(
        &self,
        probe: &Probe,
        (host, port): (&str, u16),
        method: Method,
        (target, body, login): (&str, &[u8], Option<&Secret>),
        check: &'static str,
    ) -> Result<Reply, Failure> {
        let expected = format!("the registry {} answers over HTTPS", self.url);
        // With the port where it is not the usual one: a permission in an address is signed for exactly that.
        let name = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, name);
        request = request.header(header::CONTENT_LENGTH, body.len());
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login.expose());
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)));
        let request = request.map_err(|e| Failure::product(check, expected.clone(), e.to_string()))?;
        let (io, carrier) = probe.connect(host, port, check).await?.split();
        let exchange = async {
            let tls = std::sync::Arc::new(store_config(&self.reach, self.ca_pem.as_deref())?);
            let name = rustls_pki_types::ServerName::try_from(host.to_owned())?;
            converse(TlsConnector::from(tls).connect(name, io).await?, request).await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(e)) => {
                let said = carrier.complaint().await;
                Err(Failure::product(check, expected, if said.is_empty() { e.to_string() } else { said }))
            }
            Err(_late) => Err(Failure::product(check, expected, format!("no answer within {PATIENCE:?}"))),
        }
    }

    /// A repository of ours: nothing refers to its blobs, so the registry's own clean-up takes them.
    fn repository(&self) -> String {
        match self.place().2 {
            "" => "gsh-check".to_owned(),
            prefix => format!("{prefix}/gsh-check"),
        }
    }

    /// Uploads a blob and gives its digest. No manifest and no tag: nothing shows in the catalogue.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push(&self, probe: &Probe, blob: &[u8], check: &'static str) -> Result<String, Failure> {
        let login = Some(&self.login);
        let digest: String = Sha256::digest(blob).iter().map(|b| format!("{b:02x}")).collect();
        let start = format!("/v2/{}/blobs/uploads/", self.repository());
        let begun = self.send(probe, Method::POST, &start, b"", login, check).await?;
        let location = begun.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default();
        if begun.status != StatusCode::ACCEPTED || location.is_empty() {
            return Err(unexpected(&begun, check, &format!("POST {start} begins an upload")));
        }
        // The place may be given with or without scheme and host.
        let target = match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => location,
        };
        let separator = if target.contains('?') { '&' } else { '?' };
        let end = format!("{target}{separator}digest=sha256:{digest}");
        let ended = self.send(probe, Method::PUT, &end, blob, login, check).await?;
        if ended.status != StatusCode::CREATED {
            return Err(unexpected(&ended, check, "the upload of a blob is finished"));
        }
        Ok(digest)
    }

    /// Reads a blob by its digest; nothing when there is none.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn pull(&self, probe: &Probe, digest: &str, check: &'static str) -> Result<Option<Vec<u8>>, Failure> {
        let target = format!("/v2/{}/blobs/sha256:{digest}", self.repository());
        let mut reply = self.send(probe, Method::GET, &target, b"", Some(&self.login), check).await?;
        if reply.status == StatusCode::TEMPORARY_REDIRECT {
            let location = reply.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default();
            let (authority, rest) = elsewhere(location).ok_or_else(|| {
                let expected = format!("GET {target} is answered, or sent on to a place over HTTPS");
                Failure::product(check, expected, format!("it is sent to `{}`", without_query(location)))
            })?;
            let to = split(authority);
            // The place has its own permission in its address; the login is the registry's alone.
            reply = self.send_to(probe, to, Method::GET, (rest, b"", None), check).await?;
        }
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(&reply, check, &format!("GET {target} is answered"))),
        }
    }

    /// The status that somebody without a login gets.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn status_without_login(&self, probe: &Probe, check: &'static str) -> Result<StatusCode, Failure> {
        Ok(self.send(probe, Method::GET, "/v2/", b"", None, check).await?.status)
    }
}

/// Host with port, and the rest, of an address over HTTPS.
fn elsewhere(location: &str) -> Option<(&str, &str)> {
    let rest = location.strip_prefix("https://")?;
    rest.find('/').map(|at| rest.split_at(at))
}

/// What follows the question mark is a permission.
fn without_query(location: &str) -> &str {
    location.split('?').next().unwrap_or_default()
}

fn split(authority: &str) -> (&str, u16) {
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(443)),
        None => (authority, 443),
    }
}

fn unexpected(reply: &Reply, check: &'static str, expected: &str) -> Failure {
    let text: String = reply.text().chars().take(300).collect();
    Failure::product(check, expected, format!("status {}: {text}", reply.status))
}
