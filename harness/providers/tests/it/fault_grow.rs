//! Plays the cases of the fault matrix that strike while a node is added: one cluster for all cases at a place, because a
//! cluster takes a second to make and a node hardly any time. Grown nodes are ordered and never boot.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsh_emu_cluster::EmuClusters;
use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::cx::Cx;
use gsh_engine::provider::Provider;
use gsh_model::lease::LeaseId;
use gsh_model::outcome::Blame;
use gsh_providers::HetznerProvider;
use gsh_world::World;
use gsh_world::ports::{MachineOrder, Machines};
use gsh_world::spec::WorldSpec;

use crate::fault_play::{Played, hurried, script};
use crate::fault_sites::{Calls, Site};
use crate::lease;

/// Servers of one placement group: a further one is made for the eleventh.
const GROUP: usize = 10;

/// Machines of which some stay off.
struct FirstOnly {
    hosts: EmuHosts,
    known: Mutex<Vec<u64>>,
}

impl FirstOnly {
    fn known(&self, id: u64) -> bool {
        self.known.lock().unwrap().contains(&id)
    }
}

impl Machines for FirstOnly {
    fn create(&self, order: MachineOrder) {
        if !order.name.contains("-node-") {
            self.known.lock().unwrap().push(order.id);
            self.hosts.create(order);
        }
    }
    fn power_on(&self, id: u64) {
        if self.known(id) {
            self.hosts.power_on(id);
        }
    }
    fn power_off(&self, id: u64) {
        if self.known(id) {
            self.hosts.power_off(id);
        }
    }
    fn set_private(&self, id: u64, private: BTreeMap<u64, Ipv4Addr>) {
        if self.known(id) {
            self.hosts.set_private(id, private);
        }
    }
    fn destroy(&self, id: u64) {
        if self.known(id) {
            self.hosts.destroy(id);
        }
    }
}

/// A cluster that can grow.
pub(crate) struct Growing {
    site: &'static Site,
    world: World,
    cloud: EmuHetzner,
    provider: HetznerProvider,
    cx: Cx,
    lease: LeaseId,
    /// Servers that were put into placement groups so far.
    placed: usize,
}

impl Growing {
    pub(crate) async fn new(site: &'static Site, answer: Duration) -> Self {
        let mut spec: WorldSpec = site.world.parse().unwrap();
        spec.hetzner.fault.clear();
        let world = World::new(spec).await.unwrap();
        let clusters = Arc::new(EmuClusters::new(world.clone(), Vec::new()));
        let hosts = EmuHosts::new(world.clone(), clusters);
        let machines = FirstOnly { hosts, known: Mutex::default() };
        let cloud = EmuHetzner::new(world.clone(), Arc::new(machines));
        let mut config = lease::config(&world, &cloud).await;
        hurried(&mut config, answer);
        let provider = HetznerProvider::new(config).unwrap();
        let request = lease::request(1, &[]);
        let cx = Cx::unrecorded(gsh_engine::stop::Stop::new(), Duration::from_secs(600));
        let made = provider.acquire(&cx, &request).await;
        made.unwrap_or_else(|e| panic!("{e}\n{:#?}", world.log().lines()));
        Self { site, world, cloud, provider, cx, lease: request.lease, placed: 1 }
    }

    /// Adds a node with a fault at the place, and says what came of it.
    pub(crate) async fn play(&mut self, strikes: &str, effect: &str) -> Played {
        let mut wrong = Vec::new();
        self.cloud.clear_faults();
        if self.site.calls == Calls::Make {
            // To where the next node needs a further group.
            while !self.placed.is_multiple_of(GROUP) {
                self.grow(&mut wrong).await;
            }
        }
        // A subnet has room for some two hundred machines; what the cases before have left would fill it.
        self.shrink().await;
        let before = self.cloud.requests().len();
        let spec: WorldSpec = self.site.world.parse().unwrap();
        for row in spec.hetzner.fault.into_iter().chain(script(self.site, strikes, effect).hetzner.fault) {
            self.cloud.add_fault(row);
        }
        let outcome = self.grow(&mut wrong).await;
        let counted = self.cloud.faults().into_iter().find(|f| f.name == "case");
        let (seen, struck) = counted.map_or((0, 0), |f| (f.seen, f.struck));
        let requests = self.cloud.requests().into_iter().skip(before).map(|line| (line.method, line.path)).collect();
        Played { outcome, seen, struck, wrong, requests }
    }

    /// Removes grown nodes, as somebody else would.
    async fn shrink(&self) {
        let servers = self.cloud.inventory();
        for node in servers.of_kind("servers").into_iter().filter(|s| s.name.contains("-node-")) {
            // A case whose fault hid the answer of a create leaves a server that is still being made, and locked as long.
            loop {
                let (status, answer) = self.cloud.ask("DELETE", &format!("/servers/{}", node.id), "").await;
                if status == 200 {
                    break;
                }
                assert_eq!(status, 423, "{answer}");
                tokio::task::yield_now().await;
            }
        }
    }

    async fn grow(&mut self, wrong: &mut Vec<String>) -> String {
        match self.provider.grow(&self.cx, &self.lease).await {
            Ok(_) => {
                self.placed += 1;
                "ok".to_owned()
            }
            Err(failure) => {
                if failure.blame == Blame::Product || failure.stopped {
                    wrong.push(format!("grow blames {:?}: {failure}", failure.blame));
                }
                // A machine that never came to run has taken its place in a group all the same; without a group it has none.
                if self.site.calls != Calls::Make {
                    self.placed += 1;
                }
                failure.finding.check.as_str().to_owned()
            }
        }
    }

    /// The end of the lease, whatever its nodes went through. Says what is left.
    pub(crate) async fn end(self) -> Vec<String> {
        self.cloud.clear_faults();
        let mut wrong = Vec::new();
        if let Err(e) = self.provider.release(&self.cx, &self.lease).await {
            wrong.push(format!("the cluster that grew cannot be released: {}", e.failure));
        }
        let left = lease::left(&self.cloud);
        if !left.is_empty() {
            wrong.push(format!("left of the cluster that grew: {left:?}"));
        }
        drop(self.provider);
        self.world.end().await;
        wrong
    }
}
