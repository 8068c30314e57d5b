//! The bodies of requests, built with the Hetzner library's models. The only place that names it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use hcloud::models;
use serde::Serialize;
use serde_json::Value;

use super::choice::Candidate;

/// The private network of a lease and its only subnet.
pub(crate) const NETWORK_RANGE: &str = "10.2.0.0/16";
pub(crate) const SUBNET_RANGE: &str = "10.2.0.0/24";

/// Port of the machines' own SSH server, after it left 22 to Gitpod's gateway.
pub(crate) const SSH_PORT: u16 = crate::k3s::sshd::PORT;
/// Port of the Kubernetes API.
pub(crate) const API_PORT: u16 = 6443;

type Labels = BTreeMap<String, String>;

fn hash(labels: &Labels) -> Option<HashMap<String, String>> {
    Some(labels.clone().into_iter().collect())
}

fn value(request: impl Serialize) -> Value {
    serde_json::to_value(request).expect("the library's models are JSON objects")
}

/// `POST /ssh_keys`.
pub(crate) fn ssh_key(name: &str, public_line: &str, labels: &Labels) -> Value {
    let mut request = models::CreateSshKeyRequest::new(name.to_owned(), public_line.to_owned());
    request.labels = hash(labels);
    value(request)
}

/// `POST /networks`.
pub(crate) fn network(name: &str, zone: &str, labels: &Labels) -> Value {
    let mut request = models::CreateNetworkRequest::new(NETWORK_RANGE.to_owned(), name.to_owned());
    let mut subnet = models::Subnet::new(zone.to_owned(), models::subnet::Type::Cloud);
    subnet.ip_range = Some(SUBNET_RANGE.to_owned());
    request.subnets = Some(vec![subnet]);
    request.labels = hash(labels);
    value(request)
}

/// `POST /placement_groups`.
pub(crate) fn placement_group(name: &str, labels: &Labels) -> Value {
    let kind = models::create_placementgroup_request::Type::Spread;
    let mut request = models::CreatePlacementgroupRequest::new(name.to_owned(), kind);
    request.labels = hash(labels);
    value(request)
}

/// `POST /firewalls`: the given ports from anywhere; the Kubernetes API and the machines' SSH from the runner and the
/// private network. Firewalls act on the public interface only, so what nodes say to each other needs no rule, and neither
/// does what load balancers pass on over the private network.
pub(crate) fn firewall(name: &str, ports: &[u16], runner: Option<IpAddr>, labels: &Labels) -> Value {
    let world = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let ours = match runner {
        Some(IpAddr::V4(ip)) => vec![format!("{ip}/32"), NETWORK_RANGE.to_owned()],
        Some(IpAddr::V6(ip)) => vec![format!("{ip}/128"), NETWORK_RANGE.to_owned()],
        None => world(),
    };
    let rule = |port: u16, sources: Vec<String>, why: &str| {
        let mut rule = models::Rule::new(models::rule::Direction::In, models::rule::Protocol::Tcp);
        rule.port = Some(Some(port.to_string()));
        rule.source_ips = Some(sources);
        rule.description = Some(Some(why.to_owned()));
        rule
    };
    let mut request = models::CreateFirewallRequest::new(name.to_owned());
    let purpose = |port: u16| match port {
        22 => "SSH gateway of workspaces",
        80 | 443 => "site",
        _ => "opened by the configuration",
    };
    let mut rules: Vec<models::Rule> = ports.iter().map(|port| rule(*port, world(), purpose(*port))).collect();
    rules.push(rule(API_PORT, ours.clone(), "Kubernetes API"));
    rules.push(rule(SSH_PORT, ours, "SSH of the machine"));
    request.rules = Some(rules);
    request.labels = hash(labels);
    value(request)
}

/// What a load balancer does, apart from where and which type.
pub(crate) struct Balancer<'a> {
    pub(crate) name: &'a str,
    pub(crate) network: u64,
    pub(crate) ports: &'a [u16],
    /// Which servers are behind it.
    pub(crate) selector: String,
    pub(crate) labels: &'a Labels,
}

/// `POST /load_balancers`: TCP, over the private network, health-checked by connecting.
pub(crate) fn load_balancer(balancer: &Balancer<'_>, candidate: &Candidate) -> Value {
    let mut request = models::CreateLoadBalancerRequest::new(candidate.server_type.clone(), balancer.name.to_owned());
    request.location = Some(candidate.location.clone());
    request.network = Some(id(balancer.network));
    request.algorithm =
        Some(Box::new(models::LoadBalancerAlgorithm::new(models::load_balancer_algorithm::Type::RoundRobin)));
    let service = |port: u16| {
        let port = i32::from(port);
        let check = models::LoadBalancerServiceHealthCheck::new(
            15,
            port,
            models::load_balancer_service_health_check::Protocol::Tcp,
            3,
            10,
        );
        models::LoadBalancerService::new(port, check, port, models::load_balancer_service::Protocol::Tcp, false)
    };
    request.services = Some(balancer.ports.iter().copied().map(service).collect());
    let mut target = models::LoadBalancerAddTarget::new(models::load_balancer_add_target::Type::LabelSelector);
    target.label_selector = Some(Box::new(models::LabelSelector::new(balancer.selector.clone())));
    target.use_private_ip = Some(true);
    request.targets = Some(vec![target]);
    request.labels = hash(balancer.labels);
    value(request)
}

/// What a server is ordered with, apart from where.
pub(crate) struct Order<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: u64,
    pub(crate) ssh_key: u64,
    pub(crate) network: u64,
    pub(crate) firewall: u64,
    pub(crate) placement_group: u64,
    pub(crate) user_data: &'a str,
    pub(crate) labels: &'a Labels,
}

/// `POST /servers`: with a public IPv4 address and in the network from the start.
pub(crate) fn server(order: &Order<'_>, candidate: &Candidate) -> Value {
    let mut request =
        models::CreateServerRequest::new(order.image.to_string(), order.name.to_owned(), candidate.server_type.clone());
    request.location = Some(candidate.location.clone());
    request.ssh_keys = Some(vec![order.ssh_key.to_string()]);
    request.networks = Some(vec![id(order.network)]);
    request.firewalls = Some(vec![models::CreateServerRequestFirewalls::new(id(order.firewall))]);
    request.placement_group = Some(id(order.placement_group));
    request.user_data = Some(order.user_data.to_owned());
    request.start_after_create = Some(true);
    let mut public = models::CreateServerRequestPublicNet::new();
    public.enable_ipv4 = Some(true);
    public.enable_ipv6 = Some(false);
    request.public_net = Some(Box::new(public));
    request.labels = hash(order.labels);
    value(request)
}

/// `POST /servers/{id}/actions/create_image`: a snapshot.
pub(crate) fn snapshot(description: &str, labels: &Labels) -> Value {
    let mut request = models::CreateImageFromServerRequest::new();
    request.r#type = Some(models::create_image_from_server_request::Type::Snapshot);
    request.description = Some(description.to_owned());
    request.labels = hash(labels);
    value(request)
}

/// Ids stay below 2^53 (Hetzner's API reference), so they fit the library's signed numbers.
fn id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
