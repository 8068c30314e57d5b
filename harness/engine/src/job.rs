//! What a run is made of and how it is to be run.

use std::time::Duration;

use gsh_model::budget::Euros;
use gsh_model::input::Input;
use gsh_model::lease::RunId;
use gsh_model::outcome::Evidence;
use gsh_model::plan::Plan;
use jiff::{SignedDuration, Timestamp};

use crate::bench::Scenario;

/// Whether clusters outlive a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything is always removed.
    Never,
    /// The cluster of a cell that is not all green stays until its expiry.
    OnFailure,
}

/// How long each part may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// The whole run, teardown not included.
    pub run: Duration,
    /// One cell, teardown not included.
    pub cell: Duration,
    /// Making a cluster.
    pub provision: Duration,
    /// Installing the product.
    pub install: Duration,
    /// One scenario; its own limit still holds where it is nearer.
    pub scenario: Duration,
    /// Undoing what a scenario made.
    pub undo: Duration,
    /// Removing a cluster; kept back, never eaten by the other parts.
    pub teardown: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        Self {
            run: minutes(8 * 60),
            cell: minutes(120),
            provision: minutes(25),
            install: minutes(45),
            scenario: minutes(60),
            undo: minutes(5),
            teardown: minutes(15),
        }
    }
}

/// How a plan is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most clusters at a time.
    pub max_clusters: usize,
    /// Most servers at a time, all clusters together.
    pub max_servers: u32,
    /// Time limits.
    pub patience: Patience,
    /// How long after its request a lease may be removed by anybody.
    pub lease_lifetime: SignedDuration,
    /// Attempts at a cell when the environment is at fault before anything was examined.
    pub attempts: u32,
    /// Whether clusters outlive a failure.
    pub keep: Keep,
    /// The most that the run may cost, tax included. A run that is resumed keeps the one it was started with.
    pub budget: Option<Euros>,
    /// Leave the other scenarios of a cell after one that is not green.
    pub fail_fast_cell: bool,
    /// Stop the run after the first outcome that is not green.
    pub fail_fast_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_clusters: 4,
            max_servers: 20,
            patience: Patience::default(),
            lease_lifetime: SignedDuration::from_hours(4),
            attempts: 2,
            keep: Keep::Never,
            budget: None,
            fail_fast_cell: false,
            fail_fast_run: false,
        }
    }
}

impl Settings {
    /// Started hours that a lease can cost at most: work, teardown, and what is kept after a failure lives until it expires.
    #[must_use]
    pub fn lease_hours(&self) -> u64 {
        let released = (self.patience.cell + self.patience.teardown).as_secs();
        let kept = u64::try_from(self.lease_lifetime.as_secs()).unwrap_or(0);
        let seconds = match self.keep {
            Keep::Never => released,
            Keep::OnFailure => released.max(kept),
        };
        seconds.div_ceil(3600).max(1)
    }
}

/// Everything that a run is.
pub struct Job<P, I> {
    /// Who lends clusters.
    pub provider: P,
    /// Who installs.
    pub installer: I,
    /// The scenarios that exist.
    pub catalogue: &'static [Scenario],
    /// What to run.
    pub plan: Plan,
    /// Its name.
    pub run: RunId,
    /// Version of gsh.
    pub version: String,
    /// How real it is.
    pub evidence: Evidence,
    /// What it is made from, by digest.
    pub inputs: Vec<Input>,
    /// How to run it.
    pub settings: Settings,
    /// The clock that stamps events.
    pub now: fn() -> Timestamp,
    /// Notes to record at the start.
    pub notes: Vec<String>,
}
