//! The arguments of `gsh`: where and how many. *What and how long* is in the matrix file, secrets are in the environment.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gsh_model::schedule::AtOnce;

use crate::args_plan;

/// What every command has, apart from what is its own: mixed among its options nobody finds either.
const EVERYWHERE: &str = "Everywhere";

/// Finds out which combinations of a Gitpod Self-Hosted distribution really work.
#[derive(Debug, Parser)]
#[command(
    name = "gsh",
    version,
    max_term_width = 110,
    after_help = "Example: gsh run --cover one-off --select size=single"
)]
pub(crate) struct Gsh {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = EVERYWHERE)]
    pub(crate) color: Color,
    /// Log more, for debugging (to stderr); twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = EVERYWHERE)]
    pub(crate) verbose: u8,
    /// Say less: no progress, only the end.
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show which cells and scenarios would run, and what is left out and why.
    #[command(after_help = "Example: gsh plan --cover pairwise --select shift=fuse")]
    Plan(Box<args_plan::Plan>),
    /// Order clusters, install Gitpod, run scenarios, remove everything, report.
    #[command(after_help = "Example: gsh run --provider embedded --cover pairwise --out my-run")]
    Run(Box<Run>),
    /// Render a recorded run.
    #[command(after_help = "Example: gsh report gsh-runs/r20261123-164638-7f3a21 --format junit --output junit.xml")]
    Report(Report),
    /// Say which combination of values explains the failures, how sure that is, and which cells would decide.
    #[command(after_help = "Example: gsh explain gsh-runs/r20261123-164638-7f3a21")]
    Explain(args_plan::Explain),
    /// The folder of run summaries: what was green when, how long things take, what is flaky.
    #[command(after_help = "Example: gsh history add nightly-run --dir history")]
    History(args_plan::History),
    /// Show a recorded run again as the terminal showed it.
    #[command(after_help = "Example: gsh replay gsh-runs/r20261123-164638-7f3a21 --speed 30")]
    Replay(Replay),
    /// Print the JSON Schema of a file.
    #[command(after_help = "Example: gsh schema results > results.schema.json")]
    Schema {
        /// Which file.
        #[arg(value_enum)]
        name: SchemaName,
    },
    /// Judge recorded runs: may this be shipped? Exit 0 yes, 1 no, 3 not enough evidence.
    #[command(after_help = "Example: gsh gate gsh-runs/r20261123-164638-7f3a21 --policy ci/gate.toml --output verdict")]
    Gate(Box<Gate>),
    /// Look at token, limits, prices and clock before money is spent; creates nothing.
    #[command(after_help = "Example: gsh doctor --provider hetzner --cover pairwise --budget 5")]
    Doctor(Doctor),
    /// Remove what runs left in the account, found by label; lists before it deletes.
    ///
    /// The account is Hetzner's unless --provider says otherwise: a missing token is an error here.
    #[command(after_help = "Example: gsh sweep --expired --dry-run")]
    Sweep(Sweep),
    /// Serve the embedded world to any other Hetzner or Kubernetes client.
    #[cfg(feature = "embedded")]
    #[command(after_help = "Example: gsh emulate --world fixtures/worlds/healthy.toml")]
    Emulate(Emulate),
    /// Print a completion script for a shell.
    #[command(after_help = "Example: gsh completions bash > /etc/bash_completion.d/gsh")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
        /// The program that is completed.
        #[arg(long, value_enum, default_value_t = ProgramName::Gsh)]
        program: ProgramName,
    },
    /// Print the manual page, or write one page per command into a folder.
    #[command(after_help = "Example: gsh man | man -l -")]
    Man {
        /// Write `gsh.1`, `gsh-run.1` and so on into this folder instead, and `gsh-verify.1`.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgramName {
    Gsh,
    GshVerify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    /// The real Hetzner Cloud; needs `HCLOUD_TOKEN`.
    Hetzner,
    /// The emulated world on loopback.
    Embedded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailFast {
    /// Leave the other scenarios of a cell after one that is not green.
    Cell,
    /// Stop the whole run.
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepName {
    /// Keep the cluster of a cell that is not all green until its lease expires.
    OnFailure,
    /// Remove everything, always.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoresName {
    /// Whichever is cheapest.
    Any,
    /// Shared with other tenants.
    Shared,
    /// The machine's own.
    Dedicated,
}

/// What a run may use of an account.
#[derive(Debug, Args)]
pub(crate) struct Room {
    /// The most that the run may cost, in euros with tax; a cluster that could break it is not ordered.
    #[arg(long, value_name = "EUR")]
    pub(crate) budget: Option<gsh_model::budget::Euros>,
    /// Most clusters at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_clusters: u32,
    /// Most servers at a time, all clusters together.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_servers: u32,
}

impl Room {
    /// What may exist at a time.
    pub(crate) fn at_once(&self) -> AtOnce {
        AtOnce { clusters: self.max_clusters, servers: self.max_servers }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) selected: args_plan::Selected,
    #[command(flatten)]
    pub(crate) part: args_plan::Part,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Run directory; must not exist. Default: gsh-runs/<run id>.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = RunFormat::Text)]
    pub(crate) format: RunFormat,
    /// Go on with a run whose process died, in its directory; its plan and budget stay as they are.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "select", "scenario", "cover", "budget"])]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) room: Room,
    /// Attempts at a cell when the environment is at fault before anything was examined.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=5))]
    pub(crate) attempts: u32,
    /// Whether clusters outlive a failure.
    #[arg(long, value_enum, default_value_t = KeepName::Never)]
    pub(crate) keep: KeepName,
    /// Give up early.
    #[arg(long, value_enum)]
    pub(crate) fail_fast: Option<FailFast>,
    /// A local gitpod-installer binary instead of the installer image.
    #[arg(long, value_name = "FILE")]
    pub(crate) installer: Option<PathBuf>,
    /// Image repository (a mirror) instead of Gitpod's own.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Only this server type for nodes that carry workloads. Default: the cheapest that is big enough.
    #[arg(long, value_name = "TYPE")]
    pub(crate) server_type: Option<String>,
    /// Whose cores machines have. Default: whichever is cheapest.
    #[arg(long, value_enum, default_value_t = CoresName::Any)]
    pub(crate) cores: CoresName,
    /// Public address of this machine: only from there are the Kubernetes API and the machines' SSH reached. Default: from
    /// anywhere.
    #[arg(long, value_name = "ADDR")]
    pub(crate) runner_address: Option<std::net::IpAddr>,
    /// Whose the machines are: a label of everything that is made, which sweeps show. Default: the repository in CI, else the user.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// Further ports of the nodes that are open to the world, `9500`; may be given more than once.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) open_port: Vec<u16>,
    /// Start nodes from a snapshot with what all of them fetch; built where there is none, kept for two weeks.
    #[arg(long)]
    pub(crate) warm: bool,
    /// Folder with the distribution's own cloud-init and config files, for template = community.
    #[arg(long, value_name = "DIR")]
    pub(crate) community: Option<PathBuf>,
    /// Folder of started runs: an entry is added before anything is created, so that the gate sees a run that is left out.
    #[arg(long, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,
    /// Commit of the distribution under test, as `git rev-parse HEAD` prints it; recorded, and bound by the gate.
    #[arg(long, value_name = "ID", value_parser = gsh_model::input::Digest::commit)]
    pub(crate) subject_commit: Option<gsh_model::input::Digest>,
    /// Certificate chain (PEM) for tls = byo; names <domain>, *.<domain>, *.ws.<domain>.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_domain"])]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key (PEM) of --tls-cert.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Domain of --tls-cert.
    #[arg(long, value_name = "DOMAIN", requires = "tls_cert")]
    pub(crate) tls_domain: Option<String>,
}

/// Whose account.
#[derive(Debug, Clone, Args)]
pub(crate) struct Account {
    /// Where clusters come from. Default: hetzner when HCLOUD_TOKEN is set, else embedded.
    #[arg(long, value_enum)]
    pub(crate) provider: Option<ProviderName>,
    /// World file of the embedded world; default: everything healthy.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// Hetzner locations to try, in this order.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "nbg1,hel1,fsn1")]
    pub(crate) locations: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Run directory; of several, which must be shards of one plan, one merged report is made.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Format.
    #[arg(long, value_enum, default_value_t = ReportFormat::Markdown)]
    pub(crate) format: ReportFormat,
    /// File to write instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Run directory of an earlier run: html and markdown then say what changed. Default: the last green one of --history.
    #[arg(long, value_name = "RUN")]
    pub(crate) baseline: Option<PathBuf>,
    /// Judge the run by this policy too, as `gsh gate` does: html and markdown then say the verdict first.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) grounds: Grounds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Junit,
    Markdown,
    Json,
    /// JUnit XML within the schema of Jenkins' xUnit plugin.
    JunitStrict,
    /// One self-contained page for a browser.
    Html,
    /// Annotations for GitHub Actions.
    Github,
    /// Common Test Report Format.
    Ctrf,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Run directory.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// How many times faster than it was; where there is no terminal, it is shown at once.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = speed)]
    pub(crate) speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=100_000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("a number from 0.01 to 100000".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    /// The support matrix: `ci/matrix.toml`.
    Matrix,
    /// An emulated outside: `gsh run --world FILE`.
    #[cfg(feature = "embedded")]
    World,
    /// `results.json`.
    Results,
    /// What counts as proof: `ci/gate.toml`.
    Policy,
    /// Known trouble that may pass for a while.
    Waivers,
    /// The verdict: `gate.json`.
    Gate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// The run directory, at the end.
    Text,
    /// Every event as it is recorded, one JSON document a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GateFormat {
    Text,
    Json,
}

/// What a record is judged by besides the policy.
#[derive(Debug, Args)]
pub(crate) struct Grounds {
    /// Known trouble that may pass for a while.
    #[arg(long, value_name = "FILE")]
    pub(crate) waivers: Option<PathBuf>,
    /// The supported matrix, to measure coverage against.
    #[arg(long, value_name = "FILE", default_value = "ci/matrix.toml")]
    pub(crate) matrix: PathBuf,
    /// Folder of run summaries.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Price list (JSON), to say what missing cells would cost; without it by what earlier runs have cost.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Folder of started runs, as `gsh run --index` fills it.
    #[arg(long, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,
    /// The commit that is to be shipped; the record must be about it.
    #[arg(long, value_name = "ID", value_parser = gsh_model::input::Digest::commit)]
    pub(crate) subject_commit: Option<gsh_model::input::Digest>,
    /// The distribution's folder of machine templates; the record must be about it.
    #[arg(long, value_name = "DIR")]
    pub(crate) community: Option<PathBuf>,
    /// Judge as if it were this time, such as 2026-11-24T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<jiff::Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct Gate {
    /// Run directories: one run, or all shards of one plan.
    #[arg(value_name = "RUN", required_unless_present_any = ["verify", "new_key"])]
    pub(crate) runs: Vec<PathBuf>,
    /// What counts as proof.
    #[arg(long, value_name = "FILE", default_value = "ci/gate.toml")]
    pub(crate) policy: PathBuf,
    #[command(flatten)]
    pub(crate) grounds: Grounds,
    /// Where to write gate.json, the support table, the badge and, with --attest, the signed statements.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Sign what is stated, with this private key (PEM, Ed25519).
    #[arg(long, value_name = "KEY", requires = "output")]
    pub(crate) attest: Option<PathBuf>,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = GateFormat::Text)]
    pub(crate) format: GateFormat,
    /// Verify a signed statement and print it.
    #[arg(long, value_name = "FILE", conflicts_with = "runs", requires = "key")]
    pub(crate) verify: Option<PathBuf>,
    /// Public key for --verify (PEM, Ed25519).
    #[arg(long, value_name = "PUB", requires = "verify")]
    pub(crate) key: Option<PathBuf>,
    /// Make a pair of keys: FILE and FILE.pub.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["runs", "verify"])]
    pub(crate) new_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) selected: args_plan::Selected,
    #[command(flatten)]
    pub(crate) account: Account,
    #[command(flatten)]
    pub(crate) room: Room,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub(crate) format: DoctorFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    pub(crate) account: Account,
    /// Everything of this run, expired or not.
    #[arg(long, value_name = "ID", conflicts_with = "expired")]
    pub(crate) run: Option<gsh_model::lease::RunId>,
    /// Everything whose lease has expired. The default.
    #[arg(long)]
    pub(crate) expired: bool,
    /// Only list.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For people, line by line; or for programs, one document at the end.
    #[arg(long, value_enum, default_value_t = SweepFormat::Text)]
    pub(crate) format: SweepFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SweepFormat {
    Text,
    Json,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub(crate) struct Emulate {
    /// World file; default: everything healthy.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// Address of the Hetzner API. Default: a free port on an address of the world's own.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<std::net::SocketAddrV4>,
    /// Order a cluster, install Gitpod on it, and write its kubeconfig into this file, for other clients to use.
    ///
    /// What is printed tells also how to log in to its machines, and with what a further one is ordered and joins.
    #[arg(long, value_name = "KUBECONFIG")]
    pub(crate) installed: Option<PathBuf>,
    /// What to install: axis=value,…; every other axis at its default.
    #[arg(long, value_name = "AXIS=VALUE", value_delimiter = ',', requires = "installed")]
    pub(crate) cell: Vec<String>,
    /// Seed of ids, tokens and the fault script's chances: the same seed gives the same token. Default: the world file's.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Every answer of the Hetzner API takes this many milliseconds longer.
    #[arg(long, value_name = "MS")]
    pub(crate) latency: Option<u64>,
    /// Waiting for an action costs one look: the cloud's clock jumps ahead to what is due next whenever somebody reads.
    ///
    /// Of use with a world file that has realistic `takes-ms`. Machines, clusters and the client's own pauses between two
    /// looks take their real time; a client that measures by the dates in the answers sees long ones. The rate limit's
    /// bucket fills by the same clock.
    #[arg(long)]
    pub(crate) virtual_time: bool,
    /// File for a log of all requests, one JSON object a line, written as they are answered.
    #[arg(long, value_name = "FILE")]
    pub(crate) request_log: Option<PathBuf>,
}

#[cfg(feature = "embedded")]
impl Emulate {
    /// The address and port to listen on, where one was asked for.
    pub(crate) fn at(&self) -> Option<(std::net::Ipv4Addr, u16)> {
        self.listen.map(|a| (*a.ip(), a.port()))
    }
}
