//! What can stop an edit of the manifest.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use super::{OpError, ProblemReport, counted};
use crate::core::report::Signal;

/// Why an edit did not change the manifest.
#[derive(Debug, Error, Diagnostic)]
pub enum EditError {
    #[error("cannot prepare to run an editor")]
    #[diagnostic(code(drspass::edit::runtime), help("Nothing was written."))]
    Prepare(#[source] io::Error),
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
        #[related]
        problems: Vec<ProblemReport>,
    },
    #[error("the edited text cannot be encrypted; nothing was saved")]
    #[diagnostic(
        code(drspass::edit::unsealed),
        help(
            "The manifest is as it was, and the edited text is gone. Mend what is named as the cause, then edit it again."
        )
    )]
    Unsealed { source: Box<OpError> },
    #[error("the edited text was discarded; nothing was saved")]
    #[diagnostic(code(drspass::edit::discarded), help("The manifest is as it was."))]
    Discarded,
    #[error("the edit was {}; nothing was saved", match signal { Signal::Interrupt => "interrupted", Signal::Terminate => "told to end" })]
    #[diagnostic(
        code(drspass::edit::interrupted),
        help("The manifest is as it was, and the edited text is gone.")
    )]
    Interrupted { signal: Signal },
    #[error("the edited text could not be saved as the manifest")]
    #[diagnostic(
        code(drspass::edit::kept),
        help(
            "The edited text is in {}, encrypted. See it with 'drspass decrypt {}', bring its changes into the manifest with 'drspass edit', and remove it.",
            path.display(),
            path.display()
        )
    )]
    Kept { path: PathBuf, source: Box<OpError> },
    #[error("the edited text could not be saved, and could not be kept: {why}")]
    #[diagnostic(
        code(drspass::edit::lost),
        help("The edited text is gone, and the manifest has nothing of it.")
    )]
    Lost {
        why: io::Error,
        source: Box<OpError>,
    },
}
