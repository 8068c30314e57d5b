//! Runs of small plans against an account in memory, whose every step can fail, hang or panic.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsh_engine::artifacts::Artifacts;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, Installer};
use gsh_engine::job::{Job, Settings};
use gsh_engine::ledger::Append;
use gsh_engine::provider::{Cluster, FoundLease, LeaseRequest, Node, Provider, ReleaseFailure, Released, Site};
use gsh_engine::run::{Observer, RunEnd, resume, run};
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_model::axis::{Cell, Shift};
use gsh_model::cover::Cover;
use gsh_model::event::{Event, EventKind, StopReason};
use gsh_model::exit::Exit;
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_model::outcome::{Evidence, Outcome, Subject, Why};
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario};
use gsh_model::run::RunState;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use jiff::Timestamp;

mod lent;

/// What goes wrong, by the step where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    None,
    AcquireEnvironment,
    AcquirePanics,
    AcquireHangs,
    InstallProduct,
    InstallPanics,
    ScenarioProduct,
    ScenarioPanics,
    ScenarioHangs,
    CheckFailsQuietly,
    ReleaseFails,
    ReleaseHangs,
    FindFails,
    AllHangs,
}

#[derive(Clone, Default)]
struct Account {
    servers: Arc<Mutex<BTreeMap<String, LeaseId>>>,
    most: Arc<Mutex<usize>>,
}

impl Account {
    fn add(&self, name: &str, lease: &LeaseId) {
        let mut servers = self.servers.lock().expect("lock");
        servers.insert(name.to_owned(), lease.clone());
        let leases: std::collections::BTreeSet<_> = servers.values().collect();
        let mut most = self.most.lock().expect("lock");
        *most = (*most).max(leases.len());
    }

    fn names(&self) -> Vec<String> {
        self.servers.lock().expect("lock").keys().cloned().collect()
    }
}

struct Cloud {
    account: Account,
    trouble: Trouble,
}

fn resource(name: &str) -> Resource {
    Resource { kind: "server".to_owned(), id: 1, name: name.to_owned(), cents_per_month: None }
}

impl Provider for Cloud {
    fn name(&self) -> &str {
        "memory"
    }

    fn offers(&self) -> Vec<Need> {
        vec![Need::GrowableCluster, Need::Writable]
    }

    async fn acquire(&self, cx: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        for n in 1..=2 {
            if cx.stop().is_requested() {
                return Err(Failure::stopped("servers to be ordered"));
            }
            let name = format!("{}-{n}", request.lease);
            self.account.add(&name, &request.lease);
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.trouble {
                Trouble::AcquireEnvironment => {
                    return Err(Failure::environment("GSH-HCL-001", "a server", "no capacity"));
                }
                Trouble::AcquirePanics => panic!("acquire panics"),
                Trouble::AcquireHangs => {
                    gsh_engine::wait::until(cx, "the server to boot", Duration::from_secs(9999), || async {
                        Ok::<_, Failure>(gsh_engine::wait::Progress::<()>::NotYet("still booting".to_owned()))
                    })
                    .await
                    .map_err(|e| e.blame(gsh_model::outcome::Blame::Environment, "GSH-NODE-001"))?;
                }
                _ => {}
            }
        }
        let token = cx.secret("join token", "canary-join-token");
        cx.note(&format!("joined with {}", token.expose())).await;
        Ok(lent::cluster(&request.lease, Vec::new()))
    }

    async fn grow(&self, _cx: &Cx, lease: &LeaseId) -> Result<Node, Failure> {
        let name = format!("{lease}-grown");
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.account.add(&name, lease);
        Ok(lent::node(name))
    }

    async fn release(&self, _cx: &Cx, lease: &LeaseId) -> Result<Released, ReleaseFailure> {
        match self.trouble {
            Trouble::ReleaseFails => {
                return Err(ReleaseFailure {
                    left: vec![resource("left-over")],
                    failure: Failure::environment("GSH-HCL-009", "an empty account", "a server is still there"),
                });
            }
            Trouble::ReleaseHangs | Trouble::AllHangs => std::future::pending().await,
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut servers = self.account.servers.lock().expect("lock");
        let mine: Vec<String> = servers.iter().filter(|(_, l)| *l == lease).map(|(n, _)| n.clone()).collect();
        mine.iter().for_each(|name| drop(servers.remove(name)));
        Ok(Released { removed: mine.iter().map(|n| resource(n)).collect() })
    }

    async fn find(&self, _cx: &Cx, run: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        match self.trouble {
            Trouble::FindFails => {
                return Err(Failure::environment("GSH-HCL-002", "a listing", "the API does not answer"));
            }
            Trouble::AllHangs => std::future::pending().await,
            _ => {}
        }
        let servers = self.account.servers.lock().expect("lock");
        Ok(servers
            .iter()
            .map(|(name, lease)| FoundLease {
                run: run.expect("asked for one run").clone(),
                lease: lease.clone(),
                expires: now(),
                owner: None,
                resources: vec![resource(name)],
            })
            .collect())
    }
}

/// A client of an API that is never asked.
struct Product {
    trouble: Trouble,
}

impl Installer for Product {
    fn site(&self, _cx: &Cx, lease: &LeaseId, _cell: &Cell) -> Result<Site, Failure> {
        Ok(lent::site(lease))
    }

    async fn install(&self, _: &Cx, _: &Cluster, _: &Cell, site: &Site) -> Result<Installation, Failure> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        match self.trouble {
            Trouble::InstallProduct => {
                return Err(Failure::product("GSH-INS-001", "migrations to succeed", "they failed"));
            }
            Trouble::InstallPanics => panic!("install panics"),
            _ => {}
        }
        Ok(lent::installation("gitpod".to_owned(), site))
    }
}

fn spec(id: &'static str) -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of(id),
        asks: "does it work".to_owned(),
        needs: Vec::new(),
        impact: Impact::ReadOnly,
        patience_s: 60,
        file: format!("scenarios/src/{id}.rs"),
    }
}

/// What the scenario of this test does, found out from the namespace it is given: scenarios are plain functions.
async fn scenario(bench: &Bench, trouble: Trouble) -> Result<(), Failure> {
    let undone = bench.cx().clone();
    bench.undo("a workspace", async move {
        undone.note("undone").await;
        Ok(())
    });
    bench.check("GSH-TST-001", "something holds", async { Ok(()) }).await?;
    let node = bench.grow().await?;
    bench.note(&format!("{} is new", node.name)).await;
    match trouble {
        Trouble::ScenarioProduct => {
            bench
                .check("GSH-TST-002", "it works", async { Err::<(), _>(Failure::product("GSH-TST-002", "yes", "no")) })
                .await
        }
        Trouble::ScenarioPanics => panic!("scenario panics"),
        Trouble::ScenarioHangs => std::future::pending().await,
        Trouble::CheckFailsQuietly => {
            let look = async { Err::<(), _>(Failure::product("GSH-TST-003", "yes", "no")) };
            let _seen = bench.check("GSH-TST-003", "it works", look).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

macro_rules! catalogue {
    ($($trouble:ident),+ $(,)?) => {
        fn catalogue(trouble: Trouble) -> &'static [Scenario] {
            match trouble {
                $(Trouble::$trouble => {
                    const S: &[Scenario] = &[
                        Scenario { spec: || spec("first"), run: |b| Box::pin(scenario(b, Trouble::$trouble)) },
                        Scenario { spec: || spec("second"), run: |b| Box::pin(scenario(b, Trouble::None)) },
                    ];
                    S
                })+
            }
        }
    };
}
catalogue!(
    None,
    AcquireEnvironment,
    AcquirePanics,
    AcquireHangs,
    InstallProduct,
    InstallPanics,
    ScenarioProduct,
    ScenarioPanics,
    ScenarioHangs,
    CheckFailsQuietly,
    ReleaseFails,
    ReleaseHangs,
    FindFails,
    AllHangs,
);

fn now() -> Timestamp {
    "2026-11-23T16:46:38Z".parse().expect("timestamp")
}

fn plan() -> Plan {
    let planned = |cell: Cell| PlannedCell {
        id: cell.id(),
        why: "test".to_owned(),
        servers: 3,
        expected_s: None,
        scenarios: ["first", "second"].map(|s| PlannedScenario { scenario: ScenarioId::of(s), skip: None }).to_vec(),
        cell,
    };
    Plan {
        matrix_sha256: "0".repeat(64),
        cover: Cover::OneOff,
        cells: vec![planned(Cell::default()), planned(Cell { shift: Shift::Shiftfs, ..Cell::default() })],
        scenarios: vec![spec("first"), spec("second")],
        left_out: Vec::new(),
        ..Plan::default()
    }
}

/// A ledger in memory that breaks after some events.
struct Fragile {
    events: Arc<Mutex<Vec<Event>>>,
    breaks_after: usize,
}

impl Append for Fragile {
    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut events = self.events.lock().expect("lock");
        if events.len() >= self.breaks_after {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        events.push(event.clone());
        Ok(())
    }
}

/// Signals the stop at every event that is asked for.
struct StopAt<F> {
    at: F,
    stop: Stop,
}

impl<F: Fn(&Event) -> bool + Send> Observer for StopAt<F> {
    fn recorded(&mut self, event: &Event, _: &RunState) {
        if (self.at)(event) {
            self.stop.signal();
        }
    }

    fn ledger_lost(&mut self, _: &io::Error) {}
}

struct Seen {
    end: RunEnd,
    account: Account,
    events: Vec<Event>,
}

async fn go(trouble: Trouble, breaks_after: usize, stop_at: u64, settings: Settings) -> Seen {
    signalled(trouble, breaks_after, move |e| e.seq == stop_at, settings).await
}

fn job(trouble: Trouble, account: &Account, settings: Settings) -> Job<Cloud, Product> {
    Job {
        provider: Cloud { account: account.clone(), trouble },
        installer: Product { trouble },
        catalogue: catalogue(trouble),
        plan: plan(),
        run: "r20261123-1-7f3a".parse().expect("run id"),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        inputs: Vec::new(),
        settings,
        now,
        notes: Vec::new(),
    }
}

async fn signalled(
    trouble: Trouble,
    breaks_after: usize,
    at: impl Fn(&Event) -> bool + Send + 'static,
    settings: Settings,
) -> Seen {
    let directory = tempfile::tempdir().expect("temp dir");
    let account = Account::default();
    let events = Arc::new(Mutex::new(Vec::new()));
    let stop = Stop::new();
    let job = job(trouble, &account, settings);
    let observer = StopAt { at, stop: stop.clone() };
    let ledger = Fragile { events: Arc::clone(&events), breaks_after };
    let end =
        run(job, ledger, Artifacts::of(directory.path()), vec![Box::new(observer)], stop, Scrubber::default()).await;
    let events = events.lock().expect("lock").clone();
    Seen { end, account, events }
}

fn outcome(state: &RunState, cell: usize, subject: &Subject) -> Outcome {
    state.cells[cell].subjects.iter().find(|s| s.subject == *subject).expect("planned").outcome()
}

fn first() -> Subject {
    Subject::Scenario(ScenarioId::of("first"))
}

#[tokio::test(start_paused = true)]
async fn a_healthy_run_passes_and_leaves_nothing() {
    let seen = go(Trouble::None, usize::MAX, 0, Settings::default()).await;
    assert_eq!(seen.end.illegal, None);
    assert_eq!(seen.end.state.exit(), Exit::Pass);
    assert!(seen.account.names().is_empty());
    assert_eq!(RunState::replay(&seen.events).expect("legal"), seen.end.state, "the ledger is the truth");
    let text = serde_json::to_string(&seen.events).expect("json");
    assert!(!text.contains("canary-join-token") && text.contains("{join token}"), "secrets are scrubbed");
    assert_eq!(text.matches("undone").count(), 4, "every scenario is undone");
}

/// The process dies after a lease has ended and before that is said of its teardown.
#[tokio::test(start_paused = true)]
async fn a_teardown_that_was_all_but_recorded_is_what_its_lease_says() {
    let settings = Settings { max_clusters: 1, ..Settings::default() };
    let whole = go(Trouble::None, usize::MAX, 0, settings.clone()).await.events;
    let ends = |event: &Event| matches!(event.kind, EventKind::LeaseReleased { .. });
    let deaths: Vec<usize> = whole.iter().enumerate().filter(|(_, e)| ends(e)).map(|(at, _)| at + 1).collect();
    assert_eq!(deaths.len(), 2);
    for death in deaths {
        let directory = tempfile::tempdir().expect("temp dir");
        let events = Arc::new(Mutex::new(whole[..death].to_vec()));
        let ledger = Fragile { events: Arc::clone(&events), breaks_after: usize::MAX };
        let recorded = RunState::replay(&whole[..death]).expect("legal");
        let job = job(Trouble::None, &Account::default(), settings.clone());
        let artifacts = Artifacts::of(directory.path());
        let end = resume(job, recorded, ledger, artifacts, Vec::new(), Stop::new(), Scrubber::default()).await;
        assert_eq!((end.illegal, end.state.exit()), (None, Exit::Pass), "dead after {death} events");
    }
}

#[tokio::test(start_paused = true)]
async fn every_trouble_gets_its_blame() {
    let table: &[(Trouble, Exit, Subject, &str)] = &[
        (Trouble::AcquireEnvironment, Exit::Inconclusive, Subject::Provision, "environment"),
        (Trouble::AcquirePanics, Exit::Inconclusive, Subject::Provision, "harness"),
        (Trouble::AcquireHangs, Exit::Inconclusive, Subject::Provision, "environment"),
        (Trouble::InstallProduct, Exit::Fail, Subject::Install, "failed"),
        (Trouble::InstallPanics, Exit::Inconclusive, Subject::Install, "harness"),
        (Trouble::ScenarioProduct, Exit::Fail, first(), "failed"),
        (Trouble::ScenarioPanics, Exit::Inconclusive, first(), "harness"),
        (Trouble::ScenarioHangs, Exit::Inconclusive, first(), "harness"),
        (Trouble::CheckFailsQuietly, Exit::Fail, first(), "failed"),
        (Trouble::ReleaseFails, Exit::Leftovers, Subject::Teardown, "environment"),
        (Trouble::ReleaseHangs, Exit::Leftovers, Subject::Teardown, "environment"),
    ];
    for (trouble, exit, subject, blame) in table {
        let seen = go(*trouble, usize::MAX, 0, Settings::default()).await;
        assert_eq!(seen.end.illegal, None, "{trouble:?}");
        assert_eq!(seen.end.state.exit(), *exit, "{trouble:?}");
        let word = match outcome(&seen.end.state, 0, subject) {
            Outcome::Inconclusive { why, .. } => why.to_string(),
            other => other.word().to_owned(),
        };
        assert_eq!(word, *blame, "{trouble:?}");
        if !matches!(trouble, Trouble::ReleaseFails | Trouble::ReleaseHangs) {
            assert!(seen.account.names().is_empty(), "{trouble:?} leaves {:?}", seen.account.names());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_closing_inventory_nothing_is_proved() {
    let seen = go(Trouble::FindFails, usize::MAX, 0, Settings::default()).await;
    assert_eq!(seen.end.state.exit(), Exit::Leftovers);
}

#[tokio::test(start_paused = true)]
async fn the_environment_gets_a_second_cluster_and_both_attempts_are_recorded() {
    let seen = go(Trouble::AcquireEnvironment, usize::MAX, 0, Settings::default()).await;
    let cell = &seen.end.state.cells[0];
    assert_eq!(cell.leases.len(), 2);
    assert_eq!(cell.subjects[0].attempts.len(), 2);
    let blocked = outcome(&seen.end.state, 0, &first());
    assert!(matches!(blocked, Outcome::Inconclusive { why: Why::BlockedBy(Subject::Provision), .. }), "{blocked:?}");
}

#[tokio::test(start_paused = true)]
async fn limits_hold() {
    let one = Settings { max_clusters: 1, ..Settings::default() };
    assert_eq!(*go(Trouble::None, usize::MAX, 0, one).await.account.most.lock().expect("lock"), 1);
    let servers = Settings { max_servers: 5, ..Settings::default() };
    assert_eq!(*go(Trouble::None, usize::MAX, 0, servers).await.account.most.lock().expect("lock"), 1);
    let both = Settings::default();
    assert_eq!(*go(Trouble::None, usize::MAX, 0, both).await.account.most.lock().expect("lock"), 2);
}

#[tokio::test(start_paused = true)]
async fn stopping_after_any_event_leaves_nothing_and_gives_every_subject_an_outcome() {
    let all = go(Trouble::None, usize::MAX, 0, Settings::default()).await.events.len() as u64;
    assert!(all > 40, "the healthy run has {all} events");
    for n in 1..=all {
        let seen = go(Trouble::None, usize::MAX, n, Settings::default()).await;
        assert!(seen.account.names().is_empty(), "stopped at {n}: {:?} is left", seen.account.names());
        assert_eq!(seen.end.illegal, None, "stopped at {n}");
        assert!(seen.end.state.cells.iter().flat_map(|c| &c.subjects).all(|s| s.is_settled()), "stopped at {n}");
        assert_eq!(seen.end.state.unreleased().count(), 0, "stopped at {n}");
        assert!(seen.end.state.finished.is_some(), "stopped at {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn losing_the_ledger_at_any_event_leaves_nothing_and_is_no_success() {
    let all = go(Trouble::None, usize::MAX, 0, Settings::default()).await.events.len();
    for n in 0..all {
        let seen = go(Trouble::None, n, 0, Settings::default()).await;
        assert!(seen.end.ledger_lost.is_some(), "lost at {n}");
        assert!(seen.account.names().is_empty(), "lost at {n}: {:?} is left", seen.account.names());
        assert_eq!(seen.events.len(), n);
        assert_eq!(seen.end.state.unreleased().count(), 0, "lost at {n}");
        let read_back = RunState::replay(&seen.events).expect("a prefix is legal");
        assert_ne!(read_back.exit(), Exit::Pass, "lost at {n}");
        if n < 3 {
            assert_eq!(*seen.account.most.lock().expect("lock"), 0, "nothing is created without a record");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_while_teardown_hangs_ends_the_run_and_tells_what_is_left() {
    let ready = |e: &Event| matches!(e.kind, EventKind::LeaseReady { .. });
    let removing = |e: &Event| matches!(e.kind, EventKind::SubjectStarted { subject: Subject::Teardown, .. });
    for (trouble, told) in [(Trouble::ReleaseHangs, true), (Trouble::AllHangs, false)] {
        let settings = Settings { max_clusters: 1, ..Settings::default() };
        let began = tokio::time::Instant::now();
        let seen = signalled(trouble, usize::MAX, move |e| ready(e) || removing(e), settings).await;
        let state = &seen.end.state;
        assert!(began.elapsed() < Duration::from_secs(30), "{trouble:?} took {:?}", began.elapsed());
        assert_eq!(seen.end.illegal, None, "{trouble:?}");
        assert!(state.finished.is_some() && state.cells.iter().flat_map(|c| &c.subjects).all(|s| s.is_settled()));
        assert_eq!(state.unreleased().count(), 1, "{trouble:?}");
        assert_eq!(state.exit(), Exit::Inconclusive, "{trouble:?}");
        let left: Vec<String> = state.leftovers().into_iter().map(|r| r.name).collect();
        assert_eq!(left, if told { seen.account.names() } else { Vec::new() }, "{trouble:?}");
        assert_eq!(state.inventory.is_some(), told, "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_has_a_deadline_of_its_own() {
    let mut settings = Settings::default();
    settings.patience.run = Duration::from_secs(3);
    let seen = go(Trouble::None, usize::MAX, 0, settings).await;
    assert!(seen.account.names().is_empty());
    assert_eq!(seen.end.state.stops, vec![StopReason::Deadline]);
    assert_eq!(seen.end.state.exit(), Exit::Inconclusive);
    assert!(seen.events.iter().any(|e| matches!(e.kind, EventKind::StopRequested { .. })));
}
