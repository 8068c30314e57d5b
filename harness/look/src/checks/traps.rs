//! Known traps: configurations that the installer accepts and that do not work, and what changed in the world since.

use gsh_gitpod::install::trouble;
use gsh_model::rules;
use serde_json::Value;

use super::{Case, Check, Severity, Verdict, is_workspace};
use crate::found::Found;
use crate::reader::Kind;
use crate::sight::{list, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-701",
        title: "no store is both in the cluster and outside",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap],
        judge: mixed,
    },
    Check {
        code: "GSH-LOOK-702",
        title: "the combination is one that can work",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::Node],
        judge: possible,
    },
    Check {
        code: "GSH-LOOK-703",
        title: "nodes trust the certificate of the site's registry",
        severity: Severity::Fail,
        needs: &[Kind::Pod],
        judge: trusted,
    },
    Check {
        code: "GSH-LOOK-704",
        title: "containerd is looked for where k3s has it",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::Node],
        judge: containerd,
    },
    Check {
        code: "GSH-LOOK-705",
        title: "images come from registries that still have them",
        severity: Severity::Warn,
        needs: &[Kind::Pod],
        judge: sources,
    },
];

fn mixed(case: &Case<'_>) -> Verdict {
    let Some(_config) = &case.record.config else {
        return Verdict::NotHere("the installer's record cannot be read".to_owned());
    };
    let blocks: [(&str, &[&str]); 3] = [
        ("database", &["external", "cloudSQL"]),
        ("containerRegistry", &["external"]),
        ("objectStorage", &["s3", "azure", "cloudStorage"]),
    ];
    let mut wrong = Vec::new();
    for (block, providers) in blocks {
        let given: Vec<&str> =
            providers.iter().copied().filter(|p| case.record.field(&format!("/{block}/{p}")).is_some()).collect();
        match (case.record.in_cluster(block), given.as_slice()) {
            (true, []) | (false, [_]) => {}
            (true, given) => {
                wrong.push(format!("{block}.inCluster is true or omitted beside `{}`", given.join("`, `")))
            }
            (false, []) => wrong.push(format!("{block}.inCluster is false and nothing takes its place")),
            (false, several) => wrong.push(format!("{block} names `{}` at once", several.join("`, `"))),
        }
    }
    if case.record.in_cluster("database") && case.record.field("/database/ssl/caCert").is_some() {
        wrong.push("database.ssl is for a database outside, and this one is in the cluster".to_owned());
    }
    Verdict::of("each store is in one place", wrong)
}

fn possible(case: &Case<'_>) -> Verdict {
    let found = Found::of(case.sight, case.record);
    // An axis that cannot be told stands at its default, which breaks no rule.
    match rules::broken_by(&found.cell()) {
        None => Verdict::Good,
        Some(rule) => Verdict::Bad {
            expected: "a combination that no rule excludes".to_owned(),
            observed: format!("{}: {}", rule.id, rule.because),
        },
    }
}

/// Messages of containers that wait, with their pods.
fn waiting<'a>(case: &Case<'a>) -> impl Iterator<Item = (&'a Value, &'a str)> {
    case.sight.ours(Kind::Pod).flat_map(|pod| {
        ["initContainerStatuses", "containerStatuses"].into_iter().flat_map(move |statuses| {
            list(&pod["status"][statuses]).filter_map(move |c| {
                let waiting = &c["state"]["waiting"];
                let pull = matches!(waiting["reason"].as_str(), Some("ErrImagePull" | "ImagePullBackOff"));
                waiting["message"].as_str().filter(|_| pull).map(|message| (pod, message))
            })
        })
    })
}

/// Workspaces pull through `reg.<domain>`: the one place where a node meets the site's certificate.
fn trusted(case: &Case<'_>) -> Verdict {
    let untrusted = |m: &str| m.contains("x509:") || m.contains("certificate signed by unknown authority");
    let wrong = waiting(case).filter(|(p, m)| is_workspace(p) && untrusted(m));
    Verdict::of(
        "workspace images are pulled without a complaint about certificates",
        wrong.map(|(p, m)| format!("{}: {m}", name(p))).collect(),
    )
}

fn containerd(case: &Case<'_>) -> Verdict {
    let on_k3s = case
        .sight
        .all(Kind::Node)
        .any(|n| n["status"]["nodeInfo"]["kubeletVersion"].as_str().is_some_and(|v| v.contains("+k3s")));
    if !on_k3s {
        return Verdict::NotHere("the nodes do not run k3s".to_owned());
    }
    let fields = ["/workspace/runtime/containerdSocket", "/workspace/runtime/containerdRuntimeDir"];
    let wrong = fields.into_iter().filter_map(|field| {
        let path = case.record.text(field)?;
        (!path.starts_with("/run/k3s/containerd/")).then(|| format!("`{path}`"))
    });
    Verdict::of("socket and runtime folder of k3s' own containerd, below /run/k3s/containerd", wrong.collect())
}

/// Registries that were closed or moved since the release.
fn sources(case: &Case<'_>) -> Verdict {
    let gone = |image: &str| {
        let bitnami = image.strip_prefix("docker.io/").unwrap_or(image).starts_with("bitnami/");
        image.starts_with("eu.gcr.io/") || image.starts_with("gcr.io/") || image.starts_with("b.gcr.io/") || bitnami
    };
    let refused = waiting(case).filter(|(_, m)| trouble::pull_words(m) == "the image is not in the registry");
    let mut wrong: Vec<String> = refused.map(|(p, m)| format!("{}: {m}", name(p))).collect();
    let mut images: Vec<&str> = case
        .sight
        .ours(Kind::Pod)
        .filter(|p| !is_workspace(p))
        .flat_map(|p| list(&p["spec"]["containers"]).filter_map(|c| c["image"].as_str()))
        .filter(|i| gone(i))
        .collect();
    images.sort_unstable();
    images.dedup();
    if let [first, ..] = images.as_slice() {
        wrong.push(format!("{} images of registries that were closed or moved, such as {first}", images.len()));
    }
    Verdict::of("images that a new node could still pull", wrong)
}
