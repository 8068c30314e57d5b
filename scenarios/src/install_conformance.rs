//! Is the installation what its record says, ready, in time, and reachable? Changes nothing.

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_look::outside::{self, Caller, Outside};
use gsh_look::tell::tell;
use gsh_look::{Case, Reader, Record, Sight, checks};
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};
use jiff::Timestamp;

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("install-conformance"),
        asks: "is the installation complete, ready, in time and reachable".to_owned(),
        needs: Vec::new(),
        impact: Impact::ReadOnly,
        patience_s: 5 * 60,
        file: "scenarios/src/install_conformance.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let reader = Reader::new(bench.cluster().kube.clone());
    let sight = Sight::take(&reader, &bench.installation().namespace, &checks::needs(checks::of_installation())).await;
    let record = Record::of(&sight);
    let case = Case { sight: &sight, record: &record, now: Timestamp::now() };
    for check in checks::of_installation() {
        tell(bench, check.see(&case)).await;
    }
    for seen in outside::look(&site(bench, &record)).await {
        tell(bench, seen).await;
    }
    Ok(())
}

fn site(bench: &Bench, record: &Record) -> Outside {
    let (cluster, installation) = (bench.cluster(), bench.installation());
    let caller = Caller {
        domain: installation.domain.clone(),
        ingress: cluster.ingress,
        reach: cluster.reach.clone(),
        ca_pem: installation.ca_pem.clone(),
        host_key: installation.gateway_host_key.clone(),
    };
    Outside::of(record, caller, Timestamp::now())
}
