//! The axes of the support matrix, one type each, and the cell: one full choice of values.
//!
//! An axis at its default is not written into a [`CellId`], so a new axis renames no old cell.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is no value of its axis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a value of the axis `{axis}`: {expected}")]
pub struct UnknownValue {
    /// The axis.
    pub axis: AxisName,
    /// What was given.
    pub value: String,
    /// What would have been right.
    pub expected: String,
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $axis:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $(#[doc = concat!("`", $text, "`.")] $(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, the default first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text used in files, arguments and reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownValue;
            fn from_str(s: &str) -> Result<Self, UnknownValue> {
                match s {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownValue {
                        axis: AxisName::$axis,
                        value: s.to_owned(),
                        expected: concat!("one of" $(, " ", $text)+).to_owned(),
                    }),
                }
            }
        }
    };
}

choice! {
    /// How user ids are shifted in workspaces (`workspace.runtime.fsShiftMethod`).
    Shift, Shift { Fuse = "fuse", Shiftfs = "shiftfs" }
}
choice! {
    /// Operating system image of the nodes. It also decides the cgroup version.
    Os, Os {
        Ubuntu2204 = "ubuntu-22.04",
        /// Only from the account's own snapshot: the public image is no longer orderable.
        Ubuntu2004 = "ubuntu-20.04",
        Ubuntu2404 = "ubuntu-24.04",
    }
}
choice! {
    /// Where Gitpod's database is.
    Database, Database { InCluster = "incluster", External = "external", ExternalTls = "external-tls" }
}
choice! {
    /// Where built images are kept.
    Registry, Registry { InCluster = "incluster", InClusterS3 = "incluster-s3", External = "external" }
}
choice! {
    /// Where workspace content is kept.
    Storage, Storage { InCluster = "incluster", S3 = "s3", S3MultiBucket = "s3-multibucket" }
}
choice! {
    /// Shape of the cluster: one node; one manager and one node; three managers and at least three nodes.
    Size, Size { Single = "single", Small = "small", Medium = "medium" }
}
choice! {
    /// Who signed the certificate of the site.
    Tls, Tls { PrivateCa = "private-ca", Byo = "byo" }
}
choice! {
    /// Whether workspaces can be reached by SSH on port 22.
    SshGateway, SshGateway { On = "on", Off = "off" }
}
choice! {
    /// Whose machine templates are under test: ours, or a folder of the distribution.
    Template, Template { Gsh = "gsh", Community = "community" }
}
choice! {
    /// The name of an axis.
    AxisName, Axis {
        Shift = "shift", Os = "os", Database = "database", Registry = "registry", Storage = "storage", Size = "size",
        K3s = "k3s", Gitpod = "gitpod", Tls = "tls", SshGateway = "ssh-gateway", Template = "template",
        /// The set of axes itself: never part of a cell, only of messages about a wrong axis name.
        Axis = "axis",
    }
}

impl AxisName {
    /// The axes of a cell, in the order in which a [`CellId`] names them.
    pub const CELL: [Self; 11] = [
        Self::Shift,
        Self::Os,
        Self::Database,
        Self::Registry,
        Self::Storage,
        Self::Size,
        Self::K3s,
        Self::Gitpod,
        Self::Tls,
        Self::SshGateway,
        Self::Template,
    ];
}

impl Os {
    /// Version of control groups on this image: 1 or 2 (Ubuntu 22.04 and later boot with the unified hierarchy).
    #[must_use]
    pub fn cgroup(self) -> u8 {
        match self {
            Self::Ubuntu2004 => 1,
            Self::Ubuntu2204 | Self::Ubuntu2404 => 2,
        }
    }
}

/// A pinned k3s release such as `v1.24.17+k3s1`. Channels such as `stable` are refused: a run must be repeatable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct K3sVersion {
    minor: u32,
    patch: u32,
    build: u32,
}

impl K3sVersion {
    /// The Kubernetes minor version, 24 for `v1.24.17+k3s1`.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// The Kubernetes version without the k3s part, `v1.24.17`.
    #[must_use]
    pub fn kubernetes(&self) -> String {
        format!("v1.{}.{}", self.minor, self.patch)
    }
}

impl FromStr for K3sVersion {
    type Err = UnknownValue;
    fn from_str(s: &str) -> Result<Self, UnknownValue> {
        let parse = || {
            let (kubernetes, build) = s.strip_prefix("v1.")?.split_once("+k3s")?;
            let (minor, patch) = kubernetes.split_once('.')?;
            Some(Self { minor: minor.parse().ok()?, patch: patch.parse().ok()?, build: build.parse().ok()? })
        };
        parse().filter(|v| v.to_string() == s).ok_or_else(|| UnknownValue {
            axis: AxisName::K3s,
            value: s.to_owned(),
            expected: "a pinned release such as v1.24.17+k3s1".to_owned(),
        })
    }
}

impl fmt::Display for K3sVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}+k3s{}", self.minor, self.patch, self.build)
    }
}

/// A Gitpod Self-Hosted release of the last line, `2022.11.0` and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitpodVersion {
    patch: u32,
}

impl GitpodVersion {
    /// The last number, 3 for `2022.11.3`.
    #[must_use]
    pub fn patch(self) -> u32 {
        self.patch
    }

    /// The tag of the installer image, `release-2022.11.3`.
    #[must_use]
    pub fn installer_tag(self) -> String {
        format!("release-{self}")
    }
}

impl FromStr for GitpodVersion {
    type Err = UnknownValue;
    fn from_str(s: &str) -> Result<Self, UnknownValue> {
        s.strip_prefix("2022.11.")
            .and_then(|p| p.parse().ok())
            .map(|patch| Self { patch })
            .filter(|v| v.to_string() == s)
            .ok_or_else(|| UnknownValue {
                axis: AxisName::Gitpod,
                value: s.to_owned(),
                expected: "a release of the line 2022.11, such as 2022.11.3".to_owned(),
            })
    }
}

impl fmt::Display for GitpodVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2022.11.{}", self.patch)
    }
}

macro_rules! string_form {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = UnknownValue;
            fn try_from(s: String) -> Result<Self, UnknownValue> { s.parse() }
        }
        impl From<$name> for String {
            fn from(v: $name) -> Self { v.to_string() }
        }
    )+};
}
string_form!(K3sVersion, GitpodVersion);

/// One full choice of values: what one cluster is built as.
///
/// Whoever acts on a cell takes it apart without `..`, so that a new axis breaks the build where it must be considered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cell {
    /// User id shifting.
    pub shift: Shift,
    /// Node image.
    pub os: Os,
    /// Database.
    pub database: Database,
    /// Registry.
    pub registry: Registry,
    /// Object storage.
    pub storage: Storage,
    /// Cluster shape.
    pub size: Size,
    /// k3s release.
    pub k3s: K3sVersion,
    /// Gitpod release.
    pub gitpod: GitpodVersion,
    /// Certificate.
    pub tls: Tls,
    /// SSH gateway.
    pub ssh_gateway: SshGateway,
    /// Machine templates.
    pub template: Template,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            shift: Shift::Fuse,
            os: Os::Ubuntu2204,
            database: Database::InCluster,
            registry: Registry::InCluster,
            storage: Storage::InCluster,
            size: Size::Single,
            k3s: K3sVersion { minor: 24, patch: 17, build: 1 },
            gitpod: GitpodVersion { patch: 3 },
            tls: Tls::PrivateCa,
            ssh_gateway: SshGateway::On,
            template: Template::Gsh,
        }
    }
}

impl Cell {
    /// The value on one axis, as text.
    ///
    /// # Panics
    /// Never for an axis of [`AxisName::CELL`]; `AxisName::Axis` has no value and gives an empty text.
    #[must_use]
    pub fn get(&self, axis: AxisName) -> String {
        match axis {
            AxisName::Shift => self.shift.to_string(),
            AxisName::Os => self.os.to_string(),
            AxisName::Database => self.database.to_string(),
            AxisName::Registry => self.registry.to_string(),
            AxisName::Storage => self.storage.to_string(),
            AxisName::Size => self.size.to_string(),
            AxisName::K3s => self.k3s.to_string(),
            AxisName::Gitpod => self.gitpod.to_string(),
            AxisName::Tls => self.tls.to_string(),
            AxisName::SshGateway => self.ssh_gateway.to_string(),
            AxisName::Template => self.template.to_string(),
            AxisName::Axis => String::new(),
        }
    }

    /// Sets one axis from text.
    ///
    /// # Errors
    /// [`UnknownValue`] when the text is no value of the axis.
    pub fn set(&mut self, axis: AxisName, value: &str) -> Result<(), UnknownValue> {
        match axis {
            AxisName::Shift => self.shift = value.parse()?,
            AxisName::Os => self.os = value.parse()?,
            AxisName::Database => self.database = value.parse()?,
            AxisName::Registry => self.registry = value.parse()?,
            AxisName::Storage => self.storage = value.parse()?,
            AxisName::Size => self.size = value.parse()?,
            AxisName::K3s => self.k3s = value.parse()?,
            AxisName::Gitpod => self.gitpod = value.parse()?,
            AxisName::Tls => self.tls = value.parse()?,
            AxisName::SshGateway => self.ssh_gateway = value.parse()?,
            AxisName::Template => self.template = value.parse()?,
            AxisName::Axis => {
                return Err(UnknownValue {
                    axis,
                    value: value.to_owned(),
                    expected: "this is the set of axes, not an axis".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Every axis with its value, in the order of [`AxisName::CELL`].
    #[must_use]
    pub fn axes(&self) -> Vec<(AxisName, String)> {
        AxisName::CELL.iter().map(|a| (*a, self.get(*a))).collect()
    }

    /// The stable text form.
    #[must_use]
    pub fn id(&self) -> CellId {
        let default = Self::default();
        let parts: Vec<String> = self
            .axes()
            .into_iter()
            .filter(|(axis, value)| *value != default.get(*axis))
            .map(|(axis, value)| slug(&format!("{axis}-{value}")))
            .collect();
        CellId(if parts.is_empty() { "default".to_owned() } else { parts.join("--") })
    }
}

/// Lower case, everything outside `[a-z0-9]` a single `-`.
fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Stable text form of a [`Cell`]: `axis-value` pairs joined by `--`, defaults left out, `default` when nothing is left.
///
/// The alphabet `[a-z0-9-]` is what every JUnit reader keeps apart and no file system refuses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellId(String);

/// A text that cannot be a cell id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cell id: lower-case letters, digits and `-` only, at least one")]
pub struct BadCellId(String);

impl CellId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for CellId {
    type Err = BadCellId;
    fn from_str(s: &str) -> Result<Self, BadCellId> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if s.is_empty() || s.len() > 400 || !s.chars().all(legal) {
            return Err(BadCellId(s.to_owned()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for CellId {
    type Error = BadCellId;
    fn try_from(s: String) -> Result<Self, BadCellId> {
        s.parse()
    }
}

impl From<CellId> for String {
    fn from(v: CellId) -> Self {
        v.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_at_its_defaults_is_called_default() {
        assert_eq!(Cell::default().id().as_str(), "default");
    }

    #[test]
    fn only_what_differs_is_named() {
        let cell = Cell { shift: Shift::Shiftfs, os: Os::Ubuntu2004, ..Cell::default() };
        assert_eq!(cell.id().as_str(), "shift-shiftfs--os-ubuntu-20-04");
    }

    #[test]
    fn every_value_survives_text() {
        let mut cell = Cell::default();
        for (axis, value) in Cell::default().axes() {
            cell.set(axis, &value).expect("own text parses");
        }
        assert_eq!(cell, Cell::default());
        assert!("stable".parse::<K3sVersion>().is_err());
        assert!("v1.024.17+k3s1".parse::<K3sVersion>().is_err());
        assert!("2022.10.1".parse::<GitpodVersion>().is_err());
    }
}
