//! Thirty nights on `ci/matrix.toml` with a fixed budget: gsh with memory, beside two kinds of round robin and chance.
//!
//! `cargo bench -p gsh-model --bench nights` prints the table; with `-- FILE` it also draws the figure of
//! `docs/planning.md`. Every way gets the same money at the same prices and the same luck: one cell in twenty has trouble
//! with its environment and shows nothing. Every way runs the base cell each night. On the sixteenth night a release of k3s joins the matrix.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;

use gsh_model::axis::Cell;
use gsh_model::budget::{Amount, Euros, Price, PriceList, Shape};
use gsh_model::cover::Cover;
use gsh_model::history::{CellSummary, Covered, History, RunSummary, SCHEMA, SubjectSummary, coverage};
use gsh_model::matrix::Matrix;
use gsh_model::outcome::{Evidence, OutcomeKind, Subject};
use gsh_model::plan::{Remembered, Selection, plan};
use gsh_model::scenario::{Impact, ScenarioId, ScenarioSpec};
use gsh_model::tonight::Limits;
use jiff::{SignedDuration, Timestamp};

const NIGHTS: i64 = 30;
const JOINS: i64 = 15;
/// The release that joins.
const NEW: &str = "v1.25.16+k3s4";
const BUDGET: &str = "1.20";
/// Nights after which a green result no longer counts as fresh in the figure.
const FRESH: i64 = 7;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Memory,
    RoundOfPairs,
    RoundOfAll,
    Chance,
}

impl Way {
    const ALL: [Self; 4] = [Self::Memory, Self::RoundOfPairs, Self::RoundOfAll, Self::Chance];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "gsh with memory",
            Self::RoundOfPairs => "round robin over the pairwise cells",
            Self::RoundOfAll => "round robin over all cells",
            Self::Chance => "random cells",
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % bound as u64).unwrap_or(0)
    }
}

/// What a night leaves behind: pairs that were never green, share of pairs green within the last week, mean and highest age in nights.
struct Night {
    never: usize,
    fresh: f64,
    mean: f64,
    most: i64,
    cells: usize,
}

fn matrix(night: i64) -> Matrix {
    let text = include_str!("../../../ci/matrix.toml");
    let new = text.replace("k3s         = [", "k3s         = [\"v1.25.16+k3s4\", ");
    assert_ne!(text, new, "the axis k3s is written as expected");
    // The base stays what it was.
    let new = new.replace("\"v1.25.16+k3s4\", \"v1.24.17+k3s1\"", "\"v1.24.17+k3s1\", \"v1.25.16+k3s4\"");
    Matrix::parse(if night < JOINS { text } else { &new }).expect("a matrix")
}

fn prices() -> PriceList {
    let hourly = |text: &str| {
        let euros: Euros = text.parse().expect("an amount");
        Price { hourly: Amount { net: euros, gross: euros }, monthly: Amount::ZERO }
    };
    PriceList {
        worker: hourly("0.10"),
        manager: hourly("0.05"),
        balancer: hourly("0.01"),
        builder: Price::default(),
        spare_hours: 0,
    }
}

fn scenario() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("workspace-start"),
        asks: "does a workspace start".to_owned(),
        needs: Vec::new(),
        impact: Impact::CreatesWorkspace,
        patience_s: 60,
        file: "scenarios/src/workspace_start.rs".to_owned(),
    }
}

fn planned(matrix: &Matrix, selection: &Selection) -> Vec<Cell> {
    let plan = plan(matrix, &[scenario()], &[], selection).expect("a plan");
    plan.cells.into_iter().map(|c| c.cell).collect()
}

/// The base, then cells in the order of `next` as long as the money lasts.
fn filled(base: Cell, next: impl Iterator<Item = Cell>) -> Vec<Cell> {
    let (prices, budget) = (prices(), BUDGET.parse::<Euros>().expect("an amount"));
    let cost = |cell: &Cell| prices.lease(Shape::of(cell, &[], false)).expected(1).gross;
    let mut spent = cost(&base);
    let mut cells = vec![base];
    for cell in next {
        spent = spent + cost(&cell);
        if spent > budget {
            break;
        }
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

fn recorded(n: i64, at: Timestamp, cells: &[Cell], luck: &mut Dice) -> RunSummary {
    let subject =
        |subject: Subject, outcome| SubjectSummary { subject, outcome, why: None, check: None, attempts: Vec::new() };
    let cells = cells.iter().map(|cell| {
        let outcome = if luck.below(20) == 0 { OutcomeKind::Inconclusive } else { OutcomeKind::Passed };
        CellSummary {
            id: cell.id(),
            axes: cell.clone(),
            servers: Shape::of(cell, &[], false).servers(),
            took_s: 1800,
            cost: None,
            subjects: vec![
                subject(Subject::Provision, OutcomeKind::Passed),
                subject(Subject::Install, OutcomeKind::Passed),
                subject(Subject::Scenario(ScenarioId::of("workspace-start")), outcome),
                subject(Subject::Teardown, OutcomeKind::Passed),
            ],
        }
    });
    RunSummary {
        schema: SCHEMA.to_owned(),
        run: format!("r2026-{n:02}").parse().expect("a run id"),
        started: at,
        finished: Some(at),
        events: 1,
        evidence: Evidence::Emulated,
        version: "0.1.0".to_owned(),
        provider: "embedded".to_owned(),
        shard: None,
        shards: Vec::new(),
        inputs: BTreeMap::new(),
        scenarios: BTreeMap::new(),
        exit: 0,
        cells: cells.collect(),
    }
}

fn simulated(way: Way) -> Vec<Night> {
    let begin: Timestamp = "2026-11-01T01:00:00Z".parse().expect("a timestamp");
    let (mut luck, mut dice) = (Dice(1), Dice(2));
    let mut history: Vec<RunSummary> = Vec::new();
    let mut at = 0;
    (0..NIGHTS)
        .map(|n| {
            let matrix = matrix(n);
            let now = begin + SignedDuration::from_hours(24 * n);
            let valid = || planned(&matrix, &Selection { cover: Cover::Full, ..Selection::default() });
            let round = |cells: Vec<Cell>, at: &mut usize| {
                let from = *at % cells.len();
                let turn = cells.iter().cycle().skip(from).take(cells.len()).cloned().collect::<Vec<_>>();
                let night = filled(matrix.base(), turn.into_iter());
                *at += night.len() - 1;
                night
            };
            let cells = match way {
                Way::Memory => planned(
                    &matrix,
                    &Selection {
                        limits: Limits { budget: BUDGET.parse().ok(), ..Limits::default() },
                        memory: Some(Remembered { history: History::new(history.clone()), now }),
                        prices: Some(prices()),
                        ..Selection::default()
                    },
                ),
                Way::RoundOfPairs => round(planned(&matrix, &Selection::default()), &mut at),
                Way::RoundOfAll => round(valid(), &mut at),
                Way::Chance => {
                    let all = valid();
                    filled(matrix.base(), std::iter::repeat_with(|| all[dice.below(all.len())].clone()).take(100))
                }
            };
            history.push(recorded(n, now, &cells, &mut luck));
            let pairs = coverage(&History::new(history.clone()), &matrix, 2);
            // A pair that was never green is as old as its being asked for.
            let asked = |c: &Covered| if c.tuple.to_string().contains(NEW) { JOINS } else { 0 };
            let age = |c: &Covered| match &c.last_green {
                None => n - asked(c) + 1,
                Some(green) => (now.as_second() - green.at.as_second()) / 86_400,
            };
            let ages: Vec<i64> = pairs.iter().map(age).collect();
            let count = ages.len() as f64;
            Night {
                never: pairs.iter().filter(|c| c.last_green.is_none()).count(),
                fresh: pairs.iter().filter(|c| c.last_green.is_some() && age(c) < FRESH).count() as f64 / count,
                mean: ages.iter().sum::<i64>() as f64 / count,
                most: ages.iter().copied().max().unwrap_or(0),
                cells: cells.len(),
            }
        })
        .collect()
}

/// Nights, counted from `from`, until every pair was green.
fn full(nights: &[Night], from: i64) -> String {
    let whole = (from..NIGHTS).find(|n| {
        let night = &nights[usize::try_from(*n).unwrap_or(0)];
        night.never == 0
    });
    whole.map_or_else(|| "never".to_owned(), |n| (n - from + 1).to_string())
}

fn main() {
    let all: Vec<(Way, Vec<Night>)> = Way::ALL.iter().map(|way| (*way, simulated(*way))).collect();
    println!("| way | cells a night | nights to all pairs | after the new release | mean age | highest age |");
    println!("|---|---|---|---|---|---|");
    for (way, nights) in &all {
        let settled = &nights[9..];
        let cells: usize = nights.iter().map(|n| n.cells).sum();
        println!(
            "| {} | {:.1} | {} | {} | {:.1} | {} |",
            way.name(),
            cells as f64 / nights.len() as f64,
            full(nights, 0),
            full(nights, JOINS),
            settled.iter().map(|n| n.mean).sum::<f64>() / settled.len() as f64,
            settled.iter().map(|n| n.most).max().unwrap_or(0),
        );
    }
    if let Some(file) = std::env::args().skip(1).find(|a| !a.starts_with('-')) {
        std::fs::write(&file, figure(&all)).expect("the figure can be written");
    }
}

/// Share of pairs that were green within the last week, night by night.
fn figure(all: &[(Way, Vec<Night>)]) -> String {
    let x = |n: usize| 60 + n * 20;
    let y = |share: f64| 240 - (share * 200.0).round() as i64;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 360\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Share of pairs that were green within the last seven nights</title>\n\
         <rect width=\"700\" height=\"360\" fill=\"#fff\"/>\n",
    );
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.push_str(&format!(
            "<line x1=\"60\" x2=\"660\" y1=\"{0}\" y2=\"{0}\" stroke=\"#ddd\"/><text x=\"52\" y=\"{1}\" text-anchor=\"end\">{2:.0} %</text>\n",
            y(share),
            y(share) + 4,
            share * 100.0
        ));
    }
    for n in (0..30).step_by(5) {
        svg.push_str(&format!("<text x=\"{}\" y=\"258\" text-anchor=\"middle\">{}</text>\n", x(n), n + 1));
    }
    let styles = [("#0072b2", "none"), ("#d55e00", "8 4"), ("#009e73", "2 4"), ("#555555", "8 3 2 3")];
    for (n, ((way, nights), (colour, dash))) in all.iter().zip(styles).enumerate() {
        let points: Vec<String> =
            nights.iter().enumerate().map(|(n, night)| format!("{},{}", x(n), y(night.fresh))).collect();
        svg.push_str(&format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\" points=\"{}\"/>\n",
            points.join(" ")
        ));
        let (lx, ly) = (60 + n % 2 * 300, 300 + n / 2 * 24);
        svg.push_str(&format!(
            "<line x1=\"{lx}\" x2=\"{}\" y1=\"{ly}\" y2=\"{ly}\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/><text x=\"{}\" y=\"{}\">{}</text>\n",
            lx + 40,
            lx + 48,
            ly + 4,
            way.name()
        ));
    }
    svg.push_str("<text x=\"360\" y=\"276\" text-anchor=\"middle\">night</text>\n</svg>\n");
    svg
}
