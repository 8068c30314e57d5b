//! What the provider is told by whoever wires it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;

/// How to reach an account, and what to build in it. `Debug` shows no token: [`Secret`] sees to that.
#[derive(Debug, Clone)]
pub struct HetznerConfig {
    /// Base of the API with its version and without a slash at the end, `https://api.hetzner.cloud/v1`.
    pub endpoint: String,
    /// Token of the account, read and write.
    pub token: Secret,
    /// `hetzner` or `embedded`, for the record.
    pub name: String,
    /// How the runner reaches ports.
    pub reach: Reach,
    /// Locations in the order of preference; the first one decides the network zone.
    pub locations: Vec<String>,
    /// The runner's own public address. Only from there may the Kubernetes API and the machines' SSH be reached; when it is
    /// not known, from anywhere.
    pub runner_address: Option<IpAddr>,
    /// Where machines fetch k3s' install script.
    pub k3s_install_url: String,
    /// Folder with the distribution's own machine templates, for cells with `template = "community"`.
    pub community: Option<PathBuf>,
    /// How long to wait for what.
    pub patience: Patience,
}

impl HetznerConfig {
    /// The real cloud, reached directly, in the European locations.
    #[must_use]
    pub fn cloud(token: Secret) -> Self {
        Self {
            endpoint: "https://api.hetzner.cloud/v1".to_owned(),
            token,
            name: "hetzner".to_owned(),
            reach: Reach::direct(),
            locations: ["nbg1", "hel1", "fsn1"].map(str::to_owned).to_vec(),
            runner_address: None,
            k3s_install_url: "https://get.k3s.io".to_owned(),
            community: None,
            patience: Patience::default(),
        }
    }
}

/// How long to wait for what, at most. The context's own deadline always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to one API request. Never below half a minute on the real API: creating takes seconds, and repeating
    /// requests in parallel once got an account blocked.
    pub answer: Duration,
    /// For the actions of one order.
    pub actions: Duration,
    /// From running to configured, reboots and package installation included.
    pub boot: Duration,
    /// From configured to Ready with add-ons.
    pub ready: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            actions: Duration::from_secs(7 * 60),
            boot: Duration::from_secs(12 * 60),
            ready: Duration::from_secs(5 * 60),
        }
    }
}
