//! The smallest culprit: planted, then found from what a run shows.

use gsh_model::axis::{AxisName, Cell};
use gsh_model::cover::Cover;
use gsh_model::explain::{Explanation, explain, sureness};
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Plan, Selection, plan};
use gsh_model::run::RunState;
use gsh_model::tuple::Tuple;
use proptest::prelude::*;

use crate::recorded::{OFFERS, Recording, catalogue, green, red_where};

const MATRIX: &str = r#"
[axes]
shift = ["fuse", "shiftfs"]
os = ["ubuntu-22.04", "ubuntu-20.04"]
database = ["incluster", "external", "external-tls"]
registry = ["incluster", "incluster-s3", "external"]
size = ["single", "small"]
tls = ["private-ca", "byo"]
[stores.s3]
endpoint = "https://s3.example.com"
region = "eu"
bucket = "content"
registry-bucket = "images"
access-key-from = "GSH_ACCESS"
secret-key-from = "GSH_SECRET"
"#;

fn matrix() -> Matrix {
    Matrix::parse(MATRIX).expect("a matrix")
}

fn planned(selection: Selection) -> Plan {
    plan(&matrix(), &catalogue(), &OFFERS, &selection).expect("a plan")
}

/// A run in which exactly the cells with this combination fail.
fn run_with(culprit: &Tuple, plan: &Plan, n: usize) -> RunState {
    Recording::of(&format!("r2026-{n}"), plan, None, "2026-11-23T01:00:00Z")
        .state(red_where(|cell| culprit.is_in(cell)))
}

/// Explains and narrows until the explanation is almost certain, and says how many runs that took.
fn narrowed(culprit: &Tuple) -> (Explanation, usize) {
    let mut runs = vec![run_with(culprit, &planned(Selection::default()), 0)];
    loop {
        let mut all = explain(&runs, &matrix());
        // Both scenarios fail alike.
        assert_eq!(all.len(), 2);
        let one = all.remove(0);
        if one.deciding.is_empty() || runs.len() > 5 {
            return (one, runs.len());
        }
        let only: Vec<(Cell, String)> = one.deciding.iter().map(|d| (d.cell.clone(), "narrow".to_owned())).collect();
        runs.push(run_with(culprit, &planned(Selection { only, ..Selection::default() }), runs.len()));
    }
}

#[test]
fn a_planted_pair_is_found_by_narrowing() {
    let culprit: Tuple = "shift=fuse database=external".parse().expect("a pair");
    let (explanation, runs) = narrowed(&culprit);
    assert_eq!(explanation.suspicions[0].tuple, culprit, "{explanation:#?}");
    assert_eq!(sureness(explanation.suspicions[0].probability), "almost certainly");
    assert!(runs <= 3, "{runs} runs");
}

#[test]
fn a_first_explanation_reads_well() {
    let culprit: Tuple = "database=external".parse().expect("a value");
    let run = run_with(&culprit, &planned(Selection::default()), 0);
    insta::assert_snapshot!(serde_json::to_string_pretty(&explain(&[run], &matrix())[0]).expect("JSON"));
}

#[test]
fn failures_everywhere_and_failures_nowhere_have_no_culprit() {
    let plan = planned(Selection { cover: Cover::Pairwise, ..Selection::default() });
    let recording = Recording::of("r2026-1", &plan, None, "2026-11-23T01:00:00Z");
    let all = explain(&[recording.state(red_where(|_| true))], &matrix());
    assert!(all[0].unrelated > 0.8, "{:#?}", all[0]);
    assert!(explain(&[recording.state(green)], &matrix()).is_empty());
    let environment = recording.state(|_, _| "environment");
    assert!(explain(&[environment], &matrix()).is_empty(), "the cloud's trouble says nothing about values");
}

#[test]
fn a_value_that_a_rule_forces_is_not_part_of_the_culprit() {
    let culprit: Tuple = "shift=shiftfs".parse().expect("a value");
    let (explanation, _) = narrowed(&culprit);
    assert_eq!(explanation.suspicions[0].tuple, culprit, "not `shift=shiftfs os=ubuntu-20.04`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_planted_value_or_pair_is_found(
        cell in 0_usize..96,
        axes in proptest::sample::subsequence(
            vec![AxisName::Os, AxisName::Database, AxisName::Registry, AxisName::Size, AxisName::Tls], 1..=2),
    ) {
        let valid: Vec<Cell> = matrix().cells().filter(|c| gsh_model::rules::broken_by(c).is_none()).collect();
        let culprit = Tuple::of(&valid[cell % valid.len()], &axes);
        let (explanation, _) = narrowed(&culprit);
        prop_assert_eq!(&explanation.suspicions[0].tuple, &culprit);
    }
}
