//! Requests and responses of the RPCs in [`crate::rpc`], in the same order.

use std::collections::BTreeMap;

use prost::Message;

use crate::words::{AdmissionLevel, StopWorkspacePolicy, WorkspaceType};
use crate::workspace::{PortSpec, StartWorkspaceSpec, WorkspaceClass, WorkspaceMetadata, WorkspaceStatus};

/// Which workspaces are meant. Everything given must match.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetadataFilter {
    /// Owner, exactly; empty matches all.
    #[prost(string, tag = "1")]
    pub owner: String,
    /// Workspace id, exactly; empty matches all.
    #[prost(string, tag = "2")]
    pub meta_id: String,
    /// Annotations that must be there with these values; others may be there too.
    #[prost(btree_map = "string, string", tag = "3")]
    pub annotations: BTreeMap<String, String>,
}

/// Asks for workspaces.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GetWorkspacesRequest {
    /// Which ones; absent means all.
    #[prost(message, optional, tag = "1")]
    pub must_match: Option<MetadataFilter>,
}

/// The workspaces found.
#[derive(Clone, PartialEq, Message)]
pub struct GetWorkspacesResponse {
    /// One status each.
    #[prost(message, repeated, tag = "1")]
    pub status: Vec<WorkspaceStatus>,
}

/// Asks for a new workspace. Field 5 is reserved.
#[derive(Clone, PartialEq, Message)]
pub struct StartWorkspaceRequest {
    /// Instance id, a UUID chosen by the caller; a second start with the same one is `ALREADY_EXISTS`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// First part of the public host name; must equal `metadata.meta_id` for the workspace to be reachable.
    #[prost(string, tag = "2")]
    pub service_prefix: String,
    /// Whose it is and what it is called.
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<WorkspaceMetadata>,
    /// What it runs.
    #[prost(message, optional, tag = "4")]
    pub spec: Option<StartWorkspaceSpec>,
    /// What it is for.
    #[prost(enumeration = "WorkspaceType", tag = "6")]
    pub r#type: i32,
}

/// The workspace is scheduled.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StartWorkspaceResponse {
    /// Public address.
    #[prost(string, tag = "1")]
    pub url: String,
    /// The owner's token: a secret.
    #[prost(string, tag = "2")]
    pub owner_token: String,
}

/// Asks to stop a workspace.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StopWorkspaceRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// How hard.
    #[prost(enumeration = "StopWorkspacePolicy", tag = "2")]
    pub policy: i32,
}

/// The workspace is marked, or never existed.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StopWorkspaceResponse {}

/// Asks about one workspace.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DescribeWorkspaceRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// What is known about it.
#[derive(Clone, PartialEq, Message)]
pub struct DescribeWorkspaceResponse {
    /// Its status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<WorkspaceStatus>,
    /// Last activity, RFC 3339 with nanoseconds, empty if there never was any; `lastActivity` in the proto file.
    #[prost(string, tag = "2")]
    pub last_activity: String,
}

/// Asks for a backup.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BackupWorkspaceRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// The backup is made.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BackupWorkspaceResponse {
    /// Where it is.
    #[prost(string, tag = "1")]
    pub url: String,
}

/// Asks for status changes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SubscribeRequest {
    /// Of which workspaces; absent means all.
    #[prost(message, optional, tag = "1")]
    pub must_match: Option<MetadataFilter>,
}

/// One status change. Field 2 is reserved.
#[derive(Clone, PartialEq, Message)]
pub struct SubscribeResponse {
    /// The new status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<WorkspaceStatus>,
    /// Tracing headers.
    #[prost(btree_map = "string, string", tag = "3")]
    pub header: BTreeMap<String, String>,
}

/// Tells that a workspace is in use.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MarkActiveRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether the last window on it was closed instead.
    #[prost(bool, tag = "2")]
    pub closed: bool,
    /// Whether to do nothing if it is active already.
    #[prost(bool, tag = "3")]
    pub ignore_if_active: bool,
}

/// Noted.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MarkActiveResponse {}

/// Sets a workspace's time-out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetTimeoutRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// A Go duration such as `30m`.
    #[prost(string, tag = "2")]
    pub duration: String,
}

/// Set.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetTimeoutResponse {}

/// Exposes or hides a port.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ControlPortRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Expose rather than hide.
    #[prost(bool, tag = "2")]
    pub expose: bool,
    /// The port.
    #[prost(message, optional, tag = "3")]
    pub spec: Option<PortSpec>,
}

/// Done.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ControlPortResponse {}

/// Asks for a snapshot; the workspace must be running.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TakeSnapshotRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether to answer before the snapshot is complete.
    #[prost(bool, tag = "2")]
    pub return_immediately: bool,
}

/// The snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TakeSnapshotResponse {
    /// Where it is, or will be.
    #[prost(string, tag = "1")]
    pub url: String,
}

/// Changes who may open a workspace.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ControlAdmissionRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Who.
    #[prost(enumeration = "AdmissionLevel", tag = "2")]
    pub level: i32,
}

/// Changed.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ControlAdmissionResponse {}

/// Asks to delete a volume snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeleteVolumeSnapshotRequest {
    /// Name of the snapshot.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Handle in the storage system.
    #[prost(string, tag = "2")]
    pub volume_handle: String,
    /// Whether to delete only the Kubernetes object.
    #[prost(bool, tag = "3")]
    pub soft_delete: bool,
    /// What the workspace was for.
    #[prost(enumeration = "WorkspaceType", tag = "4")]
    pub ws_type: i32,
}

/// Whether there was something to delete.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeleteVolumeSnapshotResponse {
    /// Deleted.
    #[prost(bool, tag = "1")]
    pub was_deleted: bool,
}

/// Replaces the keys that the SSH gateway accepts; `UpdateSSHKeyRequest` in the proto file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct UpdateSshKeyRequest {
    /// Instance id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// All keys, as lines of `authorized_keys`.
    #[prost(string, repeated, tag = "2")]
    pub keys: Vec<String>,
}

/// Replaced; `UpdateSSHKeyResponse` in the proto file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct UpdateSshKeyResponse {}

/// Asks what the cluster offers.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DescribeClusterRequest {}

/// What the cluster offers.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DescribeClusterResponse {
    /// The classes; `WorkspaceClasses` in the proto file.
    #[prost(message, repeated, tag = "1")]
    pub workspace_classes: Vec<WorkspaceClass>,
}
