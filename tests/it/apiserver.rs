//! A real `kube-apiserver` with its etcd, where `KUBEBUILDER_ASSETS` names a folder with both: on loopback, RBAC on, with
//! keys of its own, nothing in it, and nobody who works on its objects.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// To start on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often ports are drawn anew when somebody else was quicker.
const DRAWS: usize = 3;

/// A running server; it ends with this.
pub(crate) struct ApiServer {
    folder: TempDir,
    etcd: Child,
    server: Child,
    port: u16,
    said: Said,
}

/// What both programs say, as they say it.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn add(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn last(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.etcd] {
            let _dead = child.start_kill();
            // Killed, it ends at once; the folder goes after it.
            while let Ok(None) = child.try_wait() {
                std::thread::yield_now();
            }
        }
    }
}

/// The folder with the programs; nothing, and why, where there is none.
pub(crate) fn assets() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    folder.filter(|folder| ["kube-apiserver", "etcd"].iter().all(|program| folder.join(program).is_file()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Starts a program and waits until it says a word, or nothing any more.
async fn spawn(program: &Path, args: &[String], word: &str, said: &Said) -> Child {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let heard = line.contains(word);
        said.add(line);
        if heard {
            break;
        }
    }
    let rest = said.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            rest.add(line);
        }
    });
    child
}

impl ApiServer {
    /// Starts both programs and waits until the server says that it is ready.
    pub(crate) async fn start(assets: &Path) -> Self {
        for _draw in 1..DRAWS {
            if let Ok(server) = Self::try_start(assets).await {
                return server;
            }
        }
        Self::try_start(assets).await.unwrap_or_else(|log| panic!("kube-apiserver does not start: {log}"))
    }

    async fn try_start(assets: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let text = |name: &str| at(name).display().to_string();
        let (clients, peers, port) = (free_port(), free_port(), free_port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd: Vec<String> = [
            ("data-dir", text("etcd")),
            ("listen-client-urls", url(clients)),
            ("advertise-client-urls", url(clients)),
            ("listen-peer-urls", url(peers)),
            ("initial-advertise-peer-urls", url(peers)),
            ("initial-cluster", format!("default={}", url(peers))),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .to_vec();
        let said = Said::default();
        let etcd = spawn(&assets.join("etcd"), &etcd, "ready to serve client requests", &said).await;
        std::fs::write(at("tokens"), "administrator,administrator,1,system:masters\n").expect("a file");
        let key = text("keys/apiserver.key");
        let args: Vec<String> = [
            ("etcd-servers", url(clients)),
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            // It makes itself a certificate here, with its authority; the key also signs the tokens of accounts.
            ("cert-dir", text("keys")),
            ("service-account-key-file", key.clone()),
            ("service-account-signing-key-file", key),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("token-auth-file", text("tokens")),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-cluster-ip-range", "10.43.0.0/16".to_owned()),
            // As k3s has it; and the port that Gitpod's registry-facade has on every node.
            ("service-node-port-range", "20000-32767".to_owned()),
            ("allow-privileged", "true".to_owned()),
            // Nobody here gives accounts their tokens, for which it would wait.
            ("disable-admission-plugins", "ServiceAccount".to_owned()),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .to_vec();
        let server = spawn(&assets.join("kube-apiserver"), &args, "Serving securely on", &said).await;
        let mut this = Self { folder, etcd, server, port, said };
        let began = Instant::now();
        loop {
            for child in [&mut this.etcd, &mut this.server] {
                if child.try_wait().expect("its state").is_some() {
                    return Err(this.said.last());
                }
            }
            assert!(began.elapsed() < PATIENCE, "not ready within {PATIENCE:?}: {}", this.said.last());
            // Each look is a request, so this does not spin.
            if this.is_ready().await {
                return Ok(this);
            }
        }
    }

    async fn is_ready(&self) -> bool {
        let Ok(client) = client(&self.kubeconfig()).await else { return false };
        let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
        client.request_text(request).await.is_ok_and(|answer| answer == "ok")
    }

    /// A kubeconfig with this token.
    pub(crate) fn kubeconfig_with(&self, token: &str) -> String {
        let authority = self.folder.path().join("keys/apiserver.crt");
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: '{}'}}\n\
             contexts:\n- name: here\n  context: {{cluster: c, user: u}}\ncurrent-context: here\nusers:\n- name: u\n  user: {{token: '{token}'}}\n",
            self.port,
            authority.display()
        )
    }

    /// The kubeconfig of an administrator.
    pub(crate) fn kubeconfig(&self) -> String {
        self.kubeconfig_with("administrator")
    }

    /// The client of an administrator.
    pub(crate) async fn client(&self) -> kube::Client {
        client(&self.kubeconfig()).await.expect("a client")
    }

    /// The kubeconfig of a service account, with a token that the server signs.
    pub(crate) async fn kubeconfig_of(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let ask = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(ask.to_string().into_bytes()).expect("a request");
        let made: Value = self.client().await.request(request).await.expect("a token");
        self.kubeconfig_with(made["status"]["token"].as_str().expect("a token"))
    }
}

/// A client of what a kubeconfig leads to.
pub(crate) async fn client(kubeconfig: &str) -> Result<kube::Client, Box<dyn std::error::Error>> {
    let config = kube::config::Kubeconfig::from_yaml(kubeconfig)?;
    let options = kube::config::KubeConfigOptions::default();
    Ok(kube::Client::try_from(kube::Config::from_custom_kubeconfig(config, &options).await?)?)
}
