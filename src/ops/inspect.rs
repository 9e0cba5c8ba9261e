//! `validate`, `show`, `recipients`: what a manifest holds, and nothing is changed.

use std::path::Path;

use super::OpError;
use super::root::{self, Guards, IdentitySource, Root, Unlock, parse_sealed};
use crate::age_file::{self, AgeError, Means, NoPassphrase, Plugins, header};
use crate::core::fingerprint::{Field, Tagger};
use crate::core::manifest::{Assignment, Manifest, Sealing};
use crate::core::recipients::{RecipientsReport, compare, identified};
use crate::core::redact::ForeignText;
use crate::core::report::{
    ManifestEntry, ManifestReport, ManifestSeal, Outline, Outlined, OutlinedJob, OutlinedValue,
    Valid, ValidManifest, Veiled,
};
use crate::sys::files;

/// Checks the configuration and that the manifest is encrypted, with no key.
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

/// Compares what drspass.yaml lists, what was sealed and what the header of the file
/// tells. `unlock` is nothing where no identity shall be looked for; where none opens
/// the file, what can be known without one is told.
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

/// The outline of the manifest in `file`, as a diff of git shows it; identities are seen
/// from `folder`.
///
/// git runs this for both sides of every change, in `git log -p` for all of history,
/// and ends if it fails. So nothing is asked, no plugin is run, nothing but regular
/// files is opened, and drspass.yaml is not needed.
pub fn outline(file: &Path, folder: &Path, source: &IdentitySource) -> Result<Outline, Veiled> {
    let bytes = files::read_regular_limited(file, root::MAX_ENCRYPTED_BYTES as u64)
        .map_err(|_| Veiled::Unreadable)?;
    let means = Means {
        ask: &|_| Err(NoPassphrase::Nobody),
        plugins: Plugins::Never,
    };
    // With no identity at all, it is said that none opens the file.
    let identities = root::usable(folder, source);
    let plain = age_file::decrypt(&bytes, &identities, &means).map_err(|error| match error {
        AgeError::NotEncrypted | AgeError::Replaced { .. } => Veiled::Plain,
        AgeError::ConflictMarks => Veiled::Conflict,
        AgeError::NoMatch => Veiled::NoIdentity,
        error if error.is_about_one_identity() => Veiled::Locked,
        _ => Veiled::Damaged,
    })?;
    match root::parse_manifest(&plain, Sealing::Required, file) {
        Ok((manifest, _)) => outlined(&manifest).ok_or(Veiled::Invalid),
        Err(_) => Err(Veiled::Invalid),
    }
}

fn outlined(manifest: &Manifest) -> Option<Outline> {
    let sealed = manifest.sealed.as_ref()?;
    let tagger = sealed.fingerprint_key.tagger();
    let cleaned = |text: &str| ForeignText::clean(text).unwrap_or_else(ForeignText::withheld);
    let credentials = manifest.credentials().iter().map(|credential| {
        let name = credential.name.to_string();
        let tag = tagger.of(&format!("@{name}"), Field::Password, &credential.password);
        (name, tag)
    });
    // Entries come in the order of the jobs, so one pass goes through both.
    let mut entries = manifest.assignments().iter().peekable();
    let jobs = manifest.jobs().iter().map(|job| {
        let mut values = Vec::new();
        while let Some(entry) = entries.next_if(|entry| entry.key.job == job.id) {
            push_values(&mut values, entry, &tagger);
        }
        OutlinedJob {
            id: job.id.to_string(),
            name: job.name.as_deref().map(str::to_owned),
            values,
        }
    });
    Some(Outline {
        revision: sealed.revision,
        key_id: sealed.fingerprint_key.id(),
        target: [
            &sealed.scope.endpoint,
            &sealed.scope.project_id,
            &sealed.auth_url,
        ]
        .map(|text| cleaned(text)),
        recipients: sealed
            .recipients
            .iter()
            .map(|recipient| cleaned(&identified(recipient).0))
            .collect(),
        credentials: credentials.collect(),
        jobs: jobs.collect(),
    })
}

fn push_values(values: &mut Vec<OutlinedValue>, entry: &Assignment, tagger: &Tagger) {
    let place = entry.key.to_string();
    for (field, value) in entry.values() {
        let value = match &entry.credential {
            Some(name) if field == Field::Password => Outlined::Shared(name.to_string()),
            _ => Outlined::Own(field, tagger.of(&place, field, value)),
        };
        values.push(OutlinedValue {
            label: entry.label.clone(),
            value,
        });
    }
}
