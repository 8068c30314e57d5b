//! How long planning takes and how many cells it finds, on the space of the fact sheet and on the whole matrix.
use gsh_model::cover::Cover;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Selection, plan};
use std::time::Instant;
fn main() {
    let text = std::fs::read_to_string("../../ci/matrix.toml").expect("matrix");
    let product = text.replace(
        "ssh-gateway = [\"on\", \"off\"]",
        "ssh-gateway = [\"on\", \"off\"]\ntemplate=[\"gsh\",\"community\"]",
    );
    let spec = gsh_model::scenario::ScenarioSpec {
        id: gsh_model::scenario::ScenarioId::of("a"),
        asks: String::new(),
        needs: vec![],
        impact: gsh_model::scenario::Impact::ReadOnly,
        patience_s: 1,
        file: String::new(),
    };
    for (name, text) in [("ci", &text), ("product", &product)] {
        let matrix = Matrix::parse(text).expect("matrix");
        for cover in [Cover::Pairwise, Cover::Triples, Cover::Full] {
            let t = Instant::now();
            let p = plan(&matrix, std::slice::from_ref(&spec), &[], &Selection { cover, ..Selection::default() })
                .expect("plan");
            let c = p.coverage.expect("c");
            eprintln!(
                "{name} {cover}: {} cells, {} of {}, at least {}, {:?}",
                p.cells.len(),
                c.covered,
                c.feasible,
                c.at_least,
                t.elapsed()
            );
        }
    }
}
