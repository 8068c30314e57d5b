//! Arguments, wiring, terminal, errors: the only crate that prints.

mod args;
mod env;
mod error;
mod gsh;
mod report;
mod signals;
mod sweep;
mod terminal;
#[cfg(feature = "embedded")]
mod emulate;
mod plan;
mod run;
mod wiring;

use std::process::ExitCode;

/// Runs the program `gsh` and gives its exit code.
#[must_use]
pub fn gsh() -> ExitCode {
    gsh::main().into()
}
