//! The arguments of `gsh-verify`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::args::Color;

/// Looks at a Gitpod installation that you already have and says whether it is healthy, and what to do where it is not.
///
/// Without --intrusive nothing is sent to the cluster but requests that read, and no Secret is read but the certificate
/// of a private authority.
#[derive(Debug, Parser)]
#[command(
    name = "gsh-verify",
    version,
    max_term_width = 110,
    after_help = "Example: gsh-verify --context production --stats"
)]
pub(crate) struct Verify {
    /// Kubeconfig; default: KUBECONFIG, ~/.kube/config, or the account of the pod this runs in.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; default: the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of the installation; default: found by looking.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Domain of the site; default: what the installer recorded.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// Address where the site answers; default: what its domain resolves to.
    #[arg(long, value_name = "IP")]
    pub(crate) ingress: Option<IpAddr>,
    /// A port that is reached under another number: 443=10443. May be given more than once.
    #[arg(long, value_name = "FROM=TO", value_parser = port_pair)]
    pub(crate) port: Vec<(u16, u16)>,
    /// Address and port of the SSH gateway, where it is not port 22 of the site.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) ssh_gateway: Option<SocketAddr>,
    /// The host key that the gateway must show, as a line of known_hosts without the name: ssh-ed25519 AAAA…
    #[arg(long, value_name = "KEY")]
    pub(crate) ssh_host_key: Option<String>,
    /// Also look at the machines, over SSH as this user: commands that read, listed in docs/verify.md.
    #[arg(long, value_name = "USER", conflicts_with = "intrusive")]
    pub(crate) ssh: Option<String>,
    /// Port of the machines' SSH servers; Gitpod's gateway has port 22 of every node.
    #[arg(long, value_name = "PORT", default_value_t = 2244, requires = "ssh")]
    pub(crate) ssh_port: u16,
    /// Private key, or a public one whose other half the agent holds; default: all keys of the agent (SSH_AUTH_SOCK), else
    /// ~/.ssh/id_ed25519, id_ecdsa or id_rsa. Its passphrase is asked for, or taken from GSH_SSH_PASSPHRASE.
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Where the machines' host keys are known; default: ~/.ssh/known_hosts.
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub(crate) ssh_known_hosts: Option<PathBuf>,
    /// Fingerprint of a machine's host key, SHA256:…; may be given more than once.
    #[arg(long, value_name = "FINGERPRINT", requires = "ssh")]
    pub(crate) ssh_fingerprint: Vec<String>,
    /// Where a machine is reached, if not at the address of its Node object: NODE=ADDR or NODE=ADDR:PORT.
    #[arg(long, value_name = "NODE=ADDR", requires = "ssh", value_parser = machine_at)]
    pub(crate) ssh_address: Vec<(String, IpAddr, Option<u16>)>,
    /// Certificate (PEM) of the authority behind the site's certificate; default: what the installer was given.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Only this scenario; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Also run scenarios that create something: workspaces, which are removed again.
    #[arg(long)]
    pub(crate) intrusive: bool,
    /// Also run the scenario that needs another node; needs --grow.
    #[arg(long, requires_all = ["intrusive", "grow"])]
    pub(crate) scale_out: bool,
    /// Command, run by a shell, that adds a node to the cluster.
    #[arg(long, value_name = "COMMAND", requires = "scale_out")]
    pub(crate) grow: Option<String>,
    /// Seconds that this command may take, and as many again until its node has joined.
    #[arg(long, value_name = "SECONDS", default_value_t = 1200, requires = "grow",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) grow_timeout: u64,
    /// Folder of run summaries: name the last run in which exactly this combination passed, or the nearest one.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Print the least roles that this look needs, ready for kubectl apply, and look at nothing.
    #[arg(long)]
    pub(crate) print_rbac: bool,
    /// Keep the run directory here; must not exist. Default: nothing is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write objects, events, logs and results into this compressed archive (.tar.gz), bounded and without secrets.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Go on looking until Ctrl-C and show what changes; it ends with the code of the last state.
    #[arg(long, conflicts_with = "intrusive")]
    pub(crate) watch: bool,
    /// Seconds between two looks at what cannot be followed: the site from outside, and what may only be listed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) every: u64,
    /// How the result is shown.
    #[arg(long, value_enum, default_value_t = Shown::Text)]
    pub(crate) format: Shown,
    /// Say how many requests were sent and how long they took.
    #[arg(long)]
    pub(crate) stats: bool,
    /// When to use colour.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Log more, for debugging (to stderr); twice for even more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say less: only what is not good, and the end.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    /// A table by category, with what to do.
    Text,
    /// `results.json`.
    Json,
    /// JUnit XML.
    Junit,
    /// Markdown.
    Markdown,
}

fn machine_at(text: &str) -> Result<(String, IpAddr, Option<u16>), String> {
    let parse = || {
        let (node, at) = text.split_once('=')?;
        match at.parse::<IpAddr>() {
            Ok(address) => Some((node.to_owned(), address, None)),
            Err(_) => at.parse::<SocketAddr>().ok().map(|at| (node.to_owned(), at.ip(), Some(at.port()))),
        }
    };
    parse().ok_or_else(|| {
        "expected a node and an address, as in worker-1=203.0.113.7 or worker-1=203.0.113.7:22".to_owned()
    })
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let parse = || {
        let (from, to) = text.split_once('=')?;
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    parse().ok_or_else(|| "expected two port numbers, as in 443=10443".to_owned())
}
