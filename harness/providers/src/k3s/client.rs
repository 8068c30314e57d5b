//! The Kubernetes client of a cluster of ours: the stack that the library builds itself, on connections whose small packets
//! leave at once.
//!
//! The library leaves Nagle's algorithm on. What is spoken through a container comes in small frames, and each second one
//! then waits until the other side's kernel confirms the first: 40 ms, and never less than a round trip.

use std::time::Duration;

use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::ServiceBuilder;
use tower::retry::RetryLayer;

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
    build(&config).map_err(|e| broken(&e))
}

fn build(config: &kube::Config) -> Result<kube::Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(Http::builder(TokioExecutor::new()).build(connector));
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
