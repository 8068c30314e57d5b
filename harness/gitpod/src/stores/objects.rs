//! The object store that components are configured with: ws-daemon for the content of workspaces, the registry in the
//! cluster for images.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Cluster, S3Store};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_model::axis::Storage as Axis;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde_json::Value;
use tokio_rustls::TlsConnector;

use super::{Place, Word, container, is_inside};
use crate::http::{Reply, converse, store_config};
use crate::probe::Probe;

/// How long a signature is good.
const SIGNED_FOR: Duration = Duration::from_secs(600);
/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where it is and as whom it is used.
#[derive(Clone)]
pub struct Objects {
    /// `host[:port]`.
    pub endpoint: String,
    /// The one bucket, in single-bucket mode.
    pub bucket: Option<String>,
    region: String,
    access_key: Secret,
    secret_key: Secret,
    secure: bool,
    reach: Reach,
}

impl Objects {
    /// One that is handed out with a cluster, with one of its buckets; nobody is configured with it yet.
    #[must_use]
    pub(super) fn handed_out(s3: &S3Store, bucket: &str, reach: &Reach) -> Self {
        Self {
            endpoint: s3.endpoint.clone(),
            bucket: Some(bucket.to_owned()),
            region: s3.region.clone(),
            access_key: s3.access_key.clone(),
            secret_key: s3.secret_key.clone(),
            secure: !s3.insecure,
            reach: reach.clone(),
        }
    }

    /// What ws-daemon keeps content with.
    ///
    /// # Errors
    /// When its configuration names no store that is spoken to by address.
    pub async fn configured(cx: &Cx, cluster: &Cluster, namespace: &str, check: &'static str) -> Result<Self, Failure> {
        let place = Place::new(cx, &cluster.kube, namespace, check);
        let config = place.config("ws-daemon").await?;
        let minio = &config["daemon"]["content"]["storage"]["minio"];
        let expected = "ws-daemon's configuration names an object store";
        let endpoint = minio["endpoint"].as_str().filter(|e| !e.is_empty());
        let endpoint = endpoint.ok_or_else(|| Failure::product(check, expected, "it names none"))?.to_owned();
        let mut keys = Vec::new();
        for key in ["accessKey", "secretKey"] {
            keys.push(match minio[key].as_str().filter(|k| !k.is_empty()) {
                Some(given) => cx.secret(key, given),
                None => mounted(&place, minio[format!("{key}File").as_str()].as_str().unwrap_or_default()).await?,
            });
        }
        let (Some(secret_key), Some(access_key)) = (keys.pop(), keys.pop()) else {
            return Err(Failure::harness(check, expected, "its keys were not read"));
        };
        Ok(Self {
            endpoint,
            bucket: minio["bucket"].as_str().filter(|b| !b.is_empty()).map(str::to_owned),
            region: minio["region"].as_str().unwrap_or_default().to_owned(),
            access_key,
            secret_key,
            secure: minio["secure"] == true,
            reach: cluster.reach.clone(),
        })
    }

    /// What the registry in the cluster keeps its blobs with; nothing when it keeps them on a volume.
    ///
    /// # Errors
    /// When its configuration is not complete.
    pub async fn of_registry(
        cx: &Cx,
        cluster: &Cluster,
        namespace: &str,
        check: &'static str,
    ) -> Result<Option<Self>, Failure> {
        let place = Place::new(cx, &cluster.kube, namespace, check);
        let registry = place.object("apps/v1", "Deployment", "registry").await?;
        let containers = registry["spec"]["template"]["spec"]["containers"].as_array();
        let Some(found) = containers.and_then(|all| all.first()) else { return Ok(None) };
        let text = async |name: &str| {
            let value = place.env(found, &format!("REGISTRY_STORAGE_S3_{name}")).await?;
            Ok::<_, Failure>(value.map(|v| v.expose().to_owned()).unwrap_or_default())
        };
        let bucket = text("BUCKET").await?;
        if bucket.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            endpoint: text("REGIONENDPOINT").await?,
            bucket: Some(bucket),
            region: text("REGION").await?,
            access_key: cx.secret("registry access key", text("ACCESSKEY").await?),
            secret_key: cx.secret("registry secret key", text("SECRETKEY").await?),
            // The installer leaves the registry no choice.
            secure: true,
            reach: cluster.reach.clone(),
        }))
    }

    /// Whether this is the kind of store that a cell asks for.
    ///
    /// # Errors
    /// When it is another one.
    pub fn is_of(&self, axis: Axis, cluster: &Cluster, namespace: &str, check: &'static str) -> Result<(), Failure> {
        let bucket = self.bucket.as_deref();
        let seen = format!(
            "it is {}, {}",
            self.endpoint,
            bucket.map_or("a bucket per user".to_owned(), |b| format!("bucket `{b}`"))
        );
        let host = self.endpoint.split(':').next().unwrap_or_default();
        let inside = is_inside(host, namespace);
        let given = cluster.stores.s3.as_ref();
        let at_given = given.is_none_or(|s3| s3.endpoint == self.endpoint);
        let place = given.map_or("outside of the cluster".to_owned(), |s3| s3.endpoint.clone());
        let (expected, good) = match axis {
            Axis::InCluster => ("a Service of the cluster".to_owned(), inside),
            Axis::S3 => {
                let wanted = given.map(|s3| s3.bucket.as_str());
                let right = bucket.is_some() && wanted.is_none_or(|wanted| bucket == Some(wanted));
                (format!("{place}, one bucket for all"), !inside && at_given && right)
            }
            Axis::S3MultiBucket => (format!("{place}, a bucket per user"), !inside && at_given && bucket.is_none()),
        };
        if good {
            Ok(())
        } else {
            Err(Failure::product(check, format!("the object store of workspaces is {expected}"), seen))
        }
    }

    fn bucket_named(&self, name: &str, check: &'static str) -> Result<Bucket, Failure> {
        let scheme = if self.secure { "https" } else { "http" };
        let bad = |e: String| Failure::product(check, format!("`{}` is the address of a store", self.endpoint), e);
        let url = format!("{scheme}://{}", self.endpoint).parse().map_err(|e| bad(format!("{e}")))?;
        Bucket::new(url, UrlStyle::Path, name.to_owned(), self.region.clone()).map_err(|e| bad(e.to_string()))
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(self.access_key.expose(), self.secret_key.expose())
    }

    /// Sends one signed request. Any status is an answer.
    async fn send(
        &self,
        probe: &Probe,
        method: Method,
        url: &str,
        body: &[u8],
        check: &'static str,
    ) -> Result<Reply, Failure> {
        let expected = format!("the object store {} answers", self.endpoint);
        let (host, port) = match self.endpoint.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(9000)),
            None => (self.endpoint.as_str(), if self.secure { 443 } else { 80 }),
        };
        let target = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let request = Request::builder().method(method).uri(target).header(http::header::HOST, &self.endpoint);
        let request = request.header(http::header::CONTENT_LENGTH, body.len());
        let request = request.body(Full::new(Bytes::copy_from_slice(body)));
        let request = request.map_err(|e| Failure::harness(check, "a request", e.to_string()))?;
        let (io, carrier) = probe.connect(host, port, check).await?.split();
        let exchange = async {
            if !self.secure {
                return converse(io, request).await;
            }
            let tls = std::sync::Arc::new(store_config(&self.reach, None)?);
            let name = rustls_pki_types::ServerName::try_from(host.to_owned())?;
            converse(TlsConnector::from(tls).connect(name, io).await?, request).await
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        match answer {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(e)) => {
                let said = carrier.complaint().await;
                Err(Failure::product(check, expected, if said.is_empty() { e.to_string() } else { said }))
            }
            Err(_late) => Err(Failure::product(check, expected, format!("no answer within {PATIENCE:?}"))),
        }
    }

    /// Makes a bucket; one that is ours already will do.
    ///
    /// # Errors
    /// When the store does not.
    pub async fn make_bucket(&self, probe: &Probe, name: &str, check: &'static str) -> Result<(), Failure> {
        let url = self.bucket_named(name, check)?.create_bucket(&self.credentials()).sign(SIGNED_FOR);
        let reply = self.send(probe, Method::PUT, url.as_str(), b"", check).await?;
        accept(&reply, &[StatusCode::OK, StatusCode::CONFLICT], check, &format!("bucket `{name}` is made"))
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// When the store does not.
    pub async fn remove_bucket(&self, probe: &Probe, name: &str, check: &'static str) -> Result<(), Failure> {
        let url = self.bucket_named(name, check)?.delete_bucket(&self.credentials()).sign(SIGNED_FOR);
        let reply = self.send(probe, Method::DELETE, url.as_str(), b"", check).await?;
        accept(&reply, &GONE, check, &format!("bucket `{name}` is removed"))
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn put(&self, probe: &Probe, at: (&str, &str), body: &[u8], check: &'static str) -> Result<(), Failure> {
        let credentials = self.credentials();
        let url = self.bucket_named(at.0, check)?.put_object(Some(&credentials), at.1).sign(SIGNED_FOR);
        let reply = self.send(probe, Method::PUT, url.as_str(), body, check).await?;
        accept(&reply, &[StatusCode::OK], check, &format!("object `{}` is written to bucket `{}`", at.1, at.0))
    }

    /// Reads an object; nothing when there is none.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn get(&self, probe: &Probe, at: (&str, &str), check: &'static str) -> Result<Option<Vec<u8>>, Failure> {
        let credentials = self.credentials();
        let url = self.bucket_named(at.0, check)?.get_object(Some(&credentials), at.1).sign(SIGNED_FOR);
        let reply = self.send(probe, Method::GET, url.as_str(), b"", check).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        accept(&reply, &[StatusCode::OK], check, &format!("object `{}` is read from bucket `{}`", at.1, at.0))?;
        Ok(Some(reply.body))
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn remove(&self, probe: &Probe, at: (&str, &str), check: &'static str) -> Result<(), Failure> {
        let credentials = self.credentials();
        let url = self.bucket_named(at.0, check)?.delete_object(Some(&credentials), at.1).sign(SIGNED_FOR);
        let reply = self.send(probe, Method::DELETE, url.as_str(), b"", check).await?;
        accept(&reply, &GONE, check, &format!("object `{}` is removed from bucket `{}`", at.1, at.0))
    }

    /// The bucket of what a word names: that of everybody, else one of its own.
    #[must_use]
    pub fn bucket_of(&self, word: Word) -> String {
        self.bucket.clone().unwrap_or_else(|| word.to_string())
    }

    /// Removes the object that a word names, and its bucket where it has one of its own.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn erase(&self, probe: &Probe, word: Word, check: &'static str) -> Result<(), Failure> {
        let bucket = self.bucket_of(word);
        self.remove(probe, (&bucket, &word.to_string()), check).await?;
        if self.bucket.is_none() { self.remove_bucket(probe, &bucket, check).await } else { Ok(()) }
    }

    /// The status that a read with a wrong secret key gets.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn status_with_wrong_key(
        &self,
        probe: &Probe,
        at: (&str, &str),
        check: &'static str,
    ) -> Result<StatusCode, Failure> {
        let wrong = Credentials::new(self.access_key.expose(), "not-the-secret-key-of-this-account");
        let url = self.bucket_named(at.0, check)?.get_object(Some(&wrong), at.1).sign(SIGNED_FOR);
        Ok(self.send(probe, Method::GET, url.as_str(), b"", check).await?.status)
    }

    /// The objects of a bucket whose names begin so, with their sizes; one page of at most 1000.
    ///
    /// # Errors
    /// When the store refuses, or what it says is no listing.
    pub async fn list(
        &self,
        probe: &Probe,
        bucket: &str,
        prefix: &str,
        check: &'static str,
    ) -> Result<Vec<(String, u64)>, Failure> {
        let named = self.bucket_named(bucket, check)?;
        let credentials = self.credentials();
        let mut action = named.list_objects_v2(Some(&credentials));
        action.with_prefix(prefix.to_owned());
        let reply = self.send(probe, Method::GET, action.sign(SIGNED_FOR).as_str(), b"", check).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let expected = format!("bucket `{bucket}` is listed");
        accept(&reply, &[StatusCode::OK], check, &expected)?;
        let listing = ListObjectsV2::parse_response(&reply.text());
        let listing = listing.map_err(|e| Failure::product(check, expected, e.to_string()))?;
        Ok(listing.contents.into_iter().map(|object| (object.key, object.size.unwrap_or(0))).collect())
    }
}

/// What says that something is not there any more.
const GONE: [StatusCode; 3] = [StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::NOT_FOUND];

fn accept(reply: &Reply, good: &[StatusCode], check: &'static str, expected: &str) -> Result<(), Failure> {
    if good.contains(&reply.status) {
        return Ok(());
    }
    let text: String = reply.text().chars().take(300).collect();
    Err(Failure::product(check, expected, format!("status {}: {text}", reply.status)))
}

/// What a file in ws-daemon's container holds: the key of the Secret that is mounted there.
async fn mounted(place: &Place<'_>, path: &str) -> Result<Secret, Failure> {
    let (directory, key) = path.rsplit_once('/').unwrap_or_default();
    let daemon = place.object("apps/v1", "DaemonSet", "ws-daemon").await?;
    let secret = container(&daemon, "ws-daemon").and_then(|c| volume(c, directory)).and_then(|volume| {
        let volumes = daemon["spec"]["template"]["spec"]["volumes"].as_array()?;
        volumes.iter().find(|v| v["name"] == volume)?["secret"]["secretName"].as_str().map(str::to_owned)
    });
    let expected = format!("a Secret is mounted at `{directory}` of ws-daemon");
    let secret = secret.ok_or_else(|| Failure::product(place.check, expected, "none is"))?;
    place.secret(&secret, key).await
}

fn volume<'v>(container: &'v Value, directory: &str) -> Option<&'v str> {
    let mounts = container["volumeMounts"].as_array()?;
    let mount =
        mounts.iter().find(|m| m["mountPath"].as_str().is_some_and(|p| p.trim_end_matches('/') == directory))?;
    mount["name"].as_str()
}
