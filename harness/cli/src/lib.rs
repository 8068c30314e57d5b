//! Arguments, wiring, terminal, errors: the only crate that prints.

mod args;
mod args_plan;
mod doctor;
#[cfg(feature = "embedded")]
mod emulate;
mod env;
mod error;
mod evidence;
mod explain;
mod gate;
mod given;
mod gsh;
mod history;
mod inputs;
#[cfg(feature = "embedded")]
mod installed;
#[cfg(feature = "embedded")]
mod joining;
mod plan;
mod read;
mod replay;
mod report;
mod resume;
mod run;
mod schema;
mod seal;
mod settings;
mod signals;
mod sweep;
mod terminal;
mod verify;
mod whole;
mod wiring;

use std::process::ExitCode;

/// Programs for musl bring an allocator: its own is slow with several threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the program `gsh` and gives its exit code.
#[must_use]
pub fn gsh() -> ExitCode {
    gsh::main().into()
}

/// Runs the program `gsh-verify` and gives its exit code.
#[must_use]
pub fn gsh_verify() -> ExitCode {
    verify::main().into()
}
