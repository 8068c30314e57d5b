//! The way to a cluster as `kubectl` finds it: a file, `KUBECONFIG` with one file or several, `~/.kube/config`, or the
//! service account of the pod that we run in; contexts, exec plug-ins and proxies as they stand there.

use std::path::PathBuf;

use gsh_engine::failure::chain;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::traffic::{Mode, Traffic};
use crate::connection;

/// How the caller wants it.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// This file instead of what the environment names.
    pub kubeconfig: Option<PathBuf>,
    /// This context instead of the current one.
    pub context: Option<String>,
}

/// Why there is no way to a cluster. None of these needed a network.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No file, and not in a cluster either.
    #[error(
        "there is no kubeconfig: no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and this is no pod of a cluster"
    )]
    None,
    /// No file, and the pod that this runs in has no account that can be used.
    #[error("this is a pod of a cluster, but its service account cannot be used")]
    Pod(#[source] InClusterError),
    /// The file cannot be used.
    #[error("the kubeconfig cannot be used")]
    Unusable(#[source] KubeconfigError),
    /// A context that it does not have.
    #[error("the kubeconfig has no context `{name}`; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownContext {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No context was asked for and the file names none.
    #[error("the kubeconfig names no current context")]
    NoContext,
    /// Credentials or addresses in it cannot be used.
    #[error("the cluster cannot be addressed: {0}")]
    Client(String),
}

/// A way to a cluster.
pub struct Door {
    /// The client; what it sends is watched.
    pub client: Client,
    /// What was sent.
    pub traffic: Traffic,
    /// Where it leads, for messages.
    pub server: String,
    /// Namespace of the context.
    pub namespace: String,
}

/// Finds the way. Sends nothing to the cluster.
///
/// # Errors
/// [`ConnectError`]; each is a matter of configuration.
pub async fn connect(way: &Way, mode: Mode) -> Result<Door, ConnectError> {
    let config = config(way).await?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let traffic = Traffic::new(mode);
    let client = connection::builder(config).map_err(|e| ConnectError::Client(chain(&e)))?.with_layer(&traffic).build();
    Ok(Door { client, traffic, server, namespace })
}

async fn config(way: &Way) -> Result<Config, ConnectError> {
    let read = match &way.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let file = match read {
        Ok(file) => file,
        Err(e) if way.kubeconfig.is_none() && way.context.is_none() && is_absent(&e) => {
            return pod();
        }
        Err(e) => return Err(ConnectError::Unusable(e)),
    };
    let known: Vec<String> = file.contexts.iter().map(|c| c.name.clone()).collect();
    match way.context.as_ref().or(file.current_context.as_ref()) {
        Some(name) if !known.contains(name) => {
            return Err(ConnectError::UnknownContext { name: name.clone(), known });
        }
        None if known.is_empty() && way.kubeconfig.is_none() => {
            return pod();
        }
        None => return Err(ConnectError::NoContext),
        Some(_) => {}
    }
    let options = KubeConfigOptions { context: way.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(file, &options).await.map_err(ConnectError::Unusable)
}

/// The account of the pod that this runs in: Kubernetes says where its API is, the kubelet writes token and certificates.
fn pod() -> Result<Config, ConnectError> {
    Config::incluster().map_err(|e| match e {
        InClusterError::ReadEnvironmentVariable(_) => ConnectError::None,
        unusable => ConnectError::Pod(unusable),
    })
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(e, _) => e.kind() == std::io::ErrorKind::NotFound,
        _there_but_wrong => false,
    }
}
