//! `gsh-verify`: looks at an installation that somebody already has.
//!
//! The same engine as `gsh run`, other wiring: the provider lends what is there, the installer finds what is installed,
//! and the one cell is observed, not chosen.

pub(crate) mod args;
mod bundle;
mod directory;
mod history;
mod proofs;
mod show;
mod ssh;
mod target;
mod watch;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use gsh_engine::artifacts::Artifacts;
use gsh_engine::bench::Scenario;
use gsh_engine::job::{Job, Keep, Settings};
use gsh_engine::ledger::Ledger;
use gsh_engine::run::{RunEnd, run as dispatch};
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_gitpod::observed::{Observed, Use};
use gsh_look::{rbac, tested};
use gsh_model::cover::Cover;
use gsh_model::exit::Exit;
use gsh_model::matrix::nearest;
use gsh_model::outcome::Evidence;
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario, unmet};
use gsh_model::scenario::{Impact, Need, ScenarioSpec};
use gsh_model::stores::GivenStores;
use gsh_providers::attached::{Attached, AttachedConfig, Mode, machine};
use gsh_reports::format::{Format, render};
use jiff::Timestamp;

use self::args::{Shown, Verify};
use self::directory::Directory;
use self::ssh::Ssh;
use self::target::Target;
use crate::error::CliError;
use crate::gsh::{start_log, with_runtime};
use crate::read;
use crate::run::new_run_id;
use crate::signals::Listening;
use crate::terminal::say;

/// Runs the program.
pub(crate) fn main() -> Exit {
    let args = match Verify::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version go to stdout and are no error; when printing fails nobody listens.
            let _nobody = e.print();
            return if e.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    start_log(args.verbose);
    let result = if args.print_rbac { print_rbac(&args) } else { with_runtime(verify(&args)) };
    result.unwrap_or_else(|e| e.report())
}

/// The scenarios to plan: those asked for, else all that the mode allows.
fn scenarios(args: &Verify) -> Result<Vec<ScenarioSpec>, CliError> {
    let all: Vec<ScenarioSpec> = gsh_scenarios::CATALOGUE.iter().map(|s: &Scenario| (s.spec)()).collect();
    for name in &args.scenario {
        if !all.iter().any(|s| s.id.as_str() == name) {
            let error = CliError::usage(format!("there is no scenario `{name}`"));
            let hint = nearest(name, all.iter().map(|s| s.id.as_str()));
            return Err(match hint {
                Some(hint) => error.hint(format!("did you mean `{hint}`?")),
                None => error,
            });
        }
    }
    let asked = |s: &ScenarioSpec| args.scenario.is_empty() || args.scenario.iter().any(|n| n == s.id.as_str());
    Ok(all.into_iter().filter(asked).collect())
}

fn print_rbac(args: &Verify) -> Result<Exit, CliError> {
    let chosen = scenarios(args)?;
    let namespace = args.namespace.as_deref().unwrap_or("gitpod");
    let works = |s: &&ScenarioSpec| match s.impact {
        Impact::ReadOnly => false,
        Impact::CreatesWorkspace => args.intrusive,
        Impact::AddsNode => args.scale_out,
    };
    let purpose = rbac::Purpose {
        // With --ca nothing of a Secret is read; else the one that Gitpod's own packaging names.
        authority: if args.ca.is_some() { None } else { Some("ca-certificate") },
        // As Gitpod's documentation names it; with --ssh-host-key it is not read.
        host_key: if args.ssh_host_key.is_some() { None } else { Some("ssh-gateway-host-key") },
        follows: args.watch,
        evidence: args.bundle.is_some(),
        works: chosen.iter().filter(works).map(|s| s.id.as_str()).collect(),
    };
    let text = rbac::yaml(&rbac::objects(namespace, "gsh-verify", &purpose));
    print(&text)?;
    Ok(Exit::Pass)
}

pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| CliError::inconclusive("cannot write the result").because(&e))
}

async fn verify(args: &Verify) -> Result<Exit, CliError> {
    let chosen = scenarios(args)?;
    let mode = if args.intrusive { Mode::Everything } else { Mode::ReadOnly };
    args.bundle.as_deref().map(bundle::free).transpose()?;
    if args.watch && matches!(args.format, Shown::Junit | Shown::Markdown) {
        return Err(CliError::usage("a watch has no end, so it cannot be one document")
            .hint("--watch shows text, or with --format json one document a line"));
    }
    let past = args.history.as_deref().map(history::read).transpose()?;
    let ssh = Ssh::of(args).await?;
    let mut target = Target::find(args, mode).await?;
    if let Some(past) = past {
        target.note(tested::of(&target.found, &past).to_string());
    }
    if !args.quiet {
        target.introduce();
    }
    let directory = Directory::new(args.out.as_deref())?;
    let stop = Stop::new();
    let _signals = Listening::to(&stop);
    let end = examine(args, &target, ssh.as_ref(), &chosen, directory.path(), &stop).await?;
    if let Some(illegal) = &end.illegal {
        return Err(CliError::bug("the harness recorded something impossible").because(illegal));
    }
    if let Some(lost) = &end.ledger_lost {
        return Err(CliError::inconclusive("the ledger was lost on the way, so there is no verdict").because(lost));
    }
    let state = read::run(directory.path())?;
    for (name, format) in Format::ALL.into_iter().filter_map(|f| Some((f.file_name()?, f))) {
        // Only a convenience beside the ledger, which is there.
        let _convenience = crate::whole::write_whole(&directory.path().join(name), render(format, &state).as_bytes());
    }
    if let Some(file) = &args.bundle {
        let evidence = target.evidence().await;
        bundle::write(file, directory.path(), &evidence, Timestamp::now())?;
        say(&format!("evidence is in {}; read it before you share it", file.display()));
    }
    match args.format {
        Shown::Text => print(&show::table(&state, args.quiet))?,
        Shown::Json if args.watch => print(&watch::one_line(&render(Format::Json, &state))?)?,
        Shown::Json => print(&render(Format::Json, &state))?,
        Shown::Junit => print(&render(Format::Junit, &state))?,
        Shown::Markdown => print(&render(Format::Markdown, &state))?,
    }
    let exit = if args.watch && !stop.is_requested() {
        watch::watch(args, &target, ssh.as_ref(), &chosen, &state, &stop).await?
    } else {
        state.exit()
    };
    if args.stats {
        let sent = target.door.traffic.sent();
        let methods: Vec<String> = sent.by_method.iter().map(|(m, n)| format!("{n} {m}")).collect();
        say(&format!(
            "{} requests to the cluster ({}), {} ms of waiting added up, {} KiB",
            sent.requests(),
            methods.join(", "),
            sent.waited.as_millis(),
            sent.bytes / 1024
        ));
    }
    Ok(exit)
}

/// Runs the scenarios with the engine.
async fn examine(
    args: &Verify,
    target: &Target,
    ssh: Option<&Ssh>,
    chosen: &[ScenarioSpec],
    directory: &Path,
    stop: &Stop,
) -> Result<RunEnd, CliError> {
    let mut nodes = target.nodes().filter_map(machine).collect();
    if let Some(ssh) = ssh {
        nodes = ssh.inspected(nodes).await;
    }
    let provider = Attached::new(AttachedConfig {
        kube: target.door.client.clone(),
        nodes,
        ingress: target.ingress,
        reach: target.reach.clone(),
        writable: args.intrusive,
        grow: args.grow.clone(),
        grows_within: Duration::from_secs(args.grow_timeout),
    });
    let offers = {
        use gsh_engine::provider::Provider as _;
        provider.offers()
    };
    let plan = plan(target, chosen, &offers)?;
    let purpose = if args.intrusive { Use::Work } else { Use::Look };
    let ledger = Ledger::create(directory)
        .map_err(|e| CliError::usage(format!("cannot write into `{}`", directory.display())).because(&e))?;
    let job = Job {
        installer: Observed::new(target.known(), purpose),
        provider,
        catalogue: gsh_scenarios::CATALOGUE,
        plan,
        run: new_run_id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // A cluster that somebody has is a real one as far as anybody can tell from here.
        evidence: Evidence::Lab,
        settings: Settings { attempts: 1, keep: Keep::Never, ..Settings::default() },
        now: Timestamp::now,
        notes: target.notes(),
        // Nothing was made here, so it was made from nothing.
        inputs: Vec::new(),
    };
    let scrubber = Scrubber::default();
    ssh.iter().flat_map(|ssh| ssh.secrets()).for_each(|secret| scrubber.learn(secret));
    Ok(dispatch(job, ledger, Artifacts::of(directory), Vec::new(), stop.clone(), scrubber).await)
}

/// One cell, observed; what cannot run here is left out with its reason.
fn plan(target: &Target, chosen: &[ScenarioSpec], offers: &[Need]) -> Result<Plan, CliError> {
    let cell = target.found.cell();
    let scenarios: Vec<PlannedScenario> = chosen
        .iter()
        .map(|spec| PlannedScenario { scenario: spec.id.clone(), skip: unmet(spec, &cell, offers) })
        .collect();
    if scenarios.iter().all(|s| s.skip.is_some()) {
        return Err(CliError::usage("nothing is left to run: every scenario that was asked for creates something")
            .hint("add --intrusive to let scenarios create workspaces, which are removed again"));
    }
    let untold: Vec<&str> = target.found.untold().iter().map(|a| a.as_str()).collect();
    let why =
        if untold.is_empty() { "observed".to_owned() } else { format!("observed; cannot tell: {}", untold.join(", ")) };
    let servers = u32::try_from(target.nodes().count()).unwrap_or(u32::MAX);
    Ok(Plan {
        matrix_sha256: "0".repeat(64),
        cover: Cover::Full,
        cells: vec![PlannedCell { id: cell.id(), cell, why, servers, scenarios, expected_s: None }],
        scenarios: chosen.to_vec(),
        stores: GivenStores::default(),
        left_out: Vec::new(),
        infeasible: Vec::new(),
        coverage: None,
        estimate: None,
        shards: Vec::new(),
        shard: None,
    })
}
