//! A recipe: what is special about a ledger and what is around it, and what the gate must say.

use std::collections::BTreeMap;

use gsh_model::axis::Cell;
use gsh_model::budget::Shape;
use gsh_model::event::Event;
use gsh_model::input::{Digest, Input, InputKind};
use gsh_model::matrix::Matrix;
use gsh_model::merge::merge;
use gsh_model::outcome::{Evidence, SkipReason, Subject, Why};
use gsh_model::plan::Selection;
use gsh_model::run::RunState;
use gsh_verdict::gate::{self, Cost, Ledger, Seal, judge};
use gsh_verdict::index::Index;
use gsh_verdict::past::Past;
use gsh_verdict::policy::Policy;
use gsh_verdict::verdict::{Answer, Source, Verdict};
use gsh_verdict::waiver::Waivers;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::recording::{COMMIT, Fate, MATRIX, STARTED, Script, inputs, matrix, suite};

/// What must come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The reader refuses, with these words in its error: exit 2.
    Refused(String),
    /// The verdict and exactly the requirements that keep it from being a pass.
    Verdict(Answer, Vec<String>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Recipe>,
}

/// A change to the text of a ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mangle {
    /// Cuts so many bytes off its end.
    CutBytes(usize),
    /// Takes out a line, from 1; from the end when negative.
    Remove(i64),
    /// Swaps two lines.
    Swap(usize, usize),
    /// Says a line twice.
    Twice(usize),
    /// Replaces a text, everywhere.
    Replace(String, String),
    /// Puts a line at the end.
    Append(String),
}

/// An earlier run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Earlier {
    run: String,
    hours_before: i64,
    commit: Option<String>,
    evidence: Option<Evidence>,
    fates: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Recipe {
    name: String,
    policy: String,
    waivers: String,
    /// Hours from the run's start to the gate.
    hours: Option<i64>,
    fates: BTreeMap<String, String>,
    /// `<cell>/<scenario>` that the plan skips.
    skip: Vec<String>,
    /// The only scenarios of the plan.
    only: Option<Vec<String>>,
    /// The only cells of the plan.
    cells: Option<Vec<String>>,
    evidence: Option<Evidence>,
    commit: Option<String>,
    expect_commit: Option<String>,
    installer: Option<String>,
    /// The matrix that the run was planned from, where it is another one.
    planned_from: Option<String>,
    /// The supported matrix.
    matrix: Option<String>,
    /// No matrix is given to the gate.
    no_matrix: bool,
    template: Option<String>,
    expect_template: Option<String>,
    unsealed: bool,
    leaks: Vec<String>,
    not_ready: bool,
    no_inventory: bool,
    unfinished: bool,
    note: Option<String>,
    /// Divided into so many shards, of which these are given, from 0.
    shards: Option<usize>,
    given: Vec<usize>,
    earlier: Vec<Earlier>,
    /// Runs in the index; `self` is the one that is judged.
    index: Option<Vec<String>>,
    index_commit: Option<String>,
    /// Changes to the ledger's text, after it was sealed.
    mangle: Vec<Mangle>,
    /// Seals it again after that: a forger who knows the format.
    reseal: bool,
    verdict: String,
    because: Vec<String>,
    says: String,
}

/// A recipe with its expectation.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) expect: Expected,
    recipe: Recipe,
}

/// Every case.
pub(crate) fn corpus() -> Vec<Case> {
    let file: File = toml::from_str(include_str!("ledgers.toml")).unwrap_or_else(|e| panic!("ledgers.toml: {e}"));
    file.case.into_iter().map(Case::of).collect()
}

fn fate(text: &str) -> Fate {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.to_owned();
    match word {
        "passes" => Fate::Passes,
        "bare" => Fate::PassesBare,
        "fails" => Fate::Fails(rest),
        "flaky" => Fate::Flaky(rest),
        "environment" => Fate::Unclear(Why::Environment, rest),
        "harness" => Fate::Unclear(Why::Harness, rest),
        "stopped" => Fate::Unclear(Why::Stopped, rest),
        "interrupted" => Fate::Unclear(Why::Interrupted, rest),
        "budget" => Fate::Unclear(Why::Budget, rest),
        "blocked" => Fate::Unclear(Why::BlockedBy(Subject::Install), rest),
        "second-try" => Fate::SecondTry,
        "hangs" => Fate::Hangs,
        "silent" => Fate::Silent,
        other => panic!("`{other}` is no fate"),
    }
}

/// `cell/subject`, `*/subject` or `cell/*`.
fn spread(script: &mut Script, fates: &BTreeMap<String, String>) {
    for (pattern, text) in fates {
        let (cell, subject) = pattern.split_once('/').unwrap_or_else(|| panic!("`{pattern}` is no place"));
        let mut met = 0;
        for planned in &script.plan.cells {
            for known in planned.subjects() {
                if (cell == "*" || cell == planned.id.as_str()) && (subject == "*" || subject == known.to_string()) {
                    script.fates.insert(format!("{}/{known}", planned.id), fate(text));
                    met += 1;
                }
            }
        }
        assert!(met > 0, "`{pattern}` names nothing in the plan");
    }
}

fn commit_of(text: &Option<String>) -> Option<&str> {
    match text.as_deref() {
        None => Some(COMMIT),
        Some("none") => None,
        Some(other) => Some(other),
    }
}

fn text_of(events: &[Event]) -> String {
    events.iter().map(|e| serde_json::to_string(e).expect("an event") + "\n").collect()
}

impl Case {
    fn of(recipe: Recipe) -> Self {
        let verdict = |answer| Expected::Verdict(answer, recipe.because.clone());
        let expect = match recipe.verdict.as_str() {
            "pass" => verdict(Answer::Pass),
            "fail" => verdict(Answer::Fail),
            "inconclusive" => verdict(Answer::Inconclusive),
            "refused" => Expected::Refused(recipe.says.clone()),
            other => panic!("{}: `{other}` is no verdict", recipe.name),
        };
        Self { name: recipe.name.clone(), expect, recipe }
    }

    /// The run in which everything passes.
    pub(crate) fn green() -> Self {
        Self::of(Recipe { name: "green".to_owned(), verdict: "pass".to_owned(), ..Recipe::default() })
    }

    /// The run in which everything passes, judged by this policy under these waivers.
    pub(crate) fn with(policy: &str, waivers: &str) -> Self {
        let mut case = Self::green();
        case.recipe.policy = policy.to_owned();
        case.recipe.waivers = waivers.to_owned();
        case
    }

    /// What is recorded, before any fate is changed.
    pub(crate) fn plain_script(&self) -> Script {
        self.script()
    }

    fn script(&self) -> Script {
        let recipe = &self.recipe;
        let supported = recipe.matrix.as_deref().unwrap_or(MATRIX);
        let text = recipe.planned_from.as_deref().unwrap_or(supported);
        let mut script = Script::green(text);
        script.inputs = inputs(&matrix(text), commit_of(&recipe.commit));
        if let Some(name) = &recipe.installer {
            script.inputs.retain(|i| i.kind != InputKind::Installer);
            script.inputs.push(Input { kind: InputKind::Installer, name: name.clone(), digest: None });
        }
        if let Some(hex) = &recipe.template {
            let digest = Digest::Sha256(hex.repeat(32));
            script.inputs.push(Input { kind: InputKind::Template, name: "community".to_owned(), digest: Some(digest) });
        }
        script.evidence = recipe.evidence.unwrap_or(Evidence::Cloud);
        if let Some(only) = &recipe.only {
            let keep = |id: &gsh_model::scenario::ScenarioId| only.iter().any(|o| o == id.as_str());
            script.plan.scenarios.retain(|s| keep(&s.id));
            script.plan.cells.iter_mut().for_each(|c| c.scenarios.retain(|s| keep(&s.scenario)));
        }
        if let Some(cells) = &recipe.cells {
            script.plan.cells.retain(|c| cells.iter().any(|id| id == c.id.as_str()));
        }
        for cell in &mut script.plan.cells {
            for scenario in &mut cell.scenarios {
                let name = scenario.scenario.to_string();
                let here = [format!("{}/{name}", cell.id), format!("*/{name}")];
                if recipe.skip.iter().any(|s| here.contains(s)) {
                    scenario.skip = Some(SkipReason("a need is not met".to_owned()));
                }
            }
        }
        spread(&mut script, &recipe.fates);
        script.leaks.clone_from(&recipe.leaks);
        script.ready = !recipe.not_ready;
        script.inventory = !recipe.no_inventory;
        script.finished = !recipe.unfinished;
        script.notes = recipe.note.iter().cloned().collect();
        script
    }

    /// The ledger's events.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.script().events()
    }

    /// The ledger's text, as it was sealed.
    pub(crate) fn text(&self) -> String {
        text_of(&self.events())
    }

    fn mangled(&self, sealed: &str) -> Vec<u8> {
        let mut text = sealed.to_owned();
        for mangle in &self.recipe.mangle {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            match mangle {
                Mangle::CutBytes(n) => {
                    text.truncate(text.len().saturating_sub(*n));
                    continue;
                }
                Mangle::Replace(from, to) => {
                    assert!(text.contains(from.as_str()), "{}: `{from}` is not in the ledger", self.name);
                    text = text.replace(from.as_str(), to);
                    continue;
                }
                Mangle::Remove(n) => {
                    let at = if *n < 0 { lines.len() as i64 + n } else { n - 1 };
                    lines.remove(usize::try_from(at).expect("a line"));
                }
                Mangle::Swap(a, b) => lines.swap(a - 1, b - 1),
                Mangle::Twice(n) => lines.insert(*n, lines[n - 1].clone()),
                Mangle::Append(line) => lines.push(line.clone()),
            }
            text = lines.iter().map(|l| format!("{l}\n")).collect();
        }
        text.into_bytes()
    }

    /// Makes the ledger, reads it back, and judges it.
    pub(crate) fn judged<T>(&self, look: impl Fn(&gate::Case<'_>, &Verdict) -> T) -> Result<T, String> {
        if self.recipe.shards.is_some() {
            return self.judged_shards(look);
        }
        let sealed = self.text();
        let bytes = self.mangled(&sealed);
        let seal =
            if self.recipe.reseal { gsh_verdict::sha256(&bytes) } else { gsh_verdict::sha256(sealed.as_bytes()) };
        let state = read(&bytes, &seal)?;
        Ok(self.judge(&state, look))
    }

    /// Reads these bytes under this seal, and judges them.
    pub(crate) fn judged_text<T>(
        &self,
        bytes: &[u8],
        seal: &str,
        look: impl Fn(&gate::Case<'_>, &Verdict) -> T,
    ) -> Result<T, String> {
        let state = read(bytes, seal)?;
        Ok(self.judge(&state, look))
    }

    fn judged_shards<T>(&self, look: impl Fn(&gate::Case<'_>, &Verdict) -> T) -> Result<T, String> {
        let whole = self.script();
        let most = self.recipe.shards.unwrap_or(1);
        let selection =
            Selection { cover: gsh_model::cover::Cover::Full, max_jobs: Some(most), ..Selection::default() };
        let offers = [
            gsh_model::scenario::Need::GrowableCluster,
            gsh_model::scenario::Need::Writable,
            gsh_model::scenario::Need::SshGateway,
        ];
        let text = self.recipe.matrix.as_deref().unwrap_or(MATRIX);
        let divided = gsh_model::plan::plan(&matrix(text), &suite(), &offers, &selection).expect("a plan");
        assert_eq!(divided.shards.len(), most, "{}", self.name);
        let mut states = Vec::new();
        for given in &self.recipe.given {
            let shard = &divided.shards[*given];
            let mut script = whole.clone();
            script.run = format!("r20261123-020000-0000a{given}");
            script.plan = gsh_model::plan::Plan { shard: Some(shard.id), ..divided.clone() };
            let strangers: Vec<String> = divided
                .cells
                .iter()
                .filter(|c| !shard.cells.contains(&c.id))
                .flat_map(|c| c.subjects().into_iter().map(|s| format!("{}/{s}", c.id)))
                .collect();
            script.fates.extend(strangers.into_iter().map(|s| (s, Fate::Silent)));
            let text = text_of(&script.events());
            states.push(read(text.as_bytes(), &gsh_verdict::sha256(text.as_bytes()))?);
        }
        let merged = merge(states).map_err(|e| e.to_string())?;
        Ok(self.judge(&merged, look))
    }

    /// Judges a state as this case's surroundings want it.
    pub(crate) fn judge<T>(&self, state: &RunState, look: impl Fn(&gate::Case<'_>, &Verdict) -> T) -> T {
        let recipe = &self.recipe;
        let policy = Policy::parse(&recipe.policy).unwrap_or_else(|e| panic!("{}: policy {e}", self.name));
        let waivers = Waivers::parse(&recipe.waivers).unwrap_or_else(|e| panic!("{}: waivers {e}", self.name));
        let started: Timestamp = STARTED.parse().expect("a time");
        let supported: Matrix = matrix(recipe.matrix.as_deref().unwrap_or(MATRIX));
        let past: Vec<Past> = recipe.earlier.iter().map(|e| self.earlier(e, started)).collect();
        let index = recipe.index.as_ref().map(|runs| self.index(runs, started));
        let source =
            |name: &str, text: &str| Source { name: name.to_owned(), sha256: gsh_verdict::sha256(text.as_bytes()) };
        let seal = if recipe.unsealed { Seal::Absent } else { Seal::Whole };
        let headers: Vec<_> =
            if state.parts.is_empty() { state.header.iter().collect() } else { state.parts.iter().collect() };
        let ledgers: Vec<Ledger> = headers
            .into_iter()
            .map(|h| Ledger { source: source("run/ledger.jsonl", h.run.as_str()), run: Some(h.run.clone()), seal })
            .collect();
        let digest = |hex: &String| Digest::Sha256(hex.repeat(32));
        let case = gate::Case {
            policy: &policy,
            policy_source: source("ci/gate.toml", &recipe.policy),
            waivers: &waivers,
            waiver_source: (!recipe.waivers.is_empty()).then(|| source("ci/waivers.toml", &recipe.waivers)),
            state,
            ledgers: &ledgers,
            past: &past,
            index: index.as_ref(),
            matrix: (!recipe.no_matrix).then_some(&supported),
            suite: &suite(),
            expected: gate::Expected {
                commit: recipe.expect_commit.as_ref().map(|c| Digest::commit(c).expect("a commit")),
                template: recipe.expect_template.as_ref().map(digest),
            },
            cost: &|cell: &Cell| Cost {
                cents: Some(u64::from(Shape::of(cell, &[], false).servers()) * 12),
                minutes: Some(40),
            },
            now: started + SignedDuration::from_hours(recipe.hours.unwrap_or(6)),
            tool_version: "0.1.0".to_owned(),
        };
        let verdict = judge(&case);
        look(&case, &verdict)
    }

    fn earlier(&self, earlier: &Earlier, started: Timestamp) -> Past {
        let mut script = Script::green(self.recipe.matrix.as_deref().unwrap_or(MATRIX));
        let text = self.recipe.matrix.as_deref().unwrap_or(MATRIX);
        script.run.clone_from(&earlier.run);
        script.started = started - SignedDuration::from_hours(earlier.hours_before);
        script.evidence = earlier.evidence.unwrap_or(Evidence::Cloud);
        script.inputs = inputs(&matrix(text), commit_of(&earlier.commit));
        spread(&mut script, &earlier.fates);
        let state = RunState::replay(&script.events()).expect("a legal ledger");
        let summary = gsh_model::history::RunSummary::of(&state).expect("it was planned");
        let past = Past::of_summary(&summary);
        assert_eq!(Some(&past), Past::of(&state).as_ref(), "a summary says what its run says");
        past
    }

    fn index(&self, runs: &[String], started: Timestamp) -> Index {
        let text = self.recipe.matrix.as_deref().unwrap_or(MATRIX);
        let made_from = inputs(&matrix(text), commit_of(&self.recipe.index_commit));
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for (n, run) in runs.iter().enumerate() {
            let index = Index::read(files.iter().map(|(n, b)| (n.as_str(), b.as_slice()))).expect("an index");
            let name = if run == "self" { "r20261123-020000-7f3a21" } else { run.as_str() };
            let at = started - SignedDuration::from_mins(i64::try_from(runs.len() - n).unwrap_or(0));
            files.push(index.next(&name.parse().expect("a run id"), at, Evidence::Cloud, &made_from));
        }
        Index::read(files.iter().map(|(n, b)| (n.as_str(), b.as_slice()))).expect("an index")
    }
}

/// Reads a ledger as `gsh gate` does: whole lines, the fold, the seal. The last line without its end was being written.
fn read(bytes: &[u8], seal: &str) -> Result<RunState, String> {
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let events: Vec<Event> = bytes[..complete]
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(n, line)| serde_json::from_slice(line).map_err(|e| format!("line {} is no event: {e}", n + 1)))
        .collect::<Result<_, _>>()?;
    let state = RunState::replay(&events).map_err(|e| e.to_string())?;
    if gsh_verdict::sha256(bytes) != seal {
        return Err("the ledger is not what its seal says".to_owned());
    }
    Ok(state)
}
