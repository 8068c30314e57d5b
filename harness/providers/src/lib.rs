//! Who lends clusters: Hetzner Cloud machines and the k3s on them, or somebody who already has one.
//!
//! [`attached`] lends what is there and destroys nothing.
//! [`hetzner`] orders machines, networks and load balancers and removes them again, by label. [`k3s`] says what a machine
//! must do to become a node, watches it doing so, and gives every way to fail a code of its own.

pub mod attached;
pub mod blame;
mod connection;
pub mod hetzner;
pub mod k3s;

pub use hetzner::{
    Access, Asked, Cores, Finding, HetznerConfig, HetznerProvider, MachineChoice, Pace, Patience, Spending, Survey,
    Unusable, WarmStart, Weight, Which, usable,
};
