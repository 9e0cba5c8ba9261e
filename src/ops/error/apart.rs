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

/// A manifest that is older than one that was applied.
#[derive(Debug, Error)]
#[error("the manifest has revision {manifest}, but revision {applied} was applied already")]
pub struct Rollback {
    /// The manifest's.
    pub manifest: u64,
    /// The highest that was applied.
    pub applied: u64,
}
