//! The pipeline files that repositories copy, run job by job on the embedded world: shards are processes of their own that
//! share nothing but artifacts.

mod api;
mod github;
mod gitlab;
mod indexed_job;
mod repository;
mod runner;
mod workflow;

pub(crate) use repository::{copy, git};
