//! Which combinations make no sense, each with an id and a reason.
//!
//! A rule takes a cell out before anything is ordered. What is merely untested, or broken by the product, is no rule:
//! finding that out is what gsh is for.

use crate::axis::{Cell, Database, Registry, Shift};

/// One reason why cells make no sense.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable name.
    pub id: &'static str,
    /// The reason, one sentence.
    pub because: &'static str,
    /// Whether it takes this cell out.
    pub excludes: fn(&Cell) -> bool,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        id: "shiftfs-needs-cgroup-v1",
        because: "the distribution declares shiftfs incompatible with nodes on cgroup v2",
        excludes: |c| c.shift == Shift::Shiftfs && c.os.cgroup() == 2,
    },
    Rule {
        id: "cgroup-v1-ends-with-kubernetes-1.35",
        because: "from Kubernetes 1.35 on the kubelet refuses nodes on cgroup v1",
        excludes: |c| c.os.cgroup() == 1 && c.k3s.minor() >= 35,
    },
    Rule {
        id: "kubernetes-too-old",
        because: "the installer's cluster check demands Kubernetes 1.21 or later",
        excludes: |c| c.k3s.minor() < 21,
    },
    Rule {
        id: "database-ca-since-2022.11.1",
        because: "`database.ssl.caCert` exists since release 2022.11.1",
        excludes: |c| c.database == Database::ExternalTls && c.gitpod.patch() < 1,
    },
    Rule {
        id: "gitpod-never-released",
        because: "2022.11.3 is the last release of the line with a final tag",
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
    use crate::axis::{AxisName, Size};

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
    fn external_stores_take_a_server() {
        assert_eq!(servers(&Cell::default()), 1);
        assert_eq!(servers(&Cell { size: Size::Medium, database: Database::External, ..Cell::default() }), 7);
    }
}
