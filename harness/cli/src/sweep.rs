//! `gsh sweep`: removes what runs left in the account.
//!
//! The first signal lets it finish the lease at hand and begin no other one, a second one ends that too. Either way the account
//! is listed once more: what counts is what is there.

use std::io::Write;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::FoundLease;
use gsh_engine::stop::Stop;
use gsh_engine::sweep::{Which, list, sweep as reclaim};
use gsh_model::exit::Exit;
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_providers::{Access, HetznerProvider, Spending, Weight};
use jiff::Timestamp;
use serde::Serialize;

use crate::args::{self, ProviderName, SweepFormat};
use crate::error::CliError;
use crate::signals::Listening;
use crate::wiring;

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How long the last look at the account may take.
const CLOSING: Duration = Duration::from_secs(3 * 60);

/// What `--format json` prints, once, at the end.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    dry_run: bool,
    leases: Vec<Lease>,
    snapshots: Vec<Snapshot>,
    /// What is there afterwards of all that; absent where nothing was to be removed, or where the account could not be listed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Vec<Resource>>,
}

#[derive(Debug, Serialize)]
struct Lease {
    run: RunId,
    lease: LeaseId,
    expires: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    resources: Vec<Resource>,
    #[serde(flatten)]
    fate: Fate,
}

#[derive(Debug, Serialize)]
struct Snapshot {
    snapshot: Resource,
    #[serde(flatten)]
    fate: Fate,
}

/// What became of something that was found.
#[derive(Debug, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
enum Fate {
    /// Nothing was done about it: only a list was asked for, or a signal came first.
    Listed,
    /// It is gone, with what its cluster had made for itself.
    Removed { removed: Vec<Resource> },
    /// Something of it stays.
    Kept { failure: String },
}

/// Lists, then removes.
pub(crate) async fn sweep(args: &args::Sweep) -> Result<Exit, CliError> {
    // A world that this process starts has nothing to remove: whoever names no provider means the cloud, and must not be told
    // that nothing is left there because a token is missing.
    let provider = args.account.provider.or(Some(ProviderName::Hetzner));
    let stop = Stop::new();
    let _signals = Listening::to(&stop);
    let cx = Cx::unrecorded(stop, PATIENCE);
    let account = wiring::account(&args::Account { provider, ..args.account.clone() }).await?;
    let which = match &args.run {
        Some(run) => Which::Run(run.clone()),
        None => Which::ExpiredAt(Timestamp::now()),
    };
    let provider = account.provider(wiring::ClusterSettings::default(), Spending::Free)?;
    let access = if args.dry_run { Access::Read } else { Access::Write };
    // Who is wrong about the account is told at once. Trouble that may pass is waited for as with every other request.
    let survey = provider.access(&cx, access).await;
    if survey.blocker().is_some_and(|b| b.weight == Weight::Wrong) {
        account.end().await;
        return crate::doctor::refuse(&survey).map(|()| Exit::Pass);
    }
    let (found, mut report) = look(&cx, &provider, &which, args.dry_run).await?;
    let out = Out(args.format);
    show(&out, &report)?;
    let result = match args.dry_run || (found.is_empty() && report.snapshots.is_empty()) {
        true => Ok(Exit::Pass),
        false => remove(&cx, &provider, &which, found, &mut report, &out).await,
    };
    out.end(&report)?;
    account.end().await;
    result
}

async fn look(
    cx: &Cx,
    provider: &HetznerProvider,
    which: &Which,
    dry_run: bool,
) -> Result<(Vec<FoundLease>, Report), CliError> {
    let failed = |f: Failure| match f.stopped {
        true => CliError::inconclusive("stopped by a signal before anything was removed"),
        false => CliError::inconclusive("cannot list the account").because(&f),
    };
    let found = list(cx, provider, which).await.map_err(failed)?;
    let snapshots = match which {
        Which::Run(_) => Vec::new(),
        Which::ExpiredAt(now) => provider.expired_snapshots(cx, *now).await.map_err(failed)?,
    };
    let leases = found.iter().cloned().map(|FoundLease { run, lease, expires, owner, resources }| Lease {
        run,
        lease,
        expires,
        owner,
        resources,
        fate: Fate::Listed,
    });
    let report = Report {
        schema: "gsh.sweep/v1",
        dry_run,
        leases: leases.collect(),
        snapshots: snapshots.into_iter().map(|snapshot| Snapshot { snapshot, fate: Fate::Listed }).collect(),
        left: None,
    };
    Ok((found, report))
}

fn show(out: &Out, report: &Report) -> Result<(), CliError> {
    for lease in &report.leases {
        let owner = lease.owner.as_ref().map(|owner| format!(" of {owner}")).unwrap_or_default();
        out.say(format!("{} of run {}{owner}, expires {}", lease.lease, lease.run, lease.expires))?;
        for resource in &lease.resources {
            out.say(format!("  {}", priced(resource)))?;
        }
    }
    for one in &report.snapshots {
        out.say(format!("{}, expired", one.snapshot))?;
    }
    if report.leases.is_empty() && report.snapshots.is_empty() {
        out.say("nothing to remove".to_owned())?;
    }
    Ok(())
}

async fn remove(
    cx: &Cx,
    provider: &HetznerProvider,
    which: &Which,
    found: Vec<FoundLease>,
    report: &mut Report,
    out: &Out,
) -> Result<Exit, CliError> {
    for (one, shown) in found.into_iter().zip(&mut report.leases) {
        let lease = one.lease.clone();
        let Some(swept) = reclaim(cx, provider, vec![one]).await.pop() else {
            out.say(format!("{lease}: not begun, stopped by a signal"))?;
            continue;
        };
        shown.fate = match swept.result {
            Ok(removed) => {
                out.say(format!("{lease}: removed {} resources", removed.len()))?;
                Fate::Removed { removed }
            }
            Err((left, failure)) => {
                out.say(format!("{lease}: not removed: {failure}"))?;
                for resource in left {
                    out.say(format!("  left: {}", priced(&resource)))?;
                }
                Fate::Kept { failure: failure.to_string() }
            }
        };
    }
    for Snapshot { snapshot, fate } in &mut report.snapshots {
        if cx.stop().is_requested() {
            out.say(format!("{snapshot}: not begun, stopped by a signal"))?;
            continue;
        }
        *fate = match provider.remove_snapshot(&cx.teardown(cx.left()), snapshot).await {
            Ok(()) => {
                out.say(format!("{snapshot}: removed"))?;
                Fate::Removed { removed: vec![snapshot.clone()] }
            }
            Err(failure) => {
                out.say(format!("{snapshot}: not removed: {failure}"))?;
                Fate::Kept { failure: failure.to_string() }
            }
        };
    }
    // What counts is not what we did but what is there now.
    let there = list(&cx.teardown(CLOSING), provider, which).await.map_err(|f| match f.stopped {
        true => {
            CliError::inconclusive("stopped by a second signal, so nothing is proved").hint("run the same sweep again")
        }
        false => CliError::inconclusive("the account cannot be listed again, so nothing is proved").because(&f),
    })?;
    let kept = report.snapshots.iter().filter(|s| !matches!(s.fate, Fate::Removed { .. })).map(|s| s.snapshot.clone());
    let left: Vec<Resource> = there.into_iter().flat_map(|l| l.resources).chain(kept).collect();
    let exit = if left.is_empty() {
        out.say("nothing is left".to_owned())?;
        Exit::Pass
    } else {
        let (n, euros) = (left.len(), crate::terminal::a_month(&left));
        out.say(format!("{n} resources are left; those with a price cost {euros} EUR a month, net"))?;
        Exit::Leftovers
    };
    report.left = Some(left);
    Ok(exit)
}

/// Standard output: line by line for people, one document for programs.
struct Out(SweepFormat);

impl Out {
    fn say(&self, line: String) -> Result<(), CliError> {
        match self.0 {
            SweepFormat::Text => write(&line),
            SweepFormat::Json => Ok(()),
        }
    }

    fn end(&self, report: &Report) -> Result<(), CliError> {
        match self.0 {
            SweepFormat::Text => Ok(()),
            SweepFormat::Json => {
                let text = serde_json::to_string_pretty(report)
                    .map_err(|e| CliError::bug("what was swept cannot be written down").because(&e))?;
                write(&text)
            }
        }
    }
}

fn write(text: &str) -> Result<(), CliError> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|e| CliError::inconclusive("cannot write").because(&e))
}

/// A resource with its price.
fn priced(resource: &Resource) -> String {
    match resource.cents_per_month {
        Some(cents) => format!("{resource}, {}.{:02} EUR a month", cents / 100, cents % 100),
        None => resource.to_string(),
    }
}
