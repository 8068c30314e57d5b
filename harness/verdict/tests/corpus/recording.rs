//! Makes ledgers: a plan, and for every subject of it what happens.

use std::collections::BTreeMap;

use gsh_model::event::{CheckResult, Event, EventKind, FORMAT};
use gsh_model::input::{Digest, Input, InputKind};
use gsh_model::lease::{LeaseId, Resource, RunId};
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{Blame, Evidence, Finding, Outcome, Subject, Why};
use gsh_model::plan::{Plan, Selection, plan};
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use jiff::{SignedDuration, Timestamp};

/// Two cells, every pair of them.
pub(crate) const MATRIX: &str = "[axes]\nshift = [\"fuse\"]\nsize = [\"single\", \"small\"]\n";
/// When the green run starts. It finishes minutes later.
pub(crate) const STARTED: &str = "2026-11-23T02:00:00Z";
/// The commit under test.
pub(crate) const COMMIT: &str = "3f2a91bc3f2a91bc3f2a91bc3f2a91bc3f2a91bc";

/// The scenarios that there are.
pub(crate) fn suite() -> Vec<ScenarioSpec> {
    [
        ("workspace-start", vec![Need::Writable]),
        ("ssh-on-22", vec![Need::SshGateway]),
        ("scale-out", vec![Need::GrowableCluster]),
    ]
    .into_iter()
    .map(|(name, needs)| ScenarioSpec {
        id: ScenarioId::of(name),
        asks: format!("does {name} work"),
        needs,
        impact: Impact::CreatesWorkspace,
        patience_s: 60,
        file: format!("scenarios/src/{}.rs", name.replace('-', "_")),
    })
    .collect()
}

/// What happens to a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Passes,
    /// Passes without a check that says why.
    PassesBare,
    /// The product fails, with these words.
    Fails(String),
    /// Fails, and passes on the second try.
    Flaky(String),
    /// Cannot be judged.
    Unclear(Why, String),
    /// The environment fails first, then it passes.
    SecondTry,
    /// Begins and never ends.
    Hangs,
    /// Nothing is recorded about it.
    Silent,
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) run: String,
    pub(crate) started: Timestamp,
    pub(crate) evidence: Evidence,
    pub(crate) inputs: Vec<Input>,
    pub(crate) plan: Plan,
    /// By `<cell>/<subject>`; everything else passes.
    pub(crate) fates: BTreeMap<String, Fate>,
    /// Leases that are not released, by cell.
    pub(crate) leaks: Vec<String>,
    pub(crate) ready: bool,
    pub(crate) inventory: bool,
    pub(crate) finished: bool,
    pub(crate) notes: Vec<String>,
}

pub(crate) fn matrix(text: &str) -> Matrix {
    Matrix::parse(text).expect("a matrix")
}

pub(crate) fn inputs(matrix: &Matrix, commit: Option<&str>) -> Vec<Input> {
    let mut inputs: Vec<Input> = commit
        .map(|c| Input {
            kind: InputKind::Commit,
            name: "distribution".to_owned(),
            digest: Some(Digest::commit(c).expect("a commit")),
        })
        .into_iter()
        .collect();
    inputs.push(Input {
        kind: InputKind::Matrix,
        name: "ci/matrix.toml".to_owned(),
        digest: Some(Digest::Sha256(matrix.sha256.clone())),
    });
    inputs.push(Input { kind: InputKind::Installer, name: "r/installer:release-2022.11.3".to_owned(), digest: None });
    inputs
}

impl Script {
    /// A run of the whole matrix in which everything passes.
    pub(crate) fn green(text: &str) -> Self {
        let matrix = matrix(text);
        let selection = Selection { cover: gsh_model::cover::Cover::Full, ..Selection::default() };
        let offers = [Need::GrowableCluster, Need::Writable, Need::SshGateway];
        Self {
            run: "r20261123-020000-7f3a21".to_owned(),
            started: STARTED.parse().expect("a time"),
            evidence: Evidence::Cloud,
            inputs: inputs(&matrix, Some(COMMIT)),
            plan: plan(&matrix, &suite(), &offers, &selection).expect("a plan"),
            fates: BTreeMap::new(),
            leaks: Vec::new(),
            ready: true,
            inventory: true,
            finished: true,
            notes: Vec::new(),
        }
    }

    /// The events, a second apart.
    pub(crate) fn events(&self) -> Vec<Event> {
        let run: RunId = self.run.parse().expect("a run id");
        let mut kinds = vec![
            EventKind::RunStarted {
                format: FORMAT,
                run: run.clone(),
                version: "0.1.0".to_owned(),
                evidence: self.evidence,
                provider: "hetzner".to_owned(),
                inputs: self.inputs.clone(),
            },
            EventKind::RunPlanned { plan: Box::new(self.plan.clone()) },
        ];
        for note in &self.notes {
            kinds.push(EventKind::Noted { cell: None, subject: None, text: note.clone() });
        }
        let mut left = Vec::new();
        for (number, planned) in self.plan.cells.iter().enumerate() {
            let lease = LeaseId::new(&run, number, 1);
            for subject in planned.subjects() {
                let skipped = planned
                    .scenarios
                    .iter()
                    .any(|s| s.skip.is_some() && Subject::Scenario(s.scenario.clone()) == subject);
                if skipped {
                    continue;
                }
                let fate = self.fates.get(&format!("{}/{subject}", planned.id)).cloned().unwrap_or(Fate::Passes);
                if fate == Fate::Silent {
                    continue;
                }
                let cell = planned.id.clone();
                if subject == Subject::Provision {
                    kinds.push(EventKind::LeaseRequested {
                        cell: cell.clone(),
                        lease: lease.clone(),
                        expires: self.started + SignedDuration::from_hours(4),
                    });
                    if self.ready {
                        kinds.push(EventKind::LeaseReady {
                            cell: cell.clone(),
                            lease: lease.clone(),
                            servers: vec![format!("{lease}-node-1")],
                        });
                    }
                }
                let leaks = self.leaks.contains(&planned.id.to_string());
                if subject == Subject::Teardown {
                    let server = |id| Resource {
                        kind: "server".to_owned(),
                        id,
                        name: format!("{lease}-node-1"),
                        cents_per_month: Some(1400),
                    };
                    if leaks {
                        left.push(server(7));
                    }
                }
                let attempts = attempts(&fate, &subject);
                for (n, (checked, outcome)) in (1..).zip(attempts) {
                    kinds.push(EventKind::SubjectStarted { cell: cell.clone(), subject: subject.clone(), attempt: n });
                    if subject == Subject::Teardown && n == 1 {
                        kinds.push(if leaks {
                            EventKind::LeaseLeaked {
                                cell: cell.clone(),
                                lease: lease.clone(),
                                left: left.clone(),
                                reason: "the server cannot be deleted".to_owned(),
                            }
                        } else {
                            EventKind::LeaseReleased { cell: cell.clone(), lease: lease.clone(), removed: Vec::new() }
                        });
                    }
                    if let (true, Subject::Scenario(_)) = (checked, &subject) {
                        kinds.push(EventKind::CheckFinished {
                            cell: cell.clone(),
                            subject: subject.clone(),
                            attempt: n,
                            check: "GSH-TST-001".parse().expect("a check"),
                            title: "it works".to_owned(),
                            result: result(&outcome),
                            took_ms: 5,
                        });
                    }
                    if let Some(outcome) = outcome {
                        kinds.push(EventKind::SubjectFinished {
                            cell: cell.clone(),
                            subject: subject.clone(),
                            attempt: n,
                            outcome,
                            took_ms: 10,
                        });
                    }
                }
            }
        }
        if self.inventory {
            kinds.push(EventKind::InventoryTaken { left });
        }
        if self.finished {
            kinds.push(EventKind::RunFinished);
        }
        kinds
            .into_iter()
            .zip(1_u64..)
            .map(|(kind, seq)| Event {
                seq,
                at: self.started + SignedDuration::from_secs(i64::try_from(seq).unwrap_or(0)),
                kind,
            })
            .collect()
    }
}

fn result(outcome: &Option<Outcome>) -> CheckResult {
    let failed = |blame: Blame, finding: &Finding| CheckResult::Failed { blame, finding: finding.clone() };
    match outcome {
        Some(Outcome::Failed(finding)) => failed(Blame::Product, finding),
        Some(Outcome::Inconclusive { finding, .. }) => failed(Blame::Environment, finding),
        Some(Outcome::Passed | Outcome::Skipped(_)) | None => CheckResult::Passed,
    }
}

/// The attempts of a subject: whether a check is recorded, and what comes of it.
fn attempts(fate: &Fate, subject: &Subject) -> Vec<(bool, Option<Outcome>)> {
    let finding = |observed: &str| Finding {
        check: "GSH-TST-001".parse().expect("a check"),
        expected: format!("{subject} works"),
        observed: observed.to_owned(),
        causes: Vec::new(),
    };
    let failed = |words: &str| Outcome::Failed(finding(words));
    let unclear = |why: Why, words: &str| Outcome::Inconclusive { why, finding: finding(words) };
    match fate {
        Fate::Passes => vec![(true, Some(Outcome::Passed))],
        Fate::PassesBare => vec![(false, Some(Outcome::Passed))],
        Fate::Fails(words) => vec![(true, Some(failed(words)))],
        Fate::Flaky(words) => vec![(true, Some(failed(words))), (true, Some(Outcome::Passed))],
        Fate::Unclear(why, words) => vec![(true, Some(unclear(why.clone(), words)))],
        Fate::SecondTry => {
            vec![(true, Some(unclear(Why::Environment, "sold out"))), (true, Some(Outcome::Passed))]
        }
        Fate::Hangs => vec![(true, None)],
        Fate::Silent => Vec::new(),
    }
}
