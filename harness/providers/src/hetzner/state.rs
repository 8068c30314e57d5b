//! What the provider remembers of a lease while it is held: secrets and ids that `grow` needs. Release needs none of it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use gsh_engine::failure::Failure;
use gsh_engine::provider::LeaseRequest;
use gsh_engine::secret::Secret;
use gsh_model::lease::LeaseId;
use gsh_ssh::KeyPair;

use super::catalogue::Chosen;

/// Ids and secrets of a lease, as soon as its base exists.
pub(crate) struct Base {
    pub(crate) request: LeaseRequest,
    /// Key that logs in to its machines.
    pub(crate) login: KeyPair,
    pub(crate) login_key: Secret,
    pub(crate) server_token: Secret,
    pub(crate) agent_token: Secret,
    pub(crate) image: Chosen,
    pub(crate) ssh_key: u64,
    pub(crate) network: u64,
    pub(crate) firewall: u64,
    pub(crate) groups: tokio::sync::Mutex<Groups>,
}

/// The placement groups of a lease.
pub(crate) struct Groups {
    pub(crate) ids: Vec<u64>,
    /// Servers put into them so far.
    pub(crate) placed: usize,
}

/// A lease that is held.
pub(crate) struct Held {
    pub(crate) base: Base,
    /// Address where agents join.
    pub(crate) join: String,
    /// Workers ordered so far.
    pub(crate) workers: AtomicU32,
}

/// All leases that are held.
#[derive(Default)]
pub(crate) struct Leases {
    held: Mutex<BTreeMap<LeaseId, Arc<Held>>>,
}

impl Leases {
    pub(crate) fn hold(&self, lease: &LeaseId, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.clone(), Arc::new(held));
    }

    pub(crate) fn forget(&self, lease: &LeaseId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(lease);
    }

    pub(crate) fn get(&self, lease: &LeaseId) -> Result<Arc<Held>, Failure> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(lease).cloned().ok_or_else(|| {
            Failure::harness("GSH-CLOUD-016", format!("the lease `{lease}` to be held"), "this process did not make it")
        })
    }
}
