//! Decisions as their callers see them.

mod covering;
mod merging;
mod recorded;
mod selecting;
