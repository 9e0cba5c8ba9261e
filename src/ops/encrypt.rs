//! `encrypt` and `decrypt`: plain text in, sealed manifest out, and back.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::OpError;
use super::rewrite;
use super::root::{Root, Unlock, UserRules, parse_manifest};
use crate::age_file::{self, AgeError};
use crate::core::manifest::{Manifest, Sealed, Sealing};
use crate::core::problem::Problem;
use crate::core::yaml;
use crate::sys::files;

/// Seals a plaintext manifest, which messages call `name`, into `out`, which must not exist, or
/// in place of the configured manifest. The fingerprint key is that of the plain text or of
/// the present manifest: only `init` and `rekey` make one. Returns the written file, its
/// revision, and warnings.
pub fn encrypt(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    (name, plain): (&Path, &[u8]),
    out: Option<PathBuf>,
    now: Timestamp,
) -> Result<(PathBuf, u64, Vec<Problem>), OpError> {
    let target = root.target(rules)?;
    if age_file::is_age_file(plain) {
        return Err(OpError::unfit(
            format!("{} is already encrypted", name.display()),
            "Nothing was written. Give a plaintext manifest; 'drspass decrypt' writes one.",
        ));
    }
    let (mut given, mut warnings) = parse_manifest(plain, Sealing::Optional, name)?;
    let before = present(root)?;
    let existing = existing(root, unlock, before.as_deref(), name)?;
    let previous = match (
        given.sealed.take(),
        existing.and_then(|manifest| manifest.sealed),
    ) {
        (Some(given), Some(existing)) => successor(given, &existing)?,
        (given, existing) => given.or(existing).ok_or_else(|| no_key(name))?,
    };
    root.check_target(&target, &previous)?;
    root.check_recipients(&previous)?;
    let highest = root.check_key_beside(&previous, rules)?;
    refuse_older_than_state(root, &previous)?;
    rules.check_key(&previous.fingerprint_key.id())?;
    let sealed = Sealed {
        fingerprint_key: previous.fingerprint_key,
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        state: previous.state,
        index: previous.index,
        revision: rewrite::next_revision(previous.revision.max(highest))?,
        written: now,
    };
    let text = yaml::decode(plain).map_err(|problem| OpError::document(name, vec![problem]))?;
    let (_, file) = rewrite::sealed_file(text, &sealed, name, unlock.plugins)?;
    let path = match out {
        Some(out) if out != root.manifest_name() => {
            create(&root.resolve(&out), &out, &file)?;
            out
        }
        _ => {
            warnings.extend(rewrite::second_name(root));
            rewrite::replace(root, before.as_deref(), &file)?;
            root.renew_index(&given, &sealed, &file)?;
            root.manifest_name().to_owned()
        }
    };
    Ok((path, sealed.revision, warnings))
}

/// Without a manifest, the state has the last revision: older plain text is stale.
fn refuse_older_than_state(root: &Root, given: &Sealed) -> Result<(), OpError> {
    let known = root.store.read_claimed_alone().ok().flatten();
    let newer = known.filter(|state| {
        state.key_id == given.fingerprint_key.id() && state.revision > given.revision
    });
    newer.map_or(Ok(()), |state| {
        Err(stale(given.revision, "state", state.revision))
    })
}

fn stale(given: u64, what: &str, present: u64) -> OpError {
    OpError::unfit(
        format!("the plain text has revision {given}, the {what} has revision {present}"),
        "Nothing was written: later changes would be lost. Decrypt the present manifest and make the change there.",
    )
}

fn no_key(name: &Path) -> OpError {
    OpError::unfit(
        format!(
            "{} has no 'sealed' part, and no manifest exists to take it from",
            name.display()
        ),
        "Nothing was written. Restore the manifest from git; in a new directory, run 'drspass init' first.",
    )
}

fn present(root: &Root) -> Result<Option<Vec<u8>>, OpError> {
    match root.manifest_path().symlink_metadata() {
        Ok(_) => root.manifest_bytes().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpError::read(root.manifest_name())(source)),
    }
}

fn existing(
    root: &Root,
    unlock: &Unlock<'_>,
    file: Option<&[u8]>,
    source: &Path,
) -> Result<Option<Manifest>, OpError> {
    let Some(file) = file else {
        return Ok(None);
    };
    match age_file::header::check(file) {
        Ok(()) => {
            let plain = root.decrypt_file(file, unlock)?;
            let (manifest, _) = parse_manifest(&plain, Sealing::Optional, root.manifest_name())?;
            return Ok(Some(manifest));
        }
        Err(AgeError::NotEncrypted) => {}
        Err(source) => {
            return Err(OpError::age(root.manifest_name())(source));
        }
    }
    // Sealing a plaintext file in its own place loses nothing.
    if source == root.manifest_name() {
        return Ok(None);
    }
    Err(OpError::unfit(
        format!("{} is not encrypted", root.manifest_name().display()),
        "Nothing was written. Move it away, or encrypt that file itself.",
    ))
}

/// Returns the given `sealed` part if it may follow that of the present manifest.
fn successor(given: Sealed, existing: &Sealed) -> Result<Sealed, OpError> {
    if given.fingerprint_key.id() != existing.fingerprint_key.id() {
        return Err(OpError::unfit(
            "the plain text has another fingerprint key than the manifest it would replace",
            "Nothing was written. Decrypt the present manifest and edit that text.",
        ));
    }
    if given.revision < existing.revision {
        return Err(stale(given.revision, "manifest", existing.revision));
    }
    Ok(given)
}

pub fn create(full: &Path, name: &Path, content: &[u8]) -> Result<(), OpError> {
    files::write_new(full, content).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            OpError::exists(name)
        } else {
            OpError::write(name)(source)
        }
    })
}
