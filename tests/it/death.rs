//! A run whose process is killed outright, at any event: its successor goes on where it stopped, or a sweep removes what
//! it left. The account is an emulation that lives on, as the real one does.
//!
//! Without more said, a few deaths are tried. All of them:
//! `GSH_DEATHS=all cargo nextest run --profile deaths -p gsh --test it death`; those from the 150th event on: `GSH_DEATHS=150`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gsh_engine::ledger;
use gsh_model::event::{Event, EventKind};
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::run::RunState;

use crate::account::Account;
use crate::program::{Ended, Program};

/// An account in which many runs do not use up the hour.
const HEALTHY: &str = "[hetzner]\nrate-limit = 1000000\n";

/// For a run of three cells on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// The events of which the next one finds the process dead, when only some are tried: while ordering, installing,
/// examining, tearing down, and at the very end.
const SOME: [usize; 4] = [5, 24, 52, 96];

/// How many deaths are tried at a time, when all are.
const TRYING: usize = 4;

/// Starts a run of three cells with one scenario each.
fn start(account: &Account, program: &Program) -> Child {
    let matrix = program.matrix(&[("size", &["single"]), ("gitpod", &["2022.11.1", "2022.11.2", "2022.11.3"])]);
    account
        .command(program)
        .args(["run", "--provider", "hetzner", "--cover", "full", "--scenario", "workspace-start", "--quiet"])
        .arg("--matrix")
        .arg(matrix)
        .arg("--out")
        .arg(program.out())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(program.folder().join("said")).expect("a file"))
        .spawn()
        .expect("gsh starts")
}

fn lines(ledger: &Path) -> usize {
    std::fs::read(ledger).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
}

/// Kills a run when its ledger has this many lines; says whether it was still alive.
fn killed_after(n: usize, account: &Account, program: &Program) -> bool {
    let mut child = start(account, program);
    let path = program.out().join(ledger::FILE_NAME);
    let began = Instant::now();
    loop {
        if lines(&path) >= n {
            child.kill().expect("SIGKILL");
            return child.wait().expect("it is dead").code().is_none();
        }
        if let Some(ended) = child.try_wait().expect("its state") {
            let said = std::fs::read_to_string(program.folder().join("said")).unwrap_or_default();
            assert!(ended.success(), "a run that nobody kills passes: {said}");
            return false;
        }
        assert!(began.elapsed() < PATIENCE, "{n} events within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn events(program: &Program) -> Vec<Event> {
    ledger::read(&program.out().join(ledger::FILE_NAME)).expect("the ledger can be read")
}

fn gsh(account: &Account, program: &Program, args: &[&str]) -> Ended {
    program.ended(account.command(program).args(args).output().expect("gsh starts"))
}

/// How far the ledger of a run had come when it died.
struct Came {
    planned: bool,
    finished: bool,
}

impl Came {
    fn of(program: &Program) -> Self {
        let has = |wanted: fn(&EventKind) -> bool| events(program).iter().any(|e| wanted(&e.kind));
        Self {
            planned: has(|kind| matches!(kind, EventKind::RunPlanned { .. })),
            finished: has(|kind| matches!(kind, EventKind::RunFinished)),
        }
    }
}

/// What must hold after somebody went on with it.
fn examine_resumed(n: usize, account: &Account, program: &Program, ended: &Ended, came: &Came) {
    let shown = format!("killed after {n} events: {}", ended.stderr);
    assert_eq!(account.there(), Vec::<String>::new(), "{shown}");
    if !came.planned {
        assert_eq!(ended.code, 2, "there was nothing to go on with; {shown}");
        return;
    }
    assert_eq!(ended.code, 0, "{shown}");
    let events = events(program);
    let state = RunState::replay(&events).expect("one legal ledger");
    // One that only had its reports to write yet is not gone on with; they are written.
    assert_eq!(state.resumed.len(), usize::from(!came.finished), "{shown}");
    assert!(state.finished.is_some() && state.inventory == Some(Vec::new()), "{shown}");
    assert!(state.outcomes().all(|(_, _, o)| o == Outcome::Passed), "{shown}");
    let mut ends: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in &events {
        if let EventKind::SubjectFinished { cell, subject: Subject::Scenario(id), outcome, .. } = &event.kind
            && !matches!(outcome, Outcome::Inconclusive { why: Why::Interrupted, .. })
        {
            *ends.entry((cell.to_string(), id.to_string())).or_default() += 1;
        }
    }
    assert!(ends.values().all(|n| *n == 1) && ends.len() == 3, "no finished scenario runs again: {ends:?}; {shown}");
    assert_eq!(ended.results()["complete"], true, "{shown}");
    assert!(ended.outcomes().iter().all(|(_, _, o)| o == "passed"), "{shown}");
    roxmltree::Document::parse(&ended.file("junit.xml")).expect("JUnit is XML");
}

/// What must hold after a sweep alone.
fn examine_swept(n: usize, account: &Account, program: &Program, run: &str, planned: bool) {
    let swept = gsh(account, program, &["sweep", "--provider", "hetzner", "--run", run]);
    let shown = format!("killed after {n} events: {}{}", swept.stdout, swept.stderr);
    assert_eq!(swept.code, 0, "{shown}");
    assert_eq!(account.there(), Vec::<String>::new(), "{shown}");
    if program.out().join("results.json").exists() {
        // What the dead process wrote is whole, and what it did not live to see is an error, not an absence.
        let left = program.ended(program.command().arg("--version").output().expect("gsh starts"));
        assert_eq!(left.results()["cells"].as_array().map(Vec::len), Some(3), "{shown}");
        roxmltree::Document::parse(&left.file("junit.xml")).expect("JUnit is XML");
    }
    let report = gsh(account, program, &["report", &program.out().display().to_string(), "--format", "json"]);
    // Before the plan there is nothing to report on, and that is said.
    assert_eq!(report.code, if planned { 0 } else { 2 }, "{}; {shown}", report.stderr);
    assert!(planned || report.stderr.contains("ends before its plan"), "{}; {shown}", report.stderr);
}

/// One death, twice: gone on with, and swept. Says whether the run lived that long.
fn death(account: &Account, n: usize) -> bool {
    let program = Program::new();
    if !killed_after(n, account, &program) {
        return false;
    }
    let came = Came::of(&program);
    let out = program.out().display().to_string();
    let resumed = gsh(account, &program, &["run", "--provider", "hetzner", "--resume", &out, "--quiet"]);
    examine_resumed(n, account, &program, &resumed, &came);

    let program = Program::new();
    if killed_after(n, account, &program) {
        let first = events(&program).into_iter().next();
        if let Some(Event { kind: EventKind::RunStarted { run, .. }, .. }) = first {
            examine_swept(n, account, &program, run.as_str(), Came::of(&program).planned);
        }
    }
    true
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_or_swept_and_leaves_nothing() {
    let first = match std::env::var_os("GSH_DEATHS").and_then(|v| v.into_string().ok()).as_deref() {
        None => None,
        Some("all") => Some(1),
        Some(from) => Some(from.parse().expect("GSH_DEATHS is `all` or the number of the first event")),
    };
    let account = Account::start(HEALTHY);
    let Some(first) = first else {
        let lived = SOME.iter().filter(|n| death(&account, **n)).count();
        assert!(lived >= 3, "only {lived} of {} deaths came before the end", SOME.len());
        return;
    };
    drop(account);
    let points = every_death(first);
    assert!(first + points > 90, "a run of three cells has only {points} events from {first} on");
}

/// Dies at one event after the other until runs end before that, with an account for each of a few that try. Says at how many.
fn every_death(first: usize) -> usize {
    let (next, lived, over) = (AtomicUsize::new(first), AtomicUsize::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..TRYING {
            scope.spawn(|| {
                let account = Account::start(HEALTHY);
                while !over.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    assert!(n < 1000, "the run never ends");
                    if death(&account, n) {
                        lived.fetch_add(1, Ordering::Relaxed);
                        writeln!(std::io::stderr(), "killed after {n} events, {:.0?}", began.elapsed())
                            .expect("stderr");
                    } else {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let points = lived.into_inner();
    writeln!(std::io::stderr(), "death matrix: {points} points, each resumed and swept, {:.0?}", began.elapsed())
        .expect("stderr");
    points
}

/// The last thing that a process writes is the seal: whoever died before it may not have come to its last reports.
#[test]
fn a_run_that_died_before_its_last_reports_gets_them_and_a_changed_one_is_refused() {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let ended = program.run(&["--cover", "full", "--scenario", "node-conformance", "--matrix", &matrix]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (out, reports) = (program.out(), ["results.json", "junit.xml", "summary.md", "report.html"]);
    let whole = reports.map(|name| ended.file(name));
    for name in reports {
        std::fs::write(out.join(name), "of the last subject but one").expect("a file");
    }
    std::fs::remove_file(out.join("ledger.sha256")).expect("the seal");
    let resume = || program.gsh(&["run", "--resume", &out.display().to_string()]);
    let resumed = resume();
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(out.join("ledger.sha256").exists(), "{}", resumed.stderr);
    assert_eq!(reports.map(|name| ended.file(name)), whole, "as if it had lived");

    let path = out.join(ledger::FILE_NAME);
    let ledger = std::fs::read_to_string(&path).expect("the ledger");
    let changed = ledger.replacen("\"version\":\"0.", "\"version\":\"9.", 1);
    assert_ne!(changed, ledger);
    std::fs::write(&path, changed).expect("a file");
    let refused = resume();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("sealed"), "nobody seals what was changed: {}", refused.stderr);
}

#[test]
fn a_run_that_lives_is_not_gone_on_with_by_another_process() {
    let account = Account::start(HEALTHY);
    let program = Program::new();
    let mut child = start(&account, &program);
    let began = Instant::now();
    while lines(&program.out().join(ledger::FILE_NAME)) < 3 {
        assert!(began.elapsed() < PATIENCE, "the run begins");
        std::thread::yield_now();
    }
    let out = program.out().display().to_string();
    let refused = gsh(&account, &program, &["run", "--provider", "hetzner", "--resume", &out]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("another process is at work on it"), "{}", refused.stderr);
    child.kill().expect("SIGKILL");
    child.wait().expect("it is dead");

    // Another run in the same account, while the first one's things are swept: neither notices the other.
    let other = Program::new();
    let mut beside = start(&account, &other);
    let run = match events(&program).first().map(|e| e.kind.clone()) {
        Some(EventKind::RunStarted { run, .. }) => run,
        first => panic!("{first:?}"),
    };
    let swept = gsh(&account, &program, &["sweep", "--provider", "hetzner", "--run", run.as_str()]);
    assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
    assert!(beside.wait().expect("it ends").success(), "the run beside it passes");
    assert_eq!(account.there(), Vec::<String>::new());
    let state = RunState::replay(&events(&other)).expect("a ledger");
    assert!(state.outcomes().all(|(_, _, o)| o == Outcome::Passed));
    assert!(state.cells.iter().all(|c| c.cost().is_some_and(|cost| cost.gross > cost.net)), "every cell has its cost");
}

/// The beginning of a resumed run is a look at the account. One that cannot be used must not use up the run: it ends only once.
#[test]
fn a_resumption_that_is_stopped_or_refused_before_it_goes_on_leaves_the_run_as_it_was() {
    let account = Account::start(HEALTHY);
    let program = Program::new();
    assert!(killed_after(SOME[0], &account, &program), "it lived");
    let ledger = || std::fs::read(program.out().join(ledger::FILE_NAME)).expect("the ledger");
    let out = program.out().display().to_string();
    let args = ["run", "--provider", "hetzner", "--resume", &out, "--quiet"];

    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut command = account.command(&program);
    command.args(args).env("HCLOUD_ENDPOINT", format!("http://{}/v1", silent.local_addr().expect("an address")));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gsh starts");
    let _connection = silent.accept().expect("it asks, and waits for an answer");
    let (written, before) = (ledger(), account.there());
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let stopped = program.ended(child.wait_with_output().expect("it ends"));
    assert_eq!(stopped.code, 3, "{}", stopped.stderr);
    let said = "error: stopped by a signal before the run went on; what it had created is still there\nhint: ";
    assert!(stopped.stderr.contains(said) && stopped.stderr.contains("gsh sweep --run r"), "{}", stopped.stderr);

    let mut command = account.command(&program);
    let refused = program.ended(command.args(args).env("HCLOUD_TOKEN", "0123456789").output().expect("gsh starts"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("\nerror: token: "), "{}", refused.stderr);

    assert_eq!((ledger(), account.there()), (written, before), "nothing was recorded, ordered or removed");
    let came = Came::of(&program);
    let resumed = gsh(&account, &program, &args);
    examine_resumed(SOME[0], &account, &program, &resumed, &came);
}
