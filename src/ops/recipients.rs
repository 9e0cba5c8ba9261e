//! `recipients`: who can read the manifest, as far as it can be known.

use super::OpError;
use super::root::{Guards, Root, Unlock, parse_sealed};
use crate::age_file::{AgeError, header};
use crate::core::recipients::{RecipientsReport, compare};

/// Compares what drspass.yaml lists, what was sealed and what the header of the file
/// tells. `unlock` is nothing where no identity shall be looked for; where none opens
/// the file, what can be known without one is told.
/// Fails if the file is no age file, is damaged, holds no manifest, or carries another
/// key than expected; or if an identity that was named is not there or is damaged.
pub fn recipients(
    root: &Root,
    unlock: Option<&Unlock<'_>>,
    guards: &Guards,
) -> Result<RecipientsReport, OpError> {
    let file = root.manifest_bytes()?;
    let stanzas = header::recipients(&file).map_err(|source| OpError::Age {
        path: root.manifest_name().to_owned(),
        source,
    })?;
    let opened = match unlock {
        None => Err("no identity was asked for"),
        Some(unlock) => match root.decrypt_file(&file, unlock) {
            Ok(plain) => Ok(plain),
            Err(error) => Err(unopened(error)?),
        },
    };
    let sealed = match opened {
        Ok(plain) => {
            let (_, sealed, _) = parse_sealed(&plain, root.manifest_name())?;
            guards.check_key(&sealed.fingerprint_key.id())?;
            Ok(sealed.recipients)
        }
        Err(why) => Err(why),
    };
    Ok(compare(
        root.manifest_name().display().to_string(),
        &root.config.recipients,
        sealed.as_deref().map_err(|why| *why),
        &stanzas,
    ))
}

/// Why the file stays closed, where that is no fault of the file.
/// Fails with any other error.
fn unopened(error: OpError) -> Result<&'static str, OpError> {
    match error {
        OpError::NoIdentity { .. } => Ok("there is no identity"),
        OpError::NoMatch { .. } => Ok("no identity at hand is a recipient"),
        OpError::Identity(AgeError::Locked { .. }) => {
            Ok("the identity is locked, and there is no terminal to ask for its passphrase")
        }
        OpError::Identity(AgeError::Declined { .. }) => {
            Ok("the identity is locked, and no passphrase was typed")
        }
        OpError::Identity(AgeError::NoPlugin { .. }) => {
            Ok("the identity needs a plugin that is not there")
        }
        OpError::Identity(AgeError::Plugin { .. }) => Ok("the plugin of the identity failed"),
        other => Err(other),
    }
}
