//! Reports: pure functions of a folded run. Nothing here reads a clock, a file or the network.

pub mod cause;
pub mod format;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod text;
