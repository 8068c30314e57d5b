//! Prices, bills and surveys from an emulated account; what a cluster makes for itself and nobody labels.

use std::sync::Arc;
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::provider::{LeaseRequest, Provider};
use gsh_engine::secret::Secret;
use gsh_engine::sweep::{Which as Sweep, list, sweep};
use gsh_model::axis::Os;
use gsh_model::budget::Shape;
use gsh_providers::{Asked, HetznerConfig, HetznerProvider, Weight, Which};
use gsh_world::World;
use jiff::Timestamp;
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
    Asked { shapes, images: [Os::Ubuntu2204].into(), clusters: 4, servers: 20, hours: 3, budget: None }
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
        let shape = Shape::of(&request.cell, &[], false);
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
async fn a_machine_that_was_replaced_is_charged_too() {
    let fails = "[[hetzner.fault]]\nmethod = 'POST'\npath = '/servers'\nnth = 1\n\
                 effect = { action-fails = { step = 0, code = 'action_failed', message = 'no luck' } }";
    let account = account(fails).await;
    let request = lease::request(1, &[("size", "single")]);
    let quote = account.provider.quote(&cx(), &request.cell, false).await.unwrap().unwrap();
    account.provider.acquire(&cx(), &request).await.expect_err("no machine ever answers");
    assert_eq!(account.names("servers").len(), 1, "the first one is gone");
    let bill = account.provider.meter(&cx(), &request.lease).await.unwrap().unwrap().read(Timestamp::now());
    let mut ids: Vec<u64> = bill.lines.iter().filter(|l| l.kind == "server").map(|l| l.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{bill:?}");
    assert!(bill.lines.iter().all(|l| l.hours == 1 && l.cost.gross > l.cost.net), "{bill:?}");
    assert!(bill.total().gross <= quote.up_to(1).gross, "{bill:?}");
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

/// Rows of a world file that say of a server type or an image that it will go, or has gone. The catalogue itself is of one day.
fn going(at: &str, unavailable_after: &str) -> String {
    let key = at.split('/').nth(1).unwrap_or_default();
    format!(
        "[[hetzner.fault]]\nmethod = 'GET'\npath = '/{key}'\neffect = {{ rewrite = {{ at = '{at}', \
         to = '{{\"announced\":\"2025-10-16T00:00:00Z\",\"unavailable_after\":\"{unavailable_after}\"}}' }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_will_go_is_warned_of_and_one_that_has_gone_is_named_with_what_is_sold() {
    let types = "/server_types/*/locations/0/deprecation";
    // In the first of its locations every type will go, or has gone; in the others nothing is said.
    for (after, weight, says) in [
        ("2126-02-01T00:00:00Z", Weight::Warning, "cx43 will be sold in fsn1 only until 2126-02-01"),
        (
            "2026-01-01T00:00:00Z",
            Weight::Wrong,
            "server type `cx43` is no longer sold in [\"fsn1\"] since 2026-01-01; fit for this: []",
        ),
    ] {
        let account = account(&going(types, after)).await;
        let mut config = account.config.clone();
        config.machines.server_type = Some("cx43".to_owned());
        config.locations = vec!["fsn1".to_owned()];
        let provider = HetznerProvider::new(config.clone()).unwrap();
        let survey = provider.survey(&cx(), &asked(Vec::new())).await;
        let found = survey.findings.iter().find(|f| f.what == "machines" && f.weight == weight);
        assert!(found.is_some_and(|f| f.text == says && f.advice.is_some()), "{survey:?}");
        assert_eq!(survey.blocker().is_some(), weight == Weight::Wrong, "{survey:?}");
        // Per location: elsewhere the same type is sold as ever.
        config.locations = vec!["nbg1".to_owned()];
        let survey = HetznerProvider::new(config).unwrap().survey(&cx(), &asked(Vec::new())).await;
        assert!(survey.findings.iter().all(|f| f.what != "machines" || f.weight == Weight::Good), "{survey:?}");
        assert!(lease::left(&account.cloud).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_had_is_told_before_anything_is_created() {
    // Without a snapshot of the account's own nobody sells this one any more.
    let account = account("snapshot = []\n").await;
    for (images, weight) in
        [(vec![Os::Ubuntu2004], Weight::Wrong), (vec![Os::Ubuntu2004, Os::Ubuntu2204], Weight::Warning)]
    {
        let asked = Asked { images: images.into_iter().collect(), ..asked(Vec::new()) };
        let survey = account.provider.survey(&cx(), &asked).await;
        let found = survey.findings.iter().find(|f| f.what == "image" && f.weight == weight).expect("an image");
        assert!(
            found.text.starts_with("ubuntu-20.04 cannot be had: Hetzner no longer sells it since 2025-"),
            "{found:?}"
        );
        let advice = found.advice.as_deref().unwrap_or_default();
        assert!(advice.contains("gsh.os=ubuntu-20.04") && advice.contains("ubuntu-24.04"), "{found:?}");
        assert_eq!(survey.blocker().is_some(), weight == Weight::Wrong);
    }
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
    let survey = account.provider.survey(&cx(), &asked(vec![Shape::of(&old.cell, &[], false)])).await;
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
