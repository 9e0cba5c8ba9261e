//! Why a value of the manifest is not set, removed or imported. The manifest stays
//! as it was, and nothing here holds what was typed or read.

use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use crate::authoring::{NoPlace, NotRewritten};
use crate::core::manifest::Remark;

/// Why a change of values did not come about.
#[derive(Debug, Error, Diagnostic)]
pub enum ValueError {
    /// The address names no place for a value.
    #[error("{}", .0.what())]
    #[diagnostic(
        code(drspass::value::address),
        help("Nothing was written. {}", .0.help())
    )]
    Address(NoPlace),
    /// The manifest does not take such a value.
    #[error("the new value {}", .0.what)]
    #[diagnostic(
        code(drspass::value::refused),
        help("Nothing was written. {}", .0.help)
    )]
    Refused(Remark),
    /// What was typed twice differs.
    #[error("the two values differ")]
    #[diagnostic(
        code(drspass::value::mismatch),
        help("Nothing was written. Type the same value twice.")
    )]
    Mismatch,
    /// Nothing, or not all of it, was typed.
    #[error("no value was typed")]
    #[diagnostic(
        code(drspass::value::not_typed),
        help("Nothing was written. Type the value, or name a file with --from-file.")
    )]
    NotTyped,
    /// A key was pressed that is no character, such as an arrow or the tabulator.
    #[error("what was typed holds a key that is no character, or no UTF-8 text")]
    #[diagnostic(
        code(drspass::value::unclear),
        help("Nothing was written. Type it again, or name a file that holds it with --from-file.")
    )]
    Unclear,
    /// There is nobody who could type the value.
    #[error("there is no terminal to type the value on")]
    #[diagnostic(
        code(drspass::value::no_terminal),
        help(
            "Nothing was written. Give the value with --from-file FILE (- reads standard input), or make one up with --generate."
        )
    )]
    NoTerminal,
    /// A file is not what the field takes.
    #[error("{path} {what}")]
    #[diagnostic(code(drspass::value::file), help("Nothing was written. {help}"))]
    File {
        /// The file, as the user named it.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// The change cannot be written without touching something else.
    #[error("the value cannot be changed in the layout of this manifest")]
    #[diagnostic(
        code(drspass::value::layout),
        help(
            "Nothing was written. Make the change with 'drspass edit'; please report the layout, without its values."
        )
    )]
    Layout,
}

impl From<NotRewritten> for ValueError {
    fn from(NotRewritten: NotRewritten) -> Self {
        Self::Layout
    }
}

impl From<NoPlace> for ValueError {
    fn from(no_place: NoPlace) -> Self {
        Self::Address(no_place)
    }
}
