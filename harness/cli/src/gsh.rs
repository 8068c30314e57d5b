//! `gsh`: from arguments to an exit code.

use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser};
use gsh_model::exit::Exit;

use crate::args::{Command, Gsh, ProgramName};
use crate::error::CliError;
use crate::verify::args::Verify;

/// Runs the program.
pub(crate) fn main() -> Exit {
    let args = match Gsh::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version go to stdout and are no error; when printing fails nobody listens.
            let _nobody = e.print();
            return if e.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    start_log(args.verbose);
    let result = match &args.command {
        Command::Plan(plan) => crate::plan::plan(plan),
        Command::Explain(explain) => crate::explain::explain(explain),
        Command::History(history) => crate::history::history(&history.command),
        Command::Gate(gate) => crate::gate::gate(gate),
        Command::Report(report) => crate::report::report(report),
        Command::Replay(replay) => crate::replay::replay(replay, &args),
        Command::Schema { name } => crate::schema::schema(*name),
        Command::Completions { shell, program } => {
            let mut program = match program {
                ProgramName::Gsh => Gsh::command(),
                ProgramName::GshVerify => Verify::command(),
            };
            let name = program.get_name().to_owned();
            clap_complete::generate(*shell, &mut program, name, &mut std::io::stdout());
            Ok(Exit::Pass)
        }
        Command::Man { dir } => man(dir.as_deref()),
        Command::Run(run) => with_runtime(crate::run::run(run, &args)),
        Command::Doctor(doctor) => with_runtime(crate::doctor::doctor(doctor)),
        Command::Sweep(sweep) => with_runtime(crate::sweep::sweep(sweep)),
        #[cfg(feature = "embedded")]
        Command::Emulate(emulate) => with_runtime(crate::emulate::emulate(emulate)),
    };
    result.unwrap_or_else(|e| e.report())
}

/// The manual: the page of `gsh` to standard output, or one page per command of both programs into a folder.
fn man(dir: Option<&Path>) -> Result<Exit, CliError> {
    let written = match dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Gsh::command(), dir))
            .and_then(|()| clap_mangen::generate_to(Verify::command(), dir)),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Gsh::command()).render(&mut page).and_then(|()| std::io::stdout().write_all(&page))
        }
    };
    written.map_err(|e| {
        let place = dir.map_or_else(|| "standard output".to_owned(), |d| format!("`{}`", d.display()));
        CliError::inconclusive(format!("cannot write the manual to {place}")).because(&e)
    })?;
    Ok(Exit::Pass)
}

pub(crate) fn with_runtime(work: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::inconclusive("cannot start").because(&e))?;
    runtime.block_on(work)
}

/// Logs are for debugging, go to stderr, and are never parsed.
pub(crate) fn start_log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "gsh=info,gsh_engine=info,gsh_providers=debug,gsh_gitpod=debug,gsh_ssh=info",
        _ => "debug",
    };
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();
}
