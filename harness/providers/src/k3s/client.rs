//! The Kubernetes client of a cluster of ours.

use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::connection;

/// A client from a kubeconfig, without any proxy and without looking at the runner's own settings.
///
/// # Errors
/// When the kubeconfig cannot be used.
pub async fn client(kubeconfig: &Secret) -> Result<kube::Client, Failure> {
    // The errors of the library name fields, never their content.
    let broken = |e: &(dyn std::error::Error + 'static)| {
        Failure::environment("GSH-K3S-001", "a usable kubeconfig", "it cannot be used").because(e)
    };
    let parsed = Kubeconfig::from_yaml(kubeconfig.expose()).map_err(|e| broken(&e))?;
    let mut config =
        kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.map_err(|e| broken(&e))?;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.proxy_url = None;
    Ok(connection::builder(config).map_err(|e| broken(&e))?.build())
}
