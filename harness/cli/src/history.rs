//! `gsh history`: the folder of run summaries, one small file for each run.
//!
//! Files are only ever added, under names that hold their own digest, so two branches that add runs merge without a
//! conflict and a changed file is found out.

use std::path::Path;

use gsh_model::exit::Exit;
use gsh_model::history::{Class, Covered, History, Record, RunSummary, coverage, records, verdict};
use gsh_reports::history_html;
use gsh_reports::text::duration;
use jiff::Timestamp;

use crate::args_plan::{HistoryCommand, Look, ShowFormat, TextOrJson};
use crate::error::CliError;
use crate::read;
use crate::whole::write_whole;

/// Runs one of the commands.
pub(crate) fn history(command: &HistoryCommand) -> Result<Exit, CliError> {
    let text = match command {
        HistoryCommand::Add { runs, dir } => add(runs, dir)?,
        HistoryCommand::Show { look, format, matrix, output } => {
            let history = looked_at(look)?;
            let text = match format {
                ShowFormat::Text => listed(&history),
                ShowFormat::Json => json(serde_json::to_string_pretty(history.runs()))?,
                ShowFormat::Html => {
                    let matrix = read::matrix(matrix)?;
                    let now = now(look);
                    history_html::render(&history, &coverage(&history, &matrix, 2), &records(&history, now), now)
                }
            };
            if let Some(file) = output {
                write_whole(file, text.as_bytes())
                    .map_err(|e| CliError::usage(format!("cannot write `{}`", file.display())).because(&e))?;
                return Ok(Exit::Pass);
            }
            text
        }
        HistoryCommand::Flaky { look, all, format } => {
            let mut records = records(&looked_at(look)?, now(look));
            if !all {
                records.retain(|r| matches!(r.class, Class::Broken | Class::Regressed | Class::Flaky));
            }
            match format {
                TextOrJson::Text => flaky(&records),
                TextOrJson::Json => json(serde_json::to_string_pretty(&records))?,
            }
        }
        HistoryCommand::Coverage { look, matrix, strength, format } => {
            let matrix = read::matrix(matrix)?;
            let all = coverage(&looked_at(look)?, &matrix, usize::from(*strength));
            match format {
                TextOrJson::Text => covered(&all, now(look)),
                TextOrJson::Json => json(serde_json::to_string_pretty(&all))?,
            }
        }
    };
    crate::terminal::print(&text, "the history")?;
    Ok(Exit::Pass)
}

fn now(look: &Look) -> Timestamp {
    look.now.unwrap_or_else(Timestamp::now)
}

fn looked_at(look: &Look) -> Result<History, CliError> {
    Ok(read::history(&look.dir)?.at_least(look.evidence))
}

fn json(text: serde_json::Result<String>) -> Result<String, CliError> {
    let mut text = text.map_err(|e| CliError::bug("cannot write the history as JSON").because(&e))?;
    text.push('\n');
    Ok(text)
}

fn add(runs: &[std::path::PathBuf], dir: &Path) -> Result<String, CliError> {
    // Everything is read before anything is written.
    let summaries = runs
        .iter()
        .map(|run| {
            RunSummary::of(&read::run(run)?).ok_or_else(|| {
                CliError::usage(format!("`{}` ends before its plan: it has shown nothing", run.display()))
            })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let unwritable = |e: &std::io::Error| CliError::usage(format!("cannot write into `{}`", dir.display())).because(e);
    std::fs::create_dir_all(dir).map_err(|e| unwritable(&e))?;
    let mut out = String::new();
    for summary in summaries {
        let path = dir.join(summary.file_name());
        if !path.exists() {
            write_whole(&path, summary.to_text().as_bytes()).map_err(|e| unwritable(&e))?;
        }
        out.push_str(&format!("{}\n", path.display()));
    }
    Ok(out)
}

fn listed(history: &History) -> String {
    let mut out = String::new();
    for run in history.runs() {
        let verdicts: Vec<Option<bool>> = run.cells.iter().map(verdict).collect();
        let count = |wanted: Option<bool>| verdicts.iter().filter(|v| **v == wanted).count();
        let shard = run.shard.map(|s| format!(" shard {s}")).unwrap_or_default();
        let cost = run.cost().map(|c| format!(", {c}")).unwrap_or_default();
        let took = run.finished.map_or_else(
            || "not finished".to_owned(),
            |end| duration(u64::try_from(end.as_millisecond() - run.started.as_millisecond()).unwrap_or(0)),
        );
        out.push_str(&format!(
            "{:.0}  {}{shard}  {}, {} green, {} red, {} unclear; {took}{cost}\n",
            run.started,
            run.run,
            run.evidence,
            count(Some(true)),
            count(Some(false)),
            count(None),
        ));
    }
    for (run, missing) in history.incomplete_nights() {
        let shards: Vec<String> = missing.iter().map(ToString::to_string).collect();
        out.push_str(&format!(
            "incomplete: of the night of {} shard {} was never added, so it counts for no green night\n",
            run.run,
            shards.join(", ")
        ));
    }
    if out.is_empty() {
        out.push_str("no runs\n");
    }
    out
}

fn flaky(records: &[Record]) -> String {
    if records.is_empty() {
        return "nothing is flaky, broken or worse than before\n".to_owned();
    }
    let mut out = String::new();
    for record in records {
        out.push_str(&format!(
            "{:9} {} in {}: passed {} of {} (95 % between {:.1} % and {:.1} %), {} flips, flaky with {:.0} %\n",
            record.class.as_str(),
            record.subject,
            record.cell,
            record.passes,
            record.runs,
            record.interval.0 * 100.0,
            record.interval.1 * 100.0,
            record.flips,
            record.flaky_probability * 100.0,
        ));
    }
    out
}

fn covered(all: &[Covered], now: Timestamp) -> String {
    let green = all.iter().filter(|c| c.last_green.is_some()).count();
    let mut out = format!("{green} of {} combinations were green\n", all.len());
    for covered in all {
        let age = match &covered.last_green {
            None => "never green".to_owned(),
            Some(seen) => {
                let days = (now.as_second() - seen.at.as_second()).max(0) / 86_400;
                let template = seen.template.as_ref().map(|t| format!(", templates {}", &t[..t.len().min(12)]));
                format!("green {days} days ago on {} ({}{})", seen.release, seen.run, template.unwrap_or_default())
            }
        };
        let red = match &covered.last_red {
            Some(seen) if covered.is_red() => format!(", red since {}", seen.run),
            Some(_) | None => String::new(),
        };
        out.push_str(&format!("  {}: {age}{red}\n", covered.tuple));
    }
    out
}
