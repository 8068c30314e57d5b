//! The formats that a run can be rendered in.

use gsh_model::run::RunState;

use crate::beside::Beside;
use crate::junit::Profile;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// JUnit XML with everything that tolerant readers use.
    Junit,
    /// JUnit XML within the schema of Jenkins' xUnit plugin.
    JunitStrict,
    /// Markdown for a CI summary.
    Markdown,
    /// `results.json`.
    Json,
    /// One page for a browser.
    Html,
    /// Annotations for GitHub Actions.
    Github,
    /// Common Test Report Format.
    Ctrf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::Junit, Self::JunitStrict, Self::Markdown, Self::Json, Self::Html, Self::Github, Self::Ctrf];

    /// The text used in arguments.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::JunitStrict => "junit-strict",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Html => "html",
            Self::Github => "github",
            Self::Ctrf => "ctrf",
        }
    }

    /// Name of the file in a run directory; `None` for what is made on demand only.
    #[must_use]
    pub fn file_name(self) -> Option<&'static str> {
        match self {
            Self::Junit => Some("junit.xml"),
            Self::Markdown => Some("summary.md"),
            Self::Json => Some("results.json"),
            Self::Html => Some("report.html"),
            Self::JunitStrict | Self::Github | Self::Ctrf => None,
        }
    }
}

/// Renders a run, with nothing known beside it.
#[must_use]
pub fn render(format: Format, run: &RunState) -> String {
    render_with(format, run, &Beside::default())
}

/// Renders a run with what is known beside it.
#[must_use]
pub fn render_with(format: Format, run: &RunState, beside: &Beside) -> String {
    match format {
        Format::Junit => crate::junit::render(run, Profile::Rich),
        Format::JunitStrict => crate::junit::render(run, Profile::Strict),
        Format::Markdown => crate::markdown::render_with(run, beside),
        Format::Json => crate::json::render(run),
        Format::Html => crate::html::render(run, beside),
        Format::Github => crate::github::render(run),
        Format::Ctrf => crate::ctrf::render(run),
    }
}
