//! `rekey`: seals recipients and target of drspass.yaml, and replaces the fingerprint key if a
//! removed recipient knows it.
//!
//! Every refusal comes before the first write, the new file is checked to be readable, and
//! manifest and state change to a new key as one step (see [`crate::store::recovery`]).

use super::error::{Failure, other_key};
use super::root::{Root, Unlock, UserRules, digest_of, parse_sealed};
use super::{OpError, Runtime, git, rewrite};
use crate::age_file::{AgeError, Passphrases};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::manifest::{Manifest, Sealed};
use crate::core::problem::Problem;
use crate::core::recipients::Difference;
use crate::core::rekey::{NewKey, rekeyed};
use crate::core::report::{RekeyPlan, Rekeyed, StateFate};
use crate::core::state::{Lineage, State};
use crate::core::yaml;
use crate::store::{
    LockGuard, LockInfo, RekeyLeft, StateSnapshot, StoreError, StoreKeys, StoredState,
};
use crate::sys::testpoint;

#[derive(Clone, Copy)]
pub struct RekeyOptions {
    /// Makes a new fingerprint key even if no recipient was removed.
    pub new_key: bool,
    /// Continues even if none of the given identities opens the new file.
    pub allow_lockout: bool,
}

pub type ApproveRekey<'a> = &'a mut dyn FnMut(&RekeyPlan, &[Problem]) -> Result<(), OpError>;

/// Encrypts the manifest to the recipients of drspass.yaml, sealed for its target. The key
/// that `rules` expect is the present one. `approve` sees the change and the manifest's
/// warnings. Returns `None` if it only finished a rekey that was cut off.
pub fn rekey(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    runtime: &Runtime,
    options: RekeyOptions,
    approve: ApproveRekey<'_>,
) -> Result<Option<Rekeyed>, OpError> {
    let lock = (runtime.lock_info)("rekey");
    let name = root.manifest_name();
    // The old file and the new one are both opened.
    let known = Passphrases::default();
    let ask = |origin: &str| known.ask_once(origin, unlock.ask);
    let unlock = Unlock {
        ask: &ask,
        ..*unlock
    };
    rewrite::check_replaceable(root)?;
    let named = root.named_target(rules)?;
    let before = root.manifest_bytes()?;
    let plain = root.decrypt_file(&before, &unlock)?;
    let (manifest, sealed, mut warnings) = parse_sealed(&plain, name)?;
    warnings.extend(rewrite::second_name(root));
    rules.check_key(&sealed.fingerprint_key.id())?;
    let target = root.target_beside(named, &sealed, rules)?;
    let change = Difference::between(&sealed.recipients, &root.config.recipients);
    let moved = root.moved_parts(&target, &sealed);
    let reason = reason(&change, sealed.scope != target.scope, options);

    let mut ledger = None;
    let mut finished = false;
    if reason.is_some() || root.store.has_rekey() {
        let opened;
        (opened, finished) = open_ledger(root, &lock, &sealed, &before)?;
        if finished && reason.is_none() && change.is_none() && moved.is_empty() {
            root.renew_index(&manifest, &sealed, &before)?;
            return Ok(None);
        }
        ledger = Some(opened);
    }
    let (fate, highest) = match &ledger {
        Some(ledger) if reason.is_some() => state_fate(root, ledger, &sealed, &target.scope)?,
        _ => {
            let highest = root.check_key_beside(&sealed, rules)?;
            refuse_outdated(root, &sealed)?;
            (StateFate::Untouched, highest)
        }
    };

    let revision = rewrite::next_revision(sealed.revision.max(highest))?;
    let new = Sealed {
        fingerprint_key: match reason {
            Some(_) => FingerprintKey::new((runtime.random)()),
            None => sealed.fingerprint_key.clone(),
        },
        scope: target.scope,
        auth_url: target.auth_url,
        recipients: root.config.recipients.clone(),
        state: root.config.state_name(),
        index: sealed.index,
        revision,
        written: (runtime.now)(),
    };
    let (file, is_lockout) = sealed_anew(root, &unlock, &plain, &new, options.allow_lockout)?;

    let plan = RekeyPlan {
        manifest: name.display().to_string(),
        recipients: new.recipients.len(),
        change,
        moved,
        new_key: reason,
        state: fate,
        is_lockout,
        finished,
    };
    approve(&plan, &warnings)?;
    if let Some(ledger) = &ledger {
        clear_up(root, &ledger.guard)?;
    }
    let change = (&sealed, &new, &manifest);
    let former_state = match (ledger, reason) {
        (Some(ledger), Some(_)) => put(root, runtime, ledger, change, (&before, &file))?,
        (_lock, _) => rewrite::replace(root, Some(&before), &file).map(|()| None)?,
    };
    root.renew_index(&manifest, &new, &file)?;
    Ok(Some(Rekeyed {
        plan,
        revision,
        key_id: reason.map(|_| new.fingerprint_key.id()),
        former_state,
    }))
}

fn reason(
    change: &Difference,
    is_other_scope: bool,
    options: RekeyOptions,
) -> Option<&'static str> {
    if !change.removed.is_empty() {
        Some("since a removed recipient knows the old one")
    } else if is_other_scope {
        Some("since the old one belongs to the former project")
    } else {
        options.new_key.then_some("as asked")
    }
}

/// Returns the new file, and whether none of the given identities opens it. An unusable
/// identity, such as one whose passphrase cannot be asked for, is an error unless a lockout
/// is allowed.
fn sealed_anew(
    root: &Root,
    unlock: &Unlock<'_>,
    plain: &[u8],
    new: &Sealed,
    allow_lockout: bool,
) -> Result<(Vec<u8>, bool), OpError> {
    let name = root.manifest_name();
    let text = yaml::decode(plain).map_err(|problem| OpError::document(name, vec![problem]))?;
    let (text, file) = rewrite::sealed_file(text, new, name, unlock.plugins)?;
    match root.decrypt_file(&file, unlock) {
        Ok(plain) if plain.as_slice() == text.as_bytes() => return Ok((file, false)),
        Ok(_) => {
            return Err(Failure::new(
                "drspass::rekey::unlike",
                "the new file does not decrypt to the encrypted text",
                "Nothing was written. If a plugin was used, check that it is the right one.",
            )
            .into());
        }
        Err(OpError::NoMatch { .. }) => {}
        // The identity is at fault, or its passphrase, not the file.
        Err(
            OpError::Identity(_)
            | OpError::Age {
                source: AgeError::WrongPassphrase { .. },
                ..
            },
        ) if allow_lockout => {}
        Err(error) => return Err(error),
    }
    if allow_lockout {
        return Ok((file, true));
    }
    Err(Failure::new(
        "drspass::rekey::lockout",
        "none of the given identities is among the recipients of drspass.yaml: you could no longer read the manifest",
        "Nothing was written. Add your own public key to drspass.yaml, or give the identity to keep with -i; --allow-lockout rekeys anyway.",
    )
    .into())
}

struct RekeyLedger {
    guard: LockGuard,
    snapshot: StateSnapshot,
}

/// Takes the lock and reads the state; returns whether that finished a cut-off rekey.
fn open_ledger(
    root: &Root,
    lock: &LockInfo,
    sealed: &Sealed,
    file: &[u8],
) -> Result<(RekeyLedger, bool), OpError> {
    let store = &root.store;
    let keys = StoreKeys::from(&sealed.fingerprint_key);
    let guard = root.lock(&digest_of(file), lock)?;
    let snapshot = store.read(&keys)?;
    let was_unfinished = snapshot.rekey == RekeyLeft::Unfinished;
    let snapshot = store
        .finish_rekey(&guard, &keys, snapshot)
        .map_err(|source| unfinished(root, source))?;
    Ok((RekeyLedger { guard, snapshot }, was_unfinished))
}

fn unfinished(root: &Root, source: StoreError) -> OpError {
    let path = root.manifest_name().display();
    Failure::new(
        "drspass::rekey::unfinished",
        format!("{path} is rekeyed, but the state could not be put in its place"),
        "Nothing is lost: free space or fix the permissions, and run 'drspass rekey' again to finish. Until then plans read the new state from the file next to the old one.",
    )
    .because(source)
    .into()
}

/// Decides what becomes of the state, and returns the highest revision in it.
fn state_fate(
    root: &Root,
    ledger: &RekeyLedger,
    sealed: &Sealed,
    scope: &Scope,
) -> Result<(StateFate, u64), OpError> {
    let state = match &ledger.snapshot.known {
        StoredState::Absent => {
            let path = root.relative(root.store.path()).display().to_string();
            return Ok((StateFate::Absent { path }, 0));
        }
        StoredState::OtherKey { claimed } => {
            let key = &claimed.key_id;
            return Err(Failure::new(
                "drspass::rekey::other_key",
                other_key(key, &sealed.fingerprint_key.id()),
                format!(
                    "Nothing was written. If that key was replaced on purpose, run 'drspass apply --accept-new-key {key}' first, which sends every entry; if the state belongs to another manifest, give the right one with --state."
                ),
            )
            .into());
        }
        StoredState::Ours(state) => state,
    };
    if state.scope != sealed.scope {
        return Err(OpError::other_scope(&state.scope));
    }
    check_revision(sealed.revision, state.revision)?;
    let keys = StoreKeys::from(&sealed.fingerprint_key);
    let version = &ledger.snapshot.version;
    if let Some(path) = root.store.unfolded_recovery(&keys, version) {
        let path = root.relative(&path).display();
        return Err(Failure::new(
            "drspass::rekey::unrecovered",
            format!(
                "{path} has outcomes that an apply could not save, under the key that would be replaced"
            ),
            "Nothing was written. Fold it in first: 'drspass state recover FILE'.",
        )
        .into());
    }
    let entries = state.entries.len();
    let fate = if state.scope == *scope {
        StateFate::CarriedOver { entries }
    } else {
        StateFate::LeftBehind { entries }
    };
    Ok((fate, state.highest))
}

/// Refuses an outdated manifest if the state keeps its key: only its revision is read.
fn refuse_outdated(root: &Root, sealed: &Sealed) -> Result<(), OpError> {
    let known = root.store.read_claimed_alone().ok().flatten();
    match known.filter(|state| state.key_id == sealed.fingerprint_key.id()) {
        Some(state) => check_revision(sealed.revision, state.revision),
        None => Ok(()),
    }
}

fn check_revision(manifest: u64, applied: u64) -> Result<(), OpError> {
    if manifest < applied {
        return Err(Failure::new(
            "drspass::rekey::rollback",
            format!("the manifest has revision {manifest}, but the state knows revision {applied}"),
            "Nothing was written. Check out the newest manifest, and rekey that one; if this one is meant, apply it first, with --allow-rollback.",
        )
        .into());
    }
    Ok(())
}

/// Removes the left-over state of a rekey whose manifest never came, and ignores in git the
/// files that this one writes next to the state.
fn clear_up(root: &Root, guard: &LockGuard) -> Result<(), OpError> {
    if root.store.has_rekey() {
        root.store.abandon_rekey(guard)?;
    }
    // The state is elsewhere, so these files do not belong to it.
    let is_usual = root.store.path() == root.resolve(root.config.state.as_path());
    if is_usual && root.resolve(".gitignore".as_ref()).exists() {
        // These files have no secret, so one that git tracks does not stop the rekey.
        let _ = git::ignore_siblings(root);
    }
    Ok(())
}

/// Replaces the manifest, and the state by the one under the new key, as one step: wherever
/// it fails, every reader finds the state of its manifest. Returns where the old state is.
fn put(
    root: &Root,
    runtime: &Runtime,
    ledger: RekeyLedger,
    (former, new, manifest): (&Sealed, &Sealed, &Manifest),
    (before, file): (&[u8], &[u8]),
) -> Result<Option<String>, OpError> {
    let (store, guard) = (&root.store, &ledger.guard);
    let keys = StoreKeys::from(&new.fingerprint_key);
    let former_keys = StoreKeys::from(&former.fingerprint_key);
    let snapshot = store.absorb_journal(guard, &former_keys, ledger.snapshot)?;
    let StoredState::Ours(state) = snapshot.known else {
        return rewrite::replace(root, Some(before), file).map(|()| None);
    };
    let state = next_state(runtime, state, manifest, former, new);
    testpoint::reach("rekey.before_state");
    store.prepare_rekey(guard, &keys, state, &snapshot.version)?;
    testpoint::reach("rekey.before_manifest");
    if let Err(error) = rewrite::replace(root, Some(before), file) {
        if root.manifest_bytes().is_ok_and(|there| there != file) {
            // The first error is the one to report.
            let _ = store.abandon_rekey(guard);
        }
        return Err(match error {
            OpError::Unsynced { path, source } => Failure::new(
                "drspass::rekey::unconfirmed",
                format!(
                    "{} is rekeyed with the key id {}, but the disk did not confirm it",
                    path.display(),
                    new.fingerprint_key.id()
                ),
                "The state is not in its place yet. Check the disk, and that the manifest opens; then run 'drspass rekey' again to finish.",
            )
            .because(source)
            .into(),
            error => error,
        });
    }
    testpoint::reach("rekey.after_manifest");
    let finish = || store.finish_rekey(guard, &keys, store.read(&keys)?);
    let finished = finish().map_err(|source| unfinished(root, source))?;
    let StoredState::Ours(_) = finished.known else {
        // The new state does not follow the present one.
        let state = root.relative(store.path()).display();
        return Err(Failure::new(
            "drspass::rekey::replaced",
            format!("the manifest is rekeyed, but another process replaced {state} in the meantime"),
            "The new state is next to it and fits only the replaced one: restore that, for example from git, and run 'drspass rekey' again. Otherwise 'drspass apply --accept-new-key OLDKEYID' starts a new state and sends every entry.",
        )
        .into());
    };
    testpoint::reach("rekey.finished");
    let kept = store.before_rekey_path();
    Ok(Some(root.relative(&kept).display().to_string()))
}

/// Returns the state under the new key: the same knowledge, or none if service or project
/// change. The last applied revision stays, so that no older manifest passes.
fn next_state(
    runtime: &Runtime,
    state: State,
    manifest: &Manifest,
    former: &Sealed,
    new: &Sealed,
) -> State {
    let id = new.fingerprint_key.id();
    if former.scope != new.scope {
        let lineage = Lineage::new((runtime.unique)());
        return State {
            revision: state.revision,
            manifest: state.manifest,
            highest: state.highest,
            ..State::new(new.scope.clone(), lineage, id)
        };
    }
    let old = former.fingerprint_key.fingerprinter(&former.scope);
    let prints = &new.fingerprint_key.fingerprinter(&new.scope);
    rekeyed(state, manifest, &old, &NewKey { id, prints }, runtime.salt)
}
