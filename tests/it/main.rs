//! Journeys of the real program: every test runs `gsh` as a user would, against a world of its own.

mod account;
mod blame;
mod death;
mod defects;
mod docs;
mod emulate;
mod exhaustive;
mod gate;
mod input;
mod intrusive;
mod journey;
mod machines;
mod manual;
mod money;
mod outside;
mod pipeline;
mod planning;
mod program;
mod reading;
mod secrets;
mod stopping;
mod sweep;
mod unprivileged;
mod verify;
mod watch;
mod worlds;
