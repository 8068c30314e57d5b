//! Decisions as their callers see them.

mod merging;
mod recorded;
