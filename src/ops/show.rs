//! `show`: what a manifest lists, without any value, length or star.

use super::OpError;
use super::root::{Root, Unlock};
use crate::core::fingerprint::{Field, KeyId, Scope};
use crate::core::manifest::Sealing;

/// A manifest to show. It holds no secret.
pub struct Shown {
    /// What is sealed with it, if it is sealed.
    pub seal: Option<ShownSeal>,
    /// Its entries, in its order.
    pub entries: Vec<ShownEntry>,
}

/// What is sealed with a manifest, but for its key.
pub struct ShownSeal {
    /// Service and project.
    pub scope: Scope,
    /// The name of its key.
    pub key_id: KeyId,
    /// Its revision.
    pub revision: u64,
    /// How many recipients can read it.
    pub recipients: usize,
}

/// One entry.
pub struct ShownEntry {
    /// Its label.
    pub label: String,
    /// The job's id, where the label holds a name instead.
    pub job: String,
    /// The shared credential that it uses.
    pub credential: Option<String>,
    /// The fields that it sets.
    pub fields: Vec<Field>,
}

/// What the manifest lists.
/// Fails if it cannot be opened or has an error.
pub fn show(root: &Root, unlock: &Unlock<'_>) -> Result<Shown, OpError> {
    let (manifest, _) = root.read(unlock, Sealing::Optional)?;
    Ok(Shown {
        seal: manifest.sealed.as_ref().map(|sealed| ShownSeal {
            scope: sealed.scope.clone(),
            key_id: sealed.fingerprint_key.id(),
            revision: sealed.revision,
            recipients: sealed.recipients.len(),
        }),
        entries: manifest
            .assignments()
            .iter()
            .map(|assignment| ShownEntry {
                label: assignment.label.clone(),
                job: assignment.key.job.to_string(),
                credential: assignment.credential.as_deref().map(str::to_owned),
                fields: assignment.values().map(|(field, _)| field).collect(),
            })
            .collect(),
    })
}
