//! A probe: a small pod that lends its place in the cluster's network. Stores and isolation can only be judged from there.
//!
//! It needs no image of its own and no listener: a connection is `nc HOST PORT` by Kubernetes exec, so what is spoken on it
//! is spoken by us, and the pod has no idea of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Cluster;
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, DeleteParams, PostParams, WatchParams};
use serde_json::json;
use tokio::io::{AsyncReadExt, Join};
use tokio::net::TcpListener;

use crate::pull::{self, Complaint};
use crate::streams::{self, Reader, Streams, Writer};
use gsh_kube::api;

/// The image: `nc` and `httpd` on a megabyte or two.
pub const IMAGE: &str = "docker.io/library/busybox:1.36";
/// How long a probe may take to run: its image may have to be pulled.
const START: Duration = Duration::from_secs(180);
/// How long words on standard error are waited for once the connection is over.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A pod of ours in the cluster.
#[derive(Clone)]
pub struct Probe {
    pods: Api<Pod>,
    complaint: Complaint,
    namespace: String,
    name: String,
    lease: String,
}

impl Probe {
    /// Names a probe; nothing is made yet.
    #[must_use]
    pub fn new(cluster: &Cluster, namespace: &str, name: &str) -> Self {
        Self {
            pods: Api::namespaced(cluster.kube.clone(), namespace),
            complaint: pull::from_events(cluster.kube.clone(), namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            lease: cluster.lease.as_str().to_owned(),
        }
    }

    /// Name of its pod.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the pod, with further labels, on a node where one is named, running `command`; and waits until it runs.
    ///
    /// # Errors
    /// When the image cannot be pulled or the pod does not run: nothing of that is the product's.
    pub async fn start(
        &self,
        cx: &Cx,
        labels: &BTreeMap<String, String>,
        node: Option<&str>,
        command: &[&str],
        check: &'static str,
    ) -> Result<(), Failure> {
        let what = format!("pod `{}` runs", self.name);
        let mut all = labels.clone();
        all.insert("gsh-role".to_owned(), "probe".to_owned());
        all.insert("gsh-lease".to_owned(), self.lease.clone());
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": self.name, "namespace": self.namespace, "labels": all },
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "terminationGracePeriodSeconds": 0,
                "restartPolicy": "Never",
                "containers": [{ "name": "probe", "image": IMAGE, "command": command }],
            },
        });
        if let Some(node) = node {
            pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
        }
        let pod: Pod = serde_json::from_value(pod).expect("the fields above are those of a pod");
        match self.pods.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            Err(e) => return Err(api::failure(&e, Blame::Harness, check, &what)),
        }
        // Its changes only shorten the pauses: whatever becomes of the watch, the pod itself is looked at.
        let this = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let changes = match self.pods.watch(&this, "0").await {
            Ok(changes) => changes.map(drop).boxed(),
            Err(_) => futures::stream::pending().boxed(),
        };
        let running = wait::until_woken(cx, &what, START, changes, || async {
            let pod = self.pods.get_opt(&self.name).await;
            let pod = pod.map_err(|e| api::failure(&e, Blame::Harness, check, &what))?;
            let seen = match progress(pod.as_ref()) {
                Progress::NotYet(text) => Progress::NotYet(self.why_backing_off(&text).await.unwrap_or(text)),
                Progress::Ready(()) => Progress::Ready(()),
            };
            // A rate limit or an image that is not there does not go away while somebody waits.
            match &seen {
                Progress::NotYet(text) if text.contains("toomanyrequests") || text.contains("not found") => {
                    Err(Failure::environment(check, what.clone(), text.clone()))
                }
                Progress::NotYet(_) | Progress::Ready(()) => Ok(seen),
            }
        });
        running.await.map_err(|e| e.blame(Blame::Environment, check))
    }

    /// Why the image could not be pulled, where the state of the pod does not say it.
    async fn why_backing_off(&self, text: &str) -> Option<String> {
        if !pull::is_without_reason(text) {
            return None;
        }
        (self.complaint)(self.name.clone()).await
    }

    /// Its address in the pod network.
    ///
    /// # Errors
    /// When the API does not tell.
    pub async fn address(&self, check: &'static str) -> Result<String, Failure> {
        let expected = format!("pod `{}` has an address", self.name);
        let pod = self.pods.get(&self.name).await.map_err(|e| api::failure(&e, Blame::Harness, check, &expected))?;
        let address = pod.status.and_then(|s| s.pod_ip);
        address.ok_or_else(|| Failure::environment(check, expected, "it has none"))
    }

    /// How far its pod is in life; nothing when there is none.
    ///
    /// # Errors
    /// When the API does not tell.
    pub(crate) async fn phase(&self, check: &'static str) -> Result<Option<String>, Failure> {
        let expected = format!("pod `{}` can be looked at", self.name);
        let pod = self.pods.get_opt(&self.name).await;
        let pod = pod.map_err(|e| api::failure(&e, Blame::Harness, check, &expected))?;
        Ok(pod.and_then(|p| p.status?.phase))
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn remove(&self, check: &'static str) -> Result<(), Failure> {
        match self.pods.delete(&self.name, &DeleteParams::default().grace_period(0)).await {
            Ok(_) => Ok(()),
            Err(e) if api::code(&e) == Some(404) => Ok(()),
            Err(e) => Err(api::failure(&e, Blame::Harness, check, &format!("pod `{}` is deleted", self.name))),
        }
    }

    /// Connects to a port from the pod. That there is a connection shows only once something is read from it.
    ///
    /// # Errors
    /// When the API gives no way into the pod.
    pub async fn connect(&self, host: &str, port: u16, check: &'static str) -> Result<Tube, Failure> {
        let what = format!("`nc {host} {port}` runs in pod `{}`", self.name);
        let params = AttachParams::default().container("probe").stdin(true).stdout(true).stderr(true);
        let port = port.to_string();
        let process = self.pods.exec(&self.name, ["nc", "-w", "10", host, &port], &params).await;
        let process = process.map_err(|e| api::failure(&e, Blame::Environment, check, &what))?;
        let streams = Streams::of(process).and_then(|all| {
            let io = tokio::io::join(all.stdout, all.stdin?);
            Some(Tube { io, carrier: Carrier { stderr: all.stderr, _carrier: all.carrier } })
        });
        streams.ok_or_else(|| Failure::harness(check, what, "the API gives no streams"))
    }

    /// Lets `work` reach a port of the cluster's network at an address of this machine, for as long as it runs.
    ///
    /// # Errors
    /// When no port can be opened here.
    pub async fn relayed<T, F>(
        &self,
        host: &str,
        port: u16,
        check: &'static str,
        work: impl FnOnce(SocketAddr) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = T>,
    {
        let broken =
            |e: std::io::Error| Failure::harness(check, "a port of this machine", "none can be opened").because(&e);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
        let at = listener.local_addr().map_err(broken)?;
        let serve = async {
            let mut all = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Ok((mut near, _)) = listener.accept() => all.push(async move {
                        let _gone = near.set_nodelay(true);
                        // A connection that cannot be made is closed: the client says what that means to it.
                        if let Ok(mut tube) = self.connect(host, port, check).await {
                            let _ended = tokio::io::copy_bidirectional(&mut near, &mut tube.io).await;
                        }
                    }),
                    Some(()) = all.next(), if !all.is_empty() => {}
                }
            }
        };
        tokio::select! {
            done = work(at) => Ok(done),
            never = serve => never,
        }
    }
}

/// How far a pod is.
fn progress(pod: Option<&Pod>) -> Progress<()> {
    let Some(status) = pod.and_then(|p| p.status.as_ref()) else {
        return Progress::NotYet("there is no pod".to_owned());
    };
    if status.phase.as_deref() == Some("Running") {
        return Progress::Ready(());
    }
    let containers = status.container_statuses.iter().flatten();
    let waiting = containers.filter_map(|c| c.state.as_ref()?.waiting.as_ref()).next();
    let reason =
        waiting.map(|w| format!("{}: {}", w.reason.as_deref().unwrap_or("?"), w.message.as_deref().unwrap_or("")));
    Progress::NotYet(reason.unwrap_or_else(|| status.phase.clone().unwrap_or_default()))
}

/// A connection from the pod.
pub struct Tube {
    /// What is read and written.
    pub(crate) io: Join<Reader, Writer>,
    carrier: Carrier,
}

impl Tube {
    /// The bytes of the connection, and what carries them, which must outlive them.
    pub(crate) fn split(self) -> (Join<Reader, Writer>, Carrier) {
        (self.io, self.carrier)
    }
}

/// The `nc` behind a connection.
pub(crate) struct Carrier {
    stderr: Reader,
    _carrier: streams::Carrier,
}

impl Carrier {
    /// What `nc` said when it ended; empty when it said nothing.
    pub(crate) async fn complaint(mut self) -> String {
        let mut text = Vec::new();
        // Only words: whether they come does not matter.
        let _late = tokio::time::timeout(LAST_WORDS, self.stderr.read_to_end(&mut text)).await;
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

/// What came of asking for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Something answered, with this status.
    Answered(u16),
    /// Nothing did; these are the last words of the connection.
    Nothing(String),
}

impl Probe {
    /// Asks for a page over plain HTTP: whether anything answers at all.
    ///
    /// # Errors
    /// When the API gives no way into the pod.
    pub async fn ask(&self, host: &str, port: u16, path: &str, check: &'static str) -> Result<Asked, Failure> {
        let (io, carrier) = self.connect(host, port, check).await?.split();
        let request = http::Request::get(path).header(http::header::HOST, host);
        let request = request.body(http_body_util::Full::new(hyper::body::Bytes::new()));
        let request = request.map_err(|e| Failure::harness(check, "a request", e.to_string()))?;
        match crate::http::converse(io, request).await {
            Ok(reply) => Ok(Asked::Answered(reply.status.as_u16())),
            Err(e) => {
                let said = carrier.complaint().await;
                Ok(Asked::Nothing(if said.is_empty() { e.to_string() } else { said }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: serde_json::Value) -> Progress<()> {
        progress(Some(&serde_json::from_value(json!({ "status": status })).expect("a pod")))
    }

    #[test]
    fn a_pod_that_waits_says_why() {
        assert!(matches!(seen(json!({ "phase": "Running" })), Progress::Ready(())));
        let waiting = json!({ "reason": "ImagePullBackOff", "message": "toomanyrequests" });
        let status = json!({
            "phase": "Pending",
            "containerStatuses": [{
                "name": "probe", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": { "waiting": waiting },
            }],
        });
        let Progress::NotYet(text) = seen(status) else { panic!("it does not run") };
        assert_eq!(text, "ImagePullBackOff: toomanyrequests");
    }
}
