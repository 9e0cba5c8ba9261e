//! `encrypt` and `decrypt`: plain text in, sealed manifest out, and back.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OpError;
use super::root::{Guards, Root, Unlock, check_target, parse_manifest};
use crate::age_file::{self, Envelope};
use crate::core::fingerprint::{FingerprintKey, KeyId};
use crate::core::manifest::{self, Manifest, Sealed, Sealing};
use crate::core::problem::Problem;
use crate::core::yaml;
use crate::files;

/// Where the plain text comes from.
pub enum Plain {
    /// A file.
    File(PathBuf),
    /// Standard input, already read.
    Text(Zeroizing<Vec<u8>>),
}

/// A manifest that was written.
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// The key that it carries.
    pub key_id: KeyId,
    /// Its revision.
    pub revision: u64,
    /// Whether the key was made just now.
    pub is_new_key: bool,
    /// What somebody should look at in it.
    pub warnings: Vec<Problem>,
}

/// Seals a plaintext manifest into `out`, or into the configured manifest, which
/// it replaces. The key of an existing manifest is kept.
/// Fails if the plain text has an error, is encrypted already, was sealed for
/// another target or to other recipients, or would replace a manifest that
/// cannot be opened or has another key.
pub fn encrypt(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    plain: Plain,
    out: Option<PathBuf>,
    new_key: impl FnOnce() -> [u8; 32],
) -> Result<Written, OpError> {
    let target = root.target(guards)?;
    let (name, plain) = read(root, plain)?;
    if age_file::envelope_of(&plain) == Envelope::Encrypted {
        return Err(OpError::Unfit {
            what: format!("{} is encrypted already", name.display()),
            help: "Nothing was written. Name a plaintext manifest; 'drspass decrypt' makes one.",
        });
    }
    let (given, warnings) = parse_manifest(&plain, Sealing::Optional, &name)?;
    let existing = existing(root, unlock)?;
    let previous = match (given.sealed, existing.and_then(|manifest| manifest.sealed)) {
        (Some(given), Some(existing)) => Some(newer(given, existing)?),
        (given, existing) => given.or(existing),
    };
    if let Some(previous) = &previous {
        check_target(&target, previous)?;
        root.check_recipients(previous)?;
    }
    let is_new_key = previous.is_none();
    let (fingerprint_key, revision) = previous.map_or_else(
        || (FingerprintKey::new(new_key()), 0),
        |previous| (previous.fingerprint_key, previous.revision),
    );
    let sealed = Sealed {
        fingerprint_key,
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        revision: revision + 1,
    };
    let text = yaml::decode(&plain).map_err(|problem| OpError::document(&name, vec![problem]))?;
    let text =
        manifest::seal(text, &sealed).map_err(|problems| OpError::document(&name, problems))?;
    let path = out.unwrap_or_else(|| root.manifest_name().to_owned());
    write(root, &path, text.as_bytes(), &sealed)?;
    Ok(Written {
        path,
        key_id: sealed.fingerprint_key.id(),
        revision: sealed.revision,
        is_new_key,
        warnings,
    })
}

fn read(root: &Root, plain: Plain) -> Result<(PathBuf, Zeroizing<Vec<u8>>), OpError> {
    match plain {
        Plain::Text(text) => Ok(("standard input".into(), text)),
        Plain::File(path) => {
            let limit = yaml::MAX_BYTES as u64;
            match files::read_limited(&root.resolve(&path), limit) {
                Ok(bytes) => Ok((path, Zeroizing::new(bytes))),
                Err(source) => Err(OpError::Read { path, source }),
            }
        }
    }
}

/// The manifest that would be replaced, if there is one.
fn existing(root: &Root, unlock: &Unlock<'_>) -> Result<Option<Manifest>, OpError> {
    if root.manifest_path().symlink_metadata().is_err() {
        return Ok(None);
    }
    // A plaintext file in its place carries nothing that must be kept.
    if age_file::envelope_of(&root.manifest_bytes()?) == Envelope::Plain {
        return Ok(None);
    }
    root.read(unlock, Sealing::Optional)
        .map(|(manifest, _)| Some(manifest))
}

/// The one with the higher revision of two seals under one key.
fn newer(given: Sealed, existing: Sealed) -> Result<Sealed, OpError> {
    if given.fingerprint_key.id() != existing.fingerprint_key.id() {
        return Err(OpError::Unfit {
            what:
                "the plain text carries another fingerprint key than the manifest it would replace"
                    .to_owned(),
            help: "Nothing was written. Decrypt the present manifest and edit that text; 'drspass rekey' replaces the key on purpose.",
        });
    }
    Ok(if given.revision > existing.revision {
        given
    } else {
        existing
    })
}

/// Encrypts and writes a manifest: a new file, or in place of the one there.
/// Fails without having touched what is there.
pub(super) fn write(
    root: &Root,
    name: &Path,
    plain: &[u8],
    sealed: &Sealed,
) -> Result<(), OpError> {
    let file = age_file::encrypt(plain, &sealed.recipients).map_err(|source| OpError::Age {
        path: name.to_owned(),
        source,
    })?;
    files::replace_linked(&root.resolve(name), &file).map_err(|source| OpError::Write {
        path: name.to_owned(),
        source,
    })
}

/// Decrypts the manifest into a new private file at `out`.
/// Fails if the manifest cannot be opened, or anything of that name exists.
pub fn decrypt_to(root: &Root, unlock: &Unlock<'_>, out: &Path) -> Result<(), OpError> {
    let path = root.resolve(out);
    // Asked before the work, and once more by the creation itself.
    if path.symlink_metadata().is_ok() {
        return Err(OpError::Exists {
            path: out.to_owned(),
        });
    }
    let plain = root.decrypt(unlock)?;
    files::write_new(&path, &plain).map_err(|source| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            OpError::Exists {
                path: out.to_owned(),
            }
        } else {
            OpError::Write {
                path: out.to_owned(),
                source,
            }
        }
    })
}
