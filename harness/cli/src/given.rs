//! The stores that a matrix file gives: the secrets and the authority that it names are read before anything is created.

use std::path::Path;

use gsh_engine::provider::{Origin, RegistryStore, S3Store, Stores};
use gsh_engine::secret::Secret;
use gsh_model::input::{Digest, Input, InputKind};
use gsh_model::plan::Plan;
use gsh_model::stores::StoreKind;

use crate::env;
use crate::error::CliError;

/// The stores that the cells of this run get from the matrix file. What none of them wants is not asked for.
pub(crate) fn stores(matrix: &Path, plan: &Plan) -> Result<Stores, CliError> {
    let wanted = |kind| plan.own_cells().any(|c| plan.stores.serve(&c.cell).contains(&kind));
    let mut stores = Stores::default();
    if let Some(s3) = plan.stores.s3.as_ref().filter(|_| wanted(StoreKind::S3)) {
        stores.s3 = Some(S3Store {
            endpoint: s3.authority().to_owned(),
            region: s3.region.clone(),
            bucket: s3.bucket.clone(),
            registry_bucket: s3.registry_bucket.clone(),
            access_key: secret(matrix, "stores.s3", "access-key-from", &s3.access_key_from)?,
            secret_key: secret(matrix, "stores.s3", "secret-key-from", &s3.secret_key_from)?,
            insecure: !s3.is_secure(),
            origin: Origin::Given,
        });
    }
    if let Some(registry) = plan.stores.registry.as_ref().filter(|_| wanted(StoreKind::Registry)) {
        stores.registry = Some(RegistryStore {
            url: registry.url.clone(),
            username: registry.username.clone(),
            password: secret(matrix, "stores.registry", "password-from", &registry.password_from)?,
            ca_pem: registry.ca.as_deref().map(|file| authority(matrix, file)).transpose()?,
            origin: Origin::Given,
        });
    }
    Ok(stores)
}

fn secret(matrix: &Path, section: &str, key: &str, variable: &str) -> Result<Secret, CliError> {
    env::named(variable).ok_or_else(|| {
        CliError::usage(format!(
            "{}: `{key}` of [{section}] names the environment variable {variable}, and that is not set",
            matrix.display()
        ))
        .hint(format!("set {variable} where gsh runs, or select no cell that uses this store"))
    })
}

/// A file beside the matrix.
fn authority(matrix: &Path, file: &str) -> Result<String, CliError> {
    let path = matrix.parent().unwrap_or(Path::new("")).join(file);
    let bad =
        || CliError::usage(format!("{}: `ca` of [stores.registry]: cannot use `{}`", matrix.display(), path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| bad().because(&e))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(bad().hint("it is to hold certificates in PEM form"))
    }
}

/// What the record says about them: addresses, and the digest of an authority. Never a secret. Every shard of a plan says
/// the same, also one whose own cells use none.
pub(crate) fn inputs(matrix: &Path, plan: &Plan) -> Result<Vec<Input>, CliError> {
    let used = |kind| plan.cells.iter().any(|c| plan.stores.serve(&c.cell).contains(&kind));
    let mut inputs = Vec::new();
    if let Some(s3) = plan.stores.s3.as_ref().filter(|_| used(StoreKind::S3)) {
        let name = format!("s3 {}, buckets {} and {}", s3.endpoint, s3.bucket, s3.registry_bucket);
        inputs.push(Input { kind: InputKind::Store, name, digest: None });
    }
    if let Some(registry) = plan.stores.registry.as_ref().filter(|_| used(StoreKind::Registry)) {
        let ca = registry.ca.as_deref().map(|file| authority(matrix, file)).transpose()?;
        inputs.push(Input {
            kind: InputKind::Store,
            name: format!("registry {}", registry.url),
            digest: ca.map(|pem| Digest::Sha256(crate::seal::sha256(pem.as_bytes()))),
        });
    }
    Ok(inputs)
}
