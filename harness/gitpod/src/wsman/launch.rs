//! What to ask of ws-manager to get a workspace: the request that Gitpod's own tests send.

use std::collections::BTreeMap;

use gsh_engine::installer::Installation;
use gsh_model::lease::LeaseId;
use gsh_wsman::calls::{MetadataFilter, StartWorkspaceRequest};
use gsh_wsman::content::{FromBackupInitializer, Initializer, WorkspaceInitializer};
use gsh_wsman::words::{AdmissionLevel, WorkspaceType};
use gsh_wsman::workspace::{GitSpec, IdeImage, StartWorkspaceSpec, WorkspaceMetadata};

use super::ids;

/// Owner of workspaces that we start: a user that Gitpod's migrations always make.
pub(crate) const OWNER: &str = "builtin-user-workspace-probe-0000000";
/// Annotation with the lease that a workspace was started on: whoever finds it knows whose it is.
pub(crate) const LEASE_ANNOTATION: &str = "gsh-lease";
/// Annotation with the part of the run's id that all its leases share.
pub(crate) const RUN_ANNOTATION: &str = "gsh-run";

/// Annotation with the time from which on nobody needs the workspace any more, RFC 3339.
pub(crate) const EXPIRES_ANNOTATION: &str = "gsh-expires";
/// Longer than any scenario.
const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

/// A workspace to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    pub(crate) instance: String,
    pub(crate) id: String,
    annotations: BTreeMap<String, String>,
    spec: StartWorkspaceSpec,
}

impl Launch {
    /// An empty workspace with the installation's default image. Instance id and workspace id are fresh.
    #[must_use]
    pub fn new(installation: &Installation, lease: &LeaseId) -> Self {
        let run = lease.as_str().split('-').next().unwrap_or_default();
        let expires = (jiff::Timestamp::now() + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let annotations =
            [(LEASE_ANNOTATION, lease.as_str()), (RUN_ANNOTATION, run), (EXPIRES_ANNOTATION, expires.as_str())];
        let spec = StartWorkspaceSpec {
            workspace_image: installation.workspace_image.clone(),
            // Old and new home of the same thing: releases of this line read one or the other.
            deprecated_ide_image: installation.ide_image.clone(),
            ide_image: Some(IdeImage { web_ref: installation.ide_image.clone(), ..IdeImage::default() }),
            initializer: Some(WorkspaceInitializer::empty()),
            workspace_location: "/".to_owned(),
            git: Some(GitSpec { username: "gsh".to_owned(), email: "gsh@example.org".to_owned() }),
            timeout: "30m".to_owned(),
            admission: AdmissionLevel::OwnerOnly.into(),
            ..StartWorkspaceSpec::default()
        };
        Self {
            instance: uuid::Uuid::new_v4().to_string(),
            id: ids::workspace_id(),
            annotations: annotations.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            spec,
        }
    }

    /// A workspace that an earlier run started, to be stopped.
    #[must_use]
    pub fn of_another(installation: &Installation, lease: &LeaseId, instance: &str, id: &str) -> Self {
        Self { instance: instance.to_owned(), id: id.to_owned(), ..Self::new(installation, lease) }
    }

    /// The same workspace once more, under a fresh instance id, filled from the backup that its last instance left.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut next = self.clone();
        next.instance = uuid::Uuid::new_v4().to_string();
        next.spec.initializer =
            Some(WorkspaceInitializer { spec: Some(Initializer::Backup(FromBackupInitializer::default())) });
        next
    }

    /// With public keys that the SSH gateway accepts, as lines of `authorized_keys`.
    #[must_use]
    pub fn ssh_keys(mut self, keys: Vec<String>) -> Self {
        self.spec.ssh_public_keys = keys;
        self
    }

    /// Instance id: new for each start.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The user that it belongs to.
    #[must_use]
    pub fn owner(&self) -> &str {
        OWNER
    }

    /// What finds this one.
    pub(crate) fn filter(&self) -> MetadataFilter {
        MetadataFilter { meta_id: self.id.clone(), ..MetadataFilter::default() }
    }

    pub(crate) fn request(&self) -> StartWorkspaceRequest {
        StartWorkspaceRequest {
            id: self.instance.clone(),
            // The URL is made from the prefix and requests are routed by the workspace id: they must be one.
            service_prefix: self.id.clone(),
            metadata: Some(WorkspaceMetadata {
                owner: OWNER.to_owned(),
                meta_id: self.id.clone(),
                annotations: self.annotations.clone(),
                ..WorkspaceMetadata::default()
            }),
            spec: Some(self.spec.clone()),
            r#type: WorkspaceType::Regular.into(),
        }
    }
}
