//! What a manifest does not agree on with the state beside it, or with what the user
//! expects of it.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use crate::authoring::NotRewritten;
use crate::core::fingerprint::{KeyId, Scope};
use crate::core::manifest::Remark;
use crate::store::StoreError;

/// A manifest with another key than the one that was named.
#[derive(Debug, Error)]
#[error("the manifest carries the key {found}, but {expected} is expected")]
pub struct UnexpectedKey {
    pub found: KeyId,
    pub expected: KeyId,
}

/// A state that was made with another key than the manifest's.
#[derive(Debug, Error)]
#[error("the state was made with the key {state}, the manifest carries {manifest}")]
pub struct OtherKey {
    pub state: KeyId,
    pub manifest: KeyId,
}

/// A state that speaks about another service or project than the manifest.
#[derive(Debug, Error)]
#[error(
    "the state belongs to project {} at {}, the manifest to project {} at {}",
    state.project_id, state.endpoint, manifest.project_id, manifest.endpoint
)]
pub struct OtherScope {
    pub state: Scope,
    pub manifest: Scope,
}

/// A manifest whose revision was used before.
#[derive(Debug, Error)]
#[error(
    "the manifest has revision {manifest}, {}",
    if manifest == highest {
        "which was used before".to_owned()
    } else {
        format!("but revision {highest} was applied already")
    }
)]
pub struct RollbackError {
    pub manifest: u64,
    /// That of what was applied last.
    pub applied: u64,
    /// The highest that was ever applied.
    pub highest: u64,
}

impl RollbackError {
    /// What to do about it.
    pub fn way_out(&self) -> String {
        let next = self.highest.saturating_add(1);
        let anew = if self.manifest < self.applied {
            "Check out the newest manifest"
        } else {
            "To give it a revision of its own, run 'drspass rekey' next to this state"
        };
        format!(
            "Nothing was sent or changed. {anew}; or, if this one is meant, as after 'git \
             revert', plan and apply it once with --allow-rollback. Every change made with \
             drspass next to this state, such as 'drspass set', gives it revision {next}."
        )
    }
}

/// Why a rekey stopped.
#[derive(Debug, Error, Diagnostic)]
pub enum RekeyError {
    #[error(
        "none of the identities at hand is among the recipients of drspass.yaml: you would no longer be able to read the manifest"
    )]
    #[diagnostic(
        code(drspass::rekey::lockout),
        help(
            "Nothing was written. List your own public key in drspass.yaml, or name the identity that shall stay with -i; --allow-lockout does it all the same."
        )
    )]
    LockedOut,
    #[error(transparent)]
    #[diagnostic(
        code(drspass::rekey::other_key),
        help(
            "Nothing was written. If that key was replaced on purpose, 'drspass apply --accept-new-key {}' first, which sends every entry; if the state belongs to another manifest, name the right one with --state.",
            .0.state
        )
    )]
    OtherKey(OtherKey),
    #[error("the new file decrypts to something else than was encrypted")]
    #[diagnostic(
        code(drspass::rekey::unlike),
        help("Nothing was written. If a plugin was at work, see whether it is the right one.")
    )]
    Unlike,
    #[error("the manifest has revision {manifest}, but the state knows revision {applied}")]
    #[diagnostic(
        code(drspass::rekey::rollback),
        help(
            "Nothing was written. Check out the newest manifest, and rekey that one; if this one is meant, apply it first, with --allow-rollback."
        )
    )]
    Outdated { manifest: u64, applied: u64 },
    #[error("{path} holds what an apply could not save, under the key that would be replaced")]
    #[diagnostic(
        code(drspass::rekey::unrecovered),
        help("Nothing was written. Fold it in first: 'drspass state recover FILE'.")
    )]
    Unrecovered { path: PathBuf },
    #[error("the manifest is rekeyed, but somebody replaced {state} meanwhile")]
    #[diagnostic(
        code(drspass::rekey::replaced),
        help(
            "The new state is next to it and fits only the one that was replaced: bring that back, as from git, and run 'drspass rekey' once more. Else 'drspass apply --accept-new-key OLDKEYID' starts the state anew and sends every entry."
        )
    )]
    Replaced { state: PathBuf },
    #[error("{path} is rekeyed with the key id {key_id}, but the disk did not confirm it")]
    #[diagnostic(
        code(drspass::rekey::unconfirmed),
        help(
            "The state is not in its place yet. See what is wrong with the disk, and whether the manifest opens; then 'drspass rekey' once more finishes it."
        )
    )]
    Unconfirmed {
        path: PathBuf,
        key_id: KeyId,
        source: io::Error,
    },
    #[error("{path} is rekeyed, but the state could not be put in its place")]
    #[diagnostic(
        code(drspass::rekey::unfinished),
        help(
            "Nothing is lost: make room or fix the permissions, and run 'drspass rekey' once more to finish it. Until then plans read the new state from the file beside the old one."
        )
    )]
    Unfinished { path: PathBuf, source: StoreError },
}

/// Why a change of values did not come about.
#[derive(Debug, Error, Diagnostic)]
pub enum ValueError {
    #[error("{}", .0.what)]
    #[diagnostic(
        code(drspass::value::address),
        help("Nothing was written. {}", .0.help)
    )]
    Address(Remark),
    #[error("the new value {}", .0.what)]
    #[diagnostic(
        code(drspass::value::refused),
        help("Nothing was written. {}", .0.help)
    )]
    Refused(Remark),
    #[error("the two values differ")]
    #[diagnostic(
        code(drspass::value::mismatch),
        help("Nothing was written. Type the same value twice.")
    )]
    Mismatch,
    #[error("no value was typed")]
    #[diagnostic(
        code(drspass::value::not_typed),
        help("Nothing was written. Type the value, or name a file with --from-file.")
    )]
    NotTyped,
    #[error("what was typed holds a key that is no character, or no UTF-8 text")]
    #[diagnostic(
        code(drspass::value::unclear),
        help("Nothing was written. Type it again, or name a file that holds it with --from-file.")
    )]
    Unclear,
    #[error("there is no terminal to type the value on")]
    #[diagnostic(
        code(drspass::value::no_terminal),
        help(
            "Nothing was written. Give the value with --from-file FILE (- reads standard input), or make one up with --generate."
        )
    )]
    NoTerminal,
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
