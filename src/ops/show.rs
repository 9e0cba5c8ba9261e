//! `show`: what a manifest lists, without any value, length or star.

use super::OpError;
use super::root::{Root, Unlock};
use crate::core::manifest::Sealing;
use crate::core::report::{ManifestEntry, ManifestReport, ManifestSeal};

/// What the manifest lists.
/// Fails if it cannot be opened or has an error.
pub fn show(root: &Root, unlock: &Unlock<'_>) -> Result<ManifestReport, OpError> {
    let (manifest, _) = root.read(unlock, Sealing::Optional)?;
    Ok(ManifestReport {
        environment: root.environment(),
        seal: manifest.sealed.as_ref().map(|sealed| ManifestSeal {
            scope: sealed.scope.clone(),
            key_id: sealed.fingerprint_key.id(),
            revision: sealed.revision,
            recipients: sealed.recipients.len(),
        }),
        entries: manifest
            .assignments()
            .iter()
            .map(|assignment| ManifestEntry {
                label: assignment.label.clone(),
                key: assignment.key.clone(),
                credential: assignment.credential.as_deref().map(str::to_owned),
                fields: assignment.values().map(|(field, _)| field).collect(),
            })
            .collect(),
    })
}
