//! How Gitpod is to be installed: what does not depend on the cell.

use std::path::PathBuf;
use std::time::Duration;

use crate::certificate::GivenCertificate;

/// Where Gitpod's images were published. Whether they still are is for the image probe to say.
pub const DEFAULT_REPOSITORY: &str = "eu.gcr.io/gitpod-core-dev/build";

/// What the caller decides about installing.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Repository (or mirror) that images are pulled from.
    pub repository: String,
    /// Image of the installer; `<repository>/installer:release-<version>` when absent.
    pub installer_image: Option<String>,
    /// A local installer binary, used instead of the image.
    pub installer_binary: Option<PathBuf>,
    /// Domain and certificate for cells with `tls = byo`.
    pub certificate: Option<GivenCertificate>,
    /// How long to wait for what.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            repository: DEFAULT_REPOSITORY.to_owned(),
            installer_image: None,
            installer_binary: None,
            certificate: None,
            patience: Patience::default(),
        }
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// cert-manager: chart, images, webhook.
    pub cert_manager: Duration,
    /// One errand of the installer's image, its pull included.
    pub errand: Duration,
    /// All of Gitpod, image pulls included.
    pub ready: Duration,
    /// The front after everything is ready.
    pub front: Duration,
    /// After how many restarts a container that keeps crashing is given up on.
    pub crashes: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            cert_manager: Duration::from_secs(5 * 60),
            errand: Duration::from_secs(5 * 60),
            ready: Duration::from_secs(20 * 60),
            front: Duration::from_secs(2 * 60),
            crashes: 3,
        }
    }
}
