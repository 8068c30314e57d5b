//! `gsh sweep`: removes what runs left in the account.

use std::io::Write;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::stop::Stop;
use gsh_engine::sweep::{Which, list, sweep as reclaim};
use gsh_model::exit::Exit;
use gsh_model::lease::Resource;
use gsh_providers::Spending;
use jiff::Timestamp;

use crate::args;
use crate::error::CliError;
use crate::signals::Listening;
use crate::wiring;

/// Lists, then removes.
pub(crate) async fn sweep(args: &args::Sweep) -> Result<Exit, CliError> {
    let account = wiring::account(&args.account).await?;
    let stop = Stop::new();
    let _signals = Listening::to(&stop);
    let cx = Cx::unrecorded(stop, Duration::from_secs(30 * 60));
    let which = match &args.run {
        Some(run) => Which::Run(run.clone()),
        None => Which::ExpiredAt(Timestamp::now()),
    };
    let provider = account.provider(wiring::ClusterSettings::default(), Spending::Free)?;
    let found = list(&cx, &provider, &which)
        .await
        .map_err(|f| CliError::inconclusive("cannot list the account").because(&f))?;
    let mut out = std::io::stdout().lock();
    let mut say =
        |text: String| writeln!(out, "{text}").map_err(|e| CliError::inconclusive("cannot write").because(&e));
    for lease in &found {
        say(format!("{} of run {}, expires {}", lease.lease, lease.run, lease.expires))?;
        for resource in &lease.resources {
            say(format!("  {}", priced(resource)))?;
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
        return Ok(Exit::Pass);
    }
    for swept in reclaim(&cx, &provider, found).await {
        match swept.result {
            Ok(removed) => say(format!("{}: removed {} resources", swept.found.lease, removed.len()))?,
            Err((left, failure)) => {
                say(format!("{}: not removed: {failure}", swept.found.lease))?;
                for resource in left {
                    say(format!("  left: {}", priced(&resource)))?;
                }
            }
        }
    }
    let mut kept = 0_usize;
    for snapshot in snapshots {
        match provider.remove_snapshot(&cx, &snapshot).await {
            Ok(()) => say(format!("{snapshot}: removed"))?,
            Err(failure) => {
                kept += 1;
                say(format!("{snapshot}: not removed: {failure}"))?;
            }
        }
    }
    // What counts is not what we did but what is there now.
    let left = list(&cx, &provider, &which)
        .await
        .map_err(|f| CliError::inconclusive("the account cannot be listed again, so nothing is proved").because(&f))?;
    let left: Vec<Resource> = left.into_iter().flat_map(|l| l.resources).collect();
    let exit = if left.is_empty() && kept == 0 {
        say("nothing is left".to_owned())?;
        Exit::Pass
    } else {
        say(format!(
            "{} resources are left; those with a price cost {} EUR a month, net",
            left.len() + kept,
            a_month(&left)
        ))?;
        Exit::Leftovers
    };
    Ok(exit)
}

/// A resource with its price.
fn priced(resource: &Resource) -> String {
    match resource.cents_per_month {
        Some(cents) => format!("{resource}, {}.{:02} EUR a month", cents / 100, cents % 100),
        None => resource.to_string(),
    }
}

/// What resources cost together in a month, net.
pub(crate) fn a_month(left: &[Resource]) -> String {
    let cents: u64 = left.iter().filter_map(|r| r.cents_per_month).sum();
    format!("{}.{:02}", cents / 100, cents % 100)
}
