//! The policy file: what counts as proof. (`ci/gate.toml`; `docs/gate.md` explains every key)

use gsh_model::outcome::Evidence;
use gsh_model::scenario::ScenarioId;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::place::{self, FileError};
use crate::scope::Scope;

/// What counts as proof. Every key has a default; the defaults are the strict ones.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Grades of evidence that are accepted.
    #[serde(default = "cloud_alone")]
    pub evidence: Vec<Evidence>,
    /// How long ago a run may have finished.
    #[serde(default = "three_days")]
    pub max_age: Age,
    /// Whether the ledger must be sealed.
    #[serde(default)]
    pub seal: Demand,
    /// What a product failure that passed on the second try is.
    #[serde(default)]
    pub flaky: Flaky,
    /// The share of flaky subjects above which `flaky = "warn"` fails.
    #[serde(default = "five_percent")]
    pub flaky_limit: Ratio,
    /// What trouble of environment or harness is.
    #[serde(default)]
    pub infra_errors: InfraErrors,
    /// What resources left in the account are.
    #[serde(default)]
    pub leftovers: Leftovers,
    /// Whether an index of started runs must be given.
    #[serde(default)]
    pub index: IndexDemand,
    /// What must have passed.
    #[serde(default)]
    pub require: Require,
    /// To what the evidence must be bound.
    #[serde(default)]
    pub subject: SubjectBinding,
    /// Limits for waivers.
    #[serde(default)]
    pub waivers: Caps,
    /// What is reported and decides nothing.
    #[serde(default)]
    pub informing: Vec<Informing>,
}

fn cloud_alone() -> Vec<Evidence> {
    vec![Evidence::Cloud]
}

fn three_days() -> Age {
    Age(SignedDuration::from_hours(72))
}

fn five_percent() -> Ratio {
    Ratio(0.05)
}

/// A time span: `90m`, `72h`, `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Age(pub SignedDuration);

impl TryFrom<String> for Age {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        let wrong = || format!("`{s}` is no time span such as \"90m\", \"72h\" or \"14d\"");
        let unit = s.chars().last().ok_or_else(wrong)?;
        let minutes = match unit {
            'm' => 1,
            'h' => 60,
            'd' => 24 * 60,
            _other => return Err(wrong()),
        };
        let number: i64 = s[..s.len() - 1].parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(wrong)?;
        Ok(Self(SignedDuration::from_mins(number * minutes)))
    }
}

/// A share, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Ratio(pub f64);

impl TryFrom<f64> for Ratio {
    type Error = String;
    fn try_from(v: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&v) { Ok(Self(v)) } else { Err(format!("{v} is no share from 0.0 to 1.0")) }
    }
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// It must.
    #[default]
    Required,
    /// It may be absent.
    Optional,
}

/// Whether an index of started runs must be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexDemand {
    /// Always.
    Required,
    /// When a requirement counts runs: leaving a bad one out would make them lies.
    #[default]
    WhenCounting,
}

/// What a product failure that passed on the second try is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaky {
    /// Listed, never more.
    Allow,
    /// Listed, and too many are a failure.
    #[default]
    Warn,
    /// A failure.
    Deny,
}

/// What trouble of environment or harness is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InfraErrors {
    /// Not run: we cannot tell.
    #[default]
    Inconclusive,
    /// A failure.
    Fail,
}

/// What resources left in the account are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftovers {
    /// No pass while something may be left.
    #[default]
    Deny,
    /// Listed.
    Warn,
}

/// Which subjects must have passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// All but those that `[[informing]]` names.
    #[default]
    Blocking,
    /// All.
    All,
}

/// What must have passed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Require {
    /// Which subjects.
    pub tier: Tier,
    /// How many runs of this very subject in a row, the one judged included.
    pub consecutive: u32,
    /// How steady it must have been over the last days.
    pub window: Option<Window>,
    /// How much of the supported matrix must be covered.
    pub coverage: Coverage,
    /// Which scenarios; the whole suite when absent.
    pub scenarios: Option<Vec<ScenarioId>>,
}

impl Default for Require {
    fn default() -> Self {
        Self {
            tier: Tier::Blocking,
            consecutive: 1,
            window: None,
            coverage: Coverage { t: 2, ratio: Ratio(1.0) },
            scenarios: None,
        }
    }
}

/// How much of the supported matrix must be covered.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Combinations of so many axes, 1 to 3.
    pub t: usize,
    /// The share of feasible combinations; 0.0 demands none.
    pub ratio: Ratio,
}

/// How steady every subject must have been over the last days.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How many days.
    pub days: u32,
    /// Least share of runs that passed.
    #[serde(default)]
    pub ratio: Option<Ratio>,
    /// Least lower bound of the 95 % Wilson interval of that share.
    #[serde(default)]
    pub wilson: Option<Ratio>,
}

/// How the evidence must be bound to one kind of input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// The record must name it by digest, and it must be the one that is expected.
    #[default]
    Exact,
    /// Any.
    Any,
}

/// To what the evidence must be bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubjectBinding {
    /// The distribution's commit.
    pub commit: Binding,
    /// The matrix file.
    pub matrix: Binding,
    /// The distribution's machine templates, where a cell uses them.
    pub template: Binding,
    /// Installer images that are accepted, by reference; any when absent.
    pub installers: Option<Vec<String>>,
}

/// Limits for waivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Most days from creation to expiry.
    pub max_age_days: u32,
    /// Most live waivers.
    pub max_count: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self { max_age_days: 90, max_count: 10 }
    }
}

/// What is reported and decides nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Informing {
    /// Cells; all when absent.
    #[serde(default)]
    pub cells: Vec<crate::scope::Cells>,
    /// Scenarios; all when absent.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// The reason.
    pub because: String,
}

impl Informing {
    /// As a scope.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { cells: self.cells.clone(), scenarios: self.scenarios.clone(), fingerprint: None }
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`FileError`] with the place of the first mistake.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let policy: Self = place::read(text)?;
        let key = |name: &str| text.find(name).map(|at| at..at);
        let wrong = |name: &str, message: &str| Err(FileError::at(text, key(name), message));
        if policy.evidence.is_empty() {
            return wrong("evidence", "`evidence` accepts nothing; name at least one of cloud, lab, emulated");
        }
        if policy.require.consecutive == 0 {
            return wrong("consecutive", "`consecutive` is at least 1: the run that is judged");
        }
        if !(1..=3).contains(&policy.require.coverage.t) {
            return wrong("coverage", "`t` is 1, 2 or 3");
        }
        if let Some(window) = policy.require.window {
            if window.days == 0 || window.days > 366 {
                return wrong("window", "`days` is from 1 to 366");
            }
            if window.ratio.is_none() && window.wilson.is_none() {
                return wrong("window", "`window` demands nothing; give `ratio` or `wilson`");
            }
        }
        if policy.require.scenarios.as_ref().is_some_and(Vec::is_empty) {
            return wrong("scenarios", "`scenarios` names none; leave it out to demand the whole suite");
        }
        if policy.informing.iter().any(|i| i.because.trim().is_empty()) {
            return wrong("because", "`because` is empty; a reader must know why this decides nothing");
        }
        if let Some(name) =
            policy.informing.iter().flat_map(|i| &i.scenarios).find(|s| s.parse::<ScenarioId>().is_err())
        {
            return wrong(name, &format!("`{name}` is no scenario name"));
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_is_the_strict_one() {
        let policy = Policy::parse("").expect("fine");
        assert_eq!(policy.evidence, [Evidence::Cloud]);
        assert_eq!(policy.max_age.0, SignedDuration::from_hours(72));
        assert_eq!((policy.seal, policy.flaky, policy.leftovers), (Demand::Required, Flaky::Warn, Leftovers::Deny));
        assert_eq!(policy.require, Require::default());
        assert_eq!(policy.subject.commit, Binding::Exact);
        assert_eq!(policy.waivers, Caps { max_age_days: 90, max_count: 10 });
    }

    #[test]
    fn mistakes_are_shown_with_their_place() {
        let shown: Vec<String> = [
            "max_age = \"soon\"",
            "max_age = 72",
            "max_agee = \"72h\"",
            "evidence = [\"cloudy\"]",
            "evidence = []",
            "[require]\nconsecutive = 0",
            "[require]\ncoverage = { t = 4, ratio = 1.0 }",
            "[require]\ncoverage = { t = 2, ratio = 100 }",
            "[require]\nwindow = { days = 30 }",
            "[require]\nwindow = { days = 0, ratio = 0.9 }",
            "[require]\nscenarios = []",
            "[require]\nscenarios = [\"SSH\"]",
            "[subject]\ncommit = \"close\"",
            "flaky_limit = 1.5",
            "[[informing]]\ncells = [\"os=ubuntu-24.04\"]",
            "[[informing]]\ncells = [\"so=ubuntu-24.04\"]\nbecause = \"not claimed\"",
            "[waivers]\nmax_count = -1",
            "evidence = [\"cloud\"\n",
            "evidence = [\"cloud\"]\nevidence = [\"lab\"]",
        ]
        .iter()
        .map(|text| Policy::parse(text).map(|_| ()).expect_err(text).to_string())
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
