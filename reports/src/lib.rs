//! Reports: pure functions of a folded run. Nothing here reads a clock, a file or the network.

pub mod beside;
pub mod cause;
pub mod change;
pub mod ctrf;
pub mod format;
pub mod github;
pub mod history_html;
pub mod html;
pub mod json;
pub mod junit;
pub mod mark;
pub mod markdown;
pub mod past;
pub mod remaining;
pub mod text;
