//! Services, their ports, and who has which port of the nodes.

use gsh_gitpod::install::judge;
use serde_json::Value;

use super::{Case, Check, Severity, Verdict};
use crate::reader::Kind;
use crate::sight::{label, list, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "GSH-LOOK-501",
        title: "every Service has the ports that others look for",
        severity: Severity::Fail,
        needs: &[Kind::Service],
        judge: ports,
    },
    Check {
        code: "GSH-LOOK-502",
        title: "the proxy's Service has port 22 exactly if the SSH gateway is on",
        severity: Severity::Fail,
        needs: &[Kind::Service, Kind::ConfigMap],
        judge: gateway,
    },
    Check {
        code: "GSH-LOOK-503",
        title: "a load balancer took up the proxy's Service",
        severity: Severity::Fail,
        needs: &[Kind::Service],
        judge: balanced,
    },
    Check {
        code: "GSH-LOOK-504",
        title: "servicelb serves the site on every node that it may use",
        severity: Severity::Fail,
        needs: &[Kind::Pod, Kind::Node],
        judge: servicelb,
    },
    Check {
        code: "GSH-LOOK-505",
        title: "nobody else wants the site's ports on the nodes",
        severity: Severity::Fail,
        needs: &[Kind::Service],
        judge: rivals,
    },
];

/// Ports by Service, release 2022.11.3. The proxy's port 22 has a check of its own.
const PORTS: &[(&str, &[u64])] = &[
    ("server", &[3000, 9500, 9000, 6060, 9229]),
    ("proxy", &[80, 443, 9500]),
    ("dashboard", &[3001]),
    ("content-service", &[8080, 9500]),
    ("image-builder-mk3", &[8080]),
    ("public-api-server", &[9001, 9002]),
    ("ide-service", &[9001]),
    ("ide-proxy", &[80]),
    ("ide-metrics", &[3000]),
    ("blobserve", &[4000]),
    ("openvsx-proxy", &[8080, 9500]),
    ("ws-manager", &[8080]),
    ("ws-proxy", &[8080, 9090, 9500, 22]),
    ("registry-facade", &[20000]),
    ("mysql", &[3306]),
    ("db", &[3306]),
    ("messagebus", &[5672, 5671]),
    ("minio", &[9000, 9001]),
    ("registry", &[443]),
];

fn has(service: &Value, port: u64) -> bool {
    list(&service["spec"]["ports"]).any(|p| p["port"] == port)
}

fn ports(case: &Case<'_>) -> Verdict {
    let mut wrong = Vec::new();
    for (wanted, ports) in PORTS {
        // A Service that is not there is missed elsewhere.
        let Some(service) = case.sight.get(Kind::Service, wanted) else { continue };
        let missing: Vec<String> = ports.iter().filter(|p| !has(service, **p)).map(u64::to_string).collect();
        if !missing.is_empty() {
            wrong.push(format!("{wanted} lacks {}", missing.join(", ")));
        }
    }
    Verdict::of("the ports of release 2022.11", wrong)
}

fn gateway(case: &Case<'_>) -> Verdict {
    if case.record.config.is_none() {
        return Verdict::NotHere("the installer's record cannot be read".to_owned());
    }
    let Some(proxy) = case.sight.get(Kind::Service, "proxy") else {
        return Verdict::NotHere("there is no Service `proxy`".to_owned());
    };
    let (on, open) = (case.record.gateway(), has(proxy, 22));
    if on == open {
        return Verdict::Good;
    }
    let word = |b: bool, yes: &str, no: &str| (if b { yes } else { no }).to_owned();
    Verdict::Bad {
        expected: word(on, "port 22, for the SSH gateway", "no port 22: the SSH gateway is off"),
        observed: word(open, "it has port 22", "it has none"),
    }
}

fn balanced(case: &Case<'_>) -> Verdict {
    let Some(proxy) = case.sight.get(Kind::Service, "proxy") else {
        return Verdict::NotHere("there is no Service `proxy`".to_owned());
    };
    let kind = proxy["spec"]["type"].as_str().unwrap_or("ClusterIP");
    let chosen = case.record.text("/components/proxy/service/serviceType").unwrap_or("LoadBalancer");
    if kind != chosen {
        let observed = format!("its type is {kind}");
        return Verdict::Bad { expected: format!("Service `proxy` is of type {chosen}"), observed };
    }
    if kind != "LoadBalancer" {
        return Verdict::NotHere(format!("the record asks for a Service of type {kind}"));
    }
    if list(&proxy["status"]["loadBalancer"]["ingress"]).next().is_some() {
        return Verdict::Good;
    }
    Verdict::Bad { expected: "Service `proxy` has an address".to_owned(), observed: "it has none".to_owned() }
}

/// Whether servicelb puts pods on a node: it tolerates the taints of managers and Kubernetes' own, and no others.
fn may_serve(node: &Value) -> bool {
    let known = |key: &str| {
        key.starts_with("node-role.kubernetes.io/")
            || key.starts_with("node.kubernetes.io/")
            || key == "CriticalAddonsOnly"
    };
    let hard = |t: &&Value| t["effect"] != "PreferNoSchedule";
    let free = list(&node["spec"]["taints"]).filter(hard).all(|t| known(t["key"].as_str().unwrap_or_default()));
    free && node["spec"]["unschedulable"] != true
}

fn servicelb(case: &Case<'_>) -> Verdict {
    let ours = |p: &&Value| {
        label(p, "svccontroller.k3s.cattle.io/svcname") == Some("proxy")
            && label(p, "svccontroller.k3s.cattle.io/svcnamespace").is_none_or(|n| n == case.sight.namespace())
    };
    let pods: Vec<&Value> = case.sight.all(Kind::Pod).filter(ours).collect();
    if pods.is_empty() {
        return Verdict::NotHere("servicelb does not serve this site".to_owned());
    }
    let chosen = "svccontroller.k3s.cattle.io/enablelb";
    let limited = case.sight.all(Kind::Node).any(|n| label(n, chosen) == Some("true"));
    let eligible = |n: &&Value| may_serve(n) && (!limited || label(n, chosen) == Some("true"));
    let mut wrong: Vec<String> = Vec::new();
    for pod in pods.iter().filter(|p| !judge::condition(p, "Ready")) {
        let placed = judge::find_condition(pod, "PodScheduled");
        let why = placed.filter(|c| c["status"] == "False").and_then(|c| c["message"].as_str());
        wrong.push(format!("{}: {}", name(pod), why.unwrap_or("not Ready")));
    }
    for node in case.sight.all(Kind::Node).filter(eligible) {
        if !pods.iter().any(|p| p["spec"]["nodeName"] == name(node)) && wrong.is_empty() {
            wrong.push(format!("none on {}", name(node)));
        }
    }
    Verdict::of("a Ready pod of servicelb on every node that it may use", wrong)
}

fn rivals(case: &Case<'_>) -> Verdict {
    let Some(proxy) = case.sight.get(Kind::Service, "proxy").filter(|p| p["spec"]["type"] == "LoadBalancer") else {
        return Verdict::NotHere("the site has no Service of type LoadBalancer".to_owned());
    };
    let other = |s: &&Value| s["spec"]["type"] == "LoadBalancer" && s["metadata"]["uid"] != proxy["metadata"]["uid"];
    let wrong = case.sight.all(Kind::Service).filter(other).filter_map(|service| {
        let shared: Vec<String> = list(&proxy["spec"]["ports"])
            .filter_map(|p| p["port"].as_u64().filter(|port| has(service, *port)))
            .map(|p| p.to_string())
            .collect();
        let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
        (!shared.is_empty()).then(|| format!("Service `{namespace}/{}` wants {} too", name(service), shared.join(", ")))
    });
    Verdict::of("the site alone has its ports", wrong.collect())
}
