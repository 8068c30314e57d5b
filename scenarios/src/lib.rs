//! The catalogue of scenarios, one file each.

pub mod blame;
mod docker_in_workspace;
mod guest;
mod install_conformance;
mod isolation;
mod node_conformance;
mod scale_out;
mod ssh_on_22;
mod store_roundtrip;
mod workspace_start;

use gsh_engine::bench::Scenario;

/// Every scenario, in the order in which they run in a cell. What only looks comes first, while nothing has been changed;
/// what adds a node comes last.
pub const CATALOGUE: &[Scenario] = &[
    node_conformance::SCENARIO,
    install_conformance::SCENARIO,
    workspace_start::SCENARIO,
    docker_in_workspace::SCENARIO,
    ssh_on_22::SCENARIO,
    store_roundtrip::SCENARIO,
    isolation::SCENARIO,
    scale_out::SCENARIO,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CATALOGUE;

    #[test]
    fn names_are_unique_and_files_exist() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut names = BTreeSet::new();
        for scenario in CATALOGUE {
            let spec = (scenario.spec)();
            assert!(names.insert(spec.id.clone()), "{} is there twice", spec.id);
            assert!(root.join(&spec.file).is_file(), "{} is not at {}", spec.id, spec.file);
            assert!(spec.patience_s >= 60, "{} is given no time", spec.id);
        }
    }
}
