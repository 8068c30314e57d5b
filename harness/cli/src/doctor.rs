//! `gsh doctor`, and the look at the account before a run begins.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::job::Settings;
use gsh_engine::stop::Stop;
use gsh_model::budget::Shape;
use gsh_model::exit::Exit;
use gsh_model::plan::{Plan, PlannedCell};
use gsh_model::schedule::{AtOnce, makespan};
use gsh_providers::{Asked, HetznerProvider, Survey, Weight};
use serde_json::json;

use crate::args::{self, DoctorFormat};
use crate::error::CliError;
use crate::wiring;

/// How long the account may take to answer everything.
const PATIENCE: Duration = Duration::from_secs(180);

/// Programs that gsh can do without and people will miss.
const TOOLS: [(&str, &str); 2] =
    [("kubectl", "to look into a cluster that was kept"), ("ssh", "to log in to a machine that was kept")];

/// Looks, and says what it saw. Creates nothing.
pub(crate) async fn doctor(args: &args::Doctor) -> Result<Exit, CliError> {
    wiring::check(&args.account)?;
    let bounds = crate::plan::Bounds { at_once: args.room.at_once(), budget: None, jobs: None };
    let (matrix, plan) = crate::plan::make(&args.selected, &wiring::OFFERS, &bounds)?;
    let settings = Settings {
        max_clusters: args.room.max_clusters as usize,
        max_servers: args.room.max_servers,
        budget: args.room.budget,
        ..crate::settings::limits(matrix.patience)
    };
    let account = wiring::account(&args.account).await?;
    let provider = account.provider(wiring::ClusterSettings::default(), crate::settings::spending(&settings))?;
    let mut survey = look(&provider, &plan, &settings).await;
    look_at_tools(&mut survey);
    account.end().await;
    let text = match args.format {
        DoctorFormat::Text => table(&survey),
        DoctorFormat::Json => {
            let value = json!({"schema": "gsh.doctor/v1", "ok": survey.blocker().is_none(), "survey": survey});
            format!("{value:#}\n")
        }
    };
    crate::terminal::print(&text, "the answer")?;
    refuse(&survey).map(|()| Exit::Pass)
}

/// Looks at an account with a plan in mind.
pub(crate) async fn look(provider: &HetznerProvider, plan: &Plan, settings: &Settings) -> Survey {
    let shapes: Vec<Shape> = plan.own_cells().map(|planned| plan.shape(planned)).collect();
    let asked = Asked {
        shapes,
        images: plan.own_cells().map(|planned| planned.cell.os).collect(),
        clusters: settings.max_clusters,
        servers: settings.max_servers,
        hours: settings.lease_hours(),
        budget: settings.budget,
    };
    let cx = Cx::unrecorded(Stop::new(), PATIENCE);
    let mut survey = provider.survey(&cx, &asked).await;
    if survey.blocker().is_none() {
        let (clusters, servers) = (settings.max_clusters, settings.max_servers);
        let at_once = AtOnce { clusters: u32::try_from(clusters).unwrap_or(u32::MAX), servers };
        let minutes = makespan(plan.own_cells().map(PlannedCell::work), at_once).div_ceil(60);
        let text = format!("about {minutes} minutes with {clusters} clusters and {servers} servers at a time");
        survey.add("time", Weight::Note, text);
    }
    survey
}

fn look_at_tools(survey: &mut Survey) {
    for (tool, what_for) in TOOLS {
        match crate::env::on_path(tool) {
            true => survey.add("tools", Weight::Good, format!("{tool}, {what_for}")),
            false => survey.add(
                "tools",
                Weight::Note,
                format!("{tool} is not here; gsh needs it for nothing, you may want it {what_for}"),
            ),
        }
    }
}

/// An error when nothing can begin.
pub(crate) fn refuse(survey: &Survey) -> Result<(), CliError> {
    let Some(blocker) = survey.blocker() else { return Ok(()) };
    let message = format!("{}: {}", blocker.what, blocker.text);
    let error = match blocker.weight {
        Weight::Good | Weight::Note | Weight::Warning | Weight::Wrong => CliError::usage(message),
        Weight::Unclear => CliError::inconclusive(message),
    };
    Err(match &blocker.advice {
        Some(advice) => error.hint(advice.clone()),
        None => error,
    })
}

/// A survey for people.
pub(crate) fn table(survey: &Survey) -> String {
    let mut out = String::new();
    for finding in &survey.findings {
        let sign = match finding.weight {
            Weight::Good => "ok",
            Weight::Note => "note",
            Weight::Warning => "warning",
            Weight::Unclear | Weight::Wrong => "wrong",
        };
        out.push_str(&format!("{:14} {sign:8} {}\n", finding.what, finding.text));
        if let Some(advice) = &finding.advice {
            out.push_str(&format!("{:14} {:8} -> {advice}\n", "", ""));
        }
    }
    out
}
