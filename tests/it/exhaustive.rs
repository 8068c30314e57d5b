//! Stops the real run on the embedded world after its n-th event, for every n, by a signal and by a lost ledger: the
//! emulated account must be empty afterwards. And stops it twice while teardown hangs: what is left must be told exactly.
//!
//! Every run is in this process, so that a stop comes at exactly one event; the program itself is stopped in `stopping`.

use std::io::{self, BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gsh_engine::artifacts::Artifacts;
use gsh_engine::cx::Cx;
use gsh_engine::job::{Job, Settings};
use gsh_engine::ledger::Append;
use gsh_engine::reach::Reach;
use gsh_engine::run::{Observer, RunEnd, run};
use gsh_engine::secret::{Scrubber, Secret};
use gsh_engine::stop::Stop;
use gsh_engine::wait::{Progress, until};
use gsh_fixtures::Embedded;
use gsh_gitpod::install::GitpodInstaller;
use gsh_gitpod::settings::Settings as Install;
use gsh_model::cover::Cover;
use gsh_model::event::{Event, EventKind};
use gsh_model::exit::Exit;
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{Evidence, Outcome, Subject};
use gsh_model::plan::{Plan, Selection, plan};
use gsh_model::run::RunState;
use gsh_model::scenario::Need;
use gsh_providers::{HetznerConfig, HetznerProvider, Pace};

use crate::program::Program;

/// A healthy cloud on which many runs one after the other do not use up the hour.
const HEALTHY: &str = "[hetzner]\nrate-limit = 1000000\n";

/// A cloud that removes servers without ever saying so.
const SILENT_REMOVAL: &str = "[[hetzner.fault]]\nmethod = \"DELETE\"\npath = \"/servers/*\"\neffect = \"time-out\"\n";

/// More events than any run of one cell has; a run that reaches it has gone in circles.
const TOO_MANY: usize = 1000;

/// One cell with one server and one scenario.
fn one_cell() -> Plan {
    let matrix = Matrix::parse("[axes]\nsize = [\"single\"]\n").expect("a matrix");
    let catalogue: Vec<_> = gsh_scenarios::CATALOGUE.iter().map(|s| (s.spec)()).collect();
    let offers = [Need::GrowableCluster, Need::Writable, Need::SshGateway];
    let scenarios = vec!["workspace-start".to_owned()];
    plan(&matrix, &catalogue, &offers, &Selection { cover: Cover::Full, scenarios, ..Selection::default() })
        .expect("a plan")
}

/// A ledger in memory, which breaks after some events.
#[derive(Clone, Default)]
struct Fragile {
    events: Arc<Mutex<Vec<Event>>>,
    breaks_after: Option<usize>,
}

impl Append for Fragile {
    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut events = self.events.lock().expect("lock");
        if self.breaks_after.is_some_and(|n| events.len() >= n) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        events.push(event.clone());
        Ok(())
    }
}

/// Does what a signal does when an event that is asked for is recorded.
struct SignalAt<F> {
    at: F,
    stop: Stop,
}

impl<F: Fn(&Event) -> bool + Send> Observer for SignalAt<F> {
    fn recorded(&mut self, event: &Event, _: &RunState) {
        if (self.at)(event) {
            self.stop.signal();
        }
    }

    fn ledger_lost(&mut self, _: &io::Error) {}
}

/// How a run is stopped after its n-th event.
#[derive(Debug, Clone, Copy)]
enum By {
    Signal,
    LostLedger,
}

/// A run that has ended.
struct Seen {
    end: RunEnd,
    /// What the ledger holds.
    recorded: Vec<Event>,
    /// Requests that asked the cloud for a change.
    changes: usize,
    /// Whether the run lived long enough to be stopped.
    stopped: bool,
}

/// Runs the one cell in a world, as the program would do it.
async fn go(world: &Embedded, n: usize, ledger: Fragile, stop: Stop, observer: Box<dyn Observer>) -> Seen {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let before = changes(world);
    let config = HetznerConfig {
        endpoint: world.endpoint(),
        name: "embedded".to_owned(),
        pace: Pace::loopback(),
        reach: Reach::with_ports(world.moved_ports()),
        ..HetznerConfig::cloud(Secret::new("API token", world.token()))
    };
    let job = Job {
        provider: HetznerProvider::new(config).expect("a provider"),
        installer: GitpodInstaller::new(Install::default()),
        catalogue: gsh_scenarios::CATALOGUE,
        plan: one_cell(),
        // Leases are named after the last part, so each run has leases of its own in the one account.
        run: format!("r20261123-{n}-{n:06x}").parse().expect("a run id"),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        inputs: Vec::new(),
        settings: Settings::default(),
        now: jiff::Timestamp::now,
        notes: Vec::new(),
    };
    let artifacts = Artifacts::of(directory.path());
    let end = run(job, ledger.clone(), artifacts, vec![observer], stop.clone(), Scrubber::default()).await;
    let recorded = ledger.events.lock().expect("lock").clone();
    Seen { end, recorded, changes: changes(world) - before, stopped: stop.is_requested() }
}

fn changes(world: &Embedded) -> usize {
    world.request_lines().iter().filter(|r| r.method != "GET").count()
}

async fn stopped_after(world: &Embedded, n: usize, by: By) -> Seen {
    let stop = Stop::new();
    let at = match by {
        By::Signal => u64::try_from(n).expect("few events"),
        By::LostLedger => 0,
    };
    let breaks_after = match by {
        By::Signal => None,
        By::LostLedger => Some(n),
    };
    let observer = SignalAt { at: move |e: &Event| e.seq == at, stop: stop.clone() };
    go(world, n, Fragile { breaks_after, ..Fragile::default() }, stop, Box::new(observer)).await
}

/// What must hold wherever the run was stopped.
fn examine(world: &Embedded, n: usize, by: By, seen: &Seen) {
    let state = &seen.end.state;
    let shown = format!("{by:?} after event {n}: {:#?}\n{:#?}", state.cells, seen.recorded.last());
    let left: Vec<String> = world.inventory().left().iter().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{left:?} is left; {shown}");
    assert_eq!(seen.end.illegal, None, "{shown}");
    assert!(state.finished.is_some(), "{shown}");
    assert!(state.cells.iter().flat_map(|c| &c.subjects).all(|s| s.is_settled()), "{shown}");
    assert_eq!(state.unreleased().count(), 0, "{shown}");
    assert_eq!(state.leftovers(), [], "{shown}");
    let leased = state.cells.iter().any(|c| !c.leases.is_empty());
    assert_eq!(state.inventory.is_some(), leased, "emptiness is proved; {shown}");

    let record = RunState::replay(&seen.recorded).expect("what is recorded is legal");
    let asked = |e: &Event| matches!(e.kind, EventKind::LeaseRequested { .. });
    if !seen.recorded.iter().any(asked) {
        assert_eq!(seen.changes, 0, "nothing is created without a record; {shown}");
    }
    match by {
        By::Signal => {
            assert_eq!(record, *state, "the ledger is the truth; {shown}");
            // A check that came after the stop would mean that the work went on; without one all had been seen before.
            let later = |e: &&Event| matches!(e.kind, EventKind::CheckFinished { .. }) && e.seq > n as u64;
            let unseen = seen.recorded.iter().filter(later).count();
            let all_passed = state.outcomes().all(|(_, _, o)| o == Outcome::Passed);
            assert_eq!(record.exit() == Exit::Pass, all_passed, "{shown}");
            assert!(!(seen.stopped && all_passed && unseen > 0), "{unseen} checks after the stop; {shown}");
            assert_ne!(record.exit(), Exit::Fail, "a stop is nobody's fault; {shown}");
        }
        By::LostLedger => {
            assert_eq!(seen.end.ledger_lost.is_some(), seen.stopped, "{shown}");
            if seen.stopped {
                assert_eq!(seen.recorded.len(), n, "{shown}");
                assert_ne!(record.exit(), Exit::Pass, "no evidence, no verdict; {shown}");
            }
        }
    }
}

/// Stops runs after `first`, `first + 4`, … events, until a run ends before it could be stopped: then there are no more.
async fn every_fourth(first: usize, by: By) {
    let world = Embedded::start(HEALTHY.parse().expect("a world"), None).await.expect("the world starts");
    for n in (first..TOO_MANY).step_by(4) {
        let seen = stopped_after(&world, n, by).await;
        examine(&world, n, by, &seen);
        if !seen.stopped {
            assert_eq!(seen.end.state.exit(), Exit::Pass, "a run that nobody stops passes");
            assert!(seen.recorded.len() > 30, "a healthy run has only {} events", seen.recorded.len());
            world.end().await.expect("the world ends");
            return;
        }
    }
    panic!("a run of one cell has {TOO_MANY} events");
}

macro_rules! every_fourth {
    ($($name:ident: $by:ident from $first:literal),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { every_fourth($first, By::$by).await; })+
    };
}

every_fourth!(
    a_signal_after_event_1_5_9_and_so_on_leaves_nothing: Signal from 1,
    a_signal_after_event_2_6_10_and_so_on_leaves_nothing: Signal from 2,
    a_signal_after_event_3_7_11_and_so_on_leaves_nothing: Signal from 3,
    a_signal_after_event_4_8_12_and_so_on_leaves_nothing: Signal from 4,
    a_ledger_lost_after_event_0_4_8_and_so_on_leaves_nothing: LostLedger from 0,
    a_ledger_lost_after_event_1_5_9_and_so_on_leaves_nothing: LostLedger from 1,
    a_ledger_lost_after_event_2_6_10_and_so_on_leaves_nothing: LostLedger from 2,
    a_ledger_lost_after_event_3_7_11_and_so_on_leaves_nothing: LostLedger from 3,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_while_teardown_hangs_ends_the_run_and_tells_exactly_what_is_left() {
    let world = Embedded::start(SILENT_REMOVAL.parse().expect("a world"), None).await.expect("the world starts");
    let stop = Stop::new();
    let ready = |e: &Event| matches!(e.kind, EventKind::LeaseReady { .. });
    let observer = SignalAt { at: ready, stop: stop.clone() };
    let hanging = async {
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
        let probe = || async {
            let asked = world.request_lines().iter().any(|r| r.method == "DELETE" && r.path.starts_with("/servers/"));
            Ok(if asked { Progress::Ready(()) } else { Progress::NotYet("no removal".to_owned()) })
        };
        until(&cx, "the removal of a server", Duration::from_secs(60), probe).await.expect("teardown begins");
        stop.signal();
        Instant::now()
    };
    let (seen, second) = tokio::join!(go(&world, 1, Fragile::default(), stop.clone(), Box::new(observer)), hanging);
    let took = second.elapsed();
    let state = &seen.end.state;
    let shown = format!("{:#?}\n{:#?}", state.cells, state.notes);
    // Without the second signal it is at least the minute that an answer of the API may take.
    assert!(took < Duration::from_secs(20), "took {took:?} after the second signal; {shown}");
    assert_eq!(seen.end.illegal, None, "{shown}");
    assert!(state.finished.is_some(), "{shown}");
    assert!(state.cells.iter().flat_map(|c| &c.subjects).all(|s| s.is_settled()), "{shown}");
    assert!(seen.recorded.iter().any(|e| matches!(e.kind, EventKind::LeaseLeaked { .. })), "{shown}");
    assert_eq!(state.unreleased().count(), 1, "{shown}");
    assert_ne!(state.exit(), Exit::Pass, "{shown}");
    let teardown = state.outcomes().find(|(_, s, _)| **s == Subject::Teardown).map(|(_, _, o)| o);
    assert!(matches!(teardown, Some(Outcome::Inconclusive { .. })), "{shown}");

    let mut told: Vec<(u64, String)> = state.leftovers().into_iter().map(|r| (r.id, r.name)).collect();
    // A server's own address carries no labels: the cloud removes it with the server.
    let inventory = world.inventory();
    let (ours, others): (Vec<_>, Vec<_>) = inventory.left().into_iter().partition(|i| !i.labels.is_empty());
    assert!(others.iter().all(|i| i.kind == "primary_ips"), "{others:?}");
    let mut left: Vec<(u64, String)> = ours.iter().map(|i| (i.id, i.name.clone())).collect();
    told.sort();
    left.sort();
    assert!(!left.is_empty(), "a removal that was cut short leaves something");
    assert_eq!(told, left, "{shown}");
    world.end().await.expect("the world ends");
}

#[test]
fn a_second_sigterm_while_teardown_hangs_prints_the_sweep_that_removes_the_rest() {
    let program = Program::new();
    let matrix = program.matrix(&[("size", &["single"])]).display().to_string();
    let world = program.write("world.toml", SILENT_REMOVAL).display().to_string();
    let out = program.out().display().to_string();
    let mut child = program
        .command()
        .args(["run", "--provider", "embedded", "--cover", "full", "--scenario", "workspace-start"])
        .args(["--matrix", &matrix, "--world", &world, "--out", &out])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gsh starts");
    let stderr = child.stderr.take().expect("piped");
    let pid = child.id().to_string();
    let mut lines: Vec<String> = Vec::new();
    // The install of a stopped run ends inconclusive, and then only the teardown is left to do.
    let mut moments = ["provision  passed", "install  inconclusive"].into_iter().peekable();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if moments.next_if(|m| line.contains(m)).is_some() {
            let told = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
            assert!(told.success());
        }
        lines.push(line);
    }
    let ended = program.ended(child.wait_with_output().expect("gsh ends"));
    let shown = lines.join("\n");
    assert_eq!(moments.next(), None, "{shown}");
    assert_eq!(ended.code, 3, "stopped, and something is left: {shown}");
    let run = lines.iter().find_map(|l| l.strip_prefix("run ")?.split(':').next()).expect("the run is named");
    assert!(lines.iter().any(|l| l.trim_end().ends_with(&format!("gsh sweep --run {run}"))), "{shown}");
    let teardown = ended.outcomes().into_iter().find(|(_, s, _)| s == "teardown").map(|(_, _, o)| o);
    assert!(teardown.is_some_and(|o| o.starts_with("inconclusive")), "{shown}");
    assert_ne!(ended.results()["leftovers"], serde_json::json!([]), "{shown}");
}
