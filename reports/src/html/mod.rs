//! `report.html`: one self-contained file, useful without JavaScript, readable by keyboard and by ear, of bounded size.
//!
//! No request leaves the page: style and script are inline and named by hash in its content security policy, links lead
//! into the run directory only. The same run gives the same bytes. What does not fit into [`MOST`] bytes is left out in a
//! fixed order ([`Detail`]), and the page says so.

mod cell;
mod link;
mod matrix;
mod parts;
mod past;

use std::collections::HashMap;

use base64::Engine as _;
use gsh_model::axis::{AxisName, CellId};
use gsh_model::outcome::Subject;
use gsh_model::plan::PlannedCell;
use gsh_model::run::{CellState, RunState};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::beside::Beside;
use crate::cause::Cause;
use crate::mark::Mark;
use crate::past::Past;

/// Bytes of a page at most.
pub const MOST: usize = 5 * 1024 * 1024;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How much a page tells. Ordered: what comes later tells less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Everything.
    All,
    /// Excerpts of 40 lines instead of 200.
    ShortExcerpts,
    /// No excerpts.
    NoExcerpts,
    /// Of what passed, no checks, notes and artifacts.
    PassedInBrief,
    /// No details of cells in which everything passed.
    TroubleOnly,
    /// No details at all: verdict, matrix, causes.
    NoDetails,
    /// As before, and of the matrix only the first cells that are not all green.
    Head,
}

impl Detail {
    const ALL: [Self; 7] = [
        Self::All,
        Self::ShortExcerpts,
        Self::NoExcerpts,
        Self::PassedInBrief,
        Self::TroubleOnly,
        Self::NoDetails,
        Self::Head,
    ];

    /// What is missing, for the reader.
    fn missing(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::ShortExcerpts => Some("all but the last 40 lines of each log excerpt"),
            Self::NoExcerpts => Some("log excerpts"),
            Self::PassedInBrief => Some("log excerpts, and checks, notes and artifacts of what passed"),
            Self::TroubleOnly => Some("log excerpts, and the details of all cells in which everything passed"),
            Self::NoDetails => Some("the details of all cells"),
            Self::Head => Some("the details of all cells, and all but the first rows of the matrix"),
        }
    }
}

/// Rows and causes that a page of [`Detail::Head`] still has.
const HEAD: usize = 500;

/// What a page is made of, and what is asked of the plan again and again.
struct Page<'a> {
    run: &'a RunState,
    beside: &'a Beside,
    detail: Detail,
    most: usize,
    planned: HashMap<&'a CellId, &'a PlannedCell>,
    /// The axes with more than one value in the plan, each with its values in order of appearance.
    varying: Vec<(AxisName, Vec<String>)>,
    causes: Vec<Cause>,
    marks: HashMap<&'a CellId, Mark>,
}

/// Renders the page within [`MOST`] bytes.
#[must_use]
pub fn render(run: &RunState, beside: &Beside) -> String {
    render_within(run, beside, MOST)
}

/// Renders the page within a number of bytes; below some 100 KiB there is nothing left that could be left out.
#[must_use]
pub fn render_within(run: &RunState, beside: &Beside, most: usize) -> String {
    let mut page = Page::of(run, beside, most);
    let mut text = String::new();
    for detail in Detail::ALL {
        page.detail = detail;
        text = page.render().into_string();
        text.push('\n');
        if text.len() <= most {
            break;
        }
    }
    text
}

impl<'a> Page<'a> {
    fn of(run: &'a RunState, beside: &'a Beside, most: usize) -> Self {
        let cells = || run.plan.iter().flat_map(|p| &p.cells);
        let varying = AxisName::CELL.into_iter().map(|axis| {
            let mut values: Vec<String> = Vec::new();
            for planned in cells() {
                let value = planned.cell.get(axis);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            (axis, values)
        });
        Self {
            run,
            beside,
            detail: Detail::All,
            most,
            planned: cells().map(|p| (&p.id, p)).collect(),
            varying: varying.filter(|(_, values)| values.len() > 1).collect(),
            causes: crate::cause::causes(run),
            marks: run.cells.iter().map(|c| (&c.id, Mark::of_cell(c))).collect(),
        }
    }

    fn mark(&self, cell: &CellState) -> Mark {
        self.marks.get(&cell.id).copied().unwrap_or(Mark::NotRun)
    }

    fn render(&self) -> Markup {
        let style = style();
        let title = format!("gsh: {}", crate::markdown::headline(self.run));
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy(&style));
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (title) }
                    style { (PreEscaped(&style)) }
                }
                body {
                    a.skip href="#matrix" { "Skip to the matrix" }
                    (parts::verdict(self))
                    main {
                        (parts::missing(self))
                        (matrix::section(self))
                        (parts::changed(self))
                        (parts::causes(self))
                        (past::pairs(self))
                        (parts::left_behind(self))
                        (cell::section(self))
                        (parts::inputs(self))
                    }
                    (parts::footer())
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }

    /// Cells that the matrix shows.
    fn rows(&self) -> impl Iterator<Item = &CellState> {
        let head = self.detail >= Detail::Head;
        let trouble = move |c: &&CellState| !head || self.mark(c).is_trouble();
        self.run.cells.iter().filter(trouble).take(if head { HEAD } else { usize::MAX })
    }

    /// The past, where the page has room for the strip of each cell.
    fn strips(&self) -> Option<&Past> {
        self.beside.past.as_ref().filter(|_| self.detail < Detail::NoDetails)
    }

    /// Whether a cell has its own section.
    fn has_details(&self, cell: &CellState) -> bool {
        match self.detail {
            Detail::All | Detail::ShortExcerpts | Detail::NoExcerpts | Detail::PassedInBrief => true,
            Detail::TroubleOnly => !matches!(self.mark(cell), Mark::Passed | Mark::Skipped),
            Detail::NoDetails | Detail::Head => false,
        }
    }
}

/// The style, with the rules that show the chosen one of the tables by two axes. Where `:has` is unknown, all are shown.
fn style() -> String {
    let mut style = STYLE.to_owned();
    for axis in gsh_model::axis::AxisName::CELL {
        for side in ["r", "c"] {
            style.push_str(&format!(".heat:has(#{side}-{axis}:checked) .x:not(.{side}-{axis}){{display:none}}\n"));
        }
    }
    style
}

/// Nothing from anywhere; our own style and script by their hashes.
fn policy(style: &str) -> String {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

/// Anchor of a cell.
fn cell_anchor(cell: &CellId) -> String {
    format!("cell-{cell}")
}

/// Anchor of a subject in a cell.
fn anchor(cell: &CellId, subject: &Subject) -> String {
    format!("c-{cell}--{subject}")
}

/// The class that gives a mark its colour.
fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Passed => "p",
        Mark::Flaky => "k",
        Mark::Failed => "f",
        Mark::Unclear => "u",
        Mark::NotRun => "n",
        Mark::Blocked => "b",
        Mark::Skipped => "s",
    }
}

/// Sign and word of a mark, in its colour.
fn badge(mark: Mark) -> Markup {
    html! { span class={ "m " (class(mark)) } { span aria-hidden="true" { (mark.sign()) } " " (mark.word()) } }
}
