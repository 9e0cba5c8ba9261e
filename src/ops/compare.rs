//! The state of a root folder compared with its manifest: what every plan begins with.

use std::collections::BTreeMap;
use std::path::Path;

use super::OpError;
use super::root::{Guards, Opened, Root};
use crate::core::address::Selection;
use crate::core::fingerprint::{ChangeId, ChangedEntry, KeyId};
use crate::core::plan::{self, Exceeded, Plan, PlanInputs};
use crate::core::report::{PlanNote, PlanReport};
use crate::core::state::{Rollback, State};
use crate::store::{JournalLeft, LockStatus, RekeyLeft, StateSnapshot, StoredState};

/// Which entries a run is about.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Only these; all when empty.
    pub only: Vec<String>,
    /// These in any case.
    pub resend: Vec<String>,
}

pub struct KnownState {
    /// What is known; nothing before the first apply.
    pub state: Option<State>,
    /// Whether it was made with another key, so that nothing in it counts.
    pub key_changed: bool,
    /// Whether the manifest's revision was used before.
    pub rollback: Option<Rollback>,
}

impl KnownState {
    /// The state, where what it says counts.
    pub fn trusted(&self) -> Option<&State> {
        self.state.as_ref().filter(|_| !self.key_changed)
    }

    pub fn check_rollback(&self, allowed: bool) -> Result<(), OpError> {
        match (self.rollback, &self.state) {
            (Some(rollback), Some(state)) if !allowed => Err(OpError::rollback(
                rollback.to,
                state.revision,
                rollback.applied,
            )),
            _ => Ok(()),
        }
    }
}

pub fn notes_of(root: &Root, opened: &Opened, snapshot: &StateSnapshot) -> Vec<PlanNote> {
    let mut notes = Vec::new();
    match &snapshot.known {
        StoredState::Absent => notes.push(no_state(root)),
        StoredState::OtherKey { claimed } => notes.push(PlanNote::KeyChanged {
            key: claimed.key_id.clone(),
            revision: opened.sealed.revision,
        }),
        StoredState::Ours(_) => {}
    }
    if snapshot.journal == JournalLeft::Unfolded {
        notes.push(PlanNote::Unfinished);
    }
    if snapshot.rekey == RekeyLeft::Unfinished {
        notes.push(PlanNote::UnfinishedRekey);
    }
    notes
}

/// That there is no state where it is looked for.
pub fn no_state(root: &Root) -> PlanNote {
    let shown = |path: &Path| path.display().to_string();
    PlanNote::NoState {
        path: shown(root.store.path()),
        backup: root.store.backup().map(|path| shown(&path)),
    }
}

/// Says who holds the lock, for a run that does not take it.
pub fn say_lock(root: &Root, notes: &mut Vec<PlanNote>) -> Result<(), OpError> {
    if let LockStatus::Held(holder) = root.store.lock_status()? {
        // What looks cut off is at work.
        notes.retain(|note| !matches!(note, PlanNote::Unfinished | PlanNote::UnfinishedRekey));
        notes.push(PlanNote::LockHeld(holder.map_or_else(
            || "somebody unknown".to_owned(),
            |holder| holder.to_string(),
        )));
    }
    Ok(())
}

/// Compares what a state is about with the manifest.
pub fn comparable(opened: &Opened, snapshot: StateSnapshot) -> Result<KnownState, OpError> {
    let (state, key_changed) = match snapshot.known {
        StoredState::Absent => {
            return Ok(KnownState {
                state: None,
                key_changed: false,
                rollback: None,
            });
        }
        StoredState::Ours(state) => (state, false),
        StoredState::OtherKey { claimed } => (claimed, true),
    };
    let sealed = &opened.sealed;
    if state.scope != sealed.scope {
        return Err(OpError::other_scope(&state.scope, &sealed.scope));
    }
    let back = state.rollback_from(sealed.revision, &opened.digest);
    Ok(KnownState {
        rollback: back.filter(|_| !key_changed).map(|applied| Rollback {
            to: sealed.revision,
            applied,
        }),
        state: Some(state),
        key_changed,
    })
}

/// A state made with another key is only replaced when the user says so.
pub fn new_key_error(comparable: &KnownState, manifest: &KeyId) -> Option<OpError> {
    let state = comparable
        .state
        .as_ref()
        .filter(|_| comparable.key_changed)?;
    Some(OpError::new_key(&state.key_id, manifest))
}

pub fn selection(opened: &Opened, addresses: &Addresses) -> Result<Selection, OpError> {
    Selection::resolve(&opened.manifest, &addresses.only, &addresses.resend)
        .map_err(OpError::unmatched)
}

/// Compares, once everything that could forbid it was asked.
pub fn make(
    root: &Root,
    opened: &Opened,
    comparable: &KnownState,
    addresses: &Addresses,
) -> Result<Plan, OpError> {
    let selection = selection(opened, addresses)?;
    let sealed = &opened.sealed;
    Ok(plan::make(&PlanInputs {
        manifest: &opened.manifest,
        state: comparable.state.as_ref(),
        key_changed: comparable.key_changed,
        fingerprinter: &sealed.fingerprint_key.fingerprinter(&sealed.scope),
        selection: &selection,
        batch_size: root.config.apply.batch_size,
    }))
}

pub fn check_limits(
    root: &Root,
    opened: &Opened,
    comparable: &KnownState,
    plan: &Plan,
    guards: &Guards,
) -> Result<(), Exceeded> {
    let entries = opened.manifest.assignments().len();
    let knows_state = comparable.trusted().is_some();
    plan::check_limits(plan, &root.limits(guards), entries, knows_state)
}

pub fn report(
    root: &Root,
    opened: &Opened,
    comparable: &KnownState,
    plan: Plan,
    notes: Vec<PlanNote>,
) -> PlanReport {
    let assignments = opened.manifest.assignments();
    PlanReport {
        rollback: comparable.rollback,
        counts: plan.counts(),
        change_id: change_id(opened, &plan),
        labels: plan
            .entries
            .iter()
            .map(|entry| assignments[entry.index].label.clone())
            .collect(),
        plan,
        blocked: BTreeMap::new(),
        scope: opened.sealed.scope.clone(),
        environment: root.environment(),
        saved: None,
        notes,
    }
}

pub fn change_id(opened: &Opened, plan: &Plan) -> ChangeId {
    let sealed = &opened.sealed;
    let assignments = opened.manifest.assignments();
    let entries = plan.sent().map(|entry| ChangedEntry {
        key: &entry.key,
        action: entry.action.as_str(),
        values: assignments[entry.index].values().collect(),
    });
    sealed.fingerprint_key.change_id(&sealed.scope, entries)
}
