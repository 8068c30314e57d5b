//! What is different from an earlier run: the question a nightly reader asks first.

use gsh_model::axis::CellId;
use gsh_model::history::RunSummary;
use gsh_model::outcome::Subject;
use gsh_model::run::RunState;

use crate::mark::Mark;

/// An earlier run, as much of it as is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What it is called: its id, or those of its shards.
    pub name: String,
    /// Whether it is the last green one of a history.
    pub last_green: bool,
    /// How its subjects stood.
    pub cells: Vec<(CellId, Vec<(Subject, Mark)>)>,
}

impl Earlier {
    /// Of a folded run.
    #[must_use]
    pub fn of(run: &RunState) -> Self {
        let subjects =
            |c: &gsh_model::run::CellState| c.subjects.iter().map(|s| (s.subject.clone(), Mark::of(s))).collect();
        Self {
            name: run.header.as_ref().map_or_else(|| "an earlier run".to_owned(), |h| h.run.to_string()),
            last_green: false,
            cells: run.cells.iter().map(|c| (c.id.clone(), subjects(c))).collect(),
        }
    }

    /// Of the last green night of a history: one run, or the shards of one plan.
    #[must_use]
    pub fn last_green(night: &[&RunSummary]) -> Self {
        const NAMED: usize = 6;
        let names: Vec<&str> = night.iter().take(NAMED).map(|r| r.run.as_str()).collect();
        let more = night.len().checked_sub(NAMED + 1).map_or_else(String::new, |n| format!(" and {} more", n + 1));
        let cells = night.iter().flat_map(|r| &r.cells).map(|cell| {
            (cell.id.clone(), cell.subjects.iter().map(|s| (s.subject.clone(), Mark::of_summary(s))).collect())
        });
        Self { name: format!("{}{more}", names.join(", ")), last_green: true, cells: cells.collect() }
    }
}

/// A way to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The product is at fault where it was not before.
    NewlyFailing,
    /// Something is known no longer: it passed or failed before and is unclear now.
    NewlyUnclear,
    /// It passed at once before and needed another attempt now.
    NewlyFlaky,
    /// It failed before and passes now.
    Fixed,
    /// Nothing was known before; it passes now.
    NowKnown,
}

impl Kind {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 5] = [Self::NewlyFailing, Self::NewlyUnclear, Self::NewlyFlaky, Self::Fixed, Self::NowKnown];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly failing",
            Self::NewlyUnclear => "newly unclear",
            Self::NewlyFlaky => "newly flaky",
            Self::Fixed => "fixed",
            Self::NowKnown => "unclear before, passes now",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: Kind,
    /// Where.
    pub cell: CellId,
    /// What.
    pub subject: Subject,
    /// Before.
    pub before: Mark,
    /// Now.
    pub now: Mark,
}

/// Everything that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Subjects, the most urgent first, then in plan order.
    pub subjects: Vec<Change>,
    /// Cells that the earlier run did not have.
    pub added: Vec<CellId>,
    /// Cells that only the earlier run had.
    pub removed: Vec<CellId>,
    /// Subjects compared that stand as before.
    pub same: usize,
}

/// Compares a run with an earlier one. Only what both planned is compared; the rest is added or removed.
#[must_use]
pub fn changes(before: &Earlier, now: &RunState) -> Changes {
    let known: std::collections::HashMap<_, _> = before.cells.iter().map(|(id, subjects)| (id, subjects)).collect();
    let mut all = Changes::default();
    for cell in &now.cells {
        let Some(old) = known.get(&cell.id) else {
            all.added.push(cell.id.clone());
            continue;
        };
        for subject in &cell.subjects {
            let Some((_, was)) = old.iter().find(|(earlier, _)| *earlier == subject.subject) else { continue };
            let (was, is) = (*was, Mark::of(subject));
            match kind(was, is) {
                Some(kind) => all.subjects.push(Change {
                    kind,
                    cell: cell.id.clone(),
                    subject: subject.subject.clone(),
                    before: was,
                    now: is,
                }),
                None => all.same += 1,
            }
        }
    }
    let present: std::collections::HashSet<_> = now.cells.iter().map(|c| &c.id).collect();
    all.removed = before.cells.iter().map(|(id, _)| id).filter(|id| !present.contains(id)).cloned().collect();
    all.subjects.sort_by_key(|c| c.kind);
    all
}

fn kind(was: Mark, is: Mark) -> Option<Kind> {
    let known = |m: Mark| matches!(m, Mark::Passed | Mark::Flaky | Mark::Failed);
    match is {
        Mark::Failed => (was != Mark::Failed).then_some(Kind::NewlyFailing),
        Mark::Unclear | Mark::NotRun | Mark::Blocked => known(was).then_some(Kind::NewlyUnclear),
        Mark::Flaky if was == Mark::Passed => Some(Kind::NewlyFlaky),
        Mark::Passed | Mark::Flaky if was == Mark::Failed => Some(Kind::Fixed),
        Mark::Passed | Mark::Flaky if !known(was) && was != Mark::Skipped => Some(Kind::NowKnown),
        Mark::Passed | Mark::Flaky | Mark::Skipped => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_between_two_marks() {
        let table = [
            (Mark::Passed, Mark::Failed, Some(Kind::NewlyFailing)),
            (Mark::Blocked, Mark::Failed, Some(Kind::NewlyFailing)),
            (Mark::Failed, Mark::Failed, None),
            (Mark::Passed, Mark::Unclear, Some(Kind::NewlyUnclear)),
            (Mark::Failed, Mark::NotRun, Some(Kind::NewlyUnclear)),
            (Mark::Unclear, Mark::Blocked, None),
            (Mark::Passed, Mark::Flaky, Some(Kind::NewlyFlaky)),
            (Mark::Failed, Mark::Flaky, Some(Kind::Fixed)),
            (Mark::Failed, Mark::Passed, Some(Kind::Fixed)),
            (Mark::NotRun, Mark::Passed, Some(Kind::NowKnown)),
            (Mark::Flaky, Mark::Passed, None),
            (Mark::Skipped, Mark::Passed, None),
            (Mark::Passed, Mark::Skipped, None),
        ];
        for (was, is, wanted) in table {
            assert_eq!(kind(was, is), wanted, "{was:?} to {is:?}");
        }
    }
}
