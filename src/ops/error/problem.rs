//! Problems of a document as diagnostics.

use std::path::PathBuf;

use miette::Diagnostic;

use super::{OpError, with_causes};
use crate::core::problem::{Problem, Severity};

/// One problem of a document as a diagnostic of its own.
#[derive(Debug)]
pub struct ProblemReport(pub Problem);

impl std::fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ProblemReport {}

impl Diagnostic for ProblemReport {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.0.help))
    }
}

impl OpError {
    /// The error for a document with these problems.
    pub fn document(path: impl Into<PathBuf>, problems: Vec<Problem>) -> Self {
        Self::Document {
            path: path.into(),
            problems: problems.into_iter().map(ProblemReport).collect(),
        }
    }
}

impl OpError {
    /// One error for several that stop an init, so that none hides the next.
    pub(in crate::ops) fn several(errors: &[Self]) -> Self {
        let problem = |error: &Self| {
            let help = error
                .help()
                .map(|help| help.to_string())
                .unwrap_or_default();
            ProblemReport(Problem::error("", None, with_causes(error), help))
        };
        Self::NotSetUp {
            problems: errors.iter().map(problem).collect(),
        }
    }
}

/// How many errors these are, in words.
pub(super) fn counted(problems: &[ProblemReport]) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.0.severity == Severity::Error)
        .count();
    match errors {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}
