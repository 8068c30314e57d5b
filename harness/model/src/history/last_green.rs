//! The last time that everything was green: what a reader compares tonight with.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{History, RunSummary};
use crate::exit::Exit;

/// Shards of one plan that began within so many hours are of one night; a plan may be run again the next.
const NIGHT: i64 = 18;

impl History {
    /// The latest run that passed as a whole; of a plan that was divided, all shards of that night that are here, of a
    /// repeated one the last. Nothing when no run did.
    #[must_use]
    pub fn last_green(&self) -> Vec<&RunSummary> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for run in self.runs.iter().rev() {
            if seen.contains(run.run.as_str()) {
                continue;
            }
            let (night, repeated) = self.night_of(run);
            if night.iter().all(|r| r.exit == Exit::Pass as u8) {
                return night;
            }
            seen.extend(night.iter().chain(&repeated).map(|r| r.run.as_str()));
        }
        Vec::new()
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
