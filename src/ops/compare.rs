//! Compares the state of a root directory with its manifest, as every plan does first.

use std::collections::BTreeMap;

use super::OpError;
use super::error::take_newest;
use super::root::{Opened, Root, Unlock, UserRules};
use crate::core::address::Selection;
use crate::core::fingerprint::{ChangeId, ChangedEntry};
use crate::core::manifest::Sealed;
use crate::core::plan::{self, Exceeded, Plan, PlanInputs};
use crate::core::report::{PlanNote, PlanReport};
use crate::core::state::{Holder, Rollback, State};
use crate::store::{JournalLeft, LockStatus, StateSnapshot, Store, StoredState};
use crate::sys::signals;

/// The entries that a run is limited to.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Only these; all if empty.
    pub only: Vec<String>,
    /// Sends these even if they are in sync.
    pub resend: Vec<String>,
}

/// Opens a manifest, and reads its state without the lock.
pub fn open(
    root: &Root,
    unlock: &Unlock<'_>,
    rules: &UserRules,
) -> Result<(Opened, StateSnapshot), OpError> {
    if root.store.branch().is_some() {
        // Nothing is connected to before the manifest says that the place is meant.
        let opened = root.open(unlock, rules)?;
        let snapshot = root.read_state(&opened.sealed, &root.store_keys(&opened, rules)?)?;
        return Ok((opened, snapshot));
    }
    // The state is read while the manifest is opened: for large ones, each takes
    // a good part of the time.
    let (opened, fetched) = std::thread::scope(|scope| {
        let fetching = signals::without_signals(|| scope.spawn(|| root.store.fetch()));
        let opened = root.open(unlock, rules);
        (opened, fetching.join())
    });
    let opened = opened?;
    let keys = root.store_keys(&opened, rules)?;
    let snapshot = match fetched {
        Ok(fetched) => root.store.verify(fetched?, &keys)?,
        Err(_) => root.store.read(&keys)?,
    };
    let snapshot = root.with_former(&opened.sealed, &keys, snapshot)?;
    Ok((opened, snapshot))
}

/// A manifest next to the state of its root directory.
pub struct Comparison<'a> {
    pub root: &'a Root,
    pub opened: &'a Opened,
    /// `None` before the first apply.
    pub state: Option<State>,
    /// Whether the state was made with another key, so that nothing in it counts.
    pub key_changed: bool,
    /// Whether the manifest's revision was used before.
    pub rollback: Option<Rollback>,
}

impl<'a> Comparison<'a> {
    pub fn of(
        root: &'a Root,
        opened: &'a Opened,
        snapshot: StateSnapshot,
    ) -> Result<Self, OpError> {
        let (state, key_changed) = match snapshot.known {
            StoredState::Absent => (None, false),
            StoredState::Ours(state) => (Some(state), false),
            StoredState::OtherKey { claimed } => (Some(claimed), true),
        };
        let sealed = &opened.sealed;
        if let Some(state) = state.as_ref().filter(|state| state.scope != sealed.scope) {
            return Err(OpError::other_scope(&state.scope));
        }
        let known = state.as_ref().filter(|_| !key_changed);
        let applied = known.and_then(|state| state.rollback_from(sealed.revision, &opened.digest));
        let to = sealed.revision;
        Ok(Self {
            root,
            opened,
            rollback: applied.map(|applied| Rollback { to, applied }),
            state,
            key_changed,
        })
    }

    /// Returns the state unless it was made with another key.
    pub fn trusted(&self) -> Option<&State> {
        self.state.as_ref().filter(|_| !self.key_changed)
    }

    pub fn check_rollback(&self, allowed: bool) -> Result<(), OpError> {
        match self.rollback {
            Some(Rollback { to, applied }) if !allowed => Err(OpError::rollback(to, applied)),
            _ => Ok(()),
        }
    }

    /// Refuses a state made with another key, unless the user allowed it.
    pub fn check_key(&self) -> Result<(), OpError> {
        match self.state.as_ref().filter(|_| self.key_changed) {
            Some(state) => {
                let manifest = self.opened.sealed.fingerprint_key.id();
                let behind = self.behind();
                Err(OpError::replaced_key(&state.key_id, &manifest, behind))
            }
            None => Ok(()),
        }
    }

    fn behind(&self) -> Option<Rollback> {
        let state = self.state.as_ref().filter(|_| self.key_changed)?;
        state.ahead_of(self.opened.sealed.revision)
    }

    /// Makes the plan, after every check that could forbid it.
    pub fn plan(&self, addresses: &Addresses) -> Result<Plan, OpError> {
        let manifest = &self.opened.manifest;
        let selection = Selection::resolve(manifest, &addresses.only, &addresses.resend);
        let sealed = &self.opened.sealed;
        Ok(plan::make(&PlanInputs {
            manifest,
            state: self.state.as_ref(),
            key_changed: self.key_changed,
            fingerprinter: &sealed.fingerprint_key.fingerprinter(&sealed.scope),
            selection: &selection.map_err(OpError::unmatched)?,
            batch_size: self.root.config.apply.batch_size,
        }))
    }

    pub fn check_limits(&self, plan: &Plan, rules: &UserRules) -> Result<(), Exceeded> {
        let entries = self.opened.manifest.assignments().len();
        let knows_state = self.trusted().is_some();
        plan::check_limits(plan, &self.root.limits(rules), entries, knows_state)
    }

    pub fn change_id(&self, plan: &Plan) -> ChangeId {
        let sealed = &self.opened.sealed;
        let assignments = self.opened.manifest.assignments();
        let entries = plan.sent().map(|entry| ChangedEntry {
            key: &entry.key,
            action: entry.action.as_str(),
            values: assignments[entry.index].values().collect(),
        });
        sealed.fingerprint_key.change_id(&sealed.scope, entries)
    }

    pub fn report(&self, plan: Plan, notes: Vec<PlanNote>) -> PlanReport {
        PlanReport {
            rollback: self.rollback,
            behind: self.behind(),
            counts: plan.counts(),
            change_id: self.change_id(&plan),
            plan,
            blocked: BTreeMap::new(),
            scope: self.opened.sealed.scope.clone(),
            environment: self.root.environment(),
            saved: None,
            notes,
        }
    }
}

/// Returns the notes on a state as a whole. `holder` has the lock, unless this run has it.
pub fn notes_of(
    root: &Root,
    opened: &Opened,
    snapshot: &StateSnapshot,
    holder: Option<&str>,
) -> Result<Vec<PlanNote>, OpError> {
    let mut notes = Vec::new();
    if let Some(path) = root.elsewhere(&opened.sealed)? {
        notes.push(PlanNote::titled(
            "another state",
            format!(
                "compared with the state at {}, not with the sealed one at {}",
                path.display(),
                opened.sealed.state.name()
            ),
        ));
    }
    match &snapshot.known {
        StoredState::Absent => notes.push(no_state(root)),
        StoredState::OtherKey { claimed } => {
            let behind = claimed.ahead_of(opened.sealed.revision);
            let advice = behind.map_or_else(String::new, |it| take_newest(it) + ". ");
            notes.push(PlanNote::titled(
                "another key",
                format!(
                    "{advice}The state was made with another key, so every entry counts as never \
                     set; an apply needs --accept-new-key {} for that, sends every password of \
                     this manifest, and its state begins with revision {}, the manifest's own",
                    claimed.key_id, opened.sealed.revision
                ),
            ));
        }
        StoredState::Ours(_) if snapshot.is_carried_over => notes.push(PlanNote::titled(
            "former key",
            "the state still has the key from before the last rekey; the next apply writes it with \
             the new key, even if there is nothing to send",
        )),
        StoredState::Ours(_) => {}
    }
    notes.extend(work_note(snapshot.journal, holder));
    Ok(notes)
}

/// Returns the note that a run is at work or, if the lock is free, that an apply was cut
/// off.
pub fn work_note(journal: JournalLeft, holder: Option<&str>) -> Option<PlanNote> {
    if let Some(holder) = holder {
        return Some(PlanNote::new(format!("the lock is held by {holder}")));
    }
    let unfinished = PlanNote::titled(
        "unfinished apply",
        "an apply was cut off; the answers it recorded are included",
    );
    (journal == JournalLeft::Unfolded).then_some(unfinished)
}

/// Returns the note that there is no state file.
pub fn no_state(root: &Root) -> PlanNote {
    let path = root.store.path().display();
    PlanNote::new(match root.store.backup() {
        None => format!("no state at {path} yet: every entry counts as never set"),
        Some(backup) => format!(
            "no state at {path}, so every entry counts as never set; but {} exists: if the \
             state was lost, put it back and run 'drspass state distrust'",
            backup.display()
        ),
    })
}

/// Says how the lock of a lost run is taken over.
pub fn take_over(Holder { id, .. }: &Holder) -> String {
    format!(
        "'drspass apply --lock-timeout 10m' takes over once that run has shown nothing for 5 \
         minutes; 'drspass lock release {id}' ends its lock at once, if it has ended for certain"
    )
}

/// Says what to do about the holder of a state on a branch.
pub fn wait_or_take_over(root: &Root, holder: &Holder) -> Result<String, OpError> {
    let was_here = root.store.branch().is_some_and(|it| it.was_here(holder));
    Ok(match root.store.lock_status()? {
        LockStatus::Free if was_here => {
            "'drspass apply' goes on at once: that run was started in this clone, and has ended"
                .to_owned()
        }
        _ => format!(
            "wait until that run has ended. If it was lost, {}",
            take_over(holder)
        ),
    })
}

/// Returns the holder of the lock, or of a state on a branch, for a run that does not take it.
pub fn lock_holder(
    root: &Root,
    sealed: &Sealed,
    snapshot: &StateSnapshot,
) -> Result<Option<String>, OpError> {
    let store = snapshot.store(&root.store);
    let state = snapshot.known.state();
    let here = claimed_holder(&root.store, state.filter(|_| snapshot.former.is_none()))?;
    let Some(from) = sealed.moved_from.as_ref().filter(|_| here.is_none()) else {
        return Ok(here);
    };
    let former = root.former_store(&from.place)?;
    // One whose directory is gone has no lock.
    let locked = former.map(|former| claimed_holder(&former, None).unwrap_or_default());
    match locked.flatten() {
        None => claimed_holder(store, state),
        held => Ok(held),
    }
}

/// Like [`lock_holder`], of one place.
pub fn claimed_holder(store: &Store, state: Option<&State>) -> Result<Option<String>, OpError> {
    Ok(match store.lock_status()? {
        LockStatus::Free => state
            .and_then(|state| state.holder.as_ref())
            // A run of this clone whose lock is free has ended.
            .filter(|holder| store.branch().is_none_or(|it| !it.was_here(holder)))
            .map(|holder| format!("{holder}; if that run was lost, {}", take_over(holder))),
        LockStatus::Held(None) => Some("an unknown process".to_owned()),
        LockStatus::Held(Some(holder)) => Some(holder.to_string()),
    })
}
