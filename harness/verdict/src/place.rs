//! Where in a file a mistake stands.

use std::ops::Range;

use serde::de::DeserializeOwned;

/// A policy or waiver file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FileError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl FileError {
    pub(crate) fn at(text: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        let mut at = span.map_or(0, |s| s.start).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        Self {
            line: before.matches('\n').count() + 1,
            column: before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1,
            message: message.into(),
        }
    }
}

/// Reads TOML into a type; what the type refuses is shown with its place.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|e| FileError::at(text, e.span(), e.message().trim_end().replace('\n', "; ")))
}
