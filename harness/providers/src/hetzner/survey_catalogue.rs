//! The part of a survey that looks at what can be ordered: locations, machines, images.

use std::collections::BTreeSet;

use gsh_engine::cx::Cx;
use gsh_model::axis::Os;
use gsh_model::budget::Euros;
use jiff::Timestamp;

use super::catalogue::Offers;
use super::choice::{Candidate, MANAGER, Needs, WORKER, Wanted, candidates};
use super::config::MachineChoice;
use super::provider::HetznerProvider;
use super::survey::{Survey, Weight};

impl HetznerProvider {
    /// Whether there is anything to order.
    pub(crate) async fn look_at_catalogue(&self, cx: &Cx, survey: &mut Survey) -> bool {
        let offers = match self.catalogue.offers(&self.api, cx).await {
            Ok(offers) => offers,
            Err(e) => {
                survey.add("catalogue", Weight::Unclear, format!("it cannot be read: {}", e.trouble));
                return false;
            }
        };
        let known: Vec<&str> = offers.locations.iter().map(|l| l.name.as_str()).collect();
        let unknown: Vec<&str> =
            self.config.locations.iter().map(String::as_str).filter(|l| !known.contains(l)).collect();
        if !unknown.is_empty() {
            survey.advise(
                "location",
                Weight::Wrong,
                format!("the cloud has no location `{}`", unknown.join("`, `")),
                format!("name some of {} with --locations", known.join(", ")),
            );
            return false;
        }
        let now = Timestamp::now();
        let any = MachineChoice { server_type: None, ..self.config.machines.clone() };
        for (what, needs, machines) in [("machines", WORKER, &self.config.machines), ("small machines", MANAGER, &any)]
        {
            let wanted = Wanted { locations: &self.config.locations, needs, disk: 0, machines, now };
            match candidates(&offers, &wanted) {
                Ok(choices) => {
                    let Some(first) = choices.first() else { continue };
                    survey.add(what, Weight::Good, chosen(first, needs, choices.len()));
                    if let Some(end) = leaves(&offers, first) {
                        let date = end.strftime("%Y-%m-%d");
                        let text =
                            format!("{} will be sold in {} only until {date}", first.server_type, first.location);
                        let stay = choices_that_stay(&offers, &wanted);
                        survey.advise(
                            what,
                            Weight::Warning,
                            text,
                            format!("fit for this, and not announced to go: {stay}"),
                        );
                    }
                }
                Err(e) => {
                    let advice = match machines.server_type {
                        Some(_) => "name another one with --server-type, or none: then it is the cheapest that fits",
                        None => "name other locations with --locations",
                    };
                    survey.advise(what, Weight::Wrong, e.to_string(), advice);
                    return false;
                }
            }
        }
        true
    }

    /// Whether there is something to start from. Without an image its cells end inconclusive; without any there is no point in
    /// beginning.
    pub(crate) async fn look_at_images(&self, cx: &Cx, survey: &mut Survey, images: &BTreeSet<Os>) {
        let mut missing = Vec::new();
        for os in images {
            match self.catalogue.image(&self.api, cx, *os).await {
                Ok(image) => survey.add("image", Weight::Good, format!("{os}, number {}", image.id)),
                Err(failure) if failure.finding.check.as_str() == "GSH-CLOUD-008" => missing.push((os, failure)),
                Err(failure) => {
                    survey.add("image", Weight::Unclear, failure.finding.to_string());
                    return;
                }
            }
        }
        let weight = if missing.len() == images.len() { Weight::Wrong } else { Weight::Warning };
        for (os, failure) in missing {
            let text = format!("{os} cannot be had: {}", failure.finding.observed);
            survey.advise("image", weight, text, failure.finding.causes.join("; "));
        }
    }
}

fn chosen(first: &Candidate, needs: Needs, all: usize) -> String {
    let euros: Euros = format!("{}.{:02}", first.cents / 100, first.cents % 100).parse().unwrap_or_default();
    format!(
        "{} in {} at {euros} EUR a month for {} cores and {} GB; {} more to fall back on",
        first.server_type,
        first.location,
        needs.cores,
        needs.memory,
        all.saturating_sub(1)
    )
}

/// Until when a candidate will be sold, where its end is announced.
fn leaves(offers: &Offers, candidate: &Candidate) -> Option<Timestamp> {
    let kind = offers.server_types.iter().find(|t| t.name == candidate.server_type)?;
    kind.end(&candidate.location)?.unavailable_after
}

/// What could be ordered instead of a type that is named and announced to go.
fn choices_that_stay(offers: &Offers, wanted: &Wanted<'_>) -> String {
    let any = MachineChoice { server_type: None, ..wanted.machines.clone() };
    let all = candidates(offers, &Wanted { machines: &any, ..*wanted }).unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for candidate in all.iter().filter(|c| leaves(offers, c).is_none()) {
        if !names.contains(&candidate.server_type.as_str()) {
            names.push(&candidate.server_type);
        }
    }
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
