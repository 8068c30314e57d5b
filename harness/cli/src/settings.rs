//! How a run is run: arguments, and the time limits of its matrix.

use std::time::Duration;

use gsh_engine::job::{Keep, Patience, Settings};
use gsh_model::budget::Euros;
use gsh_model::matrix;
use gsh_providers::Spending;
use jiff::SignedDuration;

use crate::args::{self, FailFast, KeepName};

/// Settings as the arguments of a run want them.
pub(crate) fn settings(args: &args::Run, given: matrix::Patience, budget: Option<Euros>) -> Settings {
    Settings {
        max_clusters: args.room.max_clusters as usize,
        max_servers: args.room.max_servers,
        attempts: args.attempts,
        keep: match args.keep {
            KeepName::Never => Keep::Never,
            KeepName::OnFailure => Keep::OnFailure,
        },
        budget,
        fail_fast_cell: args.fail_fast == Some(FailFast::Cell),
        fail_fast_run: args.fail_fast == Some(FailFast::Run),
        ..limits(given)
    }
}

/// Settings with the time limits of a matrix, and all else as usual.
pub(crate) fn limits(given: matrix::Patience) -> Settings {
    Settings { patience: patience(given), lease_lifetime: lifetime(given), ..Settings::default() }
}

/// A budget must know beforehand what a cell can cost at most.
pub(crate) fn spending(settings: &Settings) -> Spending {
    if settings.budget.is_some() { Spending::Bounded } else { Spending::Free }
}

fn patience(given: matrix::Patience) -> Patience {
    let or = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_secs);
    let default = Patience::default();
    Patience {
        run: or(given.run, default.run),
        cell: or(given.cell, default.cell),
        provision: or(given.provision, default.provision),
        install: or(given.install, default.install),
        scenario: or(given.scenario, default.scenario),
        undo: default.undo,
        teardown: or(given.teardown, default.teardown),
    }
}

/// A lease outlives its cell and its teardown, with an hour to spare for a slow closing.
fn lifetime(given: matrix::Patience) -> SignedDuration {
    let patience = patience(given);
    let cell = SignedDuration::try_from(patience.cell + patience.teardown).unwrap_or(SignedDuration::from_hours(4));
    cell + SignedDuration::from_hours(1)
}
