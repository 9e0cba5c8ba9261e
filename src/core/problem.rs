//! What is wrong with a document, as values: one list holds every problem, so
//! that no problem hides the next.
//!
//! A problem never carries text of the document it is about. Paths are made of
//! the names that the format defines, of job ids of the usual shape and of
//! positions in the document, since a bad indent can turn a password into a key.

use std::borrow::Cow;
use std::fmt;

/// A place in a text: both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Whether a document with this problem can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is used as it stands; somebody should look.
    Warning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The field, as in `jobs.<id>.source.password`; empty for the whole document.
    pub path: String,
    /// Where in the text; absent when the problem has no single place.
    pub at: Option<Position>,
    /// What is wrong: a fragment without full stop.
    pub what: Cow<'static, str>,
    /// What to do about it: a sentence.
    pub help: Cow<'static, str>,
}

impl Problem {
    pub fn error(
        path: impl Into<String>,
        at: Option<Position>,
        what: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            at,
            what: what.into(),
            help: help.into(),
        }
    }

    pub fn warning(
        path: impl Into<String>,
        at: Option<Position>,
        what: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, at, what, help)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

/// The problems of one document, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }

    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|p| (p.at.is_none(), p.at, p.severity));
        self.0
    }
}

#[derive(Debug)]
pub struct Checked<T> {
    pub value: Option<T>,
    pub problems: Vec<Problem>,
}

impl<T> Checked<T> {
    /// Sorts `problems` and keeps `value` only if none of them is an error.
    pub fn new(value: Option<T>, problems: Problems) -> Self {
        Self {
            value: value.filter(|_| !problems.has_errors()),
            problems: problems.into_sorted(),
        }
    }
}

/// One step from a map or list to a value inside it.
#[derive(Clone, Copy)]
enum PathStep<'a> {
    Root,
    Field(&'static str),
    Number(usize),
    Chosen {
        key: &'a str,
        number: usize,
        may_show: fn(&str) -> bool,
    },
}

/// The way to a value. It costs nothing until it is shown.
#[derive(Clone, Copy)]
pub struct FieldPath<'a> {
    parent: Option<&'a Self>,
    step: PathStep<'a>,
}

impl<'a> FieldPath<'a> {
    pub const ROOT: FieldPath<'static> = FieldPath {
        parent: None,
        step: PathStep::Root,
    };

    pub fn field(&'a self, name: &'static str) -> Self {
        self.step(PathStep::Field(name))
    }

    /// The nth item of a list or pair of a map, from 1.
    pub fn number(&'a self, number: usize) -> Self {
        self.step(PathStep::Number(number))
    }

    /// A key that the user chose: shown if `may_show` allows it, or else named by
    /// its position in the map.
    pub fn chosen(&'a self, key: &'a str, number: usize, may_show: fn(&str) -> bool) -> Self {
        self.step(PathStep::Chosen {
            key,
            number,
            may_show,
        })
    }

    fn step(&'a self, step: PathStep<'a>) -> Self {
        FieldPath {
            parent: Some(self),
            step,
        }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if parent.parent.is_some() {
                f.write_str(".")?;
            }
        }
        match self.step {
            PathStep::Root => Ok(()),
            PathStep::Field(name) => f.write_str(name),
            PathStep::Chosen { key, may_show, .. } if may_show(key) => f.write_str(key),
            PathStep::Number(number) | PathStep::Chosen { number, .. } => write!(f, "#{number}"),
        }
    }
}
