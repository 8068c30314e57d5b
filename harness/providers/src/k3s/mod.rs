//! From machines to a cluster: what a machine is told at birth, how it is watched until it is a node, and what is wrong when
//! it never becomes one. Orders nothing and knows no cloud beyond the metadata address.

pub mod boot;
pub mod classify;
pub mod client;
pub mod cloud_config;
pub mod community;
pub mod conformance;
pub mod kubeconfig;
pub mod node;
pub mod ready;
pub mod report;
pub mod sshd;
pub mod stores;
pub mod warm;

/// The labels that Gitpod 2022.11 wants on nodes that carry workloads (the five affinity labels of its installer's `validate cluster`).
pub const WORKLOAD_LABELS: [&str; 5] = [
    "gitpod.io/workload_meta",
    "gitpod.io/workload_ide",
    "gitpod.io/workload_workspace_services",
    "gitpod.io/workload_workspace_regular",
    "gitpod.io/workload_workspace_headless",
];

/// Taint of managers that carry no workloads. A custom one, so that k3s' servicelb stays away too: it tolerates the usual
/// control-plane taints.
pub const MANAGER_TAINT: &str = "app=gitpod-sh:NoSchedule";
