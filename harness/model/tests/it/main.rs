//! Decisions as their callers see them.

mod covering;
mod merging;
mod nights;
mod recorded;
mod selecting;
