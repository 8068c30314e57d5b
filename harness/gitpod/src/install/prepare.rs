//! What a cluster needs before Gitpod: a namespace, names, cert-manager, and rights for the installer's errands.

use std::net::IpAddr;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Cluster, Site};
use gsh_engine::wait::Progress;
use gsh_model::outcome::Blame;
use serde_json::{Value, json};

use super::judge::{self, State};
use super::{evidence, trouble};
use gsh_kube::api::{self, Api};
use gsh_kube::follow::{Follow, Scope, View};

/// Namespace of Gitpod, as its own packaging names it.
pub(crate) const NAMESPACE: &str = "gitpod";
/// Service account of the installer's errands.
pub(crate) const ACCOUNT: &str = "gsh-installer";
const CERT_MANAGER: &str = "cert-manager";
/// A release with long-term support that knows Kubernetes 1.22 to 1.27, so also the 1.24 that Gitpod was tested on.
const CERT_MANAGER_VERSION: &str = "v1.12.13";
const DEPLOYMENTS: [&str; 3] = ["cert-manager", "cert-manager-cainjector", "cert-manager-webhook"];
const DEFINITIONS: [&str; 4] = [
    "certificates.cert-manager.io",
    "certificaterequests.cert-manager.io",
    "issuers.cert-manager.io",
    "clusterissuers.cert-manager.io",
];

/// Applies one object; a refusal is our mistake, because these objects are ours.
pub(crate) async fn put(cx: &Cx, api: &Api, check: &'static str, object: &Value) -> Result<(), Failure> {
    let what = format!("{} `{}` is applied", object["kind"].as_str().unwrap_or("?"), gsh_kube::follow::name_of(object));
    api::patiently(cx, &what, Blame::Harness, check, || api.apply(object)).await?;
    Ok(())
}

/// Namespace, names and rights.
pub(crate) async fn ground(cx: &Cx, api: &Api, cluster: &Cluster, site: &Site) -> Result<(), Failure> {
    put(cx, api, "GSH-INS-001", &namespace(NAMESPACE)).await?;
    put(cx, api, "GSH-INS-001", &names(&site.domain, cluster.ingress_inside)).await?;
    for object in rights() {
        put(cx, api, "GSH-INS-001", &object).await?;
    }
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// Teaches the cluster's DNS the names of the site.
///
/// The domain is in no public DNS, yet Gitpod calls itself by its public names from inside: ws-manager polls
/// `https://<workspace>.ws.<domain>` before it calls a workspace running, and registry-facade pulls from
/// `registry.<domain>`. k3s' CoreDNS imports every `*.server` key of this ConfigMap as a server block. The second template
/// says "no such record" to all other types: without it a query for AAAA fails, and some resolvers then drop the A answer.
fn names(domain: &str, ingress: IpAddr) -> Value {
    let record = match ingress {
        IpAddr::V4(_) => "A",
        IpAddr::V6(_) => "AAAA",
    };
    let block = format!(
        "{domain}:53 {{\n    errors\n    template IN {record} {{\n        answer \"{{{{ .Name }}}} 60 IN {record} {ingress}\"\n    }}\n    \
         template IN ANY {{\n        rcode NOERROR\n    }}\n}}\n"
    );
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "coredns-custom", "namespace": "kube-system" },
        "data": { "gsh.server": block },
    })
}

/// What `validate cluster` reads: nodes, the namespace, cluster issuers, and Secrets of its own namespace.
fn rights() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let subject = json!([{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }]);
    let here = json!({ "name": ACCOUNT, "namespace": NAMESPACE });
    let role = |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": ACCOUNT });
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": here }),
        json!({
            "apiVersion": rbac, "kind": "ClusterRole", "metadata": { "name": ACCOUNT },
            "rules": [
                { "apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": ["get", "list"] },
                { "apiGroups": ["cert-manager.io"], "resources": ["clusterissuers"], "verbs": ["get", "list"] },
            ],
        }),
        json!({
            "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": { "name": ACCOUNT },
            "roleRef": role("ClusterRole"), "subjects": subject,
        }),
        json!({
            "apiVersion": rbac, "kind": "Role", "metadata": here,
            "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"] }],
        }),
        json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": here,
            "roleRef": role("Role"), "subjects": subject,
        }),
    ]
}

/// Installs cert-manager by k3s' own chart controller and waits until it can issue.
///
/// No ClusterIssuer is made: Gitpod brings issuers of its own and the site's certificate is ours, so the installer's warning
/// "no cluster issuers configured" is expected.
pub(crate) async fn cert_manager(cx: &Cx, api: &Api, patience: Duration, crashes: u64) -> Result<(), Failure> {
    let check = "GSH-INS-002";
    // The chart would make the namespace, but then there would be nothing to watch until it does.
    put(cx, api, check, &namespace(CERT_MANAGER)).await?;
    let mut follow = Follow::start(
        cx,
        api,
        check,
        vec![
            Scope::new("apps/v1", "Deployment", CERT_MANAGER),
            Scope::new("v1", "Pod", CERT_MANAGER),
            Scope::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", ""),
        ],
    )
    .await?;
    put(cx, api, check, &chart()).await?;
    let what = "cert-manager is ready to issue";
    match follow.until(what, patience, |view| judge_cert_manager(view, crashes)).await {
        Ok(()) => Ok(()),
        Err(e) => {
            let failure = e.blame(Blame::Environment, check);
            Err(evidence::explain(cx, api, CERT_MANAGER, follow.view(), failure).await)
        }
    }
}

fn judge_cert_manager(view: &View, crashes: u64) -> Result<Progress<()>, Failure> {
    for pod in view.all("Pod") {
        if let Some(found) = trouble::of_pod(pod, crashes) {
            // Not the product's: cert-manager is what we bring along.
            return Err(Failure::environment("GSH-INS-002", "cert-manager's pods run", found.observed()));
        }
    }
    for name in DEFINITIONS {
        let established =
            view.get("CustomResourceDefinition", name).is_some_and(|d| judge::condition(d, "Established"));
        if !established {
            return Ok(Progress::NotYet(format!("the definition `{name}` is not established")));
        }
    }
    for name in DEPLOYMENTS {
        match view.get("Deployment", name).map(judge::deployment) {
            None => return Ok(Progress::NotYet(format!("Deployment `{name}` is not there"))),
            Some(State::NotYet(seen)) => return Ok(Progress::NotYet(format!("Deployment `{name}`: {seen}"))),
            Some(State::Broken(why)) => {
                return Err(Failure::environment("GSH-INS-002", format!("Deployment `{name}` is available"), why));
            }
            Some(State::Ready) => {}
        }
    }
    Ok(Progress::Ready(()))
}

fn chart() -> Value {
    json!({
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": { "name": CERT_MANAGER, "namespace": "kube-system" },
        "spec": {
            "chart": CERT_MANAGER,
            "repo": "https://charts.jetstack.io",
            "version": CERT_MANAGER_VERSION,
            "targetNamespace": CERT_MANAGER,
            "valuesContent": "installCRDs: true\n",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_answers_the_ingress_for_every_name_of_the_site() {
        let map = names("a.gsh.internal", IpAddr::from([10, 2, 0, 3]));
        assert_eq!(
            map["data"]["gsh.server"].as_str().expect("a server block"),
            "a.gsh.internal:53 {\n    errors\n    template IN A {\n        answer \"{{ .Name }} 60 IN A 10.2.0.3\"\n    }\n    \
             template IN ANY {\n        rcode NOERROR\n    }\n}\n"
        );
    }
}
