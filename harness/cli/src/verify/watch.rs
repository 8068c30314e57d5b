//! `gsh-verify --watch`: goes on after the first look, and shows what changes.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture, join};
use gsh_engine::provider::Node;
use gsh_engine::stop::Stop;
use gsh_look::checks::{self, needs};
use gsh_look::outside::{self, Outside};
use gsh_look::standing::Change;
use gsh_look::{Case, Check, Kind, Live, Record, Seen, Standing, Standings, machine};
use gsh_model::event::CheckResult;
use gsh_model::exit::Exit;
use gsh_model::outcome::Blame;
use gsh_model::run::{CheckRecord, RunState};
use gsh_model::scenario::ScenarioSpec;
use gsh_providers::attached;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::args::{Shown, Verify};
use super::show::remedy;
use super::ssh::Ssh;
use super::target::{Target, balancer};
use crate::error::CliError;
use crate::terminal::say;

/// What belongs together comes within this: a Deployment, its pods, its Service.
const SETTLE: Duration = Duration::from_secs(1);

/// Watches until it is stopped. Gives the code of the last state.
pub(super) async fn watch(
    args: &Verify,
    target: &Target,
    ssh: Option<&Ssh>,
    chosen: &[ScenarioSpec],
    first: &RunState,
    stop: &Stop,
) -> Result<Exit, CliError> {
    let asked = |name: &str| chosen.iter().any(|s| s.id.as_str() == name);
    let (nodes, installation) = (asked("node-conformance"), asked("install-conformance"));
    let mut looked: Vec<&'static Check> = Vec::new();
    if nodes {
        looked.extend(checks::of_nodes());
    }
    if installation {
        looked.extend(checks::of_installation());
    }
    let every = Duration::from_secs(args.every);
    let mut standings = Standings::first(standings(first));
    // The first look asked all of this, and what it was told is what is followed.
    let mut kinds = needs(looked.iter().copied());
    if !kinds.contains(&Kind::ConfigMap) {
        // The record says what machines must be able to do.
        kinds.push(Kind::ConfigMap);
    }
    let mut live = Live::begin(&target.reader(), &target.found.namespace, &kinds, every).await;
    target.door.traffic.forget();
    if !args.quiet {
        say("watching; only changes are shown from here on, Ctrl-C ends it");
    }
    let mut tick = interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outside: Option<BoxFuture<'_, Vec<Seen>>> = None;
    loop {
        let seen = tokio::select! {
            () = stop.requested() => return Ok(standings.exit()),
            () = live.changed(SETTLE) => Vec::new(),
            _ = tick.tick() => {
                if outside.is_none() {
                    let (record, balancer) = (Record::of(live.sight()), balancer(live.sight()));
                    let site = installation.then(|| from_outside(args, target, record.clone(), balancer));
                    let machines = ssh.filter(|_| nodes).map(|ssh| {
                        by_ssh(ssh, live.sight().all(Kind::Node).filter_map(attached::machine).collect(), record)
                    });
                    let both = join(OptionFuture::from(site), OptionFuture::from(machines));
                    let all = both.map(|(site, machines)| [site, machines].into_iter().flatten().flatten().collect());
                    outside = Some(all.boxed());
                }
                Vec::new()
            }
            seen = ended(&mut outside) => {
                outside = None;
                seen
            }
        };
        for remark in live.remarks() {
            say(&format!("note: {remark}, every {} s", args.every));
        }
        // Whatever it was: news may have been taken in before something else was ready first, and certificates come to
        // their end by themselves.
        let changes = standings.take(judge(&live, &looked).into_iter().chain(seen));
        let now = Timestamp::now();
        for change in &changes {
            match args.format {
                Shown::Json => super::print(&one_line_of(&document(change, now)))?,
                Shown::Text | Shown::Junit | Shown::Markdown => super::print(&lines(change, now))?,
            }
        }
    }
}

fn judge(live: &Live, looked: &[&'static Check]) -> Vec<Seen> {
    let record = Record::of(live.sight());
    let case = Case { sight: live.sight(), record: &record, now: Timestamp::now() };
    looked.iter().map(|check| check.see(&case)).collect()
}

async fn from_outside(args: &Verify, target: &Target, record: Record, balancer: Option<std::net::IpAddr>) -> Vec<Seen> {
    let caller = target.caller(args, &record, balancer).await;
    outside::look(&Outside::of(&record, caller, Timestamp::now())).await
}

async fn by_ssh(ssh: &Ssh, nodes: Vec<Node>, record: Record) -> Vec<Seen> {
    machine::look(&ssh.inspected(nodes).await, &record).await
}

/// Ready when a look that was begun has ended; never when there is none.
async fn ended(look: &mut Option<BoxFuture<'_, Vec<Seen>>>) -> Vec<Seen> {
    match look {
        Some(look) => look.await,
        None => std::future::pending().await,
    }
}

/// How the checks of the first look stand.
fn standings(state: &RunState) -> impl Iterator<Item = (String, Standing)> {
    let attempts = state.cells.iter().flat_map(|c| &c.subjects).filter_map(|s| s.attempts.last());
    attempts.flat_map(|a| &a.checks).map(|check| (check.check.to_string(), standing(check)))
}

fn standing(check: &CheckRecord) -> Standing {
    match &check.result {
        CheckResult::Passed => Standing::Good,
        CheckResult::Skipped(reason) => Standing::Aside(reason.to_string()),
        CheckResult::Failed { blame: Blame::Product, finding } => {
            Standing::Bad { expected: finding.expected.clone(), observed: finding.observed.clone() }
        }
        CheckResult::Failed { blame: Blame::Environment | Blame::Harness, finding } => {
            Standing::Unknown(finding.observed.clone())
        }
    }
}

/// A change for people.
fn lines(change: &Change, now: Timestamp) -> String {
    let Change { code, title, is, .. } = change;
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ");
    match is {
        Standing::Good => format!("{time}  ok    {code}  {title}\n"),
        Standing::Aside(why) => format!("{time}  -     {code}  {title}: {why}\n"),
        Standing::Bad { expected, observed } => format!(
            "{time}  BAD   {code}  {title}\n        expected {expected}\n        observed {observed}\n        remedy   {}\n",
            remedy(code)
        ),
        Standing::Unknown(why) => {
            format!("{time}  ?     {code}  {title}\n        because  {why}\n        remedy   {}\n", remedy(code))
        }
    }
}

/// A change for programs.
fn document(change: &Change, now: Timestamp) -> Value {
    let Change { code, title, was, is } = change;
    let mut document = json!({
        "at": now, "check": code, "title": title, "was": was.as_ref().map(Standing::word), "is": is.word(),
    });
    match is {
        Standing::Good => {}
        Standing::Aside(why) => document["because"] = why.as_str().into(),
        Standing::Unknown(why) => {
            document["because"] = why.as_str().into();
            document["remedy"] = remedy(code).into();
        }
        Standing::Bad { expected, observed } => {
            document["expected"] = expected.as_str().into();
            document["observed"] = observed.as_str().into();
            document["remedy"] = remedy(code).into();
        }
    }
    json!({ "change": document })
}

fn one_line_of(document: &Value) -> String {
    format!("{document}\n")
}

/// A document of several lines in one.
///
/// # Errors
/// When it is none.
pub(super) fn one_line(document: &str) -> Result<String, CliError> {
    let parsed: Value = serde_json::from_str(document).map_err(|e| CliError::bug("a result is no JSON").because(&e))?;
    Ok(one_line_of(&parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_with_time_and_remedy() {
        let change = |was, is| Change {
            code: "GSH-LOOK-301".to_owned(),
            title: "every Deployment is available".to_owned(),
            was: Some(was),
            is,
        };
        let bad = || Standing::Bad { expected: "1 replica".to_owned(), observed: "dashboard: 0 of 1".to_owned() };
        let changes = [
            change(Standing::Good, bad()),
            change(bad(), Standing::Unknown("deployments cannot be listed: no answer".to_owned())),
            change(Standing::Good, Standing::Aside("only worth knowing: n1: it is cordoned".to_owned())),
            change(bad(), Standing::Good),
        ];
        let now = Timestamp::UNIX_EPOCH;
        insta::assert_snapshot!(changes.iter().map(|c| lines(c, now)).collect::<String>());
        insta::assert_snapshot!(changes.iter().map(|c| one_line_of(&document(c, now))).collect::<String>());
    }
}
