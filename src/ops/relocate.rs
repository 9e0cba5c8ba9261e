//! `state move`: takes the state to another place. Others go on with the former one until they have
//! the new manifest, so both are read until someone says that the move is done (design section 2.1).
//!
//! The copy comes first, then the manifest, then drspass.yaml: cut off anywhere, it is run again.

use std::path::{Path, PathBuf};

use super::apply::turn::check_free;
use super::error::ErrorClass;
use super::former::{check_moved, still_used};
use super::git::git_files;
use super::rewrite::Rewrite;
use super::root::{CONFIG_FILE, Root, Unlock, UserRules, parse_sealed};
use super::{OpError, Runtime};
use crate::core::config::{Config, with_state};
use crate::core::manifest::Sealed;
use crate::core::place::{Floor, MovedFrom, Place, SealedPlace};
use crate::core::state::{CopiedFrom, State};
use crate::store::{Store, StoreError, StoreKeys, StoredState};
use crate::sys::{files, testpoint};

/// Moves the state to another place. Returns the serial there, and what to commit next to
/// drspass.yaml, manifest and index; `None` if only the address of the repository is new. `approve`
/// sees the former and the new address: only the user can tell a renamed repository from a fork,
/// where two runs could send at the same time.
pub fn relocate(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    runtime: &Runtime,
    place: &Place,
    approve: impl FnOnce(&str, &str) -> Result<(), OpError>,
) -> Result<(u64, Option<Vec<PathBuf>>), OpError> {
    let store = root.store_of(place);
    let name = match store.branch() {
        Some(branch) => branch.name()?,
        None => place.to_string(),
    };
    let (_, sealed, _) = parse_sealed(&root.decrypt(unlock)?, root.manifest_name())?;
    rules.check_key(&sealed.fingerprint_key.id())?;
    if sealed.state.name() == name {
        if root.configured_place()? == name {
            let help = match sealed.moved_from {
                Some(_) => "Nothing was changed. To end the move, run 'drspass state move --done'.",
                None => "Nothing was changed.",
            };
            return Err(OpError::unfit(
                format!("the state is at {place} already"),
                help,
            ));
        }
        return finish(root, unlock, rules, place);
    }
    let renamed = renamed(root, &sealed, (&store, &name))?;
    if sealed.moved_from.is_some() && renamed.is_none() {
        let help = "Nothing was changed. Run 'drspass state move --done' first.";
        return Err(OpError::unfit("a former move is not done", help));
    }
    if let Some(renamed) = &renamed {
        approve(&sealed.state.name(), &renamed.name())?;
    }
    let is_renamed = renamed.is_some();
    let rewrite = Rewrite::open_at(renamed, root, unlock, rules, runtime.now)?;
    root.store.ask_briefly(false);
    let opened = &rewrite.opened;
    let guard = root.lock(
        &opened.sealed,
        &opened.digest,
        &(runtime.lock_info)("state move"),
    )?;
    let keys = root.store_keys(opened, rules)?;
    if is_renamed {
        let state = renamed_state(root, &keys, place, &sealed)?;
        let place = opened.sealed.state.with_floor(Floor::of(&state));
        rewrite.move_to(root, Some(place), sealed.moved_from)?;
        return Ok((state.serial, None));
    }
    let snapshot = root.read_state(&opened.sealed, &keys)?;
    check_free(root, &snapshot)?;
    let snapshot = root.store.absorb_journal(&guard, &keys, snapshot)?;
    if snapshot.is_unsaved() {
        return Err(OpError::unfit(
            "a cut-off apply or a rekey is not written to the state yet",
            "Nothing was changed. Run 'drspass apply' first, which writes it.",
        ));
    }
    let Some(state) = snapshot.known.state() else {
        let help = "Nothing was changed. Run 'drspass apply' first.";
        return Err(OpError::unfit(
            "there is no state of this manifest to move",
            help,
        ));
    };
    let from = MovedFrom {
        place: sealed.state.clone(),
        floor: Floor::of(state),
    };
    let there = copy(&store, &keys, state, &from)?;
    testpoint::reach("move.after_copy");
    let moved = match store.branch() {
        Some(branch) => branch.sealed(Floor::of(&there))?,
        None => SealedPlace::File(place.to_string()),
    };
    rewrite.move_to(root, Some(moved), Some(from))?;
    testpoint::reach("move.after_manifest");
    let also = write_config(root, place)?;
    drop(guard);
    Ok((there.serial, Some(also)))
}

/// Goes on with a move that was cut off after the manifest.
fn finish(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    place: &Place,
) -> Result<(u64, Option<Vec<PathBuf>>), OpError> {
    let also = write_config(root, place)?;
    let root = root.reread()?;
    let opened = root.open(unlock, rules)?;
    if opened.sealed.index && root.check_index(&opened, ErrorClass::Failed).is_err() {
        root.write_index(&opened)?;
    }
    let there = root.store.read_alone(&root.store_keys(&opened, rules)?)?;
    let serial = there.known.state().map_or(0, |state| state.serial);
    Ok((serial, Some(also)))
}

/// Returns the place to seal if the sealed repository only has a new address: drspass.yaml names
/// the place, and no remote leads to the sealed one.
fn renamed(
    root: &Root,
    sealed: &Sealed,
    (store, name): (&Store, &str),
) -> Result<Option<SealedPlace>, OpError> {
    let (Some(floor), Some(branch)) = (sealed.state.floor(), store.branch()) else {
        return Ok(None);
    };
    if root.configured_place()? != name || root.former_store(&sealed.state)?.is_some() {
        return Ok(None);
    }
    Ok(Some(branch.sealed(floor.clone())?))
}

/// Reads the state at the new address of its repository. Ignores a former place, and a lock, since
/// the state is not written.
fn renamed_state(
    root: &Root,
    keys: &StoreKeys,
    place: &Place,
    sealed: &Sealed,
) -> Result<State, OpError> {
    let missing = |what: String| {
        let help = "Nothing was changed. Push the branch of the state from the former address to the new one, or check the address of the remote.";
        OpError::unfit(what, help)
    };
    let snapshot = match root.store.read(keys) {
        Err(StoreError::NoBranch { .. }) => {
            return Err(missing(format!("there is no state at {place}")));
        }
        read => read?,
    };
    let StoredState::Ours(state) = snapshot.known else {
        return Err(missing(format!(
            "the state at {place} was made with another key"
        )));
    };
    check_moved(&state, &sealed.state.name())?;
    if let Some(branch) = root.store.branch() {
        branch.check_seen_at(&sealed.state.name(), &state)?;
    }
    Ok(state)
}

/// Writes the copy, unless a move that was cut off left this very one. Any other state there may be
/// one that was left behind by an earlier move and knows less.
fn copy(
    store: &Store,
    keys: &StoreKeys,
    state: &State,
    from: &MovedFrom,
) -> Result<State, OpError> {
    let keys = keys.clone().above(None);
    let mut copy = state.clone();
    let copied = CopiedFrom {
        place: from.place.name(),
        serial: state.serial,
        untouched: true,
    };
    let there = match store.read_alone(&keys) {
        Ok(snapshot) => Some(snapshot),
        Err(StoreError::NoBranch { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let is_ours = |it: &CopiedFrom| it.untouched && it.place == copied.place;
    let is_left =
        |it: &&State| it.copied.as_ref().is_some_and(is_ours) && it.lineage == state.lineage;
    let left = there.as_ref().and_then(|there| {
        let state = there.known.state().filter(is_left)?;
        Some((state, &there.version))
    });
    match left {
        Some((left, _)) if left.copied.as_ref() == Some(&copied) => return Ok(left.clone()),
        // The former place went on since.
        Some((left, version)) => {
            copy.serial = copy.serial.max(left.serial);
            copy.copied = Some(copied);
            store.write(&keys, &mut copy, version)?;
        }
        None => {
            copy.copied = Some(copied);
            store.create(&keys, &mut copy)?;
        }
    }
    Ok(copy)
}

/// Returns the other files that git must have now.
fn write_config(root: &Root, place: &Place) -> Result<Vec<PathBuf>, OpError> {
    let path = root.resolve(Path::new(CONFIG_FILE));
    let bytes = files::read_unlinked(&path).map_err(OpError::read(CONFIG_FILE))?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let text = with_state(text, place).ok_or_else(|| {
        let help = format!("The state is copied and the manifest sealed for it. Write 'state: {place}' into {CONFIG_FILE}.");
        OpError::unfit(format!("cannot change 'state' in the layout of {CONFIG_FILE}"), help)
    })?;
    files::replace_linked(&path, text.as_bytes()).map_err(OpError::write(CONFIG_FILE))?;
    let config = Config {
        state: place.clone(),
        ..root.config.clone()
    };
    let mut written = git_files(&root.resolve(Path::new("")), &config, &[])?;
    if let Place::File(state) = place {
        written.push(state.clone());
    }
    Ok(written)
}

/// Ends a move: the former place is not read any more. Returns its name, and why it is not marked as
/// moved.
pub fn end_move(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    runtime: &Runtime,
) -> Result<(String, Option<OpError>), OpError> {
    let rewrite = Rewrite::open(root, unlock, rules, runtime.now)?;
    root.store.ask_briefly(false);
    let Some(from) = rewrite.opened.sealed.moved_from.clone() else {
        return Err(OpError::unfit(
            "no move is under way",
            "Nothing was changed.",
        ));
    };
    let sealed = &rewrite.opened.sealed;
    root.check_place(sealed)?;
    let keys = root.store_keys(&rewrite.opened, rules)?;
    let here = root.store.read(&keys)?;
    let mut known = None;
    let has_former_lineage = |state: &State| state.lineage == from.floor.lineage;
    if here.known.state().is_some_and(has_former_lineage) {
        // What was written at the former place since would be lost. After 'state distrust', all is
        // sent again.
        let newest = root.with_former(sealed, &keys, here)?;
        check_free(root, &newest)?;
        if newest.former.is_some() {
            return Err(still_used(&from));
        }
        known = Some(newest.known);
    }
    // The manifest goes last: cut off, the command is run again.
    let lock = (runtime.lock_info)("state move");
    let here = known.as_ref().and_then(StoredState::state);
    let left = root.mark_moved(&from, &keys, here, (sealed.state.name(), &lock));
    let unmarked = match left {
        // One that cannot be read or written may be lost for good, and all of it is known, or sent
        // again.
        Err(OpError::Store(error))
            if !matches!(
                error,
                StoreError::Locked { .. } | StoreError::Changed { .. }
            ) =>
        {
            Some(error.into())
        }
        left => left.map(|()| None)?,
    };
    testpoint::reach("move.after_mark");
    rewrite.move_to(root, None, None)?;
    Ok((from.place.name(), unmarked))
}
