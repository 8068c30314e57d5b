//! The language of `--select`: which cells, and which scenarios in them.
//!
//! ```text
//! size=single|small, os!=ubuntu-20.04             commas are "and", bars are "or" between values
//! shift=fuse and (size=medium or tls=byo)
//! not database in (external, external-tls)
//! scenario=ssh-on-22 or tag=read-only
//! ```
//!
//! Terms name an axis, `scenario`, or `tag`. From the tightest to the loosest: `not`, `and`, `or`, the comma. An expression is asked of every scenario in every cell; a cell
//! of which no scenario is left is not run.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::axis::{AxisName, Cell};
use crate::cover::space::Values;
use crate::matrix::{Matrix, Partial, nearest};
use crate::scenario::ScenarioSpec;

/// An expression that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectError {
    text: String,
    at: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text[..self.at.start].chars().count();
        let marked = self.text[self.at.clone()].chars().count().max(1);
        write!(f, "--select: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        let one_line: String = self.text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        write!(f, "\n    {one_line}\n    {}{}", " ".repeat(before), "^".repeat(marked))
    }
}

impl std::error::Error for SelectError {}

/// A selection that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    expr: Expr,
    tags: Vec<(String, Partial)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Axis(AxisName, Vec<String>),
    Scenario(Vec<String>),
    Tag(Vec<String>),
}

impl Select {
    /// Reads an expression. Names of scenarios and tags are those of the catalogue and the matrix.
    ///
    /// # Errors
    /// [`SelectError`] with the place of the first mistake.
    pub fn parse(text: &str, matrix: &Matrix, catalogue: &[ScenarioSpec]) -> Result<Self, SelectError> {
        let mut reader = Reader { text, at: 0, matrix, catalogue };
        let expr = reader.list()?;
        match reader.next() {
            (Token::End, _) => Ok(Self { expr, tags: matrix.tags.clone() }),
            (Token::Close, at) => Err(reader.error(at, "there is no `(` for this `)`", None)),
            (_, at) => Err(reader.error(at, "expected `and`, `or` or a comma before this", None)),
        }
    }

    /// Whether it holds for a scenario in a cell.
    #[must_use]
    pub fn holds(&self, cell: &Cell, scenario: &ScenarioSpec) -> bool {
        self.holds_for(&|axis| Cow::Owned(cell.get(axis)), scenario)
    }

    /// Whether it holds for a scenario in a cell that is given by its values.
    pub(crate) fn holds_for(&self, values: &Values<'_>, scenario: &ScenarioSpec) -> bool {
        self.expr.holds(values, scenario, &self.tags)
    }
}

impl Expr {
    fn holds(&self, values: &Values<'_>, scenario: &ScenarioSpec, tags: &[(String, Partial)]) -> bool {
        match self {
            Self::All(all) => all.iter().all(|e| e.holds(values, scenario, tags)),
            Self::Any(any) => any.iter().any(|e| e.holds(values, scenario, tags)),
            Self::Not(inner) => !inner.holds(values, scenario, tags),
            Self::Axis(axis, wanted) => wanted.contains(&values(*axis).into_owned()),
            Self::Scenario(names) => names.iter().any(|n| n == scenario.id.as_str()),
            Self::Tag(names) => names.iter().any(|name| {
                let of_cell = |(tag, partial): &(String, Partial)| {
                    tag == name && partial.values.iter().all(|(axis, value)| values(*axis) == *value)
                };
                scenario.tags().contains(&name.as_str()) || tags.iter().any(of_cell)
            }),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    Comma,
    Bar,
    Equal,
    Unequal,
    End,
}

/// What a term is about.
enum Subject {
    Axis(AxisName),
    Scenario,
    Tag,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    matrix: &'a Matrix,
    catalogue: &'a [ScenarioSpec],
}

type Placed<'a> = (Token<'a>, Range<usize>);

impl<'a> Reader<'a> {
    fn error(&self, at: Range<usize>, message: impl Into<String>, hint: Option<String>) -> SelectError {
        SelectError { text: self.text.to_owned(), at, message: message.into(), hint }
    }

    fn next(&mut self) -> Placed<'a> {
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.text[start..];
        let (token, length) = match rest.chars().next() {
            None => (Token::End, 0),
            Some('(') => (Token::Open, 1),
            Some(')') => (Token::Close, 1),
            Some(',') => (Token::Comma, 1),
            Some('|') => (Token::Bar, 1),
            Some('=') if rest.starts_with("==") => (Token::Equal, 2),
            Some('=') => (Token::Equal, 1),
            Some('!') if rest.starts_with("!=") => (Token::Unequal, 2),
            Some(_) => {
                let ends = |c: char| c.is_whitespace() || "(),|=".contains(c);
                let length = rest.find(ends).unwrap_or(rest.len());
                // `size!=small` without blanks: the mark belongs to the operator.
                let length = rest[..length].find("!").filter(|n| *n > 0).unwrap_or(length);
                (Token::Word(&rest[..length]), length)
            }
        };
        self.at = start + length;
        (token, start..self.at)
    }

    fn peek(&mut self) -> Token<'a> {
        let before = self.at;
        let (token, _) = self.next();
        self.at = before;
        token
    }

    fn list(&mut self) -> Result<Expr, SelectError> {
        let mut all = vec![self.any()?];
        while self.peek() == Token::Comma {
            self.next();
            all.push(self.any()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::All(all) })
    }

    fn any(&mut self) -> Result<Expr, SelectError> {
        let mut any = vec![self.all()?];
        while self.peek() == Token::Word("or") {
            self.next();
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expr::Any(any) })
    }

    fn all(&mut self) -> Result<Expr, SelectError> {
        let mut all = vec![self.one()?];
        while self.peek() == Token::Word("and") {
            self.next();
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::All(all) })
    }

    fn one(&mut self) -> Result<Expr, SelectError> {
        let expected = "expected an axis, `scenario`, `tag`, `not` or `(` here";
        match self.next() {
            (Token::Word("not"), _) => Ok(Expr::Not(Box::new(self.one()?))),
            (Token::Open, opened) => {
                let inner = self.list()?;
                match self.next() {
                    (Token::Close, _) => Ok(inner),
                    (Token::End, _) => Err(self.error(opened, "this `(` is never closed", None)),
                    (_, at) => Err(self.error(at, "expected `and`, `or`, a comma or `)` before this", None)),
                }
            }
            (Token::Word(name @ ("and" | "or" | "in")), at) => {
                Err(self.error(at, format!("`{name}` needs something before it"), None))
            }
            (Token::Word(name), at) => self.term(name, at),
            (Token::End, at) if self.text.trim().is_empty() => {
                Err(self.error(at, "the expression is empty", Some("write for example size=single".to_owned())))
            }
            (Token::End, at) => Err(self.error(at, format!("{expected}, but the expression ends"), None)),
            (Token::Close | Token::Comma | Token::Bar | Token::Equal | Token::Unequal, at) => {
                Err(self.error(at, expected, None))
            }
        }
    }

    fn term(&mut self, name: &'a str, at: Range<usize>) -> Result<Expr, SelectError> {
        let subject = match name {
            "scenario" => Subject::Scenario,
            "tag" => Subject::Tag,
            _ => Subject::Axis(AxisName::CELL.into_iter().find(|a| a.as_str() == name).ok_or_else(|| {
                let known = AxisName::CELL.map(AxisName::as_str).into_iter().chain(["scenario", "tag"]);
                let near = nearest(name, known.clone()).map(|n| format!("did you mean `{n}`?"));
                let all = || format!("there are {}", known.collect::<Vec<_>>().join(", "));
                self.error(at.clone(), format!("there is no axis `{name}`"), Some(near.unwrap_or_else(all)))
            })?),
        };
        let (negated, values) = match self.next() {
            (Token::Equal, _) => (false, self.values(Token::Bar, &subject)?),
            (Token::Unequal, _) => (true, self.values(Token::Bar, &subject)?),
            (Token::Word("in"), _) => (false, self.set(&subject)?),
            (Token::Word("not"), _) if self.peek() == Token::Word("in") => {
                self.next();
                (true, self.set(&subject)?)
            }
            (_, _) => {
                let hint = format!("as in {name}={}", self.example(&subject));
                return Err(self.error(at, format!("expected `=`, `!=` or `in` after `{name}`"), Some(hint)));
            }
        };
        let term = match subject {
            Subject::Axis(axis) => Expr::Axis(axis, values),
            Subject::Scenario => Expr::Scenario(values),
            Subject::Tag => Expr::Tag(values),
        };
        Ok(if negated { Expr::Not(Box::new(term)) } else { term })
    }

    fn set(&mut self, subject: &Subject) -> Result<Vec<String>, SelectError> {
        match self.next() {
            (Token::Open, opened) => {
                let values = self.values(Token::Comma, subject)?;
                match self.next() {
                    (Token::Close, _) => Ok(values),
                    (Token::End, _) => Err(self.error(opened, "this `(` is never closed", None)),
                    (_, at) => Err(self.error(at, "expected a comma or `)` before this", None)),
                }
            }
            (_, at) => Err(self.error(at, "expected `(` after `in`", None)),
        }
    }

    fn values(&mut self, between: Token<'_>, subject: &Subject) -> Result<Vec<String>, SelectError> {
        let mut values = Vec::new();
        loop {
            match self.next() {
                (Token::Word(word), at) => values.push(self.known(subject, word, at)?),
                (_, at) => {
                    let hint = format!("such as {}", self.example(subject));
                    return Err(self.error(at, "expected a value here", Some(hint)));
                }
            }
            if self.peek() != between {
                return Ok(values);
            }
            self.next();
        }
    }

    /// Something that could stand where a value is expected.
    fn example(&self, subject: &Subject) -> String {
        match subject {
            Subject::Axis(axis) => Cell::default().get(*axis),
            Subject::Scenario => self.catalogue.first().map_or("workspace-start", |s| s.id.as_str()).to_owned(),
            Subject::Tag => "read-only".to_owned(),
        }
    }

    /// The value, where it can be one.
    fn known(&self, subject: &Subject, word: &str, at: Range<usize>) -> Result<String, SelectError> {
        let names: Vec<&str> = match subject {
            Subject::Axis(axis) => {
                if let Err(e) = Cell::default().set(*axis, word) {
                    let near = nearest(word, self.matrix.values(*axis).iter().map(String::as_str));
                    return Err(self.error(at, e.to_string(), near.map(|n| format!("did you mean `{n}`?"))));
                }
                return Ok(word.to_owned());
            }
            Subject::Scenario => self.catalogue.iter().map(|s| s.id.as_str()).collect(),
            Subject::Tag => {
                let mut names: Vec<&str> = self.catalogue.iter().flat_map(ScenarioSpec::tags).collect();
                names.extend(self.matrix.tags.iter().map(|(name, _)| name.as_str()));
                names.sort_unstable();
                names.dedup();
                names
            }
        };
        if names.contains(&word) {
            return Ok(word.to_owned());
        }
        let what = if matches!(subject, Subject::Tag) { "tag" } else { "scenario" };
        let near = nearest(word, names.iter().copied()).map(|n| format!("did you mean `{n}`?"));
        let hint = near.unwrap_or_else(|| format!("there are {}", names.join(", ")));
        Err(self.error(at, format!("there is no {what} `{word}`"), Some(hint)))
    }
}
