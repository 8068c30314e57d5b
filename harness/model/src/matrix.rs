//! The support matrix file: axes with their values, excludes, includes, time limits.
//!
//! ```toml
//! [axes]                       # an axis that is not named stays at its default
//! shift = ["fuse", "shiftfs"]  # the first value of each axis makes the base cell
//!
//! [[exclude]]
//! size = "medium"
//! shift = "shiftfs"
//! because = "no snapshot for the managers yet"
//!
//! [[include]]
//! k3s = "v1.25.16+k3s4"
//! because = "expected to work, not claimed"
//!
//! [[tag]]
//! name = "smoke"               # for --select tag=smoke
//! size = "single"
//! because = "what every change is tried on"
//!
//! [patience]
//! install = "45m"
//! ```
//!
//! The section `[stores]` has a reader of its own.
//!
//! Errors name line and column, and what was probably meant.

mod schema;
mod stores;

use std::ops::Range;

use sha2::{Digest, Sha256};
use toml_edit::{Document, Item, Table};

use crate::axis::{AxisName, Cell};
use crate::rules;
use crate::stores::GivenStores;

pub use schema::schema;

/// Keys of the file.
const KEYS: [&str; 6] = ["axes", "exclude", "include", "tag", "patience", "stores"];
/// Keys of `[patience]`.
const PATIENCE_KEYS: [&str; 6] = ["run", "cell", "provision", "install", "scenario", "teardown"];

/// What may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Every axis of a cell with its values, in the order of [`AxisName::CELL`].
    pub axes: Vec<(AxisName, Vec<String>)>,
    /// Combinations that the maintainers leave out.
    pub excludes: Vec<Partial>,
    /// Cells that run besides those that the axes give.
    pub includes: Vec<(Cell, String)>,
    /// Names for the cells that have some values, for selecting them.
    pub tags: Vec<(String, Partial)>,
    /// Time limits, where the file sets them.
    pub patience: Patience,
    /// External stores that are there already.
    pub stores: GivenStores,
}

/// Some axes with one value each, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The values.
    pub values: Vec<(AxisName, String)>,
    /// The reason.
    pub because: String,
}

impl Partial {
    /// Whether the cell has all these values.
    #[must_use]
    pub fn matches(&self, cell: &Cell) -> bool {
        self.values.iter().all(|(axis, value)| cell.get(*axis) == *value)
    }
}

/// Time limits in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// The whole run.
    pub run: Option<u64>,
    /// One cell.
    pub cell: Option<u64>,
    /// Making a cluster.
    pub provision: Option<u64>,
    /// Installing.
    pub install: Option<u64>,
    /// One scenario; a scenario's own limit still holds where it is nearer.
    pub scenario: Option<u64>,
    /// Removing a cluster.
    pub teardown: Option<u64>,
}

/// A matrix file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct MatrixError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// The nearest of some names, when one is near enough to be a slip of the pen.
#[must_use]
pub fn nearest<'a>(name: &str, of: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    of.into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A partial cell and where it stands in the file.
type Placed = (Partial, Option<Range<usize>>);

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, span: Option<Range<usize>>, message: String, hint: Option<String>) -> MatrixError {
        let at = span.map_or(0, |s| s.start).min(self.text.len());
        let before = &self.text[..at];
        MatrixError {
            line: before.matches('\n').count() + 1,
            column: before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1,
            message,
            hint,
        }
    }

    fn unknown<'a>(
        &self,
        span: Option<Range<usize>>,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> MatrixError {
        let hint = nearest(name, known.clone()).map_or_else(
            || format!("known: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        self.error(span, format!("unknown {what} `{name}`"), Some(hint))
    }

    fn axis(&self, span: Option<Range<usize>>, name: &str) -> Result<AxisName, MatrixError> {
        AxisName::CELL
            .into_iter()
            .find(|a| a.as_str() == name)
            .ok_or_else(|| self.unknown(span, "axis", name, AxisName::CELL.map(AxisName::as_str)))
    }

    fn value(&self, axis: AxisName, item: &toml_edit::Value) -> Result<String, MatrixError> {
        let text = item
            .as_str()
            .ok_or_else(|| self.error(item.span(), format!("the values of `{axis}` are strings"), None))?;
        let mut cell = Cell::default();
        cell.set(axis, text).map_err(|e| {
            let known = values_of(axis);
            let hint = nearest(text, known.iter().copied()).map(|n| format!("did you mean `{n}`?"));
            self.error(item.span(), e.to_string(), hint)
        })?;
        Ok(text.to_owned())
    }

    fn table<'t>(&self, name: &str, item: &'t Item) -> Result<&'t Table, MatrixError> {
        item.as_table().ok_or_else(|| self.error(item.span(), format!("`{name}` is a table"), None))
    }

    /// Tables of axis values with a reason; `[[tag]]` has a name besides.
    fn partials(&self, name: &str, item: &Item) -> Result<Vec<Placed>, MatrixError> {
        let tables = item.as_array_of_tables().ok_or_else(|| {
            self.error(item.span(), format!("`{name}` is a list of tables"), Some(format!("write [[{name}]]")))
        })?;
        tables
            .iter()
            .map(|table| {
                let mut values = Vec::new();
                let mut because = None;
                for (key, item) in table {
                    let span = table.key(key).and_then(toml_edit::Key::span);
                    let value = item
                        .as_value()
                        .ok_or_else(|| self.error(span.clone(), format!("`{key}` is a string"), None))?;
                    if key == "name" && name == "tag" {
                        // Read by `tag_name`.
                    } else if key == "because" {
                        because = value.as_str().filter(|b| !b.trim().is_empty()).map(str::to_owned);
                    } else {
                        let axis = self.axis(span, key)?;
                        values.push((axis, self.value(axis, value)?));
                    }
                }
                let because = because.ok_or_else(|| {
                    self.error(
                        table.span(),
                        format!("[[{name}]] has no reason"),
                        Some("add because = \"…\"; a reader must know why".to_owned()),
                    )
                })?;
                Ok((Partial { values, because }, table.span()))
            })
            .collect()
    }
}

/// The names of the tables of `[[tag]]`, in order.
fn tag_names(reader: &Reader<'_>, item: &Item) -> Result<Vec<String>, MatrixError> {
    let legal = |n: &&str| !n.is_empty() && n.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    item.as_array_of_tables()
        .into_iter()
        .flatten()
        .map(|table| {
            let name = table.get("name").and_then(Item::as_str).filter(legal);
            name.map(str::to_owned).ok_or_else(|| {
                let span = table.get("name").map_or_else(|| table.span(), Item::span);
                reader.error(span, "[[tag]] needs a name of lower-case letters, digits and `-`".to_owned(), None)
            })
        })
        .collect()
}

/// The texts that an axis of fixed choices knows; examples for versions.
fn values_of(axis: AxisName) -> Vec<&'static str> {
    use crate::axis::{Database, Os, Registry, Shift, Size, SshGateway, Storage, Template, Tls};
    fn all<T: Copy>(values: &[T], text: fn(T) -> &'static str) -> Vec<&'static str> {
        values.iter().map(|v| text(*v)).collect()
    }
    match axis {
        AxisName::Shift => all(Shift::ALL, Shift::as_str),
        AxisName::Os => all(Os::ALL, Os::as_str),
        AxisName::Database => all(Database::ALL, Database::as_str),
        AxisName::Registry => all(Registry::ALL, Registry::as_str),
        AxisName::Storage => all(Storage::ALL, Storage::as_str),
        AxisName::Size => all(Size::ALL, Size::as_str),
        AxisName::Tls => all(Tls::ALL, Tls::as_str),
        AxisName::SshGateway => all(SshGateway::ALL, SshGateway::as_str),
        AxisName::Template => all(Template::ALL, Template::as_str),
        AxisName::K3s | AxisName::Gitpod | AxisName::Axis => Vec::new(),
    }
}

impl Matrix {
    /// Reads a matrix file.
    ///
    /// # Errors
    /// [`MatrixError`] with the place of the first mistake.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let reader = Reader { text };
        let document = Document::parse(text)
            .map_err(|e| reader.error(e.span(), e.message().trim_end().replace('\n', "; "), None))?;
        let root = document.as_table();
        let mut given: Vec<(AxisName, Vec<String>)> = Vec::new();
        let mut patience = Patience::default();
        let mut stores = GivenStores::default();
        for (key, item) in root {
            let span = root.key(key).and_then(toml_edit::Key::span);
            match key {
                "axes" => {
                    let table = reader.table("axes", item)?;
                    for (name, item) in table {
                        let span = table.key(name).and_then(toml_edit::Key::span);
                        let axis = reader.axis(span.clone(), name)?;
                        let list = item.as_array().filter(|l| !l.is_empty()).ok_or_else(|| {
                            reader.error(
                                span,
                                format!("`{axis}` needs a list of values, at least one"),
                                Some(format!("write {axis} = [\"{}\"]", Cell::default().get(axis))),
                            )
                        })?;
                        let mut values: Vec<String> = Vec::new();
                        for item in list {
                            let value = reader.value(axis, item)?;
                            if values.contains(&value) {
                                return Err(reader.error(item.span(), format!("`{value}` stands here twice"), None));
                            }
                            values.push(value);
                        }
                        given.push((axis, values));
                    }
                }
                "patience" => patience = read_patience(&reader, reader.table("patience", item)?)?,
                "stores" => stores = stores::read(&reader, reader.table("stores", item)?)?,
                "exclude" | "include" | "tag" => {}
                _ => return Err(reader.unknown(span, "key", key, KEYS)),
            }
        }
        let default = Cell::default();
        let axes: Vec<(AxisName, Vec<String>)> = AxisName::CELL
            .iter()
            .map(|axis| {
                let values = given.iter().find(|(a, _)| a == axis).map(|(_, v)| v.clone());
                (*axis, values.unwrap_or_else(|| vec![default.get(*axis)]))
            })
            .collect();
        let mut matrix = Self {
            sha256: Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect(),
            axes,
            excludes: Vec::new(),
            includes: Vec::new(),
            tags: Vec::new(),
            patience,
            stores,
        };
        if let Some(item) = root.get("exclude") {
            for (partial, span) in reader.partials("exclude", item)? {
                let possible = partial.values.iter().all(|(axis, value)| matrix.values(*axis).contains(value));
                if !possible || partial.values.is_empty() {
                    return Err(reader.error(
                        span,
                        "this exclude matches no cell".to_owned(),
                        Some(
                            "every value must stand in [axes]; remove the exclude if it is no longer needed".to_owned(),
                        ),
                    ));
                }
                matrix.excludes.push(partial);
            }
        }
        if let Some(item) = root.get("tag") {
            let partials = reader.partials("tag", item)?.into_iter().map(|(partial, _)| partial);
            matrix.tags = tag_names(&reader, item)?.into_iter().zip(partials).collect();
        }
        if let Some(item) = root.get("include") {
            for (partial, span) in reader.partials("include", item)? {
                let mut cell = matrix.base();
                for (axis, value) in &partial.values {
                    cell.set(*axis, value).map_err(|e| reader.error(span.clone(), e.to_string(), None))?;
                }
                if let Some(rule) = rules::forbidding(&cell, &matrix.stores) {
                    return Err(reader.error(
                        span,
                        format!("this include makes no sense: {}", rule.because),
                        Some(format!("rule {}", rule.id)),
                    ));
                }
                matrix.includes.push((cell, partial.because));
            }
        }
        Ok(matrix)
    }

    /// The values of one axis.
    #[must_use]
    pub fn values(&self, axis: AxisName) -> &[String] {
        self.axes.iter().find(|(a, _)| *a == axis).map_or(&[], |(_, v)| v)
    }

    /// The cell made of the first value of each axis.
    ///
    /// # Panics
    /// Never: values were checked when the file was read.
    #[must_use]
    pub fn base(&self) -> Cell {
        let mut cell = Cell::default();
        for (axis, values) in &self.axes {
            cell.set(*axis, &values[0]).expect("values are checked when the file is read");
        }
        cell
    }

    /// The number of cells that the axes give, sensible or not.
    #[must_use]
    pub fn product(&self) -> usize {
        self.axes.iter().map(|(_, v)| v.len()).product()
    }

    /// Every cell that the axes give, sensible or not, in lexical order of positions.
    ///
    /// # Panics
    /// Never: values were checked when the file was read.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        (0..self.product()).map(|mut n| {
            let mut cell = Cell::default();
            for (axis, values) in self.axes.iter().rev() {
                cell.set(*axis, &values[n % values.len()]).expect("values are checked when the file is read");
                n /= values.len();
            }
            cell
        })
    }
}

fn read_patience(reader: &Reader<'_>, table: &Table) -> Result<Patience, MatrixError> {
    let mut patience = Patience::default();
    for (key, item) in table {
        let span = table.key(key).and_then(toml_edit::Key::span);
        let slot = match key {
            "run" => &mut patience.run,
            "cell" => &mut patience.cell,
            "provision" => &mut patience.provision,
            "install" => &mut patience.install,
            "scenario" => &mut patience.scenario,
            "teardown" => &mut patience.teardown,
            _ => return Err(reader.unknown(span, "time limit", key, PATIENCE_KEYS)),
        };
        *slot = Some(item.as_str().and_then(seconds).ok_or_else(|| {
            reader.error(span, format!("`{key}` is a time such as \"45m\", \"90s\" or \"2h\""), None)
        })?);
    }
    Ok(patience)
}

/// `90s`, `45m`, `2h`: a whole number that is not zero, and a unit.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    // The standard library would take `+5` for a number.
    let number: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    number.checked_mul(factor).filter(|s| (1..=7 * 24 * 3600).contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let e = Matrix::parse(text).expect_err("must be refused");
        format!("{e}{}", e.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())
    }

    #[test]
    fn mistakes_are_shown_with_place_and_remedy() {
        insta::assert_snapshot!(
            [
                "[axes]\nshfit = [\"fuse\"]",
                "[axes]\nshift = [\"fuse\", \"shiftsf\"]",
                "[axes]\nshift = []",
                "[axes]\nshift = [\"fuse\", \"fuse\"]",
                "[axes]\nk3s = [\"stable\"]",
                "[axes]\ngitpod = [3]",
                "[axis]\nshift = [\"fuse\"]",
                "[axes\n",
                "[[exclude]]\nsize = \"single\"",
                "[axes]\nsize = [\"single\"]\n[[exclude]]\nsize = \"medium\"\nbecause = \"slow\"",
                "[[include]]\nshift = \"shiftfs\"\nbecause = \"to see\"",
                "[[tag]]\nsize = \"single\"\nbecause = \"small\"",
                "[[tag]]\nname = \"Smoke test\"\nsize = \"single\"\nbecause = \"small\"",
                "[patience]\ninstal = \"3m\"",
                "[patience]\ninstall = 45",
                "[patience]\ninstall = \"0s\"",
                "[patience]\ninstall = \"+5m\"",
            ]
            .map(refused)
            .join("\n")
        );
    }

    #[test]
    fn an_axis_that_is_not_named_stays_at_its_default() {
        let matrix = Matrix::parse("[axes]\nsize = [\"small\", \"medium\"]").expect("fine");
        assert_eq!(matrix.product(), 2);
        assert_eq!(matrix.base().id().as_str(), "size-small");
        assert_eq!(matrix.cells().map(|c| c.id().to_string()).collect::<Vec<_>>(), ["size-small", "size-medium"]);
    }
}
