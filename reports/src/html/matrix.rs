//! The matrix: any two axes as a heat map, and every cell with every subject.

use gsh_model::axis::AxisName;
use gsh_model::run::{CellState, SubjectState};
use maud::{Markup, html};

use super::{Page, anchor, badge, cell_anchor, class, past};
use crate::mark::Mark;
use crate::markdown::columns;

pub(super) fn section(page: &Page<'_>) -> Markup {
    html! {
        section #matrix aria-labelledby="matrix-h" {
            h2 #matrix-h { "Matrix" }
            p.legend { @for mark in Mark::ALL { span title=(mark.meaning()) { (badge(mark)) } " " } }
            (heat(page))
            (grid(page))
        }
    }
}

/// One table for every ordered pair of axes; two rows of radio buttons choose which one is seen. Style alone does it.
fn heat(page: &Page<'_>) -> Markup {
    let axes = &page.varying;
    if axes.len() < 2 {
        return html! { p.quiet { "Fewer than two axes vary in this plan, so there is nothing to cross." } };
    }
    // Per cell its place on each axis, by number: texts are compared once, not once per table.
    let places: Vec<Vec<usize>> = page
        .run
        .cells
        .iter()
        .map(|cell| {
            let value = |axis: AxisName| page.planned.get(&cell.id).map_or_else(String::new, |p| p.cell.get(axis));
            axes.iter().map(|(axis, all)| all.iter().position(|v| *v == value(*axis)).unwrap_or(0)).collect()
        })
        .collect();
    html! {
        div.heat {
            h3 { "Two axes" }
            fieldset { legend { "Rows" } (choices("r", axes, 0)) }
            fieldset { legend { "Columns" } (choices("c", axes, 1)) }
            @for (r, (row, rows)) in axes.iter().enumerate() {
                @for (c, (column, values)) in axes.iter().enumerate() {
                    @if row == column { p class={ "x r-" (row) " c-" (column) } { "Choose two different axes." } }
                    @else { (crossings(page, (*row, r, rows), (*column, c, values), &places)) }
                }
            }
        }
    }
}

fn choices(name: &str, axes: &[(AxisName, Vec<String>)], checked: usize) -> Markup {
    html! {
        @for (n, (axis, _)) in axes.iter().enumerate() {
            label { input type="radio" name=(name) id={ (name) "-" (axis) } checked[n == checked]; " " (axis) }
        }
    }
}

/// What came of the cells at one crossing.
#[derive(Clone, Default)]
struct Crossing<'a> {
    all: usize,
    good: usize,
    /// The first of the worst, where a link leads.
    worst: Option<(Mark, &'a CellState)>,
}

/// An axis, its number among those that vary, its values.
type Side<'a> = (AxisName, usize, &'a [String]);

fn crossings(
    page: &Page<'_>,
    (row, r, rows): Side<'_>,
    (column, c, values): Side<'_>,
    places: &[Vec<usize>],
) -> Markup {
    let mut table = vec![vec![Crossing::default(); values.len()]; rows.len()];
    for (cell, at) in page.run.cells.iter().zip(places) {
        let crossing = &mut table[at[r]][at[c]];
        let mark = page.mark(cell);
        crossing.all += 1;
        crossing.good += usize::from(mark <= Mark::Flaky);
        if crossing.worst.is_none_or(|(worst, _)| mark > worst) {
            crossing.worst = Some((mark, cell));
        }
    }
    html! {
        div class={ "wide x r-" (row) " c-" (column) } role="region" tabindex="0" aria-label={ (row) " by " (column) } {
            table.map {
                caption { (row) " by " (column) ": cells without anything red or unclear, of all" }
                thead { tr {
                    td {}
                    @for value in values { th scope="col" { (value) } }
                } }
                tbody { @for (name, crossings) in rows.iter().zip(&table) { tr {
                    th scope="row" { (name) }
                    @for one in crossings { (crossing(page, one)) }
                } } }
            }
        }
    }
}

fn crossing(page: &Page<'_>, crossing: &Crossing<'_>) -> Markup {
    let Some((mark, worst)) = crossing.worst else { return html! { td.none { i { "not planned" } } } };
    let text = html! { (mark.sign()) " " (crossing.good) "/" (crossing.all) i { " " (mark.word()) } };
    html! {
        td class=(class(mark)) {
            @if mark.is_trouble() && page.has_details(worst) { a href={ "#" (cell_anchor(&worst.id)) } { (text) } }
            @else { (text) }
        }
    }
}

/// Every cell with every subject.
fn grid(page: &Page<'_>) -> Markup {
    let columns = columns(page.run);
    html! {
        h3 { "Every cell" }
        p.only { label { input #only type="checkbox"; " only cells that are not all green" } }
        div.wide role="region" tabindex="0" aria-label="every cell with every subject" {
            table.grid {
                caption { "Cells and what came of each subject" }
                thead { tr {
                    th scope="col" { "cell" }
                    @for column in &columns { th scope="col" { (column) } }
                    @if page.strips().is_some() { th scope="col" { "before" } }
                } }
                tbody { @for cell in page.rows() {
                    tr class=[good(page.mark(cell))] data-cell=(cell.id) {
                        th scope="row" {
                            @if page.has_details(cell) { a href={ "#" (cell_anchor(&cell.id)) } { (cell.id) } }
                            @else { (cell.id) }
                        }
                        @for column in &columns {
                            @match cell.subjects.iter().find(|s| s.subject == *column) {
                                Some(subject) => (square(page, cell, subject)),
                                None => td.none { i { "not planned" } },
                            }
                        }
                        @if let Some(past) = page.strips() {
                            @match past.cells.get(&cell.id) {
                                Some(before) => td.past { (past::strip(before)) },
                                None => td.none { i { "never ran before" } },
                            }
                        }
                    }
                } }
                tfoot { tr {
                    th scope="row" { "passed" }
                    @for column in &columns { (ratio(page, column)) }
                    @if page.strips().is_some() { td {} }
                } }
            }
        }
    }
}

/// The class of a row in which everything is fine.
fn good(mark: Mark) -> Option<&'static str> {
    (mark <= Mark::Passed).then_some("good")
}

fn square(page: &Page<'_>, cell: &CellState, subject: &SubjectState) -> Markup {
    let mark = Mark::of(subject);
    let text = html! { (mark.sign()) i { " " (mark.word()) } };
    html! {
        td class=(class(mark)) {
            @if page.has_details(cell) { a href={ "#" (anchor(&cell.id, &subject.subject)) } { (text) } } @else { (text) }
        }
    }
}

fn ratio(page: &Page<'_>, column: &gsh_model::outcome::Subject) -> Markup {
    let marks = || page.run.cells.iter().flat_map(|c| &c.subjects).filter(|s| s.subject == *column).map(Mark::of);
    let planned = marks().filter(|m| *m != Mark::Skipped).count();
    let passed = marks().filter(|m| matches!(m, Mark::Passed | Mark::Flaky)).count();
    html! { td { (passed) "/" (planned) } }
}
