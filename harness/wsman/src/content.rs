//! Messages of package `contentservice`: how the content of a workspace comes into being, and what git says about it.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};

/// How a workspace gets its files. A start request without one is refused.
#[derive(Clone, PartialEq, Message)]
pub struct WorkspaceInitializer {
    /// The one way chosen.
    #[prost(oneof = "Initializer", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub spec: Option<Initializer>,
}

impl WorkspaceInitializer {
    /// An initializer that leaves the workspace empty.
    pub fn empty() -> Self {
        Self { spec: Some(Initializer::Empty(EmptyInitializer {})) }
    }
}

/// The ways to fill a workspace.
#[derive(Clone, PartialEq, Oneof)]
pub enum Initializer {
    /// Nothing at all.
    #[prost(message, tag = "1")]
    Empty(EmptyInitializer),
    /// A git clone.
    #[prost(message, tag = "2")]
    Git(GitInitializer),
    /// A snapshot in object storage.
    #[prost(message, tag = "3")]
    Snapshot(SnapshotInitializer),
    /// A prebuild, or git if the prebuild is unusable.
    #[prost(message, tag = "4")]
    Prebuild(PrebuildInitializer),
    /// Several initializers in a row.
    #[prost(message, tag = "5")]
    Composite(CompositeInitializer),
    /// Files fetched by URL.
    #[prost(message, tag = "6")]
    Download(FileDownloadInitializer),
    /// The last backup of the same workspace.
    #[prost(message, tag = "7")]
    Backup(FromBackupInitializer),
}

/// Leaves the workspace empty.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EmptyInitializer {}

/// Clones a git repository. Always give it a `config`, even an empty one, as all of Gitpod's own clients do.
#[derive(Clone, PartialEq, Message)]
pub struct GitInitializer {
    /// What to clone.
    #[prost(string, tag = "1")]
    pub remote_uri: String,
    /// The repository this one was forked from; `upstream_Remote_uri` in the proto file.
    #[prost(string, tag = "2")]
    pub upstream_remote_uri: String,
    /// What of it to check out.
    #[prost(enumeration = "CloneTargetMode", tag = "3")]
    pub target_mode: i32,
    /// Branch or commit, depending on the mode; `clone_taget` in the proto file.
    #[prost(string, tag = "4")]
    pub clone_target: String,
    /// Where to put it, relative to `/workspace`.
    #[prost(string, tag = "5")]
    pub checkout_location: String,
    /// git settings and credentials.
    #[prost(message, optional, tag = "6")]
    pub config: Option<GitConfig>,
}

/// git settings and credentials for a clone.
#[derive(Clone, PartialEq, Message)]
pub struct GitConfig {
    /// Lines for the git configuration.
    #[prost(btree_map = "string, string", tag = "1")]
    pub custom_config: BTreeMap<String, String>,
    /// How to authenticate.
    #[prost(enumeration = "GitAuthMethod", tag = "2")]
    pub authentication: i32,
    /// User for basic authentication.
    #[prost(string, tag = "3")]
    pub auth_user: String,
    /// Password for basic authentication.
    #[prost(string, tag = "4")]
    pub auth_password: String,
    /// URL of a one-time secret that holds user and password.
    #[prost(string, tag = "5")]
    pub auth_ots: String,
}

/// Restores a snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SnapshotInitializer {
    /// URL of the snapshot.
    #[prost(string, tag = "1")]
    pub snapshot: String,
    /// Whether it is a volume snapshot.
    #[prost(bool, tag = "2")]
    pub from_volume_snapshot: bool,
}

/// Restores a prebuild.
#[derive(Clone, PartialEq, Message)]
pub struct PrebuildInitializer {
    /// The prebuild's snapshot.
    #[prost(message, optional, tag = "1")]
    pub prebuild: Option<SnapshotInitializer>,
    /// What to clone or update.
    #[prost(message, repeated, tag = "2")]
    pub git: Vec<GitInitializer>,
}

/// Runs several initializers in order.
#[derive(Clone, PartialEq, Message)]
pub struct CompositeInitializer {
    /// The initializers, in order.
    #[prost(message, repeated, tag = "1")]
    pub initializer: Vec<WorkspaceInitializer>,
}

/// Downloads files.
#[derive(Clone, PartialEq, Message)]
pub struct FileDownloadInitializer {
    /// The files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileInfo>,
    /// Where they go, relative to `/workspace`.
    #[prost(string, tag = "2")]
    pub target_location: String,
}

/// One file to download; nested in `FileDownloadInitializer` in the proto file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FileInfo {
    /// Where it comes from.
    #[prost(string, tag = "1")]
    pub url: String,
    /// Its path below the target location.
    #[prost(string, tag = "2")]
    pub file_path: String,
    /// Its digest, for example `sha256:...`.
    #[prost(string, tag = "3")]
    pub digest: String,
}

/// Restores the workspace's last backup.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FromBackupInitializer {
    /// Where it goes, relative to `/workspace`.
    #[prost(string, tag = "1")]
    pub checkout_location: String,
    /// Whether the backup is a volume snapshot.
    #[prost(bool, tag = "2")]
    pub from_volume_snapshot: bool,
}

/// What git says about a workspace's checkout. The misspelling `uncommited` is the proto file's.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GitStatus {
    /// Branch checked out.
    #[prost(string, tag = "1")]
    pub branch: String,
    /// Commit checked out.
    #[prost(string, tag = "2")]
    pub latest_commit: String,
    /// Changed files, possibly cut short.
    #[prost(string, repeated, tag = "3")]
    pub uncommited_files: Vec<String>,
    /// Untracked files, possibly cut short.
    #[prost(string, repeated, tag = "4")]
    pub untracked_files: Vec<String>,
    /// Unpushed commits, possibly cut short.
    #[prost(string, repeated, tag = "5")]
    pub unpushed_commits: Vec<String>,
    /// How many changed files there are.
    #[prost(int64, tag = "6")]
    pub total_uncommited_files: i64,
    /// How many untracked files there are.
    #[prost(int64, tag = "7")]
    pub total_untracked_files: i64,
    /// How many unpushed commits there are.
    #[prost(int64, tag = "8")]
    pub total_unpushed_commits: i64,
}

/// What a clone checks out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum CloneTargetMode {
    /// The remote's default branch.
    RemoteHead = 0,
    /// A commit.
    RemoteCommit = 1,
    /// A branch of the remote.
    RemoteBranch = 2,
    /// A new local branch.
    LocalBranch = 3,
}

/// How a clone authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum GitAuthMethod {
    /// Not at all.
    NoAuth = 0,
    /// With user and password from the request.
    BasicAuth = 1,
    /// With user and password fetched from a one-time secret.
    BasicAuthOts = 2,
}
