//! Picks provider and installer. The only place that knows that there is an embedded world; behind it the same doors
//! speak the same protocols.

use std::path::PathBuf;

use gsh_engine::provider::Stores;
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_gitpod::certificate::GivenCertificate;
use gsh_gitpod::install::GitpodInstaller;
use gsh_gitpod::settings::Settings;
use gsh_model::axis::Tls;
use gsh_model::outcome::Evidence;
use gsh_model::plan::Plan;
use gsh_model::scenario::Need;
use gsh_providers::{
    Cores, HetznerConfig, HetznerProvider, MachineChoice, Pace, Patience, Spending, Unusable, WarmStart, usable,
};

use crate::args::{self, ProviderName};
use crate::env;
use crate::error::CliError;

/// What both providers offer to scenarios.
pub(crate) const OFFERS: [Need; 3] = [Need::GrowableCluster, Need::Writable, Need::SshGateway];

/// What the arguments say about clusters and what is installed on them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterSettings {
    machines: MachineChoice,
    runner_address: Option<std::net::IpAddr>,
    owner: String,
    open_ports: Vec<u16>,
    warm: WarmStart,
    community: Option<PathBuf>,
    installer: Option<PathBuf>,
    repository: Option<String>,
    certificate: Option<GivenCertificate>,
    stores: Stores,
}

impl ClusterSettings {
    /// Reads the files that the arguments name.
    pub(crate) fn read(args: &args::Run) -> Result<Self, CliError> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|e| CliError::unreadable(path, &e));
        let certificate = match (&args.tls_cert, &args.tls_key, &args.tls_domain) {
            (Some(cert), Some(key), Some(domain)) => {
                let given = GivenCertificate {
                    domain: domain.clone(),
                    cert_pem: read(cert)?,
                    key: Secret::new("key of --tls-cert", read(key)?),
                    ca_pem: None,
                };
                given.check(jiff::Timestamp::now()).map_err(|e| {
                    let (cert, key) = (cert.display(), key.display());
                    CliError::usage(format!("`{cert}` with the key `{key}` cannot serve {domain}: {e}")).hint(format!(
                        "give the chain, its first certificate for {domain}, *.{domain} and *.ws.{domain}"
                    ))
                })?;
                Some(given)
            }
            (_, _, _) => None,
        };
        for (what, path) in [("--community", &args.community), ("--installer", &args.installer)] {
            if let Some(path) = path
                && !path.exists()
            {
                return Err(CliError::usage(format!("{what}: there is nothing at `{}`", path.display())));
            }
        }
        Ok(Self {
            machines: MachineChoice {
                cores: match args.cores {
                    args::CoresName::Any => Cores::Any,
                    args::CoresName::Shared => Cores::Shared,
                    args::CoresName::Dedicated => Cores::Dedicated,
                },
                server_type: args.server_type.clone(),
            },
            runner_address: args.runner_address,
            owner: args.owner.clone().unwrap_or_else(env::owner),
            open_ports: args.open_port.clone(),
            warm: if args.warm { WarmStart::On } else { WarmStart::Off },
            community: args.community.clone(),
            installer: args.installer.clone(),
            repository: args.repository.clone(),
            certificate,
            stores: Stores::default(),
        })
    }

    /// The same with stores that are there already.
    pub(crate) fn with_stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// Refuses cells that want a certificate where none was given. The embedded world has one of its own.
    ///
    /// # Errors
    /// Which cell, and what to give.
    pub(crate) fn certified(&self, account: &Account, plan: &Plan) -> Result<(), CliError> {
        if self.certificate.is_some() || account.certificate.is_some() {
            return Ok(());
        }
        match plan.cells.iter().find(|cell| cell.cell.tls == Tls::Byo) {
            None => Ok(()),
            Some(cell) => {
                Err(CliError::usage(format!("cell `{}` has tls = byo, and no certificate was given", cell.id)).hint(
                    "give --tls-cert, --tls-key and --tls-domain, or leave such cells out with --select tls=private-ca",
                ))
            }
        }
    }

    /// The installer as the arguments want it.
    pub(crate) fn installer(&self) -> GitpodInstaller {
        GitpodInstaller::new(self.settings(None))
    }

    fn settings(&self, certificate: Option<&GivenCertificate>) -> Settings {
        let mut settings = Settings {
            installer_binary: self.installer.clone(),
            certificate: self.certificate.as_ref().or(certificate).cloned(),
            ..Settings::default()
        };
        if let Some(repository) = &self.repository {
            settings.repository.clone_from(repository);
        }
        settings
    }

    /// Secrets that the arguments brought in.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let s3 = self.stores.s3.iter().flat_map(|s3| [&s3.access_key, &s3.secret_key]);
        let registry = self.stores.registry.iter().map(|registry| &registry.password);
        self.certificate.iter().map(|c| &c.key).chain(s3).chain(registry)
    }
}

/// Where clusters come from, ready to be used.
pub(crate) struct Account {
    name: &'static str,
    endpoint: String,
    token: Secret,
    reach: Reach,
    evidence: Evidence,
    locations: Vec<String>,
    pace: Pace,
    patience: Patience,
    certificate: Option<GivenCertificate>,
    #[cfg(feature = "embedded")]
    world: Option<gsh_fixtures::Embedded>,
}

fn chosen(args: &args::Account) -> ProviderName {
    args.provider.unwrap_or_else(|| match env::hcloud_token() {
        Some(_) => ProviderName::Hetzner,
        None => ProviderName::Embedded,
    })
}

/// Finds everything that is wrong with the choice before anything is created.
pub(crate) fn check(args: &args::Account) -> Result<(), CliError> {
    match chosen(args) {
        ProviderName::Hetzner => {
            if args.world.is_some() {
                return Err(CliError::usage("--world describes the embedded world, but the provider is hetzner")
                    .hint("add --provider embedded, or leave --world out"));
            }
            let endpoint = env::hcloud_endpoint();
            usable(&endpoint, &token()?).map_err(|e| {
                let hint = match e {
                    Unusable::Endpoint { .. } => ENDPOINT,
                    Unusable::Token => "look whether HCLOUD_TOKEN holds the token alone, as the console showed it",
                };
                CliError::usage(e.to_string()).hint(hint)
            })
        }
        ProviderName::Embedded => embedded::check(args),
    }
}

const ENDPOINT: &str = "HCLOUD_ENDPOINT is a base URL with its version, such as https://api.hetzner.cloud/v1; without it gsh uses that one";

fn token() -> Result<Secret, CliError> {
    env::hcloud_token().ok_or_else(|| {
        CliError::usage("the provider hetzner needs an API token, and HCLOUD_TOKEN is not set")
            .hint("make a read-write token in the console of the project, or use --provider embedded")
    })
}

/// Makes the account usable: reads the token, or starts the embedded world.
pub(crate) async fn account(args: &args::Account) -> Result<Account, CliError> {
    check(args)?;
    match chosen(args) {
        ProviderName::Hetzner => {
            let endpoint = env::hcloud_endpoint();
            let evidence = if endpoint == env::HETZNER { Evidence::Cloud } else { Evidence::Emulated };
            Ok(Account {
                name: "hetzner",
                endpoint,
                token: token()?,
                reach: Reach::direct(),
                evidence,
                locations: args.locations.clone(),
                pace: Pace::default(),
                patience: Patience::default(),
                certificate: None,
                #[cfg(feature = "embedded")]
                world: None,
            })
        }
        ProviderName::Embedded => embedded::account(args).await,
    }
}

impl Account {
    /// Whether it is the cloud's, and not a world of our own.
    pub(crate) fn is_outside(&self) -> bool {
        self.name == "hetzner"
    }

    /// `hetzner` or `embedded`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// One phrase for people: which provider, and how real.
    pub(crate) fn describe(&self) -> String {
        match self.name {
            "embedded" => "embedded world on loopback, evidence emulated".to_owned(),
            _ => format!("provider {}, evidence {}", self.name, self.evidence),
        }
    }

    /// Secrets of the account.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = vec![self.token.clone()];
        secrets.extend(self.certificate.iter().map(|c| c.key.clone()));
        secrets
    }

    /// What the record should say about how things were reached.
    pub(crate) fn notes(&self) -> Vec<String> {
        let moved = self.reach.moved();
        if moved.is_empty() {
            return Vec::new();
        }
        let ports: Vec<String> = moved.iter().map(|(from, to)| format!("{from} is {to}")).collect();
        vec![format!("privileged ports cannot be bound here, so they are moved: {}", ports.join(", "))]
    }

    /// How real a run is.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The provider.
    pub(crate) fn provider(&self, clusters: ClusterSettings, spending: Spending) -> Result<HetznerProvider, CliError> {
        HetznerProvider::new(HetznerConfig {
            endpoint: self.endpoint.clone(),
            name: self.name.to_owned(),
            reach: self.reach.clone(),
            locations: self.locations.clone(),
            pace: self.pace,
            patience: self.patience,
            machines: clusters.machines,
            runner_address: clusters.runner_address,
            owner: clusters.owner,
            open_ports: clusters.open_ports,
            warm: clusters.warm,
            community: clusters.community,
            stores: clusters.stores,
            spending,
            ..HetznerConfig::cloud(self.token.clone())
        })
        .map_err(|f| CliError::bug("the provider cannot be set up").because(&f))
    }

    /// The installer.
    pub(crate) fn installer(&self, clusters: &ClusterSettings) -> GitpodInstaller {
        GitpodInstaller::new(clusters.settings(self.certificate.as_ref()))
    }

    /// The id of what was made first of a kind (`networks`) in the embedded world's account, and is still there.
    #[cfg(feature = "embedded")]
    pub(crate) fn first_of(&self, kind: &str) -> Option<u64> {
        let inventory = self.world.as_ref()?.inventory();
        inventory.left().into_iter().find(|item| item.kind == kind).map(|item| item.id)
    }

    /// Ends the embedded world, where there is one.
    pub(crate) async fn end(self) {
        #[cfg(feature = "embedded")]
        if let Some(world) = self.world
            && let Err(e) = world.end().await
        {
            crate::terminal::say(&format!("note: the embedded world could not write what its file asks for: {e}"));
        }
    }
}

#[cfg(not(feature = "embedded"))]
mod embedded {
    use super::{Account, CliError, args};

    fn absent() -> CliError {
        CliError::usage("this gsh was built without the embedded world")
            .hint("set HCLOUD_TOKEN to use the real cloud, or build with the feature `embedded`")
    }

    pub(super) fn check(_: &args::Account) -> Result<(), CliError> {
        Err(absent())
    }

    pub(super) async fn account(_: &args::Account) -> Result<Account, CliError> {
        Err(absent())
    }
}

#[cfg(feature = "embedded")]
pub(crate) mod embedded {
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;
    use std::path::Path;

    use gsh_fixtures::{Embedded, WorldSpec};

    use super::{Account, CliError, Evidence, GivenCertificate, Pace, Patience, Reach, Secret, args};

    pub(super) fn check(args: &args::Account) -> Result<(), CliError> {
        spec(args.world.as_deref()).map(drop)
    }

    /// Reads a world file; everything is healthy where none is named.
    pub(crate) fn spec(path: Option<&Path>) -> Result<WorldSpec, CliError> {
        let Some(path) = path else { return Ok(WorldSpec::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|e| CliError::usage(format!("cannot read the world `{}`", path.display())).because(&e))?;
        text.parse().map_err(|e| CliError::usage(format!("`{}` describes no world", path.display())).because(&e))
    }

    pub(super) async fn account(args: &args::Account) -> Result<Account, CliError> {
        let world = start(spec(args.world.as_deref())?, None).await?;
        of(world, args.locations.clone())
    }

    /// Starts a world.
    pub(crate) async fn start(spec: WorldSpec, at: Option<(Ipv4Addr, u16)>) -> Result<Embedded, CliError> {
        Embedded::start(spec, at).await.map_err(|e| match e.kind() {
            ErrorKind::InvalidInput => CliError::usage("the world file asks for what cannot be").because(&e),
            _ => CliError::inconclusive("the embedded world cannot start").because(&e),
        })
    }

    /// The account of a world that runs.
    pub(crate) fn of(world: Embedded, locations: Vec<String>) -> Result<Account, CliError> {
        let given = world
            .certificate()
            .map_err(|e| CliError::bug("the embedded world cannot make a certificate").because(&e))?;
        Ok(Account {
            name: "embedded",
            endpoint: world.endpoint(),
            token: Secret::new("API token", world.token()),
            reach: Reach::with_ports(world.moved_ports()).with_public(world.public_authority()),
            evidence: Evidence::Emulated,
            locations,
            pace: Pace::loopback(),
            // Nobody else returns machines to this cloud: what is sold out stays so.
            patience: Patience { capacity: std::time::Duration::ZERO, ..Patience::default() },
            certificate: Some(GivenCertificate {
                domain: given.domain,
                cert_pem: given.cert_pem,
                key: Secret::new("key of the site", given.key_pem),
                ca_pem: Some(given.ca_pem),
            }),
            world: Some(world),
        })
    }
}
