//! How a Kubernetes API is spoken to: the stack that the library builds itself, on connections whose small packets leave at
//! once.
//!
//! The library leaves Nagle's algorithm on. What is spoken through a container comes in small frames, and each second one
//! then waits until the other side's kernel confirms the first: 40 ms, and never less than a round trip.

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use kube::{Config, Error};
use tower::retry::RetryLayer;
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

/// What the library calls its own stack.
pub(crate) type Stack = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// The stack of a configuration, ready for further layers. Through a proxy it is the library's own: its ways of proxying are
/// not open to others, and what a proxy does with small packets nobody here decides.
///
/// # Errors
/// When credentials or certificates of the configuration cannot be used.
pub(crate) fn builder(config: Config) -> Result<ClientBuilder<Stack>, Error> {
    if config.proxy_url.is_some() {
        return ClientBuilder::try_from(config);
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp())?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Http::builder(TokioExecutor::new()).build(connector))
        .map_response(|answer: Response<hyper::body::Incoming>| {
            answer.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
        });
    Ok(ClientBuilder::new(BoxService::new(service), config.default_namespace))
}

/// What connects.
fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_packets_leave_at_once() -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let uri = format!("https://{}", listener.local_addr()?).parse().expect("an address is a URI");
        let stream = tcp().oneshot(uri).await.expect("somebody listens");
        assert!(stream.inner().nodelay()?);
        Ok(())
    }
}
