//! The parts of the API's answers that are needed, read leniently: unknown fields and unknown words are no error, what may
//! be null may be absent, and nothing is required that is not used.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

use super::prices::Money;

/// One page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    pub(crate) pagination: Option<Pagination>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pagination {
    pub(crate) next_page: Option<u32>,
}

/// The error envelope.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) error: EnvelopeError,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EnvelopeError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
}

/// What every resource has.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Thing {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) server_type: Option<Priced>,
    #[serde(default)]
    pub(crate) load_balancer_type: Option<Priced>,
    #[serde(default)]
    pub(crate) location: Option<Named>,
    /// GB, of a volume.
    #[serde(default)]
    pub(crate) size: Option<Number>,
    /// GB, of a snapshot.
    #[serde(default)]
    pub(crate) image_size: Option<Number>,
    /// `ipv4` or `ipv6`, of a primary address; other kinds have other words here.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    /// What is in a network, or attached to a server.
    #[serde(default)]
    pub(crate) servers: Vec<u64>,
    #[serde(default)]
    pub(crate) load_balancers: Vec<u64>,
    #[serde(default)]
    pub(crate) volumes: Vec<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) id: u64,
}

/// Something sold at a price per location.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Priced {
    #[serde(default)]
    pub(crate) prices: Vec<Price>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Price {
    pub(crate) location: String,
    #[serde(default)]
    pub(crate) price_hourly: Option<Money>,
    pub(crate) price_monthly: Money,
}

impl Price {
    /// Net euro cents per month, rounded.
    pub(crate) fn cents(&self) -> Option<u64> {
        Some(self.price_monthly.amount()?.net.cents())
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Server {
    pub(crate) id: u64,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) public_net: PublicNet,
    #[serde(default)]
    pub(crate) private_net: Vec<PrivateNet>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublicNet {
    pub(crate) ipv4: Option<Address>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Address {
    pub(crate) ip: std::net::IpAddr,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PrivateNet {
    pub(crate) network: u64,
    pub(crate) ip: std::net::IpAddr,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) public_net: PublicNet,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Action {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) error: Option<ActionError>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ActionError {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServerType {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) cores: u32,
    /// GB.
    #[serde(default)]
    pub(crate) memory: f64,
    /// GB.
    #[serde(default)]
    pub(crate) disk: f64,
    #[serde(default)]
    pub(crate) architecture: String,
    /// `shared` or `dedicated`.
    #[serde(default)]
    pub(crate) cpu_type: String,
    /// Of the type everywhere, as it was told before there was one per location.
    #[serde(default)]
    pub(crate) deprecation: Option<Deprecation>,
    #[serde(default)]
    pub(crate) prices: Vec<Price>,
    #[serde(default)]
    pub(crate) locations: Vec<TypeLocation>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TypeLocation {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) available: Option<bool>,
    #[serde(default)]
    pub(crate) deprecation: Option<Deprecation>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Deprecation {
    #[serde(default)]
    pub(crate) unavailable_after: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LoadBalancerType {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) deprecation: Option<Deprecation>,
    #[serde(default)]
    pub(crate) max_services: u32,
    #[serde(default)]
    pub(crate) max_targets: u32,
    #[serde(default)]
    pub(crate) prices: Vec<Price>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Location {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) network_zone: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Image {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) architecture: String,
    /// GB that a machine's disk must have at least.
    #[serde(default)]
    pub(crate) disk_size: f64,
    #[serde(default)]
    pub(crate) created: Option<jiff::Timestamp>,
    /// The server that it is a snapshot of.
    #[serde(default)]
    pub(crate) created_from: Option<Numbered>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) deprecation: Option<Deprecation>,
    /// When its end was announced: all that was told before there was `deprecation`, and to be dropped from the API.
    #[serde(default)]
    pub(crate) deprecated: Option<jiff::Timestamp>,
}
