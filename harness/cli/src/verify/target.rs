//! What `gsh-verify` looks at: the way to the cluster, the installation in it, and where its site answers.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gsh_engine::reach::Reach;
use gsh_gitpod::install::found::Known;
use gsh_look::evidence::{self, File};
use gsh_look::found::{Place, place};
use gsh_look::outside::Caller;
use gsh_look::{Found, Kind, Reader, Record, Sight, Unseen};
use gsh_providers::attached::{Door, Mode, Way, connect};

use super::args::Verify;
use crate::error::CliError;
use crate::terminal::say;

/// How long a name may take to be resolved.
const RESOLVES: Duration = Duration::from_secs(5);
/// How long a cluster may take to say anything at all.
const ANSWERS: Duration = Duration::from_secs(30);

/// What is looked at.
pub(crate) struct Target {
    pub(crate) door: Door,
    pub(crate) found: Found,
    pub(crate) ingress: IpAddr,
    pub(crate) reach: Reach,
    ca: Option<String>,
    sight: Sight,
    record: Record,
    domain: String,
    authority: Option<String>,
    host_key: Option<String>,
    notes: Vec<String>,
}

impl Target {
    /// Finds it.
    ///
    /// # Errors
    /// Usage when there is no way to a cluster or no Gitpod in it; inconclusive when it cannot be looked at.
    pub(crate) async fn find(args: &Verify, mode: Mode) -> Result<Self, CliError> {
        let ca = match &args.ca {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|e| CliError::unreadable(path, &e))?),
            None => None,
        };
        let way = Way { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
        let door = connect(&way, mode).await.map_err(|e| {
            CliError::usage("there is no way to a cluster").because(&e).hint("name one with --kubeconfig and --context")
        })?;
        let reader = Reader::new(door.client.clone());
        let look = look(&reader, &door, args.namespace.as_deref());
        let (sight, record) = match tokio::time::timeout(ANSWERS, look).await {
            Ok(seen) => seen?,
            Err(_late) => return Err(dark(&door, &Unseen::NoAnswer(format!("nothing within {ANSWERS:?}")))),
        };
        let found = Found::of(&sight, &record);
        let mut notes = Vec::new();
        let authority = authority(&reader, ca.as_deref(), sight.namespace(), &record, &mut notes).await;
        let domain = args.domain.clone().or_else(|| found.domain.value.clone()).unwrap_or_default();
        let ingress = match args.ingress {
            Some(address) => address,
            None => resolved(&domain, balancer(&sight), &mut notes).await,
        };
        let mut reach = Reach::with_ports(args.port.iter().copied().collect());
        if let Some(at) = args.ssh_gateway {
            reach = reach.with_elsewhere(22, at);
        }
        let host_key = args.ssh_host_key.clone();
        Ok(Self { door, found, ingress, reach, ca, sight, record, domain, authority, host_key, notes })
    }

    /// What reads from it.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.door.client.clone())
    }

    /// Where the site is by what is seen now: all of it may have changed since it was found.
    pub(crate) async fn caller(&self, args: &Verify, record: &Record, balancer: Option<IpAddr>) -> Caller {
        let mut said_already = Vec::new();
        let domain = args.domain.clone().unwrap_or_else(|| record.text("/domain").unwrap_or_default().to_owned());
        let namespace = &self.found.namespace;
        let ca = authority(&self.reader(), self.ca.as_deref(), namespace, record, &mut said_already).await;
        let ingress = match args.ingress {
            Some(address) => address,
            None => resolved(&domain, balancer, &mut said_already).await,
        };
        Caller { domain, ingress, reach: self.reach.clone(), ca_pem: ca, host_key: self.host_key.clone() }
    }

    /// Its Node objects.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.sight.all(Kind::Node)
    }

    /// What can be handed to whoever helps.
    pub(crate) async fn evidence(&self) -> Vec<File> {
        evidence::collect(&self.reader(), &self.sight).await
    }

    /// What is known of the installation.
    pub(crate) fn known(&self) -> Known {
        Known {
            namespace: self.found.namespace.clone(),
            domain: self.domain.clone(),
            version: self.found.version.value.clone().unwrap_or_default(),
            ca_pem: self.authority.clone(),
            host_key: self.host_key.clone(),
            host_key_secret: self.record.text("/sshGatewayHostKey/name").map(str::to_owned),
            workspace_image: self.record.text("/workspace/workspaceImage").map(str::to_owned),
        }
    }

    /// Adds what else is known.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// What the record of the run should say about how this was found.
    pub(crate) fn notes(&self) -> Vec<String> {
        let axes = self.found.axes.iter().map(|(axis, known)| match &known.value {
            Some(value) => format!("{axis} is {value}: {}", known.how),
            None => format!("{axis} cannot be told: {}", known.how),
        });
        axes.chain(self.notes.iter().cloned()).collect()
    }

    /// Says what will be looked at, and how that is known.
    pub(crate) fn introduce(&self) {
        let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "cannot tell".to_owned());
        say(&format!("cluster     {}", self.door.server));
        say(&format!("namespace   {}", self.found.namespace));
        let domain = if self.domain.is_empty() { "cannot tell" } else { &self.domain };
        say(&format!("domain      {domain}"));
        say(&format!("release     {}", or(&self.found.version.value)));
        for (axis, known) in &self.found.axes {
            say(&format!("{:11} {:14} {}", axis.as_str(), or(&known.value), known.how));
        }
        for note in &self.notes {
            say(&format!("note: {note}"));
        }
    }
}

/// Finds the namespace and looks at it.
async fn look(reader: &Reader, door: &Door, namespace: Option<&str>) -> Result<(Sight, Record), CliError> {
    let namespace = match namespace {
        Some(namespace) => namespace.to_owned(),
        None => match place(reader, &door.namespace).await {
            Place::Here(namespace) => namespace,
            Place::Several(namespaces) => {
                let listed = namespaces.join(", ");
                return Err(CliError::usage(format!("there are several installations, in the namespaces {listed}"))
                    .hint("choose one with --namespace"));
            }
            Place::Nowhere => {
                return Err(CliError::usage(format!("there is no Gitpod in the cluster at {}", door.server))
                    .hint("choose another cluster with --context, or say where Gitpod is with --namespace"));
            }
            Place::Hidden(why) => {
                let server = &door.server;
                return Err(CliError::inconclusive(format!(
                    "no Gitpod was found in the cluster at {server}, but not all of it may be looked at: {why}"
                ))
                .hint("say where Gitpod is with --namespace"));
            }
            Place::Dark(why) => return Err(dark(door, &why)),
        },
    };
    let sight = Sight::take(reader, &namespace, &Kind::LISTED).await;
    if sight.is_dark()
        && let Some((_, why)) = sight.gaps().next()
    {
        return Err(dark(door, why));
    }
    let record = Record::of(&sight);
    let visible = sight.unseen(Kind::ConfigMap).is_none() && sight.unseen(Kind::Deployment).is_none();
    let empty = record == Record::default() && sight.get(Kind::Deployment, "server").is_none();
    if visible && empty && sight.get(Kind::Deployment, "ws-manager").is_none() {
        let server = &door.server;
        return Err(CliError::usage(format!(
            "there is no Gitpod in the namespace `{namespace}` of the cluster at {server}"
        ))
        .hint("leave --namespace out to have it found"));
    }
    Ok((sight, record))
}

/// The cluster cannot be looked at, and why.
fn dark(door: &Door, why: &Unseen) -> CliError {
    let server = &door.server;
    match why {
        Unseen::Forbidden(words) => {
            CliError::inconclusive(format!("nothing may be looked at in the cluster at {server}: {words}"))
                .hint("`gsh-verify --print-rbac` prints the least roles that are needed")
        }
        Unseen::Unauthorized(_) => {
            CliError::inconclusive(format!("the cluster at {server} does not accept the credentials"))
                .hint("log in again, or choose another --context")
        }
        Unseen::Expired => {
            CliError::inconclusive(format!("the cluster at {server} does not hold still: {why}")).hint("run it again")
        }
        Unseen::NotServed | Unseen::NotLooked => {
            CliError::inconclusive(format!("what answers at {server} is no Kubernetes API"))
        }
        Unseen::NoAnswer(words) => {
            CliError::inconclusive(format!("the cluster at {server} cannot be reached: {words}"))
                .hint("check the address in the kubeconfig, and the network")
        }
    }
}

/// The certificate of the private authority: what was given, else what the installer was given.
async fn authority(
    reader: &Reader,
    given: Option<&str>,
    namespace: &str,
    record: &Record,
    notes: &mut Vec<String>,
) -> Option<String> {
    if let Some(pem) = given {
        return Some(pem.to_owned());
    }
    let name = record.text("/customCACert/name")?;
    match reader.get(Kind::Secret, namespace, name).await {
        Ok(secret) => decoded(&secret?, "ca.crt"),
        Err(why) => {
            notes.push(format!("the certificate in Secret `{name}` cannot be read: {why}; --ca FILE gives it"));
            None
        }
    }
}

/// Where the site answers: what its name resolves to here, else the address of its load balancer.
async fn resolved(domain: &str, balancer: Option<IpAddr>, notes: &mut Vec<String>) -> IpAddr {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if domain.is_empty() {
        return nobody;
    }
    if let Ok(Ok(mut addresses)) = tokio::time::timeout(RESOLVES, tokio::net::lookup_host((domain, 443))).await
        && let Some(address) = addresses.next()
    {
        return address.ip();
    }
    match balancer {
        Some(address) => {
            notes.push(format!("{domain} cannot be resolved here; its load balancer's address {address} is used"));
            address
        }
        None => {
            notes.push(format!("{domain} cannot be resolved here; --ingress says where it answers"));
            nobody
        }
    }
}

/// The address that the load balancer of the site has.
pub(super) fn balancer(sight: &Sight) -> Option<IpAddr> {
    let proxy = sight.get(Kind::Service, "proxy")?;
    proxy["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.parse().ok()
}

/// A value of a Secret.
fn decoded(secret: &serde_json::Value, key: &str) -> Option<String> {
    gsh_gitpod::install::found::decoded(secret, key)
}
