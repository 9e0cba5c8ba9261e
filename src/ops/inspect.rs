//! `validate`, `show` and `recipients`: read a manifest without changing anything.

use std::fmt::Write as _;
use std::path::Path;

use super::OpError;
use super::root::{self, IdentitySource, Root, Unlock, UserRules, parse_sealed};
use crate::age_file::{self, AgeError, Means, NoPassphrase, Plugins, header};
use crate::core::fingerprint::Field;
use crate::core::manifest::{Manifest, Sealing};
use crate::core::recipients::{RecipientsReport, compare, identified};
use crate::core::redact::ForeignText;
use crate::core::report::{ManifestEntry, ManifestReport, ManifestSeal};
use crate::sys::files;

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

/// Returns the manifest in `file` for a git diff: tags in place of values, no comments; or
/// one line that says why nothing is shown. Identities are relative to `folder`.
///
/// git runs this for both sides of every change, in `git log -p` for all of history, and stops
/// if it fails. So it asks nothing, runs no plugin, opens regular files only, and needs no
/// drspass.yaml.
pub fn outline(file: &Path, folder: &Path, source: &IdentitySource) -> String {
    outline_of_file(file, folder, source)
        .unwrap_or_else(|why| format!("drspass: nothing is shown: {why}\n"))
}

/// Its errors repeat nothing of the file.
fn outline_of_file(
    file: &Path,
    folder: &Path,
    source: &IdentitySource,
) -> Result<String, &'static str> {
    let bytes = files::read_regular_limited(file, root::MAX_ENCRYPTED_BYTES as u64)
        .map_err(|_| "the file is unreadable")?;
    let means = Means {
        ask: &|_| Err(NoPassphrase::Nobody),
        plugins: Plugins::Never,
    };
    // Without any identity, the message is that none opens the file.
    let identities = root::usable_identities(folder, source);
    let plain = age_file::decrypt(&bytes, &identities, &means).map_err(|error| match error {
        AgeError::NotEncrypted | AgeError::Replaced { .. } => "not encrypted",
        AgeError::ConflictMarks => "conflict marks of an unresolved merge",
        AgeError::NoMatch => "none of the given identities opens it",
        error if error.is_about_one_identity() => "the identity needs a passphrase or a plugin",
        _ => "not a complete age file for recipients",
    })?;
    let parsed = root::parse_manifest(&plain, Sealing::Required, file).ok();
    let outlined = parsed.and_then(|(manifest, _)| outlined(&manifest));
    outlined.ok_or("not a valid sealed manifest")
}

/// Cleans every free text, as another recipient may have written it.
fn outlined(manifest: &Manifest) -> Option<String> {
    let sealed = manifest.sealed.as_ref()?;
    let tagger = sealed.fingerprint_key.tagger();
    let cleaned = |text: &str| ForeignText::clean(text).unwrap_or_else(ForeignText::withheld);
    let mut text = format!(
        "drspass manifest; a tag of 8 digits shows only that a value changed\n\
         revision: {}\nkey id: {}\nendpoint: {}\nproject: {}\nidentity service: {}\n",
        sealed.revision,
        sealed.fingerprint_key.id(),
        cleaned(&sealed.scope.endpoint).as_str(),
        cleaned(&sealed.scope.project_id).as_str(),
        cleaned(&sealed.auth_url).as_str(),
    );
    for recipient in &sealed.recipients {
        let recipient = cleaned(&identified(recipient).0);
        let _ = writeln!(text, "recipient: {}", recipient.as_str());
    }
    for credential in manifest.credentials() {
        let name = &credential.name;
        let tag = tagger.of(&format!("@{name}"), Field::Password, &credential.password);
        let _ = write!(text, "credential @{name}\n  @{name} password: {tag}\n");
    }
    // Entries come in the order of the jobs, so one pass goes through both.
    let mut entries = manifest.assignments().iter().peekable();
    for job in manifest.jobs() {
        let _ = match &job.name {
            Some(name) => writeln!(text, "job {name} ({})", job.id),
            None => writeln!(text, "job {}", job.id),
        };
        while let Some(entry) = entries.next_if(|entry| entry.key.job == job.id) {
            let label = &entry.label;
            for (field, value) in entry.values() {
                let _ = match &entry.credential {
                    Some(name) if field == Field::Password => {
                        writeln!(text, "  {label} credential: {name}")
                    }
                    _ => {
                        let tag = tagger.of(&entry.key.to_string(), field, value);
                        writeln!(text, "  {label} {field}: {tag}")
                    }
                };
            }
        }
    }
    Some(text)
}
