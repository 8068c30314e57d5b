//! Hetzner Cloud: machines, network, firewall, load balancers, labels. Only home of the Hetzner library, which is used to
//! build requests; answers are read by [`wire`], because the library's own decoding loses the whole answer when one field
//! is new.

mod acquire;
mod actions;
mod api;
mod catalogue;
mod choice;
mod config;
mod create;
pub(crate) mod error;
mod governor;
mod labels;
mod machines;
mod meter;
mod prices;
mod provider;
mod release;
mod requests;
mod retry;
mod state;
mod strangers;
mod survey;
mod survey_access;
mod survey_catalogue;
mod topology;
mod warm;
mod wire;

pub use config::{Cores, HetznerConfig, MachineChoice, Pace, Patience, Spending, Unusable, WarmStart, usable};
pub use prices::Which;
pub use provider::HetznerProvider;
pub use survey::{Asked, Finding, Survey, Weight};
pub use survey_access::Access;
