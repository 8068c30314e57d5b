//! What a lease consists of: which machines, behind which load balancers. Pure.

use std::net::IpAddr;

use gsh_engine::provider::NodeRole;
use gsh_model::axis::{Size, SshGateway};
use gsh_model::lease::LeaseId;
use serde::Serialize;

use super::choice::{MANAGER, Needs, WORKER};
use super::labels;

/// One machine that becomes a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Server, host and Node name.
    pub(crate) name: String,
    pub(crate) role: NodeRole,
}

impl Member {
    /// Whether it carries workloads, and so their labels.
    pub(crate) fn carries_workloads(&self) -> bool {
        match self.role {
            NodeRole::ManagerAndWorker | NodeRole::Worker => true,
            NodeRole::Manager => false,
        }
    }

    /// What it must have at least.
    pub(crate) fn needs(&self) -> Needs {
        if self.carries_workloads() { WORKER } else { MANAGER }
    }

    /// Its role in labels.
    pub(crate) fn label(&self) -> &'static str {
        match self.role {
            NodeRole::ManagerAndWorker => labels::MANAGER_WORKER,
            NodeRole::Manager => labels::MANAGER,
            NodeRole::Worker => labels::WORKER,
        }
    }
}

/// The shape of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Makes the cluster.
    pub(crate) first: Member,
    /// Further servers, which join one after the other.
    pub(crate) servers: Vec<Member>,
    /// Agents.
    pub(crate) workers: Vec<Member>,
    /// Whether a load balancer stands before the site.
    pub(crate) site_balancer: bool,
    /// Whether a load balancer stands before the Kubernetes API.
    pub(crate) manager_balancer: bool,
}

/// Workers of a `medium` cluster.
const MEDIUM_WORKERS: u32 = 3;

/// The shape of a size.
pub(crate) fn topology(lease: &LeaseId, size: Size) -> Topology {
    let manager = |n: u32, role| Member { name: manager_name(lease, n), role };
    let worker = |n: u32| Member { name: worker_name(lease, n), role: NodeRole::Worker };
    match size {
        // The node itself answers for the site: servicelb puts the ports there.
        Size::Single => Topology {
            first: manager(1, NodeRole::ManagerAndWorker),
            servers: Vec::new(),
            workers: Vec::new(),
            site_balancer: false,
            manager_balancer: false,
        },
        Size::Small => Topology {
            first: manager(1, NodeRole::ManagerAndWorker),
            servers: Vec::new(),
            workers: vec![worker(1)],
            site_balancer: true,
            manager_balancer: false,
        },
        Size::Medium => Topology {
            first: manager(1, NodeRole::Manager),
            servers: (2..=3).map(|n| manager(n, NodeRole::Manager)).collect(),
            workers: (1..=MEDIUM_WORKERS).map(worker).collect(),
            site_balancer: true,
            manager_balancer: true,
        },
    }
}

impl Topology {
    /// Every node, managers first.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.first).chain(&self.servers).chain(&self.workers)
    }
}

fn manager_name(lease: &LeaseId, n: u32) -> String {
    format!("{lease}-manager-{n}")
}

/// The n-th worker's name, from 1.
pub(crate) fn worker_name(lease: &LeaseId, n: u32) -> String {
    format!("{lease}-node-{n}")
}

/// The ports of the site.
pub(crate) fn site_ports(gateway: SshGateway) -> Vec<u16> {
    match gateway {
        SshGateway::On => vec![80, 443, 22],
        SshGateway::Off => vec![80, 443],
    }
}

/// A name of the site and what it should mean: for whoever wants the site in a public DNS. gsh itself needs none, and makes
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DnsRecord {
    /// Fully qualified, without a dot at the end.
    pub(crate) name: String,
    /// `A` or `AAAA`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: IpAddr,
    /// Seconds. Short: a lease lives for hours.
    pub(crate) ttl: u32,
}

/// The records of a site: itself and its two wildcards at the ingress; and the Kubernetes API, where it has an address of its
/// own.
pub(crate) fn dns_records(domain: &str, ingress: IpAddr, managers: Option<IpAddr>) -> Vec<DnsRecord> {
    let record = |name: String, value: IpAddr| {
        let kind = match value {
            IpAddr::V4(_) => "A",
            IpAddr::V6(_) => "AAAA",
        };
        DnsRecord { name, kind, value, ttl: 60 }
    };
    let mut records: Vec<DnsRecord> =
        ["", "*.", "*.ws."].map(|prefix| record(format!("{prefix}{domain}"), ingress)).to_vec();
    records.extend(managers.map(|address| record(format!("k3s.{domain}"), address)));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_their_machines() {
        let lease: LeaseId = "g7f3a-c1-a1".parse().expect("a lease id");
        let names = |size| topology(&lease, size).members().map(|m| m.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(Size::Single), ["g7f3a-c1-a1-manager-1"]);
        assert_eq!(names(Size::Small), ["g7f3a-c1-a1-manager-1", "g7f3a-c1-a1-node-1"]);
        assert_eq!(names(Size::Medium).len(), 6);
        assert!(topology(&lease, Size::Medium).members().all(|m| m.carries_workloads() == m.name.contains("node")));
    }

    #[test]
    fn a_site_has_three_names_and_the_api_one_where_it_has_an_address() {
        let (site, api) = ("203.0.113.7".parse().expect("an address"), "2001:db8::1".parse().expect("an address"));
        let records = dns_records("g.example", site, Some(api));
        let lines: Vec<String> = records.iter().map(|r| format!("{} {} {}", r.name, r.kind, r.value)).collect();
        let expected = [
            "g.example A 203.0.113.7",
            "*.g.example A 203.0.113.7",
            "*.ws.g.example A 203.0.113.7",
            "k3s.g.example AAAA 2001:db8::1",
        ];
        assert_eq!(lines, expected);
        assert_eq!(dns_records("g.example", site, None).len(), 3);
    }
}
