//! Whether the stores that somebody gives take what Gitpod will keep in them. Asked from inside of the cluster, as Gitpod
//! will, and before it is installed: a wrong key is then not mistaken for a fault of the product.

use std::collections::BTreeMap;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{Cluster, Origin, RegistryStore, S3Store};
use gsh_model::axis::{Cell, Registry, Storage};
use gsh_model::outcome::Blame;

use super::{Images, Objects};
use crate::probe::Probe;

/// Looks at them; does nothing where none is given.
pub(crate) async fn examine(cx: &Cx, cluster: &Cluster, cell: &Cell, namespace: &str) -> Result<(), Failure> {
    let s3 = cluster.stores.s3.as_ref().filter(|s| s.origin == Origin::Given);
    let registry = cluster.stores.registry.as_ref().filter(|s| s.origin == Origin::Given);
    if s3.is_none() && registry.is_none() {
        return Ok(());
    }
    let probe = Probe::new(cluster, namespace, &format!("gsh-stores-{}", cluster.lease));
    let labels = BTreeMap::new();
    let started = probe.start(cx, &labels, None, &["sleep", "600"], "GSH-INS-040");
    cx.check("GSH-INS-040", "a probe runs in the cluster", started).await?;
    let looked = async {
        if let Some(s3) = s3 {
            let title = "the S3 store that was given takes what Gitpod will keep in it";
            let look = async { bucket_by_bucket(&probe, cluster, cell, s3).await.map_err(|e| of_given(e, "s3")) };
            cx.check("GSH-INS-041", title, look).await?;
        }
        if let Some(registry) = registry {
            let title = "the registry that was given takes what Gitpod will push to it";
            let look = async { blob(cx, &probe, cluster, registry).await.map_err(|e| of_given(e, "registry")) };
            cx.check("GSH-INS-042", title, look).await?;
        }
        Ok(())
    };
    let looked = looked.await;
    let removed = probe.remove("GSH-INS-040").await;
    looked.and(removed)
}

/// Gitpod is not there yet, so nothing of this is its fault.
fn of_given(mut failure: Failure, section: &str) -> Failure {
    if failure.blame == Blame::Product {
        failure.blame = Blame::Environment;
    }
    failure.cause(format!("it is what [stores.{section}] of the matrix file gives"))
}

/// Writes, reads and removes an object where the registry and the workspaces will; a bucket, where each user has one.
async fn bucket_by_bucket(probe: &Probe, cluster: &Cluster, cell: &Cell, s3: &S3Store) -> Result<(), Failure> {
    let check = "GSH-INS-041";
    let name = format!("gsh-{}", cluster.lease);
    let mut buckets = Vec::new();
    match cell.registry {
        Registry::InClusterS3 => buckets.push(s3.registry_bucket.as_str()),
        Registry::InCluster | Registry::External => {}
    }
    match cell.storage {
        Storage::S3 => buckets.push(s3.bucket.as_str()),
        Storage::S3MultiBucket => {
            let own = Objects::handed_out(s3, &name, &cluster.reach);
            own.make_bucket(probe, &name, check).await?;
            own.remove_bucket(probe, &name, check).await?;
        }
        Storage::InCluster => {}
    }
    for bucket in buckets {
        let store = Objects::handed_out(s3, bucket, &cluster.reach);
        let at = (bucket, name.as_str());
        store.put(probe, at, name.as_bytes(), check).await?;
        let read = store.get(probe, at, check).await?;
        store.remove(probe, at, check).await?;
        if read.as_deref() != Some(name.as_bytes()) {
            let observed = if read.is_some() { "other bytes come" } else { "there is none" };
            return Err(Failure::environment(
                check,
                format!("object `{name}` of bucket `{bucket}` is read back"),
                observed,
            ));
        }
    }
    Ok(())
}

/// Pushes a blob and reads it back.
async fn blob(cx: &Cx, probe: &Probe, cluster: &Cluster, registry: &RegistryStore) -> Result<(), Failure> {
    let check = "GSH-INS-042";
    let images = Images::handed_out(cx, registry, &cluster.reach);
    let word = format!("gsh-{}", cluster.lease);
    let digest = images.push(probe, word.as_bytes(), check).await?;
    match images.pull(probe, &digest, check).await? {
        Some(blob) if blob == word.as_bytes() => Ok(()),
        other => {
            let observed = if other.is_some() { "other bytes come" } else { "the registry does not know it" };
            Err(Failure::environment(check, format!("the blob sha256:{digest} is read back"), observed))
        }
    }
}
