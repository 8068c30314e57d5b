//! What a reader may know beside the run itself: the gate's verdict, earlier runs, excerpts of the evidence kept.

use std::collections::BTreeMap;

use crate::change::Earlier;
use crate::past::Past;

/// Bytes of an excerpt at most.
pub const EXCERPT_BYTES: usize = 16 * 1024;
/// Lines of an excerpt at most.
pub const EXCERPT_LINES: usize = 200;

/// What the gate said about the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `pass`, `fail`, `inconclusive`.
    pub word: String,
    /// Why, in order of importance.
    pub reasons: Vec<String>,
    /// How much of the supported matrix the run proves.
    pub proven: Option<Proven>,
    /// Waivers, one line each.
    pub waivers: Vec<String>,
}

/// How many combinations of so many axes are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Axes that a combination spans.
    pub t: usize,
    /// How many are proven.
    pub covered: usize,
    /// How many there are.
    pub feasible: usize,
}

impl std::fmt::Display for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.t {
            1 => "values".to_owned(),
            2 => "pairs of values".to_owned(),
            3 => "triples of values".to_owned(),
            t => format!("combinations of {t} values"),
        };
        write!(f, "{} of {} {what}", self.covered, self.feasible)
    }
}

/// The end of a kept file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Its last lines.
    pub text: String,
    /// Number of its first line in the file, from 1; 0 when the beginning of the file was never read.
    pub first_line: usize,
    /// Bytes that stand before it in the file.
    pub left_out: u64,
}

impl Excerpt {
    /// The last lines of a whole text, within [`EXCERPT_LINES`] and [`EXCERPT_BYTES`].
    #[must_use]
    pub fn of(whole: &str) -> Self {
        Self::within(whole, EXCERPT_LINES, EXCERPT_BYTES)
    }

    /// The last lines of a text, within a number of lines and bytes.
    #[must_use]
    pub fn within(whole: &str, lines: usize, bytes: usize) -> Self {
        let mut from = whole.len().saturating_sub(bytes);
        while !whole.is_char_boundary(from) {
            from += 1;
        }
        // A line cut in the middle is left out, unless it is the only one.
        if from > 0 && !whole[..from].ends_with('\n') {
            from += whole[from..].find('\n').map_or(0, |at| at + 1);
        }
        let tail = &whole[from..];
        let count = tail.lines().count();
        if count > lines {
            let skipped: usize = tail.split_inclusive('\n').take(count - lines).map(str::len).sum();
            from += skipped;
        }
        Self {
            text: whole[from..].to_owned(),
            first_line: whole[..from].matches('\n').count() + 1,
            left_out: from as u64,
        }
    }

    /// A shorter end of this excerpt.
    #[must_use]
    pub fn shorter(&self, lines: usize, bytes: usize) -> Self {
        let inner = Self::within(&self.text, lines, bytes);
        Self {
            first_line: if self.first_line == 0 { 0 } else { self.first_line + inner.first_line - 1 },
            left_out: self.left_out + inner.left_out,
            text: inner.text,
        }
    }
}

/// Everything beside the run.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The gate's verdict.
    pub verdict: Option<Verdict>,
    /// The run to compare with: the last green one, or simply an earlier one.
    pub baseline: Option<Earlier>,
    /// What earlier runs have shown.
    pub past: Option<Past>,
    /// Excerpts by the path of the artifact.
    pub excerpts: BTreeMap<String, Excerpt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_end_in_whole_lines() {
        let whole = "one\ntwo\nthree\nfour\n";
        let two = Excerpt::within(whole, 2, 1000);
        assert_eq!((two.text.as_str(), two.first_line, two.left_out), ("three\nfour\n", 3, 8));
        let bytes = Excerpt::within(whole, 100, 8);
        assert_eq!((bytes.text.as_str(), bytes.first_line), ("four\n", 4));
        let all = Excerpt::of(whole);
        assert_eq!((all.text.as_str(), all.first_line, all.left_out), (whole, 1, 0));
        let shorter = two.shorter(1, 1000);
        assert_eq!((shorter.text.as_str(), shorter.first_line, shorter.left_out), ("four\n", 4, 14));
        // One endless line, cut between characters.
        assert_eq!(Excerpt::within(&"ü".repeat(100), 10, 7).text, "üüü");
    }
}
