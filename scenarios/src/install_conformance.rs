//! Is the installation what its record says, ready, in time, and reachable? Changes nothing.

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_look::outside::{self, Outside};
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
        tell(bench, check.code, check.title, check.severity, check.judge(&case)).await;
    }
    for seen in outside::look(&site(bench, &record)).await {
        tell(bench, seen.code, seen.title, seen.severity, seen.verdict).await;
    }
    Ok(())
}

fn site(bench: &Bench, record: &Record) -> Outside {
    let (cluster, installation) = (bench.cluster(), bench.installation());
    let unknown = || "nobody knows where the site answers: its domain cannot be resolved here".to_owned();
    let known = !cluster.ingress.is_unspecified() && !installation.domain.is_empty();
    let private = record.field("/customCACert").is_some();
    Outside {
        domain: installation.domain.clone(),
        address: if known { Ok(cluster.ingress) } else { Err(unknown()) },
        reach: cluster.reach.clone(),
        authority: match &installation.ca_pem {
            None if private => Err("the certificate of the private authority could not be read".to_owned()),
            pem => Ok(pem.clone()),
        },
        version: record.version.clone(),
        gateway: record.config.as_ref().map(|_| record.gateway()),
        host_key: installation.gateway_host_key.clone(),
        registry: record.config.is_some() && record.in_cluster("containerRegistry"),
        now: Timestamp::now(),
    }
}
