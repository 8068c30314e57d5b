//! Which combination of values explains the failures of a run, how sure that is, and which cells would decide.
//!
//! Every combination of one, two or three values that some failing cell has is a suspicion, and so is "it has nothing to
//! do with the values". Each is weighed by how well it foretells what was seen; of two that foretell it equally well the
//! smaller one is the likelier. What would decide are cells for which the suspicions foretell different results.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::axis::{AxisName, Cell, CellId};
use crate::budget::Shape;
use crate::check::CheckName;
use crate::cover::space::{Row, Space, sift};
use crate::cover::tuples::Tuples;
use crate::matrix::Matrix;
use crate::outcome::{Outcome, Subject};
use crate::run::RunState;
use crate::stores::GivenStores;
use crate::tuple::Tuple;

/// A cell with the culprit passes all the same this often: not every defect shows every time.
const MISSED: f64 = 0.05;
/// A cell without the culprit fails all the same this often.
const STRAY: f64 = 0.01;
/// Weight of suspicions of one, two and three values beforehand, shared among all of that size.
const PRIOR: [f64; 3] = [0.50, 0.25, 0.10];
/// Weight of "it has nothing to do with the values" beforehand.
const PRIOR_NOTHING: f64 = 0.15;
/// Suspicions less likely than this are not pursued.
const FAINT: f64 = 0.002;
/// Suspicions that are told.
const TOLD: usize = 5;
/// Deciding cells that are named.
const DECIDING: usize = 4;
/// An explanation this likely needs no further cells.
const SETTLED: f64 = 0.95;
/// A cell that tells less than this many bits is not worth its price.
const LEAST_BITS: f64 = 0.05;

/// One kind of failure and what explains it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What failed.
    pub subject: Subject,
    /// The check that decided.
    pub check: CheckName,
    /// Cells in which it failed so.
    pub failing: Vec<CellId>,
    /// Cells in which the subject passed.
    pub passing: usize,
    /// What explains it, the likeliest first.
    pub suspicions: Vec<Suspicion>,
    /// How likely it is that the values have nothing to do with it.
    pub unrelated: f64,
    /// Cells that would decide, the most telling for their price first; empty when nothing is left to decide.
    pub deciding: Vec<Deciding>,
}

/// A combination of values that could be the culprit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspicion {
    /// The values.
    pub tuple: Tuple,
    /// How likely it is to be the culprit.
    pub probability: f64,
    /// Failing cells with it, of all that failed.
    pub failing: usize,
    /// Passing cells with it, of all that passed.
    pub passing: usize,
}

/// A cell that would tell suspicions apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deciding {
    /// The cell.
    pub cell: Cell,
    /// Servers it takes.
    pub servers: u32,
    /// What its result tells, in bits, together with the cells before it.
    pub bits: f64,
    /// The suspicions that foretell a failure here.
    pub fails_if: Vec<Tuple>,
}

/// How sure an explanation is, in a word.
#[must_use]
pub fn sureness(probability: f64) -> &'static str {
    if probability >= 0.95 {
        "almost certainly"
    } else if probability >= 0.8 {
        "probably"
    } else if probability >= 0.4 {
        "perhaps"
    } else {
        "possibly"
    }
}

/// What a suspicion is about: values on axes; none at all for "nothing to do with the values".
type Values = Vec<(usize, u8)>;

struct Evidence {
    failing: Vec<Row>,
    passing: Vec<Row>,
}

/// Explains every kind of failure in some runs of one matrix, the most frequent first.
///
/// Several runs count together: a run and those that narrowed it down. Cells with values that the matrix does not have are
/// left aside.
#[must_use]
pub fn explain(runs: &[RunState], matrix: &Matrix) -> Vec<Explanation> {
    let space = sift(matrix, |_| true).space;
    let mut kinds: BTreeMap<(Subject, CheckName), Vec<(CellId, Row)>> = BTreeMap::new();
    let mut passed: BTreeMap<Subject, Vec<Row>> = BTreeMap::new();
    let mut known: Vec<Row> = Vec::new();
    for run in runs {
        for state in &run.cells {
            let planned = run.plan.as_ref().and_then(|p| p.cell(&state.id));
            let Some(row) = planned.and_then(|p| space.row(&p.cell)) else { continue };
            if state.subjects.iter().any(|s| !s.attempts.is_empty()) {
                known.push(row);
            }
            for subject in &state.subjects {
                match subject.outcome() {
                    Outcome::Failed(finding) => {
                        let kind = (subject.subject.clone(), finding.check);
                        kinds.entry(kind).or_default().push((state.id.clone(), row));
                    }
                    Outcome::Passed => passed.entry(subject.subject.clone()).or_default().push(row),
                    Outcome::Inconclusive { .. } | Outcome::Skipped(_) => {}
                }
            }
        }
    }
    let sizes: Vec<(usize, Tuples)> = (1..=3).map(|size| (size, Tuples::new(&space, size))).collect();
    let mut all: Vec<Explanation> = kinds
        .into_iter()
        .map(|((subject, check), failing)| {
            let evidence = Evidence {
                failing: failing.iter().map(|(_, row)| *row).collect(),
                passing: passed.get(&subject).cloned().unwrap_or_default(),
            };
            let weighed = weigh(&space, &sizes, &evidence);
            let has = |rows: &[Row], values: &Values| rows.iter().filter(|row| contains(row, values)).count();
            let suspicions = weighed
                .iter()
                .filter(|(values, _)| !values.is_empty())
                .take(TOLD)
                .map(|(values, probability)| Suspicion {
                    tuple: tuple(&space, values),
                    probability: rounded(*probability),
                    failing: has(&evidence.failing, values),
                    passing: has(&evidence.passing, values),
                })
                .collect();
            let mut failing: Vec<CellId> = failing.into_iter().map(|(id, _)| id).collect();
            failing.sort();
            failing.dedup();
            Explanation {
                subject,
                check,
                failing,
                passing: evidence.passing.len(),
                suspicions,
                unrelated: rounded(weighed.iter().filter(|(values, _)| values.is_empty()).map(|(_, p)| p).sum()),
                deciding: deciding(&space, &matrix.stores, &weighed, &known),
            }
        })
        .collect();
    all.sort_by(|a, b| {
        b.failing.len().cmp(&a.failing.len()).then_with(|| (&a.subject, &a.check).cmp(&(&b.subject, &b.check)))
    });
    all
}

/// To four places: more would be noise, and would differ between machines.
fn rounded(probability: f64) -> f64 {
    (probability * 10_000.0).round() / 10_000.0
}

fn contains(row: &Row, values: &Values) -> bool {
    values.iter().all(|(a, v)| row[*a] == *v)
}

fn tuple(space: &Space, values: &Values) -> Tuple {
    Tuple::sorted(values.iter().map(|(a, v)| (AxisName::CELL[*a], space.value(*a, *v).to_owned())).collect())
}

/// The suspicions with their probabilities, the likeliest first; the one without values is "nothing to do with it".
fn weigh(space: &Space, sizes: &[(usize, Tuples)], evidence: &Evidence) -> Vec<(Values, f64)> {
    let mut weighed: Vec<(Values, f64)> = Vec::new();
    for (size, tuples) in sizes {
        // Where fewer axes vary than that, the combinations are those of the size before.
        if tuples.strength != *size {
            continue;
        }
        let prior = PRIOR[size - 1] / tuples.count() as f64;
        let mut codes: Vec<u32> = evidence.failing.iter().flat_map(|row| tuples.codes(row)).collect();
        codes.sort_unstable();
        codes.dedup();
        for code in codes {
            let values: Values = tuples.decode(code).collect();
            if *size == 1 || is_smallest(space, &values) {
                let likelihood = likelihood(evidence, &values);
                weighed.push((values, prior * likelihood));
            }
        }
    }
    weighed.push((Vec::new(), PRIOR_NOTHING * likelihood_of_chance(evidence)));
    let sum: f64 = weighed.iter().map(|(_, w)| w).sum();
    weighed.iter_mut().for_each(|(_, w)| *w /= sum);
    weighed.retain(|(_, w)| *w >= FAINT);
    weighed.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0))));
    weighed
}

/// Whether no value of the combination follows from the others: `shift=shiftfs os=ubuntu-20.04` is the same as
/// `shift=shiftfs` where a rule allows nothing else.
fn is_smallest(space: &Space, values: &Values) -> bool {
    (0..values.len()).all(|without| {
        let fewer: Values = values.iter().enumerate().filter(|(n, _)| *n != without).map(|(_, v)| *v).collect();
        space.valid.iter().any(|row| contains(row, &fewer) && !contains(row, values))
    })
}

/// How likely what was seen is when this combination is the culprit.
fn likelihood(evidence: &Evidence, values: &Values) -> f64 {
    let with = |rows: &[Row]| rows.iter().filter(|row| contains(row, values)).count();
    let (failed, passed) = (with(&evidence.failing), with(&evidence.passing));
    let power = |base: f64, n: usize| base.powi(i32::try_from(n).unwrap_or(i32::MAX));
    power(1.0 - MISSED, failed)
        * power(MISSED, passed)
        * power(STRAY, evidence.failing.len() - failed)
        * power(1.0 - STRAY, evidence.passing.len() - passed)
}

/// How likely it is when cells fail at some rate, whatever their values: every rate from never to always is as likely
/// beforehand.
fn likelihood_of_chance(evidence: &Evidence) -> f64 {
    let (failed, passed) = (evidence.failing.len(), evidence.passing.len());
    let all = failed + passed;
    let choose = (0..failed).fold(1.0, |product, i| product * (all - i) as f64 / (i + 1) as f64);
    1.0 / (choose * (all + 1) as f64)
}

/// The cells, not seen yet, whose results tell the suspicions apart best for their price.
fn deciding(space: &Space, given: &GivenStores, weighed: &[(Values, f64)], known: &[Row]) -> Vec<Deciding> {
    if weighed.first().is_none_or(|(_, probability)| *probability >= SETTLED) {
        return Vec::new();
    }
    let mut groups: Vec<Vec<usize>> = vec![(0..weighed.len()).collect()];
    let mut chosen: Vec<Deciding> = Vec::new();
    let mut taken: Vec<Row> = known.to_vec();
    let servers = |row: &Row| {
        let cell = space.cell(row);
        Shape::of(&cell, &given.serve(&cell), false).servers()
    };
    // The price of a row needs its cell; there are only a few kinds of rows by price.
    let prices: Vec<u32> = space.valid.iter().map(servers).collect();
    while chosen.len() < DECIDING {
        let before = entropy(&groups, weighed);
        let mut best: Option<(f64, usize, usize)> = None;
        for (at, row) in space.valid.iter().enumerate() {
            if taken.contains(row) {
                continue;
            }
            let bits = entropy(&split(&groups, weighed, row), weighed) - before;
            let worth = (bits / f64::from(prices[at]) * 1e9).round();
            let away = row.iter().filter(|v| **v != 0).count();
            if bits >= LEAST_BITS
                && best.is_none_or(|(most, known_away, _)| worth > most || (worth == most && away < known_away))
            {
                best = Some((worth, away, at));
            }
        }
        let Some((_, _, at)) = best else { break };
        let row = space.valid[at];
        let after = split(&groups, weighed, &row);
        let bits = entropy(&after, weighed) - before;
        let fails_if = weighed.iter().filter(|(v, _)| !v.is_empty() && contains(&row, v)).take(TOLD);
        chosen.push(Deciding {
            cell: space.cell(&row),
            servers: prices[at],
            bits: (bits * 1000.0).round() / 1000.0,
            fails_if: fails_if.map(|(v, _)| tuple(space, v)).collect(),
        });
        groups = after;
        taken.push(row);
    }
    chosen
}

/// Suspicions that foretell the same results stay together.
fn split(groups: &[Vec<usize>], weighed: &[(Values, f64)], row: &Row) -> Vec<Vec<usize>> {
    let foretells = |n: &usize| !weighed[*n].0.is_empty() && contains(row, &weighed[*n].0);
    let mut out = Vec::with_capacity(groups.len() * 2);
    for group in groups {
        let (fails, passes): (Vec<usize>, Vec<usize>) = group.iter().partition(|n| foretells(n));
        out.extend([fails, passes].into_iter().filter(|g| !g.is_empty()));
    }
    out
}

/// Bits that knowing the group tells.
fn entropy(groups: &[Vec<usize>], weighed: &[(Values, f64)]) -> f64 {
    let sum: f64 = weighed.iter().map(|(_, w)| w).sum();
    let weight = |group: &Vec<usize>| group.iter().map(|n| weighed[*n].1).sum::<f64>() / sum;
    groups.iter().map(weight).filter(|w| *w > 0.0).map(|w| -w * w.log2()).sum()
}
