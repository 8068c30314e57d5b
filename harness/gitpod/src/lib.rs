//! Installs Gitpod and talks to it: the installer's port, the client of ws-manager, the HTTPS front, commands inside
//! workspaces, and probes that look at stores and networks from inside of the cluster.
//!
//! Nothing here knows who lent the cluster, and nothing here knows whether the world outside is emulated.

pub mod blame;
pub mod certificate;
pub mod exec;
pub mod http;
#[cfg(test)]
mod http_tests;
pub mod install;
pub mod leftovers;
pub mod observed;
pub mod probe;
mod pull;
pub mod settings;
pub mod stores;
mod streams;
pub mod wsman;

pub use certificate::GivenCertificate;
pub use install::GitpodInstaller;
pub use settings::{Patience, Settings};
