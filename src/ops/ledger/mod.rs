//! The ledger commands: what the state says, who works on it, and the changes
//! of the state that are no apply.

mod change;

pub use change::{Changed, Forget, LedgerContext, Recovered, adopt, distrust, forget, recover};

use std::collections::{BTreeMap, BTreeSet};

use super::OpError;
use super::plan::{comparable, new_key_error, no_state, notes_of, say_lock};
use super::root::{Guards, Opened, Root, Unlock};
use crate::core::address::{self, Subject};
use crate::core::job::EntryKey;
use crate::core::report::{LedgerEntry, LedgerReport, PlanNote};
use crate::core::state::State;
use crate::store::{JournalLeft, LockStatus, StoreKeys};

/// What the state file claims. It was read without a key, so nothing is proved.
pub struct Claimed {
    /// The state; nothing before the first apply.
    pub state: Option<State>,
    /// Whether answers lie beside it that are not counted in.
    pub has_more: bool,
    /// What else there is to know, as a plan says it.
    pub notes: Vec<PlanNote>,
}

/// Reads the state without a key.
/// Fails if it is unreadable or damaged.
pub fn list(root: &Root) -> Result<Claimed, OpError> {
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
    Ok(Claimed {
        state,
        has_more: journal == JournalLeft::Foreign && !is_held,
        notes,
    })
}

/// Who holds the lock.
/// Fails if the lock file cannot be opened or asked.
pub fn lock(root: &Root) -> Result<LockStatus, OpError> {
    Ok(root.store.lock_status()?)
}

/// The authenticated state, whole or the entries that `addresses` name.
/// Fails if the state cannot be trusted, or an address names nothing in it.
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
    let comparable = comparable(&opened, snapshot)?;
    if let Some(error) = new_key_error(&comparable, &keys.id) {
        return Err(error);
    }
    let Some(mut state) = comparable.state else {
        return Ok(LedgerReport {
            notes,
            ..LedgerReport::default()
        });
    };
    let labels = labels(&opened);
    if !addresses.is_empty() {
        let named = named_in(&state, &opened, "state show", addresses)?;
        let named: BTreeSet<EntryKey> = named.into_iter().collect();
        state.entries.retain(|key, _| named.contains(key));
    }
    Ok(LedgerReport {
        serial: state.serial,
        revision: state.revision,
        highest: state.highest,
        lineage: state.lineage.as_str().to_owned(),
        notes,
        entries: state
            .entries
            .into_iter()
            .map(|(key, entry)| LedgerEntry {
                label: labels.get(&key).map(|label| (*label).to_owned()),
                key,
                entry,
            })
            .collect(),
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
    let marks = address::find(option, addresses, &subjects).map_err(OpError::Unmatched)?;
    Ok(state
        .entries
        .keys()
        .zip(marks)
        .filter(|(_, is_named)| *is_named)
        .map(|(key, _)| key.clone())
        .collect())
}
