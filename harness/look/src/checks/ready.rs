//! Whether what was installed is ready: by name, and pods by what holds them up.

use gsh_gitpod::install::judge::{self, State};
use gsh_gitpod::install::trouble;
use serde_json::Value;

use super::{Case, Check, Severity, Verdict, has_ended, is_workspace, of_a_job, takes_workspaces};
use crate::reader::Kind;
use crate::sight::{list, name};

/// Restarts of one container after which waiting for it is pointless.
const CRASHES: u64 = 3;
/// Restarts of one container after which somebody should look.
const RESTARTS: u64 = 10;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-301",
        title: "every Deployment is available in its newest form",
        severity: Severity::Fail,
        needs: &[Kind::Deployment],
        judge: |case| states(case, Kind::Deployment),
    },
    Check {
        code: "GSH-LOOK-302",
        title: "every StatefulSet is ready",
        severity: Severity::Fail,
        needs: &[Kind::StatefulSet],
        judge: |case| states(case, Kind::StatefulSet),
    },
    Check {
        code: "GSH-LOOK-303",
        title: "every DaemonSet is ready on its nodes",
        severity: Severity::Fail,
        needs: &[Kind::DaemonSet],
        judge: |case| states(case, Kind::DaemonSet),
    },
    Check {
        code: "GSH-LOOK-304",
        title: "the daemons of workspaces are meant for every workspace node",
        severity: Severity::Fail,
        needs: &[Kind::DaemonSet, Kind::Node],
        judge: daemons,
    },
    Check {
        code: "GSH-LOOK-305",
        title: "no Job has failed",
        severity: Severity::Fail,
        needs: &[Kind::Job],
        judge: jobs,
    },
    Check {
        code: "GSH-LOOK-306",
        title: "no image is out of reach and no container keeps ending",
        severity: Severity::Fail,
        needs: &[Kind::Pod],
        judge: pods,
    },
    Check {
        code: "GSH-LOOK-307",
        title: "every pod has found a node",
        severity: Severity::Fail,
        needs: &[Kind::Pod],
        judge: placed,
    },
    Check {
        code: "GSH-LOOK-308",
        title: "whatever waits for the database or the message bus has found it",
        severity: Severity::Fail,
        needs: &[Kind::Pod],
        judge: stores,
    },
    Check {
        code: "GSH-LOOK-309",
        title: "no container has been restarted again and again",
        severity: Severity::Warn,
        needs: &[Kind::Pod],
        judge: restarts,
    },
];

/// The installation's own objects of a kind: what the inventory names, or all of them when there is none.
fn ours<'a>(case: &Case<'a>, kind: Kind) -> impl Iterator<Item = &'a Value> {
    let record = case.record;
    case.sight.ours(kind).filter(move |o| record.inventory.is_none() || record.lists(kind, name(o)))
}

fn states(case: &Case<'_>, kind: Kind) -> Verdict {
    let wrong = ours(case, kind).filter_map(|object| match judge::of(kind.word(), object) {
        Some(State::Ready) | None => None,
        Some(State::NotYet(why) | State::Broken(why)) => Some(format!("{}: {why}", name(object))),
    });
    Verdict::of(format!("every {kind} of the installation is ready"), wrong.collect())
}

fn daemons(case: &Case<'_>) -> Verdict {
    let wanted = case.sight.all(Kind::Node).filter(|n| takes_workspaces(n)).count() as u64;
    let wrong = ["ws-daemon", "registry-facade", "agent-smith"].into_iter().filter_map(|daemon| {
        let set = case.sight.get(Kind::DaemonSet, daemon)?;
        let meant = set["status"]["desiredNumberScheduled"].as_u64().unwrap_or(0);
        (meant != wanted).then(|| format!("{daemon} is meant for {meant}"))
    });
    Verdict::of(format!("each daemon is meant for all {wanted} workspace nodes"), wrong.collect())
}

fn jobs(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.ours(Kind::Job).filter_map(|job| match judge::of("Job", job) {
        Some(State::Broken(why)) => Some(format!("{}: {why}", name(job))),
        Some(State::Ready | State::NotYet(_)) | None => None,
    });
    Verdict::of("no Job has failed", wrong.collect())
}

/// Pods of components; not workspaces, which are their users' business.
fn components<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Value> {
    case.sight.ours(Kind::Pod).filter(|p| !is_workspace(p))
}

fn pods(case: &Case<'_>) -> Verdict {
    // What a Job's pods come to is the Job's to say.
    let wrong = components(case).filter(|p| !of_a_job(p)).filter_map(|p| trouble::of_pod(p, CRASHES));
    // No node to be found has a check of its own.
    let wrong = wrong.filter(|t| t.kind != trouble::Kind::NoNode);
    Verdict::of("every container of the installation runs", wrong.map(|t| t.observed()).collect())
}

fn placed(case: &Case<'_>) -> Verdict {
    let wrong = components(case).filter(|p| !has_ended(p)).filter_map(|pod| {
        let placed = judge::find_condition(pod, "PodScheduled")?;
        let message = placed["message"].as_str().unwrap_or_default();
        (placed["status"] == "False").then(|| format!("{}: {message}", name(pod)))
    });
    Verdict::of("every pod of the installation is on a node", wrong.collect())
}

/// Init containers named after what they wait for give up after five minutes and are started again.
fn stores(case: &Case<'_>) -> Verdict {
    let wrong = components(case).filter(|p| !of_a_job(p)).flat_map(|pod| {
        let waiter = |c: &&Value| matches!(c["name"].as_str(), Some("database-waiter" | "msgbus-waiter"));
        let stuck = |c: &Value| {
            let ended = &c["state"]["terminated"];
            if ended["exitCode"] == 0 {
                return None;
            }
            let last = [ended, &c["lastState"]["terminated"]].into_iter().find_map(|t| t["message"].as_str());
            let said = last.map(str::trim).and_then(|t| t.lines().last()).unwrap_or("it still waits");
            Some(format!("{}, {}: {said}", name(pod), c["name"].as_str().unwrap_or_default()))
        };
        let waiting = |c: &&Value| c["state"]["waiting"]["reason"] != "PodInitializing";
        list(&pod["status"]["initContainerStatuses"])
            .filter(waiter)
            .filter(waiting)
            .filter_map(stuck)
            .collect::<Vec<_>>()
    });
    Verdict::of("database and message bus answer whoever waits for them", wrong.collect())
}

fn restarts(case: &Case<'_>) -> Verdict {
    let wrong = components(case).flat_map(|pod| {
        list(&pod["status"]["containerStatuses"]).filter_map(move |c| {
            let count = c["restartCount"].as_u64().filter(|n| *n >= RESTARTS)?;
            Some(format!("{}, {}: {count} restarts", name(pod), c["name"].as_str().unwrap_or_default()))
        })
    });
    Verdict::of(format!("fewer than {RESTARTS} restarts of any container"), wrong.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::record::Record;
    use crate::sight::Sight;

    #[test]
    fn an_image_out_of_reach_and_a_container_that_keeps_ending_are_told() {
        for (reason, message) in
            [("ImagePullBackOff", "manifest unknown: x:1 not found"), ("CrashLoopBackOff", "back-off")]
        {
            let waiting = json!({ "waiting": { "reason": reason, "message": message } });
            let pod = json!({ "metadata": { "name": "server-1", "namespace": "gitpod" },
                "status": { "containerStatuses": [{ "name": "server", "restartCount": 9, "state": waiting, "lastState": {} }] } });
            let sight = Sight::of("gitpod", "v1.24.17+k3s1", BTreeMap::from([(Kind::Pod, Ok(vec![pod]))]));
            let record = Record::of(&sight);
            let case = Case { sight: &sight, record: &record, now: Timestamp::UNIX_EPOCH };
            assert!(matches!(pods(&case), Verdict::Bad { .. }), "{reason}: {:?}", pods(&case));
        }
    }
}
