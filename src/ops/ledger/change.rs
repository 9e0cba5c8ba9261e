//! Changes of the state by a person's word: forgetting entries, declaring what
//! the service holds, distrusting everything, and folding a recovery file back.
//! Each is one commit under the lock, with a backup of what was there.

use std::path::Path;

use jiff::Timestamp;

use super::named_in;
use crate::core::address::{self, Subject};
use crate::core::fingerprint::{Fingerprinter, Salt};
use crate::core::job::EntryKey;
use crate::core::plan::{self, prints_of};
use crate::core::state::{Lineage, PlanId, State};
use crate::files;
use crate::ops::OpError;
use crate::ops::plan::{comparable, new_key_error};
use crate::ops::root::{Guards, Opened, Root, Unlock};
use crate::store::format::{FormatError, Unverified};
use crate::store::{Keys, LockGuard, LockInfo, StoreError, Version};

/// Who changes the state, and with what.
pub struct LedgerContext<'a> {
    /// The root folder.
    pub root: &'a Root,
    /// How to open its manifest.
    pub unlock: &'a Unlock<'a>,
    /// What the user accepts.
    pub guards: &'a Guards,
    /// Who takes the lock.
    pub lock: LockInfo,
    /// The time, in UTC.
    pub now: Timestamp,
    /// A fresh random salt.
    pub salt: fn() -> Salt,
    /// A fresh unique text.
    pub unique: fn() -> String,
}

/// Which entries to forget.
pub enum Forget {
    /// Those that the addresses name.
    Named(Vec<String>),
    /// Those that the manifest does not list any more.
    Unlisted,
}

/// What was changed.
#[derive(Debug)]
pub struct Changed {
    /// The entries, in the order of the state.
    pub entries: Vec<EntryKey>,
    /// The serial of the state as it is now.
    pub serial: u64,
}

/// A state that is open for one change.
struct LockedLedger<'a> {
    root: &'a Root,
    opened: Opened,
    keys: Keys,
    guard: LockGuard,
}

impl<'a> LockedLedger<'a> {
    fn open(context: &'a LedgerContext<'_>) -> Result<Self, OpError> {
        let opened = context.root.open(context.unlock, context.guards)?;
        let keys = Keys::from(&opened.sealed.fingerprint_key);
        let guard = context.root.store.lock(&context.lock)?;
        Ok(Self {
            root: context.root,
            opened,
            keys,
            guard,
        })
    }

    /// The trusted state and its version; a cut-off apply's answers are saved first.
    fn state(&self, guards: &Guards) -> Result<(Option<State>, Version), OpError> {
        let store = &self.root.store;
        let snapshot = store.read(&self.keys)?;
        let snapshot = store.absorb_journal(&self.guard, &self.keys, snapshot)?;
        let version = snapshot.version.clone();
        let comparable = comparable(&self.opened, snapshot, guards)?;
        match new_key_error(&comparable, &self.keys.id) {
            Some(error) => Err(error),
            None => Ok((comparable.state, version)),
        }
    }

    fn fingerprinter(&self) -> Fingerprinter {
        let sealed = &self.opened.sealed;
        sealed.fingerprint_key.fingerprinter(&sealed.scope)
    }

    fn new_state(&self, lineage: Lineage) -> State {
        State::new(
            self.opened.sealed.scope.clone(),
            lineage,
            self.keys.id.clone(),
        )
    }

    fn save(
        &self,
        mut state: State,
        version: &Version,
        entries: Vec<EntryKey>,
    ) -> Result<Changed, OpError> {
        let store = &self.root.store;
        store.back_up(&self.guard)?;
        store.commit(&self.guard, &self.keys, &mut state, version)?;
        if store.has_journal() {
            store.end_journal(&self.guard)?;
        }
        Ok(Changed {
            entries,
            serial: state.serial,
        })
    }
}

/// Forgets entries: nothing is told to the service.
/// Fails, with the state as it was, if an address names nothing in it.
pub fn forget(context: &LedgerContext<'_>, what: Forget) -> Result<Changed, OpError> {
    let ledger = LockedLedger::open(context)?;
    let (state, version) = ledger.state(context.guards)?;
    let Some(mut state) = state else {
        return Err(OpError::Unfit {
            what: "there is no state yet, so there is nothing to forget".to_owned(),
            help: "Nothing was changed.",
        });
    };
    let entries = match what {
        Forget::Named(addresses) => named_in(&state, &ledger.opened, "state rm", &addresses)?,
        Forget::Unlisted => plan::unlisted(&ledger.opened.manifest, &state),
    };
    if entries.is_empty() {
        return Ok(Changed {
            entries,
            serial: state.serial,
        });
    }
    for key in &entries {
        state.entries.remove(key);
    }
    ledger.save(state, &version, entries)
}

/// Declares that the service holds what the manifest wants for these entries.
/// `approve` is told how many they are.
/// Fails if an address names nothing, or nobody approved.
pub fn adopt(
    context: &LedgerContext<'_>,
    addresses: &[String],
    approve: &mut dyn FnMut(usize) -> Result<(), OpError>,
) -> Result<Changed, OpError> {
    let ledger = LockedLedger::open(context)?;
    let assignments = ledger.opened.manifest.assignments();
    let subjects: Vec<Subject<'_>> = assignments.iter().map(Subject::from).collect();
    let marks = address::find("state adopt", addresses, &subjects).map_err(OpError::Unmatched)?;
    let chosen: Vec<_> = assignments
        .iter()
        .zip(marks)
        .filter(|(_, is_named)| *is_named)
        .map(|(assignment, _)| assignment)
        .collect();
    let (state, version) = ledger.state(context.guards)?;
    approve(chosen.len())?;
    let mut state = state.unwrap_or_else(|| ledger.new_state(Lineage::new((context.unique)())));
    let prints = ledger.fingerprinter();
    let run_id = PlanId::new((context.unique)());
    for assignment in &chosen {
        let prints = prints_of(&prints, assignment, context.salt);
        state.adopt(&assignment.key, prints, context.now, &run_id);
    }
    let entries = chosen
        .iter()
        .map(|assignment| assignment.key.clone())
        .collect();
    ledger.save(state, &version, entries)
}

/// Starts the state anew with every entry of the manifest in doubt, so that all
/// are sent again. This is the way out for a state or journal that was changed
/// outside drspass or is damaged; what was there is kept beside it.
/// Fails if a newer version wrote it, another key made it, or it knows a newer
/// manifest: distrust opens none of the gates that the state guards.
pub fn distrust(context: &LedgerContext<'_>) -> Result<Changed, OpError> {
    let ledger = LockedLedger::open(context)?;
    let store = &ledger.root.store;
    let sealed = &ledger.opened.sealed;
    let claimed = match store.read_unverified() {
        Ok(claimed) => claimed,
        Err(StoreError::Invalid { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let known_revision = claimed.as_ref().map_or(0, |state| state.revision);
    if let Some(state) = claimed.filter(|state| state.key_id != ledger.keys.id) {
        return Err(OpError::NewKey {
            state: state.key_id,
            manifest: ledger.keys.id.clone(),
        });
    }
    if sealed.revision < known_revision && !context.guards.allow_rollback {
        return Err(OpError::Rollback {
            manifest: sealed.revision,
            applied: known_revision,
        });
    }
    let version = store.version()?;
    // A new lineage, so that no saved plan and no journal of the old one fits.
    let mut state = ledger.new_state(Lineage::new((context.unique)()));
    state.revision = sealed.revision;
    let prints = ledger.fingerprinter();
    let assignments = ledger.opened.manifest.assignments();
    let wanted = assignments.iter().map(|assignment| {
        (
            assignment.key.clone(),
            prints_of(&prints, assignment, context.salt),
        )
    });
    state.begin(wanted, context.now, &PlanId::new((context.unique)()));
    let entries = state.entries.keys().cloned().collect();
    if store.has_journal() {
        store.set_aside_journal(&ledger.guard)?;
    }
    ledger.save(state, &version, entries)
}

/// Makes a recovery file the state. It must be of the same lineage and newer than
/// the state that it replaces.
/// Fails if the file is not authentic, or the state went on without it.
pub fn recover(context: &LedgerContext<'_>, file: &Path) -> Result<Changed, OpError> {
    let ledger = LockedLedger::open(context)?;
    let store = &ledger.root.store;
    let bytes =
        files::read_unlinked(&ledger.root.resolve(file)).map_err(|source| OpError::Read {
            path: file.to_owned(),
            source,
        })?;
    let unusable = |why| OpError::Recovery {
        path: file.to_owned(),
        why,
    };
    let unverified = Unverified::parse(&bytes).map_err(unusable)?;
    if !unverified.is_authentic(&bytes, &ledger.keys.state) {
        return Err(unusable(FormatError::NotAuthentic));
    }
    let mut recovered = unverified.claimed();
    if recovered.scope != ledger.opened.sealed.scope {
        return Err(OpError::other_scope(
            recovered.scope,
            &ledger.opened.sealed.scope,
        ));
    }
    // The journal beside the state is part of what the file holds already, so it
    // is not asked; the state may even have been put back to an older one.
    let version = store.version()?;
    let current = store.read_unverified()?;
    let follows = current
        .as_ref()
        .is_none_or(|state| state.lineage == recovered.lineage && state.serial < recovered.serial);
    if !follows {
        return Err(OpError::Unfit {
            what: format!("{} does not follow the state beside it", file.display()),
            help: "Nothing was changed. The state went on without it; run 'drspass plan' and apply what it lists.",
        });
    }
    if let Some(current) = &current {
        recovered.take_doubts(current);
    }
    // A commit raises the serial, and the recovered one is the next already.
    recovered.serial = recovered.serial.saturating_sub(1);
    let entries = recovered.entries.keys().cloned().collect();
    ledger.save(recovered, &version, entries)
}
