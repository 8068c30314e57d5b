//! `gsh explain`: which combination of values explains the failures, and what would decide.

use std::path::PathBuf;

use gsh_model::axis::Cell;
use gsh_model::exit::Exit;
use gsh_model::explain::{Explanation, explain as weigh, sureness};
use gsh_model::matrix::Matrix;
use gsh_model::outcome::Subject;
use gsh_model::run::RunState;

use crate::args_plan::{self, TextOrJson};
use crate::error::CliError;
use crate::read;

/// Explains the failures of runs.
pub(crate) fn explain(args: &args_plan::Explain) -> Result<Exit, CliError> {
    let matrix = read::matrix(&args.matrix)?;
    let runs = loaded(&args.runs)?;
    let explanations = weigh(&runs, &matrix);
    let text = match args.format {
        TextOrJson::Text => text(&explanations, &args.runs),
        TextOrJson::Json => {
            let mut json = serde_json::to_string_pretty(&explanations)
                .map_err(|e| CliError::bug("cannot write the explanation as JSON").because(&e))?;
            json.push('\n');
            json
        }
    };
    crate::terminal::print(&text, "the explanation")?;
    Ok(Exit::Pass)
}

fn loaded(runs: &[PathBuf]) -> Result<Vec<RunState>, CliError> {
    runs.iter().map(|run| read::run(run)).collect()
}

/// What a run would have to look at to decide.
pub(crate) struct Question {
    pub(crate) cells: Vec<(Cell, String)>,
    pub(crate) scenarios: Vec<String>,
}

/// The cells that would decide what explains the failures of these runs.
pub(crate) fn question(runs: &[PathBuf], matrix: &Matrix) -> Result<Question, CliError> {
    let explanations = weigh(&loaded(runs)?, matrix);
    let mut question = Question { cells: Vec::new(), scenarios: Vec::new() };
    for explanation in &explanations {
        for deciding in &explanation.deciding {
            let why = format!("decides what explains {} in {}", explanation.check, explanation.subject);
            if !question.cells.iter().any(|(cell, _)| *cell == deciding.cell) {
                question.cells.push((deciding.cell.clone(), why));
            }
        }
        if let (Subject::Scenario(id), false) = (&explanation.subject, explanation.deciding.is_empty())
            && !question.scenarios.iter().any(|s| s == id.as_str())
        {
            question.scenarios.push(id.to_string());
        }
    }
    if question.cells.is_empty() {
        let reason = if explanations.is_empty() { "nothing failed in these runs" } else { "nothing is left to decide" };
        return Err(CliError::usage(format!("there is nothing to narrow down: {reason}"))
            .hint("`gsh explain RUN` shows what is known"));
    }
    Ok(question)
}

fn text(explanations: &[Explanation], runs: &[PathBuf]) -> String {
    if explanations.is_empty() {
        return "nothing failed in these runs\n".to_owned();
    }
    let mut out = String::new();
    for explanation in explanations {
        let (failing, passing) = (explanation.failing.len(), explanation.passing);
        out.push_str(&format!(
            "{} in {}: failed in {failing}, passed in {passing}\n",
            explanation.check, explanation.subject
        ));
        for suspicion in &explanation.suspicions {
            let values: Vec<String> =
                suspicion.tuple.values().iter().map(|(axis, value)| format!("{axis}={value}")).collect();
            out.push_str(&format!(
                "  {} {} ({:.0} %): {} of the {failing} that failed have it, {} of the {passing} that passed\n",
                sureness(suspicion.probability),
                values.join(" × "),
                suspicion.probability * 100.0,
                suspicion.failing,
                suspicion.passing,
            ));
        }
        out.push_str(&format!("  nothing to do with the values: {:.0} %\n", explanation.unrelated * 100.0));
        if explanation.deciding.is_empty() {
            out.push_str("  no further cell would tell much more\n");
        }
        for deciding in &explanation.deciding {
            let fails: Vec<String> = deciding.fails_if.iter().map(ToString::to_string).collect();
            let fails = if fails.is_empty() { "none of these".to_owned() } else { fails.join(", or ") };
            let servers = if deciding.servers == 1 { "server" } else { "servers" };
            out.push_str(&format!(
                "  would decide: {} ({} {servers}); fails if it is {fails}\n",
                deciding.cell.id(),
                deciding.servers
            ));
        }
    }
    if explanations.iter().any(|e| !e.deciding.is_empty()) {
        let runs: Vec<String> = runs.iter().map(|r| format!("--narrow {}", r.display())).collect();
        out.push_str(&format!("to decide: gsh run {}\n", runs.join(" ")));
    }
    out
}
