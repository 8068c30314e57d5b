//! Are the nodes what Gitpod needs: as the API shows them and, where somebody asked for that, the machines. Changes nothing.

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_look::tell::tell;
use gsh_look::{Case, Kind, Reader, Record, Sight, checks, machine};
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};
use jiff::Timestamp;

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("node-conformance"),
        asks: "are the nodes what Gitpod needs".to_owned(),
        needs: Vec::new(),
        impact: Impact::ReadOnly,
        patience_s: 5 * 60,
        file: "scenarios/src/node_conformance.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let reader = Reader::new(bench.cluster().kube.clone());
    let mut kinds = checks::needs(checks::of_nodes());
    if bench.cluster().nodes.iter().any(|n| n.inspect.is_some()) {
        // The record says what machines must be able to do.
        kinds.push(Kind::ConfigMap);
    }
    let sight = Sight::take(&reader, &bench.installation().namespace, &kinds).await;
    let record = Record::of(&sight);
    let case = Case { sight: &sight, record: &record, now: Timestamp::now() };
    for check in checks::of_nodes() {
        tell(bench, check.see(&case)).await;
    }
    for seen in machine::look(&bench.cluster().nodes, &record).await {
        tell(bench, seen).await;
    }
    Ok(())
}
