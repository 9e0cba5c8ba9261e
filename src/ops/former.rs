//! The former place of a state, from `state move` until someone says that the move is done. Others
//! may go on there, and as long as the new state is an untouched copy, what they write counts
//! (design section 2.1).

use std::path::Path;

use super::OpError;
use super::apply::turn::held;
use super::error::{ErrorClass, Failure};
use super::root::Root;
use crate::core::job::EntryKey;
use crate::core::manifest::Sealed;
use crate::core::place::{MovedFrom, Place, SealedPlace};
use crate::core::state::{CopiedFrom, Holder, State};
use crate::store::branch::Branch;
use crate::store::{
    FormerState, JournalLeft, LockGuard, LockInfo, StateSnapshot, Store, StoreError, StoreKeys,
    StoredState,
};

/// What to do where nothing at the former place counts any more.
const WAY_OUT: &str = "'drspass state distrust' marks every entry to be sent again, and 'drspass state move --done' then ends the move";

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
        let StoredState::Ours(state) = &mut snapshot.known else {
            return Ok(snapshot);
        };
        if self.elsewhere(sealed)?.is_some() {
            return Ok(snapshot);
        }
        check_moved(state, &sealed.state.name())?;
        let Some(from) = &sealed.moved_from else {
            return Ok(snapshot);
        };
        let Some((store, there)) = self.former_state(sealed, from, keys, state)? else {
            return Ok(snapshot);
        };
        let (former, is_proved) = match &there.known {
            StoredState::Ours(former) => (former, true),
            // Someone may have rekeyed with the former manifest.
            StoredState::OtherKey { claimed } => (claimed, false),
            StoredState::Absent => return Ok(snapshot),
        };
        // It was marked only once nothing was written there any more.
        if is_proved && former.moved_to.as_ref() == Some(&sealed.state.name()) {
            return Ok(snapshot);
        }
        if is_proved {
            check_moved(former, &from.place.name())?;
        }
        let (went_on, is_cut_off) = (
            went_on(former, state, from),
            there.journal == JournalLeft::Unfolded,
        );
        if state.is_copy() && is_proved && (went_on || is_cut_off) {
            let version = snapshot.version;
            let place = from.place.name();
            let former = FormerState {
                store,
                place,
                version: there.version.clone(),
            };
            return Ok(StateSnapshot {
                version,
                is_carried_over: snapshot.is_carried_over || there.is_carried_over,
                former: Some(Box::new(former)),
                ..there
            });
        }
        if went_on {
            return Err(still_written(
                &format!("someone still writes to {}", from.place.name()),
                (former.serial, taken_along(state, from)),
                "Have them take the new manifest.",
            ));
        }
        if is_cut_off && store.settle_at(&self.store, state, keys)? {
            snapshot.journal = JournalLeft::Unfolded;
        }
        Ok(snapshot)
    }

    /// Returns the former place with its state; `None` if it is gone, which has not gone on, unless
    /// this clone knows better.
    fn former_state(
        &self,
        sealed: &Sealed,
        from: &MovedFrom,
        keys: &StoreKeys,
        here: &State,
    ) -> Result<Option<(Store, StateSnapshot)>, OpError> {
        let place = from.place.name();
        let Some(store) = self.former_store(&from.place)? else {
            return Err(Failure::new(
                "drspass::place::remote",
                format!("no remote of this clone is the former place, {place}"),
                format!("Nothing was sent or changed. Add it with 'git remote add'. If that place is lost, {WAY_OUT}."),
            )
            .into());
        };
        let read = store.read(&keys.clone().above(None)).and_then(|there| {
            let state = there.known.state();
            // The mark is the last thing that is written there.
            let state = state.filter(|it| it.moved_to.as_ref() != Some(&sealed.state.name()));
            if let (Some(branch), Some(state)) = (store.branch(), state) {
                branch.check_former(state)?;
            }
            Ok(there)
        });
        match read {
            Ok(there) => Ok(Some((store, there))),
            Err(StoreError::NoBranch { .. }) => match seen_beyond(&store, here, from) {
                Some(serial) => Err(still_written(
                    &format!("the state at {place} is gone, and someone wrote to it"),
                    (serial, taken_along(here, from)),
                    "Put the branch back.",
                )),
                None => Ok(None),
            },
            Err(error) if error.is_unusable() => Err(Failure::new(
                "drspass::state::former",
                format!("the state at the former place, {place}, is not usable"),
                format!("Nothing was sent or changed. Check who changed it, and put it back; otherwise {WAY_OUT}."),
            )
            .because(error)
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends at the former place what a lost run left there, its answers and its lock. From there the
    /// state is taken along with the next write.
    pub fn settle_former(
        &self,
        guard: &LockGuard,
        keys: &StoreKeys,
        mut snapshot: StateSnapshot,
    ) -> Result<StateSnapshot, OpError> {
        let StoredState::Ours(state) = &mut snapshot.known else {
            return Ok(snapshot);
        };
        let Some(former) = snapshot.former.take() else {
            return Ok(snapshot);
        };
        let FormerState {
            store,
            place,
            version,
        } = *former;
        if let Some(holder) = &state.holder
            && snapshot.is_carried_over
        {
            // Only a former manifest writes there.
            return Err(held(&store, holder));
        }
        if state.holder.take().is_some() || snapshot.journal == JournalLeft::Unfolded {
            store.commit(guard, &keys.clone().above(None), state, &version)?;
        }
        if store.branch().is_none() && snapshot.journal != JournalLeft::None {
            store.end_journal(guard)?;
        }
        snapshot.journal = JournalLeft::None;
        state.copied = Some(CopiedFrom {
            place,
            serial: state.serial,
            untouched: true,
        });
        Ok(snapshot)
    }

    /// Returns the serial at the former place, as it is or as this clone saw it last. Refuses while a
    /// run there may still be sending.
    pub fn former_serial(
        &self,
        from: &MovedFrom,
        keys: &StoreKeys,
    ) -> Result<Option<u64>, OpError> {
        // One that is not found or cannot be read is no reason to trust the new one.
        let Ok(Some(store)) = self.former_store(&from.place) else {
            return Ok(None);
        };
        let there = store.read_alone(&keys.clone().above(None));
        let known = there.map_or(StoredState::Absent, |there| there.known);
        let was_here = |it: &Holder| store.branch().is_some_and(|branch| branch.was_here(it));
        if let Some(holder) = known.state().and_then(|state| state.holder.as_deref())
            && !was_here(holder)
        {
            return Err(held(&store, holder));
        }
        Ok(match known {
            StoredState::Ours(state) | StoredState::OtherKey { claimed: state } => {
                Some(state.serial)
            }
            StoredState::Absent => store.branch().and_then(|it| Some(it.last_seen()?.serial)),
        })
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
        let Some(holder) = state.holder.take() else {
            return Ok(None);
        };
        if holder.id.as_str() != id {
            return Err(not_that_run(&holder));
        }
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
            return Err(held(&store, holder));
        }
        if here.is_some_and(|here| went_on(&state, here, from)) {
            return Err(still_used(from));
        }
        state.moved_to = Some(place);
        store.commit(&guard, &keys, &mut state, &snapshot.version)?;
        // Its answers were taken along, or all is sent again.
        if store.branch().is_none() && store.has_journal() {
            store.set_aside_journal(&guard)?;
        }
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

/// Returns the serial that this clone saw at the former place, if it is beyond what was taken along.
fn seen_beyond(store: &Store, here: &State, from: &MovedFrom) -> Option<u64> {
    let branch = store.branch()?;
    let seen = branch.last_seen()?;
    let is_beyond = match [&from.floor.lineage, &here.lineage].contains(&&seen.lineage) {
        true => seen.serial > taken_along(here, from),
        false => branch.seen_lineages().contains(&from.floor.lineage),
    };
    is_beyond.then_some(seen.serial)
}

fn still_written(what: &str, (serial, then): (u64, u64), first: &str) -> OpError {
    Failure::new(
        "drspass::state::still_written",
        format!("{what}: serial {serial}, moved at {then}"),
        format!(
            "Nothing was sent or changed. {first} What they set is not in the state: {WAY_OUT}."
        ),
    )
    .into()
}

pub fn not_that_run(holder: &Holder) -> OpError {
    OpError::unfit(
        format!("that run does not hold the state; it is held by {holder}"),
        "Nothing was changed. 'drspass lock show' names the run.",
    )
}

/// Refuses a state at `here` that goes on at another place.
pub fn check_moved(state: &State, here: &str) -> Result<(), OpError> {
    let Some(place) = &state.moved_to else {
        return Ok(());
    };
    Err(Failure::new(
        "drspass::state::moved",
        format!("the state was moved from {here} to {place}"),
        "Nothing was sent or changed. This manifest is older than the move: take the newest one, such as with 'git pull'. If that place is lost, 'drspass state distrust' marks every entry to be sent again.",
    )
    .class(ErrorClass::Sealed)
    .into())
}
