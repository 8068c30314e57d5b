//! Nodes, as the API shows them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Case, Check, Severity, Verdict, takes_workspaces};
use crate::reader::Kind;
use crate::sight::{label, list, name};

/// The five labels of this line of releases.
const WORKLOAD_LABELS: [&str; 5] = [
    "gitpod.io/workload_meta",
    "gitpod.io/workload_ide",
    "gitpod.io/workload_workspace_services",
    "gitpod.io/workload_workspace_regular",
    "gitpod.io/workload_workspace_headless",
];
/// The name that later releases gave to the third.
const LATER_SPELLING: &str = "gitpod.io/workload_services";

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-101",
        title: "every node is Ready",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: ready,
    },
    Check {
        code: "GSH-LOOK-102",
        title: "no node is short of memory, disk, processes or network",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: pressure,
    },
    Check {
        code: "GSH-LOOK-103",
        title: "every node's kernel is 5.4 or later",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: kernel,
    },
    Check {
        code: "GSH-LOOK-104",
        title: "every node runs containers with containerd",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: containerd,
    },
    Check {
        code: "GSH-LOOK-105",
        title: "server and kubelets are of Kubernetes 1.21 or later",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: kubernetes,
    },
    Check {
        code: "GSH-LOOK-106",
        title: "each of the five workload labels is on a node, with the value `true`",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: labels,
    },
    Check {
        code: "GSH-LOOK-107",
        title: "no node carries only the later spelling of a label",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: spelling,
    },
    Check {
        code: "GSH-LOOK-108",
        title: "Gitpod's daemons declared every workspace node ready",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: ready_labels,
    },
    Check {
        code: "GSH-LOOK-109",
        title: "no taint keeps workloads off the nodes that are labelled for them",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: taints,
    },
    Check {
        code: "GSH-LOOK-110",
        title: "every node has addresses of its own for pods",
        severity: Severity::Fail,
        needs: &[Kind::Node],
        judge: pod_addresses,
    },
    Check {
        code: "GSH-LOOK-111",
        title: "the cluster answers names: coredns is Ready",
        severity: Severity::Fail,
        needs: &[Kind::Pod],
        judge: names,
    },
    Check {
        code: "GSH-LOOK-112",
        title: "exactly one class of storage is the default",
        severity: Severity::Fail,
        needs: &[Kind::StorageClass],
        judge: storage_class,
    },
    Check {
        code: "GSH-LOOK-113",
        title: "no node is cordoned",
        severity: Severity::Warn,
        needs: &[Kind::Node],
        judge: cordoned,
    },
    Check {
        code: "GSH-LOOK-114",
        title: "ws-daemon has enough disk on every node",
        severity: Severity::Warn,
        needs: &[Kind::Node],
        judge: disk,
    },
    Check {
        code: "GSH-LOOK-115",
        title: "all nodes run the same release",
        severity: Severity::Warn,
        needs: &[Kind::Node],
        judge: one_release,
    },
];

fn nodes<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Value> {
    case.sight.all(Kind::Node)
}

/// What is wrong with each node.
fn each(case: &Case<'_>, expected: &str, wrong: impl Fn(&Value) -> Option<String>) -> Verdict {
    if nodes(case).next().is_none() {
        return Verdict::Bad { expected: "the cluster has nodes".to_owned(), observed: "it has none".to_owned() };
    }
    Verdict::of(expected, nodes(case).filter_map(|n| wrong(n).map(|w| format!("{}: {w}", name(n)))).collect())
}

fn condition<'a>(node: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&node["status"]["conditions"]).find(|c| c["type"] == kind)
}

fn info<'a>(node: &'a Value, fact: &str) -> &'a str {
    node["status"]["nodeInfo"][fact].as_str().unwrap_or_default()
}

fn ready(case: &Case<'_>) -> Verdict {
    each(case, "every node is Ready", |node| match condition(node, "Ready") {
        Some(c) if c["status"] == "True" => None,
        Some(c) => {
            let word = |key: &str| c[key].as_str().unwrap_or_default();
            Some(format!("{} ({}: {})", word("status"), word("reason"), word("message")))
        }
        None => Some("it has no condition Ready".to_owned()),
    })
}

fn pressure(case: &Case<'_>) -> Verdict {
    each(case, "no node is under pressure", |node| {
        let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
        let bad: Vec<&str> =
            kinds.into_iter().filter(|k| condition(node, k).is_some_and(|c| c["status"] == "True")).collect();
        (!bad.is_empty()).then(|| bad.join(", "))
    })
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn kernel(case: &Case<'_>) -> Verdict {
    each(case, "a kernel of 5.4 or later", |node| {
        let text = info(node, "kernelVersion");
        (numbers(text) < Some((5, 4))).then(|| format!("`{text}`"))
    })
}

fn containerd(case: &Case<'_>) -> Verdict {
    each(case, "the container runtime is containerd", |node| {
        let text = info(node, "containerRuntimeVersion");
        (!text.contains("containerd")).then(|| format!("`{text}`"))
    })
}

fn kubernetes(case: &Case<'_>) -> Verdict {
    let server = match &case.sight.server {
        Ok(version) => version,
        Err(why) => return Verdict::Unknown(format!("the server's version cannot be read: {why}")),
    };
    if numbers(server) < Some((1, 21)) {
        let observed = format!("the server is `{server}`");
        return Verdict::Bad { expected: "Kubernetes 1.21 or later".to_owned(), observed };
    }
    each(case, "a kubelet of Kubernetes 1.21 or later", |node| {
        let text = info(node, "kubeletVersion");
        (numbers(text) < Some((1, 21))).then(|| format!("`{text}`"))
    })
}

fn labels(case: &Case<'_>) -> Verdict {
    let mut wrong = Vec::new();
    for key in WORKLOAD_LABELS {
        let values: BTreeMap<&str, &str> = nodes(case).filter_map(|n| Some((name(n), label(n, key)?))).collect();
        if values.is_empty() {
            wrong.push(format!("no node carries `{key}`"));
        }
        // The installer's check lets the last node that it lists decide, so one wrong value can spoil the others.
        for (node, value) in values.into_iter().filter(|(_, v)| *v != "true") {
            wrong.push(format!("{node} carries `{key}` with the value `{value}`"));
        }
    }
    Verdict::of("the five workload labels, each somewhere, with the value `true`", wrong)
}

fn spelling(case: &Case<'_>) -> Verdict {
    each(case, &format!("whoever carries `{LATER_SPELLING}` carries `{}` too", WORKLOAD_LABELS[2]), |node| {
        let only = label(node, LATER_SPELLING).is_some() && label(node, WORKLOAD_LABELS[2]).is_none();
        only.then(|| format!("only `{LATER_SPELLING}`, which releases of this line do not look for"))
    })
}

fn ready_labels(case: &Case<'_>) -> Verdict {
    let wanted = ["ws-daemon", "registry-facade"].map(|d| format!("gitpod.io/{d}_ready_ns_{}", case.sight.namespace()));
    if !nodes(case).any(takes_workspaces) {
        return Verdict::NotHere("no node is labelled for workspaces".to_owned());
    }
    each(case, "the two ready labels on every workspace node", |node| {
        let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|l| label(node, l) != Some("true")).collect();
        (takes_workspaces(node) && !missing.is_empty()).then(|| format!("without {}", missing.join(" and ")))
    })
}

fn taints(case: &Case<'_>) -> Verdict {
    each(case, "labelled nodes without taints", |node| {
        let labelled = WORKLOAD_LABELS.iter().any(|l| label(node, l).is_some());
        // Kubernetes' own taints come with the condition that they tell, or with a cordon.
        let own = |t: &&Value| !t["key"].as_str().unwrap_or_default().starts_with("node.kubernetes.io/");
        let taint = list(&node["spec"]["taints"]).filter(own).find(|t| t["effect"] != "PreferNoSchedule")?;
        let word = |key: &str| taint[key].as_str().unwrap_or_default();
        labelled
            .then(|| format!("labelled for workloads and tainted {}={}:{}", word("key"), word("value"), word("effect")))
    })
}

fn pod_addresses(case: &Case<'_>) -> Verdict {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for node in nodes(case) {
        if let Some(range) = node["spec"]["podCIDR"].as_str()
            && let Some(other) = seen.insert(range, name(node))
        {
            wrong.push(format!("{other} and {} both have {range}", name(node)));
        }
    }
    Verdict::of("a range of pod addresses for each node alone", wrong)
}

fn names(case: &Case<'_>) -> Verdict {
    let dns = |p: &&Value| p["metadata"]["namespace"] == "kube-system" && label(p, "k8s-app") == Some("kube-dns");
    let pods: Vec<&Value> = case.sight.all(Kind::Pod).filter(dns).collect();
    let is_ready = |p: &&Value| condition(p, "Ready").is_some_and(|c| c["status"] == "True");
    if pods.iter().any(is_ready) {
        return Verdict::Good;
    }
    let observed =
        if pods.is_empty() { "there is no pod of it".to_owned() } else { format!("none of {} is", pods.len()) };
    Verdict::Bad { expected: "a pod of coredns in kube-system is Ready".to_owned(), observed }
}

fn storage_class(case: &Case<'_>) -> Verdict {
    let is_default = |c: &&Value| {
        let notes = &c["metadata"]["annotations"];
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
            .iter()
            .any(|a| notes[*a] == "true")
    };
    let defaults: Vec<&str> = case.sight.all(Kind::StorageClass).filter(is_default).map(name).collect();
    let observed = match defaults.as_slice() {
        [_one] => return Verdict::Good,
        [] => "none is".to_owned(),
        several => several.join(" and ") + " are",
    };
    Verdict::Bad { expected: "exactly one class of storage is the default".to_owned(), observed }
}

fn cordoned(case: &Case<'_>) -> Verdict {
    each(case, "every node takes new pods", |node| {
        (node["spec"]["unschedulable"] == true).then(|| "it is cordoned".to_owned())
    })
}

fn disk(case: &Case<'_>) -> Verdict {
    each(case, "20 GiB free where workspaces are kept", |node| {
        (label(node, "gitpod.io/diskPressure") == Some("true")).then(|| "ws-daemon says that it has less".to_owned())
    })
}

fn one_release(case: &Case<'_>) -> Verdict {
    let releases: BTreeSet<&str> = nodes(case).map(|n| info(n, "kubeletVersion")).collect();
    if releases.len() <= 1 {
        return Verdict::Good;
    }
    let observed = releases.into_iter().collect::<Vec<_>>().join(", ");
    Verdict::Bad { expected: "one release on all nodes".to_owned(), observed }
}
