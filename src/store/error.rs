//! Why a state could not be read or written.

use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use super::format::FormatError;
use crate::core::failure::Failure;

/// An error of a state or its siblings; it names no entry.
#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    #[error("{path} is not usable: {why}")]
    #[diagnostic(
        code(drspass::state::invalid),
        help(
            "Nothing was sent or changed. 'drspass state distrust' starts a new one and marks every entry to be sent again; run it too after restoring any copy that may be older than the last apply."
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
            "Nothing was sent or changed. Wait for that process to end, then run the same command again; the lock ends with it, so there is nothing to remove."
        )
    )]
    Locked { path: PathBuf, holder: String },
    #[error("another {writer} changed {place} while this run was at work")]
    #[diagnostic(code(drspass::state::changed))]
    Changed {
        /// A process of this machine, or a run on any.
        writer: &'static str,
        place: String,
        #[help]
        help: &'static str,
    },
    #[error(
        "there is no state at {place}: it was deleted, is in another repository, or you have no permission"
    )]
    #[diagnostic(
        code(drspass::state::no_branch),
        help(
            "Nothing was sent or changed. Check the branch in the repository; if the state is lost, 'drspass state distrust --create' starts a new one and marks every entry to be sent again."
        )
    )]
    NoBranch { place: String },
    #[error("the state moved after this rekey: serial {then}, now {now}")]
    #[diagnostic(
        code(drspass::rekey::moved),
        help(
            "Nothing was sent or changed. Run 'drspass rekey --again', which shows what it would mean and asks."
        )
    )]
    Moved { then: u64, now: u64 },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
}

impl StoreError {
    /// Returns whether the state or its journal is at fault, for every reader.
    pub fn is_unusable(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::Tampered { .. }
            | Self::ForeignJournal { .. }
            | Self::Moved { .. } => true,
            Self::Failed(failure) => {
                let code = failure.code().map(|code| code.to_string());
                let codes = [
                    "drspass::journal::invalid",
                    "drspass::place::not_state",
                    "drspass::state::no_directory",
                    "drspass::state::put_back",
                ];
                code.is_some_and(|code| codes.contains(&code.as_str()))
            }
            Self::Locked { .. } | Self::Changed { .. } | Self::NoBranch { .. } => false,
        }
    }
}
