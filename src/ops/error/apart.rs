//! What a manifest does not agree on with the state beside it, or with what the user
//! expects of it.

use thiserror::Error;

use crate::core::fingerprint::{KeyId, Scope};

/// A manifest with another key than the one that was named.
#[derive(Debug, Error)]
#[error("the manifest carries the key {found}, but {expected} is expected")]
pub struct UnexpectedKey {
    /// The manifest's.
    pub found: KeyId,
    /// The one that was named.
    pub expected: KeyId,
}

/// A state that was made with another key than the manifest's.
#[derive(Debug, Error)]
#[error("the state was made with the key {state}, the manifest carries {manifest}")]
pub struct OtherKey {
    /// The state's.
    pub state: KeyId,
    /// The manifest's.
    pub manifest: KeyId,
}

/// A state that speaks about another service or project than the manifest.
#[derive(Debug, Error)]
#[error(
    "the state belongs to project {} at {}, the manifest to project {} at {}",
    state.project_id, state.endpoint, manifest.project_id, manifest.endpoint
)]
pub struct OtherScope {
    /// The state's.
    pub state: Scope,
    /// The manifest's.
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
pub struct Rollback {
    /// The manifest's.
    pub manifest: u64,
    /// That of what was applied last.
    pub applied: u64,
    /// The highest that was ever applied.
    pub highest: u64,
}

impl Rollback {
    /// What to do about it.
    pub(super) fn way_out(&self) -> String {
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
