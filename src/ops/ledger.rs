//! The ledger commands: what the state says, who works on it, and the changes
//! of the state that are no apply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::compare::{Comparison, no_state, notes_of, say_lock};
use super::error::Failure;
use super::root::{Guards, Opened, Root, Unlock};
use super::{OpError, Runtime};
use crate::core::address::{self, Subject};
use crate::core::fingerprint::Fingerprinter;
use crate::core::job::EntryKey;
use crate::core::plan::{self, prints_of};
use crate::core::report::{LedgerReport, PlanNote};
use crate::core::state::{Lineage, PlanId, State};
use crate::store::{
    JournalLeft, LockGuard, LockStatus, Recovery, StateVersion, StoreError, StoreKeys, StoredState,
};
use crate::sys::files;

/// What the state file claims. It was read without a key, so nothing is proved.
pub struct ClaimedState {
    /// The state; nothing before the first apply.
    pub state: Option<State>,
    /// Whether answers lie beside it that are not counted in.
    pub has_more: bool,
    /// What else there is to know, as a plan says it.
    pub notes: Vec<PlanNote>,
}

pub fn list(root: &Root) -> Result<ClaimedState, OpError> {
    let (state, journal) = root.store.read_claimed()?;
    let mut notes = Vec::new();
    if state.is_none() && root.store.backup().is_some() {
        notes.push(no_state(root));
    }
    if journal == JournalLeft::Unfolded {
        notes.push(PlanNote::Unfinished);
    }
    say_lock(root, &mut notes)?;
    let is_held = notes
        .iter()
        .any(|note| matches!(note, PlanNote::LockHeld(_)));
    Ok(ClaimedState {
        state,
        has_more: journal == JournalLeft::Foreign && !is_held,
        notes,
    })
}

pub fn lock(root: &Root) -> Result<LockStatus, OpError> {
    Ok(root.store.lock_status()?)
}

/// The authenticated state, whole or the entries that `addresses` name.
pub fn show(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    addresses: &[String],
) -> Result<LedgerReport, OpError> {
    let opened = root.open(unlock, guards)?;
    let keys = StoreKeys::from(&opened.sealed.fingerprint_key);
    let snapshot = root.store.read(&keys)?;
    let mut notes = notes_of(root, &opened, &snapshot);
    say_lock(root, &mut notes)?;
    let known = Comparison::of(root, &opened, snapshot)?;
    known.check_key()?;
    let mut state = known.state;
    if let Some(state) = state.as_mut().filter(|_| !addresses.is_empty()) {
        let named = named_in(state, &opened, "state show", addresses)?;
        let named: BTreeSet<EntryKey> = named.into_iter().collect();
        state.entries.retain(|key, _| named.contains(key));
    }
    let listed = labels(&opened).into_iter();
    Ok(LedgerReport {
        state,
        labels: listed
            .map(|(key, label)| (key.clone(), label.to_owned()))
            .collect(),
        notes,
    })
}

fn labels(opened: &Opened) -> BTreeMap<&EntryKey, &str> {
    let assignments = opened.manifest.assignments();
    assignments
        .iter()
        .map(|assignment| (&assignment.key, assignment.label.as_str()))
        .collect()
}

/// The entries of the state that the addresses name. An entry that the manifest
/// lists can be named as there, any other by the id of its job.
fn named_in(
    state: &State,
    opened: &Opened,
    option: &'static str,
    addresses: &[String],
) -> Result<Vec<EntryKey>, OpError> {
    let listed: BTreeMap<&EntryKey, Subject<'_>> = opened
        .manifest
        .assignments()
        .iter()
        .map(|assignment| (&assignment.key, Subject::from(assignment)))
        .collect();
    let subjects: Vec<Subject<'_>> = state
        .entries
        .keys()
        .map(|key| {
            listed.get(key).copied().unwrap_or(Subject {
                key,
                name: None,
                credential: None,
            })
        })
        .collect();
    let marks = address::find(option, addresses, &subjects).map_err(OpError::unmatched)?;
    Ok(state
        .entries
        .keys()
        .zip(marks)
        .filter(|(_, is_named)| *is_named)
        .map(|(key, _)| key.clone())
        .collect())
}

pub enum Forget {
    Named(Vec<String>),
    /// Those that the manifest does not list any more.
    Unlisted,
}

#[derive(Debug)]
pub struct LedgerChange {
    /// The labels of the entries, in the order of the state.
    pub entries: Vec<String>,
    /// The serial of the state as it is now.
    pub serial: u64,
    /// The revision that the state begins with, where nothing says which was applied.
    pub begins_with: Option<u64>,
}

/// What to do with a journal once the state is saved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JournalFate {
    /// It is in the state.
    Remove,
    /// Nobody trusts it, but it may tell somebody what happened.
    SetAside,
}

struct LockedLedger<'a> {
    root: &'a Root,
    runtime: &'a Runtime,
    /// When the command began.
    now: Timestamp,
    opened: Opened,
    keys: StoreKeys,
    guard: LockGuard,
}

impl<'a> LockedLedger<'a> {
    fn open(
        root: &'a Root,
        unlock: &Unlock<'_>,
        guards: &Guards,
        runtime: &'a Runtime,
        command: &str,
    ) -> Result<Self, OpError> {
        let info = (runtime.lock_info)(command);
        let opened = root.open(unlock, guards)?;
        let keys = StoreKeys::from(&opened.sealed.fingerprint_key);
        let guard = root.lock(&opened.digest, &info)?;
        Ok(Self {
            root,
            runtime,
            now: info.since,
            opened,
            keys,
            guard,
        })
    }

    /// The trusted state and its version; a cut-off apply's answers are saved first.
    fn state(&self) -> Result<(Option<State>, StateVersion), OpError> {
        let store = &self.root.store;
        let snapshot = store.read(&self.keys)?;
        let snapshot = store.absorb_journal(&self.guard, &self.keys, snapshot)?;
        let version = snapshot.version.clone();
        let known = Comparison::of(self.root, &self.opened, snapshot)?;
        known.check_key()?;
        Ok((known.state, version))
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
        state: State,
        version: &StateVersion,
        entries: Vec<EntryKey>,
    ) -> Result<LedgerChange, OpError> {
        self.save_as(state, version, entries, JournalFate::Remove)
    }

    fn save_as(
        &self,
        mut state: State,
        version: &StateVersion,
        entries: Vec<EntryKey>,
        journal: JournalFate,
    ) -> Result<LedgerChange, OpError> {
        let store = &self.root.store;
        store.back_up(&self.guard)?;
        store.commit(&self.guard, &self.keys, &mut state, version)?;
        // The journal goes last: until the new state is there, it still counts.
        if store.has_journal() {
            match journal {
                JournalFate::Remove => store.end_journal(&self.guard)?,
                JournalFate::SetAside => store.set_aside_journal(&self.guard)?,
            }
        }
        Ok(self.changed(&entries, state.serial))
    }

    fn changed(&self, entries: &[EntryKey], serial: u64) -> LedgerChange {
        let labels = labels(&self.opened);
        let label = |key: &EntryKey| {
            let listed = labels.get(key);
            listed.map_or_else(|| key.to_string(), |label| (*label).to_owned())
        };
        LedgerChange {
            entries: entries.iter().map(label).collect(),
            serial,
            begins_with: None,
        }
    }
}

/// Forgets entries: nothing is told to the service.
pub fn forget(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    runtime: &Runtime,
    what: Forget,
) -> Result<LedgerChange, OpError> {
    let ledger = LockedLedger::open(root, unlock, guards, runtime, "state rm")?;
    let (state, version) = ledger.state()?;
    let Some(mut state) = state else {
        return Err(OpError::unfit(
            "there is no state yet, so there is nothing to forget",
            "Nothing was changed.",
        ));
    };
    let entries = match what {
        Forget::Named(addresses) => named_in(&state, &ledger.opened, "state rm", &addresses)?,
        Forget::Unlisted => plan::unlisted(&ledger.opened.manifest, &state),
    };
    if entries.is_empty() {
        return Ok(ledger.changed(&entries, state.serial));
    }
    for key in &entries {
        state.forget(key);
    }
    ledger.save(state, &version, entries)
}

/// Declares that the service holds what the manifest wants for these entries.
/// `approve` is told which they are.
pub fn adopt(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    runtime: &Runtime,
    addresses: &[String],
    approve: &mut dyn FnMut(&[String]) -> Result<(), OpError>,
) -> Result<LedgerChange, OpError> {
    let ledger = LockedLedger::open(root, unlock, guards, runtime, "state adopt")?;
    let assignments = ledger.opened.manifest.assignments();
    let subjects: Vec<Subject<'_>> = assignments.iter().map(Subject::from).collect();
    let marks = address::find("state adopt", addresses, &subjects).map_err(OpError::unmatched)?;
    let chosen: Vec<_> = assignments
        .iter()
        .zip(marks)
        .filter(|(_, is_named)| *is_named)
        .map(|(assignment, _)| assignment)
        .collect();
    let (state, version) = ledger.state()?;
    let named: Vec<String> = chosen.iter().map(|chosen| chosen.label.clone()).collect();
    approve(&named)?;
    let mut state = state.unwrap_or_else(|| ledger.new_state());
    let prints = ledger.fingerprinter();
    let run_id = PlanId::new((ledger.runtime.unique)());
    for assignment in &chosen {
        let prints = prints_of(&prints, assignment, ledger.runtime.salt);
        state.adopt(&assignment.key, prints, ledger.now, &run_id);
    }
    let entries = chosen
        .iter()
        .map(|assignment| assignment.key.clone())
        .collect();
    ledger.save(state, &version, entries)
}

/// Starts the state anew with every entry of the manifest in doubt, so that all are sent
/// again, but for passwords that it knows as wrong: the way out for a state or journal
/// that is damaged or was changed outside drspass. What was there is kept beside it. None
/// of the gates that the state guards is opened: a newer format, another key, or a newer
/// manifest.
pub fn distrust(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    runtime: &Runtime,
) -> Result<LedgerChange, OpError> {
    let ledger = LockedLedger::open(root, unlock, guards, runtime, "state distrust")?;
    let store = &ledger.root.store;
    // A rekey that was cut off is finished first, or the state would seem to be another
    // key's.
    if store.has_rekey()
        && let Ok(snapshot) = store.read(&ledger.keys)
    {
        store.finish_rekey(&ledger.guard, &ledger.keys, snapshot)?;
    }
    let sealed = &ledger.opened.sealed;
    let claimed = match store.read_unverified() {
        Ok(claimed) => claimed,
        Err(StoreError::Invalid { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(state) = claimed {
        if state.key_id != ledger.keys.id {
            return Err(OpError::new_key(&state.key_id, &ledger.keys.id));
        }
        let back = state.rollback_from(sealed.revision, &ledger.opened.digest);
        if let (Some(highest), false) = (back, guards.allow_rollback) {
            return Err(OpError::rollback(sealed.revision, state.revision, highest));
        }
    }
    let version = store.version()?;
    let proved = match store
        .read_alone(&ledger.keys)
        .map(|snapshot| snapshot.known)
    {
        Ok(StoredState::Ours(state)) => Some(state),
        _ => None,
    };
    // A new lineage, so that no saved plan and no journal of the old one fits.
    let mut state = ledger.new_state();
    state.highest = proved.as_ref().map_or(0, |old| old.highest);
    state.take_manifest(sealed.revision, ledger.opened.digest.clone());
    let prints = ledger.fingerprinter();
    let assignments = ledger.opened.manifest.assignments();
    let wanted = assignments.iter().map(|assignment| {
        (
            assignment.key.clone(),
            prints_of(&prints, assignment, ledger.runtime.salt),
        )
    });
    state.begin(wanted, ledger.now, &PlanId::new((ledger.runtime.unique)()));
    state.distrust();
    let begins_with = proved.is_none().then_some(sealed.revision);
    if let Some(old) = proved {
        state.keep_warnings(old);
    }
    let entries = state.entries.keys().cloned().collect();
    let changed = ledger.save_as(state, &version, entries, JournalFate::SetAside)?;
    Ok(LedgerChange {
        begins_with,
        ..changed
    })
}

pub enum Recovered {
    Whole(LedgerChange),
    /// The state is not the one that it continues, so what it says was sent is in
    /// doubt.
    AsDoubts(LedgerChange),
}

/// Folds a recovery file back. Beside the very state that it continues it becomes
/// the state; beside any other, or none, its entries are marked to be sent again.
pub fn recover(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    runtime: &Runtime,
    file: &Path,
) -> Result<Recovered, OpError> {
    let ledger = LockedLedger::open(root, unlock, guards, runtime, "state recover")?;
    let store = &ledger.root.store;
    let path = ledger.root.resolve(file);
    let bytes = files::read_unlinked(&path).map_err(OpError::read(file))?;
    let recovery = Recovery::parse(&bytes, &ledger.keys.state).map_err(|why| {
        Failure::new(
            "drspass::state::recovery",
            format!("{} is no recovery file of this state: {why}", file.display()),
            "Nothing was changed. Name the file that the apply printed; it is made for this manifest's key.",
        )
    })?;
    if recovery.state.scope != ledger.opened.sealed.scope {
        let scope = &ledger.opened.sealed.scope;
        return Err(OpError::other_scope(&recovery.state.scope, scope));
    }
    let version = store.version()?;
    if recovery.continues(&version) {
        let changed = ledger.save(recovery.state, &version, recovery.sent)?;
        return Ok(Recovered::Whole(changed));
    }
    if store.holds(&ledger.keys, &recovery.state)? {
        // The commit had come through after all, and only its report had not.
        let serial = recovery.state.serial.saturating_add(1);
        return Ok(Recovered::Whole(ledger.changed(&recovery.sent, serial)));
    }
    as_doubts(&ledger, recovery, file).map(Recovered::AsDoubts)
}

/// Marks what a recovery file knows of as to be sent again, beside a state that is
/// not the one that it continues.
fn as_doubts(
    ledger: &LockedLedger<'_>,
    recovery: Recovery,
    file: &Path,
) -> Result<LedgerChange, OpError> {
    let store = &ledger.root.store;
    // A journal of this state is folded in; one of another run is no proof here,
    // and is set aside once the doubts are saved.
    let (snapshot, is_foreign) = match store.read(&ledger.keys) {
        Err(StoreError::ForeignJournal { .. }) => (store.read_alone(&ledger.keys)?, true),
        read => (read?, false),
    };
    let version = snapshot.version.clone();
    let known = Comparison::of(ledger.root, &ledger.opened, snapshot)?;
    known.check_key()?;
    let current = known.state;
    if let Some(state) = &current
        && state.lineage != recovery.state.lineage
    {
        return Err(OpError::unfit(
            format!("{} is not of the history of this state", file.display()),
            "Nothing was changed. Name the file that the apply on this state printed.",
        ));
    }
    // Only a state that went on past the run knows all that came before it.
    let knows_before = !is_foreign
        && current
            .as_ref()
            .is_some_and(|state| state.serial > recovery.state.serial);
    let mut state = current.unwrap_or_else(|| ledger.new_state());
    if recovery.state.highest > state.highest {
        // The run did apply that manifest, and its number is not free again.
        state.revision = recovery.state.revision;
        state.manifest.clone_from(&recovery.state.manifest);
        state.highest = recovery.state.highest;
    }
    let doubted: BTreeSet<EntryKey> = if knows_before {
        recovery.sent.into_iter().collect()
    } else {
        let known = state.entries.keys().chain(recovery.state.entries.keys());
        known.cloned().collect()
    };
    let run = PlanId::new((ledger.runtime.unique)());
    for key in &doubted {
        let tried = recovery
            .state
            .entries
            .get(key)
            .or_else(|| state.entries.get(key))
            .cloned();
        if let Some(tried) = tried {
            state.doubt(key, &tried, ledger.now, &run);
        }
    }
    let journal = if is_foreign {
        JournalFate::SetAside
    } else {
        JournalFate::Remove
    };
    ledger.save_as(state, &version, doubted.into_iter().collect(), journal)
}
