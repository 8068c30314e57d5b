//! Where cells ask for money: the purse of a run, shared by all of them.

use std::sync::{Mutex, PoisonError};

use gsh_model::budget::{Amount, Euros, Purse, Quote, Reservation};
use gsh_model::lease::LeaseId;
use gsh_model::outcome::{Finding, Outcome, Why};
use gsh_model::plan::{Plan, PlannedCell};
use tokio::sync::Notify;

use crate::cx::Cx;
use crate::failure::Failure;
use crate::job::Settings;
use crate::provider::Provider;

/// The purse of a run.
#[derive(Debug, Default)]
pub(crate) struct Till {
    purse: Mutex<Purse>,
    settled: Notify,
}

/// Why a lease is not taken.
pub(crate) enum Denied {
    /// It could cost more than is left.
    TooDear(Outcome),
    /// What it costs could not be found out, or the run was asked to stop.
    Unknown(Failure),
}

impl Till {
    pub(crate) fn new(cap: Option<Euros>) -> Self {
        Self { purse: Mutex::new(Purse::new(cap)), settled: Notify::new() }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Purse) -> T) -> T {
        f(&mut self.purse.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts what was spent before this process began.
    pub(crate) fn add_spent(&self, cost: Amount) {
        self.with(|purse| purse.add_spent(cost));
    }

    /// Counts a lease that a process took that has died.
    pub(crate) fn hold(&self, lease: &LeaseId, at_most: Amount) {
        self.with(|purse| purse.hold(lease, at_most));
    }

    /// Reserves what a lease of this cell can cost at most. Waits while other leases hold money that they may give back;
    /// without a cap nobody is asked anything.
    pub(crate) async fn reserve<P: Provider>(
        &self,
        cx: &Cx,
        provider: &P,
        settings: &Settings,
        (plan, planned): (&Plan, &PlannedCell),
        lease: &LeaseId,
    ) -> Result<(), Denied> {
        let Some(cap) = self.with(|purse| purse.cap()) else { return Ok(()) };
        let Some(quote) = quote(cx, provider, plan, planned).await.map_err(Denied::Unknown)? else { return Ok(()) };
        let at_most = quote.up_to(settings.lease_hours());
        loop {
            // Asked for before looking: a settlement in between is not missed.
            let settled = self.settled.notified();
            match self.with(|purse| purse.reserve(lease, at_most)) {
                Reservation::Taken => return Ok(()),
                Reservation::Refused { left } => {
                    return Err(Denied::TooDear(Outcome::Inconclusive {
                        why: Why::Budget,
                        finding: Finding {
                            check: gsh_model::check::CheckName::of("GSH-RUN-009"),
                            expected: format!("a cluster for at most {at_most}"),
                            observed: format!("of the budget of {cap:.2} EUR {left:.4} are left"),
                            causes: Vec::new(),
                        },
                    }));
                }
                Reservation::Later => {}
            }
            tokio::select! {
                () = settled => {}
                () = cx.stopped() => return Err(Denied::Unknown(Failure::stopped("money to be left for a cluster"))),
            }
        }
    }

    /// Replaces a reservation by what the lease has cost; without a known cost the reservation counts as spent.
    pub(crate) fn settle(&self, lease: &LeaseId, cost: Option<Amount>) {
        self.with(|purse| purse.settle(lease, cost));
        self.settled.notify_waiters();
    }
}

/// What a lease of a planned cell costs.
pub(crate) async fn quote<P: Provider>(
    cx: &Cx,
    provider: &P,
    plan: &Plan,
    planned: &PlannedCell,
) -> Result<Option<Quote>, Failure> {
    provider.quote(cx, &planned.cell, plan.grows(planned)).await
}
