//! The formats that a run can be rendered in.

use gsh_model::run::RunState;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// JUnit XML.
    Junit,
    /// Markdown for a CI summary.
    Markdown,
    /// `results.json`.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Junit, Self::Markdown, Self::Json];

    /// The text used in arguments.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Json => "json",
        }
    }

    /// Name of the file in a run directory.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Junit => "junit.xml",
            Self::Markdown => "summary.md",
            Self::Json => "results.json",
        }
    }
}

/// Renders a run.
#[must_use]
pub fn render(format: Format, run: &RunState) -> String {
    match format {
        Format::Junit => crate::junit::render(run),
        Format::Markdown => crate::markdown::render(run),
        Format::Json => crate::json::render(run),
    }
}
