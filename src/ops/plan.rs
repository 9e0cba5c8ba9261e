//! `plan`: compares the manifest with the state, without the lock; without the
//! network, too, unless the states of jobs are to be asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::OpError;
use super::error::{self, OtherKey, OtherScope};
use super::online::{HangUp, Online, Preflight};
use super::root::{Guards, Opened, Root, Unlock};
use super::saved::{self, SaveAs};
use crate::api::client::Client;
use crate::api::secrets::RunSecrets;
use crate::core::address::Selection;
use crate::core::fingerprint::KeyId;
use crate::core::job::EntryKey;
use crate::core::plan::{self, Exceeded, Plan, PlanInputs};
use crate::core::problem::Problem;
use crate::core::report::{PlanNote, PlanReport, Rollback};
use crate::core::state::State;
use crate::core::status::{Blocked, UnknownStates};
use crate::store::RekeyLeft;
use crate::store::{JournalLeft, LockStatus, StateSnapshot, StoreKeys, StoredState};
use crate::sys::signals;

/// Which entries a run is about.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Only these; all when empty.
    pub only: Vec<String>,
    /// These in any case.
    pub resend: Vec<String>,
}

/// A state that may be compared with the manifest.
pub struct Comparable {
    /// What is known; nothing before the first apply.
    pub state: Option<State>,
    /// Whether it was made with another key, so that nothing in it counts.
    pub key_changed: bool,
    /// Whether the manifest's revision was used before.
    pub rollback: Option<Rollback>,
}

impl Comparable {
    /// The state, where what it says counts.
    pub fn trusted(&self) -> Option<&State> {
        self.state.as_ref().filter(|_| !self.key_changed)
    }

    /// Fails if the manifest's revision was used before, unless that is `allowed`.
    pub fn check_rollback(&self, allowed: bool) -> Result<(), OpError> {
        match (self.rollback, &self.state) {
            (Some(rollback), Some(state)) if !allowed => Err(OpError::from(error::Rollback {
                manifest: rollback.to,
                applied: state.revision,
                highest: rollback.applied,
            })),
            _ => Ok(()),
        }
    }
}

/// How the service is asked for the states of jobs.
pub struct AskStates<'a> {
    /// Finds the login and prepares the client, once everything that needs no network
    /// was checked.
    pub connect: &'a dyn Fn(&Opened) -> Result<Client, OpError>,
    /// What the end of the terminal means.
    pub hang_up: HangUp,
    /// What states that are not known mean.
    pub unknown: UnknownStates,
}

/// Makes the plan of a root folder. Warnings about its documents come beside it.
/// Fails if the manifest cannot be used, the state cannot be trusted, or an
/// address names nothing.
pub fn plan(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    addresses: &Addresses,
    ask: Option<AskStates<'_>>,
    save: Option<&SaveAs<'_>>,
) -> Result<(PlanReport, Vec<Problem>), OpError> {
    // The state is read while the manifest is opened: for large ones, each takes
    // a good part of the time.
    let (opened, fetched) = std::thread::scope(|scope| {
        let fetching = signals::without_signals(|| scope.spawn(|| root.store.fetch()));
        let opened = root.open(unlock, guards);
        (opened, fetching.join())
    });
    let opened = opened?;
    let keys = StoreKeys::from(&opened.sealed.fingerprint_key);
    let snapshot = match fetched {
        Ok(fetched) => root.store.verify(fetched?, &keys)?,
        Err(_) => root.store.read(&keys)?,
    };
    let mut notes = notes_of(root, &opened, &snapshot);
    say_lock(root, &mut notes)?;
    let comparable = comparable(&opened, snapshot)?;
    comparable.check_rollback(guards.allow_rollback)?;
    if save.is_some() {
        // A state of another key tells nothing that an apply could compare.
        let key = opened.sealed.fingerprint_key.id();
        new_key_error(&comparable, &key).map_or(Ok(()), Err)?;
    }
    let plan = make(root, &opened, &comparable, addresses)?;
    if let Err(exceeded) = check_limits(root, &opened, &comparable, &plan, guards) {
        notes.push(PlanNote::LimitExceeded(exceeded));
    }
    let blocked = match ask {
        Some(ask) if plan.requests > 0 => blocked(&opened, &plan, &ask, &mut notes)?,
        _ => BTreeMap::new(),
    };
    let made = saved::Made {
        root,
        opened: &opened,
        comparable: &comparable,
        plan: &plan,
        addresses,
        guards,
    };
    let saved = save.map(|how| saved::save(&made, how)).transpose()?;
    let mut report = PlanReport {
        saved,
        ..report(root, &opened, &comparable, &plan, notes)
    };
    if !blocked.is_empty() {
        // An apply would skip it, so it is not counted as what that would do.
        let mut left = plan;
        left.entries
            .retain(|entry| !blocked.contains_key(&entry.key));
        left.count_requests(&opened.manifest, root.config.apply.batch_size);
        report.counts = left.counts();
        report.requests = left.requests;
        report.blocked = blocked;
    }
    Ok((report, opened.warnings))
}

/// The entries that an apply would leave out now.
/// Fails if the login is refused, or a signal comes first.
fn blocked(
    opened: &Opened,
    plan: &Plan,
    ask: &AskStates<'_>,
    notes: &mut Vec<PlanNote>,
) -> Result<BTreeMap<EntryKey, Blocked>, OpError> {
    let client = (ask.connect)(opened)?;
    // What the service says must not repeat what it was told.
    let places = plan.sent().map(|entry| entry.index).collect();
    let client = client.guarding(RunSecrets::new(Arc::clone(&opened.manifest), places));
    let mut online = Online::new(client, ask.hang_up)?;
    online.log_in()?;
    let keys: Vec<&EntryKey> = plan.sent().map(|entry| &entry.key).collect();
    let preflight = Preflight::ask(&mut online, keys.iter().copied(), ask.unknown)?;
    let mut said = preflight.warnings;
    online.add_notes(&mut said);
    online.leave();
    notes.extend(said.into_iter().map(PlanNote::Preflight));
    let why = |key: &EntryKey| Some((key.clone(), preflight.blocked.get(&key.job)?.clone()));
    Ok(keys.into_iter().filter_map(why).collect())
}

/// What a snapshot tells beside its entries.
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
/// Fails if the lock cannot be asked.
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
/// Fails if it belongs to another scope.
pub fn comparable(opened: &Opened, snapshot: StateSnapshot) -> Result<Comparable, OpError> {
    let (state, key_changed) = match snapshot.known {
        StoredState::Absent => {
            return Ok(Comparable {
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
        return Err(OpError::from(OtherScope {
            state: state.scope,
            manifest: sealed.scope.clone(),
        }));
    }
    let back = state.rollback_from(sealed.revision, &opened.digest);
    Ok(Comparable {
        rollback: back.filter(|_| !key_changed).map(|applied| Rollback {
            to: sealed.revision,
            applied,
        }),
        state: Some(state),
        key_changed,
    })
}

/// A state made with another key is only replaced when the user says so.
pub fn new_key_error(comparable: &Comparable, manifest: &KeyId) -> Option<OpError> {
    let state = comparable
        .state
        .as_ref()
        .filter(|_| comparable.key_changed)?;
    Some(OpError::NewKey(OtherKey {
        state: state.key_id.clone(),
        manifest: manifest.clone(),
    }))
}

/// The entries that are meant.
/// Fails if an address names nothing.
pub fn selection(opened: &Opened, addresses: &Addresses) -> Result<Selection, OpError> {
    Selection::resolve(&opened.manifest, &addresses.only, &addresses.resend)
        .map_err(OpError::Unmatched)
}

/// Compares, once everything that could forbid it was asked.
/// Fails if an address names nothing.
pub fn make(
    root: &Root,
    opened: &Opened,
    comparable: &Comparable,
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

/// Whether the plan stays within the limits in force.
/// Fails with what is exceeded.
pub fn check_limits(
    root: &Root,
    opened: &Opened,
    comparable: &Comparable,
    plan: &Plan,
    guards: &Guards,
) -> Result<(), Exceeded> {
    let entries = opened.manifest.assignments().len();
    let knows_state = comparable.trusted().is_some();
    plan::check_limits(plan, &root.limits(guards), entries, knows_state)
}

/// A plan with the labels of its entries.
pub fn report(
    root: &Root,
    opened: &Opened,
    comparable: &Comparable,
    plan: &Plan,
    notes: Vec<PlanNote>,
) -> PlanReport {
    let assignments = opened.manifest.assignments();
    PlanReport {
        rollback: comparable.rollback,
        counts: plan.counts(),
        in_sync: plan.in_sync,
        not_selected: plan.not_selected,
        unlisted: plan.unlisted.clone(),
        requests: plan.requests,
        entries: plan
            .entries
            .iter()
            .map(|entry| (assignments[entry.index].label.clone(), entry.clone()))
            .collect(),
        blocked: BTreeMap::new(),
        scope: opened.sealed.scope.clone(),
        environment: root.environment(),
        change_id: saved::change_id(opened, plan),
        saved: None,
        notes,
    }
}
