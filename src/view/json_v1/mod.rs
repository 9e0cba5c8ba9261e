//! Version 1 of the JSON outputs: frozen structures, apart from the types of the domain, so
//! that a change inside never changes what a pipeline reads. The schemas are in `schemas/`.
//!
//! They tell the same facts as the text for people. No value, fingerprint or
//! salt is in them: a field that has a value says `"sensitive": true` instead.

mod lists;
mod run;

use serde::Serialize;

use crate::core::problem::{Problem, Severity};
use crate::core::redact::in_json;
use crate::core::state::ValueOrigin;

pub use lists::{HolderOut, STATE, jobs, lock, manifest, recipients, state, whoami};
pub use run::{APPLY, PLAN, apply, apply_error, apply_head, plan};

const fn origin_word(origin: ValueOrigin) -> &'static str {
    match origin {
        ValueOrigin::Sent => "sent",
        ValueOrigin::Adopted => "adopted",
    }
}

fn to_line<T: Serialize>(value: &T) -> String {
    let text =
        serde_json::to_string(value).expect("strings, numbers and lists of them always serialize");
    in_json(&text).into_owned() + "\n"
}

/// The name and version of the format of `validate --json`.
pub const VALIDATE: &str = "drspass.validate-output/1";

#[derive(Serialize)]
struct ValidateDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    valid: bool,
    problems: Vec<ProblemOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOut>,
}

#[derive(Serialize)]
struct ProblemOut<'a> {
    document: &'a str,
    severity: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    what: &'a str,
    help: &'a str,
}

/// An error that is no problem of a document.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorOut {
    /// Its code.
    pub code: String,
    /// What failed.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// The document of `validate --json`.
pub fn validate(problems: &[(String, Vec<Problem>)], error: Option<ErrorOut>) -> String {
    let problems: Vec<ProblemOut<'_>> = problems
        .iter()
        .flat_map(|(document, problems)| {
            problems.iter().map(|problem| ProblemOut {
                document,
                severity: match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                path: &problem.path,
                line: problem.at.map(|at| at.line),
                column: problem.at.map(|at| at.column),
                what: &problem.what,
                help: &problem.help,
            })
        })
        .collect();
    to_line(&ValidateDocument {
        format: VALIDATE,
        tool_version: env!("CARGO_PKG_VERSION"),
        valid: error.is_none() && problems.iter().all(|problem| problem.severity != "error"),
        problems,
        error,
    })
}
