//! The `state` commands: read the state, and change it without an apply.

mod recover;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::apply::turn::{check_free, check_recent, held, holder_of};
use super::compare::{
    self, Comparison, claimed_holder, lock_holder, no_state, notes_of, work_note,
};
use super::former::not_that_run;
use super::root::{Opened, Root, Unlock, UserRules};
use super::{OpError, Runtime};
use crate::core::address::{self, Selection, Subject};
use crate::core::fingerprint::Fingerprinter;
use crate::core::job::EntryKey;
use crate::core::place::{MovedFrom, SealedPlace};
use crate::core::plan::{self, PlanInputs, prints_of, to_record};
use crate::core::redact::ForeignText;
use crate::core::rekey::carried_over;
use crate::core::report::{LedgerReport, MovedState, PlanNote};
use crate::core::rotation::RotationReport;
use crate::core::state::{CopiedFrom, Holder, Lineage, RunId, State};
use crate::store::{
    JournalLeft, LockGuard, StateSnapshot, StateVersion, Store, StoreError, StoreKeys, StoredState,
};

/// Reads the state file without a key, so nothing is authenticated. Returns a plan's notes as
/// well, and whether there are answers next to the state that are not included.
pub fn list(root: &Root) -> Result<(Option<State>, Vec<PlanNote>, bool), OpError> {
    let (state, journal) = root.store.unauthenticated()?.read_claimed()?;
    let is_lost = state.is_none() && root.store.backup().is_some();
    let lost = is_lost.then(|| no_state(root));
    let holder = claimed_holder(&root.store, state.as_ref())?;
    let work = work_note(journal, holder.as_deref());
    let has_more = journal == JournalLeft::Foreign && holder.is_none();
    let moved = state.as_ref().and_then(moved_words).map(PlanNote::new);
    let notes = lost.into_iter().chain(work).chain(moved).collect();
    Ok((state, notes, has_more))
}

/// Returns who holds a state on a branch, read without a key, and the note on a move.
pub fn holder(root: &Root) -> Result<(Option<Holder>, Option<String>), OpError> {
    let state = root.store.unauthenticated()?.read_claimed_alone();
    let state = match (state, root.store.branch()) {
        // The lock of a file is not in the state.
        (Err(_), None) => None,
        (state, _) => state?,
    };
    let note = state.as_ref().and_then(moved_words);
    Ok((state.and_then(|state| state.holder).map(|it| *it), note))
}

/// Says that a state, whose texts nothing proves, was moved or is a copy.
fn moved_words(state: &State) -> Option<String> {
    if let Some(place) = state.moved_to.as_deref().and_then(ForeignText::clean) {
        return Some(format!(
            "the state was moved to {place} (not authenticated); the newest manifest goes on there"
        ));
    }
    let copied = state.copied.as_ref().filter(|copied| copied.untouched)?;
    let place = ForeignText::clean(&copied.place)?;
    Some(format!(
        "the state was copied from {place} (not authenticated); until that move is done, a run may \
         hold the lock there, which 'drspass plan' shows"
    ))
}

/// Returns the authenticated state, or the entries of it that match `addresses`.
pub fn show(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    addresses: &[String],
) -> Result<LedgerReport, OpError> {
    let opened = root.open(unlock, rules)?;
    let keys = root.store_keys(&opened, rules)?;
    let snapshot = root.read_state(&opened.sealed, &keys)?;
    let holder = lock_holder(root, &opened.sealed, &snapshot)?;
    let notes = notes_of(root, &opened, &snapshot, holder.as_deref())?;
    let is_unfinished = snapshot.journal == JournalLeft::Unfolded && holder.is_none();
    let mut state = trusted(root, &opened, snapshot)?;
    if let Some(state) = state.as_mut().filter(|_| !addresses.is_empty()) {
        let named = named_in(state, &opened, "state show", addresses)?;
        let named: BTreeSet<EntryKey> = named.into_iter().collect();
        state.entries.retain(|key, _| named.contains(key));
    }
    let assignments = opened.manifest.assignments().iter();
    Ok(LedgerReport {
        state,
        labels: assignments
            .map(|assignment| (assignment.key.clone(), assignment.label.clone()))
            .collect(),
        is_unfinished,
        notes,
    })
}

/// Returns since when the passwords are set. The state is read as for a plan.
pub fn rotation(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
    now: Timestamp,
    max_days: Option<u32>,
) -> Result<RotationReport, OpError> {
    let (opened, snapshot) = compare::open(root, unlock, rules)?;
    let holder = lock_holder(root, &opened.sealed, &snapshot)?;
    let notes = notes_of(root, &opened, &snapshot, holder.as_deref())?;
    let known = Comparison::of(root, &opened, snapshot)?;
    known.check_rollback(rules.allow_rollback)?;
    let state = known.trusted();
    Ok(RotationReport::of(
        &opened.manifest,
        state,
        now,
        max_days,
        notes,
    ))
}

/// Checks that the state is of the manifest's project and made with its key.
fn trusted(
    root: &Root,
    opened: &Opened,
    snapshot: StateSnapshot,
) -> Result<Option<State>, OpError> {
    let known = Comparison::of(root, opened, snapshot)?;
    known.check_key()?;
    Ok(known.state)
}

/// Returns the entries of the state that match the addresses. An entry in the manifest goes
/// by its names there, any other by the id of its job.
fn named_in(
    state: &State,
    opened: &Opened,
    option: &'static str,
    addresses: &[String],
) -> Result<Vec<EntryKey>, OpError> {
    let assignments = opened.manifest.assignments().iter();
    let listed: BTreeMap<&EntryKey, Subject<'_>> = assignments
        .map(|assignment| (&assignment.key, Subject::from(assignment)))
        .collect();
    let unlisted = |key| Subject {
        key,
        name: None,
        credential: None,
    };
    let keys = state.entries.keys();
    let subjects: Vec<Subject<'_>> = keys
        .map(|key| listed.get(key).copied().unwrap_or_else(|| unlisted(key)))
        .collect();
    let marks = address::find(option, addresses, &subjects).map_err(OpError::unmatched)?;
    let named = state.entries.keys().zip(marks).filter(|(_, named)| *named);
    Ok(named.map(|(key, _)| key.clone()).collect())
}

#[derive(Debug)]
pub struct LedgerChange {
    /// What happened to the entries.
    pub what: &'static str,
    /// Their labels, in the order of the state.
    pub entries: Vec<String>,
    /// The new serial of the state.
    pub serial: u64,
    /// The revision the state starts with if the applied one is unknown.
    pub begins_with: Option<u64>,
    /// Why the outcomes in a recovery file are unknown.
    pub doubted: Option<String>,
}

/// What to do with a journal once the state is saved: [`Store::end_journal`] if the state has
/// its answers, [`Store::set_aside_journal`] if it is not trusted.
type JournalEnd = fn(&Store, &LockGuard) -> Result<(), StoreError>;

/// The state, locked for a command that changes it.
pub struct LockedLedger<'a> {
    root: &'a Root,
    runtime: &'a Runtime,
    now: Timestamp,
    opened: Opened,
    keys: StoreKeys,
    guard: LockGuard,
}

impl<'a> LockedLedger<'a> {
    pub fn open(
        root: &'a Root,
        unlock: &Unlock<'_>,
        rules: &UserRules,
        runtime: &'a Runtime,
        command: &str,
    ) -> Result<Self, OpError> {
        Self::of(root, root.open(unlock, rules)?, rules, runtime, command)
    }

    /// Like [`LockedLedger::open`], to end the lock of a run on a branch.
    pub fn to_release(
        root: &'a Root,
        unlock: &Unlock<'_>,
        rules: &UserRules,
        runtime: &'a Runtime,
    ) -> Result<Self, OpError> {
        let opened = root.open(unlock, rules)?;
        let former = opened.sealed.moved_from.as_ref();
        let is_file = |from: &MovedFrom| matches!(from.place, SealedPlace::File(_));
        if root.store.branch().is_none() && former.is_none_or(is_file) {
            return Err(OpError::unfit(
                "the lock of a state in a file ends with its process; there is nothing to release",
                "Nothing was changed.",
            ));
        }
        Self::of(root, opened, rules, runtime, "lock release")
    }

    fn of(
        root: &'a Root,
        opened: Opened,
        rules: &UserRules,
        runtime: &'a Runtime,
        command: &str,
    ) -> Result<Self, OpError> {
        let info = (runtime.lock_info)(command);
        let guard = root.lock(&opened.sealed, &opened.digest, &info)?;
        let keys = root.store_keys(&opened, rules)?;
        Ok(Self {
            root,
            runtime,
            now: info.since,
            opened,
            keys,
            guard,
        })
    }

    /// Forgets the entries that match the addresses, or else those missing from the manifest.
    pub fn forget(&self, addresses: Option<&[String]>) -> Result<LedgerChange, OpError> {
        let (state, version) = self.state()?;
        let Some(mut state) = state else {
            return Err(OpError::unfit(
                "no state yet, so nothing to forget",
                "Nothing was changed.",
            ));
        };
        let entries = match addresses {
            Some(addresses) => named_in(&state, &self.opened, "state rm", addresses)?,
            None => plan::unlisted(&self.opened.manifest, &state),
        };
        let what = "forgotten";
        if entries.is_empty() {
            return Ok(self.changed(what, &entries, state.serial));
        }
        for key in &entries {
            state.forget(key);
        }
        self.save(what, state, &version, &entries, Store::end_journal)
    }

    /// Declares that DRS already has the manifest's passwords for these entries, once `approve`
    /// has seen them.
    pub fn adopt(
        &self,
        addresses: &[String],
        approve: impl FnOnce(&[String]) -> Result<(), OpError>,
    ) -> Result<LedgerChange, OpError> {
        let assignments = self.opened.manifest.assignments();
        let subjects: Vec<Subject<'_>> = assignments.iter().map(Subject::from).collect();
        let marks =
            address::find("state adopt", addresses, &subjects).map_err(OpError::unmatched)?;
        let chosen = assignments.iter().zip(marks).filter(|(_, named)| *named);
        let chosen: Vec<_> = chosen.map(|(assignment, _)| assignment).collect();
        let (state, version) = self.state()?;
        let named: Vec<String> = chosen.iter().map(|chosen| chosen.label.clone()).collect();
        approve(&named)?;
        let mut state = state.unwrap_or_else(|| self.new_state());
        let prints = self.fingerprinter();
        let run_id = RunId::new((self.runtime.unique)());
        for assignment in &chosen {
            let fresh = prints_of(&prints, assignment, self.runtime.salt);
            state.adopt(to_record(&prints, assignment, fresh), self.now, &run_id);
        }
        let entries: Vec<EntryKey> = chosen.iter().map(|chosen| chosen.key.clone()).collect();
        self.save("adopted", state, &version, &entries, Store::end_journal)
    }

    /// Starts a new state with every entry of the manifest to be sent again, except passwords
    /// known as wrong: the way out if a state or journal is damaged or was changed outside
    /// drspass. Keeps the old files under other names. Still refuses a newer format, another key
    /// and an older manifest.
    pub fn distrust(
        mut self,
        allow_rollback: bool,
        creates: bool,
    ) -> Result<LedgerChange, OpError> {
        // Whatever its age: nothing of it is taken for set.
        let aged = self.keys.clone();
        self.keys = aged.clone().above(None);
        let store = &self.root.store;
        let sealed = &self.opened.sealed;
        let claimed = match store.read_claimed_alone() {
            Ok(Some(_)) if creates => {
                return Err(OpError::unfit(
                    format!("there is a state at {}", store.path().display()),
                    "Nothing was changed. Run 'drspass state distrust' without --create.",
                ));
            }
            Ok(claimed) => claimed,
            Err(StoreError::NoBranch { .. }) if creates => None,
            Err(StoreError::Invalid { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(state) = &claimed {
            // The rest is about this very state. Read again, it could be another one, or not be
            // reached, and would then count as not proved.
            store.ask_briefly(true);
            let former = sealed.former.as_ref();
            let former = former.map(|former| former.fingerprint_key.id());
            if state.key_id != self.keys.id && former.as_ref() != Some(&state.key_id) {
                let behind = state.ahead_of(sealed.revision);
                return Err(OpError::replaced_key(&state.key_id, &self.keys.id, behind));
            }
            let back = state.rollback_from(sealed.revision, &self.opened.digest);
            if let (Some(highest), false) = (back, allow_rollback) {
                return Err(OpError::rollback(sealed.revision, highest));
            }
        }
        let version = store.version()?;
        let proved = self.proved(&aged)?;
        let begins_with = proved.is_none().then_some(sealed.revision);
        // A new lineage, so that no saved plan and no journal of the old one fits.
        let mut state = self.new_state();
        self.root.follow(&mut state, sealed, claimed.as_ref());
        if let Some(old) = proved {
            state.highest = old.highest;
            state.retries = old.retries;
            state.entries = old.entries;
        }
        state.take_manifest(sealed.revision, self.opened.digest.clone());
        if let Some(from) = &sealed.moved_from
            && let Some(serial) = self.root.former_serial(from, &self.keys)?
        {
            // What was written there until now is sent again, too.
            state.copied = Some(CopiedFrom {
                place: from.place.name(),
                serial,
                untouched: false,
            });
        }
        let prints = self.fingerprinter();
        let assignments = self.opened.manifest.assignments().iter();
        let wanted = assignments.map(|assignment| {
            let fresh = prints_of(&prints, assignment, self.runtime.salt);
            to_record(&prints, assignment, fresh)
        });
        state.distrust(wanted, self.now, &RunId::new((self.runtime.unique)()));
        let entries: Vec<EntryKey> = state.entries.keys().cloned().collect();
        let what = "marked to be sent again";
        let changed = self.save(what, state, &version, &entries, Store::set_aside_journal)?;
        Ok(LedgerChange {
            begins_with,
            ..changed
        })
    }

    /// Returns the state if it is authentic. Refuses while a run may still be sending: the holder, or
    /// where the state is older than `aged` admit, the one that this clone saw.
    fn proved(&self, aged: &StoreKeys) -> Result<Option<State>, OpError> {
        let (store, former) = (&self.root.store, &self.opened.sealed.former);
        match store.read_alone(&self.keys) {
            Ok(snapshot) => {
                match store.read_alone(aged) {
                    // One that was put back names a run of its own time.
                    Err(_) => self.check_seen()?,
                    Ok(_) => check_free(self.root, &snapshot)?,
                }
                if let StoredState::Ours(state) = snapshot.known {
                    return Ok(Some(state));
                }
            }
            Err(StoreError::Moved { .. }) => {
                let key = former.as_ref().map(|former| &former.fingerprint_key);
                let former = key.map(|key| store.read_alone(&StoreKeys::from(key)));
                if let Some(Ok(snapshot)) = former {
                    check_recent(self.root, snapshot.known.state(), self.now)?;
                }
            }
            Err(_) => self.check_seen()?,
        }
        Ok(None)
    }

    /// Refuses while a run that this clone saw may still be sending.
    fn check_seen(&self) -> Result<(), OpError> {
        let seen = self.root.store.branch();
        let seen = seen.and_then(|branch| branch.seen_holder(self.now));
        seen.map_or(Ok(()), |holder| Err(held(&self.root.store, &holder)))
    }

    /// Carries over a state that moved after the rekey of this manifest, once `approve` has seen
    /// what it would mean.
    pub fn carry_over(
        &self,
        approve: impl FnOnce(&MovedState) -> Result<(), OpError>,
    ) -> Result<LedgerChange, OpError> {
        let Opened {
            manifest, sealed, ..
        } = &self.opened;
        let store = &self.root.store;
        let unfit = |what: &str| OpError::unfit(what, "Nothing was changed.");
        let former = sealed.former.as_ref();
        let former = former.ok_or_else(|| {
            let help = "Nothing was changed. 'rekey --again' is only for 'the state moved after this rekey'.";
            OpError::unfit("the manifest has no former key", help)
        })?;
        match store.read(&self.keys) {
            Err(StoreError::Moved { .. }) => {}
            Ok(snapshot) if snapshot.is_carried_over => {
                let what =
                    "the state has not moved since the rekey; the next apply carries it over";
                return Err(unfit(what));
            }
            Ok(_) => {
                let path = self.root.relative(store.path()).display();
                let help = "Nothing was changed. Give the right one with --state, or run 'drspass plan': it may have the new key already.";
                let what = format!("{path} was not written with the former key");
                return Err(OpError::unfit(what, help));
            }
            Err(error) => return Err(error.into()),
        }
        let key = &former.fingerprint_key;
        let snapshot = store.read(&StoreKeys::from(key))?;
        check_recent(self.root, snapshot.known.state(), self.now)?;
        let StoredState::Ours(moved) = snapshot.known else {
            return Err(unfit("the state was replaced in the meantime"));
        };
        let is_other_lineage = moved.lineage != former.lineage;
        let (then, now) = (former.serial, moved.serial);
        let mut state = carried_over(moved, key, manifest, sealed);
        // No older manifest passes, whatever the state says.
        state.highest = state.highest.max(sealed.revision.saturating_sub(1));
        let selection = Selection::resolve(manifest, &[], &[]).map_err(OpError::unmatched)?;
        let plan = plan::make(&PlanInputs {
            manifest,
            state: Some(&state),
            key_changed: false,
            fingerprinter: &self.fingerprinter(),
            selection: &selection,
            batch_size: 1,
        });
        let sent: BTreeSet<&EntryKey> = plan.sent().map(|entry| &entry.key).collect();
        let unsent = manifest.assignments().iter();
        let unsent = unsent.filter(|assignment| !sent.contains(&assignment.key));
        approve(&MovedState {
            then,
            now,
            is_other_lineage,
            unsent: unsent.map(|assignment| assignment.label.clone()).collect(),
        })?;
        let entries: Vec<EntryKey> = state.entries.keys().cloned().collect();
        let what = "written with the manifest's key";
        self.save(what, state, &snapshot.version, &entries, Store::end_journal)
    }

    /// Ends the lock of a run on a branch, once `approve` has seen the run. Returns the entries that
    /// the run leaves marked, whose outcomes are unknown.
    pub fn release(
        &self,
        id: &str,
        approve: impl FnOnce(&Holder) -> Result<(), OpError>,
    ) -> Result<LedgerChange, OpError> {
        let snapshot = self.root.store.read(&self.keys)?;
        let present = holder_of(&snapshot).cloned();
        let named = present.as_ref().filter(|holder| holder.id.as_str() == id);
        let version = snapshot.version.clone();
        match trusted(self.root, &self.opened, snapshot)? {
            Some(state) if let Some(named) = named => {
                approve(named)?;
                let marked = state.marked_by(id);
                self.save("released", state, &version, &marked, Store::end_journal)
            }
            _ => {
                let (sealed, access) = (&self.opened.sealed, (&self.guard, &self.keys));
                let released = self.root.release_former(sealed, access, id, approve)?;
                if let Some((serial, marked)) = released {
                    return Ok(self.changed("released", &marked, serial));
                }
                Err(match present {
                    Some(holder) => not_that_run(&holder),
                    None => OpError::unfit("no run holds the state", "Nothing was changed."),
                })
            }
        }
    }

    /// Returns the trusted state and its version, once a cut-off apply's answers are saved.
    fn state(&self) -> Result<(Option<State>, StateVersion), OpError> {
        let store = &self.root.store;
        let snapshot = self.root.read_state(&self.opened.sealed, &self.keys)?;
        check_free(self.root, &snapshot)?;
        let root = self.root;
        let snapshot = root.settle_former(&self.guard, &self.keys, snapshot)?;
        let snapshot = store.absorb_journal(&self.guard, &self.keys, snapshot)?;
        let version = snapshot.version.clone();
        Ok((trusted(self.root, &self.opened, snapshot)?, version))
    }

    fn fingerprinter(&self) -> Fingerprinter {
        let sealed = &self.opened.sealed;
        sealed.fingerprint_key.fingerprinter(&sealed.scope)
    }

    fn new_state(&self) -> State {
        State::new(
            self.opened.sealed.scope.clone(),
            Lineage::new((self.runtime.unique)()),
            self.keys.id.clone(),
        )
    }

    fn save(
        &self,
        what: &'static str,
        mut state: State,
        version: &StateVersion,
        entries: &[EntryKey],
        end_journal: JournalEnd,
    ) -> Result<LedgerChange, OpError> {
        let store = &self.root.store;
        store.back_up(&self.guard)?;
        store.announce();
        // No run holds it any more.
        state.holder = None;
        store.commit(&self.guard, &self.keys, &mut state, version)?;
        // The journal goes last: until the new state is there, it still counts.
        if store.has_journal() {
            end_journal(store, &self.guard)?;
        }
        Ok(self.changed(what, entries, state.serial))
    }

    fn changed(&self, what: &'static str, entries: &[EntryKey], serial: u64) -> LedgerChange {
        let assignments = self.opened.manifest.assignments().iter();
        let labels: BTreeMap<&EntryKey, &String> = assignments
            .map(|assignment| (&assignment.key, &assignment.label))
            .collect();
        let label = |key: &EntryKey| {
            let listed = labels.get(key);
            listed.map_or_else(|| key.to_string(), |label| (*label).clone())
        };
        LedgerChange {
            what,
            entries: entries.iter().map(label).collect(),
            serial,
            begins_with: None,
            doubted: None,
        }
    }
}
