//! Errors of a state and its siblings. None names an entry.

use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::format::FormatError;
use crate::core::failure::Failure;

#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    #[error("cannot read {path}")]
    #[diagnostic(code(drspass::state::read))]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not usable: {why}")]
    #[diagnostic(
        code(drspass::state::invalid),
        help(
            "Nothing was changed. 'drspass state distrust' starts a new one and marks every entry to be sent again; run it too after restoring any copy that may be older than the last apply."
        )
    )]
    Invalid { path: PathBuf, why: FormatError },
    #[error("{path}: state was changed outside drspass")]
    #[diagnostic(
        code(drspass::state::tampered),
        help(
            "Nothing was sent or changed. Check who changed it; 'drspass state distrust' marks every entry to be sent again."
        )
    )]
    Tampered { path: PathBuf },
    #[error("{path} does not belong to the state next to it")]
    #[diagnostic(
        code(drspass::journal::foreign),
        help(
            "Nothing was sent or changed. Restore the state of the unfinished apply, or run 'drspass state distrust', which sets the journal aside and marks every entry to be sent again."
        )
    )]
    ForeignJournal { path: PathBuf },
    #[error("the lock {path} is held by {holder}")]
    #[diagnostic(
        code(drspass::lock::held),
        help(
            "Nothing was sent or changed. Wait for it to end; a lock ends with its process, so there is nothing to remove."
        )
    )]
    Locked { path: PathBuf, holder: String },
    #[error("another process changed {path} while this run held the lock")]
    #[diagnostic(
        code(drspass::state::changed),
        help(
            "Nothing was sent. Something writes the file without taking the lock, such as a git checkout. Run the command again when it is done."
        )
    )]
    Changed { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
}

pub fn cannot_write(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| {
        let message = format!("cannot write {}", path.display());
        let help = "Nothing was sent. Free space or fix the permissions; if the file itself is mounted, mount its directory instead.";
        let failure = Failure::new("drspass::state::write", message, help);
        failure.because(source).into()
    }
}

pub fn cannot_lock(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| {
        let message = format!("cannot lock {}", path.display());
        let help = "Nothing was sent or changed. Keep the state on a local file system that supports file locks, or fix the permissions of its directory.";
        let failure = Failure::new("drspass::lock::unavailable", message, help);
        failure.because(source).into()
    }
}
