//! Every planned (cell, subject) and how it stands, once waivers, tiers and earlier runs are looked at.

use std::collections::BTreeSet;

use gsh_model::axis::Cell;
use gsh_model::input;
use gsh_model::lease::RunId;
use gsh_model::outcome::{Outcome, Subject, Why};
use gsh_model::plan::PlannedCell;
use gsh_model::run::{CellState, SubjectState};
use gsh_model::scenario::ScenarioId;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::gate::Case;
use crate::past::{Grade, Past};
use crate::policy::{Leftovers, Tier};
use crate::verdict::{Counts, WaiverSeen, WaiverState};
use crate::waiver::{Life, Waiver};

/// How a subject stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Passed at once, or after trouble of the environment only.
    Passed,
    /// Passed after a product failure.
    Flaky,
    /// The product failed.
    Failed(String),
    /// Environment or harness, in words.
    Unclear(String),
    /// Never ran, blocked or stopped, in words.
    NotRun(String),
    /// The plan left it out.
    Skipped,
}

/// One planned (cell, subject).
pub(crate) struct Place<'a> {
    pub(crate) planned: &'a PlannedCell,
    pub(crate) subject: &'a Subject,
    pub(crate) state: &'a SubjectState,
    pub(crate) standing: Standing,
    /// The live waiver that covers it.
    pub(crate) waiver: Option<&'a Waiver>,
    /// Whether it decides.
    pub(crate) blocking: bool,
}

impl Place<'_> {
    /// `<cell>/<subject>`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.planned.id, self.subject)
    }

    /// With what was seen.
    pub(crate) fn told(&self) -> String {
        match &self.standing {
            Standing::Failed(text) | Standing::Unclear(text) | Standing::NotRun(text) => {
                format!("{}: {text}", self.name())
            }
            Standing::Passed | Standing::Flaky | Standing::Skipped => self.name(),
        }
    }

    /// Whether it may count towards a pass.
    pub(crate) fn is_good(&self) -> bool {
        match self.standing {
            Standing::Passed | Standing::Flaky | Standing::Skipped => true,
            Standing::Failed(_) | Standing::Unclear(_) | Standing::NotRun(_) => self.waiver.is_some(),
        }
    }
}

/// Everything that requirements look at.
pub(crate) struct Facts<'a> {
    pub(crate) places: Vec<Place<'a>>,
    pub(crate) cells: Vec<(&'a PlannedCell, &'a CellState)>,
    /// Earlier runs, the ones judged now taken out, newest first.
    pub(crate) past: Vec<&'a Past>,
    /// Started runs of the same subject without a record, newest first.
    pub(crate) left_out: Vec<RunId>,
    /// When each of them started.
    pub(crate) left_out_at: Vec<Timestamp>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(case: &Case<'a>) -> Self {
        let state: &'a gsh_model::run::RunState = case.state;
        let cells: Vec<(&PlannedCell, &CellState)> = state
            .plan
            .iter()
            .flat_map(|p| &p.cells)
            .filter_map(|planned| state.cell(&planned.id).map(|cell| (planned, cell)))
            .collect();
        let places = cells
            .iter()
            .flat_map(|(planned, cell)| cell.subjects.iter().map(|state| place(case, planned, state)))
            .collect();
        let ours: BTreeSet<&RunId> = case
            .ledgers
            .iter()
            .filter_map(|l| l.run.as_ref())
            .chain(state.header.iter().map(|h| &h.run))
            .chain(state.parts.iter().map(|h| &h.run))
            .collect();
        let mut past: Vec<&Past> = case.past.iter().filter(|p| !ours.contains(&p.run)).collect();
        past.sort_by(|a, b| (b.started, &b.run).cmp(&(a.started, &a.run)));
        past.dedup_by(|a, b| a.run == b.run);
        let mut left_out = Vec::new();
        let mut left_out_at = Vec::new();
        for entry in case.index.iter().flat_map(|i| &i.entries).rev() {
            let recorded = ours.contains(&entry.run) || past.iter().any(|p| p.run == entry.run);
            let same =
                state.header.as_ref().is_some_and(|h| input::by_name(&h.inputs) == input::by_name(&entry.inputs));
            let counts = case.policy.evidence.contains(&entry.evidence);
            if same && counts && !recorded {
                left_out.push(entry.run.clone());
                left_out_at.push(entry.started);
            }
        }
        Self { places, cells, past, left_out, left_out_at }
    }

    /// Those that decide.
    pub(crate) fn blocking(&self) -> impl Iterator<Item = &Place<'a>> {
        self.places.iter().filter(|p| p.blocking)
    }

    /// Cells in which everything that decides is good.
    pub(crate) fn proven(&self) -> Vec<&'a Cell> {
        let good = |id| self.blocking().filter(|p| p.planned.id == id).all(Place::is_good);
        let examined = |cell: &PlannedCell| cell.scenarios.iter().any(|s| s.skip.is_none());
        self.cells.iter().filter(|(p, _)| examined(p) && good(p.id.clone())).map(|(p, _)| &p.cell).collect()
    }

    /// Whether a scenario has passed somewhere.
    pub(crate) fn passed_somewhere(&self, scenario: &ScenarioId) -> bool {
        self.places.iter().any(|p| {
            *p.subject == Subject::Scenario(scenario.clone())
                && (matches!(p.standing, Standing::Passed | Standing::Flaky) || p.waiver.is_some())
        })
    }

    pub(crate) fn flaky(&self) -> Vec<String> {
        self.places.iter().filter(|p| p.standing == Standing::Flaky).map(Place::name).collect()
    }

    pub(crate) fn not_run(&self) -> Vec<String> {
        self.places.iter().filter(|p| matches!(p.standing, Standing::NotRun(_))).map(Place::name).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts { planned: self.places.len(), ..Counts::default() };
        for place in &self.places {
            let slot = match place.standing {
                Standing::Passed => &mut counts.passed,
                Standing::Flaky => {
                    counts.flaky += 1;
                    &mut counts.passed
                }
                Standing::Failed(_) => &mut counts.failed,
                Standing::Unclear(_) => &mut counts.unclear,
                Standing::NotRun(_) => &mut counts.not_run,
                Standing::Skipped => &mut counts.skipped,
            };
            *slot += 1;
            counts.waived += usize::from(place.waiver.is_some());
        }
        counts
    }

    /// How every waiver of the file stands.
    pub(crate) fn waivers_seen(&self, case: &Case<'_>) -> Vec<WaiverSeen> {
        case.waivers.all.iter().map(|waiver| self.waiver_seen(case, waiver)).collect()
    }

    fn waiver_seen(&self, case: &Case<'_>, waiver: &Waiver) -> WaiverSeen {
        let about = |p: &&Place<'_>| covers(waiver, p.planned, p.state);
        let matched: Vec<String> = self.places.iter().filter(about).map(Place::name).collect();
        let state = match waiver.life(case.now, &case.policy.waivers) {
            Life::Expired => WaiverState::Expired,
            Life::TooLong => WaiverState::TooLong,
            Life::NotYet => WaiverState::NotYet,
            Life::Live if !matched.is_empty() => WaiverState::Matched,
            Life::Live if self.is_unneeded(waiver) => WaiverState::Unneeded,
            Life::Live => {
                let created = Offset::UTC.to_timestamp(waiver.created.at(0, 0, 0, 0));
                let old = created.is_ok_and(|c| case.now.duration_since(c) > SignedDuration::from_hours(14 * 24));
                if old { WaiverState::Stale } else { WaiverState::Unmatched }
            }
        };
        WaiverSeen {
            id: waiver.id.clone(),
            state,
            matched,
            expires: waiver.expires,
            owner: waiver.owner.clone(),
            issue: waiver.issue.clone(),
        }
    }

    /// Whether everything it is about has passed now and in the four runs before.
    fn is_unneeded(&self, waiver: &Waiver) -> bool {
        const RUNS: usize = 5;
        let mut about = self
            .places
            .iter()
            .filter(|p| waiver.scope.contains(&p.planned.id, &p.planned.cell, p.subject))
            .filter(|p| p.standing != Standing::Skipped)
            .peekable();
        about.peek().is_some()
            && about.all(|p| {
                let before = self.past.iter().filter_map(|past| grade(past, p)).take(RUNS - 1);
                p.standing == Standing::Passed && before.filter(|g| *g == Grade::Passed).count() == RUNS - 1
            })
    }
}

/// What an earlier run said about a place.
pub(crate) fn grade(past: &Past, place: &Place<'_>) -> Option<Grade> {
    past.results
        .iter()
        .find(|(cell, subject, _)| *cell == place.planned.id && subject == place.subject)
        .map(|(_, _, grade)| *grade)
}

fn place<'a>(case: &Case<'a>, planned: &'a PlannedCell, state: &'a SubjectState) -> Place<'a> {
    let subject = &state.subject;
    let informing = case.policy.informing.iter().any(|i| i.scope().contains(&planned.id, &planned.cell, subject));
    let live = |w: &&Waiver| w.life(case.now, &case.policy.waivers) == Life::Live;
    let waivers: &'a [Waiver] = &case.waivers.all;
    let standing = standing(state);
    // What a leak leaves behind is judged once, as leftovers.
    let leak = *subject == Subject::Teardown
        && matches!(standing, Standing::Unclear(_))
        && case.policy.leftovers == Leftovers::Warn;
    Place {
        planned,
        subject,
        state,
        standing,
        waiver: waivers.iter().filter(live).find(|w| covers(w, planned, state)),
        blocking: !leak && (!informing || case.policy.require.tier == Tier::All),
    }
}

/// Whether a waiver is about what came of a subject; of a flaky one, about the failure that came first.
fn covers(waiver: &Waiver, planned: &PlannedCell, state: &SubjectState) -> bool {
    let about = |outcome: &Outcome| waiver.is_about(&planned.id, &planned.cell, &state.subject, outcome);
    match standing(state) {
        Standing::Flaky => earlier_failures(state).all(about),
        Standing::Passed | Standing::Failed(_) | Standing::Unclear(_) | Standing::NotRun(_) | Standing::Skipped => {
            about(&state.outcome())
        }
    }
}

fn earlier_failures(state: &SubjectState) -> impl Iterator<Item = &Outcome> {
    state
        .attempts
        .iter()
        .filter_map(|a| a.finished.as_ref().map(|(_, outcome)| outcome))
        .filter(|o| matches!(o, Outcome::Failed(_)))
}

fn standing(state: &SubjectState) -> Standing {
    match state.outcome() {
        Outcome::Passed if earlier_failures(state).next().is_some() => Standing::Flaky,
        Outcome::Passed => Standing::Passed,
        Outcome::Failed(finding) => Standing::Failed(tagged(&finding)),
        Outcome::Skipped(_) => Standing::Skipped,
        Outcome::Inconclusive { why, finding } => match why {
            Why::Environment | Why::Harness => Standing::Unclear(format!("{why}, {}", tagged(&finding))),
            Why::BlockedBy(_) | Why::Stopped | Why::Interrupted | Why::Budget | Why::NeverRan | Why::ShardMissing => {
                Standing::NotRun(why.to_string())
            }
        },
    }
}

/// A finding in one line, with the fingerprint that a waiver would name.
fn tagged(finding: &gsh_model::outcome::Finding) -> String {
    let observed: String = finding.observed.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
    format!("{} {observed} [{}]", finding.check, crate::fingerprint::of(finding))
}
