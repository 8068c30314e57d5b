//! How the runner reaches names and ports, like curl's `--connect-to`, and whose certificates are public there.
//!
//! Two uses: the domain of an installation under test is in no public DNS, and where a runner may not bind privileged
//! ports the embedded world listens elsewhere. Every connection of the harness asks here first; nobody above the doors
//! knows why an answer differs from the question.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Where connections really go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    ports: BTreeMap<u16, u16>,
    elsewhere: BTreeMap<u16, SocketAddr>,
    public: Option<String>,
}

impl Reach {
    /// Every port as asked for.
    #[must_use]
    pub fn direct() -> Self {
        Self::default()
    }

    /// With some ports moved elsewhere on the same address: asked-for port to real port.
    #[must_use]
    pub fn with_ports(ports: BTreeMap<u16, u16>) -> Self {
        Self { ports, ..Self::default() }
    }

    /// The same with a port that is at another address altogether, whatever address is asked for.
    #[must_use]
    pub fn with_elsewhere(mut self, port: u16, at: SocketAddr) -> Self {
        self.elsewhere.insert(port, at);
        self
    }

    /// The same where these authorities (PEM) are the public ones, and no others.
    #[must_use]
    pub fn with_public(mut self, authorities: impl Into<String>) -> Self {
        self.public = Some(authorities.into());
        self
    }

    /// The public authorities, PEM; nothing where they are those that everybody knows.
    #[must_use]
    pub fn public(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// The real place of an address.
    #[must_use]
    pub fn at(&self, address: IpAddr, port: u16) -> SocketAddr {
        if let Some(elsewhere) = self.elsewhere.get(&port) {
            return *elsewhere;
        }
        SocketAddr::new(address, self.ports.get(&port).copied().unwrap_or(port))
    }

    /// Whether this port is really used, not moved elsewhere.
    #[must_use]
    pub fn is_direct(&self, port: u16) -> bool {
        !self.ports.contains_key(&port) && self.elsewhere.get(&port).is_none_or(|at| at.port() == port)
    }

    /// The moved ports, for the notes of a run.
    #[must_use]
    pub fn moved(&self) -> &BTreeMap<u16, u16> {
        &self.ports
    }
}
