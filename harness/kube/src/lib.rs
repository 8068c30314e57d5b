//! The API of a cluster, as providers and the product's client use it: requests in terms of plain JSON objects, and following
//! of objects. Knows no vendor and no Gitpod.

pub mod api;
pub mod follow;
#[cfg(test)]
mod follow_tests;
