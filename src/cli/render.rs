//! Errors as a person reads them, on a terminal or in the log of a pipeline:
//! what failed, why, and what to do. Every line stands for itself, so that it
//! can be searched for. The source of a document is never shown.

use std::fmt::Write as _;

use miette::{Diagnostic, Severity};

use crate::age_file::AgeError;
use crate::ops::OpError;
use crate::ops::error::with_causes;
use crate::view::json::v1::ErrorOut;
use crate::view::terminal::Colour;

/// The text of an error with its causes, what belongs to it, and the way out.
pub(super) fn error(error: &dyn Diagnostic, colour: Colour) -> String {
    // At a passphrase as at any other question.
    if let Some(cause @ AgeError::Interrupted) = error.source().and_then(|e| e.downcast_ref()) {
        return format!("{cause}\n");
    }
    if error.severity() == Some(Severity::Advice) {
        return format!("{error}\n");
    }
    let mut text = String::new();
    let head = match colour {
        Colour::On => "\u{1b}[31merror\u{1b}[0m",
        Colour::Off => "error",
    };
    let _ = writeln!(text, "{head}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(text, "  because: {error}");
        cause = error.source();
    }
    for related in error.related().into_iter().flatten() {
        let word = match related.severity() {
            Some(Severity::Warning | Severity::Advice) => "warning",
            Some(Severity::Error) | None => "error",
        };
        let _ = writeln!(text, "  {word}: {related}");
        if let Some(help) = related.help() {
            let _ = writeln!(text, "      {help}");
        }
    }
    if let Some(help) = error.help() {
        let _ = writeln!(text, "  help: {help}");
    }
    if let Some(code) = error.code() {
        let _ = writeln!(text, "  code: {code}");
    }
    text
}

/// The same error for a JSON document.
pub(super) fn error_out(error: &OpError) -> ErrorOut {
    ErrorOut {
        code: error
            .code()
            .map_or_else(String::new, |code| code.to_string()),
        message: with_causes(error),
        help: error.help().map(|help| help.to_string()),
    }
}

/// What belongs to an error, a line each: the problems of a document by their place.
pub(super) fn details(error: &OpError) -> Vec<String> {
    let related = error.related().into_iter().flatten();
    related.map(ToString::to_string).collect()
}
