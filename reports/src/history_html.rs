//! The history as one static page: runs, what needs attention with its strip of results, and the age of every pair.
//!
//! No script and no outside resource; readable without colour, because every state has its sign.

use gsh_model::history::{Class, Covered, History, Record, verdict};
use gsh_model::outcome::OutcomeKind;
use gsh_model::shard::ShardId;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::text::{duration, sanitise};

/// Runs that the page lists; the folder has all.
const RUNS: usize = 60;
/// Results that a strip shows.
const STRIP: usize = 30;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8a8a8a;--soft:#8882}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}\
.n{text-align:right}td.n,td.t{font-variant-numeric:tabular-nums;white-space:nowrap}tbody th{font-weight:500}.wide{overflow-x:auto}\
.strip{font:14px/1 ui-monospace,monospace;white-space:nowrap}\
.strip span{display:inline-block;width:1.1em;text-align:center;border:1px solid #555;margin-right:1px;padding:.15em 0}\
.p{background:#009e73;color:#111}.f{background:#c43c00;color:#fff}.i{background:#7b3294;color:#fff}.s{background:#bdbdbd;color:#111}\
svg{vertical-align:middle}polyline{fill:none;stroke:currentColor;stroke-width:1.5}\
@media print{body{max-width:none}}";

/// Renders the page. The same history at the same moment gives the same bytes.
#[must_use]
pub fn render(history: &History, coverage: &[Covered], records: &[Record], now: Timestamp) -> String {
    let attention: Vec<&Record> =
        records.iter().filter(|r| matches!(r.class, Class::Broken | Class::Regressed | Class::Flaky)).collect();
    let green = coverage.iter().filter(|c| c.last_green.is_some()).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "gsh history" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "gsh history" }
                    p {
                        (counted(history.runs().len(), "run")) ", seen at " (format!("{now:.0}")) ". "
                        (green) " of " (coverage.len()) " pairs were green. "
                        (counted(attention.len(), "subject")) @if attention.len() == 1 { " needs" } @else { " need" } " attention."
                    }
                    h2 { "Needs attention" }
                    @if attention.is_empty() {
                        p { "Nothing is flaky, broken or worse than before." }
                    } @else {
                        div.wide role="region" tabindex="0" aria-label="what needs attention" { (subjects(&attention)) }
                    }
                    h2 { "Runs" }
                    div.wide role="region" tabindex="0" aria-label="runs" { (runs(history)) }
                    h2 { "Pairs" }
                    p { "Never green first, then the stalest." }
                    div.wide role="region" tabindex="0" aria-label="pairs" { (pairs(coverage, now)) }
                    h2 { "Every subject" }
                    details {
                        summary { (records.len()) " subjects of cells" }
                        div.wide role="region" tabindex="0" aria-label="every subject" { (subjects(&records.iter().collect::<Vec<_>>())) }
                    }
                }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn subjects(records: &[&Record]) -> Markup {
    html! {
        table {
            caption { "Rates with their 95 % interval; the newest result is on the right" }
            thead { tr {
                th scope="col" { "Class" } th scope="col" { "Subject" } th scope="col" { "Cell" }
                th.n scope="col" { "Passed" } th.n scope="col" { "Interval" } th.n scope="col" { "Flaky" }
                th scope="col" { "Results" }
            } }
            tbody {
                @for record in records {
                    tr {
                        td { (record.class.as_str()) }
                        th scope="row" { (record.subject.to_string()) }
                        td { (record.cell.as_str()) }
                        td.n { (record.passes) " of " (record.runs) }
                        td.n { (percent(record.interval.0)) " to " (percent(record.interval.1)) }
                        td.n { (percent(record.flaky_probability)) }
                        td { (strip(&record.strip)) }
                    }
                }
            }
        }
    }
}

fn percent(rate: f64) -> String {
    format!("{:.0} %", rate * 100.0)
}

fn strip(outcomes: &[OutcomeKind]) -> Markup {
    let last = &outcomes[outcomes.len().saturating_sub(STRIP)..];
    html! {
        span.strip role="img" aria-label=(last.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", ")) {
            @for outcome in last {
                @let (class, sign) = sign(*outcome);
                span class=(class) title=(outcome.as_str()) { (sign) }
            }
        }
    }
}

fn sign(outcome: OutcomeKind) -> (&'static str, &'static str) {
    match outcome {
        OutcomeKind::Passed => ("p", "✓"),
        OutcomeKind::Failed => ("f", "✗"),
        OutcomeKind::Inconclusive => ("i", "!"),
        OutcomeKind::Skipped => ("s", "–"),
    }
}

fn runs(history: &History) -> Markup {
    let shown = &history.runs()[history.runs().len().saturating_sub(RUNS)..];
    let minutes = |run: &gsh_model::history::RunSummary| {
        run.finished.map(|end| u64::try_from(end.as_millisecond() - run.started.as_millisecond()).unwrap_or(0))
    };
    let times: Vec<u64> = shown.iter().filter_map(minutes).collect();
    html! {
        @if times.len() > 1 {
            p { "Duration of the runs, oldest first: " (sparkline(&times)) }
        }
        @for (run, missing) in history.incomplete_nights() {
            p {
                "! Incomplete: of the night of " (run.run.as_str()) " shard " (list(&missing))
                " was never added, so it counts for no green night."
            }
        }
        @if history.runs().len() > shown.len() {
            p { "The last " (shown.len()) " of " (history.runs().len()) " runs." }
        }
        table {
            thead { tr {
                th scope="col" { "Began" } th scope="col" { "Run" } th scope="col" { "Evidence" } th.n scope="col" { "Green" }
                th.n scope="col" { "Red" } th.n scope="col" { "Unclear" } th.n scope="col" { "Took" } th.n scope="col" { "Cost" }
            } }
            tbody {
                @for run in shown.iter().rev() {
                    @let verdicts: Vec<Option<bool>> = run.cells.iter().map(verdict).collect();
                    @let count = |wanted| verdicts.iter().filter(|v| **v == wanted).count();
                    tr {
                        td.t { (run.started.strftime("%Y-%m-%d %H:%M").to_string()) }
                        th scope="row" { (run.run.as_str()) @if let Some(shard) = run.shard { " shard " (shard) } }
                        td { (run.evidence.to_string()) }
                        td.n { (count(Some(true))) }
                        td.n { (count(Some(false))) }
                        td.n { (count(None)) }
                        td.n { (minutes(run).map_or_else(|| "not finished".to_owned(), duration)) }
                        td.n { (run.cost().map_or_else(|| "–".to_owned(), |c| c.to_string())) }
                    }
                }
            }
        }
    }
}

fn list(shards: &[ShardId]) -> String {
    shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A small line of values, the lowest at the bottom. Whole numbers, so that it is the same on every machine.
fn sparkline(values: &[u64]) -> Markup {
    const WIDTH: u64 = 240;
    const HEIGHT: u64 = 32;
    let most = values.iter().copied().max().unwrap_or(1).max(1);
    let last = u64::try_from(values.len().max(2) - 1).unwrap_or(1);
    let points: Vec<String> = values
        .iter()
        .zip(0_u64..)
        .map(|(value, n)| format!("{},{}", 2 + n * (WIDTH - 4) / last, HEIGHT - 2 - value * (HEIGHT - 4) / most))
        .collect();
    let label = format!("between {} and {}", duration(values.iter().copied().min().unwrap_or(0)), duration(most));
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            polyline points=(points.join(" "));
        }
        " " (label)
    }
}

fn pairs(coverage: &[Covered], now: Timestamp) -> Markup {
    let days = |at: Timestamp| (now.as_second() - at.as_second()).max(0) / 86_400;
    html! {
        table {
            thead { tr {
                th scope="col" { "Values" } th scope="col" { "Last green" } th.n scope="col" { "Days" }
                th scope="col" { "Release" } th scope="col" { "Templates" } th.n scope="col" { "Green" } th.n scope="col" { "Red" }
            } }
            tbody {
                @for covered in coverage {
                    tr {
                        th scope="row" { (covered.tuple.to_string()) @if covered.is_red() { " ✗ last result red" } }
                        @match &covered.last_green {
                            None => { td { "? never" } td.n { "–" } td { "–" } td { "–" } },
                            Some(seen) => {
                                td { "✓ " (seen.run.as_str()) }
                                td.n { (days(seen.at)) }
                                td { (sanitise(&seen.release)) }
                                td { (seen.template.as_deref().map_or("gsh", |t| t.get(..12).unwrap_or(t))) }
                            },
                        }
                        td.n { (covered.green) }
                        td.n { (covered.red) }
                    }
                }
            }
        }
    }
}
