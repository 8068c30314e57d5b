//! The language of `--select`: what it chooses, and how it shows a mistake.

use gsh_model::cover::Cover;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Plan, PlanError, Selection, plan};

use crate::recorded::{OFFERS, catalogue};

const MATRIX: &str = r#"
[axes]
size = ["single", "small", "medium"]
database = ["incluster", "external"]
tls = ["private-ca", "byo"]
[[tag]]
name = "smoke"
size = "single"
database = "incluster"
because = "what every change is tried on"
"#;

fn selected(text: &str) -> Result<Plan, PlanError> {
    let matrix = Matrix::parse(MATRIX).expect("a matrix");
    let selection = Selection { cover: Cover::Full, select: Some(text.to_owned()), ..Selection::default() };
    plan(&matrix, &catalogue(), &OFFERS, &selection)
}

/// Cells with their scenarios, in words.
fn shown(text: &str) -> String {
    let plan = selected(text).expect("a plan");
    let cells = plan.cells.iter().map(|cell| {
        let scenarios: Vec<&str> = cell.scenarios.iter().map(|s| s.scenario.as_str()).collect();
        format!("  {}: {}", cell.id, scenarios.join(", "))
    });
    format!("{text}\n{}", cells.collect::<Vec<_>>().join("\n"))
}

#[test]
fn expressions_choose_cells_and_scenarios() {
    let shown: Vec<String> = [
        "size=single",
        "size=single|small,tls!=byo",
        "size = small and (database = external or tls = byo)",
        "not (size=single or size=medium), tls=byo",
        "size in (single, medium) and database not in (external) and tls=byo",
        "tag=smoke",
        "tag!=smoke and size=single",
        "scenario=ssh-on-22 and tag=smoke",
        "size=single and tls=byo and (scenario=workspace-start or database=external)",
        "tag=needs-ssh-gateway, size=medium, tls=private-ca",
        "size=single or size=small, tls=byo, database=incluster",
        "size==single and tls=byo and not database=incluster",
    ]
    .map(shown)
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn mistakes_are_pointed_at() {
    let refused: Vec<String> = [
        "sise=single",
        "size=singel",
        "size",
        "size single",
        "size=",
        "size=single|",
        "size=single and",
        "size=single or and tls=byo",
        "size=single tls=byo",
        "(size=single or tls=byo",
        "size=single)",
        "size in single",
        "size in (single",
        "size in (single tls)",
        "scenario=ssh-on-2",
        "tag=smok",
        "tag=",
        "not",
        "",
        "and size=single",
        "größe=single, sise=small",
        "size=single and\ntls=bio",
        "size=medium and size=small",
    ]
    .map(|text| selected(text).expect_err(text).to_string())
    .to_vec();
    insta::assert_snapshot!(refused.join("\n"));
}
