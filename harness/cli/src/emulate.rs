//! `gsh emulate`: the embedded world as a server of its own.

use std::io::Write;

use gsh_engine::stop::Stop;
use gsh_fixtures::Embedded;
use gsh_model::exit::Exit;

use crate::args::Emulate;
use crate::error::CliError;
use crate::terminal::say;
use crate::wiring::embedded::spec;

/// Serves a world until a signal comes. The environment of the usual clients goes to stdout, ready to be sourced.
pub(crate) async fn emulate(args: &Emulate) -> Result<Exit, CliError> {
    let world = Embedded::start(spec(args.world.as_deref())?, args.at())
        .await
        .map_err(|e| CliError::inconclusive("the embedded world cannot start").because(&e))?;
    let endpoint = world.endpoint();
    let lines = format!(
        "export HCLOUD_ENDPOINT={endpoint}\nexport HETZNER_ENDPOINT={endpoint}\nexport HCLOUD_TOKEN={}\n",
        world.token()
    );
    {
        let mut out = std::io::stdout().lock();
        out.write_all(lines.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| CliError::inconclusive("cannot write").because(&e))?;
    }
    for (port, real) in world.moved_ports() {
        say(&format!("note: port {port} cannot be bound here and is {real} instead"));
    }
    say("the emulated cloud is ready; end it with Ctrl-C");
    let stop = Stop::new();
    let signals = tokio::spawn(crate::signals::listen(stop.clone()));
    stop.requested().await;
    signals.abort();
    world.end().await.map_err(|e| CliError::inconclusive("cannot write what the world file asks for").because(&e))?;
    Ok(Exit::Pass)
}
