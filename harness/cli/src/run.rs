//! `gsh run`: the whole journey.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gsh_engine::artifacts::{Artifacts, private_folder};
use gsh_engine::job::{Job, Settings};
use gsh_engine::ledger::Ledger;
use gsh_engine::run::{Observer, resume as go_on_with, run as dispatch};
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_model::event::{Event, EventKind};
use gsh_model::exit::Exit;
use gsh_model::history::History;
use gsh_model::input::Input;
use gsh_model::lease::RunId;
use gsh_model::matrix::Matrix;
use gsh_model::plan::Plan;
use gsh_model::run::RunState;
use gsh_providers::HetznerProvider;
use gsh_reports::beside::Beside;
use gsh_reports::format::{Format, render_with};
use gsh_reports::past::Past;
use jiff::Timestamp;

use crate::args::{self, Gsh, RunFormat};
use crate::error::CliError;
use crate::read;
use crate::resume;
use crate::settings::{settings, spending};
use crate::signals::Listening;
use crate::terminal::{Show, Terminal, colored, say};
use crate::whole::write_whole;
use crate::wiring;

/// What a run is made of, found before anything is created.
struct Ready {
    id: RunId,
    plan: Plan,
    inputs: Vec<Input>,
    settings: Settings,
    clusters: wiring::ClusterSettings,
    account: wiring::Account,
    provider: HetznerProvider,
    directory: PathBuf,
    ledger: Ledger,
    /// Set when this process goes on with a run that another one began.
    recorded: Option<RunState>,
    /// What the reports compare with.
    memory: Option<Memory>,
}

/// Earlier runs, and the matrix that they are looked at through.
struct Memory {
    history: History,
    matrix: Matrix,
}

impl Memory {
    /// Where a history was given.
    fn of(args: &args::Run) -> Result<Option<Self>, CliError> {
        let Some(folder) = &args.selected.night.history else { return Ok(None) };
        let history = read::history(folder)?;
        Ok(Some(Self { history, matrix: read::matrix(&args.selected.matrix)? }))
    }
}

/// Runs a plan, or goes on with one.
pub(crate) async fn run(args: &args::Run, all: &Gsh) -> Result<Exit, CliError> {
    let stop = Stop::new();
    let _signals = Listening::to(&stop);
    match &args.resume {
        None => conduct(unless(&stop, begin(args), nothing_yet).await?, args.format, all, stop).await,
        Some(directory) => {
            let recorded = resume::open(directory)?;
            if recorded.state.finished.is_some() {
                say("the run is finished: there is nothing to go on with");
                // The seal is the last thing that a process writes: without it that one may not have come to its reports.
                let (_, sealed) = crate::seal::sealed(&recorded.directory)?;
                if !sealed {
                    Reports::of(&recorded.directory, Memory::of(args)?).write(&recorded.state);
                }
                return concluded(&recorded.directory, args.format);
            }
            let run = recorded.header.run.clone();
            conduct(unless(&stop, go_on(args, recorded), || still_there(&run)).await?, args.format, all, stop).await
        }
    }
}

/// Getting ready, given up when a signal comes: this process has created nothing and not said that it began. (What
/// `begin` writes it writes without waiting in between, so this never leaves half of it.)
async fn unless(
    stop: &Stop,
    getting_ready: impl Future<Output = Result<Ready, CliError>>,
    stopped: impl FnOnce() -> CliError,
) -> Result<Ready, CliError> {
    tokio::select! {
        ready = getting_ready => ready,
        () = stop.requested() => Err(stopped()),
    }
}

fn nothing_yet() -> CliError {
    CliError::inconclusive("stopped by a signal before anything was created")
}

/// A run that was to be resumed may have machines in the account, and they cost money.
fn still_there(run: &RunId) -> CliError {
    CliError::inconclusive("stopped by a signal before the run went on; what it had created is still there")
        .hint(format!("go on with it by the same command, or remove what it created with: gsh sweep --run {run}"))
}

/// Everything that can be wrong with the input is found before anything is created.
async fn begin(args: &args::Run) -> Result<Ready, CliError> {
    let id = new_run_id();
    let clusters = wiring::ClusterSettings::read(args)?;
    wiring::check(&args.account)?;
    let (matrix, plan) = crate::plan::for_run(args, &wiring::OFFERS, args.room.budget)?;
    let clusters = clusters.with_stores(crate::given::stores(&args.selected.matrix, &plan)?);
    let inputs = crate::inputs::of(args, &plan, &clusters.installer())?;
    let settings = settings(args, matrix.patience, args.room.budget);
    let memory = Memory::of(args)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("gsh-runs").join(id.as_str()));
    free(&out)?;
    let account = wiring::account(&args.account).await?;
    clusters.certified(&account, &plan)?;
    let provider = account.provider(clusters.clone(), spending(&settings))?;
    if account.is_outside() || settings.budget.is_some() {
        let survey = crate::doctor::look(&provider, &plan, &settings).await;
        crate::doctor::refuse(&survey)?;
        say(crate::doctor::table(&survey).trim_end());
    }
    let directory = new_directory(&out)?;
    say(&format!("run {id}: {} cells, {}", plan.cells.len(), account.describe()));
    write_whole(&directory.join("plan.json"), &serde_json::to_vec_pretty(&plan).unwrap_or_default())
        .map_err(|e| CliError::usage(format!("cannot write into `{}`", directory.display())).because(&e))?;
    let ledger = Ledger::create(&directory)
        .map_err(|e| CliError::usage(format!("cannot write into `{}`", directory.display())).because(&e))?;
    if let Some(folder) = &args.index {
        crate::gate::enter(folder, &id, account.evidence(), &inputs)?;
    }
    Ok(Ready { id, plan, inputs, settings, clusters, account, provider, directory, ledger, recorded: None, memory })
}

/// The same for a run that another process began: plan, name and budget are in its ledger.
async fn go_on(args: &args::Run, recorded: resume::Recorded) -> Result<Ready, CliError> {
    let resume::Recorded { directory, ledger, state, header, plan } = recorded;
    let clusters = wiring::ClusterSettings::read(args)?;
    let which = resume::account(&args.account, &header);
    wiring::check(&which)?;
    let clusters = clusters.with_stores(crate::given::stores(&args.selected.matrix, &plan)?);
    let inputs = crate::inputs::of(args, &plan, &clusters.installer())?;
    let settings = settings(args, resume::patience(&args.selected.matrix, &plan), state.budget);
    let memory = Memory::of(args)?;
    let account = wiring::account(&which).await?;
    clusters.certified(&account, &plan)?;
    resume::same(&header, account.name(), account.evidence(), &inputs)?;
    let provider = account.provider(clusters.clone(), spending(&settings))?;
    if account.is_outside() {
        // An account that cannot be used would end the run with everything left in it, and a run ends only once.
        crate::doctor::refuse(&crate::doctor::look(&provider, &plan, &settings).await)?;
    }
    let open = state.cells.iter().filter(|c| !c.is_done()).count();
    say(&format!(
        "run {} goes on: {open} of {} cells are not finished, {}",
        header.run,
        state.cells.len(),
        account.describe()
    ));
    Ok(Ready {
        id: header.run,
        plan,
        inputs: header.inputs,
        settings,
        clusters,
        account,
        provider,
        directory,
        ledger,
        recorded: Some(state),
        memory,
    })
}

async fn conduct(ready: Ready, format: RunFormat, all: &Gsh, stop: Stop) -> Result<Exit, CliError> {
    let Ready { id, plan, inputs, settings, clusters, account, provider, directory, ledger, recorded, memory } = ready;
    let scrubber = Scrubber::default();
    account.secrets().iter().chain(clusters.secrets()).for_each(|s| scrubber.learn(s));
    let job = Job {
        installer: account.installer(&clusters),
        inputs,
        notes: account.notes(),
        evidence: account.evidence(),
        provider,
        catalogue: gsh_scenarios::CATALOGUE,
        plan,
        run: id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings,
        now: Timestamp::now,
    };
    let show = if all.quiet { Show::End } else { Show::All };
    let mut observers: Vec<Box<dyn Observer>> =
        vec![Box::new(Reports::of(&directory, memory)), Box::new(Terminal::new(show, colored(all.color)))];
    if format == RunFormat::Json {
        observers.push(Box::new(Stream));
    }
    let artifacts = Artifacts::of(&directory);
    let end = match recorded {
        None => dispatch(job, ledger, artifacts, observers, stop, scrubber).await,
        Some(state) => go_on_with(job, state, ledger, artifacts, observers, stop, scrubber).await,
    };
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
    concluded(&directory, format)
}

/// Seals the ledger and gives the verdict that it stands for.
fn concluded(directory: &Path, format: RunFormat) -> Result<Exit, CliError> {
    // Where it cannot be written the gate will say that the ledger is not sealed.
    if let Err(e) = crate::seal::seal(directory) {
        say(&format!("cannot seal the ledger: {e}"));
    }
    // The verdict comes from the record on disk, as it will for whoever reads it next year.
    let recorded = read::run(directory)?;
    match format {
        RunFormat::Text => {
            let _nobody = writeln!(std::io::stdout().lock(), "{}", directory.display());
        }
        // Standard output has the events and nothing else.
        RunFormat::Json => say(&directory.display().to_string()),
    }
    Ok(recorded.exit())
}

/// `r<date>-<time>-<ten hex digits>`. Names of leases and servers, and so everything that tells two runs in one account
/// apart, derive from the digits: there are enough of them that two runs never draw the same.
pub(crate) fn new_run_id() -> RunId {
    let now = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("r{now}-{:010x}", rand::random::<u64>() >> 24).parse().expect("a date and digits make a run id")
}

fn free(out: &Path) -> Result<(), CliError> {
    match out.exists() {
        true => Err(CliError::usage(format!("there is something already at `{}`", out.display()))
            .hint("a run never writes over another one; choose another --out, or go on with it: --resume DIR")),
        false => Ok(()),
    }
}

fn new_directory(out: &Path) -> Result<PathBuf, CliError> {
    let refused = |text: &str| CliError::usage(format!("{text} `{}`", out.display()));
    free(out)?;
    private_folder(out).map_err(|e| refused("cannot create the run directory").because(&e))?;
    std::path::absolute(out).map_err(|e| refused("cannot use the run directory").because(&e))
}

/// Rewrites the reports as subjects finish, so a killed run leaves a valid set.
struct Reports {
    directory: PathBuf,
    memory: Option<Memory>,
    beside: Beside,
    failed: bool,
    /// When reports were last written, and how long that took.
    last: Option<(Instant, Duration)>,
}

impl Reports {
    /// Rendering that takes longer than this is not done after every subject: it keeps the dispatcher from recording.
    const LONG: Duration = Duration::from_millis(50);

    fn of(directory: &Path, memory: Option<Memory>) -> Self {
        Self { directory: directory.to_owned(), memory, beside: Beside::default(), failed: false, last: None }
    }

    /// Large runs spend at most a twentieth of their time on reports; beginning and end are always written.
    fn is_due(&self, kind: &EventKind) -> bool {
        let always =
            matches!(kind, EventKind::RunPlanned { .. } | EventKind::RunResumed { .. } | EventKind::RunFinished);
        let affordable = self.last.is_none_or(|(at, took)| took < Self::LONG || at.elapsed() > took * 20);
        always || (affordable && matches!(kind, EventKind::SubjectFinished { .. }))
    }

    fn write(&mut self, state: &RunState) {
        if let Some(memory) = &self.memory {
            self.beside.past = Past::of(&memory.history, state, &memory.matrix);
            self.beside.baseline = self.beside.past.as_ref().and_then(|p| p.last_green.clone());
        }
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
    }
}

impl Observer for Reports {
    fn recorded(&mut self, event: &Event, state: &RunState) {
        if !self.is_due(&event.kind) {
            return;
        }
        let begun = Instant::now();
        self.write(state);
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
