//! Talking to ws-manager: the only home of the gRPC library on the harness' side.
//!
//! Workspaces are started here directly, without user, login or database, as Gitpod's own load generator does.

mod client;
pub(crate) mod error;
mod ids;
mod launch;
mod tunnel;
pub(crate) mod watcher;
pub(crate) mod workspace;

#[cfg(test)]
mod server_tests;

pub use client::{Statuses, WsManager};
pub use error::{ErrorKind, WsmanError};
pub use ids::workspace_id;
pub use launch::Launch;
pub(crate) use launch::RUN_ANNOTATION;
pub use workspace::{Running, Started, Workspace};
