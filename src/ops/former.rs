//! The former place of a state, from `state move` until someone says that the move is done. Others
//! may go on there, and as long as the new state is an untouched copy, what they write counts
//! (design section 2.1).

use std::path::Path;

use super::OpError;
use super::error::{ErrorClass, Failure};
use super::root::Root;
use crate::core::job::EntryKey;
use crate::core::manifest::Sealed;
use crate::core::place::{MovedFrom, Place, SealedPlace};
use crate::core::state::{CopiedFrom, Holder, State};
use crate::store::branch::Branch;
use crate::store::{LockGuard, LockInfo, StateSnapshot, Store, StoreError, StoreKeys, StoredState};

impl Root {
    /// Reads the state, and after a move that is not done the one at the former place too: as long as
    /// the new one is an untouched copy, what was written there since counts.
    pub fn read_state(&self, sealed: &Sealed, keys: &StoreKeys) -> Result<StateSnapshot, OpError> {
        let snapshot = self.store.read(keys)?;
        self.with_former(sealed, keys, snapshot)
    }

    pub fn with_former(
        &self,
        sealed: &Sealed,
        keys: &StoreKeys,
        mut snapshot: StateSnapshot,
    ) -> Result<StateSnapshot, OpError> {
        let Some(state) = snapshot.known.state() else {
            return Ok(snapshot);
        };
        if self.elsewhere(sealed)?.is_some() {
            return Ok(snapshot);
        }
        check_moved(state, sealed)?;
        let Some(from) = &sealed.moved_from else {
            return Ok(snapshot);
        };
        let Some((mut former, is_proved)) = self.former_state(from, keys)? else {
            return Ok(snapshot);
        };
        // It was marked only once nothing was written there any more.
        let is_moved_here = former.moved_to.as_ref() == Some(&sealed.state.name());
        if is_proved && !is_moved_here {
            check_moved(&former, sealed)?;
        }
        if is_proved && is_moved_here || !went_on(&former, state, from) {
            return Ok(snapshot);
        }
        let (place, then) = (from.place.name(), taken_along(state, from));
        if !(state.is_copy() && is_proved) {
            return Err(Failure::new(
                "drspass::state::still_written",
                format!(
                    "someone still writes to {place}: serial {}, moved at {then}",
                    former.serial
                ),
                "Nothing was sent or changed. Have them take the new manifest. What they set is not in the state: 'drspass state distrust' marks every entry to be sent again, and 'drspass state move --done' ends the move.",
            )
            .class(ErrorClass::Failed)
            .into());
        }
        if let Some(holder) = &former.holder {
            return Err(former_held(&place, holder));
        }
        former.copied = Some(CopiedFrom {
            place,
            serial: former.serial,
            untouched: true,
        });
        snapshot.known = StoredState::Ours(former);
        Ok(snapshot)
    }

    /// Returns the state at the former place, and whether it was made with this key; one that is gone
    /// has not gone on.
    pub fn former_state(
        &self,
        from: &MovedFrom,
        keys: &StoreKeys,
    ) -> Result<Option<(State, bool)>, OpError> {
        let Some(store) = self.former_store(&from.place)? else {
            return Err(Failure::new(
                "drspass::place::remote",
                format!("no remote of this clone is the former place, {}", from.place.name()),
                "Nothing was sent or changed. Add it with 'git remote add'. If that place is lost, run 'drspass state distrust', which marks every entry to be sent again, then 'drspass state move --done'.",
            )
            .into());
        };
        match store.read_alone(&keys.clone().above(None)) {
            Ok(snapshot) => Ok(match snapshot.known {
                StoredState::Ours(state) => Some((state, true)),
                // Someone may have rekeyed with the former manifest.
                StoredState::OtherKey { claimed } => Some((claimed, false)),
                StoredState::Absent => None,
            }),
            Err(StoreError::NoBranch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the lock of a run at the former place, once `approve` has seen it; returns the serial
    /// there, and the entries that the run leaves marked.
    pub fn release_former(
        &self,
        sealed: &Sealed,
        (guard, keys): (&LockGuard, &StoreKeys),
        id: &str,
        approve: impl FnOnce(&Holder) -> Result<(), OpError>,
    ) -> Result<Option<(u64, Vec<EntryKey>)>, OpError> {
        let Some(from) = &sealed.moved_from else {
            return Ok(None);
        };
        let Some(store) = self.former_store(&from.place)? else {
            return Ok(None);
        };
        let keys = keys.clone().above(None);
        let snapshot = store.read_alone(&keys)?;
        let StoredState::Ours(mut state) = snapshot.known else {
            return Ok(None);
        };
        let Some(holder) = state.holder.take_if(|it| it.id.as_str() == id) else {
            return Ok(None);
        };
        approve(&holder)?;
        store.commit(guard, &keys, &mut state, &snapshot.version)?;
        Ok(Some((state.serial, state.marked_by(id))))
    }

    /// Marks the state at the former place as moved: a former manifest would take what it knows for
    /// the truth. Where `here` is the state that took its place, it must know all of it.
    pub fn mark_moved(
        &self,
        from: &MovedFrom,
        keys: &StoreKeys,
        here: Option<&State>,
        (place, lock): (String, &LockInfo),
    ) -> Result<(), OpError> {
        let Some(store) = self.former_store(&from.place)? else {
            return Ok(());
        };
        let guard = store.lock(lock)?;
        let keys = keys.clone().above(None);
        let snapshot = match store.read_alone(&keys) {
            Err(StoreError::NoBranch { .. }) => return Ok(()),
            read => read?,
        };
        // One of another key is left to those who have it.
        let StoredState::Ours(mut state) = snapshot.known else {
            return Ok(());
        };
        if snapshot.is_carried_over || state.moved_to.is_some() {
            return Ok(());
        }
        if let Some(holder) = &state.holder {
            return Err(former_held(&from.place.name(), holder));
        }
        if here.is_some_and(|here| went_on(&state, here, from)) {
            return Err(still_used(from));
        }
        state.moved_to = Some(place);
        store.commit(&guard, &keys, &mut state, &snapshot.version)?;
        Ok(())
    }

    pub fn former_store(&self, place: &SealedPlace) -> Result<Option<Store>, OpError> {
        let branch = match place {
            SealedPlace::File(path) => {
                let path = self.resolve(Path::new(path));
                return Ok(Some(Store::at(path)));
            }
            SealedPlace::Branch { branch, .. } => branch,
        };
        // The remote may have any name here; one that no place can name is none of a state.
        let named = self.remotes()?.into_iter();
        let named = named.filter_map(|it| Place::parse(&format!("git:{it}/{branch}")).ok());
        let mut stores = named.map(|it| self.store_of(&it));
        Ok(stores.find(|store| {
            let found = store.branch().map(Branch::name);
            found.is_some_and(|name| name.is_ok_and(|name| name == place.name()))
        }))
    }
}

/// Returns the serial at the former place that a state took along last.
fn taken_along(state: &State, from: &MovedFrom) -> u64 {
    let copied = state.copied.as_ref();
    copied.map_or(from.floor.serial, |copied| copied.serial)
}

/// Returns whether the former state has more than what was taken along.
fn went_on(former: &State, state: &State, from: &MovedFrom) -> bool {
    // The present lineage, if what was taken along had a new one.
    let counted = [&from.floor.lineage, &state.lineage];
    match counted.contains(&&former.lineage) {
        true => former.serial > taken_along(state, from),
        false => former.follows.contains(&from.floor.lineage),
    }
}

pub fn still_used(from: &MovedFrom) -> OpError {
    OpError::unfit(
        format!("the state at {} went on since the move", from.place.name()),
        "Nothing was changed. Run 'drspass apply' first, which takes it along.",
    )
}

fn former_held(place: &str, holder: &Holder) -> OpError {
    Failure::new(
        "drspass::lock::held",
        format!("the state at {place} is held by {holder}"),
        format!(
            "Nothing was sent or changed. Run the command again when that run has ended; if it was lost, end its lock with 'drspass lock release {}'.",
            holder.id
        ),
    )
    .class(ErrorClass::Locked)
    .into()
}

/// Refuses a state that goes on at another place.
pub fn check_moved(state: &State, sealed: &Sealed) -> Result<(), OpError> {
    let Some(place) = &state.moved_to else {
        return Ok(());
    };
    Err(Failure::new(
        "drspass::state::moved",
        format!("the state was moved from {} to {place}", sealed.state.name()),
        "Nothing was sent or changed. This manifest is older than the move: take the newest one, such as with 'git pull'. If that place is lost, 'drspass state distrust' marks every entry to be sent again.",
    )
    .class(ErrorClass::Sealed)
    .into())
}
