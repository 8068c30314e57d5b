//! The provider against emulators of what it talks to, from the API alone up to whole clusters.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cloud;
mod clusters;
mod community;
mod fault_grow;
mod fault_play;
mod fault_sites;
mod fault_source;
mod fault_table;
mod faults;
mod lease;
mod machines;
mod money;
mod schedules;
mod user_data;
mod warm;
