//! What a use case has to say: all that a view may see. Nothing here can hold a
//! secret or borrow a manifest.

mod applied;
mod import;
pub mod outline;
mod rekey;
mod shown;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::change::ChangeId;
use super::fingerprint::{KeyId, Scope};
use super::job::EntryKey;
use super::plan::{Counts, Exceeded, PlanEntry};
use super::preflight::Blocked;
use super::redact::ForeignText;

pub use applied::{
    ApplyReport, Block, Event, Fate, NotAsked, NotRetried, RetryJobsEnd, RetryJobsEntry,
    RetryJobsResult, Saved, Signal, Totals,
};
pub use import::{Effect, Import, ImportRow};
pub use rekey::{Moved, NewKeyReason, RekeyPlan, Rekeyed, StateFate};
pub use shown::{
    Caller, JobsReport, LedgerEntry, LedgerReport, LoginReport, ManagedJob, Shown, ShownEntry,
    ShownSeal, Valid, ValidManifest,
};

/// Something a reader of a plan should know beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The state was made with another key, so nothing in it counts.
    KeyChanged {
        /// That key.
        key: KeyId,
        /// The revision of the manifest, which the next state begins with.
        revision: u64,
    },
    /// There is no state at this place, so every entry counts as never set.
    NoState {
        /// The place.
        path: String,
        /// A copy of a former state that is there.
        backup: Option<String>,
    },
    /// An apply was cut off; its recorded answers are counted in.
    Unfinished,
    /// A rekey was cut off; the state is read as it left it.
    UnfinishedRekey,
    /// Somebody is working on this state right now.
    LockHeld(String),
    /// The plan changes more than the limits allow, so apply refuses it.
    LimitExceeded(Exceeded),
    /// How asking for the states of jobs went.
    Preflight(String),
    /// Nobody proved who made this plan.
    NotAuthenticated,
    /// Some entries of a saved plan were applied by it before.
    AppliedBefore {
        /// So many.
        done: usize,
        /// So many are not.
        left: usize,
    },
    /// The manifest was written again since a plan was saved, and still wants the same
    /// of its entries.
    ManifestRewritten {
        /// The plan's revision.
        plan: u64,
        /// The present one.
        manifest: u64,
    },
    /// The state was written since a plan was saved, and its entries did not move.
    StateMoved {
        /// The plan's serial.
        then: u64,
        /// The present one.
        now: u64,
    },
}

/// A manifest whose revision was used before, which is applied on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Its revision.
    pub to: u64,
    /// The highest that was applied.
    pub applied: u64,
}

/// A plan to show.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// Whether it goes back to a manifest of before.
    pub rollback: Option<Rollback>,
    /// What an apply would do, counted without what is blocked.
    pub counts: Counts,
    /// Entries that are in sync.
    pub in_sync: usize,
    /// Entries of the manifest that were not selected.
    pub not_selected: usize,
    /// Entries of the state that the manifest does not list any more.
    pub unlisted: Vec<EntryKey>,
    /// Requests that an apply would send, without what is blocked.
    pub requests: usize,
    /// Entries that are not in sync or have something to say, with their labels,
    /// in manifest order.
    pub entries: Vec<(String, PlanEntry)>,
    /// Entries whose job cannot be told a password now, where the service was asked:
    /// an apply would leave them out.
    pub blocked: BTreeMap<EntryKey, Blocked>,
    /// The service and project.
    pub scope: Scope,
    /// The name of the root directory.
    pub environment: Option<ForeignText>,
    /// The name of the change: equal for equal changes.
    pub change_id: ChangeId,
    /// What is known of the file, where the plan was saved.
    pub saved: Option<SavedFacts>,
    /// What else there is to know.
    pub notes: Vec<Note>,
}

/// What is known of a saved plan beside its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFacts {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is not applied.
    pub expires: Timestamp,
}

impl PlanReport {
    /// Whether the manifest and the state differ in anything.
    pub fn has_changes(&self) -> bool {
        self.counts != Counts::default() || !self.blocked.is_empty()
    }

    /// What names it, without its entries.
    pub fn name(&self) -> PlanName {
        PlanName {
            scope: self.scope.clone(),
            change_id: self.change_id.clone(),
            saved: self.saved.clone(),
            has_changes: self.has_changes(),
        }
    }
}

/// What names a plan: enough to tell what an apply was about.
#[derive(Clone, Debug)]
pub struct PlanName {
    /// The service and project.
    pub scope: Scope,
    /// The name of the change.
    pub change_id: ChangeId,
    /// What is known of the file, where the plan was saved.
    pub saved: Option<SavedFacts>,
    /// Whether the manifest and the state differed in anything.
    pub has_changes: bool,
}
