//! `gsh sweep`: removes what runs left in the account.

use std::io::Write;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::stop::Stop;
use gsh_engine::sweep::{Which, list, sweep as reclaim};
use gsh_model::exit::Exit;
use jiff::Timestamp;

use crate::args;
use crate::error::CliError;
use crate::wiring;

/// Lists, then removes.
pub(crate) async fn sweep(args: &args::Sweep) -> Result<Exit, CliError> {
    let account = wiring::account(&args.account).await?;
    let stop = Stop::new();
    let signals = tokio::spawn(crate::signals::listen(stop.clone()));
    let cx = Cx::unrecorded(stop, Duration::from_secs(30 * 60));
    let which = match &args.run {
        Some(run) => Which::Run(run.clone()),
        None => Which::ExpiredAt(Timestamp::now()),
    };
    let provider = account.provider(wiring::ClusterSettings::default())?;
    let found = list(&cx, &provider, &which)
        .await
        .map_err(|f| CliError::inconclusive("cannot list the account").because(&f))?;
    let mut out = std::io::stdout().lock();
    let mut say =
        |text: String| writeln!(out, "{text}").map_err(|e| CliError::inconclusive("cannot write").because(&e));
    for lease in &found {
        say(format!("{} of run {}, expires {}", lease.lease, lease.run, lease.expires))?;
        for resource in &lease.resources {
            say(format!("  {resource}"))?;
        }
    }
    let snapshots = match &which {
        Which::Run(_) => Vec::new(),
        Which::ExpiredAt(now) => provider
            .expired_snapshots(&cx, *now)
            .await
            .map_err(|f| CliError::inconclusive("cannot list the account").because(&f))?,
    };
    for snapshot in &snapshots {
        say(format!("{snapshot}, expired"))?;
    }
    if found.is_empty() && snapshots.is_empty() {
        say("nothing to remove".to_owned())?;
    }
    if args.dry_run || (found.is_empty() && snapshots.is_empty()) {
        signals.abort();
        return Ok(Exit::Pass);
    }
    let mut exit = Exit::Pass;
    for swept in reclaim(&cx, &provider, found).await {
        match swept.result {
            Ok(removed) => say(format!("{}: removed {} resources", swept.found.lease, removed.len()))?,
            Err((left, failure)) => {
                exit = Exit::Leftovers;
                say(format!("{}: not removed: {failure}", swept.found.lease))?;
                for resource in left {
                    say(format!("  left: {resource}"))?;
                }
            }
        }
    }
    for snapshot in snapshots {
        match provider.remove_snapshot(&cx, &snapshot).await {
            Ok(()) => say(format!("{snapshot}: removed"))?,
            Err(failure) => {
                exit = Exit::Leftovers;
                say(format!("{snapshot}: not removed: {failure}"))?;
            }
        }
    }
    signals.abort();
    Ok(exit)
}
