//! Covering arrays: everything valid is in, nothing invalid is, and the sizes are the best known.

use gsh_model::axis::Cell;
use gsh_model::cover::Cover;
use gsh_model::cover::check::check;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Plan, Selection, plan};
use proptest::prelude::*;

use crate::recorded::{OFFERS, catalogue};

/// A space whose best sizes are known.
const KNOWN: &str = include_str!("../known.toml");

/// Every axis of the product with every value that it names.
const PRODUCT: &str = r#"
[axes]
shift = ["fuse", "shiftfs"]
os = ["ubuntu-22.04", "ubuntu-20.04", "ubuntu-24.04"]
database = ["incluster", "external", "external-tls"]
registry = ["incluster", "incluster-s3", "external"]
storage = ["incluster", "s3", "s3-multibucket"]
size = ["single", "small", "medium"]
k3s = ["v1.24.17+k3s1", "v1.24.8+k3s1", "v1.23.9+k3s1"]
gitpod = ["2022.11.3", "2022.11.1"]
tls = ["private-ca", "byo"]
ssh-gateway = ["on", "off"]
template = ["gsh", "community"]
[stores.s3]
endpoint = "https://s3.example.com"
region = "eu"
bucket = "content"
registry-bucket = "images"
access-key-from = "GSH_ACCESS"
secret-key-from = "GSH_SECRET"
"#;

fn covered(matrix: &str, cover: Cover) -> (Matrix, Plan) {
    let matrix = Matrix::parse(matrix).expect("a matrix");
    let plan = plan(&matrix, &catalogue(), &OFFERS, &Selection { cover, ..Selection::default() }).expect("a plan");
    (matrix, plan)
}

fn counts(plan: &Plan) -> (usize, usize, usize) {
    let coverage = plan.coverage.as_ref().expect("counts");
    assert_eq!(coverage.covered + coverage.open.len().min(coverage.feasible), coverage.feasible);
    (plan.cells.len(), coverage.feasible, coverage.at_least)
}

#[test]
fn a_space_with_known_sizes_needs_9_and_27_cells() {
    assert_eq!(counts(&covered(KNOWN, Cover::Pairwise).1), (9, 123, 9), "optimal: 9 pairs need 9 cells");
    assert_eq!(counts(&covered(KNOWN, Cover::Triples).1), (27, 491, 27), "optimal: 27 triples need 27 cells");
    let two = KNOWN.replace(", \"s3-multibucket\"", "");
    assert_eq!(counts(&covered(&two, Cover::Pairwise).1), (9, 109, 9));
    assert_eq!(counts(&covered(&two, Cover::Triples).1), (21, 410, 18), "21 is the best known");
}

#[test]
fn the_matrix_of_the_product_is_covered_and_proved_so_by_another_way() {
    for (cover, strength, size) in [(Cover::Pairwise, 2, 13), (Cover::Triples, 3, 36)] {
        let (matrix, plan) = covered(PRODUCT, cover);
        let cells: Vec<Cell> = plan.cells.iter().map(|c| c.cell.clone()).collect();
        let proof = check(&matrix, |_| true, &cells, strength);
        assert!(proof.holds(), "{proof:?}");
        let (cells, feasible, _) = counts(&plan);
        assert_eq!(proof.feasible, feasible);
        assert_eq!(cells, size, "{cover}");
    }
}

#[test]
fn the_same_matrix_gives_the_same_cells_every_time_and_the_base_first() {
    let ids = |plan: &Plan| plan.cells.iter().map(|c| c.id.to_string()).collect::<Vec<_>>();
    let plan = covered(PRODUCT, Cover::Pairwise).1;
    assert_eq!(ids(&plan), ids(&covered(PRODUCT, Cover::Pairwise).1));
    // Also on every other machine: this list is part of the product.
    insta::assert_snapshot!(plan.cells.iter().map(|c| format!("{} ({})", c.id, c.why)).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_check_sees_a_missing_pair_and_an_invalid_cell() {
    let (matrix, plan) = covered(PRODUCT, Cover::Pairwise);
    let mut cells: Vec<Cell> = plan.cells.iter().map(|c| c.cell.clone()).collect();
    cells.pop();
    let mut invalid = Cell::default();
    invalid.set(gsh_model::axis::AxisName::Shift, "shiftfs").expect("a value");
    cells.push(invalid);
    let proof = check(&matrix, |_| true, &cells, 2);
    assert!(!proof.missing.is_empty(), "a cover without superfluous cells misses something without its last one");
    assert_eq!(proof.invalid.len(), 1, "{:?}", proof.invalid);
    assert!(!proof.holds());
}

#[test]
fn one_off_varies_one_axis_where_the_rules_allow() {
    let matrix = "[axes]\nshift = [\"fuse\", \"shiftfs\"]\nos = [\"ubuntu-22.04\", \"ubuntu-20.04\", \"ubuntu-24.04\"]";
    let names: Vec<String> = covered(matrix, Cover::OneOff).1.cells.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(names, ["default", "shift-shiftfs--os-ubuntu-20-04", "os-ubuntu-20-04", "os-ubuntu-24-04"]);
}

#[test]
fn values_that_no_cell_can_have_are_reported_with_what_takes_them_out() {
    let matrix = r#"
[axes]
shift = ["fuse", "shiftfs"]
size = ["single", "small"]
gitpod = ["2022.11.3", "2022.11.9"]
[[exclude]]
size = "small"
shift = "fuse"
because = "no room"
"#;
    let plan = covered(matrix, Cover::Pairwise).1;
    let words: Vec<String> =
        plan.infeasible.iter().map(|i| format!("{}={} by {}", i.axis, i.value, i.by.join(", "))).collect();
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn an_include_is_in_and_what_it_contains_is_not_looked_for_again() {
    let include = |text: &str| format!("{KNOWN}\n[[include]]\n{text}\nbecause = \"a customer has it\"\n");
    let inside = covered(
        &include(
            "os = \"ubuntu-24.04\"\ndatabase = \"external\"\nregistry = \"external\"\nstorage = \"s3-multibucket\"\nsize = \"small\"\nk3s = \"v1.23.9+k3s1\"\ntls = \"byo\"",
        ),
        Cover::Pairwise,
    )
    .1;
    assert!(inside.cells.len() <= 10, "it is one of those, not one more beside them: {}", inside.cells.len());
    assert!(inside.cells[1].why.starts_with("include: a customer has it; "), "{}", inside.cells[1].why);
    let outside = covered(&include("ssh-gateway = \"off\""), Cover::Pairwise).1;
    assert_eq!(outside.cells.len(), 10);
    assert_eq!(outside.cells[9].why, "include: a customer has it");
}

fn some_of(values: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(values, 1..=values.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_valid_combination_is_in_and_no_invalid_cell(
        shift in some_of(&["fuse", "shiftfs"]),
        os in some_of(&["ubuntu-22.04", "ubuntu-20.04", "ubuntu-24.04"]),
        database in some_of(&["incluster", "external", "external-tls"]),
        registry in some_of(&["incluster", "incluster-s3", "external"]),
        size in some_of(&["single", "small", "medium"]),
        gitpod in some_of(&["2022.11.3", "2022.11.0", "2022.11.7"]),
        tls in some_of(&["private-ca", "byo"]),
        excludes in proptest::collection::vec((0_usize..3, 0_usize..3, 0_usize..3), 0..4),
        cover in proptest::sample::select(vec![Cover::Pairwise, Cover::Triples]),
    ) {
        let mut text = format!(
            "[axes]\nshift = {shift:?}\nos = {os:?}\ndatabase = {database:?}\nregistry = {registry:?}\nsize = {size:?}\ngitpod = {gitpod:?}\ntls = {tls:?}\n"
        );
        for (d, r, s) in excludes {
            let (d, r, s) = (d % database.len(), r % registry.len(), s % size.len());
            text.push_str(&format!(
                "[[exclude]]\ndatabase = {:?}\nregistry = {:?}\nsize = {:?}\nbecause = \"to see\"\n",
                database[d], registry[r], size[s]
            ));
        }
        let matrix = Matrix::parse(&text).expect("a matrix");
        let selection = Selection { cover, ..Selection::default() };
        let Ok(plan) = plan(&matrix, &catalogue(), &OFFERS, &selection) else { return Ok(()) };
        let cells: Vec<Cell> = plan.cells.iter().map(|c| c.cell.clone()).collect();
        let coverage = plan.coverage.expect("counts");
        let proof = check(&matrix, |_| true, &cells, cover.strength());
        prop_assert!(proof.holds(), "{proof:?}\n{text}");
        prop_assert_eq!(coverage.covered, coverage.feasible);
        prop_assert!(cells.len() >= coverage.at_least);
    }
}
