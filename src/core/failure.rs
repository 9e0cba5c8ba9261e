//! Errors as values: a code, a message, help, and the exit code they lead to.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use miette::Diagnostic;

use super::problem::Problem;
use super::report::Signal;

/// The class of an error, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    Failed,
    /// Refused by sealing; for a saved plan: it does not match.
    Sealed,
    StalePlan,
    /// The same command can be run again.
    Locked,
    NotApproved,
    Ended(Signal),
}

/// An error to be reported, never inspected, made where it is born. It contains no secret and no
/// text of a manifest.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    pub class: ErrorClass,
    message: String,
    help: Cow<'static, str>,
    problems: Vec<Problem>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub fn new(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            class: ErrorClass::Failed,
            message: message.into(),
            help: help.into(),
            problems: Vec::new(),
            source: None,
        }
    }

    pub fn class(self, class: ErrorClass) -> Self {
        Self { class, ..self }
    }

    pub fn with_help(self, help: impl Into<Cow<'static, str>>) -> Self {
        Self {
            help: help.into(),
            ..self
        }
    }

    pub fn listing(self, problems: Vec<Problem>) -> Self {
        Self { problems, ..self }
    }

    pub fn because(self, source: impl StdError + Send + Sync + 'static) -> Self {
        let source = Some(Box::from(source));
        Self { source, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as _)))
    }
}

/// Returns an error and all its causes in one line.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
