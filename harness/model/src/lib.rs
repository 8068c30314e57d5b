//! Words and decisions of gsh.
//!
//! Everything here is a plain value or a pure function: no async, no input or output, no clock and no
//! randomness. What happens in the outside world arrives as [`event::Event`]s and is folded into a
//! [`run::RunState`]; everything people read is derived from that.

pub mod axis;
pub mod budget;
pub mod check;
pub mod cover;
pub mod event;
pub mod exit;
pub mod explain;
pub mod history;
pub mod input;
pub mod lease;
pub mod matrix;
pub mod merge;
pub mod outcome;
pub mod plan;
pub mod rules;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod select;
pub mod shard;
pub mod stores;
pub mod tonight;
pub mod tuple;
