//! A thousand random schedules of two runs in one account in memory: requests that fail before or after their effect,
//! answers that come late or never, panics, stops, and processes that die at any event and are gone on with. Whatever
//! happens: nothing is left that is not told, a sweep of one run touches nothing of the other, no scenario with an outcome
//! runs again, and no budget is broken.
//!
//! Virtual time and an account in memory, so that a thousand take seconds; the same over the emulated Hetzner API, with
//! fewer, is in `harness/providers/tests` and `tests/it`.

use std::cell::Cell as Slot;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsh_engine::artifacts::Artifacts;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, Installer};
use gsh_engine::job::{Job, Patience, Settings};
use gsh_engine::ledger::Append;
use gsh_engine::provider::{Cluster, FoundLease, LeaseRequest, Node, Provider, ReleaseFailure, Released, Site};
use gsh_engine::run::{Observer, resume, run};
use gsh_engine::secret::Scrubber;
use gsh_engine::stop::Stop;
use gsh_engine::sweep::{Which, list, sweep};
use gsh_model::axis::{Cell, Shift, Size};
use gsh_model::budget::{Amount, Euros, Meter, Metered, Price, Quote, Shape, started_hours};
use gsh_model::cover::Cover;
use gsh_model::event::{Event, EventKind};
use gsh_model::exit::Exit;
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_model::outcome::{Evidence, Outcome, Subject, Why};
use gsh_model::plan::{Plan, PlannedCell, PlannedScenario};
use gsh_model::run::RunState;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

mod lent;

/// Cents for each started hour of a server, net and gross alike.
const CENTS: u64 = 10;

/// Servers of a lease.
const SERVERS: u64 = 2;

thread_local! {
    /// What the clock of the account says when the runtime's clock begins.
    static BEGIN: Slot<(Option<tokio::time::Instant>, i64)> = const { Slot::new((None, 1_790_000_000)) };
}

fn now() -> Timestamp {
    BEGIN.with(|begin| {
        let (at, seconds) = begin.get();
        let at = at.unwrap_or_else(|| {
            let at = tokio::time::Instant::now();
            begin.set((Some(at), seconds));
            at
        });
        let passed = i64::try_from(at.elapsed().as_secs()).expect("a short test");
        Timestamp::from_second(seconds + passed).expect("a time")
    })
}

/// Keeps the account's time for the next runtime, whose own clock begins anew.
fn clock_survives(last: Timestamp) {
    BEGIN.with(|begin| begin.set((None, last.as_second())));
}

/// Something that costs money.
#[derive(Debug, Clone)]
struct Thing {
    run: RunId,
    lease: LeaseId,
    id: u64,
    created: Timestamp,
}

#[derive(Debug, Default)]
struct Things {
    there: BTreeMap<String, Thing>,
    made: u64,
    /// Cents that removed things have cost.
    paid: BTreeMap<(RunId, LeaseId), u64>,
}

type Account = Arc<Mutex<Things>>;

/// One run's view of the account, with the faults of its way there.
struct Cloud {
    account: Account,
    run: RunId,
    dice: Mutex<StdRng>,
    /// Faults in a hundred requests.
    faults: u32,
    /// What leases had for a while only.
    gone: Mutex<Vec<(LeaseId, Metered)>>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    LostBefore,
    LostAfter,
    NoAnswer,
    Panic,
}

impl Cloud {
    async fn fate(&self, cx: &Cx, may_panic: bool) -> Fate {
        let (pause, fate) = {
            let mut dice = self.dice.lock().expect("lock");
            let fate = match dice.random_range(0..100) {
                n if n >= self.faults => Fate::Well,
                n => match n % 8 {
                    0..=2 => Fate::LostBefore,
                    3..=5 => Fate::LostAfter,
                    6 => Fate::NoAnswer,
                    _ if may_panic => Fate::Panic,
                    _ => Fate::LostBefore,
                },
            };
            (dice.random_range(0..40), fate)
        };
        tokio::time::sleep(Duration::from_secs(pause)).await;
        if fate == Fate::NoAnswer {
            // As long as an answer may take; then it counts as lost, after the effect.
            tokio::time::sleep(Duration::from_secs(60).min(cx.left())).await;
            return Fate::LostAfter;
        }
        fate
    }

    fn of(&self, lease: &LeaseId) -> Vec<(String, Thing)> {
        let things = self.account.lock().expect("lock");
        things.there.iter().filter(|(_, t)| t.lease == *lease).map(|(n, t)| (n.clone(), t.clone())).collect()
    }

    async fn request(&self, cx: &Cx, effect: impl FnOnce()) -> Result<(), Failure> {
        let lost = || Failure::environment("GSH-TST-010", "an answer", "none came");
        match self.fate(cx, false).await {
            Fate::Well => effect(),
            Fate::LostAfter => {
                effect();
                return Err(lost());
            }
            Fate::LostBefore | Fate::NoAnswer | Fate::Panic => return Err(lost()),
        }
        Ok(())
    }
}

fn metered(name: &str, thing: &Thing, gone: Option<Timestamp>) -> Metered {
    let (kind, name) = ("server".to_owned(), name.to_owned());
    Metered { kind, id: thing.id, name, created: thing.created, gone, price: price() }
}

impl Cloud {
    /// Makes something of a lease.
    fn make(&self, lease: &LeaseId, name: &str) -> Thing {
        let mut things = self.account.lock().expect("lock");
        things.made += 1;
        let thing = Thing { run: self.run.clone(), lease: lease.clone(), id: things.made, created: now() };
        let before = things.there.insert(name.to_owned(), thing.clone());
        assert!(before.is_none(), "two leases have one name");
        thing
    }

    /// Removes something, and has it paid.
    fn unmake(&self, name: &str) {
        let mut things = self.account.lock().expect("lock");
        if let Some(gone) = things.there.remove(name) {
            *things.paid.entry((gone.run, gone.lease)).or_default() += CENTS * started_hours(gone.created, now());
        }
    }

    /// A machine that a lease has for a while only: its cost is recorded before it is removed.
    async fn help(&self, cx: &Cx, request: &LeaseRequest) -> Result<(), Failure> {
        let name = format!("{}-builder", request.lease);
        let mut thing = None;
        self.request(cx, || thing = Some(self.make(&request.lease, &name))).await?;
        let Some(thing) = thing else { return Ok(()) };
        let charged = metered(&name, &thing, Some(now()));
        let bill = Meter { things: vec![charged.clone()] }.read(now());
        let (cell, lease) = (request.cell_id.clone(), request.lease.clone());
        cx.record(EventKind::PartCharged { cell, lease, bill }).await;
        self.gone.lock().expect("lock").push((request.lease.clone(), charged));
        self.request(cx, || self.unmake(&name)).await
    }
}

fn resource(name: &str, thing: &Thing) -> Resource {
    Resource { kind: "server".to_owned(), id: thing.id, name: name.to_owned(), cents_per_month: None }
}

fn price() -> Price {
    let cents = |n: u64| format!("{}.{:02}", n / 100, n % 100).parse::<Euros>().expect("an amount");
    let amount = |n| Amount { net: cents(n), gross: cents(n) };
    Price { hourly: amount(CENTS), monthly: amount(CENTS * 600) }
}

impl Provider for Cloud {
    fn name(&self) -> &str {
        "memory"
    }

    fn offers(&self) -> Vec<Need> {
        vec![Need::GrowableCluster, Need::Writable]
    }

    async fn acquire(&self, cx: &Cx, request: &LeaseRequest) -> Result<Cluster, Failure> {
        if self.dice.lock().expect("lock").random_bool(0.3) {
            self.help(cx, request).await?;
        }
        for n in 1..=SERVERS {
            if cx.stop().is_requested() {
                return Err(Failure::stopped("servers to be ordered"));
            }
            let fate = self.fate(cx, true).await;
            let lost = Failure::environment("GSH-TST-010", "a server", "no answer");
            match fate {
                Fate::Panic => panic!("acquire panics"),
                Fate::LostBefore | Fate::NoAnswer => return Err(lost),
                Fate::Well | Fate::LostAfter => {}
            }
            self.make(&request.lease, &format!("{}-{n}", request.lease));
            if fate == Fate::LostAfter {
                return Err(lost);
            }
        }
        let nodes = self.of(&request.lease).into_iter().map(|(name, _)| lent::node(name)).collect();
        Ok(lent::cluster(&request.lease, nodes))
    }

    async fn grow(&self, _: &Cx, _: &LeaseId) -> Result<Node, Failure> {
        Err(Failure::harness("GSH-TST-011", "no growth", "not asked in this test"))
    }

    async fn release(&self, cx: &Cx, lease: &LeaseId) -> Result<Released, ReleaseFailure> {
        let mut removed = Vec::new();
        for _ in 0..6 {
            let mut found = Vec::new();
            let listed = self.request(cx, || found = self.of(lease)).await;
            if let Err(failure) = listed {
                if cx.left().is_zero() || cx.stop().is_requested() {
                    return Err(ReleaseFailure { left: Vec::new(), failure });
                }
                continue;
            }
            if found.is_empty() {
                return Ok(Released { removed });
            }
            for (name, thing) in &found {
                if self.request(cx, || self.unmake(name)).await.is_ok() {
                    removed.push(resource(name, thing));
                }
            }
        }
        let left = self.of(lease);
        if left.is_empty() {
            return Ok(Released { removed });
        }
        let left = left.iter().map(|(n, t)| resource(n, t)).collect();
        Err(ReleaseFailure { left, failure: Failure::environment("GSH-TST-012", "an empty account", "it is not") })
    }

    async fn find(&self, cx: &Cx, run: Option<&RunId>) -> Result<Vec<FoundLease>, Failure> {
        // Tried again as the real one does.
        let mut answer = Err(Failure::environment("GSH-TST-010", "a list", "nobody asked"));
        for _ in 0..6 {
            answer = self.request(cx, || ()).await;
            if answer.is_ok() {
                break;
            }
        }
        answer?;
        let things = self.account.lock().expect("lock");
        let of_run = things.there.iter().filter(|(_, t)| run.is_none_or(|run| t.run == *run));
        Ok(of_run
            .map(|(name, thing)| FoundLease {
                run: thing.run.clone(),
                lease: thing.lease.clone(),
                expires: now(),
                owner: None,
                resources: vec![resource(name, thing)],
            })
            .collect())
    }

    async fn quote(&self, _: &Cx, cell: &Cell, grows: bool) -> Result<Option<Quote>, Failure> {
        let machines = u64::from(Shape::of(cell, &[], grows).servers()) * SERVERS;
        Ok(Some(Quote { price: price().times(machines), builder: price(), spare: Amount::ZERO }))
    }

    async fn meter(&self, cx: &Cx, lease: &LeaseId) -> Result<Option<Meter>, Failure> {
        let mut found = Vec::new();
        self.request(cx, || found = self.of(lease)).await?;
        let mut things: Vec<Metered> = found.iter().map(|(name, thing)| metered(name, thing, None)).collect();
        let gone = self.gone.lock().expect("lock");
        let gone = gone.iter().filter(|(l, thing)| l == lease && found.iter().all(|(_, there)| there.id != thing.id));
        things.extend(gone.map(|(_, thing)| thing.clone()));
        Ok(Some(Meter { things }))
    }
}

/// Something to install that takes time and sometimes fails.
struct Product(Mutex<StdRng>);

impl Installer for Product {
    fn site(&self, _: &Cx, lease: &LeaseId, _: &Cell) -> Result<Site, Failure> {
        Ok(lent::site(lease))
    }

    async fn install(&self, _: &Cx, cluster: &Cluster, _: &Cell, site: &Site) -> Result<Installation, Failure> {
        let (pause, luck) = {
            let mut dice = self.0.lock().expect("lock");
            (dice.random_range(0..900), dice.random_range(0..20))
        };
        tokio::time::sleep(Duration::from_secs(pause)).await;
        if luck == 0 {
            return Err(Failure::product("GSH-TST-013", "migrations to succeed", "they failed"));
        }
        // The scenario below is a plain function: what it must know travels as the namespace.
        Ok(lent::installation(cluster.lease.to_string(), site))
    }
}

thread_local! {
    /// The account, for scenarios: they are plain functions.
    static HERE: std::cell::RefCell<Option<Account>> = const { std::cell::RefCell::new(None) };
}

/// Looks whether the cluster is still all there: a run that takes another one's servers is found out here.
async fn scenario(bench: &Bench) -> Result<(), Failure> {
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(300)).await;
        let lease = bench.installation().namespace.clone();
        let there = HERE.with_borrow(|account| {
            let account = account.as_ref().expect("an account").lock().expect("lock");
            account.there.values().filter(|t| t.lease.as_str() == lease).count() as u64
        });
        let look = async {
            match there {
                SERVERS => Ok(()),
                n => Err(Failure::harness("GSH-TST-014", "two servers", format!("{n}"))),
            }
        };
        bench.check("GSH-TST-014", "its servers are there", look).await?;
    }
    Ok(())
}

fn spec(id: &'static str) -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of(id),
        asks: "does it work".to_owned(),
        needs: Vec::new(),
        impact: Impact::ReadOnly,
        patience_s: 3000,
        file: format!("scenarios/src/{id}.rs"),
    }
}

const CATALOGUE: &[Scenario] = &[
    Scenario { spec: || spec("first"), run: |b| Box::pin(scenario(b)) },
    Scenario { spec: || spec("second"), run: |b| Box::pin(scenario(b)) },
];

fn plan() -> Plan {
    let planned = |cell: Cell| PlannedCell {
        id: cell.id(),
        why: "test".to_owned(),
        servers: 1,
        expected_s: None,
        scenarios: ["first", "second"].map(|s| PlannedScenario { scenario: ScenarioId::of(s), skip: None }).to_vec(),
        cell,
    };
    let shiftfs = Cell { shift: Shift::Shiftfs, ..Cell::default() };
    let single = Cell { size: Size::Single, ..Cell::default() };
    let mut cells = vec![planned(single.clone()), planned(shiftfs)];
    cells.dedup_by_key(|c| c.id.clone());
    Plan {
        matrix_sha256: "0".repeat(64),
        cover: Cover::OneOff,
        cells,
        scenarios: vec![spec("first"), spec("second")],
        ..Plan::default()
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Event>>>);

impl Append for Memory {
    fn append(&mut self, event: &Event) -> io::Result<()> {
        self.0.lock().expect("lock").push(event.clone());
        Ok(())
    }
}

/// Stops the run, or lets its process die, at an event.
struct At {
    stop_at: u64,
    stop: Stop,
    die_at: u64,
    death: Arc<tokio::sync::Notify>,
}

impl Observer for At {
    fn recorded(&mut self, event: &Event, _: &RunState) {
        if event.seq == self.stop_at {
            self.stop.signal();
        }
        if event.seq == self.die_at {
            self.death.notify_one();
        }
    }

    fn ledger_lost(&mut self, _: &io::Error) {}
}

/// What one run goes through.
#[derive(Debug, Clone)]
struct Fortune {
    seed: u64,
    faults: u32,
    stop_at: u64,
    die_at: Vec<u64>,
    cents: Option<u64>,
}

fn fortune() -> impl Strategy<Value = Fortune> {
    let deaths = proptest::collection::vec(3_u64..70, 0..3);
    let stops = prop_oneof![3 => Just(0_u64), 1 => 3_u64..60];
    let budget = proptest::option::of(0_u64..200);
    (any::<u64>(), 0_u32..30, stops, deaths, budget).prop_map(|(seed, faults, stop_at, die_at, cents)| Fortune {
        seed,
        faults,
        stop_at,
        die_at,
        cents,
    })
}

/// One process of a run: begins it, or goes on with what is recorded. Says whether it ended by itself.
async fn process(account: &Account, id: &RunId, fortune: &Fortune, life: usize, ledger: Memory) -> bool {
    let directory = tempfile::tempdir().expect("temp dir");
    let dice = |n: u64| Mutex::new(StdRng::seed_from_u64(fortune.seed ^ n ^ (life as u64) << 32));
    let stop = Stop::new();
    let death = Arc::new(tokio::sync::Notify::new());
    let recorded: Vec<Event> = ledger.0.lock().expect("lock").clone();
    let state = RunState::replay(&recorded).expect("what is recorded is legal");
    if state.finished.is_some() {
        return true;
    }
    let job = Job {
        provider: Cloud {
            account: account.clone(),
            run: id.clone(),
            dice: dice(1),
            faults: fortune.faults,
            gone: Mutex::default(),
        },
        installer: Product(dice(2)),
        catalogue: CATALOGUE,
        plan: plan(),
        run: id.clone(),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        inputs: Vec::new(),
        settings: Settings {
            max_clusters: 2,
            budget: fortune.cents.map(|c| format!("{}.{:02}", c / 100, c % 100).parse().expect("an amount")),
            lease_lifetime: SignedDuration::from_hours(4),
            // A lease never lives for more than an hour, also when its process dies twice: what is reserved is what it
            // costs, and a cent that is forgotten breaks a cap.
            patience: Patience {
                cell: Duration::from_secs(25 * 60),
                teardown: Duration::from_secs(10 * 60),
                ..Patience::default()
            },
            ..Settings::default()
        },
        now,
        notes: Vec::new(),
    };
    let die_at = fortune.die_at.get(life).copied().unwrap_or(0);
    let die_at = if life > 0 && die_at > 0 { die_at + state.last_seq } else { die_at };
    let observer = At { stop_at: fortune.stop_at, stop: stop.clone(), die_at, death: death.clone() };
    let artifacts = Artifacts::of(directory.path());
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(observer)];
    let work = async {
        match state.plan {
            None => run(job, ledger, artifacts, observers, stop, Scrubber::default()).await,
            Some(_) => resume(job, state, ledger, artifacts, observers, stop, Scrubber::default()).await,
        }
    };
    tokio::select! {
        biased;
        () = death.notified() => false,
        end = work => {
            assert_eq!(end.illegal, None);
            true
        }
    }
}

fn examine(id: &RunId, fortune: &Fortune, events: &[Event], account: &Account) -> Result<(), TestCaseError> {
    let state = RunState::replay(events).expect("the ledger is legal");
    prop_assert!(state.finished.is_some());
    prop_assert!(state.cells.iter().flat_map(|c| &c.subjects).all(|s| s.is_settled()));
    let left = account.lock().expect("lock").there.values().filter(|t| t.run == *id).count();
    let told = state.unreleased().count() > 0 || !state.leftovers().is_empty();
    prop_assert!(left == 0 || told, "{left} things are left and nobody says so");
    prop_assert!(left == 0 || state.exit() != Exit::Pass);
    for subject in state.cells.iter().flat_map(|c| &c.subjects) {
        let spoke = |o: &Outcome| !matches!(o, Outcome::Inconclusive { why: Why::Interrupted, .. });
        let ended = subject.attempts.iter().filter_map(|a| a.finished.as_ref()).filter(|(_, o)| spoke(o)).count();
        if matches!(subject.subject, Subject::Scenario(_)) {
            prop_assert!(ended <= 1, "{} has {ended} outcomes", subject.subject);
        }
        let foreign = |o: &Outcome| o.finding().is_some_and(|f| f.check.as_str() == "GSH-TST-014");
        prop_assert!(!foreign(&subject.outcome()), "somebody took its servers: {:?}", subject.outcome());
    }
    let paid = account.lock().expect("lock").paid.clone();
    for lease in state.cells.iter().flat_map(|c| &c.leases) {
        let paid = paid.get(&(id.clone(), lease.lease.clone())).copied().unwrap_or(0);
        if let Some(bill) = &lease.bill {
            prop_assert!(paid <= bill.total().gross.cents(), "{paid} cents were paid for {}: {bill:?}", lease.lease);
        }
    }
    if let Some(cap) = fortune.cents {
        // What is left behind costs money until it is swept; everything else was paid within the cap.
        let paid: u64 = paid.iter().filter(|((run, _), _)| run == id).map(|(_, cents)| cents).sum();
        prop_assert!(paid <= cap, "{paid} cents were spent of {cap}");
        prop_assert!(state.cost().unwrap_or_default().gross.cents() <= cap);
    }
    Ok(())
}

fn one_schedule(fortunes: &[Fortune; 2]) -> Result<(), TestCaseError> {
    let account = Account::default();
    HERE.with_borrow_mut(|here| *here = Some(account.clone()));
    clock_survives(Timestamp::from_second(1_790_000_000).expect("a time"));
    let ids: [RunId; 2] = ["r20261123-1-7f3a", "r20261123-1-8b4c"].map(|id| id.parse().expect("a run id"));
    let ledgers = [Memory::default(), Memory::default()];
    let mut ended = [false, false];
    for life in 0.. {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let last = runtime.block_on(async {
            let one = process(&account, &ids[0], &fortunes[0], life, ledgers[0].clone());
            let two = process(&account, &ids[1], &fortunes[1], life, ledgers[1].clone());
            // When one process dies the machine died: both do. Whoever ended by itself has ended.
            tokio::pin!(one, two);
            tokio::select! {
                end = &mut one => {
                    ended[0] = end;
                    if end { ended[1] = two.await; }
                }
                end = &mut two => {
                    ended[1] = end;
                    if end { ended[0] = one.await; }
                }
            }
            now()
        });
        // Takes every task with it, as a death does.
        drop(runtime);
        clock_survives(last);
        if ended == [true, true] {
            break;
        }
        prop_assert!(life < 10, "it never ends");
    }
    for n in 0..2 {
        let events = ledgers[n].0.lock().expect("lock").clone();
        examine(&ids[n], &fortunes[n], &events, &account)?;
    }
    // A sweep of one run, then of the other, in an account that works again.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let of = |id: &RunId| account.lock().expect("lock").there.values().filter(|t| t.run == *id).count();
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(7200));
        let others = of(&ids[1]);
        for id in &ids {
            let dice = Mutex::new(StdRng::seed_from_u64(1));
            let cloud = Cloud { account: account.clone(), run: id.clone(), dice, faults: 0, gone: Mutex::default() };
            let found = list(&cx, &cloud, &Which::Run(id.clone())).await.expect("a list");
            let swept = sweep(&cx, &cloud, found).await;
            prop_assert!(swept.iter().all(|s| s.result.is_ok()));
            prop_assert_eq!(of(id), 0);
            if *id == ids[0] {
                prop_assert_eq!(of(&ids[1]), others, "the other run was touched");
            }
        }
        Ok(())
    })
}

#[test]
fn a_thousand_random_schedules_of_two_runs_leave_nothing_untold() {
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let hook = std::panic::take_hook();
    // The panics of the account are part of the test; their texts would be thousands of lines.
    std::panic::set_hook(Box::new(|_| {}));
    let result = runner.run(&[fortune(), fortune()], |fortunes| one_schedule(&fortunes));
    std::panic::set_hook(hook);
    if let Err(e) = result {
        panic!("{e}");
    }
}
