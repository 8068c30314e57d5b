//! The installer's record, and whether what it names is there: by name, for each variant.

use serde_json::Value;

use super::{Case, Check, Severity, Verdict};
use crate::found::daemon_shift;
use crate::reader::Kind;
use crate::record::{INVENTORY, RECORD};
use crate::sight::{list, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-201",
        title: "the installer's record of configuration and release is there",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap],
        judge: recorded,
    },
    Check {
        code: "GSH-LOOK-202",
        title: "the installer's inventory is there",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap],
        judge: inventory,
    },
    Check {
        code: "GSH-LOOK-203",
        title: "every workload, service and setting of the inventory exists",
        severity: Severity::Fail,
        needs: &LOOKED_FOR,
        judge: present,
    },
    Check {
        code: "GSH-LOOK-204",
        title: "the inventory is that of the recorded variant",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap],
        judge: variant,
    },
    Check {
        code: "GSH-LOOK-205",
        title: "nothing is left over from another variant",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::Deployment, Kind::StatefulSet, Kind::Service],
        judge: leftovers,
    },
    Check {
        code: "GSH-LOOK-206",
        title: "ws-daemon shifts user ids as the record says",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::DaemonSet],
        judge: shift,
    },
    Check {
        code: "GSH-LOOK-207",
        title: "the server takes its database from where the record says",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::Deployment],
        judge: database,
    },
    Check {
        code: "GSH-LOOK-208",
        title: "registry-facade puts a private authority on nodes exactly if there is one",
        severity: Severity::Fail,
        needs: &[Kind::ConfigMap, Kind::DaemonSet],
        judge: authority,
    },
];

/// Kinds of the inventory that a look lists. Secrets and access rules are not looked at: reading them needs more rights
/// than judging them is worth.
const LOOKED_FOR: [Kind; 12] = [
    Kind::ConfigMap,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Service,
    Kind::ServiceAccount,
    Kind::NetworkPolicy,
    Kind::PersistentVolumeClaim,
    Kind::Certificate,
    Kind::Issuer,
    Kind::Job,
];

const NO_RECORD: &str = "the installer's record cannot be read";
const NO_INVENTORY: &str = "the installer's inventory cannot be read";

fn recorded(case: &Case<'_>) -> Verdict {
    let mut wrong = Vec::new();
    if case.record.config.is_none() {
        wrong.push(format!("config.yaml of ConfigMap `{RECORD}` is absent or no YAML"));
    }
    if case.record.version.is_none() {
        wrong.push(format!("versions.json of ConfigMap `{RECORD}` is absent or names no version"));
    }
    if case.record.config.is_some() && case.record.text("/domain").is_none() {
        wrong.push("the recorded configuration names no domain".to_owned());
    }
    Verdict::of("a readable record with configuration, domain and version", wrong)
}

fn inventory(case: &Case<'_>) -> Verdict {
    if case.record.inventory.is_some() {
        return Verdict::Good;
    }
    let observed = format!("app.yaml of ConfigMap `{INVENTORY}` is absent or names no object");
    Verdict::Bad { expected: "a readable inventory of what was installed".to_owned(), observed }
}

fn present(case: &Case<'_>) -> Verdict {
    let Some(items) = &case.record.inventory else { return Verdict::NotHere(NO_INVENTORY.to_owned()) };
    let missing = |kind: Kind, wanted: &str| case.sight.get(kind, wanted).is_none();
    let mut wrong = Vec::new();
    for item in items {
        if let Some(kind) = LOOKED_FOR.into_iter().find(|k| k.word() == item.kind)
            && missing(kind, &item.name)
        {
            wrong.push(format!("{kind} `{}`", item.name));
        }
    }
    match Verdict::of("everything that was installed is there", wrong) {
        Verdict::Bad { expected, observed } => Verdict::Bad { expected, observed: format!("missing: {observed}") },
        other @ (Verdict::Good | Verdict::Unknown(_) | Verdict::NotHere(_)) => other,
    }
}

/// What a block of the configuration brings along when it is in the cluster, and what when it is not.
struct Row {
    block: &'static str,
    inside: &'static [(Kind, &'static str)],
    outside: &'static [(Kind, &'static str)],
}

const ROWS: [Row; 3] = [
    Row {
        block: "database",
        inside: &[
            (Kind::StatefulSet, "mysql"),
            (Kind::Service, "mysql"),
            (Kind::Service, "db"),
            (Kind::ConfigMap, "mysql"),
        ],
        outside: &[(Kind::ServiceAccount, "dbinit")],
    },
    Row {
        block: "containerRegistry",
        inside: &[
            (Kind::Deployment, "registry"),
            (Kind::Service, "registry"),
            (Kind::Certificate, "builtin-registry-certs"),
        ],
        outside: &[],
    },
    Row {
        block: "objectStorage",
        // The RoleBinding `minio` is always rendered and proves nothing.
        inside: &[(Kind::Deployment, "minio"), (Kind::Service, "minio"), (Kind::PersistentVolumeClaim, "minio")],
        outside: &[],
    },
];

fn variant(case: &Case<'_>) -> Verdict {
    if case.record.inventory.is_none() {
        return Verdict::NotHere(NO_INVENTORY.to_owned());
    }
    if !case.record.is_full() {
        return Verdict::NotHere("only the kind `Full` is known by heart".to_owned());
    }
    let mut wrong = Vec::new();
    for row in &ROWS {
        let inside = case.record.in_cluster(row.block);
        let (wanted, unwanted) = if inside { (row.inside, row.outside) } else { (row.outside, row.inside) };
        let place = if inside { "in the cluster" } else { "outside of the cluster" };
        for (kind, name) in wanted.iter().filter(|(k, n)| !case.record.lists(*k, n)) {
            wrong.push(format!("{} is {place}, but {kind} `{name}` was not installed", row.block));
        }
        for (kind, name) in unwanted.iter().filter(|(k, n)| case.record.lists(*k, n)) {
            wrong.push(format!("{} is {place}, but {kind} `{name}` was installed", row.block));
        }
    }
    let on_s3 = case.record.field("/containerRegistry/s3storage").is_some();
    let on_volume = case.record.lists(Kind::PersistentVolumeClaim, "registry");
    if case.record.in_cluster("containerRegistry") && on_s3 == on_volume {
        let where_to =
            if on_s3 { "on S3, but its claim was installed" } else { "on a volume, but no claim was installed" };
        wrong.push(format!("the registry keeps images {where_to}"));
    }
    Verdict::of("what was installed is what the record asks for", wrong)
}

fn leftovers(case: &Case<'_>) -> Verdict {
    let Some(_items) = &case.record.inventory else { return Verdict::NotHere(NO_INVENTORY.to_owned()) };
    let mut wrong = Vec::new();
    for (kind, name) in ROWS
        .iter()
        .flat_map(|row| row.inside)
        .filter(|(kind, _)| matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::Service))
    {
        if case.sight.get(*kind, name).is_some() && !case.record.lists(*kind, name) {
            wrong.push(format!("{kind} `{name}`"));
        }
    }
    Verdict::of("no store of an earlier variant still runs", wrong)
}

fn shift(case: &Case<'_>) -> Verdict {
    let Some(wanted) = case.record.text("/workspace/runtime/fsShiftMethod") else {
        return Verdict::NotHere(NO_RECORD.to_owned());
    };
    let mut wrong = Vec::new();
    match daemon_shift(case.sight) {
        Some(seen) if seen.as_str() == wanted => {}
        Some(seen) => wrong.push(format!("ws-daemon was told `{seen}`")),
        None => wrong.push("ConfigMap `ws-daemon` does not say".to_owned()),
    }
    if let Some(daemon) = case.sight.get(Kind::DaemonSet, "ws-daemon") {
        // An annotation that names the loader is in both variants; only the init container tells them apart.
        let loads = has_init(daemon, "shiftfs-module-loader");
        if loads != (wanted == "shiftfs") {
            wrong.push(format!("ws-daemon {} the shiftfs module", if loads { "loads" } else { "does not load" }));
        }
    }
    Verdict::of(format!("user ids are shifted with `{wanted}`"), wrong)
}

fn has_init(workload: &Value, container: &str) -> bool {
    list(&workload["spec"]["template"]["spec"]["initContainers"]).any(|c| c["name"] == container)
}

fn database(case: &Case<'_>) -> Verdict {
    if case.record.config.is_none() {
        return Verdict::NotHere(NO_RECORD.to_owned());
    }
    let Some(server) = case.sight.get(Kind::Deployment, "server") else {
        return Verdict::NotHere("there is no Deployment `server`".to_owned());
    };
    let external = case.record.text("/database/external/certificate/name");
    let cloud = case.record.text("/database/cloudSQL/serviceAccount/name");
    let wanted = if case.record.in_cluster("database") { Some("mysql") } else { cloud.or(external) };
    let Some(wanted) = wanted else {
        return Verdict::NotHere("the record names no Secret of the database".to_owned());
    };
    let container = list(&server["spec"]["template"]["spec"]["containers"]).find(|c| name_of(c) == "server");
    let env = |key: &str| container.and_then(|c| list(&c["env"]).find(|e| e["name"] == key));
    let mut wrong = Vec::new();
    match env("DB_HOST").and_then(|e| e["valueFrom"]["secretKeyRef"]["name"].as_str()) {
        Some(seen) if seen == wanted => {}
        Some(seen) => wrong.push(format!("it takes DB_HOST from Secret `{seen}`")),
        None => wrong.push("it takes DB_HOST from no Secret".to_owned()),
    }
    let verified = case.record.field("/database/ssl/caCert").is_some();
    if env("DB_CA_CERT").is_some() != verified {
        wrong.push(format!("it has {} authority for the database", if verified { "no" } else { "an" }));
    }
    Verdict::of(format!("the server takes its database from Secret `{wanted}`"), wrong)
}

fn name_of(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

fn authority(case: &Case<'_>) -> Verdict {
    if case.record.config.is_none() {
        return Verdict::NotHere(NO_RECORD.to_owned());
    }
    let Some(facade) = case.sight.get(Kind::DaemonSet, "registry-facade") else {
        return Verdict::NotHere("there is no DaemonSet `registry-facade`".to_owned());
    };
    let private = case.record.field("/customCACert").is_some();
    let taught = has_init(facade, "update-containerd-certificates");
    if private == taught {
        return Verdict::Good;
    }
    let observed = format!(
        "{} `{}` {} the init container `update-containerd-certificates`",
        Kind::DaemonSet,
        name(facade),
        if taught { "has" } else { "lacks" }
    );
    let expected = if private { "registry-facade teaches nodes the private authority" } else { "no private authority" };
    Verdict::Bad { expected: expected.to_owned(), observed }
}
