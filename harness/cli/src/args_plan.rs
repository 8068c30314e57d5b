//! The arguments of planning, history and explaining.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use gsh_model::budget::Euros;
use gsh_model::outcome::Evidence;
use gsh_model::shard::{MOST_JOBS, ShardId};

/// Which cells and scenarios.
#[derive(Debug, Args)]
pub(crate) struct Selected {
    /// The support matrix.
    #[arg(long, value_name = "FILE", default_value = "ci/matrix.toml")]
    pub(crate) matrix: PathBuf,
    /// How cells are chosen: full, pairwise, triples, one-off.
    #[arg(long, default_value = "pairwise")]
    pub(crate) cover: gsh_model::cover::Cover,
    /// Only cells and scenarios that match: size=single|small and not (tls=byo or tag=adds-node).
    #[arg(long, value_name = "EXPR")]
    pub(crate) select: Option<String>,
    /// Only this scenario; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    #[command(flatten)]
    pub(crate) night: Night,
}

/// What earlier runs have shown, and what bounds a night.
#[derive(Debug, Args)]
pub(crate) struct Night {
    /// Folder of run summaries (`gsh history add`): the cells that need it most come first.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Count only recorded runs that were at least this real.
    #[arg(long, value_name = "GRADE", default_value = "emulated", value_parser = evidence)]
    pub(crate) evidence: Evidence,
    /// The most time that the run may take, as 90m or 3h; only the cells that need it most are planned.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) within: Option<u64>,
    /// Price list (JSON) to plan a budget with; without it, what cells have cost so far.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Divide the plan among at most so many jobs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS as i64))]
    pub(crate) max_jobs: Option<u16>,
}

fn evidence(text: &str) -> Result<Evidence, String> {
    [Evidence::Emulated, Evidence::Lab, Evidence::Cloud]
        .into_iter()
        .find(|e| e.to_string() == text)
        .ok_or_else(|| format!("`{text}` is none of emulated, lab, cloud"))
}

fn seconds(text: &str) -> Result<u64, String> {
    gsh_model::matrix::seconds(text).ok_or_else(|| format!("`{text}` is no time such as 90m, 3h or 5400s"))
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// The most that the run may cost, in euros with tax; only the cells that need it most are planned.
    #[arg(long, value_name = "EUR")]
    pub(crate) budget: Option<Euros>,
    /// Clusters at a time, for the time that the plan is expected to take.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max_clusters: u32,
    /// Servers at a time, all clusters together, for the same.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_servers: u32,
    /// For people, for programs, or as a GitHub Actions matrix.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
    /// Also write the whole plan into this file, for `gsh run --plan`.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Prove the plan by another way: every valid combination is in, no invalid cell is.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    Text,
    Json,
    /// One line for `strategy.matrix`; `matrix` and `count` are added to `$GITHUB_OUTPUT`.
    Github,
}

/// Which part of which plan a run is.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Run the plan in this file, which `gsh plan --output` wrote, instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cover", "select", "scenario", "within", "prices", "max_jobs", "narrow"])]
    pub(crate) plan: Option<PathBuf>,
    /// Run only this shard of the plan.
    #[arg(long, value_name = "ID")]
    pub(crate) shard: Option<ShardId>,
    /// Run only the shard at this place of the plan, counted from 0 as Kubernetes counts the completions of an Indexed Job.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub(crate) shard_index: Option<u16>,
    /// Run the cells that would decide what explains the failures of these runs; see `gsh explain`.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["cover", "select", "scenario", "within", "max_jobs", "shard", "shard_index"])]
    pub(crate) narrow: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Run directories: a run, and those that narrowed it down.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The support matrix.
    #[arg(long, value_name = "FILE", default_value = "ci/matrix.toml")]
    pub(crate) matrix: PathBuf,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOrJson {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(subcommand)]
    pub(crate) command: HistoryCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Add runs to the folder, one small file each; adding a run again changes nothing.
    #[command(after_help = "Example: gsh history add nightly-run --dir history")]
    Add {
        /// Run directories.
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<PathBuf>,
        /// The folder; made when it is not there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// List the runs, or write everything as one page.
    #[command(after_help = "Example: gsh history show --dir history --format html --output history.html")]
    Show {
        #[command(flatten)]
        look: Look,
        /// How.
        #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
        format: ShowFormat,
        /// The support matrix, for the coverage on the page.
        #[arg(long, value_name = "FILE", default_value = "ci/matrix.toml")]
        matrix: PathBuf,
        /// File to write instead of standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// What is flaky, broken or worse than before, with intervals.
    #[command(after_help = "Example: gsh history flaky --dir history")]
    Flaky {
        #[command(flatten)]
        look: Look,
        /// Also show what is stable or unknown.
        #[arg(long)]
        all: bool,
        /// For people, or for programs.
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
    },
    /// Which combination of values was last green when, on which release, with which templates.
    #[command(after_help = "Example: gsh history coverage --dir history --strength 2")]
    Coverage {
        #[command(flatten)]
        look: Look,
        /// The support matrix.
        #[arg(long, value_name = "FILE", default_value = "ci/matrix.toml")]
        matrix: PathBuf,
        /// Axes that a combination spans.
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        strength: u8,
        /// For people, or for programs.
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
    },
}

/// Which runs are looked at, and from when.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// The folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Only runs that were at least this real.
    #[arg(long, value_name = "GRADE", default_value = "emulated", value_parser = evidence)]
    pub(crate) evidence: Evidence,
    /// Look back from this time, such as 2026-11-24T08:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowFormat {
    Text,
    Json,
    Html,
}
