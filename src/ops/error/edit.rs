//! What can stop an edit of the manifest.

use miette::Diagnostic;
use thiserror::Error;

use super::{OpError, ProblemReport, counted};
use crate::core::report::Signal;
use crate::editor::EditFailure;

/// Why an edit did not change the manifest.
#[derive(Debug, Error, Diagnostic)]
pub enum EditError {
    #[error(
        "the edited text is not usable: {}; nothing was saved",
        counted(problems)
    )]
    #[diagnostic(
        code(drspass::edit::invalid),
        help(
            "The manifest is as it was, and the edited text is gone. On a terminal, 'drspass edit' lets you edit your text again."
        )
    )]
    Invalid {
        /// Errors and warnings.
        #[related]
        problems: Vec<ProblemReport>,
    },
    #[error("the edit was {}; nothing was saved", match signal { Signal::Interrupt => "interrupted", Signal::Terminate => "told to end" })]
    #[diagnostic(
        code(drspass::edit::interrupted),
        help("The manifest is as it was, and the edited text is gone.")
    )]
    Interrupted { signal: Signal },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] EditFailure),
}

impl From<EditFailure> for OpError {
    fn from(failure: EditFailure) -> Self {
        Self::Edit(failure.into())
    }
}
