//! `show --textconv`: a file that git hands over, as a diff shall show it.
//!
//! git runs this for both sides of every change, in `git log -p` for all of history,
//! and ends if it fails. So nothing is asked, no plugin is run, nothing but regular
//! files is opened, drspass.yaml is not needed, and whatever cannot be shown is one
//! line instead.

use std::path::Path;

use super::root::{self, IdentitySource};
use crate::age_file::{self, AgeError, Means, NoPassphrase, Plugins};
use crate::core::fingerprint::Field;
use crate::core::fingerprint::Tagger;
use crate::core::manifest::{Assignment, Manifest, Sealing};
use crate::core::recipients::identified;
use crate::core::redact::ForeignText;
use crate::core::report::{Outline, Outlined, OutlinedJob, OutlinedValue, Veiled};
use crate::sys::files;

/// The outline of the manifest in `file`; identities are seen from `folder`.
/// Fails with the reason why it cannot be shown.
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

/// Nothing for a manifest that is not sealed.
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
