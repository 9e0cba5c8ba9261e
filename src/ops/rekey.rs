//! `rekey`: seals recipients and target of drspass.yaml, and replaces the fingerprint key if a
//! removed recipient knows it.
//!
//! Every refusal comes before the only write, that of the manifest, and the new file is checked to
//! be readable. With a new key, the manifest also seals the former one and the state that was made
//! with it, which the next command that writes the state carries over. So nothing that others read
//! is touched before the manifest reaches them.

use std::sync::Arc;

use super::apply::turn::check_free;
use super::error::{Failure, if_meant, other_key};
use super::root::{Root, Unlock, UserRules, digest_of, parse_sealed};
use super::{OpError, Runtime, rewrite};
use crate::age_file::{AgeError, Passphrases};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::manifest::{Former, Sealed};
use crate::core::place::{Floor, Place, SealedPlace};
use crate::core::problem::Problem;
use crate::core::recipients::Difference;
use crate::core::report::{RekeyPlan, Rekeyed, StateFate};
use crate::core::yaml;
use crate::store::{JournalLeft, StateSnapshot, StoreKeys, StoredState};

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
/// warnings.
pub fn rekey(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    runtime: &Runtime,
    options: RekeyOptions,
    approve: ApproveRekey<'_>,
) -> Result<Rekeyed, OpError> {
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
    let manifest = Arc::new(manifest);
    warnings.extend(rewrite::second_name(root));
    rules.check_key(&sealed.fingerprint_key.id())?;
    let target = root.target_beside(named, &sealed, rules)?;
    let change = Difference::between(&sealed.recipients, &root.config.recipients);
    let moved = root.moved_parts(&target, &sealed)?;
    let place = place_to_seal(root, &sealed, sealed.scope != target.scope)?;
    let reason = reason(&change, sealed.scope != target.scope, options);

    let mut lock_guard = None;
    let (state, highest, former, place) = match reason {
        Some(_) => {
            // An apply in between would move the state that the manifest is about to seal.
            let guard = root.lock(&sealed, &digest_of(&before), &lock)?;
            let keys = StoreKeys::of(&manifest, &sealed, &rules.expect_key_ids);
            let snapshot = root.read_state(&sealed, &keys)?;
            let known = with_new_key(root, &keys, &snapshot, &sealed, (&target.scope, place))?;
            lock_guard = Some((guard, snapshot.journal));
            known
        }
        None => with_same_key(root, rules, &sealed, place, &mut warnings)?,
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
        state: place,
        moved_from: None,
        index: sealed.index,
        revision,
        written: (runtime.now)(),
        former,
    };
    let (file, is_lockout) = sealed_anew(root, &unlock, &plain, &new, options.allow_lockout)?;

    let plan = RekeyPlan {
        manifest: name.display().to_string(),
        scope: new.scope.clone(),
        environment: root.environment(),
        recipients: new.recipients.len(),
        change,
        moved,
        new_key: reason,
        state,
        is_lockout,
    };
    approve(&plan, &warnings)?;
    if let Some((guard, JournalLeft::Folded)) = &lock_guard {
        // It has nothing that the state lacks, and would be of another key than the state.
        root.store.end_journal(guard)?;
    }
    rewrite::replace(root, Some(&before), &file)?;
    drop(lock_guard);
    root.renew_index(&manifest, &new, &file)?;
    Ok(Rekeyed {
        plan,
        written: root.written(&new),
        key_id: reason.map(|_| new.fingerprint_key.id()),
        former_key_id: new.former.map(|former| former.fingerprint_key.id()),
    })
}

/// Returns the place to seal. Only a file may be another one than before: a state on a branch would
/// stay behind.
fn place_to_seal(
    root: &Root,
    sealed: &Sealed,
    is_other_scope: bool,
) -> Result<SealedPlace, OpError> {
    if sealed.moved_from.is_some() {
        let help = "Nothing was written. Run 'drspass state move --done' once everyone has the new manifest.";
        return Err(OpError::unfit("a move of the state is not done", help));
    }
    let (here, there) = (root.configured_place()?, sealed.state.name());
    let is_on_branch = sealed.state.floor().is_some();
    let is_file = matches!(root.config.state, Place::File(_));
    let (what, help) = match here == there {
        true if is_on_branch && is_other_scope => (
            format!("{there} has the state of the former project"),
            "Nothing was written. Set up another root directory for the new project: 'drspass init'.",
        ),
        false if is_on_branch || !is_file => (
            format!("state of drspass.yaml is {here}, but the manifest is sealed for {there}"),
            "Nothing was written. Undo the change of drspass.yaml, and run 'drspass state move', which takes the state along.",
        ),
        _ if is_file => return Ok(SealedPlace::File(here)),
        _ => return Ok(sealed.state.clone()),
    };
    Err(Failure::new("drspass::rekey::place", what, help).into())
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

/// What becomes of the state, the highest revision in it, what it was made with before, and its
/// place, to be sealed.
type StateToSeal = (StateFate, u64, Option<Former>, SealedPlace);

/// Without a new key, the state stays as it is.
fn with_same_key(
    root: &Root,
    rules: &UserRules,
    sealed: &Sealed,
    place: SealedPlace,
    warnings: &mut Vec<Problem>,
) -> Result<StateToSeal, OpError> {
    let facts = root.state_facts(sealed, rules)?;
    warnings.extend(facts.warning);
    refuse_outdated(root, sealed)?;
    let (former, place) = (root.former_left(sealed), place.raised(&facts.state));
    Ok((StateFate::Untouched, facts.highest, former, place))
}

/// With a new key, the state is made with a former one. Refuses a state that another run holds, or
/// with anything that would be lost.
fn with_new_key(
    root: &Root,
    keys: &StoreKeys,
    snapshot: &StateSnapshot,
    sealed: &Sealed,
    (scope, place): (&Scope, SealedPlace),
) -> Result<StateToSeal, OpError> {
    check_free(root, snapshot)?;
    if snapshot.journal == JournalLeft::Unfolded {
        // Under the former key, its answers would be nobody's.
        return Err(Failure::new(
            "drspass::rekey::unfinished",
            "an apply was cut off, and its answers are not in the state yet",
            "Nothing was written. Run 'drspass apply', which records them first; then run 'drspass rekey' again.",
        )
        .into());
    }
    let state = match &snapshot.known {
        StoredState::Absent => {
            let path = root.relative(root.store.path()).display().to_string();
            return Ok((StateFate::Absent { path }, 0, sealed.former.clone(), place));
        }
        StoredState::OtherKey { claimed } => {
            let key = &claimed.key_id;
            return Err(Failure::new(
                "drspass::rekey::other_key",
                other_key(key, &sealed.fingerprint_key.id()),
                format!(
                    "Nothing was written. {} run 'drspass apply --accept-new-key {key}' first, which sends every password of this manifest; if the state belongs to another manifest, give the right one with --state.",
                    if_meant(claimed.ahead_of(sealed.revision))
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
    if let Some(path) = root.store.unfolded_recovery(keys, &snapshot.version) {
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
    // A state that is carried over is what its file has, where that is of the target.
    let file = match snapshot.is_carried_over {
        true => root.store.read_claimed_alone()?,
        false => None,
    };
    let state_of_file = file.as_ref().unwrap_or(state);
    let entries = state_of_file.entries.len();
    let fate = if state_of_file.scope == *scope {
        StateFate::CarriedOver { entries }
    } else {
        StateFate::LeftBehind { entries }
    };
    let former = match snapshot.is_carried_over {
        true => sealed.former.clone(),
        false => root.store.digest()?.map(|state_sha256| Former {
            fingerprint_key: sealed.fingerprint_key.clone(),
            lineage: state.lineage.clone(),
            serial: state.serial,
            state_sha256,
        }),
    };
    let place = place.with_floor(Floor::of(state));
    Ok((fate, state.highest, former, place))
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
