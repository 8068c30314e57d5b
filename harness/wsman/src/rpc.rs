//! Names of the service and paths of its RPCs, as they stand in the HTTP/2 `:path` header.

/// Full name of the service: proto package `wsman`, service `WorkspaceManager`.
pub const SERVICE: &str = "wsman.WorkspaceManager";

/// Lists workspaces, optionally filtered; unary.
pub const GET_WORKSPACES: &str = "/wsman.WorkspaceManager/GetWorkspaces";
/// Starts a workspace; unary, answers only once the pod is scheduled.
pub const START_WORKSPACE: &str = "/wsman.WorkspaceManager/StartWorkspace";
/// Marks a workspace for stopping; unary, answers OK even for unknown ids.
pub const STOP_WORKSPACE: &str = "/wsman.WorkspaceManager/StopWorkspace";
/// Describes one workspace; unary, `NOT_FOUND` once its pod is gone.
pub const DESCRIBE_WORKSPACE: &str = "/wsman.WorkspaceManager/DescribeWorkspace";
/// Asks for a backup of one workspace; unary.
pub const BACKUP_WORKSPACE: &str = "/wsman.WorkspaceManager/BackupWorkspace";
/// Streams status changes; server streaming, without a snapshot at the beginning.
pub const SUBSCRIBE: &str = "/wsman.WorkspaceManager/Subscribe";
/// Resets the inactivity clock of a workspace; unary.
pub const MARK_ACTIVE: &str = "/wsman.WorkspaceManager/MarkActive";
/// Sets the time-out of a workspace; unary.
pub const SET_TIMEOUT: &str = "/wsman.WorkspaceManager/SetTimeout";
/// Exposes or hides a port; unary.
pub const CONTROL_PORT: &str = "/wsman.WorkspaceManager/ControlPort";
/// Takes a snapshot of a running workspace; unary.
pub const TAKE_SNAPSHOT: &str = "/wsman.WorkspaceManager/TakeSnapshot";
/// Changes who may open a workspace; unary.
pub const CONTROL_ADMISSION: &str = "/wsman.WorkspaceManager/ControlAdmission";
/// Deletes a volume snapshot; unary, persistent-volume feature only.
pub const DELETE_VOLUME_SNAPSHOT: &str = "/wsman.WorkspaceManager/DeleteVolumeSnapshot";
/// Replaces the public keys that the SSH gateway accepts for a workspace; unary.
pub const UPDATE_SSH_KEY: &str = "/wsman.WorkspaceManager/UpdateSSHKey";
/// Lists workspace classes; unary and cheap, the best sign of life.
pub const DESCRIBE_CLUSTER: &str = "/wsman.WorkspaceManager/DescribeCluster";

/// Every path, in the order of the proto file.
pub const ALL: [&str; 14] = [
    GET_WORKSPACES,
    START_WORKSPACE,
    STOP_WORKSPACE,
    DESCRIBE_WORKSPACE,
    BACKUP_WORKSPACE,
    SUBSCRIBE,
    MARK_ACTIVE,
    SET_TIMEOUT,
    CONTROL_PORT,
    TAKE_SNAPSHOT,
    CONTROL_ADMISSION,
    DELETE_VOLUME_SNAPSHOT,
    UPDATE_SSH_KEY,
    DESCRIBE_CLUSTER,
];
