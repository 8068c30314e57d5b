//! What the engine's tests are lent: a cluster that nobody can reach, and an installation on it, with nothing inside.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use gsh_engine::installer::{Installation, WsmanCredentials};
use gsh_engine::provider::{Cluster, Node, NodeRole, Site, Stores};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_model::lease::LeaseId;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A cluster whose API answers every request with an error.
pub(crate) fn cluster(lease: &LeaseId, nodes: Vec<Node>) -> Cluster {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(io::Error::other("no cluster in this test"))
    });
    Cluster {
        lease: lease.clone(),
        nodes,
        ingress: HERE,
        ingress_inside: HERE,
        kube: kube::Client::new(service, "default"),
        kubeconfig: Secret::new("kubeconfig", "none"),
        stores: Stores::default(),
        reach: Reach::direct(),
    }
}

/// A node to which nobody can log in.
pub(crate) fn node(name: String) -> Node {
    Node { name, role: NodeRole::Worker, public: HERE, private: None, login: None, inspect: None }
}

/// A site of the lease.
pub(crate) fn site(lease: &LeaseId) -> Site {
    Site {
        domain: format!("{lease}.test"),
        node_registry: format!("reg.{lease}.test:20000"),
        ca_pem: None,
        cert_pem: String::new(),
        key: Secret::new("site key", "none"),
    }
}

/// An installation of a site in a namespace.
pub(crate) fn installation(namespace: String, site: &Site) -> Installation {
    Installation {
        namespace,
        domain: site.domain.clone(),
        version: "2022.11.3".to_owned(),
        ca_pem: None,
        gateway_host_key: None,
        workspace_image: String::new(),
        ide_image: String::new(),
        wsman: WsmanCredentials { ca: String::new(), cert: String::new(), key: Secret::new("client key", "none") },
    }
}
