//! What a workspace is: its status, metadata, specification and conditions.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

use crate::content::{GitStatus, WorkspaceInitializer};
use crate::words::{
    AdmissionLevel, PortVisibility, WorkspaceConditionBool, WorkspaceFeatureFlag, WorkspacePhase, WorkspaceType,
};

/// What ws-manager knows about one workspace.
#[derive(Clone, PartialEq, Message)]
pub struct WorkspaceStatus {
    /// Instance id (a UUID), not the workspace id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whose it is and what it is called.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<WorkspaceMetadata>,
    /// What it runs.
    #[prost(message, optional, tag = "3")]
    pub spec: Option<WorkspaceSpec>,
    /// Where it is in its life.
    #[prost(enumeration = "WorkspacePhase", tag = "4")]
    pub phase: i32,
    /// What happened to it.
    #[prost(message, optional, tag = "5")]
    pub conditions: Option<WorkspaceConditions>,
    /// Text for people.
    #[prost(string, tag = "6")]
    pub message: String,
    /// What git says about its content; known once it stops.
    #[prost(message, optional, tag = "7")]
    pub repo: Option<GitStatus>,
    /// Where it runs.
    #[prost(message, optional, tag = "8")]
    pub runtime: Option<WorkspaceRuntimeInfo>,
    /// Who may use it. Carries the owner token: a secret.
    #[prost(message, optional, tag = "9")]
    pub auth: Option<WorkspaceAuthentication>,
    /// Grows with every change; only good for telling the newer of two.
    #[prost(uint64, tag = "10")]
    pub status_version: u64,
}

/// Whose a workspace is. Owner, workspace id, team and project become pod labels and must fit one.
#[derive(Clone, PartialEq, Message)]
pub struct WorkspaceMetadata {
    /// User id; a start without one fails when content is initialised.
    #[prost(string, tag = "1")]
    pub owner: String,
    /// Workspace id, as in URLs and SSH user names.
    #[prost(string, tag = "2")]
    pub meta_id: String,
    /// When the pod was created; never read from requests.
    #[prost(message, optional, tag = "3")]
    pub started_at: Option<Timestamp>,
    /// Free annotations; filters match on them.
    #[prost(btree_map = "string, string", tag = "4")]
    pub annotations: BTreeMap<String, String>,
    /// Team, if any.
    #[prost(string, optional, tag = "5")]
    pub team: Option<String>,
    /// Project, if any.
    #[prost(string, optional, tag = "6")]
    pub project: Option<String>,
}

/// What a workspace runs, as reported in its status.
#[derive(Clone, PartialEq, Message)]
pub struct WorkspaceSpec {
    /// Image with the person's tools.
    #[prost(string, tag = "1")]
    pub workspace_image: String,
    /// Former home of `ide_image.web_ref`.
    #[prost(string, tag = "2")]
    pub deprecated_ide_image: String,
    /// Whether nobody looks at it.
    #[prost(bool, tag = "3")]
    pub headless: bool,
    /// Public address.
    #[prost(string, tag = "4")]
    pub url: String,
    /// Ports opened so far.
    #[prost(message, repeated, tag = "5")]
    pub exposed_ports: Vec<PortSpec>,
    /// What it is for.
    #[prost(enumeration = "WorkspaceType", tag = "6")]
    pub r#type: i32,
    /// Inactivity time-out, a Go duration.
    #[prost(string, tag = "7")]
    pub timeout: String,
    /// IDE images.
    #[prost(message, optional, tag = "8")]
    pub ide_image: Option<IdeImage>,
    /// Workspace class.
    #[prost(string, tag = "9")]
    pub class: String,
    /// Further image layers of the IDE.
    #[prost(string, repeated, tag = "10")]
    pub ide_image_layers: Vec<String>,
}

/// IDE images; `IDEImage` in the proto file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct IdeImage {
    /// The IDE in the browser. Without it the supervisor does not start.
    #[prost(string, tag = "1")]
    pub web_ref: String,
    /// Deprecated: desktop IDE.
    #[prost(string, tag = "2")]
    pub desktop_ref: String,
    /// The supervisor; may be empty, a static layer carries it.
    #[prost(string, tag = "3")]
    pub supervisor_ref: String,
    /// Deprecated: desktop IDE plug-in.
    #[prost(string, tag = "4")]
    pub desktop_plugin_ref: String,
}

/// One port of a workspace. Field 2 is reserved.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PortSpec {
    /// The port.
    #[prost(uint32, tag = "1")]
    pub port: u32,
    /// Who may open it.
    #[prost(enumeration = "PortVisibility", tag = "3")]
    pub visibility: i32,
    /// Its public address.
    #[prost(string, tag = "4")]
    pub url: String,
}

/// A volume snapshot (persistent-volume feature).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct VolumeSnapshotInfo {
    /// Name of the Kubernetes object.
    #[prost(string, tag = "1")]
    pub volume_snapshot_name: String,
    /// Handle in the storage system.
    #[prost(string, tag = "2")]
    pub volume_snapshot_handle: String,
}

/// What happened to a workspace. Field 4 is reserved.
#[derive(Clone, PartialEq, Message)]
pub struct WorkspaceConditions {
    /// Why it failed; any text here makes ws-manager stop the workspace at once.
    #[prost(string, tag = "1")]
    pub failed: String,
    /// Which time-out ended it.
    #[prost(string, tag = "2")]
    pub timeout: String,
    /// Whether images are being pulled.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "3")]
    pub pulling_images: i32,
    /// URL of the snapshot taken.
    #[prost(string, tag = "5")]
    pub snapshot: String,
    /// Whether the last backup is done; true only if it went well.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "6")]
    pub final_backup_complete: i32,
    /// Carries no information: `FALSE` is both the zero value and the only value ever set.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "7")]
    pub deployed: i32,
    /// Whether the node's network was not ready.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "8")]
    pub network_not_ready: i32,
    /// When somebody first used it.
    #[prost(message, optional, tag = "9")]
    pub first_user_activity: Option<Timestamp>,
    /// Why a headless task failed.
    #[prost(string, tag = "10")]
    pub headless_task_failed: String,
    /// Whether a request stopped it.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "11")]
    pub stopped_by_request: i32,
    /// The volume snapshot taken at the end.
    #[prost(message, optional, tag = "12")]
    pub volume_snapshot: Option<VolumeSnapshotInfo>,
    /// Whether it was aborted.
    #[prost(enumeration = "WorkspaceConditionBool", tag = "13")]
    pub aborted: i32,
}

/// Where a workspace runs.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WorkspaceRuntimeInfo {
    /// Node.
    #[prost(string, tag = "1")]
    pub node_name: String,
    /// Pod.
    #[prost(string, tag = "2")]
    pub pod_name: String,
    /// Address of the node.
    #[prost(string, tag = "3")]
    pub node_ip: String,
}

/// Who may use a workspace.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WorkspaceAuthentication {
    /// Who may open it.
    #[prost(enumeration = "AdmissionLevel", tag = "1")]
    pub admission: i32,
    /// The owner's token: a secret, new for each instance.
    #[prost(string, tag = "2")]
    pub owner_token: String,
}

/// What a start request asks for. Field 7 is reserved.
#[derive(Clone, PartialEq, Message)]
pub struct StartWorkspaceSpec {
    /// Image with the person's tools, any reference that registry-facade can pull; required.
    #[prost(string, tag = "1")]
    pub workspace_image: String,
    /// Former home of `ide_image.web_ref`.
    #[prost(string, tag = "2")]
    pub deprecated_ide_image: String,
    /// Feature flags.
    #[prost(enumeration = "WorkspaceFeatureFlag", repeated, tag = "3")]
    pub feature_flags: Vec<i32>,
    /// How the workspace gets its files; required.
    #[prost(message, optional, tag = "4")]
    pub initializer: Option<WorkspaceInitializer>,
    /// Checked for duplicates and otherwise ignored.
    #[prost(message, repeated, tag = "5")]
    pub ports: Vec<PortSpec>,
    /// Environment of the person.
    #[prost(message, repeated, tag = "6")]
    pub envvars: Vec<EnvironmentVariable>,
    /// Where the IDE opens, relative to `/workspace`; required.
    #[prost(string, tag = "8")]
    pub workspace_location: String,
    /// Name and address for commits.
    #[prost(message, optional, tag = "9")]
    pub git: Option<GitSpec>,
    /// Inactivity time-out, a Go duration.
    #[prost(string, tag = "10")]
    pub timeout: String,
    /// Who may open the workspace.
    #[prost(enumeration = "AdmissionLevel", tag = "11")]
    pub admission: i32,
    /// IDE images; needed in practice.
    #[prost(message, optional, tag = "12")]
    pub ide_image: Option<IdeImage>,
    /// Workspace class; unknown or empty means `default`.
    #[prost(string, tag = "13")]
    pub class: String,
    /// Volume snapshot to restore.
    #[prost(message, optional, tag = "14")]
    pub volume_snapshot: Option<VolumeSnapshotInfo>,
    /// Public keys that the SSH gateway accepts, as lines of `authorized_keys`.
    #[prost(string, repeated, tag = "15")]
    pub ssh_public_keys: Vec<String>,
    /// Environment of the system.
    #[prost(message, repeated, tag = "16")]
    pub sys_envvars: Vec<EnvironmentVariable>,
    /// Further image layers of the IDE.
    #[prost(string, repeated, tag = "17")]
    pub ide_image_layers: Vec<String>,
}

/// Name and address for commits.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GitSpec {
    /// Name.
    #[prost(string, tag = "1")]
    pub username: String,
    /// Mail address.
    #[prost(string, tag = "2")]
    pub email: String,
}

/// One environment variable, with a value or with a reference to one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EnvironmentVariable {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Where the value is, if it is not here.
    #[prost(message, optional, tag = "3")]
    pub secret: Option<SecretKeyRef>,
}

/// One key of a Kubernetes Secret; nested in `EnvironmentVariable` in the proto file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SecretKeyRef {
    /// The Secret.
    #[prost(string, tag = "1")]
    pub secret_name: String,
    /// The key in it.
    #[prost(string, tag = "2")]
    pub key: String,
}

/// Ports of a workspace as kept, base64-encoded, in the pod annotation `gitpod/exposedPorts`.
#[derive(Clone, PartialEq, Message)]
pub struct ExposedPorts {
    /// The ports.
    #[prost(message, repeated, tag = "1")]
    pub ports: Vec<PortSpec>,
}

/// Public keys as kept, base64-encoded, in the pod annotation `gitpod.io/sshPublicKeys`; `SSHPublicKeys` in the proto
/// file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SshPublicKeys {
    /// Lines of `authorized_keys`.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
}

/// A workspace class.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WorkspaceClass {
    /// Id; `Id` in the proto file.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Name for people; `DisplayName` in the proto file.
    #[prost(string, tag = "2")]
    pub display_name: String,
}
