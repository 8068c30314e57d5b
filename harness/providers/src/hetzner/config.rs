//! What the provider is told by whoever wires it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use gsh_engine::provider::Stores;
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;

/// Why an account cannot be asked for anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing can be sent there.
    #[error("`{endpoint}` is no address of an API: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// No header can carry it.
    #[error("the API token has a blank, a line break or another character that no token has")]
    Token,
}

/// Finds what is wrong with endpoint and token without sending anything.
///
/// # Errors
/// When no request can be made of them.
pub fn usable(endpoint: &str, token: &Secret) -> Result<(), Unusable> {
    let wrong = |why: String| Err(Unusable::Endpoint { endpoint: endpoint.to_owned(), why });
    match reqwest::Url::parse(endpoint) {
        Err(e) => return wrong(e.to_string()),
        Ok(url) if !["http", "https"].contains(&url.scheme()) => {
            return wrong(format!("it begins with `{}:`, not with `https:`", url.scheme()));
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            return wrong("paths are added to it, so it ends before `?` and `#`".to_owned());
        }
        Ok(_) => {}
    }
    match token.expose().chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Unusable::Token),
    }
}

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
    /// Whose things these are, for the label of that name; what a label cannot hold is replaced.
    pub owner: String,
    /// Folder with the distribution's own machine templates, for cells with `template = "community"`.
    pub community: Option<PathBuf>,
    /// Stores that are there already; for others that a cell wants a machine is ordered.
    pub stores: Stores,
    /// What machines to order, beyond what a node needs.
    pub machines: MachineChoice,
    /// Ports of the nodes that are open to the world besides the site's own, `9500` for instance.
    pub open_ports: Vec<u16>,
    /// Whether nodes start from snapshots.
    pub warm: WarmStart,
    /// How much more than the first choice may be paid.
    pub spending: Spending,
    /// How long to wait for what.
    pub patience: Patience,
    /// How fast requests follow one another.
    pub pace: Pace,
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
            owner: String::new(),
            community: None,
            stores: Stores::default(),
            machines: MachineChoice::default(),
            open_ports: Vec::new(),
            warm: WarmStart::default(),
            spending: Spending::default(),
            patience: Patience::default(),
            pace: Pace::default(),
        }
    }
}

/// Which machines may carry nodes. What they need at least is not a matter of configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineChoice {
    /// Shared or dedicated cores; default: whatever is cheapest.
    pub cores: Cores,
    /// Only this server type for nodes that carry workloads, by name; default: any that fits.
    pub server_type: Option<String>,
}

/// Whose cores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cores {
    /// Whatever is cheapest.
    #[default]
    Any,
    /// Shared with other tenants.
    Shared,
    /// The machine's own.
    Dedicated,
}

/// How much more than the first choice of a machine may be paid when that one is not to be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spending {
    /// Whatever fits, however dear.
    #[default]
    Free,
    /// Not more than twice the first choice: a budget must know beforehand what a cell can cost at most.
    Bounded,
}

/// Whether nodes start from snapshots that have what every node fetches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WarmStart {
    /// From the image.
    #[default]
    Off,
    /// From a snapshot of image, k3s release and template. The first lease that finds none builds it, which takes some minutes.
    On,
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
    /// For a snapshot of a machine; large ones take a quarter of an hour.
    pub snapshot: Duration,
    /// From configured to Ready with add-ons.
    pub ready: Duration,
    /// For machines to become available where every candidate was refused for lack of capacity; nothing: one round.
    pub capacity: Duration,
    /// How long a server may stay `off` after all its actions succeeded, before it is replaced.
    pub off: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            actions: Duration::from_secs(7 * 60),
            boot: Duration::from_secs(12 * 60),
            snapshot: Duration::from_secs(20 * 60),
            ready: Duration::from_secs(5 * 60),
            capacity: Duration::from_secs(3 * 60),
            off: Duration::from_secs(60),
        }
    }
}

/// How fast requests follow one another. The default suits the real API: short pauses there cost requests of an hourly limit
/// that everybody in the project shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The pause before the first further try of a request; each one after it is twice as long.
    pub retry: Duration,
    /// The longest pause between two tries.
    pub longest: Duration,
    /// Most tries of one request. Refusals for the rate limit do not count.
    pub tries: u32,
    /// The pause before the first look at running actions; it doubles while the same ones run.
    pub look: Duration,
    /// The longest pause between two looks: one request for up to 25 actions, whoever waits for them.
    pub look_longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            tries: 8,
            look: Duration::from_secs(1),
            look_longest: Duration::from_secs(2),
        }
    }
}

impl Pace {
    /// For an API next door, where a request costs nothing and an action takes no time.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            retry: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            look: Duration::from_millis(50),
            ..Self::default()
        }
    }

    /// The pause before the n-th further try, from 0, without jitter.
    #[must_use]
    pub fn pause(&self, n: u32) -> Duration {
        self.retry.saturating_mul(1 << n.min(16)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_nothing_can_be_sent_to_is_found_before_anything_is_sent() {
        let why = |endpoint, token: &str| usable(endpoint, &Secret::new("t", token)).err().map(|e| e.to_string());
        assert_eq!(why("https://api.hetzner.cloud/v1", "abc0"), None);
        assert_eq!(why("http://127.0.0.1:8080/v1/", "abc0"), None);
        for (endpoint, says) in [
            ("banana", "`banana` is no address of an API: relative URL without a base"),
            ("file:///etc", "it begins with `file:`, not with `https:`"),
            ("https://", "empty host"),
            ("https://api.example/v1?x=1", "so it ends before `?` and `#`"),
        ] {
            let why = why(endpoint, "abc0").unwrap_or_default();
            assert!(why.contains(says), "{endpoint}: {why}");
        }
        for token in ["two words", "line\nbreak", "ö", "\u{7f}"] {
            let why = why("https://api.hetzner.cloud/v1", token).unwrap_or_default();
            assert!(why.contains("that no token has") && !why.contains(token), "{why}");
        }
    }

    #[test]
    fn pauses_double_from_a_second_and_end_at_half_a_minute() {
        let pace = Pace::default();
        let seconds: Vec<u64> = (0..7).map(|n| pace.pause(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pace.pause(u32::MAX), Duration::from_secs(30));
        assert!(
            Patience::default().answer >= Duration::from_secs(30),
            "repeating in parallel once got an account blocked"
        );
    }
}
