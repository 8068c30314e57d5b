//! What a lease consists of: which machines, behind which load balancers. Pure.

use gsh_engine::provider::NodeRole;
use gsh_model::axis::{Size, SshGateway};
use gsh_model::lease::LeaseId;

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
}
