//! Runs a plan. Knows no vendor, no Gitpod and no report.

pub mod artifacts;
pub mod bench;
pub mod cell;
pub mod cx;
pub mod failure;
pub mod installer;
pub mod job;
pub mod ledger;
pub mod provider;
pub mod reach;
mod release;
pub mod run;
mod scribe;
pub mod secret;
pub mod stop;
pub mod sweep;
mod till;
pub mod wait;

/// A boxed future, for the few places where a function pointer must return one.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
