//! Reclaims leases that nobody holds any more: the same release, found by label.

use gsh_model::lease::{Resource, RunId};
use jiff::Timestamp;

use crate::cx::Cx;
use crate::failure::Failure;
use crate::provider::{FoundLease, Provider};

/// Which leases to reclaim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those of one run, expired or not.
    Run(RunId),
    /// Those of any run whose expiry is past.
    ExpiredAt(Timestamp),
}

/// What became of one lease.
#[derive(Debug, Clone)]
pub struct Swept {
    /// The lease as it was found.
    pub found: FoundLease,
    /// What was removed, or what is left and why.
    pub result: Result<Vec<Resource>, (Vec<Resource>, Failure)>,
}

/// Lists the leases that a sweep would reclaim, removing nothing.
///
/// # Errors
/// When the account cannot be listed.
pub async fn list<P: Provider>(cx: &Cx, provider: &P, which: &Which) -> Result<Vec<FoundLease>, Failure> {
    let mut found = match which {
        Which::Run(run) => provider.find(cx, Some(run)).await?,
        Which::ExpiredAt(now) => {
            let mut all = provider.find(cx, None).await?;
            all.retain(|lease| lease.expires < *now);
            all
        }
    };
    found.sort_by(|a, b| (&a.run, &a.lease).cmp(&(&b.run, &b.lease)));
    Ok(found)
}

/// Reclaims leases, one after the other, going on after a failure. When a stop is asked for, the lease at hand is still
/// reclaimed, and no other one is begun: those are not in the answer.
pub async fn sweep<P: Provider>(cx: &Cx, provider: &P, leases: Vec<FoundLease>) -> Vec<Swept> {
    let at_hand = cx.teardown(cx.left());
    let mut swept = Vec::new();
    for found in leases {
        if cx.stop().is_requested() {
            break;
        }
        let result = match provider.release(&at_hand, &found.lease).await {
            Ok(released) => Ok(released.removed),
            Err(e) => Err((e.left, e.failure)),
        };
        swept.push(Swept { found, result });
    }
    swept
}
