//! The worked example of `docs/writing-a-scenario.md` is the code that is compiled here, and it sees what it is there to see.

use std::time::Duration;

use gsh_engine::artifacts::Artifacts;
use gsh_engine::bench::Scenario;
use gsh_engine::job::{Job, Patience, Settings};
use gsh_engine::ledger::Ledger;
use gsh_engine::reach::Reach;
use gsh_engine::run::run;
use gsh_engine::secret::{Scrubber, Secret};
use gsh_engine::stop::Stop;
use gsh_fixtures::Embedded;
use gsh_gitpod::install::GitpodInstaller;
use gsh_gitpod::settings::Settings as Install;
use gsh_model::cover::Cover;
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{Evidence, Outcome, Subject, Why};
use gsh_model::plan::{Selection, plan};
use gsh_model::scenario::Need;
use gsh_providers::{HetznerConfig, HetznerProvider, Pace};

use super::worked_example;
use crate::program::root;

const CATALOGUE: &[Scenario] = &[worked_example::SCENARIO];

/// What comes of the example in a world of this text, and how long it may take to.
async fn outcome(world: &str, scenario: Duration) -> Outcome {
    let world = Embedded::start(world.parse().expect("a world"), None).await.expect("the world starts");
    let matrix = Matrix::parse("[axes]\nsize = [\"single\"]\n").expect("a matrix");
    let specs: Vec<_> = CATALOGUE.iter().map(|s| (s.spec)()).collect();
    let selection = Selection { cover: Cover::Full, ..Selection::default() };
    let plan = plan(&matrix, &specs, &[Need::Writable], &selection).expect("a plan");
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
        catalogue: CATALOGUE,
        plan,
        run: "r20261123-000000-000001".parse().expect("a run id"),
        version: "0.1.0".to_owned(),
        evidence: Evidence::Emulated,
        inputs: Vec::new(),
        settings: Settings { patience: Patience { scenario, ..Patience::default() }, ..Settings::default() },
        now: jiff::Timestamp::now,
        notes: Vec::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = Ledger::create(folder.path()).expect("a ledger");
    let artifacts = Artifacts::of(folder.path());
    let end = run(job, ledger, artifacts, Vec::new(), Stop::new(), Scrubber::default()).await;
    let left: Vec<String> = world.inventory().left().iter().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{left:?} is left");
    let mut outcomes = end.state.outcomes();
    let (_, _, outcome) = outcomes.find(|(_, s, _)| matches!(s, Subject::Scenario(_))).expect("it was planned");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_passes_fails_and_cannot_tell_where_it_must() {
    let ample = Duration::from_secs(10 * 60);
    assert_eq!(outcome("", ample).await, Outcome::Passed);
    let stuck = outcome("[gitpod]\nstuck-phase = \"INITIALIZING\"\n", Duration::from_secs(8)).await;
    assert!(matches!(&stuck, Outcome::Failed(found) if found.check.to_string() == "GSH-TST-102"), "{stuck:?}");
    let limited = outcome("[[kube.image]]\nmatch = \"reg.*/remote/*\"\nresult = \"rate-limited\"\n", ample).await;
    let environment = matches!(limited, Outcome::Inconclusive { why: Why::Environment, .. });
    assert!(environment, "{limited:?}");
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    let page = std::fs::read_to_string(root().join("docs/writing-a-scenario.md")).expect("the page");
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of `rust`");
    assert_eq!(shown, include_str!("worked_example.rs"));
}
