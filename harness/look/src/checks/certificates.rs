//! Certificates that cert-manager keeps: there, issued, and in time.

use gsh_gitpod::install::judge::{self, State};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Case, Check, Severity, Verdict};
use crate::reader::{Kind, Unseen};
use crate::sight::name;

/// How long after its time a renewal may still be under way.
const LATE: SignedDuration = SignedDuration::from_hours(24);
/// The code of the one check that an absent cert-manager answers.
pub(super) const SERVED: &str = "GSH-LOOK-401";

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: SERVED,
        title: "cert-manager is installed",
        severity: Severity::Fail,
        needs: &[Kind::Certificate, Kind::Issuer],
        judge: served,
    },
    Check {
        code: "GSH-LOOK-402",
        title: "every Issuer can issue",
        severity: Severity::Fail,
        needs: &[Kind::Issuer],
        judge: |case| issued(case, Kind::Issuer),
    },
    Check {
        code: "GSH-LOOK-403",
        title: "every Certificate is issued",
        severity: Severity::Fail,
        needs: &[Kind::Certificate],
        judge: |case| issued(case, Kind::Certificate),
    },
    Check {
        code: "GSH-LOOK-404",
        title: "no certificate has expired",
        severity: Severity::Fail,
        needs: &[Kind::Certificate],
        judge: expired,
    },
    Check {
        code: "GSH-LOOK-405",
        title: "certificates are renewed in time",
        severity: Severity::Warn,
        needs: &[Kind::Certificate],
        judge: renewed,
    },
];

/// Whether a code is of this group.
pub(super) fn asks(code: &str) -> bool {
    CHECKS.iter().any(|c| c.code == code)
}

fn served(case: &Case<'_>) -> Verdict {
    let absent =
        [Kind::Certificate, Kind::Issuer].into_iter().filter(|k| case.sight.unseen(*k) == Some(&Unseen::NotServed));
    Verdict::of(
        "the API serves certificates and issuers",
        absent.map(|k| format!("it serves no {}", k.plural())).collect(),
    )
}

fn issued(case: &Case<'_>, kind: Kind) -> Verdict {
    let wrong = case.sight.ours(kind).filter_map(|object| match judge::of(kind.word(), object) {
        Some(State::Ready) | None => None,
        Some(State::NotYet(why) | State::Broken(why)) => Some(format!("{}: {why}", name(object))),
    });
    Verdict::of(format!("every {kind} is Ready"), wrong.collect())
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn expired(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.ours(Kind::Certificate).filter_map(|c| {
        let end = time(&c["status"]["notAfter"]).filter(|end| *end <= case.now)?;
        Some(format!("{} ended at {end}", name(c)))
    });
    Verdict::of("no certificate has expired", wrong.collect())
}

fn renewed(case: &Case<'_>) -> Verdict {
    let wrong = case.sight.ours(Kind::Certificate).filter_map(|c| {
        let due = time(&c["status"]["renewalTime"]).filter(|due| *due + LATE < case.now)?;
        Some(format!("{} was due at {due}", name(c)))
    });
    Verdict::of("no renewal is more than a day late", wrong.collect())
}
