//! `validate`: is the configuration and the manifest good?

use super::OpError;
use super::root::{Guards, Root, Unlock};
use crate::age_file;
use crate::core::report::{Valid, ValidManifest};

/// Checks the configuration and that the manifest is encrypted, with no key.
/// Fails if the manifest is missing, plain text, or no age file.
pub fn validate_encrypted(root: &Root, guards: &Guards) -> Result<Valid, OpError> {
    let file = root.manifest_bytes()?;
    let age = |source| OpError::Age {
        path: root.manifest_name().to_owned(),
        source,
    };
    age_file::header::check(&file).map_err(age)?;
    root.target(guards)?;
    Ok(Valid {
        config_warnings: root.warnings.clone(),
        manifest: None,
    })
}

/// Checks the configuration and the opened manifest.
/// Fails with every problem of either, or if the manifest is sealed for another
/// target or to other recipients than drspass.yaml names.
pub fn validate(root: &Root, unlock: &Unlock<'_>, guards: &Guards) -> Result<Valid, OpError> {
    let opened = root.open(unlock, guards)?;
    root.check_recipients(&opened.sealed)?;
    Ok(Valid {
        config_warnings: root.warnings.clone(),
        manifest: Some(ValidManifest {
            entries: opened.manifest.assignments().len(),
            jobs: opened.manifest.jobs().len(),
            revision: opened.sealed.revision,
            key_id: opened.sealed.fingerprint_key.id(),
            warnings: opened.warnings,
        }),
    })
}
