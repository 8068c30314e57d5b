//! Small recorded runs, made from a plan and a word for each subject.

use gsh_model::axis::Cell;
use gsh_model::check::CheckName;
use gsh_model::event::{Event, EventKind, FORMAT};
use gsh_model::lease::{LeaseId, RunId};
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{Blame, Evidence, Finding, Outcome, Subject};
use gsh_model::plan::{Plan, PlannedCell, Selection, plan};
use gsh_model::run::RunState;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use gsh_model::shard::ShardId;
use jiff::{SignedDuration, Timestamp};

pub(crate) const OFFERS: [Need; 3] = [Need::GrowableCluster, Need::Writable, Need::SshGateway];

pub(crate) fn spec(name: &'static str, needs: &[Need]) -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of(name),
        asks: "does it work".to_owned(),
        needs: needs.to_vec(),
        impact: Impact::CreatesWorkspace,
        patience_s: 60,
        file: format!("scenarios/src/{name}.rs"),
    }
}

pub(crate) fn catalogue() -> Vec<ScenarioSpec> {
    vec![spec("workspace-start", &[]), spec("ssh-on-22", &[Need::SshGateway])]
}

/// The plan of a matrix, with every offer.
pub(crate) fn planned(matrix: &str, selection: &Selection) -> Plan {
    let matrix = Matrix::parse(matrix).expect("a matrix");
    plan(&matrix, &catalogue(), &OFFERS, selection).expect("a plan")
}

/// Records a run: every cell of the plan (or of its shard) with what `outcome` says of each subject.
pub(crate) struct Recording {
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) begins: Timestamp,
    pub(crate) finished: bool,
}

pub(crate) fn finding() -> Finding {
    Finding {
        check: CheckName::of("GSH-TST-001"),
        expected: "it works".to_owned(),
        observed: "it does not".to_owned(),
        causes: Vec::new(),
    }
}

pub(crate) fn outcome(word: &str) -> Outcome {
    match word {
        "passed" => Outcome::Passed,
        "failed" => Outcome::of(Blame::Product, finding()),
        "environment" => Outcome::of(Blame::Environment, finding()),
        other => panic!("no outcome `{other}`"),
    }
}

impl Recording {
    pub(crate) fn of(run: &str, plan: &Plan, shard: Option<&str>, begins: &str) -> Self {
        Self {
            run: run.parse().expect("a run id"),
            plan: Plan { shard: shard.map(|s| s.parse::<ShardId>().expect("a shard id")), ..plan.clone() },
            begins: begins.parse().expect("a timestamp"),
            finished: true,
        }
    }

    pub(crate) fn events(&self, word: impl Fn(&PlannedCell, &Subject) -> &'static str) -> Vec<Event> {
        let mut kinds = vec![
            EventKind::RunStarted {
                format: FORMAT,
                run: self.run.clone(),
                version: "0.1.0".to_owned(),
                evidence: Evidence::Emulated,
                provider: "embedded".to_owned(),
                inputs: Vec::new(),
            },
            EventKind::RunPlanned { plan: Box::new(self.plan.clone()) },
        ];
        for (n, planned) in self.plan.own_cells().enumerate() {
            let (cell, lease) = (planned.id.clone(), LeaseId::new(&self.run, n, 1));
            let expires = self.begins + SignedDuration::from_hours(4);
            kinds.push(EventKind::LeaseRequested { cell: cell.clone(), lease: lease.clone(), expires });
            for subject in planned.subjects() {
                if planned
                    .scenarios
                    .iter()
                    .any(|s| Subject::Scenario(s.scenario.clone()) == subject && s.skip.is_some())
                {
                    continue;
                }
                let started = EventKind::SubjectStarted { cell: cell.clone(), subject: subject.clone(), attempt: 1 };
                if subject == Subject::Teardown {
                    kinds.push(EventKind::LeaseReleased {
                        cell: cell.clone(),
                        lease: lease.clone(),
                        removed: Vec::new(),
                    });
                }
                kinds.push(started);
                kinds.push(EventKind::SubjectFinished {
                    cell: cell.clone(),
                    outcome: outcome(word(planned, &subject)),
                    subject,
                    attempt: 1,
                    took_ms: 1500,
                });
            }
        }
        kinds.push(EventKind::InventoryTaken { left: Vec::new() });
        if self.finished {
            kinds.push(EventKind::RunFinished);
        }
        // A step every three minutes: a cell takes about half an hour.
        let second = |n: i64| self.begins + SignedDuration::from_secs(180 * (n - 1));
        kinds.into_iter().zip(1_i64..).map(|(kind, n)| Event { seq: n.unsigned_abs(), at: second(n), kind }).collect()
    }

    pub(crate) fn state(&self, word: impl Fn(&PlannedCell, &Subject) -> &'static str) -> RunState {
        RunState::replay(&self.events(word)).expect("a legal record")
    }
}

/// All is well.
pub(crate) fn green(_: &PlannedCell, _: &Subject) -> &'static str {
    "passed"
}

/// Scenarios of cells with this property fail; everything else is well.
pub(crate) fn red_where(property: impl Fn(&Cell) -> bool) -> impl Fn(&PlannedCell, &Subject) -> &'static str {
    move |planned, subject| match subject {
        Subject::Scenario(_) if property(&planned.cell) => "failed",
        Subject::Scenario(_) | Subject::Provision | Subject::Install | Subject::Teardown => "passed",
    }
}
