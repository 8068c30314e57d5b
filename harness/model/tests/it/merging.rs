//! Shards of one plan become one run; what does not belong together is refused; what is missing is said.

use gsh_model::axis::Shift;
use gsh_model::cover::Cover;
use gsh_model::exit::Exit;
use gsh_model::history::RunSummary;
use gsh_model::input::{Input, InputKind};
use gsh_model::merge::merge;
use gsh_model::outcome::{Outcome, Why};
use gsh_model::plan::{Plan, Selection};
use gsh_model::run::RunState;

use crate::recorded::{Recording, green, planned, red_where};

const MATRIX: &str =
    "[axes]\nshift = [\"fuse\", \"shiftfs\"]\nos = [\"ubuntu-20.04\"]\nsize = [\"single\", \"small\"]\n";

fn sharded() -> Plan {
    planned(MATRIX, &Selection { cover: Cover::Full, max_jobs: Some(3), ..Selection::default() })
}

fn shards(plan: &Plan) -> Vec<RunState> {
    let begins = "2026-11-23T01:00:00Z";
    ["01", "02", "03"]
        .iter()
        .map(|s| Recording::of(&format!("r20261123-01-{s}"), plan, Some(s), begins).state(green))
        .collect()
}

#[test]
fn every_cell_is_in_one_shard() {
    let plan = sharded();
    assert_eq!((plan.cells.len(), plan.shards.len()), (4, 3));
    let mut of_shards: Vec<_> = plan.shards.iter().flat_map(|s| s.cells.clone()).collect();
    of_shards.sort();
    let mut all: Vec<_> = plan.cells.iter().map(|c| c.id.clone()).collect();
    all.sort();
    assert_eq!(of_shards, all);
    assert_eq!(plan.shards.iter().map(|s| s.id.to_string()).collect::<Vec<_>>(), ["01", "02", "03"]);
}

#[test]
fn the_order_of_shards_does_not_matter() {
    let plan = sharded();
    let [a, b, c]: [RunState; 3] = shards(&plan).try_into().expect("three");
    let one = merge(vec![a.clone(), b.clone(), c.clone()]).expect("they belong together");
    let other = merge(vec![c, a.clone(), b, a]).expect("a repeated record is the same record");
    assert_eq!(one, other);
    assert_eq!(one.exit(), Exit::Pass);
    assert_eq!(
        one.cells.iter().map(|c| &c.id).collect::<Vec<_>>(),
        plan.cells.iter().map(|c| &c.id).collect::<Vec<_>>()
    );
    assert_eq!(one.parts.len(), 3);
    assert!(one.missing_shards().is_empty());
}

#[test]
fn a_missing_shard_is_an_explicit_error_in_each_of_its_subjects() {
    let plan = sharded();
    let mut parts = shards(&plan);
    parts.remove(1);
    let merged = merge(parts).expect("they belong together");
    assert_eq!(merged.exit(), Exit::Inconclusive);
    assert_eq!(merged.missing_shards().iter().map(ToString::to_string).collect::<Vec<_>>(), ["02"]);
    let missing: Vec<_> = merged
        .outcomes()
        .filter(|(_, _, o)| matches!(o, Outcome::Inconclusive { why: Why::ShardMissing, .. }))
        .map(|(cell, _, _)| cell.clone())
        .collect();
    assert_eq!(missing.len(), 5 * plan.shards[1].cells.len(), "provision, install, two scenarios, teardown");
    assert!(missing.iter().all(|cell| plan.shards[1].cells.contains(cell)));
    // One shard alone is not the whole plan either.
    let alone = merge(vec![shards(&plan).remove(0)]).expect("one shard");
    assert_eq!(alone.missing_shards().len(), 2);
}

#[test]
fn a_repeated_shard_adds_attempts() {
    let plan = sharded();
    let mut parts = shards(&plan);
    parts[2] = Recording::of("r20261123-01-03", &plan, Some("03"), "2026-11-23T01:00:00Z")
        .state(red_where(|c| c.shift == Shift::Shiftfs));
    let red = merge(parts.clone()).expect("they belong together");
    assert_eq!(red.exit(), Exit::Fail);
    parts.push(Recording::of("r20261123-02-03", &plan, Some("03"), "2026-11-23T05:00:00Z").state(green));
    let again = merge(parts).expect("they belong together");
    assert_eq!(again.exit(), Exit::Pass);
    let attempts: Vec<(u32, bool)> =
        again.cells[3].subjects[2].attempts.iter().map(|a| (a.number, a.finished.is_some())).collect();
    assert_eq!(attempts, [(1, true), (2, true)]);
    assert!(again.cells[3].subjects[2].is_flaky(), "failed, then passed");
    assert!(!again.cells[3].subjects[0].is_flaky(), "passed twice");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let plan = sharded();
    let other = planned(MATRIX, &Selection { cover: Cover::Full, max_jobs: Some(2), ..Selection::default() });
    let run = |id: &str, plan: &Plan, shard: &str| Recording::of(id, plan, Some(shard), "2026-11-23T01:00:00Z");
    let first = || run("r20261123-01-01", &plan, "01").state(green);
    let mut newer = run("r20261123-01-02", &plan, "02").state(green);
    newer.header.as_mut().expect("a header").version = "0.2.0".to_owned();
    let mut templates = run("r20261123-01-02", &plan, "02").state(green);
    templates.header.as_mut().expect("a header").inputs.push(Input {
        kind: InputKind::Template,
        name: "community".to_owned(),
        digest: Some(format!("sha256:{}", "ab".repeat(32)).parse().expect("a digest")),
    });
    let cases = [
        vec![],
        vec![first(), RunState::default()],
        vec![first(), run("r20261123-01-02", &other, "02").state(green)],
        vec![first(), newer],
        vec![first(), templates],
        vec![first(), run("r20261123-01-01", &plan, "02").state(green)],
    ];
    let refused: Vec<String> = cases.into_iter().map(|c| merge(c).expect_err("must be refused").to_string()).collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn a_run_is_summed_up_and_read_back() {
    let plan = sharded();
    let run = Recording::of("r20261123-01-03", &plan, Some("03"), "2026-11-23T01:00:00Z")
        .state(red_where(|c| c.shift == Shift::Shiftfs));
    let summary = RunSummary::of(&run).expect("it was planned");
    let text = summary.to_text();
    assert_eq!(RunSummary::parse(&summary.file_name(), &text).expect("own text"), summary);
    insta::assert_snapshot!(text);

    let touched = text.replace("\"failed\"", "\"passed\"");
    let refused = [
        RunSummary::parse(&summary.file_name(), &touched),
        RunSummary::parse(&summary.file_name(), &text.replace("gsh.history/v1", "gsh.history/v9")),
        RunSummary::parse(&summary.file_name(), &text[..200]),
        RunSummary::parse("r20261123-01-04.000000000000.json", &text),
    ];
    let refused: Vec<String> = refused.into_iter().map(|r| r.expect_err("must be refused").to_string()).collect();
    insta::assert_snapshot!(refused.join("\n"));
    assert!(RunSummary::of(&RunState::default()).is_none());
}
