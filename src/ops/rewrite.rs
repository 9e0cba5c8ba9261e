//! Changes the manifest's text: opens it with every check that sealing promises, lets the
//! caller change it, checks and seals it again; or seals plain text that comes from outside.
//! If anything fails, the file is unchanged; a file that another process wrote in the
//! meantime is never overwritten.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use rustix::fs::Access;
use zeroize::Zeroizing;

use super::OpError;
use super::root::{Opened, Root, StateFacts, Unlock, UserRules, parse_manifest};
use crate::age_file::{self, AgeError, Plugins};
use crate::core::manifest::{self, Manifest, Sealed, Sealing};
use crate::core::place::{MovedFrom, SealedPlace};
use crate::core::problem::Problem;
use crate::core::recipients::is_of_plugin;
use crate::core::yaml;
use crate::sys::{files, testpoint};

pub struct Rewrite<'a> {
    now: fn() -> Timestamp,
    file: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    facts: StateFacts,
    plugins: Plugins<'a>,
    pub opened: Opened,
}

pub struct SealedRewrite<'a> {
    before: &'a [u8],
    text: Zeroizing<String>,
    manifest: Manifest,
    sealed: Sealed,
    plugins: Plugins<'a>,
    pub file: Vec<u8>,
    pub warnings: Vec<Problem>,
}

impl<'a> Rewrite<'a> {
    /// Opens the manifest for a change. Refuses other recipients in drspass.yaml and a state of
    /// another key: it would be unclear who gets the new text.
    pub fn open(
        root: &Root,
        unlock: &Unlock<'a>,
        rules: &UserRules,
        now: fn() -> Timestamp,
    ) -> Result<Self, OpError> {
        Self::open_at(None, root, unlock, rules, now)
    }

    /// Opens the manifest as if it were sealed for `place`.
    pub fn open_at(
        place: Option<SealedPlace>,
        root: &Root,
        unlock: &Unlock<'a>,
        rules: &UserRules,
        now: fn() -> Timestamp,
    ) -> Result<Self, OpError> {
        let file = root.manifest_bytes()?;
        let (opened, plain) = root.open_at(place, &file, unlock, rules)?;
        root.check_recipients(&opened.sealed)?;
        let facts = root.state_facts(&opened.sealed, rules)?;
        Ok(Self {
            now,
            file,
            plain,
            facts,
            plugins: unlock.plugins,
            opened,
        })
    }

    /// Writes the same text, sealed for another place if one is given.
    pub fn move_to(
        mut self,
        root: &Root,
        place: Option<SealedPlace>,
        from: Option<MovedFrom>,
    ) -> Result<(), OpError> {
        self.facts.state = place.unwrap_or(self.facts.state);
        self.opened.sealed.moved_from = from;
        let text = self.text().to_owned();
        self.save(root, &text, &[]).map(drop)
    }

    /// Returns the plain text, with its byte order mark if it has one.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.plain).expect("the text of a manifest that was read")
    }

    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Checks whether an edited text can be sealed in place of this one.
    pub fn check(&self, text: &[u8]) -> Result<(), Vec<Problem>> {
        yaml::decode(text).map_err(|problem| vec![problem])?;
        let text = std::str::from_utf8(text).unwrap_or_default();
        let checked = manifest::parse(yaml::split_mark(text).1, Sealing::Optional);
        let Some(edited) = checked.value else {
            return Err(checked.problems);
        };
        let changed = changed_seal(&self.opened.sealed, edited.sealed.as_ref());
        if !changed.is_empty() {
            return Err(changed);
        }
        manifest::seal(text, &self.opened.sealed).map(|_| ())
    }

    /// Encrypts nothing to every reader of the change, to find failures before the user edits.
    pub fn try_change(&self, root: &Root) -> Result<(), OpError> {
        check_replaceable(root)?;
        let encrypted = age_file::encrypt(b"", &self.opened.sealed.recipients, self.plugins);
        encrypted.map_err(OpError::age(root.manifest_name()))?;
        Ok(())
    }

    /// Seals `text` with the next revision; drspass writes the `sealed` part itself.
    pub fn seal(&self, root: &Root, text: &str) -> Result<SealedRewrite<'_>, OpError> {
        let name = root.manifest_name();
        let (manifest, mut warnings) = parse_manifest(text.as_bytes(), Sealing::Optional, name)?;
        warnings.extend(second_name(root));
        warnings.extend(self.facts.warning.clone());
        let revision = next_revision(self.opened.sealed.revision.max(self.facts.highest))?;
        let sealed = Sealed {
            revision,
            written: (self.now)(),
            former: root.former_left(&self.opened.sealed),
            state: self.facts.state.clone(),
            ..self.opened.sealed.clone()
        };
        let (text, file) = sealed_file(text, &sealed, name, self.plugins)?;
        Ok(SealedRewrite {
            before: &self.file,
            file,
            text,
            manifest,
            sealed,
            plugins: self.plugins,
            warnings,
        })
    }

    /// Seals a generated text and replaces the manifest. Returns what was written, and warnings:
    /// only new ones, and none that was `said` of a value, with its label, already.
    pub fn save(
        &self,
        root: &Root,
        text: &str,
        said: &[Problem],
    ) -> Result<(String, Vec<Problem>), OpError> {
        let ready = self.seal(root, text)?;
        ready.put(root)?;
        ready.renew_index(root)?;
        let key = |problem: &Problem| (problem.path.clone(), problem.what.clone());
        let before: HashSet<_> = self.opened.warnings.iter().map(key).collect();
        let said: HashSet<_> = said.iter().map(|problem| &problem.what).collect();
        let mut fresh = ready.warnings;
        fresh.retain(|problem| !before.contains(&key(problem)) && !said.contains(&problem.what));
        Ok((root.written(&ready.sealed), fresh))
    }
}

impl SealedRewrite<'_> {
    pub fn put(&self, root: &Root) -> Result<(), OpError> {
        replace(root, Some(self.before), &self.file)
    }

    pub fn renew_index(&self, root: &Root) -> Result<(), OpError> {
        root.renew_index(&self.manifest, &self.sealed, &self.file)
    }

    pub fn written(&self, root: &Root) -> String {
        root.written(&self.sealed)
    }

    /// Returns the new file for the readers that drspass.yaml lists now: one may have been
    /// removed since the manifest was opened. Skips the readers of a failing plugin.
    pub fn for_present_readers(&self, root: &Root) -> Result<Vec<u8>, AgeError> {
        let mut left = root.still_listed(&self.sealed.recipients);
        if left.len() == self.sealed.recipients.len() {
            return Ok(self.file.clone());
        }
        let encrypt = |to: &[String]| age_file::encrypt(self.text.as_bytes(), to, self.plugins);
        encrypt(&left).or_else(|_| {
            left.retain(|recipient| !is_of_plugin(recipient));
            encrypt(&left)
        })
    }
}

/// Returns what of the part that only drspass writes differs.
pub fn changed_seal(old: &Sealed, new: Option<&Sealed>) -> Vec<Problem> {
    let changed = |path: &str, what: &'static str| {
        let help = "Restore it: only drspass writes this part.";
        Problem::error(path, None, what, help)
    };
    let Some(new) = new else {
        return vec![changed("sealed", "is written by drspass and was removed")];
    };
    let key = |sealed: &Sealed| sealed.fingerprint_key.id();
    let (old_scope, new_scope) = (&old.scope, &new.scope);
    let is_same = [
        ("fingerprint_key", key(new) == key(old)),
        ("endpoint", new_scope.endpoint == old_scope.endpoint),
        ("project_id", new_scope.project_id == old_scope.project_id),
        ("auth_url", new.auth_url == old.auth_url),
        ("recipients", new.recipients == old.recipients),
        ("state", new.state == old.state),
        ("moved_from", new.moved_from == old.moved_from),
        ("index", new.index == old.index),
        ("revision", new.revision == old.revision),
        ("written", new.written() == old.written()),
        ("former", new.former == old.former),
    ];
    let differing = is_same.into_iter().filter(|(_, is_same)| !is_same);
    let what = "is written by drspass and was changed";
    differing
        .map(|(field, _)| changed(&format!("sealed.{field}"), what))
        .collect()
}

pub fn check_replaceable(root: &Root) -> Result<(), OpError> {
    let path = root.manifest_path();
    let path = fs::canonicalize(&path).unwrap_or(path);
    let found = rustix::fs::access(files::folder_of(&path), Access::WRITE_OK | Access::EXEC_OK);
    let source = match (found, fs::metadata(&path)) {
        (Err(error), _) => error.into(),
        // A file that its owner may not write is not replaced, whatever its directory allows.
        (_, Ok(found)) if found.permissions().readonly() => io::Error::other("it is read-only"),
        _ => return Ok(()),
    };
    Err(OpError::write(root.manifest_name())(source))
}

/// Returns a warning if the manifest has another name (hard link), which keeps the old file.
pub fn second_name(root: &Root) -> Option<Problem> {
    let found = fs::metadata(root.manifest_path()).ok()?;
    let what = "the manifest has a second name (a hard link), which keeps the old text";
    let help = "Make the other name a symbolic link to the manifest, or remove it.";
    (found.nlink() > 1).then(|| Problem::warning("", None, what, help))
}

/// Returns the revision after `revision`, the higher one of the manifest's and the state's.
pub fn next_revision(revision: u64) -> Result<u64, OpError> {
    let what = "the revision of the plain text is at its maximum";
    let help = "Nothing was written. Decrypt the present manifest; do not edit its revision.";
    let next = revision.checked_add(1);
    next.ok_or_else(|| OpError::unfit(what, help))
}

/// Seals the text of the manifest `name` and encrypts it to all sealed recipients.
pub fn sealed_file(
    text: &str,
    sealed: &Sealed,
    name: &Path,
    plugins: Plugins<'_>,
) -> Result<(Zeroizing<String>, Vec<u8>), OpError> {
    let text =
        manifest::seal(text, sealed).map_err(|problems| OpError::document(name, problems))?;
    let file = age_file::encrypt(text.as_bytes(), &sealed.recipients, plugins);
    Ok((text, file.map_err(OpError::age(name))?))
}

/// Replaces the manifest that was read as `before` by an encrypted one.
pub fn replace(root: &Root, before: Option<&[u8]>, file: &[u8]) -> Result<(), OpError> {
    root.check_manifest_link()?;
    let path = root.manifest_path();
    let write = OpError::write(root.manifest_name());
    testpoint::reach("manifest.before_replace");
    check_replaceable(root)?;
    let _turn = match files::take_turn(&path) {
        Ok(turn) => Some(turn),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(overtaken()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(locked()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(write(error)),
    };
    let there = match path.symlink_metadata() {
        Ok(_) => Some(root.manifest_bytes()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(write(error)),
    };
    if there.as_deref() != before {
        return Err(overtaken());
    }
    let put = if there.is_some() {
        files::replace_linked(&path, file)
    } else {
        // Another first one may come in between: it is not overwritten.
        files::put_private(&path, file, false)
    };
    match put {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(overtaken()),
        // Only the last step failed: that the new name lasts.
        Err(source) if root.manifest_bytes().is_ok_and(|there| there == file) => {
            let path = root.manifest_name().to_owned();
            return Err(OpError::Unsynced { path, source });
        }
        put => put.map_err(write)?,
    }
    testpoint::reach("manifest.after_replace");
    Ok(())
}

fn locked() -> OpError {
    OpError::unfit(
        "another process has locked the manifest",
        "Nothing was written. Run the command again when it has ended.",
    )
}

fn overtaken() -> OpError {
    OpError::unfit(
        "another process changed the manifest while this command was running",
        "Nothing was written. Check the present manifest and make the change there.",
    )
}

/// Seals a plaintext manifest, which messages call `name`, into `out`, which must not exist, or
/// in place of the configured manifest. The fingerprint key is that of the plain text or of
/// the present manifest: only `init` and `rekey` make one. Returns the encrypted file, what was
/// written with its revision, and warnings.
pub fn encrypt(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    (name, plain): (&Path, &[u8]),
    out: Option<PathBuf>,
    now: Timestamp,
) -> Result<(PathBuf, String, Vec<Problem>), OpError> {
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
    let facts = root.state_facts(&previous, rules)?;
    warnings.extend(facts.warning);
    refuse_older_than_state(root, &previous)?;
    rules.check_key(&previous.fingerprint_key.id())?;
    let former = root.former_left(&previous);
    let sealed = Sealed {
        former,
        fingerprint_key: previous.fingerprint_key,
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        state: facts.state,
        moved_from: previous.moved_from,
        index: previous.index,
        revision: next_revision(previous.revision.max(facts.highest))?,
        written: now,
    };
    let text = yaml::decode(plain).map_err(|problem| OpError::document(name, vec![problem]))?;
    let (_, file) = sealed_file(text, &sealed, name, unlock.plugins)?;
    let (path, written) = match out {
        Some(out) if out != root.manifest_name() => {
            create(&root.resolve(&out), &out, &file)?;
            let written = format!("{}, revision {}", out.display(), sealed.revision);
            (out, written)
        }
        _ => {
            warnings.extend(second_name(root));
            replace(root, before.as_deref(), &file)?;
            root.renew_index(&given, &sealed, &file)?;
            (root.manifest_name().to_owned(), root.written(&sealed))
        }
    };
    Ok((path, written, warnings))
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
        Err(source) => return Err(OpError::age(root.manifest_name())(source)),
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
    files::write_new(full, content).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => OpError::exists(name),
        _ => OpError::write(name)(source),
    })
}
