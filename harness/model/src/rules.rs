//! Which combinations make no sense, each with an id and a reason.
//!
//! A rule takes a cell out before anything is ordered. What is merely untested, or broken by the product, is no rule:
//! finding that out is what gsh is for.

use crate::axis::{AxisName, Cell, Database, Registry, Shift};
use crate::stores::GivenStores;

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

/// Every rule that holds whatever is given.
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

/// Holds as long as no S3 store is given.
const NO_STORE: Rule = Rule {
    id: "registry-on-s3-needs-a-given-store",
    because: "the registry in the cluster takes only an HTTPS store with a public certificate, which gsh cannot bring up: give one in [stores.s3]",
    axes: &[AxisName::Registry],
    excludes: |c| c.registry == Registry::InClusterS3,
};

/// Holds as long as the S3 store that is given is one without TLS.
const NO_TLS: Rule = Rule {
    id: "registry-on-s3-needs-https",
    because: "the registry in the cluster takes only an HTTPS store, and `endpoint` of [stores.s3] is plain HTTP",
    ..NO_STORE
};

/// The rules that hold where these stores are given.
pub fn holding(given: &GivenStores) -> impl Iterator<Item = &'static Rule> {
    let lacking = match &given.s3 {
        None => Some(&NO_STORE),
        Some(s3) if !s3.is_secure() => Some(&NO_TLS),
        Some(_) => None,
    };
    RULES.iter().chain(lacking)
}

/// The first rule that takes this cell out, wherever it runs: what is somebody's own has the stores that it has.
#[must_use]
pub fn broken_by(cell: &Cell) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.excludes)(cell))
}

/// The first rule that takes this cell out where gsh provisions it and these stores are given.
#[must_use]
pub fn forbidding(cell: &Cell, given: &GivenStores) -> Option<&'static Rule> {
    holding(given).find(|rule| (rule.excludes)(cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Size;
    use crate::stores::tests::given;

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
    fn a_registry_on_s3_needs_a_store_over_https() {
        let cell = Cell { registry: Registry::InClusterS3, ..Cell::default() };
        let by = |given: &GivenStores| forbidding(&cell, given).map(|r| r.id);
        assert_eq!(by(&GivenStores::default()), Some("registry-on-s3-needs-a-given-store"));
        assert_eq!(by(&given()), None);
        let mut plain = given();
        plain.s3.as_mut().expect("a store").endpoint = "http://s3.example.com".to_owned();
        assert_eq!(by(&plain), Some("registry-on-s3-needs-https"));
        assert!(broken_by(&cell).is_none(), "an installation that somebody has may well be like this");
    }
}
