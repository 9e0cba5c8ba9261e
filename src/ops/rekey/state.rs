//! The state of a rekey: what becomes of it, and how it goes over to the new key
//! together with the manifest.

use super::{NewFile, RekeyContext};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::manifest::{Manifest, Sealed};
use crate::core::rekey::{NewKey, rekeyed};
use crate::core::report::StateFate;
use crate::core::state::{Lineage, State};
use crate::ops::OpError;
use crate::ops::error::{OtherKey, OtherScope, RekeyError};
use crate::ops::init;
use crate::ops::root::{Root, digest_of};
use crate::store::RekeyLeft;
use crate::store::{LockGuard, StateSnapshot, StoreError, StoreKeys, StoredState};
use crate::sys::testpoint;

/// The state, under the lock.
pub(super) struct Ledger {
    pub(super) guard: LockGuard,
    snapshot: StateSnapshot,
}

/// What the state was made with.
pub(super) struct Former {
    pub(super) key: FingerprintKey,
    pub(super) scope: Scope,
}

/// Takes the lock and reads the state; a rekey that was cut off is finished, which is
/// told.
/// Fails if the state cannot be trusted.
pub(super) fn open_ledger(
    context: &RekeyContext<'_>,
    sealed: &Sealed,
    file: &[u8],
) -> Result<(Ledger, bool), OpError> {
    let store = &context.root.store;
    let keys = StoreKeys::from(&sealed.fingerprint_key);
    let guard = context.root.lock(&digest_of(file), &context.lock)?;
    let snapshot = store.read(&keys)?;
    let was_unfinished = snapshot.rekey == RekeyLeft::Unfinished;
    let snapshot = store
        .finish_rekey(&guard, &keys, snapshot)
        .map_err(|source| unfinished(context.root, source))?;
    Ok((Ledger { guard, snapshot }, was_unfinished))
}

fn unfinished(root: &Root, source: StoreError) -> OpError {
    let path = root.manifest_name().to_owned();
    RekeyError::Unfinished { path, source }.into()
}

/// What will become of the state, and the highest revision that it knows.
/// Fails if it was made with another key, for another service or project, or knows a
/// newer manifest.
pub(super) fn state_fate(
    root: &Root,
    ledger: &Ledger,
    sealed: &Sealed,
    scope: &Scope,
) -> Result<(StateFate, u64), OpError> {
    let state = match &ledger.snapshot.known {
        StoredState::Absent => {
            let path = root.relative(root.store.path()).display().to_string();
            return Ok((StateFate::Absent { path }, 0));
        }
        StoredState::OtherKey { claimed } => {
            return Err(RekeyError::OtherKey(OtherKey {
                state: claimed.key_id.clone(),
                manifest: sealed.fingerprint_key.id(),
            })
            .into());
        }
        StoredState::Ours(state) => state,
    };
    if state.scope != sealed.scope {
        return Err(OpError::from(OtherScope {
            state: state.scope.clone(),
            manifest: sealed.scope.clone(),
        }));
    }
    check_revision(sealed.revision, state.revision)?;
    let keys = StoreKeys::from(&sealed.fingerprint_key);
    let version = &ledger.snapshot.version;
    if let Some(path) = root.store.unfolded_recovery(&keys, version) {
        let path = root.relative(&path).to_owned();
        return Err(RekeyError::Unrecovered { path }.into());
    }
    let entries = state.entries.len();
    let fate = if state.scope == *scope {
        StateFate::CarriedOver { entries }
    } else {
        StateFate::LeftBehind { entries }
    };
    Ok((fate, state.highest))
}

/// Where the state stays as it is, it is not opened; but it tells how far the manifest
/// had come.
pub(super) fn refuse_outdated(root: &Root, sealed: &Sealed) -> Result<(), OpError> {
    let known = root.store.read_unverified().ok().flatten();
    match known.filter(|state| state.key_id == sealed.fingerprint_key.id()) {
        Some(state) => check_revision(sealed.revision, state.revision),
        None => Ok(()),
    }
}

fn check_revision(manifest: u64, applied: u64) -> Result<(), OpError> {
    if manifest < applied {
        return Err(RekeyError::Outdated { manifest, applied }.into());
    }
    Ok(())
}

/// Removes what a rekey left whose manifest never came, and keeps out of git what
/// this one writes beside the state.
pub(super) fn clear_up(root: &Root, guard: &LockGuard) -> Result<(), OpError> {
    if root.store.has_rekey() {
        root.store.abandon_rekey(guard)?;
    }
    // A state elsewhere is not the one whose files are named there.
    let is_usual = root.store.path() == root.resolve(root.config.state.as_path());
    if is_usual && root.resolve(".gitignore".as_ref()).exists() {
        // These files hold no secret, so one that git sees is no reason to stop.
        let _ = init::git::ignore_siblings(root);
    }
    Ok(())
}

/// Puts manifest and state in their places as one step. Tells where the former state
/// is kept.
/// Fails with both as they were, or with the new manifest in its place and the new
/// state beside the old one, where every reader finds it unless somebody replaced the
/// old one meanwhile.
pub(super) fn put_with_state(
    context: &RekeyContext<'_>,
    ledger: Ledger,
    manifest: &Manifest,
    former: &Former,
    new: &Sealed,
    file: &NewFile,
) -> Result<Option<String>, OpError> {
    let (root, store) = (context.root, &context.root.store);
    let guard = &ledger.guard;
    let keys = StoreKeys::from(&new.fingerprint_key);
    let snapshot = store.absorb_journal(guard, &StoreKeys::from(&former.key), ledger.snapshot)?;
    let StoredState::Ours(state) = snapshot.known else {
        file.put(root)?;
        return Ok(None);
    };
    let state = next_state(context, state, manifest, former, new);
    testpoint::reach("rekey.before_state");
    store.prepare_rekey(guard, &keys, state, &snapshot.version)?;
    testpoint::reach("rekey.before_manifest");
    if let Err(error) = file.put(root) {
        if file.is_elsewhere(root) {
            // The error that matters is the first one.
            let _ = store.abandon_rekey(guard);
        }
        return Err(match error {
            OpError::Unsynced { path, source } => RekeyError::Unconfirmed {
                path,
                key_id: new.fingerprint_key.id(),
                source,
            }
            .into(),
            error => error,
        });
    }
    testpoint::reach("rekey.after_manifest");
    let finish = || store.finish_rekey(guard, &keys, store.read(&keys)?);
    let finished = finish().map_err(|source| unfinished(root, source))?;
    let StoredState::Ours(_) = finished.known else {
        // The new state does not follow what is there now.
        let state = root.relative(store.path()).to_owned();
        return Err(RekeyError::Replaced { state }.into());
    };
    testpoint::reach("rekey.finished");
    let kept = store.before_rekey_path();
    Ok(Some(root.relative(&kept).display().to_string()))
}

/// The state under the new key: the same knowledge, or none where the manifest goes
/// over to another service or project. What was applied last stays known, so that no
/// older manifest passes.
fn next_state(
    context: &RekeyContext<'_>,
    state: State,
    manifest: &Manifest,
    former: &Former,
    new: &Sealed,
) -> State {
    let id = new.fingerprint_key.id();
    if former.scope != new.scope {
        let lineage = Lineage::new((context.unique)());
        return State {
            revision: state.revision,
            manifest: state.manifest,
            highest: state.highest,
            ..State::new(new.scope.clone(), lineage, id)
        };
    }
    let old = former.key.fingerprinter(&former.scope);
    let prints = &new.fingerprint_key.fingerprinter(&new.scope);
    rekeyed(state, manifest, &old, &NewKey { id, prints }, context.salt)
}
