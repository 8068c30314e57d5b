//! What must be proven, one function each, in order of importance.

use gsh_model::input::{self, Input, InputKind};
use gsh_model::outcome::{Outcome, Subject};
use gsh_model::run::{CellState, LeaseEnd};
use gsh_model::scenario::ScenarioId;
use gsh_model::{axis::Template, event::CheckResult};
use jiff::{SignedDuration, Timestamp};

use crate::coverage::Space;
use crate::facts::{Facts, Place, Standing, grade};
use crate::gate::{Case, Seal};
use crate::past::{Grade, wilson_lower};
use crate::policy::{Binding, Demand, Flaky, IndexDemand, InfraErrors, Leftovers};
use crate::verdict::{Covered, Requirement, Status};
use crate::waiver::Life;

/// How far ahead of the gate's clock a runner's may be.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

fn requirement(id: &'static str, status: Status, reason: impl Into<String>) -> Requirement {
    Requirement { id, status, reason: reason.into(), cells: Vec::new() }
}

fn at(id: &'static str, status: Status, reason: impl Into<String>, cells: Vec<String>) -> Requirement {
    Requirement { cells, ..requirement(id, status, reason) }
}

/// Every requirement in order of importance, and how much of the matrix is proven.
pub(crate) fn all(case: &Case<'_>, facts: &Facts<'_>) -> (Vec<Requirement>, Option<Covered>) {
    let (coverage, covered) = coverage(case, facts);
    let list = vec![
        product(facts),
        planned(facts),
        complete(case),
        evidence(case),
        subject(case),
        fresh(case),
        present(facts),
        clear(case, facts),
        observed(facts),
        suite(case, facts),
        flaky(case, facts),
        coverage,
        waivers(case),
        index(case, facts),
        consecutive(case, facts),
        window(case, facts),
        nothing_left(case),
    ];
    (list, covered)
}

fn told<'a>(places: impl Iterator<Item = &'a Place<'a>>) -> Vec<String> {
    places.map(Place::told).collect()
}

/// Nothing that decides has failed without a live waiver.
fn product(facts: &Facts<'_>) -> Requirement {
    let failed: Vec<&Place<'_>> =
        facts.blocking().filter(|p| matches!(p.standing, Standing::Failed(_)) && p.waiver.is_none()).collect();
    if failed.is_empty() {
        return requirement("product", Status::Met, "nothing has failed that no live waiver covers");
    }
    let reason = format!("{} failed, and no live waiver covers it", count(failed.len(), "subject"));
    at("product", Status::Failed, reason, told(failed.into_iter()))
}

/// Zero planned subjects is never success.
fn planned(facts: &Facts<'_>) -> Requirement {
    let runs = facts.blocking().filter(|p| is_scenario(p) && p.standing != Standing::Skipped).count();
    if runs == 0 {
        return requirement("planned", Status::Unproven, "no scenario that decides was planned to run anywhere");
    }
    requirement("planned", Status::Met, format!("{} planned to run", count(runs, "examination")))
}

fn is_scenario(place: &Place<'_>) -> bool {
    matches!(place.subject, Subject::Scenario(_))
}

/// The record has an end, and is as it was written.
fn complete(case: &Case<'_>) -> Requirement {
    let id = "complete";
    if case.state.plan.is_none() || case.ledgers.is_empty() {
        return requirement(id, Status::Unproven, "the record holds no plan: nothing says what should have been run");
    }
    if case.state.finished.is_none() {
        return requirement(id, Status::Unproven, "the record has no end: the run was killed, or the file was cut");
    }
    let open: Vec<String> =
        case.ledgers.iter().filter(|l| l.seal == Seal::Absent).map(|l| l.source.name.clone()).collect();
    if case.policy.seal == Demand::Required && !open.is_empty() {
        return at(id, Status::Unproven, "a ledger without a seal: a changed letter in it would go unseen", open);
    }
    requirement(id, Status::Met, format!("{} to the end", count(case.ledgers.len(), "ledger")))
}

/// The evidence is real enough.
fn evidence(case: &Case<'_>) -> Requirement {
    let id = "evidence";
    let accepted: Vec<String> = case.policy.evidence.iter().map(ToString::to_string).collect();
    match case.state.header.as_ref().map(|h| h.evidence) {
        Some(grade) if case.policy.evidence.contains(&grade) => {
            requirement(id, Status::Met, format!("evidence {grade} is accepted"))
        }
        Some(grade) => {
            let reason = format!("the run is {grade}; the policy accepts {}", accepted.join(" and "));
            requirement(id, Status::Unproven, reason)
        }
        None => requirement(id, Status::Unproven, "the record does not say how real it is"),
    }
}

/// The evidence is about the very subject.
fn subject(case: &Case<'_>) -> Requirement {
    let id = "subject";
    let binding = &case.policy.subject;
    let inputs: &[Input] = case.state.header.as_ref().map_or(&[], |h| &h.inputs);
    let of = |kind: InputKind| inputs.iter().filter(move |i| i.kind == kind);
    let mut wrong = Vec::new();
    let mut bind = |kind: InputKind, expected: Option<String>| {
        let digests: Vec<String> = of(kind).filter_map(|i| i.digest.as_ref().map(ToString::to_string)).collect();
        match (digests.as_slice(), expected) {
            ([], _) => wrong.push(format!("the record does not name the {kind} by digest")),
            (recorded, Some(expected)) if recorded.iter().any(|d| *d != expected) => {
                wrong.push(format!("the record is about {kind} {}, not {expected}", recorded.join(" and ")));
            }
            (_, _) => {}
        }
    };
    if binding.commit == Binding::Exact {
        bind(InputKind::Commit, case.expected.commit.as_ref().map(ToString::to_string));
    }
    if binding.matrix == Binding::Exact {
        bind(InputKind::Matrix, case.matrix.map(|m| format!("sha256:{}", m.sha256)));
    }
    let community = case.state.plan.iter().flat_map(|p| &p.cells).any(|c| c.cell.template == Template::Community);
    if binding.template == Binding::Exact && community {
        bind(InputKind::Template, case.expected.template.as_ref().map(ToString::to_string));
    }
    // The plan says by itself which matrix it was made from; both must agree.
    let planned = case.state.plan.as_ref().map(|p| format!("sha256:{}", p.matrix_sha256));
    let named = of(InputKind::Matrix).filter_map(|i| i.digest.as_ref().map(ToString::to_string)).next();
    if let (Some(planned), Some(named)) = (planned, named)
        && planned != named
    {
        wrong.push(format!("the plan was made from matrix {planned}, the record names {named}"));
    }
    if let Some(accepted) = &binding.installers {
        let images: Vec<&str> = of(InputKind::Installer).map(|i| i.name.as_str()).collect();
        if images.is_empty() {
            wrong.push("the record names no installer".to_owned());
        }
        let foreign = images.iter().filter(|i| !accepted.iter().any(|a| a == *i));
        wrong.extend(foreign.map(|i| format!("the installer {i} is not one that the policy accepts")));
    }
    if wrong.is_empty() {
        let known = inputs.iter().filter(|i| i.digest.is_some());
        let names: Vec<String> = known.map(|i| i.kind.to_string()).collect();
        return requirement(id, Status::Met, format!("bound by digest: {}", names.join(", ")));
    }
    at(id, Status::Unproven, "the evidence is not bound to this subject", wrong)
}

/// The evidence is not old, and not from the future.
fn fresh(case: &Case<'_>) -> Requirement {
    let id = "fresh";
    let most = case.policy.max_age.0;
    let Some(finished) = case.state.finished else {
        return requirement(id, Status::Unproven, "the record has no end, so nobody knows how old it is");
    };
    let age = case.now.duration_since(finished);
    if age < -SKEW {
        return requirement(id, Status::Unproven, format!("it finished at {finished}, which has not come yet"));
    }
    if age > most {
        let reason = format!("it finished {} ago; the policy accepts {}", words(age), words(most));
        return requirement(id, Status::Unproven, reason);
    }
    requirement(id, Status::Met, format!("it finished {} ago", words(age)))
}

fn words(span: SignedDuration) -> String {
    let minutes = span.as_mins().max(0);
    match minutes {
        0..=119 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
}

/// Everything planned has a result. A waiver never covers a missing one.
fn present(facts: &Facts<'_>) -> Requirement {
    let missing: Vec<&Place<'_>> = facts.blocking().filter(|p| matches!(p.standing, Standing::NotRun(_))).collect();
    if missing.is_empty() {
        return requirement("present", Status::Met, "everything planned has a result");
    }
    let reason = format!("{} planned, and without a result", count(missing.len(), "subject"));
    at("present", Status::Unproven, reason, told(missing.into_iter()))
}

/// Nothing that decides is unclear without a live waiver.
fn clear(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let unclear: Vec<&Place<'_>> =
        facts.blocking().filter(|p| matches!(p.standing, Standing::Unclear(_)) && p.waiver.is_none()).collect();
    if unclear.is_empty() {
        return requirement("clear", Status::Met, "nothing is unclear that no live waiver covers");
    }
    let status = match case.policy.infra_errors {
        InfraErrors::Inconclusive => Status::Unproven,
        InfraErrors::Fail => Status::Failed,
    };
    let reason = format!("{} could not be judged: environment or harness", count(unclear.len(), "subject"));
    at("clear", status, reason, told(unclear.into_iter()))
}

/// A pass was seen, on a cluster that was there: a bare word proves nothing.
fn observed(facts: &Facts<'_>) -> Requirement {
    let mut bare = Vec::new();
    for (planned, cell) in &facts.cells {
        let passed = |p: &&Place<'_>| {
            p.planned.id == planned.id && matches!(p.standing, Standing::Passed | Standing::Flaky) && is_scenario(p)
        };
        let passed: Vec<&Place<'_>> = facts.blocking().filter(passed).collect();
        if !passed.is_empty() && !had_a_cluster(cell) {
            bare.push(format!("{}: scenarios passed without a cluster that was ever ready", planned.id));
        }
        let last_attempt_saw = |p: &Place<'_>| {
            let checks = p.state.attempts.last().map_or(&[][..], |a| &a.checks);
            checks.iter().any(|c| matches!(c.result, CheckResult::Passed))
        };
        bare.extend(
            passed
                .iter()
                .filter(|p| !last_attempt_saw(p))
                .map(|p| format!("{}: passed without a single check", p.name())),
        );
    }
    if bare.is_empty() {
        return requirement("observed", Status::Met, "every pass has its checks and its cluster");
    }
    at("observed", Status::Unproven, "passes that nothing was observed for", bare)
}

fn had_a_cluster(cell: &CellState) -> bool {
    let passed = |subject: &Subject| {
        cell.subjects.iter().any(|s| s.subject == *subject && matches!(s.outcome(), Outcome::Passed))
    };
    let ready = cell.leases.iter().any(|l| !l.servers.is_empty());
    ready && passed(&Subject::Provision) && passed(&Subject::Install)
}

/// Every scenario that is required has passed somewhere.
fn suite(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let required: Vec<ScenarioId> = match &case.policy.require.scenarios {
        Some(list) => list.clone(),
        None => case.suite.iter().map(|s| s.id.clone()).collect(),
    };
    let nowhere: Vec<String> =
        required.iter().filter(|s| !facts.passed_somewhere(s)).map(ToString::to_string).collect();
    if nowhere.is_empty() && !required.is_empty() {
        return requirement("suite", Status::Met, format!("{} passed in some cell", count(required.len(), "scenario")));
    }
    at("suite", Status::Unproven, "required scenarios that passed in no cell", nowhere)
}

/// What passed only on the second try stays within bounds.
fn flaky(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let id = "flaky";
    let counted: Vec<&Place<'_>> = facts.blocking().filter(|p| p.standing != Standing::Skipped).collect();
    let flaky: Vec<String> =
        counted.iter().filter(|p| p.standing == Standing::Flaky && p.waiver.is_none()).map(|p| p.name()).collect();
    let share = flaky.len() as f64 / counted.len().max(1) as f64;
    let percent = |r: f64| format!("{:.1} %", r * 100.0);
    let shown = format!("{} of {} passed only after a product failure", flaky.len(), counted.len());
    match case.policy.flaky {
        Flaky::Allow => at(id, Status::Off, shown, flaky),
        Flaky::Deny if flaky.is_empty() => requirement(id, Status::Met, "nothing is flaky"),
        Flaky::Deny => at(id, Status::Failed, format!("{shown}; the policy denies it"), flaky),
        Flaky::Warn if share > case.policy.flaky_limit.0 => {
            let limit = percent(case.policy.flaky_limit.0);
            at(id, Status::Failed, format!("{shown}: {}, the policy allows {limit}", percent(share)), flaky)
        }
        Flaky::Warn if flaky.is_empty() => requirement(id, Status::Met, "nothing is flaky"),
        Flaky::Warn => at(id, Status::Met, format!("{shown}: within bounds"), flaky),
    }
}

/// Enough of the supported matrix is proven.
fn coverage(case: &Case<'_>, facts: &Facts<'_>) -> (Requirement, Option<Covered>) {
    let id = "coverage";
    let wanted = case.policy.require.coverage;
    if wanted.ratio.0 <= 0.0 {
        return (requirement(id, Status::Off, "the policy demands no coverage"), None);
    }
    let Some(matrix) = case.matrix else {
        return (requirement(id, Status::Unproven, "no matrix was given to measure coverage against"), None);
    };
    let space = Space::new(matrix, wanted.t);
    let covered = Covered { t: wanted.t, covered: space.covered(facts.proven()), feasible: space.feasible() };
    let enough = covered.feasible > 0 && covered.covered as f64 >= wanted.ratio.0 * covered.feasible as f64;
    let what = ["values", "pairs", "triples"][wanted.t - 1];
    let shown = format!("{} of {} {what} of axis values are proven", covered.covered, covered.feasible);
    let requirement = if enough {
        requirement(id, Status::Met, shown)
    } else {
        let least = (wanted.ratio.0 * covered.feasible as f64).ceil();
        requirement(id, Status::Unproven, format!("{shown}; the policy demands {least}"))
    };
    (requirement, Some(covered))
}

/// Waivers stay few.
fn waivers(case: &Case<'_>) -> Requirement {
    let caps = &case.policy.waivers;
    let live = case.waivers.all.iter().filter(|w| w.life(case.now, caps) == Life::Live).count();
    if live > caps.max_count as usize {
        let reason = format!("{} live, the policy allows {}", count(live, "waiver"), caps.max_count);
        return requirement("waivers", Status::Failed, reason);
    }
    requirement("waivers", Status::Met, format!("{} live", count(live, "waiver")))
}

fn demands_index(case: &Case<'_>) -> bool {
    match case.policy.index {
        IndexDemand::Required => true,
        IndexDemand::WhenCounting => case.policy.require.consecutive > 1 || case.policy.require.window.is_some(),
    }
}

/// No started run was left out.
fn index(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let id = "index";
    // What the policy does not ask for is not looked at: else giving less would be better than giving more.
    if !demands_index(case) {
        return requirement(id, Status::Off, "the policy counts no runs");
    }
    let Some(index) = case.index else {
        let reason = "without the index of started runs a bad run could have been left out";
        return requirement(id, Status::Unproven, reason);
    };
    let entered = |run| index.entries.iter().any(|e| e.run == run);
    let strangers: Vec<String> = case
        .ledgers
        .iter()
        .filter_map(|l| l.run.clone())
        .filter(|run| !entered(run.clone()))
        .map(|run| run.to_string())
        .collect();
    if !strangers.is_empty() {
        return at(id, Status::Unproven, "the index does not know the run that is judged", strangers);
    }
    if !facts.left_out.is_empty() {
        let runs = facts.left_out.iter().map(ToString::to_string).collect();
        return at(id, Status::Unproven, "runs of this subject were started, and their results are not here", runs);
    }
    requirement(id, Status::Met, format!("{} started, none left out", count(index.entries.len(), "run")))
}

/// The last runs of this very subject have all passed.
fn consecutive(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let id = "consecutive";
    let wanted = case.policy.require.consecutive as usize;
    if wanted == 1 && !demands_index(case) {
        return requirement(id, Status::Off, "the policy asks for one run");
    }
    let inputs = case.state.header.as_ref().map(|h| input::by_name(&h.inputs)).unwrap_or_default();
    let started = case.state.header.as_ref().map(|h| h.started);
    let same: Vec<_> =
        facts.past.iter().filter(|p| p.inputs == inputs && case.policy.evidence.contains(&p.evidence)).collect();
    let mut short = Vec::new();
    for place in facts.blocking().filter(|p| p.standing != Standing::Skipped) {
        // The run that is judged, earlier ones that looked here, and those that nobody has the results of.
        let now = (started, matches!(place.standing, Standing::Passed | Standing::Flaky));
        let mut results: Vec<(Option<Timestamp>, bool)> = vec![now];
        results.extend(same.iter().filter_map(|p| grade(p, place).map(|g| (Some(p.started), g == Grade::Passed))));
        results.extend(facts.left_out_at.iter().map(|at| (Some(*at), false)));
        results.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        if wanted == 1 && results[0].0 == started {
            // One run is judged by the other requirements, waivers included.
            continue;
        }
        let green = results.iter().take_while(|(_, passed)| *passed).count();
        if green < wanted {
            short.push(format!("{}: {green} of {wanted}", place.name()));
        }
    }
    if short.is_empty() {
        let reason = if wanted == 1 {
            "the newest run of this subject is the one judged".to_owned()
        } else {
            format!("the last {wanted} runs of this subject passed everywhere")
        };
        return requirement(id, Status::Met, reason);
    }
    let reason = format!("the last {} of this subject did not all pass", count(wanted, "run"));
    at(id, Status::Unproven, reason, short)
}

/// Everything was steady over the last days.
fn window(case: &Case<'_>, facts: &Facts<'_>) -> Requirement {
    let id = "window";
    let Some(window) = case.policy.require.window else {
        return requirement(id, Status::Off, "the policy demands nothing over time");
    };
    let since = case.now - SignedDuration::from_hours(24 * i64::from(window.days));
    let recent: Vec<_> =
        facts.past.iter().filter(|p| p.started >= since && case.policy.evidence.contains(&p.evidence)).collect();
    let left_out = u32::try_from(facts.left_out_at.iter().filter(|at| **at >= since).count()).unwrap_or(u32::MAX);
    let mut unsteady = Vec::new();
    for place in facts.blocking().filter(|p| p.standing != Standing::Skipped) {
        let mut all = left_out;
        let mut passed = 0;
        let now = match place.standing {
            Standing::Passed | Standing::Flaky => Grade::Passed,
            Standing::Failed(_) => Grade::Failed,
            Standing::Unclear(_) | Standing::NotRun(_) | Standing::Skipped => Grade::Unclear,
        };
        for seen in recent.iter().filter_map(|p| grade(p, place)).chain([now]) {
            // What is unclear counts against it too: else taking trouble out of the history would improve it.
            all += 1;
            passed += u32::from(seen == Grade::Passed);
        }
        let ratio = f64::from(passed) / f64::from(all.max(1));
        let low = wilson_lower(passed, all);
        let steady = window.ratio.is_none_or(|r| ratio >= r.0) && window.wilson.is_none_or(|w| low >= w.0);
        if !steady {
            unsteady.push(format!("{}: {passed} of {all} passed, at least {:.0} %", place.name(), low * 100.0));
        }
    }
    if unsteady.is_empty() {
        return requirement(id, Status::Met, format!("steady over the last {}", count(window.days as usize, "day")));
    }
    let reason = format!("not steady enough over the last {}", count(window.days as usize, "day"));
    at(id, Status::Unproven, reason, unsteady)
}

/// The account is proved to hold nothing of the run.
fn nothing_left(case: &Case<'_>) -> Requirement {
    let id = "nothing-left";
    let mut left: Vec<String> = case.state.leftovers().iter().map(ToString::to_string).collect();
    for (cell, lease) in case.state.unreleased() {
        let how = match &lease.end {
            Some(LeaseEnd::Leaked { .. }) => "leaked",
            Some(LeaseEnd::Released(_)) => continue,
            None => "was never released",
        };
        left.push(format!("{cell}: lease {} {how}", lease.lease));
    }
    let leased = case.state.cells.iter().any(|c| !c.leases.is_empty());
    if leased && case.state.inventory.is_none() {
        left.push("no closing inventory was taken".to_owned());
    }
    let status = match case.policy.leftovers {
        Leftovers::Deny => Status::Unproven,
        Leftovers::Warn => Status::Off,
    };
    if left.is_empty() {
        return requirement(id, Status::Met, "the closing inventory was empty");
    }
    at(id, status, "something may be left in the account", left)
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
