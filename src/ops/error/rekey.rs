//! What stops a rekey, and what a cut-off one leaves to do.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

use super::OtherKey;
use crate::core::fingerprint::KeyId;
use crate::store::StoreError;

/// Why a rekey stopped.
#[derive(Debug, Error, Diagnostic)]
pub enum RekeyError {
    /// Nobody at this machine could open the new file.
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
    /// The state was made with another key than the manifest carries.
    #[error(transparent)]
    #[diagnostic(
        code(drspass::rekey::other_key),
        help(
            "Nothing was written. If that key was replaced on purpose, 'drspass apply --accept-new-key {}' first, which sends every entry; if the state belongs to another manifest, name the right one with --state.",
            .0.state
        )
    )]
    OtherKey(OtherKey),
    /// The new file does not hold what was encrypted.
    #[error("the new file decrypts to something else than was encrypted")]
    #[diagnostic(
        code(drspass::rekey::unlike),
        help("Nothing was written. If a plugin was at work, see whether it is the right one.")
    )]
    Unlike,
    /// The manifest is older than the state.
    #[error("the manifest has revision {manifest}, but the state knows revision {applied}")]
    #[diagnostic(
        code(drspass::rekey::rollback),
        help(
            "Nothing was written. Check out the newest manifest, and rekey that one; if this one is meant, apply it first, with --allow-rollback."
        )
    )]
    Outdated {
        /// The manifest's.
        manifest: u64,
        /// The state's.
        applied: u64,
    },
    /// What an apply could not save would be lost.
    #[error("{path} holds what an apply could not save, under the key that would be replaced")]
    #[diagnostic(
        code(drspass::rekey::unrecovered),
        help("Nothing was written. Fold it in first: 'drspass state recover FILE'.")
    )]
    Unrecovered {
        /// The recovery file.
        path: PathBuf,
    },
    /// The manifest carries the new key, and the state is another than the one that was
    /// rekeyed.
    #[error("the manifest is rekeyed, but somebody replaced {state} meanwhile")]
    #[diagnostic(
        code(drspass::rekey::replaced),
        help(
            "The new state is next to it and fits only the one that was replaced: bring that back, as from git, and run 'drspass rekey' once more. Else 'drspass apply --accept-new-key OLDKEYID' starts the state anew and sends every entry."
        )
    )]
    Replaced {
        /// The state.
        state: PathBuf,
    },
    /// The manifest carries the new key, but the disk did not confirm that it lasts.
    #[error("{path} is rekeyed with the key id {key_id}, but the disk did not confirm it")]
    #[diagnostic(
        code(drspass::rekey::unconfirmed),
        help(
            "The state is not in its place yet. See what is wrong with the disk, and whether the manifest opens; then 'drspass rekey' once more finishes it."
        )
    )]
    Unconfirmed {
        /// The manifest.
        path: PathBuf,
        /// The new key.
        key_id: KeyId,
        /// Why.
        source: io::Error,
    },
    /// The manifest carries the new key, but the state is not in its place yet.
    #[error("{path} is rekeyed, but the state could not be put in its place")]
    #[diagnostic(
        code(drspass::rekey::unfinished),
        help(
            "Nothing is lost: make room or fix the permissions, and run 'drspass rekey' once more to finish it. Until then plans read the new state from the file beside the old one."
        )
    )]
    Unfinished {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}
