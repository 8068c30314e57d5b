//! The provider against the emulated cloud, with no machines behind it: orders, lost answers, shortages, stops; and that a
//! release leaves nothing, whatever happened before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gsh_emu_hetzner::EmuHetzner;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{LeaseRequest, Origin, Provider, S3Store, Stores};
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::axis::Cell;
use gsh_model::outcome::Blame;
use gsh_providers::{HetznerConfig, HetznerProvider, MachineChoice};
use gsh_world::World;
use serde_json::{Value, json};

use crate::lease::{self, Nobody};

struct Account {
    world: World,
    cloud: EmuHetzner,
    provider: HetznerProvider,
    stop: Stop,
    request: LeaseRequest,
}

async fn account(hetzner: &str, axes: &[(&str, &str)]) -> Account {
    account_with(hetzner, axes, |_| {}).await
}

async fn account_with(hetzner: &str, axes: &[(&str, &str)], more: impl FnOnce(&mut HetznerConfig)) -> Account {
    let spec = format!("[hetzner]\n{hetzner}").parse().unwrap();
    let world = World::new(spec).await.unwrap();
    let cloud = EmuHetzner::new(world.clone(), Arc::new(Nobody));
    let mut config = lease::config(&world, &cloud).await;
    config.patience.answer = Duration::from_secs(5);
    config.patience.boot = Duration::from_millis(50);
    config.patience.ready = Duration::from_millis(50);
    more(&mut config);
    let request = lease::request(1, axes);
    let provider = HetznerProvider::new(config).unwrap();
    Account { world, cloud, provider, stop: Stop::new(), request }
}

impl Account {
    fn cx(&self) -> Cx {
        Cx::unrecorded(self.stop.clone(), Duration::from_secs(60))
    }

    /// Orders everything; nobody answers, so it always fails in the end.
    async fn acquire(&self) -> Failure {
        self.provider.acquire(&self.cx(), &self.request).await.expect_err("no machine ever answers")
    }

    fn ours(&self, kind: &str) -> Vec<String> {
        let items = self.cloud.inventory().items.into_iter();
        items.filter(|i| !i.stock && i.kind == kind).map(|i| i.name).collect()
    }

    /// What the API says of a kind.
    async fn listed(&self, kind: &str) -> Vec<Value> {
        let (status, answer) = self.cloud.ask("GET", &format!("/{kind}"), "").await;
        assert_eq!(status, 200, "{answer}");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        serde_json::from_value(answer[kind].take()).unwrap()
    }

    fn left(&self) -> Vec<String> {
        lease::left(&self.cloud)
    }

    async fn release(&self) {
        let cx = self.cx().teardown(Duration::from_secs(60));
        let released = self.provider.release(&cx, &self.request.lease).await;
        assert_eq!(self.left(), Vec::<String>::new(), "{released:?}");
        assert!(released.is_ok(), "{released:?}");
        assert!(self.provider.find(&cx, None).await.unwrap().is_empty());
    }

    async fn end(self) {
        drop(self.provider);
        self.world.end().await;
    }
}

#[tokio::test]
async fn every_size_is_ordered_with_our_labels_and_removed_whole() {
    for (size, servers, balancers) in [("single", 1, 0), ("small", 2, 1), ("medium", 6, 2)] {
        let account = account_with("", &[("size", size)], |config| config.owner = "acme/dist".to_owned()).await;
        let failure = account.acquire().await;
        assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{size}: {failure}");
        assert_eq!(account.ours("servers").len(), servers, "{size}");
        assert_eq!(account.ours("load_balancers").len(), balancers, "{size}");
        for item in account.cloud.inventory().items.iter().filter(|i| !i.stock && i.kind != "primary_ips") {
            for label in ["gsh-run", "gsh-lease", "gsh-expires", "gsh-role"] {
                assert!(item.labels.contains_key(label), "{size}: {item} lacks {label}");
            }
            assert_eq!(item.labels.get("gsh-owner").map(String::as_str), Some("acme.dist"), "{size}: {item}");
        }
        let found = account.provider.find(&account.cx(), Some(&account.request.run)).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].lease, found[0].expires), (&account.request.lease, account.request.expires));
        assert_eq!(found[0].owner.as_deref(), Some("acme.dist"), "who to ask");
        assert!(found[0].resources.iter().any(|r| r.kind == "server" && r.cents_per_month.is_some()));
        account.release().await;
        account.end().await;
    }
}

#[tokio::test]
async fn a_small_cluster_takes_at_most_sixty_requests() {
    let account = account("", &[("size", "small")]).await;
    account.acquire().await;
    let cx = account.cx().teardown(Duration::from_secs(60));
    account.provider.release(&cx, &account.request.lease).await.unwrap();
    let sent = account.provider.requests_sent();
    assert!(sent <= 60, "{sent} requests:\n{}", account.cloud.request_log());
    assert_eq!(account.left(), Vec::<String>::new());
    account.end().await;
}

#[tokio::test]
async fn external_stores_get_a_machine_of_their_own() {
    let axes = [("database", "external-tls"), ("registry", "external"), ("storage", "s3")];
    let account = account("", &axes).await;
    account.acquire().await;
    assert!(account.ours("servers").iter().any(|name| name.ends_with("-stores")), "{:?}", account.ours("servers"));
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn a_storm_of_rate_limits_is_sat_out() {
    let storm = "[[hetzner.fault]]\nnth = 3\ntimes = 12\neffect = { refuse = { status = 429, code = \"rate_limit_exceeded\" } }";
    let account = account(storm, &[]).await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{failure}");
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn what_is_sold_out_is_replaced_by_the_next_candidate() {
    let first = "[[hetzner.sold-out]]\nserver-type = \"cx*\"\nlocation = \"*\"\n\
                 [[hetzner.sold-out]]\nlocation = \"nbg1\"\ncode = \"placement_error\"";
    let account = account(first, &[("size", "small")]).await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{failure}");
    assert_eq!(account.ours("servers").len(), 2);
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn infrastructure_trouble_has_its_code_and_blames_the_environment() {
    let everything = "[[hetzner.sold-out]]\nserver-type = \"*\"";
    let quota = "[hetzner.quota]\nservers = 1";
    let no_snapshot = "snapshot = []";
    for (world, axes, code, says) in [
        (everything, vec![], "GSH-CLOUD-006", "nbg1"),
        (quota, vec![("size", "small")], "GSH-CLOUD-007", "server"),
        (no_snapshot, vec![("os", "ubuntu-20.04")], "GSH-CLOUD-008", "gsh.os=ubuntu-20.04"),
    ] {
        let account = account(world, &axes).await;
        let failure = account.acquire().await;
        assert_eq!((failure.finding.check.as_str(), failure.blame), (code, Blame::Environment), "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
        account.release().await;
        account.end().await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_named_and_not_shown() {
    let good = account("", &[]).await;
    let mut config = HetznerConfig::cloud(Secret::new("hcloud-token", "canary-canary-canary"));
    config.endpoint = good.cloud.listen().await.unwrap();
    let provider = HetznerProvider::new(config).unwrap();
    let failure = provider.acquire(&good.cx(), &good.request).await.unwrap_err();
    assert_eq!((failure.finding.check.as_str(), failure.blame), ("GSH-CLOUD-004", Blame::Environment));
    let shown = format!("{provider:?} {failure:?} {failure}");
    assert!(!shown.contains("canary"), "{shown}");
    drop(provider);
    good.end().await;
}

#[tokio::test]
async fn templates_of_a_distribution_need_their_folder() {
    let account = account("", &[("template", "community")]).await;
    let failure = account.acquire().await;
    assert_eq!((failure.finding.check.as_str(), failure.blame), ("GSH-CLOUD-013", Blame::Harness), "{failure}");
    assert_eq!(account.provider.requests_sent(), 0, "nothing was asked of the account");
    account.end().await;
}

#[tokio::test]
async fn a_store_that_the_product_could_not_use_is_not_brought_up() {
    let account = account("", &[("registry", "incluster-s3")]).await;
    let failure = account.acquire().await;
    assert_eq!((failure.finding.check.as_str(), failure.blame), ("GSH-CLOUD-017", Blame::Harness), "{failure}");
    assert_eq!(account.provider.requests_sent(), 0, "nothing was asked of the account");
    account.end().await;
}

#[tokio::test]
async fn a_store_that_is_given_takes_no_machine_and_costs_nothing() {
    let s3 = S3Store {
        endpoint: "s3.example.com".to_owned(),
        region: "eu".to_owned(),
        bucket: "content".to_owned(),
        registry_bucket: "images".to_owned(),
        access_key: Secret::new("access", "access"),
        secret_key: Secret::new("secret", "secret"),
        insecure: false,
        origin: Origin::Given,
    };
    for (axes, machines) in [
        (&[("registry", "incluster-s3"), ("storage", "s3")][..], 1),
        (&[("registry", "incluster-s3"), ("database", "external")], 2),
    ] {
        let given = Stores { s3: Some(s3.clone()), ..Stores::default() };
        let account = account_with("", axes, |config| config.stores = given).await;
        let cell = &account.request.cell;
        let cx = account.cx();
        let dear = account.provider.quote(&cx, cell, false).await.expect("a quote").expect("prices");
        let plain = account.provider.quote(&cx, &Cell::default(), false).await.expect("a quote").expect("prices");
        assert_eq!(dear.price.hourly.gross > plain.price.hourly.gross, machines == 2);
        let failure = account.acquire().await;
        assert_ne!(failure.finding.check.as_str(), "GSH-CLOUD-017", "{failure}");
        assert_eq!(account.ours("servers").len(), machines, "{axes:?}");
        account.release().await;
        account.end().await;
    }
    let plain = Stores { s3: Some(S3Store { insecure: true, ..s3 }), ..Stores::default() };
    let account = account_with("", &[("registry", "incluster-s3")], |config| config.stores = plain).await;
    assert_eq!(account.acquire().await.finding.check.as_str(), "GSH-CLOUD-017");
    account.end().await;
}

#[tokio::test]
async fn a_machine_whose_actions_fail_is_replaced() {
    let fault = "[[hetzner.fault]]\nmethod = \"POST\"\npath = \"/servers\"\nnth = 1\n\
                 effect = { action-fails = { step = 1, code = \"canceled\" } }";
    let account = account(fault, &[]).await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{failure}");
    assert_eq!(account.ours("servers").len(), 1);
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn a_stop_before_any_request_ends_the_order_and_release_still_works() {
    // Answers come late, so the stop falls between requests wherever it is asked for.
    let slow = "[[hetzner.fault]]\neffect = { slow-ms = 5 }";
    let whole = {
        let account = account(slow, &[("size", "small")]).await;
        account.acquire().await;
        let n = account.cloud.requests().len();
        account.end().await;
        n
    };
    for n in 0..whole {
        let account = account(slow, &[("size", "small")]).await;
        let stopper = async {
            while account.cloud.requests().len() < n {
                tokio::task::yield_now().await;
            }
            account.stop.first(gsh_model::event::StopReason::Signal);
        };
        let (failure, ()) = tokio::join!(account.acquire(), stopper);
        assert!(failure.stopped || failure.finding.check.as_str() == "GSH-NODE-001", "after {n}: {failure}");
        account.release().await;
        account.end().await;
    }
}

#[tokio::test]
async fn release_waits_for_what_lags_and_touches_nothing_foreign() {
    let account = account("release-lag-ms = 300", &[("size", "small")]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = account.cloud.listen().await.unwrap();
    let body = serde_json::json!({"name": "somebody-else", "type": "spread", "labels": {"team": "other"}});
    let answer = client
        .post(format!("{url}/placement_groups"))
        .bearer_auth(&account.cloud.tokens().read_write)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    account.acquire().await;
    let cx = account.cx().teardown(Duration::from_secs(60));
    let released = account.provider.release(&cx, &account.request.lease).await.unwrap();
    assert_eq!(account.ours("placement_groups"), ["somebody-else"]);
    assert_eq!(account.left().len(), 1, "{:?}", account.left());
    let kinds: BTreeSet<&str> = released.removed.iter().map(|r| r.kind.as_str()).collect();
    assert!(kinds.is_superset(&BTreeSet::from(["server", "load-balancer", "network", "firewall", "ssh-key"])));
    account.end().await;
}

#[tokio::test]
async fn what_is_chosen_can_be_told_and_a_type_that_is_gone_is_answered_with_what_there_is() {
    let chosen = |choice: MachineChoice| async move {
        let account = account_with("", &[], |config| config.machines = choice).await;
        let failure = account.acquire().await;
        account.release().await;
        account.end().await;
        failure
    };
    for name in ["cx43", "ccx33"] {
        let failure = chosen(MachineChoice { server_type: Some(name.to_owned()), ..MachineChoice::default() }).await;
        assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{name}: {failure}");
    }
    for (name, says) in
        [("cx41", "there is no server type `cx41` (any more); fit for this: [\"cx43\""), ("cx23", "has 2 cores")]
    {
        let failure = chosen(MachineChoice { server_type: Some(name.to_owned()), ..MachineChoice::default() }).await;
        assert_eq!((failure.finding.check.as_str(), failure.blame), ("GSH-CLOUD-009", Blame::Environment), "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
    }
}

#[tokio::test]
async fn an_unknown_location_is_answered_with_those_that_exist() {
    let account = account_with("", &[], |config| config.locations = vec!["fsn2".to_owned()]).await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-CLOUD-009", "{failure}");
    assert!(failure.to_string().contains("there is no location [\"fsn2\"]; there are [\"fsn1\", "), "{failure}");
    assert_eq!(account.left(), Vec::<String>::new(), "nothing was made");
    account.end().await;
}

#[tokio::test]
async fn an_image_that_is_gone_is_answered_with_what_is_sold() {
    let account = account("snapshot = []", &[("os", "ubuntu-20.04")]).await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-CLOUD-008", "{failure}");
    let causes = failure.finding.causes.join("\n");
    assert!(failure.finding.observed.starts_with("Hetzner no longer sells it since "), "{failure}");
    assert!(causes.contains("ubuntu-22.04, ubuntu-24.04") && !causes.contains("sold: ubuntu-20.04"), "{causes}");
    account.end().await;
}

#[tokio::test]
async fn capacity_that_comes_back_is_waited_for() {
    let short = "[[hetzner.sold-out]]\nserver-type = \"*\"\nrefuses = 40";
    let account = account_with(short, &[], |config| {
        config.patience.capacity = Duration::from_secs(30);
        config.pace.longest = Duration::from_millis(20);
    })
    .await;
    let failure = account.acquire().await;
    assert_eq!(failure.finding.check.as_str(), "GSH-NODE-001", "{failure}");
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn the_firewall_lets_the_world_to_the_site_and_the_runner_to_the_machines() {
    let account = account_with("", &[], |config| {
        config.runner_address = Some("198.51.100.7".parse().unwrap());
        config.open_ports = vec![9500, 443];
    })
    .await;
    account.acquire().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = account.cloud.listen().await.unwrap();
    let answer = client.get(format!("{url}/firewalls")).bearer_auth(&account.cloud.tokens().read_write).send().await;
    let answer: serde_json::Value = answer.unwrap().json().await.unwrap();
    let rules = answer["firewalls"][0]["rules"].as_array().unwrap().iter();
    let rules: Vec<String> = rules.map(|r| format!("{}: {}", r["port"], r["source_ips"])).collect();
    let world = r#"["0.0.0.0/0","::/0"]"#;
    let ours = r#"["198.51.100.7/32","10.2.0.0/16"]"#;
    let expected = [("80", world), ("443", world), ("22", world), ("9500", world), ("6443", ours), ("2244", ours)];
    assert_eq!(rules, expected.map(|(port, sources)| format!("\"{port}\": {sources}")));
    account.release().await;
    account.end().await;
}

/// Ports of a load balancer, its selector, and the numbers of the servers behind it; all over the private network.
fn balancing(balancer: &Value) -> (BTreeSet<u64>, String, BTreeSet<u64>) {
    let services = balancer["services"].as_array().unwrap().iter();
    let ports = services.map(|s| {
        assert_eq!((&s["protocol"], &s["listen_port"]), (&json!("tcp"), &s["destination_port"]), "{s}");
        assert_eq!((&s["health_check"]["protocol"], &s["health_check"]["port"]), (&json!("tcp"), &s["listen_port"]));
        s["listen_port"].as_u64().unwrap()
    });
    let [target] = &balancer["targets"].as_array().unwrap()[..] else { panic!("{balancer}") };
    assert_eq!((&target["type"], &target["use_private_ip"]), (&json!("label_selector"), &json!(true)), "{target}");
    let behind = target["targets"].as_array().unwrap().iter().map(|t| t["server"]["id"].as_u64().unwrap());
    (ports.collect(), target["label_selector"]["selector"].as_str().unwrap().to_owned(), behind.collect())
}

#[tokio::test]
async fn a_medium_cluster_has_its_network_its_group_and_two_load_balancers() {
    let account = account("", &[("size", "medium"), ("database", "external")]).await;
    account.acquire().await;
    let lease = account.request.lease.to_string();
    let [network] = &account.listed("networks").await[..] else { panic!("one network") };
    assert_eq!(network["ip_range"], "10.2.0.0/16");
    let [subnet] = &network["subnets"].as_array().unwrap()[..] else { panic!("one subnet: {network}") };
    let shape = (&subnet["type"], &subnet["ip_range"], &subnet["network_zone"]);
    assert_eq!(shape, (&json!("cloud"), &json!("10.2.0.0/24"), &json!("eu-central")));

    let servers = account.listed("servers").await;
    assert_eq!(servers.len(), 7, "3 managers, 3 workers, the stores");
    let [group] = &account.listed("placement_groups").await[..] else { panic!("seven fit into one group") };
    let [firewall] = &account.listed("firewalls").await[..] else { panic!("one firewall") };
    assert_eq!((&group["type"], group["servers"].as_array().map(Vec::len)), (&json!("spread"), Some(7)));
    let role = |server: &Value| server["labels"]["gsh-role"].as_str().unwrap().to_owned();
    for server in &servers {
        assert_eq!(server["placement_group"]["id"], group["id"], "{server}");
        assert_eq!(server["public_net"]["firewalls"][0]["id"], firewall["id"], "{server}");
        assert!(server["public_net"]["ipv4"].is_object() && server["public_net"]["ipv6"].is_null(), "{server}");
        let private = &server["private_net"][0];
        assert_eq!(private["network"], network["id"], "{server}");
        assert!(private["ip"].as_str().unwrap().starts_with("10.2.0."), "{server}");
    }
    let of_role = |wanted: &str| -> BTreeSet<u64> {
        servers.iter().filter(|s| role(s) == wanted).map(|s| s["id"].as_u64().unwrap()).collect()
    };
    let (managers, workers) = (of_role("manager"), of_role("worker"));
    assert_eq!((managers.len(), workers.len(), of_role("stores").len()), (3, 3, 1));
    // What is implied by an order goes with its server.
    let addresses = account.listed("primary_ips").await;
    assert_eq!(addresses.len(), 7);
    assert!(addresses.iter().all(|a| a["auto_delete"] == json!(true) && a["type"] == "ipv4"), "{addresses:?}");

    let balancers = account.listed("load_balancers").await;
    let named = |what: &str| {
        let name = format!("{lease}-{what}");
        balancers.iter().find(|b| b["name"] == name.as_str()).unwrap_or_else(|| panic!("no {name}: {balancers:?}"))
    };
    for balancer in &balancers {
        assert_eq!(balancer["private_net"][0]["network"], network["id"], "{balancer}");
    }
    let site = ([22, 80, 443].into(), format!("gsh-lease={lease},gsh-role in (worker,manager-worker)"), workers);
    assert_eq!(balancing(named("site")), site);
    let control = ([2244, 6443].into(), format!("gsh-lease={lease},gsh-role=manager"), managers);
    assert_eq!(balancing(named("managers")), control);
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn without_a_gateway_nothing_of_the_site_is_on_port_22() {
    let account = account("", &[("size", "small"), ("ssh-gateway", "off")]).await;
    account.acquire().await;
    let (ports, ..) = balancing(&account.listed("load_balancers").await[0]);
    assert_eq!(ports, [80, 443].into());
    let rules = account.listed("firewalls").await[0]["rules"].clone();
    let open: Vec<&str> = rules.as_array().unwrap().iter().filter_map(|r| r["port"].as_str()).collect();
    assert_eq!(open, ["80", "443", "6443", "2244"]);
    account.release().await;
    account.end().await;
}

#[tokio::test]
async fn actions_of_many_leases_are_asked_for_together() {
    let slow = "[hetzner.takes-ms]\ncreate_server = 400";
    let account = account_with(slow, &[], |config| {
        config.patience.answer = Duration::from_secs(20);
        config.pace.look_longest = Duration::from_millis(50);
    })
    .await;
    let cx = account.cx();
    let requests: Vec<LeaseRequest> = (1..=12).map(|n| lease::request(n, &[])).collect();
    futures::future::join_all(requests.iter().map(|r| account.provider.acquire(&cx, r))).await;
    let polls = account.cloud.requests().iter().filter(|line| line.path.starts_with("/actions")).count();
    // Each on its own would ask some eight times.
    assert!(polls <= 40, "{polls} requests for the actions of 12 servers");
    let released = futures::future::join_all(requests.iter().map(|r| account.provider.release(&cx, &r.lease))).await;
    assert!(released.iter().all(Result::is_ok), "{released:?}");
    assert_eq!(account.left(), Vec::<String>::new());
    account.end().await;
}
