//! How long planning takes and how many cells it finds: two small spaces beside the sizes that PICT publishes for
//! it, and the whole matrix beside the lower bound.
//!
//! `cargo bench -p gsh-model --bench planning`. Times are the best of five.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use gsh_model::cover::Cover;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Selection, plan};
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};

/// A space whose best sizes are known.
const KNOWN: &str = include_str!("../tests/known.toml");

fn main() {
    let ours = include_str!("../../../ci/matrix.toml");
    let product = ours.replace("[axes]", "[axes]\ntemplate = [\"gsh\", \"community\"]");
    let smaller = KNOWN.replace(", \"s3-multibucket\"", "");
    // Best of 60 seeds with PICT 3.7, from the published comparison.
    let rows: [(&str, &str, Cover, Option<usize>); 8] = [
        ("288 cells of seven axes", &smaller, Cover::Pairwise, Some(9)),
        ("288 cells of seven axes", &smaller, Cover::Triples, Some(24)),
        ("432 cells of seven axes", KNOWN, Cover::Pairwise, Some(10)),
        ("432 cells of seven axes", KNOWN, Cover::Triples, Some(29)),
        ("ci/matrix.toml", ours, Cover::Pairwise, None),
        ("ci/matrix.toml", ours, Cover::Triples, None),
        ("ci/matrix.toml and template", &product, Cover::Pairwise, None),
        ("ci/matrix.toml and template", &product, Cover::Triples, None),
    ];
    println!("| matrix | cover | combinations | cells | at least | PICT | CPU | wall |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, text, cover, pict) in rows {
        let matrix = Matrix::parse(text).expect("a matrix");
        let selection = Selection { cover, ..Selection::default() };
        let (mut best, mut cpu) = (Duration::MAX, i64::MAX);
        let mut planned = None;
        for _ in 0..5 {
            let (begun, used) = (Instant::now(), cpu_us());
            planned = plan(&matrix, &[scenario()], &[], &selection).ok();
            best = best.min(begun.elapsed());
            cpu = cpu.min(cpu_us() - used);
        }
        let planned = planned.expect("a plan");
        let coverage = planned.coverage.expect("counts");
        let pict = pict.map_or_else(|| "–".to_owned(), |n| n.to_string());
        println!(
            "| {name} | {cover} | {} | {} | {} | {pict} | {} ms | {} ms |",
            coverage.feasible,
            planned.cells.len(),
            coverage.at_least,
            cpu / 1000,
            best.as_millis()
        );
    }
}

/// CPU time of this process so far, in microseconds: what stays the same on a busy machine.
fn cpu_us() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has its usage");
    (usage.user_time() + usage.system_time()).num_microseconds()
}

fn scenario() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("workspace-start"),
        asks: "does a workspace start".to_owned(),
        needs: Vec::new(),
        impact: Impact::CreatesWorkspace,
        patience_s: 60,
        file: "scenarios/src/workspace_start.rs".to_owned(),
    }
}
