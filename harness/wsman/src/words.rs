//! The enums of package `wsman`, with the names Gitpod prints for them.
//!
//! On the wire an enum is an `i32`; a value this release does not know decodes to the default through the accessor
//! that prost derives for each field (`status.phase()`), and stays visible in the raw field.

use prost::Enumeration;

/// How hard a workspace is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StopWorkspacePolicy {
    /// 30 s of grace, then a backup.
    Normally = 0,
    /// 1 s of grace, then a backup.
    Immediately = 1,
    /// 1 s of grace and no backup.
    Abort = 2,
}

/// Who may open a workspace in the browser. SSH needs the owner token or a key either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum AdmissionLevel {
    /// `ADMIT_OWNER_ONLY`
    OwnerOnly = 0,
    /// `ADMIT_EVERYONE`
    Everyone = 1,
}

/// Who may open an exposed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum PortVisibility {
    /// `PORT_VISIBILITY_PRIVATE`
    Private = 0,
    /// `PORT_VISIBILITY_PUBLIC`
    Public = 1,
}

/// A condition's truth. There is no "unknown": a condition never set reads as `False`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum WorkspaceConditionBool {
    /// `FALSE`
    False = 0,
    /// `TRUE`
    True = 1,
    /// `EMPTY`
    Empty = 2,
}

/// Where a workspace is in its life. The order of the numbers is the order of a good life up to `Stopped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum WorkspacePhase {
    /// Not classifiable.
    Unknown = 0,
    /// The pod exists and is not being worked on yet.
    Pending = 1,
    /// Images are pulled, containers created.
    Creating = 2,
    /// The pod runs; content is put into place.
    Initializing = 3,
    /// Usable.
    Running = 4,
    /// Being shut down and backed up.
    Stopping = 5,
    /// Gone, or about to be.
    Stopped = 6,
    /// The container died without being asked to.
    Interrupted = 7,
}

impl WorkspacePhase {
    /// Every phase, in numerical order.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Pending,
        Self::Creating,
        Self::Initializing,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Interrupted,
    ];

    /// The name in the proto file, which is also the value of the metric label `phase`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Pending => "PENDING",
            Self::Creating => "CREATING",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Interrupted => "INTERRUPTED",
        }
    }

    /// The phase with this name, if there is one.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

impl std::fmt::Display for WorkspacePhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Feature flags of a start request. 1, 2, 3, 5, 6 and 8 are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum WorkspaceFeatureFlag {
    /// `NOOP`
    Noop = 0,
    /// `FULL_WORKSPACE_BACKUP`
    FullWorkspaceBackup = 4,
    /// `PERSISTENT_VOLUME_CLAIM`
    PersistentVolumeClaim = 7,
    /// `WORKSPACE_CLASS_LIMITING`
    WorkspaceClassLimiting = 9,
    /// `WORKSPACE_CONNECTION_LIMITING`
    WorkspaceConnectionLimiting = 10,
    /// `WORKSPACE_PSI`
    WorkspacePsi = 11,
}

/// What a workspace is for. 2 and 3 are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum WorkspaceType {
    /// A person's workspace.
    Regular = 0,
    /// A prebuild.
    Prebuild = 1,
    /// An image build.
    Imagebuild = 4,
}

impl WorkspaceType {
    /// The name in the proto file, which is also the value of the metric label `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "REGULAR",
            Self::Prebuild => "PREBUILD",
            Self::Imagebuild => "IMAGEBUILD",
        }
    }
}
