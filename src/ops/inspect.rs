//! `validate`, `show` and `recipients`: read a manifest without changing anything.

use super::OpError;
use super::root::{Root, Unlock, UserRules, parse_sealed};
use crate::age_file::{AgeError, header};
use crate::core::manifest::Sealing;
use crate::core::recipients::{RecipientsReport, compare};
use crate::core::report::{ManifestEntry, ManifestReport, ManifestSeal};

/// Checks the configuration, and without a key that the manifest is encrypted.
pub fn validate_encrypted(root: &Root, rules: &UserRules) -> Result<(), OpError> {
    let file = root.manifest_bytes()?;
    header::check(&file).map_err(OpError::age(root.manifest_name()))?;
    root.target(rules)?;
    Ok(())
}

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

/// Compares the recipients of drspass.yaml, the sealed ones, and those in the file's header.
/// `unlock` is `None` to look for no identity; if none opens the file, the report says what
/// the header alone shows.
pub fn recipients(
    root: &Root,
    unlock: Option<&Unlock<'_>>,
    rules: &UserRules,
) -> Result<RecipientsReport, OpError> {
    let file = root.manifest_bytes()?;
    let stanzas = header::recipients(&file).map_err(OpError::age(root.manifest_name()))?;
    let sealed = match unlock.map(|unlock| root.decrypt_file(&file, unlock)) {
        None => Err("no identity was asked for"),
        Some(Err(error)) => Err(unopened(error)?),
        Some(Ok(plain)) => {
            let (_, sealed, _) = parse_sealed(&plain, root.manifest_name())?;
            rules.check_key(&sealed.fingerprint_key.id())?;
            Ok(sealed.recipients)
        }
    };
    Ok(compare(
        root.manifest_name().display().to_string(),
        &root.config.recipients,
        sealed.as_deref().map_err(|why| *why),
        &stanzas,
    ))
}

/// Returns why no identity opened the file, unless the file itself is at fault.
fn unopened(error: OpError) -> Result<&'static str, OpError> {
    Ok(match error {
        OpError::NoIdentity { .. } => "no identity was given",
        OpError::NoMatch { .. } => "none of the given identities is a recipient",
        OpError::Identity(AgeError::Locked { .. }) => {
            "the identity is locked, and no terminal is available to ask for its passphrase"
        }
        OpError::Identity(AgeError::Declined { .. }) => {
            "the identity is locked, and no passphrase was typed"
        }
        OpError::Identity(AgeError::NoPlugin { .. }) => {
            "the identity needs a plugin that is not installed"
        }
        OpError::Identity(AgeError::Plugin { .. }) => "the plugin of the identity failed",
        other => return Err(other),
    })
}
