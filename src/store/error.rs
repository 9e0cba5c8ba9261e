//! Everything that can go wrong with a state and its siblings, with what to do about it.
//! No variant holds anything of an entry.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use super::format::FormatError;
use super::journal::JournalError;

#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    #[error("cannot read {path}")]
    #[diagnostic(code(drspass::state::read))]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not usable: {why}")]
    #[diagnostic(
        code(drspass::state::invalid),
        help(
            "Nothing was changed. 'drspass state distrust' starts it anew and marks every entry to be sent again; run it too after restoring any copy that may be older than the last apply."
        )
    )]
    Invalid { path: PathBuf, why: FormatError },
    #[error("{path}: state was changed outside drspass")]
    #[diagnostic(
        code(drspass::state::tampered),
        help(
            "Nothing was sent or changed. See who changed it; 'drspass state distrust' marks every entry to be sent again."
        )
    )]
    Tampered { path: PathBuf },
    #[error("{path}: only the line ends differ from what drspass wrote")]
    #[diagnostic(
        code(drspass::state::line_ends),
        help(
            "Nothing was sent or changed. git converted them: add '{} -text' to .gitattributes, remove the file and check it out again.",
            path.file_name().unwrap_or_default().display()
        )
    )]
    LineEnds { path: PathBuf },
    #[error("directory {path} does not exist")]
    #[diagnostic(
        code(drspass::state::no_directory),
        help(
            "Nothing was sent or changed. Check the path of the state (drspass.yaml, --state or DRSPASS_STATE), or create the directory."
        )
    )]
    NoFolder { path: PathBuf },
    #[error("{path} has a format that this version does not know (it knows {known})")]
    #[diagnostic(
        code(drspass::state::newer),
        help("Use the version of drspass that wrote it. The file was not touched.")
    )]
    OtherFormat { path: PathBuf, known: &'static str },
    #[error("{path}: {why}")]
    #[diagnostic(
        code(drspass::journal::invalid),
        help(
            "Nothing was sent or changed. The journal was changed outside drspass; 'drspass state distrust' sets it aside and marks every entry to be sent again."
        )
    )]
    Journal { path: PathBuf, why: JournalError },
    #[error("{path} does not belong to the state beside it")]
    #[diagnostic(
        code(drspass::journal::foreign),
        help(
            "Nothing was sent or changed. Bring back the state that the unfinished apply worked on, or let 'drspass state distrust' set the journal aside and mark every entry to be sent again."
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
    #[error("cannot lock {path}")]
    #[diagnostic(
        code(drspass::lock::unavailable),
        help(
            "Nothing was sent or changed. Keep the state on a local file system that supports file locks, or fix the permissions of its folder."
        )
    )]
    CannotLock { path: PathBuf, source: io::Error },
    #[error("{path} was changed by somebody else while this run held the lock")]
    #[diagnostic(
        code(drspass::state::changed),
        help(
            "Nothing was sent. Something writes the file without taking the lock, such as a git checkout. Run the command again when it is done."
        )
    )]
    Changed { path: PathBuf },
    #[error("cannot write {path}")]
    #[diagnostic(
        code(drspass::state::write),
        help(
            "Nothing was sent. Make room or fix the permissions; where the file itself is mounted, mount its folder instead."
        )
    )]
    Write { path: PathBuf, source: io::Error },
}
