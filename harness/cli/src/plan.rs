//! `gsh plan`, and making a plan for whoever needs one.

use std::io::Write;
use std::path::Path;

use gsh_model::axis::Cell;
use gsh_model::budget::Euros;
use gsh_model::cover::{check, combinations, counted};
use gsh_model::exit::Exit;
use gsh_model::matrix::Matrix;
use gsh_model::plan::{Infeasible, Plan, PlanError, Remembered, Selection, plan as decide};
use gsh_model::scenario::{Need, ScenarioSpec};
use gsh_model::schedule::AtOnce;
use gsh_model::select::Select;
use gsh_model::shard::ShardId;
use gsh_model::tonight::Limits;
use gsh_reports::text::duration;
use jiff::Timestamp;

use crate::args;
use crate::args_plan::{self, PlanFormat, Selected};
use crate::error::CliError;
use crate::read;

/// What providers offer before one is chosen: a plan is shown without an account.
const EVERYTHING: [Need; 3] = [Need::GrowableCluster, Need::Writable, Need::SshGateway];

/// Jobs of a GitHub matrix when nobody says how many: some are left for the rest of the workflow.
const JOBS: u16 = 200;

/// Shows the plan.
pub(crate) fn plan(args: &args_plan::Plan) -> Result<Exit, CliError> {
    let github = args.format == PlanFormat::Github;
    let jobs = args.selected.night.max_jobs.or(github.then_some(JOBS));
    let bounds = Bounds {
        at_once: AtOnce { clusters: args.max_clusters, servers: args.max_servers },
        budget: args.budget,
        jobs,
    };
    let (matrix, plan) = make(&args.selected, &EVERYTHING, &bounds)?;
    if let Some(file) = &args.output {
        crate::whole::write_whole(file, json(&plan)?.as_bytes())
            .map_err(|e| CliError::usage(format!("cannot write `{}`", file.display())).because(&e))?;
    }
    let mut text = match args.format {
        PlanFormat::Text => text(&plan),
        PlanFormat::Json => json(&plan)?,
        PlanFormat::Github => github_matrix(&plan)?,
    };
    if args.check {
        let proof = prove(args, &matrix, &plan)?;
        match args.format {
            PlanFormat::Text => text.push_str(&proof),
            PlanFormat::Json | PlanFormat::Github => crate::terminal::say(proof.trim_end()),
        }
    }
    crate::terminal::print(&text, "the plan")?;
    Ok(Exit::Pass)
}

/// What bounds a plan besides the selection.
pub(crate) struct Bounds {
    pub(crate) at_once: AtOnce,
    pub(crate) budget: Option<Euros>,
    pub(crate) jobs: Option<u16>,
}

/// The plan of a run: one that was made before, a part of it, or a new one.
pub(crate) fn for_run(args: &args::Run, offers: &[Need], budget: Option<Euros>) -> Result<(Matrix, Plan), CliError> {
    let part = &args.part;
    let shard = part.shard.or(part.shard_index.map(ShardId::at));
    let jobs = args.selected.night.max_jobs.or(shard.map(|_| JOBS));
    let (matrix, mut plan) = match &part.plan {
        Some(file) => made_before(&args.selected.matrix, file)?,
        None if !part.narrow.is_empty() => narrowed(args, offers)?,
        None => {
            let bounds = Bounds { at_once: args.room.at_once(), budget, jobs };
            // Without prices the plan cannot count money; the run's own cap still holds.
            match planned(&args.selected, offers, &bounds)? {
                (matrix, Ok(plan)) => (matrix, plan),
                (_, Err(PlanError::NoPrices)) => make(&args.selected, offers, &Bounds { budget: None, ..bounds })?,
                (_, Err(e)) => return Err(refused(&args.selected.matrix, &e)),
            }
        }
    };
    if let Some(shard) = shard {
        if !plan.shards.iter().any(|s| s.id == shard) {
            let known: Vec<String> = plan.shards.iter().map(|s| s.id.to_string()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(CliError::usage(format!("the plan has no shard {shard}"))
                .hint(format!("its shards: {known}; `gsh plan --max-jobs N --output plan.json` divides a plan")));
        }
        plan.shard = Some(shard);
    }
    Ok((matrix, plan))
}

fn made_before(matrix: &Path, file: &Path) -> Result<(Matrix, Plan), CliError> {
    let bad = || CliError::usage(format!("`{}` is no plan", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| bad().because(&e))?;
    let mut plan: Plan =
        serde_json::from_str(&text).map_err(|e| bad().because(&e).hint("write one with gsh plan --output"))?;
    let matrix_file = matrix;
    let matrix = read::matrix(matrix)?;
    if plan.matrix_sha256 != matrix.sha256 {
        return Err(CliError::usage(format!(
            "the plan `{}` was made from another matrix than `{}`",
            file.display(),
            matrix_file.display()
        ))
        .hint("give the matrix that it was made from with --matrix, or plan again"));
    }
    if plan.cells.is_empty() {
        return Err(bad().hint("it has no cells; zero planned subjects is never success"));
    }
    // Where secrets are sent is for the matrix file to say.
    plan.stores = matrix.stores.clone();
    Ok((matrix, plan))
}

/// The cells that would decide what explains the failures of other runs.
fn narrowed(args: &args::Run, offers: &[Need]) -> Result<(Matrix, Plan), CliError> {
    let matrix = read::matrix(&args.selected.matrix)?;
    let question = crate::explain::question(&args.part.narrow, &matrix)?;
    let selection = Selection {
        only: question.cells,
        scenarios: question.scenarios,
        limits: Limits { at_once: args.room.at_once(), ..Limits::default() },
        memory: remembered(&args.selected)?,
        ..Selection::default()
    };
    let plan = decide(&matrix, &catalogue(), offers, &selection).map_err(|e| refused(&args.selected.matrix, &e))?;
    Ok((matrix, plan))
}

fn catalogue() -> Vec<ScenarioSpec> {
    gsh_scenarios::CATALOGUE.iter().map(|s| (s.spec)()).collect()
}

fn remembered(selected: &Selected) -> Result<Option<Remembered>, CliError> {
    let night = &selected.night;
    let Some(dir) = &night.history else { return Ok(None) };
    let history = read::history(dir)?.at_least(night.evidence);
    Ok(Some(Remembered { history, now: Timestamp::now() }))
}

fn planned(
    selected: &Selected,
    offers: &[Need],
    bounds: &Bounds,
) -> Result<(Matrix, Result<Plan, PlanError>), CliError> {
    let matrix = read::matrix(&selected.matrix)?;
    let night = &selected.night;
    let selection = Selection {
        cover: selected.cover,
        select: selected.select.clone(),
        scenarios: selected.scenario.clone(),
        max_jobs: bounds.jobs.map(usize::from),
        only: Vec::new(),
        limits: Limits { budget: bounds.budget, within_s: night.within, at_once: bounds.at_once },
        memory: remembered(selected)?,
        prices: night.prices.as_deref().map(read::prices).transpose()?,
    };
    let plan = decide(&matrix, &catalogue(), offers, &selection);
    Ok((matrix, plan))
}

/// Reads the matrix and decides the plan.
pub(crate) fn make(selected: &Selected, offers: &[Need], bounds: &Bounds) -> Result<(Matrix, Plan), CliError> {
    let (matrix, plan) = planned(selected, offers, bounds)?;
    let plan = plan.map_err(|e| refused(&selected.matrix, &e))?;
    Ok((matrix, plan))
}

fn refused(matrix: &Path, error: &PlanError) -> CliError {
    let hint = match error {
        PlanError::NoPrices => "give --prices FILE, or --history DIR with runs on the real cloud",
        PlanError::TooLittle { .. } => "the base cell always runs; allow at least as much",
        PlanError::UnknownScenario { .. }
        | PlanError::BadSelect(_)
        | PlanError::Nothing { .. }
        | PlanError::NotValid { .. }
        | PlanError::TooLarge { .. } => "`gsh plan` without --select and --scenario shows everything there is",
    };
    CliError::usage(format!("cannot plan from `{}`", matrix.display())).because(error).hint(hint)
}

fn json(plan: &Plan) -> Result<String, CliError> {
    let mut json =
        serde_json::to_string_pretty(plan).map_err(|e| CliError::bug("cannot write the plan as JSON").because(&e))?;
    json.push('\n');
    Ok(json)
}

/// One line for `strategy.matrix`, also as output of the step. Only ids: an output with a secret in it is not passed on.
fn github_matrix(plan: &Plan) -> Result<String, CliError> {
    let count = plan.shards.len();
    let include: Vec<serde_json::Value> = plan
        .shards
        .iter()
        .map(|shard| {
            serde_json::json!({
                "shard": shard.id,
                "name": format!("{} of {count:02}", shard.id),
                "cells": shard.cells,
            })
        })
        .collect();
    let line = serde_json::json!({ "include": include }).to_string();
    if let Some(file) = crate::env::github_output() {
        let mut options = std::fs::OpenOptions::new();
        options
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut f| writeln!(f, "matrix={line}\ncount={count}"))
            .map_err(|e| CliError::usage(format!("cannot write $GITHUB_OUTPUT, `{}`", file.display())).because(&e))?;
    }
    Ok(format!("{line}\n"))
}

/// Proves the plan by the independent check.
fn prove(args: &args_plan::Plan, matrix: &Matrix, plan: &Plan) -> Result<String, CliError> {
    let selected = &args.selected;
    let catalogue = catalogue();
    let select = selected.select.as_deref().map(|text| Select::parse(text, matrix, &catalogue)).transpose();
    let select = select.map_err(|e| CliError::usage("cannot check the plan").because(&e))?;
    let wanted = |cell: &Cell| select.as_ref().is_none_or(|s| plan.scenarios.iter().any(|spec| s.holds(cell, spec)));
    let cells: Vec<Cell> = plan.cells.iter().map(|c| c.cell.clone()).collect();
    let strength = selected.cover.strength();
    let proof = check::check(matrix, wanted, &cells, strength);
    if !proof.invalid.is_empty() {
        let invalid: Vec<String> = proof.invalid.iter().map(|(cell, by)| format!("{cell} ({by})")).collect();
        return Err(CliError::bug(format!("the plan has cells that must not run: {}", invalid.join(", "))));
    }
    let limited = selected.night.within.is_some() || args.budget.is_some();
    if !proof.missing.is_empty() && !limited && selected.cover != gsh_model::cover::Cover::OneOff {
        let missing: Vec<String> = proof.missing.iter().take(5).map(ToString::to_string).collect();
        return Err(CliError::bug(format!("the plan misses combinations: {}", missing.join("; "))));
    }
    Ok(format!(
        "\nchecked by another way: {} of {}, no cell that must not run\n",
        proof.feasible - proof.missing.len(),
        counted(proof.feasible, strength)
    ))
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
        let open = coverage.feasible - coverage.covered;
        const SHOWN: usize = 10;
        for left in coverage.open.iter().take(SHOWN) {
            let green = left.last_green.map_or_else(|| "never green".to_owned(), |at| format!("last green {at:.0}"));
            out.push_str(&format!("  open: {} ({green})\n", left.tuple));
        }
        if open > SHOWN {
            out.push_str(&format!("  and {} more\n", open - SHOWN));
        }
    }
    if let Some(estimate) = &plan.estimate {
        let seconds = |s: u64| duration(s.saturating_mul(1000));
        out.push_str(&format!("\nexpected: {}", seconds(estimate.makespan_s)));
        let servers = estimate.servers.map(|n| format!(" and {n} servers")).unwrap_or_default();
        out.push_str(&format!(" with {} clusters{servers} at a time", estimate.clusters));
        if !plan.shards.is_empty() {
            out.push_str(&format!(" in each of {} shards", plan.shards.len()));
        }
        out.push_str(&format!(", {} of cluster time", seconds(estimate.work_s)));
        if let Some(cost) = &estimate.cost {
            out.push_str(&format!(", {cost}"));
        }
        if estimate.guessed > 0 {
            out.push_str(&format!("; {} of {} durations are guesses", estimate.guessed, plan.cells.len()));
        }
        out.push('\n');
    }
    if !plan.stores.is_empty() {
        let s3 = plan.stores.s3.as_ref().map(|s3| s3.endpoint.clone());
        let registry = plan.stores.registry.as_ref().map(|registry| registry.url.clone());
        let used = plan.cells.iter().filter(|c| !plan.stores.serve(&c.cell).is_empty()).count();
        let given: Vec<String> = s3.into_iter().chain(registry).collect();
        out.push_str(&format!("\nstores given by the matrix: {}, used by {used} cells\n", given.join(" and ")));
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
