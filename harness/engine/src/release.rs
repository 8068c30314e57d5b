//! Gives a lease back and records what it has cost.

use std::sync::Arc;
use std::time::Duration;

use gsh_model::budget::{Bill, Meter};
use gsh_model::event::EventKind;
use gsh_model::lease::LeaseId;
use gsh_model::outcome::{Outcome, Subject};
use gsh_model::plan::PlannedCell;
use gsh_model::run::LeaseEnd;
use tokio::time::Instant;

use crate::cell::GRACE;
use crate::cx::Cx;
use crate::failure::Failure;
use crate::installer::Installer;
use crate::job::{Job, Keep};
use crate::provider::Provider;
use crate::scribe::Scribe;
use crate::till::Till;

/// Gives the lease back. Never cancelled by the first stage of a stop; has a deadline of its own. `charged` is what a process
/// that died has recorded of its cost; nothing when it may have removed things before anybody charged them.
pub(crate) async fn release<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    till: &Till,
    planned: &PlannedCell,
    (lease, charged): (&LeaseId, Option<Bill>),
    green: bool,
    scribe: &Scribe,
) {
    let place = scribe.start(Subject::Teardown).await;
    let began = Instant::now();
    let meter = match charged {
        Some(charged) => meter(job, planned, lease, &place).await.map(|(meter, seen)| (meter, seen, charged)),
        None => {
            place
                .note(&format!("what {lease} has cost is not known: its removal was begun before it was charged"))
                .await;
            None
        }
    };
    if job.settings.keep == Keep::OnFailure && !green {
        let reason = "kept, as asked by --keep on-failure".to_owned();
        // It costs money until it expires: the whole reservation counts.
        till.settle(lease, None);
        let cx = place.teardown(job.settings.patience.teardown);
        let left = match job.provider.find(&cx, Some(&job.run)).await {
            Ok(found) => found.into_iter().filter(|f| f.lease == *lease).flat_map(|f| f.resources).collect(),
            Err(_) => Vec::new(),
        };
        place
            .record(EventKind::LeaseLeaked {
                cell: planned.id.clone(),
                lease: lease.clone(),
                left,
                reason: reason.clone(),
            })
            .await;
        let failure = Failure::environment("GSH-RUN-006", format!("{lease} to be released"), reason);
        scribe.finish(&Subject::Teardown, failure.into_outcome(), began.elapsed()).await;
        return;
    }
    let cx = place.teardown(job.settings.patience.teardown);
    let impatient = |reason: &str| crate::provider::ReleaseFailure {
        left: Vec::new(),
        failure: Failure::environment("GSH-RUN-006", format!("{lease} to be released"), reason.to_owned()),
    };
    let released = tokio::select! {
        // A provider that has noticed the stop as well knows more about what is left.
        biased;
        released = job.provider.release(&cx, lease) => released,
        () = cx.stopped() => Err(impatient("the run was told twice to stop")),
        // The provider ends by itself at the deadline and then knows what is left.
        () = tokio::time::sleep_until(cx.deadline() + GRACE) => Err(impatient("teardown took longer than its deadline")),
    };
    // Hours may have begun while it was removed.
    let cost = match &meter {
        Some((meter, seen, charged)) => {
            let bill = meter.read((job.now)());
            if bill != *seen {
                place.record(charge(planned, lease, &bill)).await;
            }
            let mut whole = charged.clone();
            whole.merge(&bill);
            Some(whole.total())
        }
        None => None,
    };
    till.settle(lease, cost.filter(|_| released.is_ok()));
    let outcome = match released {
        Ok(released) => {
            place
                .record(EventKind::LeaseReleased {
                    cell: planned.id.clone(),
                    lease: lease.clone(),
                    removed: released.removed,
                })
                .await;
            Outcome::Passed
        }
        Err(e) => {
            place
                .record(EventKind::LeaseLeaked {
                    cell: planned.id.clone(),
                    lease: lease.clone(),
                    left: e.left,
                    reason: e.failure.finding.observed.clone(),
                })
                .await;
            e.failure.into_outcome()
        }
    };
    scribe.finish(&Subject::Teardown, outcome, began.elapsed()).await;
}

/// Says of a teardown what the end of its lease says already: its process died between the two.
pub(crate) async fn conclude(lease: &LeaseId, end: &LeaseEnd, scribe: &Scribe) {
    scribe.start(Subject::Teardown).await;
    let outcome = match end {
        LeaseEnd::Released(_) => Outcome::Passed,
        LeaseEnd::Leaked { reason, .. } => {
            Failure::environment("GSH-RUN-006", format!("{lease} to be released"), reason.clone()).into_outcome()
        }
    };
    scribe.finish(&Subject::Teardown, outcome, Duration::ZERO).await;
}

/// Finds out what a lease costs, and records it before its things are removed: afterwards nobody could.
async fn meter<P: Provider, I: Installer>(
    job: &Arc<Job<P, I>>,
    planned: &PlannedCell,
    lease: &LeaseId,
    place: &Cx,
) -> Option<(Meter, Bill)> {
    // Removing matters more than knowing the price: a part of the time is enough for that.
    let cx = place.teardown(job.settings.patience.teardown / 5);
    let metered = tokio::select! {
        metered = tokio::time::timeout_at(cx.deadline(), job.provider.meter(&cx, lease)) => metered.unwrap_or_else(|_| {
            Err(Failure::environment("GSH-RUN-012", format!("the price of {lease}"), "the account did not tell it in time"))
        }),
        () = cx.stopped() => Err(Failure::stopped(format!("the price of {lease}"))),
    };
    match metered {
        Ok(None) => None,
        Ok(Some(meter)) => {
            let bill = meter.read((job.now)());
            place.record(charge(planned, lease, &bill)).await;
            Some((meter, bill))
        }
        Err(failure) => {
            place.note(&format!("what {lease} has cost could not be found out: {failure}")).await;
            None
        }
    }
}

fn charge(planned: &PlannedCell, lease: &LeaseId, bill: &Bill) -> EventKind {
    EventKind::LeaseCharged { cell: planned.id.clone(), lease: lease.clone(), bill: bill.clone() }
}
