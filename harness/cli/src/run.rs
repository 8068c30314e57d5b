//! `gsh run`: the whole journey.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gsh_engine::artifacts::{Artifacts, private_folder};
use gsh_engine::ledger::Ledger;
use gsh_engine::run::{Job, Keep, Observer, Patience, Settings, run as dispatch};
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_model::event::{Event, EventKind};
use gsh_model::exit::Exit;
use gsh_model::lease::RunId;
use gsh_model::matrix;
use gsh_model::run::RunState;
use gsh_reports::beside::Beside;
use gsh_reports::format::{Format, render_with};
use jiff::{SignedDuration, Timestamp};

use crate::args::{self, FailFast, Gsh, KeepName, RunFormat};
use crate::error::CliError;
use crate::report::{load, write_whole};
use crate::terminal::{Show, Terminal, colored, say};
use crate::wiring;

/// Runs a plan. Everything that can be wrong with the input is found before anything is created.
pub(crate) async fn run(args: &args::Run, all: &Gsh) -> Result<Exit, CliError> {
    let id = new_run_id();
    let clusters = wiring::ClusterSettings::read(args)?;
    wiring::check(&args.account)?;
    let (matrix, plan) = crate::plan::for_run(args, &wiring::OFFERS, None)?;
    let inputs = crate::inputs::of(args, &plan, &clusters.installer())?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("gsh-runs").join(id.as_str()));
    let directory = new_directory(&out)?;
    let account = wiring::account(&args.account).await?;
    say(&format!("run {id}: {} cells, {}", plan.cells.len(), account.describe()));

    let settings = Settings {
        max_clusters: args.max_clusters as usize,
        max_servers: args.max_servers,
        patience: patience(matrix.patience),
        lease_lifetime: lifetime(matrix.patience),
        attempts: args.attempts,
        keep: match args.keep {
            KeepName::Never => Keep::Never,
            KeepName::OnFailure => Keep::OnFailure,
        },
        fail_fast_cell: args.fail_fast == Some(FailFast::Cell),
        fail_fast_run: args.fail_fast == Some(FailFast::Run),
    };
    let scrubber = Scrubber::default();
    account.secrets().iter().chain(clusters.secrets()).for_each(|s| scrubber.learn(s));
    write_whole(&directory.join("plan.json"), &serde_json::to_vec_pretty(&plan).unwrap_or_default())
        .map_err(|e| CliError::usage(format!("cannot write into `{}`", directory.display())).because(&e))?;
    let ledger = Ledger::create(&directory)
        .map_err(|e| CliError::usage(format!("cannot write into `{}`", directory.display())).because(&e))?;

    if let Some(folder) = &args.index {
        crate::gate::enter(folder, &id, account.evidence(), &inputs)?;
    }
    let job = Job {
        installer: account.installer(&clusters),
        inputs,
        notes: account.notes(),
        evidence: account.evidence(),
        provider: account.provider(clusters)?,
        catalogue: gsh_scenarios::CATALOGUE,
        plan,
        run: id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings,
        now: Timestamp::now,
    };
    let show = if all.quiet { Show::End } else { Show::All };
    let mut observers: Vec<Box<dyn Observer>> =
        vec![Box::new(Reports::of(&directory)), Box::new(Terminal::new(show, colored(all.color)))];
    if args.format == RunFormat::Json {
        observers.push(Box::new(Stream));
    }
    let stop = Stop::new();
    let signals = tokio::spawn(crate::signals::listen(stop.clone()));
    let end = dispatch(job, ledger, Artifacts::of(&directory), observers, stop, scrubber).await;
    signals.abort();
    account.end().await;

    if let Some(illegal) = &end.illegal {
        return Err(CliError::bug("the harness recorded something impossible")
            .because(illegal)
            .hint(format!("please report it with the folder {}", directory.display())));
    }
    if let Some(lost) = &end.ledger_lost {
        if !end.state.leftovers().is_empty() || end.state.unreleased().next().is_some() {
            say(&format!("something may be left in the account; remove it with: gsh sweep --run {id}"));
        }
        return Err(CliError::inconclusive("the ledger was lost on the way, so there is no verdict").because(lost));
    }
    // Where it cannot be written the gate will say that the ledger is not sealed.
    if let Err(e) = crate::inputs::seal(&directory) {
        say(&format!("cannot seal the ledger: {e}"));
    }
    // The verdict comes from the record on disk, as it will for whoever reads it next year.
    let recorded = load(&directory)?;
    match args.format {
        RunFormat::Text => {
            let _nobody = writeln!(std::io::stdout().lock(), "{}", directory.display());
        }
        // Standard output has the events and nothing else.
        RunFormat::Json => say(&directory.display().to_string()),
    }
    Ok(recorded.exit())
}

/// `r<date>-<time>-<six hex digits>`.
pub(crate) fn new_run_id() -> RunId {
    let now = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("r{now}-{:06x}", rand::random::<u32>() >> 8).parse().expect("a date and digits make a run id")
}

fn new_directory(out: &Path) -> Result<PathBuf, CliError> {
    let refused = |text: &str| CliError::usage(format!("{text} `{}`", out.display()));
    if out.exists() {
        return Err(
            refused("there is something already at").hint("a run never writes over another one; choose another --out")
        );
    }
    private_folder(out).map_err(|e| refused("cannot create the run directory").because(&e))?;
    std::path::absolute(out).map_err(|e| refused("cannot use the run directory").because(&e))
}

fn patience(given: matrix::Patience) -> Patience {
    let or = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_secs);
    let default = Patience::default();
    Patience {
        run: or(given.run, default.run),
        cell: or(given.cell, default.cell),
        provision: or(given.provision, default.provision),
        install: or(given.install, default.install),
        scenario: or(given.scenario, default.scenario),
        undo: default.undo,
        teardown: or(given.teardown, default.teardown),
    }
}

/// A lease outlives its cell and its teardown, with an hour to spare for a slow closing.
fn lifetime(given: matrix::Patience) -> SignedDuration {
    let patience = patience(given);
    let cell = SignedDuration::try_from(patience.cell + patience.teardown).unwrap_or(SignedDuration::from_hours(4));
    cell + SignedDuration::from_hours(1)
}

/// Rewrites the reports as subjects finish, so a killed run leaves a valid set.
struct Reports {
    directory: PathBuf,
    beside: Beside,
    failed: bool,
    /// When reports were last written, and how long that took.
    last: Option<(Instant, Duration)>,
}

impl Reports {
    /// Rendering that takes longer than this is not done after every subject: it keeps the dispatcher from recording.
    const LONG: Duration = Duration::from_millis(50);

    fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), beside: Beside::default(), failed: false, last: None }
    }

    /// Large runs spend at most a twentieth of their time on reports; beginning and end are always written.
    fn is_due(&self, kind: &EventKind) -> bool {
        let always = matches!(kind, EventKind::RunPlanned { .. } | EventKind::RunFinished);
        let affordable = self.last.is_none_or(|(at, took)| took < Self::LONG || at.elapsed() > took * 20);
        always || (affordable && matches!(kind, EventKind::SubjectFinished { .. }))
    }
}

impl Observer for Reports {
    fn recorded(&mut self, event: &Event, state: &RunState) {
        if !self.is_due(&event.kind) {
            return;
        }
        let begun = Instant::now();
        crate::evidence::excerpts(&mut self.beside, std::slice::from_ref(&self.directory), state);
        for format in Format::ALL {
            let Some(name) = format.file_name() else { continue };
            let target = self.directory.join(name);
            if let Err(e) = write_whole(&target, render_with(format, state, &self.beside).as_bytes())
                && !std::mem::replace(&mut self.failed, true)
            {
                say(&format!("cannot write {}: {e}; `gsh report` can render the ledger later", target.display()));
            }
        }
        self.last = Some((Instant::now(), begun.elapsed()));
    }

    fn ledger_lost(&mut self, _: &std::io::Error) {}
}

/// Every event on standard output as it is recorded: the lines of the ledger, live.
struct Stream;

impl Observer for Stream {
    fn recorded(&mut self, event: &Event, _: &RunState) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // A reader that has gone away does not stop a run: the ledger has everything.
        let _nobody = out.write_all(&line).and_then(|()| out.flush());
    }

    fn ledger_lost(&mut self, _: &std::io::Error) {}
}
