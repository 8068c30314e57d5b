//! Decisions as their callers see them.

mod covering;
mod explaining;
mod merging;
mod nights;
mod recorded;
mod selecting;
