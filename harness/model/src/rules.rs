//! Which combinations make no sense, each with an id and a reason.
//!
//! A rule takes a cell out before anything is ordered. What is merely untested, or broken by the product, is no rule:
//! finding that out is what gsh is for.

use crate::axis::{AxisName, Cell, Database, Registry, Shift};

/// One reason why cells make no sense.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable name.
    pub id: &'static str,
    /// The reason, one sentence.
    pub because: &'static str,
    /// The axes it looks at, and no others.
    pub axes: &'static [AxisName],
    /// Whether it takes this cell out.
    pub excludes: fn(&Cell) -> bool,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        id: "shiftfs-needs-cgroup-v1",
        because: "the distribution declares shiftfs incompatible with nodes on cgroup v2",
        axes: &[AxisName::Shift, AxisName::Os],
        excludes: |c| c.shift == Shift::Shiftfs && c.os.cgroup() == 2,
    },
    Rule {
        id: "cgroup-v1-ends-with-kubernetes-1.35",
        because: "from Kubernetes 1.35 on the kubelet refuses nodes on cgroup v1",
        axes: &[AxisName::Os, AxisName::K3s],
        excludes: |c| c.os.cgroup() == 1 && c.k3s.minor() >= 35,
    },
    Rule {
        id: "kubernetes-too-old",
        because: "the installer's cluster check demands Kubernetes 1.21 or later",
        axes: &[AxisName::K3s],
        excludes: |c| c.k3s.minor() < 21,
    },
    Rule {
        id: "database-ca-since-2022.11.1",
        because: "`database.ssl.caCert` exists since release 2022.11.1",
        axes: &[AxisName::Database, AxisName::Gitpod],
        excludes: |c| c.database == Database::ExternalTls && c.gitpod.patch() < 1,
    },
    Rule {
        id: "gitpod-never-released",
        because: "2022.11.3 is the last release of the line with a final tag",
        axes: &[AxisName::Gitpod],
        excludes: |c| c.gitpod.patch() > 3,
    },
];

/// The first rule that takes this cell out.
#[must_use]
pub fn broken_by(cell: &Cell) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.excludes)(cell))
}

/// Servers that a cell of this kind occupies, without those that a scenario adds.
#[must_use]
pub fn servers(cell: &Cell) -> u32 {
    use crate::axis::{Size, Storage};
    let nodes = match cell.size {
        Size::Single => 1,
        Size::Small => 2,
        Size::Medium => 6,
    };
    let external = cell.database != Database::InCluster
        || cell.registry != Registry::InCluster
        || cell.storage != Storage::InCluster;
    nodes + u32::from(external)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Size;

    #[test]
    fn each_rule_takes_out_what_it_says_and_not_the_default() {
        let table: &[(&str, &[(AxisName, &str)])] = &[
            ("shiftfs-needs-cgroup-v1", &[(AxisName::Shift, "shiftfs")]),
            ("cgroup-v1-ends-with-kubernetes-1.35", &[(AxisName::Os, "ubuntu-20.04"), (AxisName::K3s, "v1.35.0+k3s1")]),
            ("kubernetes-too-old", &[(AxisName::K3s, "v1.20.15+k3s1")]),
            ("database-ca-since-2022.11.1", &[(AxisName::Database, "external-tls"), (AxisName::Gitpod, "2022.11.0")]),
            ("gitpod-never-released", &[(AxisName::Gitpod, "2022.11.4")]),
        ];
        assert_eq!(table.len(), RULES.len(), "every rule has its row");
        for (id, changes) in table {
            let mut cell = Cell::default();
            for (axis, value) in *changes {
                cell.set(*axis, value).expect("a value");
            }
            assert_eq!(broken_by(&cell).map(|r| r.id), Some(*id));
        }
        assert!(broken_by(&Cell::default()).is_none());
    }

    #[test]
    fn a_rule_looks_at_the_axes_it_names_and_at_no_others() {
        use crate::axis::{Os, Registry, SshGateway, Storage, Template, Tls};
        let all = Cell {
            shift: Shift::Shiftfs,
            os: Os::Ubuntu2004,
            database: Database::ExternalTls,
            registry: Registry::External,
            storage: Storage::S3,
            size: Size::Medium,
            k3s: "v1.36.0+k3s1".parse().expect("a release"),
            gitpod: "2022.11.0".parse().expect("a release"),
            tls: Tls::Byo,
            ssh_gateway: SshGateway::Off,
            template: Template::Community,
        };
        // Every mixture of two cells that differ everywhere: what a rule does not name must not matter to it.
        for mixture in 0..1_u32 << AxisName::CELL.len() {
            let mix = |axes: &dyn Fn(AxisName) -> bool| {
                let mut cell = Cell::default();
                for (n, axis) in AxisName::CELL.into_iter().enumerate() {
                    if mixture >> n & 1 == 1 && axes(axis) {
                        cell.set(axis, &all.get(axis)).expect("a value");
                    }
                }
                cell
            };
            for rule in RULES {
                let named = mix(&|axis| rule.axes.contains(&axis));
                assert_eq!((rule.excludes)(&mix(&|_| true)), (rule.excludes)(&named), "{}", rule.id);
            }
        }
    }

    #[test]
    fn external_stores_take_a_server() {
        assert_eq!(servers(&Cell::default()), 1);
        assert_eq!(servers(&Cell { size: Size::Medium, database: Database::External, ..Cell::default() }), 7);
    }
}
