//! Prices, bills and surveys from an emulated account; what a cluster makes for itself and nobody labels; and random
//! trouble for two runs in one account at a time.

use std::sync::Arc;
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::provider::{LeaseRequest, Provider};
use gsh_engine::secret::Secret;
use gsh_engine::sweep::{Which as Sweep, list, sweep};
use gsh_model::budget::Shape;
use gsh_model::lease::{LeaseId, RunId};
use gsh_providers::{Asked, HetznerConfig, HetznerProvider, Weight, Which};
use gsh_world::World;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::lease::{self, Nobody, cx};

struct Account {
    cloud: EmuHetzner,
    config: HetznerConfig,
    provider: HetznerProvider,
}

async fn account(hetzner: &str) -> Account {
    let world = World::new(format!("[hetzner]\n{hetzner}").parse().unwrap()).await.unwrap();
    let cloud = EmuHetzner::new(world.clone(), Arc::new(Nobody));
    let mut config = lease::config(&world, &cloud).await;
    config.patience.answer = Duration::from_millis(500);
    config.patience.boot = Duration::from_millis(50);
    config.patience.ready = Duration::from_millis(50);
    let provider = HetznerProvider::new(config.clone()).unwrap();
    Account { cloud, config, provider }
}

impl Account {
    /// Asks the API as somebody else would.
    async fn api(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .request(method, format!("{}{path}", self.config.endpoint))
            .bearer_auth(&self.cloud.tokens().read_write)
            .json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = self.cloud.inventory().of_kind(kind).iter().map(|i| i.name.clone()).collect();
        names.sort();
        names
    }

    fn id(&self, kind: &str, name: &str) -> u64 {
        self.cloud.inventory().of_kind(kind).iter().find(|i| i.name == name).map(|i| i.id).unwrap()
    }
}

fn asked(shapes: Vec<Shape>) -> Asked {
    Asked { shapes, clusters: 4, servers: 20, hours: 3, budget: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lease_has_cost_is_never_more_than_it_was_said_to_cost_at_most() {
    let account = account("").await;
    for (n, axes) in [[("size", "single")], [("size", "small")], [("size", "medium")]].iter().enumerate() {
        let request = lease::request(n, axes);
        let quote = account.provider.quote(&cx(), &request.cell, false).await.unwrap().unwrap();
        account.provider.acquire(&cx(), &request).await.expect_err("no machine ever answers");
        let meter = account.provider.meter(&cx(), &request.lease).await.unwrap().unwrap();
        let bill = meter.read(Timestamp::now());
        let shape = Shape::of(&request.cell, false);
        let count = |kind: &str| bill.lines.iter().filter(|l| l.kind == kind).count();
        assert_eq!(count("load-balancer"), shape.balancers as usize, "{bill:?}");
        assert_eq!((count("server"), count("primary-ip")), (shape.servers() as usize, shape.servers() as usize));
        assert!(bill.lines.iter().all(|l| l.hours == 1 && l.cost.gross > l.cost.net), "{bill:?}");
        assert_eq!(bill.total(), account.provider.prices(&cx(), Which::First).await.unwrap().lease(shape).expected(1));
        assert!(bill.total().gross <= quote.up_to(1).gross, "{bill:?}");
        account.provider.release(&cx(), &request.lease).await.unwrap();
        assert_eq!(account.provider.meter(&cx(), &request.lease).await.unwrap().unwrap().things, []);
    }
    assert!(lease::left(&account.cloud).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_only_read_is_noticed_before_anything_is_created() {
    let account = account("").await;
    let mut config = account.config.clone();
    config.token = Secret::new("hcloud-token", account.cloud.tokens().read_only.clone());
    let survey = HetznerProvider::new(config).unwrap().survey(&cx(), &asked(Vec::new())).await;
    let blocker = survey.blocker().expect("it cannot begin");
    assert_eq!((blocker.what.as_str(), blocker.weight), ("token", Weight::Wrong));
    assert_eq!(blocker.text, "the token may only read");
    assert!(lease::left(&account.cloud).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_tells_what_is_not_ours_and_what_has_expired_and_changes_nothing() {
    let account = account("").await;
    account.api(reqwest::Method::POST, "/networks", json!({"name": "theirs", "ip_range": "10.0.0.0/16"})).await;
    let old =
        LeaseRequest { expires: "2020-01-01T00:00:00Z".parse().unwrap(), ..lease::request(1, &[("size", "single")]) };
    account.provider.acquire(&cx(), &old).await.expect_err("no machine ever answers");
    let before = lease::left(&account.cloud);
    let survey = account.provider.survey(&cx(), &asked(vec![Shape::of(&old.cell, false)])).await;
    assert_eq!(survey.blocker(), None, "{survey:?}");
    let warnings: Vec<&str> =
        survey.findings.iter().filter(|f| f.weight == Weight::Warning).map(|f| f.text.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "1 things in this project are not gsh's; they are never touched",
            "4 things of earlier runs have expired and still cost money"
        ]
    );
    assert_eq!(lease::left(&account.cloud), before);

    let expired = list(&cx(), &account.provider, &Sweep::ExpiredAt(Timestamp::now())).await.unwrap();
    let swept = sweep(&cx(), &account.provider, expired).await;
    assert!(swept.iter().all(|s| s.result.is_ok()) && swept.len() == 1, "{swept:?}");
    assert_eq!(account.names("networks"), ["theirs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_made_for_itself_goes_with_it_and_what_somebody_else_attached_stays() {
    let account = account("").await;
    let request = lease::request(1, &[("size", "single")]);
    account.provider.acquire(&cx(), &request).await.expect_err("no machine ever answers");
    let lease = &request.lease;
    let network = account.id("networks", &format!("{lease}-net"));
    let server = account.id("servers", &format!("{lease}-manager-1"));
    let post = reqwest::Method::POST;
    let grown = json!({"name": "pool-1f", "server_type": "cx23", "image": "ubuntu-22.04", "location": "nbg1",
        "networks": [network], "labels": {"hcloud/node-group": "pool"}});
    account.api(post.clone(), "/servers", grown).await;
    let bystander = json!({"name": "bystander", "server_type": "cx23", "image": "ubuntu-22.04", "location": "nbg1"});
    account.api(post.clone(), "/servers", bystander).await;
    let balancer = json!({"name": "a5f0", "load_balancer_type": "lb11", "location": "nbg1", "network": network,
        "labels": {"hcloud-ccm/service-uid": "5f0"}});
    account.api(post.clone(), "/load_balancers", balancer).await;
    for (name, labels) in [("pvc-77", json!({"managed-by": "csi-driver"})), ("diary", json!({}))] {
        let volume = json!({"name": name, "size": 10, "server": server, "labels": labels});
        account.api(post.clone(), "/volumes", volume).await;
    }

    let released = account.provider.release(&cx(), lease).await.unwrap();
    let removed: Vec<&str> = released.removed.iter().map(|r| r.name.as_str()).collect();
    for name in ["pool-1f", "a5f0", "pvc-77"] {
        assert!(removed.contains(&name), "{removed:?}");
    }
    assert_eq!(account.names("servers"), ["bystander"]);
    assert_eq!(account.names("volumes"), ["diary"], "nothing says that the cluster made it");
    assert_eq!(account.names("load_balancers"), [""; 0]);
    assert_eq!(account.names("networks"), [""; 0]);
    let volume = released.removed.iter().find(|r| r.name == "pvc-77").unwrap();
    assert_eq!(volume.kind, "volume");
}

/// Requests of the provider that trouble can strike.
const STRUCK: [(&str, &str); 9] = [
    ("POST", "/servers"),
    ("POST", "/networks"),
    ("POST", "/load_balancers"),
    ("GET", "/servers"),
    ("GET", "/actions"),
    ("DELETE", "/servers/*"),
    ("DELETE", "/networks/*"),
    ("DELETE", "/load_balancers/*"),
    ("DELETE", "/firewalls/*"),
];

/// A fault script with some rows of everything.
fn script(dice: &mut StdRng) -> String {
    let mut text = "rate-limit = 3600\n".to_owned();
    for _ in 0..dice.random_range(1..6) {
        let (method, path) = STRUCK[dice.random_range(0..STRUCK.len())];
        let effect = match dice.random_range(0..4) {
            0 => "\"reset\"",
            1 => "{ truncate = 20 }",
            2 => "{ refuse = { status = 409, code = \"conflict\" } }",
            _ => "{ refuse = { status = 502, code = \"bad_gateway\" } }",
        };
        let when = if dice.random_bool(0.5) { "before" } else { "after" };
        let nth = dice.random_range(1..5);
        text.push_str(&format!(
            "[[hetzner.fault]]\nmethod = \"{method}\"\npath = \"{path}\"\nnth = {nth}\nwhen = \"{when}\"\n\
             effect = {effect}\n"
        ));
    }
    text
}

/// The smaller companion of `harness/engine/tests/schedules.rs`: here the requests and the faults are real ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_in_one_account_with_random_trouble_leave_nothing_and_stay_below_the_limit() {
    for seed in 0..24 {
        let dice = &mut StdRng::seed_from_u64(seed);
        let script = script(dice);
        let account = account(&script).await;
        let run = |id: &str, size: &str| {
            let run: RunId = id.parse().unwrap();
            let request = lease::request(1, &[("size", size)]);
            LeaseRequest { lease: LeaseId::new(&run, 1, 1), run, ..request }
        };
        let sizes = ["single", "small"];
        let one = run("r20261123-1-7f3a", sizes[dice.random_range(0..2)]);
        let two = run("r20261123-1-8b4c", sizes[dice.random_range(0..2)]);
        let other = HetznerProvider::new(account.config.clone()).unwrap();
        let (a, b) = (cx(), cx());
        let _failed = tokio::join!(account.provider.acquire(&a, &one), other.acquire(&b, &two));

        let theirs = |run: &LeaseRequest| {
            let inventory = account.cloud.inventory();
            let of_run = |i: &&&gsh_emu_hetzner::Item| i.labels.values().any(|v| v == run.run.as_str());
            inventory.left().iter().filter(of_run).count()
        };
        let before = theirs(&two);
        account.provider.release(&cx(), &one.lease).await.unwrap_or_else(|e| panic!("{script}\n{:?}", e.failure));
        assert_eq!(theirs(&one), 0, "{script}");
        assert_eq!(theirs(&two), before, "the other run was touched: {script}");
        other.release(&cx(), &two.lease).await.unwrap_or_else(|e| panic!("{script}\n{:?}", e.failure));
        let left = lease::left(&account.cloud);
        assert!(left.is_empty(), "{left:?} after {script}");
        let refused = account.cloud.requests().iter().filter(|r| r.status == 429).count();
        assert_eq!(refused, 0, "{script}");
    }
}
