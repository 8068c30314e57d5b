//! Plays one case of the fault matrix: a job of the provider with one fault at one place. Whatever happens, in the end the
//! account is empty, and no fault of the cloud is the product's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_emu_host::EmuHosts;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{LeaseRequest, Provider};
use gsh_engine::stop::Stop;
use gsh_model::axis::Os;
use gsh_model::event::StopReason;
use gsh_model::outcome::Blame;
use gsh_providers::{Asked, HetznerConfig, HetznerProvider, Pace, WarmStart, Weight};
use gsh_world::World;
use gsh_world::ports::{MachineOrder, Machines};
use gsh_world::spec::WorldSpec;
use jiff::Timestamp;
use serde_json::json;

use crate::fault_sites::{Site, Step};
use crate::lease::{self, Nobody};
use crate::machines::{Late, Told};

/// How far an order gets where no machine ever answers.
const ORDERED: &str = "GSH-NODE-001";

/// How far a warm start gets: when its first node is ordered all is decided, and it is stopped.
const DECIDED: &str = "stopped";

/// Machines of which only the builder of a snapshot ever boots. The order of any other one stops the run.
struct Builders {
    hosts: Late,
    builders: Mutex<BTreeSet<u64>>,
    stop: Stop,
}

impl Builders {
    fn has(&self, id: u64) -> bool {
        self.builders.lock().unwrap().contains(&id)
    }
}

impl Machines for Builders {
    fn create(&self, order: MachineOrder) {
        if order.name.ends_with("-builder") {
            self.builders.lock().unwrap().insert(order.id);
            self.hosts.create(order);
        } else {
            self.stop.first(StopReason::Signal);
        }
    }
    fn power_on(&self, id: u64) {
        if self.has(id) {
            self.hosts.power_on(id);
        }
    }
    fn power_off(&self, id: u64) {
        if self.has(id) {
            self.hosts.power_off(id);
        }
    }
    fn set_private(&self, id: u64, private: BTreeMap<u64, Ipv4Addr>) {
        if self.has(id) {
            self.hosts.set_private(id, private);
        }
    }
    fn destroy(&self, id: u64) {
        if self.has(id) {
            self.hosts.destroy(id);
        }
    }
}

/// What came of a case.
pub(crate) struct Played {
    /// As in the table; of the step that makes the call.
    pub(crate) outcome: String,
    /// Requests that the place made during that step, and those of them that were struck.
    pub(crate) seen: u32,
    pub(crate) struck: u32,
    /// Everything that must never be.
    pub(crate) wrong: Vec<String>,
    /// All requests, as method and path with query.
    pub(crate) requests: Vec<(String, String)>,
}

/// An account, a provider for it, and a fault that is about to strike.
struct Stage {
    world: World,
    cloud: EmuHetzner,
    provider: HetznerProvider,
    request: LeaseRequest,
    cx: Cx,
    fault: WorldSpec,
    wrong: Vec<String>,
    /// Which requests were the test's own.
    own: Range<usize>,
}

/// The row of the fault script for a place.
pub(crate) fn script(site: &Site, strikes: &str, effect: &str) -> WorldSpec {
    let Site { method, path, query, body, .. } = site;
    let fault = format!(
        "[[hetzner.fault]]\nname = 'case'\nmethod = '{method}'\npath = '{path}'\nquery = '{query}'\nbody = '{body}'\n\
         {strikes}\neffect = {effect}",
    );
    fault.parse().unwrap_or_else(|e| panic!("{e}\n{fault}"))
}

/// Short pauses, four tries.
pub(crate) fn hurried(config: &mut HetznerConfig, answer: Duration) {
    config.pace = Pace {
        retry: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        tries: 4,
        look: Duration::from_millis(2),
        look_longest: Duration::from_millis(20),
    };
    config.patience.answer = answer;
    config.patience.actions = answer + Duration::from_millis(700);
    config.patience.off = Duration::from_millis(30);
}

impl Stage {
    async fn new(site: &Site, fault: WorldSpec, answer: Duration) -> Self {
        let warm = site.step == Step::Warm;
        let world = World::new(site.world.parse().unwrap()).await.unwrap();
        let stop = Stop::new();
        let late = Arc::new(Builders { hosts: Late::default(), builders: Mutex::default(), stop: stop.clone() });
        let machines: Arc<dyn Machines> = if warm { late.clone() } else { Arc::new(Nobody) };
        let cloud = EmuHetzner::new(world.clone(), machines);
        let mut config = lease::config(&world, &cloud).await;
        hurried(&mut config, answer);
        if warm {
            assert!(late.hosts.0.set(Arc::new(EmuHosts::new(world.clone(), Arc::new(Told::default())))).is_ok());
            config.warm = WarmStart::On;
            config.patience.snapshot = answer;
        } else {
            config.patience.boot = Duration::from_millis(1);
        }
        let provider = HetznerProvider::new(config).unwrap();
        let request = lease::request(1, site.axes);
        let cx = Cx::unrecorded(stop, Duration::from_secs(120));
        Self { world, cloud, provider, request, cx, fault, wrong: Vec::new(), own: 0..0 }
    }

    fn begin(&self) {
        self.fault.hetzner.fault.iter().cloned().for_each(|row| self.cloud.add_fault(row));
    }

    fn count(&self) -> (u32, u32) {
        self.cloud.faults().into_iter().find(|f| f.name == "case").map_or((0, 0), |f| (f.seen, f.struck))
    }

    fn judge(&mut self, step: &str, failure: &Failure) -> String {
        if failure.blame == Blame::Product || failure.stopped {
            self.wrong.push(format!("{step} blames {:?}: {failure}", failure.blame));
        }
        failure.finding.check.as_str().to_owned()
    }

    /// Everything that a lease, a run or a survey could have left.
    fn ours(&self) -> Vec<String> {
        let items = self.cloud.inventory().items.into_iter();
        let ours = items
            .filter(|i| (!i.stock || i.labels.contains_key("gsh-lease")) && !i.labels.contains_key("gsh-snapshot"));
        ours.map(|i| i.to_string()).collect()
    }

    fn snapshots(&self) -> usize {
        self.cloud.inventory().items.iter().filter(|i| i.labels.contains_key("gsh-snapshot")).count()
    }

    async fn acquire(&mut self) -> String {
        let acquired = match self.provider.acquire(&self.cx, &self.request).await {
            Ok(_) => "a cluster that nobody made".to_owned(),
            Err(failure) if failure.stopped => DECIDED.to_owned(),
            Err(failure) => self.judge("acquire", &failure),
        };
        match acquired.as_str() {
            ORDERED => "ok".to_owned(),
            DECIDED if self.snapshots() == 1 => "ok".to_owned(),
            DECIDED => "image".to_owned(),
            _ => acquired,
        }
    }

    /// What an autoscaler, a cloud controller and a CSI driver would have made.
    async fn make_inside(&mut self) {
        let before = self.cloud.requests().len();
        let id = |kind: &str| self.cloud.inventory().of_kind(kind).first().map(|i| i.id);
        let (Some(network), Some(server)) = (id("networks"), id("servers")) else { return };
        let grown = json!({"name": "pool-1f", "server_type": "cx23", "image": "ubuntu-22.04", "location": "nbg1",
            "networks": [network], "labels": {"hcloud/node-group": "pool"}});
        let balancer = json!({"name": "a5f0", "load_balancer_type": "lb11", "location": "nbg1", "network": network,
            "labels": {"hcloud-ccm/service-uid": "5f0"}});
        let volume = json!({"name": "pvc-77", "size": 10, "server": server, "labels": {"managed-by": "csi-driver"}});
        for (path, body) in [("/servers", grown), ("/load_balancers", balancer), ("/volumes", volume)] {
            let (status, answer) = self.cloud.ask("POST", path, &body.to_string()).await;
            assert_eq!(status, 201, "{answer}");
        }
        self.own = before..self.cloud.requests().len();
    }

    /// Ends with an account that holds nothing of ours; says so where it does.
    async fn end(mut self, outcome: String, (seen, struck): (u32, u32)) -> Played {
        self.cloud.clear_faults();
        // What could not be removed can be once the trouble is over.
        if let Err(e) = self.provider.release(&lease::cx(), &self.request.lease).await {
            self.wrong.push(format!("it cannot even be released afterwards: {}", e.failure));
        }
        let left = self.ours();
        if !left.is_empty() {
            self.wrong.push(format!("left: {left:?}"));
        }
        let requests = self.cloud.requests().into_iter().enumerate().filter(|(n, _)| !self.own.contains(n));
        let requests = requests.map(|(_, line)| (line.method, line.path)).collect();
        let wrong = std::mem::take(&mut self.wrong);
        drop(self.provider);
        self.world.end().await;
        Played { outcome, seen, struck, wrong, requests }
    }
}

/// Plays a case at a place of any step but [`Step::Grow`], which [`super::fault_grow`] plays.
pub(crate) async fn play(site: &Site, strikes: &str, effect: &str, answer: Duration) -> Played {
    let mut stage = Stage::new(site, script(site, strikes, effect), answer).await;
    match site.step {
        Step::Survey => return survey(stage).await,
        Step::Snapshots => return snapshots(stage).await,
        Step::Acquire | Step::Warm => {
            stage.begin();
            let outcome = stage.acquire().await;
            let count = stage.count();
            if stage.snapshots() > 1 {
                stage.wrong.push(format!("{} snapshots", stage.snapshots()));
            }
            return stage.end(outcome, count).await;
        }
        Step::Grow | Step::Price | Step::Meter | Step::Release | Step::Find => {}
    }
    let acquired = stage.acquire().await;
    if acquired != "ok" {
        stage.wrong.push(format!("acquire ends with {acquired}"));
    }
    if [crate::fault_sites::Calls::Inside, crate::fault_sites::Calls::Label].contains(&site.calls) {
        stage.make_inside().await;
    }
    if site.step == Step::Find
        && let Err(e) = stage.provider.release(&stage.cx, &stage.request.lease).await
    {
        stage.wrong.push(format!("release ends with {}", e.failure));
    }
    stage.begin();
    let lease = stage.request.lease.clone();
    let failure = match site.step {
        Step::Release => stage.provider.release(&stage.cx, &lease).await.map_err(|e| e.failure).err(),
        Step::Meter => stage.provider.meter(&stage.cx, &lease).await.err(),
        _ => match stage.provider.find(&stage.cx, None).await {
            Ok(found) if found.len() != usize::from(site.step == Step::Price) => {
                stage.wrong.push(format!("found {found:?}"));
                None
            }
            Ok(_) => None,
            Err(failure) => Some(failure),
        },
    };
    let outcome = match &failure {
        None => "ok".to_owned(),
        Some(failure) => stage.judge("it", failure),
    };
    let count = stage.count();
    if site.step == Step::Release && failure.is_none() && !stage.ours().is_empty() {
        let there = stage.ours();
        stage.wrong.push(format!("the release says that all is gone, but there is {there:?}"));
    }
    stage.end(outcome, count).await
}

async fn survey(stage: Stage) -> Played {
    stage.begin();
    let budget = Some("1000.00".parse().unwrap());
    let asked =
        Asked { shapes: Vec::new(), images: [Os::Ubuntu2204].into(), clusters: 4, servers: 20, hours: 3, budget };
    let seen = stage.provider.survey(&stage.cx, &asked).await;
    let outcome = match seen.blocker().map(|b| b.weight) {
        None => "ok",
        Some(Weight::Wrong) => "wrong",
        Some(_) => "unclear",
    };
    let count = stage.count();
    stage.end(outcome.to_owned(), count).await
}

async fn snapshots(mut stage: Stage) -> Played {
    stage.begin();
    let removed = async {
        for snapshot in stage.provider.expired_snapshots(&stage.cx, Timestamp::now()).await? {
            stage.provider.remove_snapshot(&stage.cx, &snapshot).await?;
        }
        Ok::<(), Failure>(())
    };
    let removed = removed.await;
    let count = stage.count();
    let outcome = match removed {
        Ok(()) => "ok".to_owned(),
        Err(failure) => stage.judge("removal of a snapshot", &failure),
    };
    if outcome == "ok" && stage.snapshots() > 0 {
        stage.wrong.push("the snapshot is still there".to_owned());
    }
    if !stage.cloud.inventory().items.iter().any(|i| i.labels.contains_key("gsh.os")) {
        stage.wrong.push("snapshots of others were removed".to_owned());
    }
    stage.end(outcome, count).await
}
