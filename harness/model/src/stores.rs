//! External stores: which ones a cell wants, and which the matrix file gives so that gsh need not bring them up.
//!
//! A file gives addresses and names, never a secret: of those it names the environment variables. There is no place for a
//! database, because one cannot be shared and would have to be emptied after each cell: its schemas have fixed names.

use serde::{Deserialize, Serialize};

use crate::axis::{Cell, Database, Registry, Storage};

/// A kind of store outside of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// MySQL.
    Database,
    /// A registry of images.
    Registry,
    /// An S3 object store.
    S3,
}

/// The stores that a cell wants outside of its cluster.
#[must_use]
pub fn wanted(cell: &Cell) -> Vec<StoreKind> {
    let mut wanted = Vec::new();
    match cell.database {
        Database::InCluster => {}
        Database::External | Database::ExternalTls => wanted.push(StoreKind::Database),
    }
    let of_registry = match cell.registry {
        Registry::InCluster => None,
        Registry::InClusterS3 => Some(StoreKind::S3),
        Registry::External => Some(StoreKind::Registry),
    };
    let of_storage = match cell.storage {
        Storage::InCluster => None,
        Storage::S3 | Storage::S3MultiBucket => Some(StoreKind::S3),
    };
    wanted.extend(of_registry);
    wanted.extend(of_storage.filter(|_| of_registry != Some(StoreKind::S3)));
    wanted
}

/// Whether gsh has to bring up a store for a cell that gets these from elsewhere.
#[must_use]
pub fn leave_open(cell: &Cell, served: &[StoreKind]) -> bool {
    wanted(cell).iter().any(|kind| !served.contains(kind))
}

/// The stores that a matrix file gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GivenStores {
    /// `[stores.s3]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<GivenS3>,
    /// `[stores.registry]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<GivenRegistry>,
}

/// An S3 store that somebody already has. Cells share it: the names of objects contain the owner or the content's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GivenS3 {
    /// `https://host[:port]`, or `http://…`.
    pub endpoint: String,
    /// Region of its buckets.
    pub region: String,
    /// Bucket of workspace content, which exists.
    pub bucket: String,
    /// Bucket of the registry in the cluster, which exists.
    pub registry_bucket: String,
    /// Environment variable with the access key id.
    pub access_key_from: String,
    /// Environment variable with the secret access key.
    pub secret_key_from: String,
}

/// A registry that somebody already has. Cells share it: blobs are named by their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GivenRegistry {
    /// `host[:port][/path]`, without scheme: it is HTTPS.
    pub url: String,
    /// User.
    pub username: String,
    /// Environment variable with the password.
    pub password_from: String,
    /// File with the authority behind its certificate, PEM, relative to the matrix file; absent where that is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl GivenS3 {
    /// Whether it speaks HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.endpoint.starts_with("https://")
    }

    /// `host[:port]`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.endpoint.split_once("://").map_or(&self.endpoint, |(_, authority)| authority)
    }
}

impl GivenStores {
    /// Whether none is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.s3.is_none() && self.registry.is_none()
    }

    /// The stores that a cell wants and gets from here.
    #[must_use]
    pub fn serve(&self, cell: &Cell) -> Vec<StoreKind> {
        let mut serve = wanted(cell);
        serve.retain(|kind| match kind {
            StoreKind::Database => false,
            StoreKind::Registry => self.registry.is_some(),
            StoreKind::S3 => self.s3.is_some(),
        });
        serve
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A store over HTTPS, and a registry.
    pub(crate) fn given() -> GivenStores {
        GivenStores {
            s3: Some(GivenS3 {
                endpoint: "https://s3.example.com".to_owned(),
                region: "eu".to_owned(),
                bucket: "content".to_owned(),
                registry_bucket: "images".to_owned(),
                access_key_from: "ACCESS".to_owned(),
                secret_key_from: "SECRET".to_owned(),
            }),
            registry: Some(GivenRegistry {
                url: "registry.example.com".to_owned(),
                username: "gsh".to_owned(),
                password_from: "PASSWORD".to_owned(),
                ca: None,
            }),
        }
    }

    #[test]
    fn one_store_serves_registry_and_storage_and_a_database_is_always_brought_up() {
        let cell = |database, registry, storage| Cell { database, registry, storage, ..Cell::default() };
        let on_s3 = cell(Database::InCluster, Registry::InClusterS3, Storage::S3MultiBucket);
        assert_eq!(wanted(&on_s3), [StoreKind::S3]);
        assert!(!leave_open(&on_s3, &given().serve(&on_s3)) && leave_open(&on_s3, &[]));
        let all = cell(Database::ExternalTls, Registry::External, Storage::S3);
        assert_eq!(wanted(&all), [StoreKind::Database, StoreKind::Registry, StoreKind::S3]);
        assert_eq!(given().serve(&all), [StoreKind::Registry, StoreKind::S3]);
        assert!(leave_open(&all, &given().serve(&all)), "the database is left");
        assert!(!leave_open(&Cell::default(), &[]), "a cell that wants none leaves none open");
    }
}
