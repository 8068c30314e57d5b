//! Recorded facts. Terminal, reports and gate know nothing else.
//!
//! Events carry facts, never presentation. Adding a variant breaks every match on purpose; bump [`FORMAT`] and extend
//! the golden ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::axis::CellId;
use crate::budget::{Bill, Euros};
use crate::check::CheckName;
use crate::input::Input;
use crate::lease::{LeaseId, Resource, RunId};
use crate::outcome::{Blame, Evidence, Finding, Outcome, SkipReason, Subject};
use crate::plan::Plan;

/// Version of the ledger format.
pub const FORMAT: u32 = 1;

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Position in the ledger, from 1, without gaps.
    pub seq: u64,
    /// When the dispatcher recorded it.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// Why a run was asked to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// SIGINT or SIGTERM.
    Signal,
    /// The run's own deadline.
    Deadline,
    /// Events could no longer be written: no evidence, no verdict.
    LedgerLost,
    /// `--fail-fast run` and something was not green.
    FailFast,
}

/// What came of one observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed {
        /// Whose fault.
        blame: Blame,
        /// What was seen.
        finding: Finding,
    },
    /// Could not be looked at here, and why. Only for reasons known before looking, such as a mapped port.
    Skipped(SkipReason),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum EventKind {
    /// The first line of every ledger.
    RunStarted {
        /// [`FORMAT`].
        format: u32,
        /// The run.
        run: RunId,
        /// Version of gsh.
        version: String,
        /// How real it is.
        evidence: Evidence,
        /// `hetzner`, `embedded` or `attached`: what the user chose.
        provider: String,
        /// What the run was made from, by digest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inputs: Vec<Input>,
    },
    /// The second line: from here on silence is visible.
    RunPlanned {
        /// The whole plan.
        plan: Box<Plan>,
    },
    /// The most that the whole run may cost, tax included. At most once, before the first lease.
    BudgetSet {
        /// The cap.
        cap: Euros,
    },
    /// Another process goes on with a run whose process died. Every attempt that has no end is over, as interrupted;
    /// every lease that has no end belongs to nobody and is given back next.
    RunResumed {
        /// Version of gsh that goes on.
        version: String,
    },
    /// Written and synced before anything is created.
    LeaseRequested {
        /// For which cell.
        cell: CellId,
        /// Under which name.
        lease: LeaseId,
        /// From when on anybody may remove it.
        expires: Timestamp,
    },
    /// The cluster is reachable.
    LeaseReady {
        /// For which cell.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// Names of its servers.
        servers: Vec<String>,
    },
    /// Work on a subject began.
    SubjectStarted {
        /// Where.
        cell: CellId,
        /// What.
        subject: Subject,
        /// From 1.
        attempt: u32,
    },
    /// One observation was made.
    CheckFinished {
        /// Where.
        cell: CellId,
        /// In which subject.
        subject: Subject,
        /// In which attempt.
        attempt: u32,
        /// The check.
        check: CheckName,
        /// What it asks, as a statement: `a bad token is refused`.
        title: String,
        /// What came of it.
        result: CheckResult,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// Something worth knowing that judges nothing.
    Noted {
        /// Where, or the whole run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<CellId>,
        /// In which subject.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Subject>,
        /// The note, already scrubbed.
        text: String,
    },
    /// Evidence was kept.
    ArtifactKept {
        /// Where.
        cell: CellId,
        /// In which subject.
        subject: Subject,
        /// In which attempt.
        attempt: u32,
        /// What the scenario calls it.
        name: String,
        /// Path below the run directory.
        path: String,
        /// Bytes kept, after scrubbing and cutting.
        bytes: u64,
    },
    /// A node was added to a lease.
    NodeAdded {
        /// Where.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// Name of the node.
        node: String,
    },
    /// A subject is finished, in this attempt.
    SubjectFinished {
        /// Where.
        cell: CellId,
        /// What.
        subject: Subject,
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// The run was asked to stop.
    StopRequested {
        /// Why.
        reason: StopReason,
    },
    /// What a part of a lease has cost that is about to be removed before the rest of it, such as a machine that is replaced.
    /// The whole is not known by that.
    PartCharged {
        /// Where.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// Line by line.
        bill: Bill,
    },
    /// What a lease has cost so far, from the account's own prices. Recorded before its things are removed; a later one
    /// adds to it.
    LeaseCharged {
        /// Where.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// Line by line.
        bill: Bill,
    },
    /// Everything of a lease is gone.
    LeaseReleased {
        /// Where.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// What was removed.
        removed: Vec<Resource>,
    },
    /// Something of a lease may still be there.
    LeaseLeaked {
        /// Where.
        cell: CellId,
        /// The lease.
        lease: LeaseId,
        /// What is known to be left; empty when even that could not be found out.
        left: Vec<Resource>,
        /// Why it could not be removed.
        reason: String,
    },
    /// The closing inventory by label.
    InventoryTaken {
        /// Everything with the run's label that is still in the account; empty is the proof that nothing is left.
        left: Vec<Resource>,
    },
    /// The last line of a complete ledger.
    RunFinished,
}

impl EventKind {
    /// The cell it belongs to.
    #[must_use]
    pub fn cell(&self) -> Option<&CellId> {
        match self {
            Self::RunStarted { .. }
            | Self::RunPlanned { .. }
            | Self::BudgetSet { .. }
            | Self::RunResumed { .. }
            | Self::StopRequested { .. }
            | Self::InventoryTaken { .. }
            | Self::RunFinished => None,
            Self::Noted { cell, .. } => cell.as_ref(),
            Self::LeaseRequested { cell, .. }
            | Self::LeaseReady { cell, .. }
            | Self::SubjectStarted { cell, .. }
            | Self::CheckFinished { cell, .. }
            | Self::ArtifactKept { cell, .. }
            | Self::NodeAdded { cell, .. }
            | Self::SubjectFinished { cell, .. }
            | Self::PartCharged { cell, .. }
            | Self::LeaseCharged { cell, .. }
            | Self::LeaseReleased { cell, .. }
            | Self::LeaseLeaked { cell, .. } => Some(cell),
        }
    }
}
