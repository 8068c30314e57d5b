//! Whose fault it is, door by door: the very decisions that making a cluster takes, open to the labelled corpus of failures
//! (`tests/it/failures.toml`). Nothing here decides anything itself.

use gsh_engine::failure::Failure;
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;

use crate::hetzner::error::{ApiError, Trouble};
use crate::k3s::boot;
use crate::k3s::classify::classify;

fn of(trouble: Trouble) -> Blame {
    ApiError::silent("POST /servers", trouble).failure("a server").blame
}

/// Of a refusal by the cloud's API.
#[must_use]
pub fn refusal(status: u16, code: &str, message: &str) -> Blame {
    of(Trouble::Refused { status, code: code.to_owned(), message: message.to_owned(), details: Vec::new() })
}

/// Of an action that ended in an error.
#[must_use]
pub fn action(command: &str, code: &str, message: &str) -> Blame {
    of(Trouble::Action { command: command.to_owned(), code: code.to_owned(), message: message.to_owned() })
}

/// Of a unit of k3s that does not become active, by its journal.
#[must_use]
pub fn unit(template: Template, journal: &str) -> Blame {
    boot::unit_blame(template, classify(journal).0)
}

/// Of cloud-init's own errors, with the last line of its output.
#[must_use]
pub fn cloud_init(template: Template, errors: &str, output: &str) -> Blame {
    let ours = boot::blame_of(template, Blame::Harness);
    let failure =
        Failure::new(ours, "GSH-NODE-005", "cloud-init without errors", format!("cloud-init failed: {errors}"));
    boot::outside(failure.cause(output)).blame
}
