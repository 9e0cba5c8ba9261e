//! Problems of a document as values. One list has all of them, so that none hides the next.
//!
//! The words of a problem contain no text of the document. Paths consist of the names that the
//! format defines, of job ids of the usual shape, of names of credentials that have fields, and of
//! positions in the document, since a bad indent can turn a password into a key.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Range;

use miette::Diagnostic;

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
    /// The document is used as it is; a person should look.
    Warning,
}

/// Words about a document that contain none of its text.
pub type Words = Cow<'static, str>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The field, as in `jobs.<id>.source.password` or `@<credential>/password`; empty for the
    /// whole document.
    pub path: String,
    /// `None` if the problem has no single place.
    pub at: Option<Position>,
    /// The fault, as a fragment without full stop.
    pub what: Words,
    /// The remedy, as a sentence.
    pub help: Words,
    /// Only of drspass.yaml, and only where nothing in it can be a secret.
    pub excerpt: Option<Box<Excerpt>>,
}

/// The beginning of a line and the bytes of it that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    pub marked: Range<usize>,
}

impl Problem {
    pub fn error(
        path: impl Into<String>,
        at: Option<Position>,
        what: impl Into<Words>,
        help: impl Into<Words>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            at,
            what: what.into(),
            help: help.into(),
            excerpt: None,
        }
    }

    pub fn warning(
        path: impl Into<String>,
        at: Option<Position>,
        what: impl Into<Words>,
        help: impl Into<Words>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, at, what, help)
        }
    }

    /// Returns the same problem at this path.
    pub fn of(self, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { path, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}: ")?;
        }
        let of_credential = self.path.strip_prefix('@');
        match of_credential.and_then(|path| path.split_once('/')) {
            Some((credential, field)) => write!(f, "@{credential}: the {field} ")?,
            None if self.path.is_empty() => {}
            None => write!(f, "{}: ", self.path)?,
        }
        f.write_str(&self.what)
    }
}

impl Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }
}

pub fn counted(problems: &[Problem]) -> String {
    let is_error = |problem: &&Problem| problem.severity == Severity::Error;
    match problems.iter().filter(is_error).count() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

/// How many problems of one severity are kept: a large document could otherwise turn into a far
/// larger list.
pub const MAX_PROBLEMS: usize = 1000;

#[derive(Debug, Default)]
pub struct Problems {
    /// Each with whether it is about a key: an empty value before a key is at the same place.
    list: Vec<(bool, Problem)>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    /// Adds a problem; beyond the limit, errors are dropped and warnings only counted.
    pub fn add(&mut self, severity: Severity, is_of_key: bool, problem: impl FnOnce() -> Problem) {
        if self.errors == MAX_PROBLEMS {
            return;
        }
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MAX_PROBLEMS {
            self.list.push((is_of_key, problem()));
        }
        if self.errors == MAX_PROBLEMS {
            let what = "too many problems; reading stopped here";
            let problem = Problem::error("", None, what, "Fix these first.");
            self.list.push((false, problem));
        }
    }
}

#[derive(Debug)]
pub struct Checked<T> {
    pub value: Option<T>,
    /// In the order of the text, those without a place last.
    pub problems: Vec<Problem>,
}

impl<T> Checked<T> {
    pub fn new(value: Option<T>, problems: Problems) -> Self {
        let Problems {
            mut list,
            errors,
            warnings,
        } = problems;
        if warnings > MAX_PROBLEMS {
            let what = format!("{} more warnings", warnings - MAX_PROBLEMS);
            let help = "Check those above first.";
            list.push((false, Problem::warning("", None, what, help)));
        }
        debug_assert!(value.is_some() || errors > 0);
        list.sort_by_key(|(is_of_key, p)| (p.at.is_none(), p.at, p.severity, *is_of_key));
        Self {
            value: value.filter(|_| errors == 0),
            problems: list.into_iter().map(|(_, problem)| problem).collect(),
        }
    }
}

/// One step from a map or list to a value inside it.
#[derive(Clone, Copy)]
enum PathStep<'a> {
    Root,
    Name(&'static str),
    Number(usize),
    Credential(&'a str),
    Key(&'a str),
}

/// The path of a value, formatted only when it is shown.
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
        self.step(PathStep::Name(name))
    }

    /// Returns the path of the nth item of a list or pair of a map, from 1.
    pub fn number(&'a self, number: usize) -> Self {
        self.step(PathStep::Number(number))
    }

    /// Returns the path of a credential, which is named as in addresses.
    pub const fn credential(name: &'a str) -> Self {
        let (parent, step) = (Some(&Self::ROOT), PathStep::Credential(name));
        FieldPath { parent, step }
    }

    /// Returns the path of a key that the user chose, which may be shown.
    pub fn key(&'a self, key: &'a str) -> Self {
        self.step(PathStep::Key(key))
    }

    fn step(&'a self, step: PathStep<'a>) -> Self {
        let parent = Some(self);
        FieldPath { parent, step }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            match parent.step {
                PathStep::Root => {}
                PathStep::Credential(_) => f.write_str("/")?,
                _ => f.write_str(".")?,
            }
        }
        match self.step {
            PathStep::Root => Ok(()),
            PathStep::Credential(name) => write!(f, "@{name}"),
            PathStep::Name(name) => f.write_str(name),
            PathStep::Key(key) => f.write_str(key),
            PathStep::Number(number) => write!(f, "#{number}"),
        }
    }
}
