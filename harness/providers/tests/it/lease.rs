//! What all these tests need: a request for a lease, a provider for an emulated account, and quick pauses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::cx::Cx;
use gsh_engine::provider::{LeaseRequest, Site};
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::axis::Cell;
use gsh_model::lease::{LeaseId, RunId};
use gsh_providers::{HetznerConfig, Pace};
use gsh_world::World;
use gsh_world::ports::{MachineOrder, Machines};

/// A context with nobody to stop it.
pub(crate) fn cx() -> Cx {
    Cx::unrecorded(Stop::new(), Duration::from_secs(120))
}

/// A request for the lease of the n-th cell.
pub(crate) fn request(number: usize, axes: &[(&str, &str)]) -> LeaseRequest {
    let mut cell = Cell::default();
    for (axis, value) in axes {
        cell.set(axis.parse().unwrap(), value).unwrap();
    }
    let run: RunId = "r20261123-164638-7f3a".parse().unwrap();
    LeaseRequest {
        lease: LeaseId::new(&run, number, 1),
        run,
        cell_id: cell.id(),
        cell,
        expires: "2126-11-24T00:00:00Z".parse().unwrap(),
        site: Site {
            domain: "site.example".to_owned(),
            node_registry: "reg.site.example:20000".to_owned(),
            ca_pem: Some("-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n".to_owned()),
            cert_pem: String::new(),
            key: Secret::new("site-key", "k"),
        },
    }
}

/// How to reach an emulated account, with pauses that suit it. Capacity is not waited for.
pub(crate) async fn config(world: &World, cloud: &EmuHetzner) -> HetznerConfig {
    let mut config = HetznerConfig::cloud(Secret::new("hcloud-token", cloud.tokens().read_write.clone()));
    config.endpoint = cloud.listen().await.unwrap();
    config.name = "embedded".to_owned();
    config.reach = Reach::with_ports(world.net().moved());
    config.pace = Pace {
        retry: Duration::from_millis(10),
        longest: Duration::from_millis(500),
        look: Duration::from_millis(5),
        look_longest: Duration::from_millis(200),
        ..Pace::default()
    };
    config.patience.actions = Duration::from_secs(20);
    config.patience.boot = Duration::from_secs(30);
    config.patience.ready = Duration::from_secs(30);
    config.patience.capacity = Duration::ZERO;
    config.patience.off = Duration::from_millis(200);
    config
}

/// Everything in an account that was not there from the beginning.
pub(crate) fn left(cloud: &EmuHetzner) -> Vec<String> {
    cloud.inventory().left().into_iter().map(ToString::to_string).collect()
}

/// Machines that never answer: where only the API is of interest.
pub(crate) struct Nobody;

impl Machines for Nobody {
    fn create(&self, _: MachineOrder) {}
    fn power_on(&self, _: u64) {}
    fn power_off(&self, _: u64) {}
    fn set_private(&self, _: u64, _: BTreeMap<u64, Ipv4Addr>) {}
    fn destroy(&self, _: u64) {}
}
