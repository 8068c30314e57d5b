//! `gsh plan`, and reading a matrix for whoever needs one.

use std::io::Write;
use std::path::Path;

use gsh_model::cover::combinations;
use gsh_model::exit::Exit;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Infeasible, Plan, Selection, plan as decide};
use gsh_model::scenario::{Need, ScenarioSpec};

use crate::args::{self, PlanFormat, Selected};
use crate::error::CliError;

/// What providers offer before one is chosen: a plan is shown without an account.
const EVERYTHING: [Need; 3] = [Need::GrowableCluster, Need::Writable, Need::SshGateway];

/// Shows the plan.
pub(crate) fn plan(args: &args::Plan) -> Result<Exit, CliError> {
    let (_, plan) = make(&args.selected, &EVERYTHING)?;
    let text = match args.format {
        PlanFormat::Text => text(&plan),
        PlanFormat::Json => {
            let mut json = serde_json::to_string_pretty(&plan)
                .map_err(|e| CliError::bug("cannot write the plan as JSON").because(&e))?;
            json.push('\n');
            json
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| CliError::inconclusive("cannot write the plan").because(&e))?;
    Ok(Exit::Pass)
}

/// Reads the matrix and decides the plan.
pub(crate) fn make(selected: &Selected, offers: &[Need]) -> Result<(Matrix, Plan), CliError> {
    let matrix = read(&selected.matrix)?;
    let catalogue: Vec<ScenarioSpec> = gsh_scenarios::CATALOGUE.iter().map(|s| (s.spec)()).collect();
    let selection = Selection {
        cover: selected.cover,
        select: selected.select.clone(),
        scenarios: selected.scenario.clone(),
        ..Selection::default()
    };
    let plan = decide(&matrix, &catalogue, offers, &selection).map_err(|e| {
        CliError::usage(format!("cannot plan from `{}`", selected.matrix.display()))
            .because(&e)
            .hint("`gsh plan` without --select and --scenario shows everything there is")
    })?;
    Ok((matrix, plan))
}

fn read(path: &Path) -> Result<Matrix, CliError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        CliError::usage(format!("cannot read the matrix `{}`", path.display()))
            .because(&e)
            .hint("name another one with --matrix")
    })?;
    Matrix::parse(&text).map_err(|e| {
        let error = CliError::usage(format!("{}:{}:{}: {}", path.display(), e.line, e.column, e.message));
        match e.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// The plan for people.
fn text(plan: &Plan) -> String {
    let mut out =
        format!("{} cells, chosen {}, matrix {}\n\n", plan.cells.len(), plan.cover, &plan.matrix_sha256[..12]);
    for (n, cell) in plan.cells.iter().enumerate() {
        let servers = if cell.servers == 1 { "server" } else { "servers" };
        out.push_str(&format!("{:3}. {}  ({} {servers}; {})\n", n + 1, cell.id, cell.servers, cell.why));
        let run: Vec<&str> = cell.scenarios.iter().filter(|s| s.skip.is_none()).map(|s| s.scenario.as_str()).collect();
        out.push_str(&format!("     runs {}\n", if run.is_empty() { "nothing".to_owned() } else { run.join(", ") }));
        for scenario in &cell.scenarios {
            if let Some(reason) = &scenario.skip {
                out.push_str(&format!("     skips {}: {reason}\n", scenario.scenario));
            }
        }
    }
    if let Some(coverage) = &plan.coverage {
        let what = combinations(usize::from(coverage.strength));
        out.push_str(&format!("\n{} of {} {what} of values are in", coverage.covered, coverage.feasible));
        out.push_str(&format!(" ({} cells, at least {} are needed for all)\n", plan.cells.len(), coverage.at_least));
    }
    if !plan.infeasible.is_empty() {
        out.push_str("\nvalues that no cell can have:\n");
        for Infeasible { axis, value, by } in &plan.infeasible {
            out.push_str(&format!("  {axis} = {value}, taken out by {}\n", by.join(", ")));
        }
    }
    if !plan.left_out.is_empty() {
        out.push_str("\nleft out:\n");
        for left in &plan.left_out {
            out.push_str(&format!("  {:6} cells by {}: {}\n", left.cells, left.by, left.because));
        }
    }
    out
}
