//! Applying the rendered objects, in an order in which each finds what it needs.

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_model::outcome::Blame;
use serde_json::Value;

use super::manifest::Manifest;
use gsh_kube::api::{self, Api};
use gsh_kube::follow::name_of;

/// Requests under way at once. An API server on a small node answers no faster to more.
const AT_ONCE: usize = 8;

/// When an object has its turn. Pods refuse to start without their ServiceAccount, and a pod that finds its Secrets and
/// ConfigMaps at once is spared kubelet's back-off.
fn turn(kind: &str) -> u8 {
    match kind {
        "CustomResourceDefinition" | "ServiceAccount" | "ResourceQuota" | "LimitRange" | "StorageClass" => 0,
        "Secret" | "ConfigMap" | "PersistentVolume" | "PersistentVolumeClaim" => 1,
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" | "NetworkPolicy" => 1,
        "Issuer" => 2,
        "Certificate" => 3,
        "DaemonSet" | "StatefulSet" | "Deployment" => 5,
        "Job" | "CronJob" => 6,
        // Services and whatever a later release brings: before the workloads.
        _other => 4,
    }
}

/// Applies every object; the first refusal ends it, and it is the product's, because the installer made the object.
pub(crate) async fn all(cx: &Cx, api: &Api, manifest: &Manifest, check: &'static str) -> Result<(), Failure> {
    for now in 0..=6 {
        let objects = manifest.objects().iter().filter(|o| turn(o["kind"].as_str().unwrap_or_default()) == now);
        let requests: Vec<_> = objects.map(|object| one(cx, api, object, check).boxed()).collect();
        stream::iter(requests).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

async fn one(cx: &Cx, api: &Api, object: &Value, check: &'static str) -> Result<(), Failure> {
    let kind = object["kind"].as_str().unwrap_or("?");
    let what = format!("{kind} `{}` from the installer is accepted by the API", name_of(object));
    api::patiently(cx, &what, Blame::Product, check, || api.apply(object)).await.map(drop)
}
