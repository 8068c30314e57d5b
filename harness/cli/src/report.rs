//! `gsh report`: renders a recorded run from its ledger, and from what is given beside it: history, policy, an earlier run.

use gsh_model::exit::Exit;
use gsh_model::run::RunState;
use gsh_reports::beside::{Beside, Proven, Verdict};
use gsh_reports::change::Earlier;
use gsh_reports::format::{Format, render_with};
use gsh_reports::past::Past;
use gsh_verdict::verdict::{Requirement, Status};

use crate::args::{self, ReportFormat};
use crate::error::CliError;
use crate::read;
use crate::whole::write_whole;

/// Renders a run.
pub(crate) fn report(args: &args::Report) -> Result<Exit, CliError> {
    let state = read::merged(&args.runs)?;
    let format = match args.format {
        ReportFormat::Junit => Format::Junit,
        ReportFormat::Markdown => Format::Markdown,
        ReportFormat::Json => Format::Json,
        ReportFormat::JunitStrict => Format::JunitStrict,
        ReportFormat::Html => Format::Html,
        ReportFormat::Github => Format::Github,
        ReportFormat::Ctrf => Format::Ctrf,
    };
    let mut beside = beside(args, &state)?;
    crate::evidence::excerpts(&mut beside, &args.runs, &state);
    let text = render_with(format, &state, &beside);
    match &args.output {
        Some(file) => write_whole(file, text.as_bytes())
            .map_err(|e| CliError::usage(format!("cannot write `{}`", file.display())).because(&e))?,
        None => crate::terminal::print(&text, "the report")?,
    }
    Ok(Exit::Pass)
}

/// What is known beside the run.
fn beside(args: &args::Report, state: &RunState) -> Result<Beside, CliError> {
    let grounds = &args.grounds;
    let judged_by = [
        ("--waivers", grounds.waivers.is_some()),
        ("--index", grounds.index.is_some()),
        ("--subject-commit", grounds.subject_commit.is_some()),
        ("--community", grounds.community.is_some()),
        ("--prices", grounds.prices.is_some()),
        ("--now", grounds.now.is_some()),
    ];
    if let (None, Some((name, _))) = (&args.policy, judged_by.iter().find(|(_, given)| *given)) {
        return Err(CliError::usage(format!("{name} says nothing without a policy to judge by"))
            .hint("add --policy FILE, or leave it out"));
    }
    let verdict = match &args.policy {
        Some(policy) => Some(crate::gate::judged(policy, grounds, &args.runs, |_, verdict| Ok(in_short(verdict)))?),
        None => None,
    };
    let past = match &grounds.history {
        Some(folder) => Past::of(&read::history(folder)?, state, &read::matrix(&grounds.matrix)?),
        None => None,
    };
    let baseline = match &args.baseline {
        Some(run) => Some(Earlier::of(&read::run(run)?)),
        None => past.as_ref().and_then(|p| p.last_green.clone()),
    };
    Ok(Beside { verdict, past, baseline, ..Beside::default() })
}

/// A verdict as reports show it.
fn in_short(verdict: &gsh_verdict::verdict::Verdict) -> Verdict {
    let words = |r: &Requirement| {
        let word = if r.status == Status::Failed { "failed" } else { "unproven" };
        format!("{word}: {}: {}", r.id, r.reason)
    };
    Verdict {
        word: verdict.verdict.word().to_owned(),
        reasons: verdict.reasons().map(words).collect(),
        proven: verdict.coverage.as_ref().map(|c| Proven { t: c.t, covered: c.covered, feasible: c.feasible }),
        waivers: verdict
            .waivers
            .iter()
            .map(|w| format!("{}: {}, until {}, {} answers for it", w.id, w.state.word(), w.expires, w.owner))
            .collect(),
    }
}
