//! `gsh emulate`: the embedded world as a server of its own.

use std::io::Write;

use gsh_engine::stop::Stop;
use gsh_model::exit::Exit;

use crate::args::Emulate;
use crate::error::CliError;
use crate::installed;
use crate::signals::Listening;
use crate::terminal::say;
use crate::wiring::embedded::{self, spec};

/// Serves a world until a signal comes. The environment of the usual clients goes to stdout, ready to be sourced.
pub(crate) async fn emulate(args: &Emulate) -> Result<Exit, CliError> {
    let cell = installed::cell(&args.cell)?;
    let mut spec = spec(args.world.as_deref())?;
    spec.seed = args.seed.unwrap_or(spec.seed);
    spec.hetzner.latency_ms = args.latency.unwrap_or(spec.hetzner.latency_ms);
    spec.hetzner.virtual_time |= args.virtual_time;
    if let Some(file) = &args.request_log {
        // Before anything is served: a log that cannot be written is an error in the arguments.
        std::fs::File::create(file)
            .map_err(|e| CliError::usage(format!("cannot write the log `{}`", file.display())).because(&e))?;
        spec.requests_to = Some(file.clone());
    }
    let world = embedded::start(spec, args.at()).await?;
    let endpoint = world.endpoint();
    let stop = Stop::new();
    let _signals = Listening::to(&stop);
    let lines = format!(
        "export HCLOUD_ENDPOINT={endpoint}\nexport HETZNER_ENDPOINT={endpoint}\nexport HCLOUD_TOKEN={}\n",
        world.token()
    );
    print(&lines)?;
    for (port, real) in world.moved_ports() {
        say(&format!("note: port {port} cannot be bound here and is {real} instead"));
    }
    let account = embedded::of(world, installed::locations())?;
    if let Some(kubeconfig) = &args.installed {
        match installed::bring_up(&account, &cell, &stop, kubeconfig).await {
            Ok(lines) => print(&lines)?,
            Err(e) => {
                account.end().await;
                return Err(e);
            }
        }
    }
    say("the emulated cloud is ready; end it with Ctrl-C");
    stop.requested().await;
    account.end().await;
    Ok(Exit::Pass)
}

fn print(lines: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| CliError::inconclusive("cannot write").because(&e))
}
