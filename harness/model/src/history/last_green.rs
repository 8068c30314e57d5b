//! The last time that everything was green: what a reader compares tonight with. And the nights of which a part is not here,
//! which nobody may take for green.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{History, RunSummary};
use crate::exit::Exit;
use crate::shard::ShardId;

/// Shards of one plan that began within so many hours are of one night; a plan may be run again the next.
const NIGHT: i64 = 18;

/// One run; of a plan that was divided all shards of a night that are here, of a repeated one the last.
struct Night<'a>(Vec<&'a RunSummary>);

impl Night<'_> {
    /// Shards of the plan of which there is no summary. Summaries of older versions do not say which shards there are.
    fn missing(&self) -> Vec<ShardId> {
        let here: BTreeSet<ShardId> = self.0.iter().filter_map(|r| r.shard).collect();
        let planned: BTreeSet<ShardId> = self.0.iter().flat_map(|r| r.shards.iter().copied()).collect();
        planned.difference(&here).copied().collect()
    }
}

impl History {
    /// The latest run that passed as a whole; of a plan that was divided, all shards of that night, of a repeated one the
    /// last. Nothing when no run did. A night of which a shard is missing has not passed: nobody knows what that shard saw.
    #[must_use]
    pub fn last_green(&self) -> Vec<&RunSummary> {
        let green =
            |night: &Night<'_>| night.0.iter().all(|r| r.exit == Exit::Pass as u8) && night.missing().is_empty();
        self.nights().into_iter().find(green).map(|night| night.0).unwrap_or_default()
    }

    /// Nights of divided plans of which shards were never added: the last run of each that is here, and those shards; the
    /// latest night first.
    #[must_use]
    pub fn incomplete_nights(&self) -> Vec<(&RunSummary, Vec<ShardId>)> {
        let nights = self.nights().into_iter().filter_map(|night| Some((*night.0.last()?, night.missing())));
        nights.filter(|(_, missing)| !missing.is_empty()).collect()
    }

    /// Every night, the latest first.
    fn nights(&self) -> Vec<Night<'_>> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut nights = Vec::new();
        for run in self.runs.iter().rev() {
            if seen.contains(run.run.as_str()) {
                continue;
            }
            let (night, repeated) = self.night_of(run);
            seen.extend(night.iter().chain(&repeated).map(|r| r.run.as_str()));
            nights.push(Night(night));
        }
        nights
    }

    /// A run and, where it is a shard, the others of its night that began before it; and those that were repeated.
    fn night_of<'a>(&'a self, last: &'a RunSummary) -> (Vec<&'a RunSummary>, Vec<&'a RunSummary>) {
        if last.shard.is_none() {
            return (vec![last], Vec::new());
        }
        let begins = last.started - SignedDuration::from_hours(NIGHT);
        let plan = |r: &RunSummary| r.inputs.get("plan").cloned();
        let mut shards = BTreeSet::new();
        let of_night = |r: &&RunSummary| r.started >= begins && r.shard.is_some() && plan(r) == plan(last);
        let newest_first = self.runs.iter().rev().skip_while(|r| r.run != last.run);
        let (mut night, repeated): (Vec<_>, Vec<_>) =
            newest_first.filter(of_night).partition(|r| shards.insert(r.shard));
        night.reverse();
        (night, repeated)
    }
}
