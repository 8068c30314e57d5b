//! Looks at an account before money is spent: token, clock, limits, catalogue, prices, what is there already, and whether
//! the plan fits. Only reads, but for one request that is made to be refused and tells whether the token may write.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_model::axis::Os;
use gsh_model::budget::{Amount, Euros, Shape};
use jiff::Timestamp;
use serde::Serialize;

use super::create::{FIREWALL, Kind, LOAD_BALANCER, NETWORK, PRIMARY_IP, SERVER, SSH_KEY, VOLUME};
use super::governor::Purpose;
use super::labels;
use super::prices::Which;
use super::provider::HetznerProvider;
use super::survey_access::Access;
use super::wire::Thing;

/// A clock that is more seconds off than this makes expiries wrong.
const SKEW_S: i64 = 120;

/// Started hours that a lease of one cell usually lives.
const USUAL_HOURS: u64 = 1;

/// What is planned, as far as an account is concerned.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The shape of each lease, those that scenarios add included.
    pub shapes: Vec<Shape>,
    /// The images that its nodes start from.
    pub images: BTreeSet<Os>,
    /// Most clusters at a time.
    pub clusters: usize,
    /// Most servers at a time.
    pub servers: u32,
    /// Started hours that one lease can cost at most.
    pub hours: u64,
    /// The cap of the whole run.
    pub budget: Option<Euros>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// The run can begin, but may not go well.
    Warning,
    /// The cloud does not let us: nothing can begin now.
    Unclear,
    /// Something was asked for or given that cannot work: nothing can begin.
    Wrong,
}

/// One line of a survey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `token`, `clock`, `budget`, …
    pub what: String,
    /// How much it matters.
    pub weight: Weight,
    /// What was seen.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What an account looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Line by line.
    pub findings: Vec<Finding>,
    /// What the plan costs when every cell needs the first choice of machines for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Amount>,
    /// What it can cost at most without a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Amount>,
}

impl Survey {
    /// Adds a line.
    pub fn add(&mut self, what: &str, weight: Weight, text: impl Into<String>) {
        self.findings.push(Finding { what: what.to_owned(), weight, text: text.into(), advice: None });
    }

    /// Adds a line with what to do.
    pub fn advise(&mut self, what: &str, weight: Weight, text: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.findings.push(Finding { what: what.to_owned(), weight, text: text.into(), advice });
    }

    /// The gravest line that keeps a run from beginning.
    #[must_use]
    pub fn blocker(&self) -> Option<&Finding> {
        // Of equals the first one: later lines may only follow from it.
        let blocking = self.findings.iter().filter(|f| f.weight >= Weight::Unclear);
        blocking.reduce(|a, b| if b.weight > a.weight { b } else { a })
    }
}

impl HetznerProvider {
    /// Looks at the account with a plan in mind.
    pub async fn survey(&self, cx: &Cx, asked: &Asked) -> Survey {
        let mut survey = Survey::default();
        if !self.look_at_token(cx, &mut survey, Access::Write, Purpose::Work).await {
            return survey;
        }
        self.look_at_clock(&mut survey);
        if !self.look_at_catalogue(cx, &mut survey).await {
            return survey;
        }
        self.look_at_images(cx, &mut survey, &asked.images).await;
        self.look_at_account(cx, &mut survey, asked).await;
        self.look_at_money(cx, &mut survey, asked).await;
        survey
    }

    fn look_at_clock(&self, survey: &mut Survey) {
        match self.api.skew() {
            Some(skew) if skew.abs() > SKEW_S => survey.advise(
                "clock",
                Weight::Warning,
                format!(
                    "this machine's clock is {} s {} the cloud's",
                    skew.abs(),
                    if skew > 0 { "ahead of" } else { "behind" }
                ),
                "set the clock: leases expire by it, and costs are counted by it",
            ),
            Some(skew) => survey.add("clock", Weight::Good, format!("within {} s of the cloud's", skew.abs().max(1))),
            None => survey.add("clock", Weight::Note, "the API does not tell the time"),
        }
        match self.api.rate() {
            Some((limit, left)) if left < limit / 4 => survey.advise(
                "rate limit",
                Weight::Warning,
                format!("{left} of {limit} requests an hour are left"),
                "something else uses this project's requests; the run will wait for more",
            ),
            Some((limit, left)) => {
                survey.add("rate limit", Weight::Good, format!("{limit} requests an hour, {left} left"))
            }
            None => survey.add("rate limit", Weight::Note, "the API does not tell it"),
        }
    }

    /// What is there, whose it is, and what comes on top.
    async fn look_at_account(&self, cx: &Cx, survey: &mut Survey, asked: &Asked) {
        let kinds: [(Kind, &str); 7] = [
            (SERVER, "servers"),
            (LOAD_BALANCER, "load balancers"),
            (VOLUME, "volumes"),
            (PRIMARY_IP, "primary addresses"),
            (NETWORK, "networks"),
            (FIREWALL, "firewalls"),
            (SSH_KEY, "SSH keys"),
        ];
        // The only lists without a selector: they are counted, and nothing in them is ever acted on.
        let lists =
            join_all(kinds.iter().map(|(kind, _)| self.api.list::<Thing>(cx, kind.many, &[], Purpose::Work))).await;
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut foreign, mut expired) = (0, 0);
        let now = Timestamp::now().as_second();
        for (list, (kind, word)) in lists.into_iter().zip(kinds) {
            let things = match list {
                Ok(things) => things,
                Err(e) => {
                    survey.add("account", Weight::Unclear, format!("its {word} cannot be listed: {}", e.trouble));
                    return;
                }
            };
            counted.insert(word, things.len());
            for thing in &things {
                let expires = thing.labels.get(labels::EXPIRES).and_then(|s| s.parse::<i64>().ok());
                // A server's own address carries no labels of anybody.
                let anonymous = kind == PRIMARY_IP && thing.labels.is_empty();
                match (thing.labels.contains_key(labels::RUN), expires) {
                    (true, Some(at)) if at < now => expired += 1,
                    (true, _) => {}
                    (false, _) if anonymous => {}
                    (false, _) => foreign += 1,
                }
            }
        }
        let listed: Vec<String> =
            counted.iter().filter(|(_, n)| **n > 0).map(|(word, n)| format!("{n} {word}")).collect();
        let there = if listed.is_empty() { "nothing is there yet".to_owned() } else { listed.join(", ") };
        survey.add("account", Weight::Good, there);
        if foreign > 0 {
            survey.advise(
                "account",
                Weight::Warning,
                format!("{foreign} things in this project are not gsh's; they are never touched"),
                "give gsh a project of its own: requests, limits and the bill are shared with them",
            );
        }
        if expired > 0 {
            let text = format!("{expired} things of earlier runs have expired and still cost money");
            survey.advise("account", Weight::Warning, text, "gsh sweep --expired");
        }
        let most = at_once(asked);
        let there = counted.get("servers").copied().unwrap_or(0);
        survey.advise(
            "limits",
            Weight::Note,
            format!(
                "up to {} servers, {} load balancers and {} addresses at a time, beside {there} servers that are there",
                most.servers(),
                most.balancers,
                most.servers() + most.balancers,
            ),
            "the API does not tell the project's limits: look in its console; a new account may have 10 servers",
        );
        if let Some(large) = asked.shapes.iter().filter(|s| s.servers() > asked.servers).max_by_key(|s| s.servers()) {
            let text = format!(
                "a cell needs {} servers, more than --max-servers {}; it runs alone",
                large.servers(),
                asked.servers
            );
            survey.add("limits", Weight::Warning, text);
        }
    }

    async fn look_at_money(&self, cx: &Cx, survey: &mut Survey, asked: &Asked) {
        // What cannot be read once is not asked for again.
        let priced = async {
            let first = self.prices(cx, Which::First).await?;
            Ok::<_, Failure>((first, self.prices(cx, Which::Dearest).await?))
        };
        let (first, dearest) = match priced.await {
            Ok(both) => both,
            Err(failure) => {
                let weight = if asked.budget.is_some() { Weight::Unclear } else { Weight::Warning };
                survey.add("prices", weight, failure.finding.to_string());
                return;
            }
        };
        let expected = first.all(asked.shapes.iter().copied(), USUAL_HOURS);
        let at_most = dearest.all(asked.shapes.iter().copied(), asked.hours);
        let cells = asked.shapes.len();
        survey.add(
            "cost",
            Weight::Good,
            format!("{expected} when each of {cells} cells takes an hour; at most {at_most}"),
        );
        survey.expected = Some(expected);
        survey.at_most = Some(at_most);
        let Some(cap) = asked.budget else {
            survey.advise("budget", Weight::Note, "none", "--budget EUR makes it a hard cap");
            return;
        };
        let leases = asked.shapes.iter().map(|s| dearest.lease(*s).up_to(asked.hours));
        let cheapest = leases.min_by_key(|a| a.gross).unwrap_or_default();
        if cheapest.gross > cap {
            survey.advise(
                "budget",
                Weight::Wrong,
                format!("{cap:.2} EUR do not pay for one cell, which can cost {cheapest}"),
                "raise --budget, or lower the limits in [patience] of the matrix",
            );
        } else if at_most.gross <= cap {
            survey.add("budget", Weight::Good, format!("{cap:.2} EUR pay for the whole plan, whatever happens"));
        } else if expected.gross <= cap {
            let text =
                format!("{cap:.2} EUR pay for the plan when all goes well; cells may have to wait for each other");
            survey.add("budget", Weight::Note, text);
        } else {
            let text = format!("{cap:.2} EUR do not pay for the whole plan; the last cells will be inconclusive");
            survey.advise("budget", Weight::Warning, text, "raise --budget, or plan fewer cells");
        }
    }
}

/// The most that exists at a time: the largest leases together, as far as the limits let them.
fn at_once(asked: &Asked) -> Shape {
    let mut shapes = asked.shapes.clone();
    shapes.sort_by_key(|s| std::cmp::Reverse(s.servers()));
    let mut all = Shape { workers: 0, managers: 0, balancers: 0 };
    for shape in shapes.into_iter().take(asked.clusters) {
        if all.servers() > 0 && all.servers() + shape.servers() > asked.servers {
            continue;
        }
        all = Shape {
            workers: all.workers + shape.workers,
            managers: all.managers + shape.managers,
            balancers: all.balancers + shape.balancers,
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_at_a_time_keeps_to_both_limits() {
        let shape = |workers, managers, balancers| Shape { workers, managers, balancers };
        let asked = |clusters, servers| Asked {
            shapes: vec![shape(1, 0, 0), shape(3, 3, 2), shape(2, 0, 1)],
            images: BTreeSet::new(),
            clusters,
            servers,
            hours: 3,
            budget: None,
        };
        assert_eq!(at_once(&asked(2, 20)), shape(5, 3, 3));
        assert_eq!(at_once(&asked(3, 7)), shape(4, 3, 2), "the middle one does not fit beside the largest");
        assert_eq!(at_once(&asked(3, 2)).servers(), 6, "a cell that is too large runs alone");
    }

    #[test]
    fn the_gravest_line_blocks_and_of_equals_the_first() {
        let mut survey = Survey::default();
        survey.add("a", Weight::Warning, "");
        assert_eq!(survey.blocker(), None);
        for (what, weight) in [("b", Weight::Unclear), ("c", Weight::Wrong), ("d", Weight::Wrong)] {
            survey.add(what, weight, "");
        }
        assert_eq!(survey.blocker().map(|f| f.what.as_str()), Some("c"));
    }
}
