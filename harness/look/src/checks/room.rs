//! Room: what nodes have, what pods ask for, and volumes.

use serde_json::Value;

use super::{Case, Check, Severity, Verdict, has_ended, takes_workspaces};
use crate::quantity;
use crate::reader::Kind;
use crate::sight::{list, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-601",
        title: "a node is large enough for a workspace beside Gitpod's daemons",
        severity: Severity::Fail,
        needs: &[Kind::Node, Kind::Pod, Kind::ConfigMap],
        judge: large_enough,
    },
    Check {
        code: "GSH-LOOK-602",
        title: "no node promised more than it has",
        severity: Severity::Fail,
        needs: &[Kind::Node, Kind::Pod],
        judge: overcommitted,
    },
    Check {
        code: "GSH-LOOK-603",
        title: "every claim of a volume is bound",
        severity: Severity::Fail,
        needs: &[Kind::PersistentVolumeClaim],
        judge: claims,
    },
    Check {
        code: "GSH-LOOK-604",
        title: "there is room for one more workspace now",
        severity: Severity::Warn,
        needs: &[Kind::Node, Kind::Pod, Kind::ConfigMap],
        judge: room_now,
    },
    Check {
        code: "GSH-LOOK-605",
        title: "no volume dangles",
        severity: Severity::Warn,
        needs: &[Kind::PersistentVolume],
        judge: dangling,
    },
];

/// CPU and memory, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    cpu: i128,
    memory: i128,
}

impl Amount {
    fn of(value: &Value) -> Self {
        Self { cpu: quantity::of(&value["cpu"]), memory: quantity::of(&value["memory"]) }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }

    fn fits(self, into: Self) -> bool {
        self.cpu <= into.cpu && self.memory <= into.memory
    }

    fn words(self) -> String {
        format!("{} CPU and {} memory", quantity::cpu(self.cpu), quantity::memory(self.memory))
    }
}

/// What the scheduler counts for a pod: all containers together, or the largest init container.
fn requests(pod: &Value) -> Amount {
    let of = |c: &Value| Amount::of(&c["resources"]["requests"]);
    let together = list(&pod["spec"]["containers"]).map(of).fold(Amount::default(), Amount::plus);
    let before = list(&pod["spec"]["initContainers"]).map(of);
    let most = before.fold(together, |a, b| Amount { cpu: a.cpu.max(b.cpu), memory: a.memory.max(b.memory) });
    most.plus(Amount::of(&pod["spec"]["overhead"]))
}

fn on<'a>(case: &Case<'a>, node: &'a Value) -> impl Iterator<Item = &'a Value> {
    case.sight.all(Kind::Pod).filter(|p| !has_ended(p)).filter(move |p| p["spec"]["nodeName"] == name(node))
}

fn asked(case: &Case<'_>, node: &Value, which: impl Fn(&Value) -> bool) -> Amount {
    on(case, node).filter(|p| which(p)).map(requests).fold(Amount::default(), Amount::plus)
}

fn left(case: &Case<'_>, node: &Value, which: impl Fn(&Value) -> bool) -> Amount {
    let (has, used) = (Amount::of(&node["status"]["allocatable"]), asked(case, node, which));
    Amount { cpu: has.cpu - used.cpu, memory: has.memory - used.memory }
}

/// What one workspace asks for; the installer's defaults where the record says nothing.
fn workspace(case: &Case<'_>) -> Amount {
    match case.record.field("/workspace/resources/requests") {
        Some(requests) => Amount::of(requests),
        None => Amount::of(&serde_json::json!({ "cpu": "1000m", "memory": "2Gi" })),
    }
}

fn fits_somewhere(case: &Case<'_>, which: impl Fn(&Value) -> bool + Copy) -> Verdict {
    let wanted = workspace(case);
    let nodes: Vec<&Value> = case.sight.all(Kind::Node).filter(|n| takes_workspaces(n)).collect();
    if nodes.is_empty() {
        return Verdict::NotHere("no node is labelled for workspaces".to_owned());
    }
    if nodes.iter().any(|n| wanted.fits(left(case, n, which))) {
        return Verdict::Good;
    }
    let free = nodes.iter().map(|n| format!("{} leaves {}", name(n), left(case, n, which).words()));
    Verdict::of(format!("a workspace node leaves {}", wanted.words()), free.collect())
}

fn large_enough(case: &Case<'_>) -> Verdict {
    fits_somewhere(case, |pod| list(&pod["metadata"]["ownerReferences"]).any(|o| o["kind"] == "DaemonSet"))
}

fn room_now(case: &Case<'_>) -> Verdict {
    fits_somewhere(case, |_every| true)
}

fn overcommitted(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.all(Kind::Node).filter_map(|node| {
        let (has, asked) = (Amount::of(&node["status"]["allocatable"]), asked(case, node, |_every| true));
        (!asked.fits(has)).then(|| format!("{} has {}, its pods ask for {}", name(node), has.words(), asked.words()))
    });
    Verdict::of("requests within what nodes have", wrong.collect())
}

fn claims(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.ours(Kind::PersistentVolumeClaim).filter_map(|c| {
        let phase = c["status"]["phase"].as_str().unwrap_or("without a phase");
        (phase != "Bound").then(|| format!("{} is {phase}", name(c)))
    });
    Verdict::of("every claim is Bound", wrong.collect())
}

fn dangling(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.all(Kind::PersistentVolume).filter_map(|volume| {
        let claim = &volume["spec"]["claimRef"];
        let phase = volume["status"]["phase"].as_str()?;
        let lost = claim["namespace"] == case.sight.namespace() && matches!(phase, "Released" | "Failed");
        lost.then(|| format!("{} is {phase}, its claim was `{}`", name(volume), claim["name"].as_str().unwrap_or("?")))
    });
    Verdict::of("no volume is left of a claim that is gone", wrong.collect())
}
