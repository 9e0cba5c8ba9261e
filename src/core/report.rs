//! What a use case has to say: all that a view may see. Nothing here can hold a
//! secret or borrow a manifest.

mod applied;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::{ChangeId, Field, KeyId, Scope, Tag};
use super::inventory::ListedJob;
use super::job::{Endpoint, EntryKey};
use super::plan::{Counts, Exceeded, PlanEntry};
use super::problem::Problem;
use super::recipients::Difference;
use super::redact::ForeignText;
use super::state::StateEntry;
use super::status::Blocked;

pub use applied::{
    ApplyReport, Block, Event, Fate, NotAsked, NotRetried, RetryJobsEnd, RetryJobsEntry,
    RetryJobsResult, Saved, Signal, Totals,
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

/// The state to show. It holds fingerprints, which a view never writes.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// Grows by one with every write; 0 before the first.
    pub serial: u64,
    /// The revision of the manifest that was applied last.
    pub revision: u64,
    /// The highest revision that was ever applied.
    pub highest: u64,
    /// The identity of the state; empty before its first write.
    pub lineage: String,
    /// What else there is to know, as a plan says it.
    pub notes: Vec<Note>,
    /// The entries, in the order of the state.
    pub entries: Vec<LedgerEntry>,
}

/// One entry of the state.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// Which entry.
    pub key: EntryKey,
    /// Its label in the manifest, if it is listed there.
    pub label: Option<String>,
    /// What is known of it.
    pub entry: StateEntry,
}

/// A manifest to show. It holds no secret.
pub struct Shown {
    /// The name of the root directory.
    pub environment: Option<ForeignText>,
    /// What is sealed with it, if it is sealed.
    pub seal: Option<ShownSeal>,
    /// Its entries, in its order.
    pub entries: Vec<ShownEntry>,
}

/// What is sealed with a manifest, but for its key.
pub struct ShownSeal {
    /// Service and project.
    pub scope: Scope,
    /// The name of its key.
    pub key_id: KeyId,
    /// Its revision.
    pub revision: u64,
    /// How many recipients can read it.
    pub recipients: usize,
}

/// One entry.
pub struct ShownEntry {
    /// Its label.
    pub label: String,
    /// Which entry.
    pub key: EntryKey,
    /// The shared credential that it uses.
    pub credential: Option<String>,
    /// The fields that it sets.
    pub fields: Vec<Field>,
}

/// A root folder without errors.
pub struct Valid {
    /// What somebody should look at in drspass.yaml.
    pub config_warnings: Vec<Problem>,
    /// The manifest, where it was opened.
    pub manifest: Option<ValidManifest>,
}

/// A manifest without errors.
pub struct ValidManifest {
    /// How many entries it lists.
    pub entries: usize,
    /// How many jobs they belong to.
    pub jobs: usize,
    /// Its revision.
    pub revision: u64,
    /// The key that it carries.
    pub key_id: KeyId,
    /// What somebody should look at in it.
    pub warnings: Vec<Problem>,
}

/// Who calls, as the identity service tells it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user, where that is told.
    pub user: Option<ForeignText>,
    /// The user's domain (account).
    pub domain: Option<ForeignText>,
    /// The name of the project.
    pub project_name: Option<ForeignText>,
    /// The end of the token; none for a key, which signs each request.
    pub token_end: Option<Timestamp>,
    /// Whether requests are signed with a key.
    pub is_key: bool,
}

/// A login to show.
#[derive(Clone, Debug)]
pub struct LoginReport {
    /// Where it came from, in words without any value.
    pub source: String,
    /// Who it is.
    pub caller: Caller,
    /// The sealed service and project, which it fits.
    pub scope: Scope,
    /// The sealed identity service.
    pub auth_url: String,
    /// The region that drspass.yaml names.
    pub region: Option<String>,
}

/// The jobs of a project to show.
#[derive(Clone, Debug)]
pub struct JobsReport {
    /// The project.
    pub project_id: String,
    /// Its jobs, in the order of the service.
    pub jobs: Vec<ManagedJob>,
    /// Entries of the manifest whose job the project does not list.
    pub absent: Vec<EntryKey>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A job and what the manifest sets of it.
#[derive(Clone, Debug)]
pub struct ManagedJob {
    /// The job.
    pub job: ListedJob,
    /// Whether the manifest sets the password of its source.
    pub source: bool,
    /// Whether the manifest sets the password of its destination.
    pub destination: bool,
}

impl ManagedJob {
    /// Whether the manifest sets the password of an endpoint.
    pub const fn is_managed(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Source => self.source,
            Endpoint::Destination => self.destination,
        }
    }
}

/// What a new value does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its place did not exist.
    Added,
    /// Another value stood there.
    Changed,
    /// The same value stands there.
    Same,
}

/// Everything that an import does. It holds no secret.
#[derive(Debug)]
pub struct Import {
    /// In the order of the file.
    pub rows: Vec<ImportRow>,
    /// The revision of the manifest, if it was written.
    pub revision: Option<u64>,
}

/// One value of the file.
#[derive(Debug)]
pub struct ImportRow {
    /// How its place is shown.
    pub label: String,
    /// The field.
    pub field: Field,
    /// What it does there.
    pub effect: Effect,
    /// How many endpoints use it, if it is a credential.
    pub users: Option<usize>,
}

impl Import {
    /// How many values have this effect.
    pub fn count(&self, effect: Effect) -> usize {
        self.rows.iter().filter(|row| row.effect == effect).count()
    }

    /// How many values change the manifest.
    pub fn changes(&self) -> usize {
        self.rows.len() - self.count(Effect::Same)
    }
}

/// A part of the target that is sealed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which part, as drspass.yaml names it.
    pub field: &'static str,
    /// What was sealed.
    pub from: String,
    /// What drspass.yaml says.
    pub to: String,
}

/// Why the fingerprint key is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKeyReason {
    /// Somebody who has it is removed.
    Removed,
    /// The manifest goes over to another service or project, where nothing that was
    /// made for the former one shall fit.
    OtherScope,
    /// The user asked for it.
    Asked,
}

/// What a new key means for the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFate {
    /// The key stays, and so does the state.
    Untouched,
    /// There is none at this place.
    Absent {
        /// The place.
        path: String,
    },
    /// It is rewritten with the new key.
    CarriedOver {
        /// How many entries it has.
        entries: usize,
    },
    /// It is of the former service or project, so a new one begins.
    LeftBehind {
        /// How many entries it has.
        entries: usize,
    },
}

/// What a rekey is about to do.
#[derive(Debug)]
pub struct RekeyPlan {
    /// The manifest, as configured.
    pub manifest: String,
    /// How many recipients it will have.
    pub recipients: usize,
    /// Who is added and removed.
    pub change: Difference,
    /// What is sealed anew of the target.
    pub moved: Vec<Moved>,
    /// Why there is a new fingerprint key, if there is one.
    pub new_key: Option<NewKeyReason>,
    /// What that means for the state.
    pub state: StateFate,
    /// Whether none of the identities at hand will open the manifest.
    pub is_lockout: bool,
    /// Whether an earlier one that was cut off has just been finished.
    pub finished: bool,
}

/// What a rekey did.
#[derive(Debug)]
pub struct Rekeyed {
    /// What was to be done.
    pub plan: RekeyPlan,
    /// The revision that the manifest has now.
    pub revision: u64,
    /// The new key, if there is one.
    pub key_id: Option<KeyId>,
    /// Where the former state is kept, if there was one and the key is new.
    pub former_state: Option<String>,
}

/// A manifest without its values and comments. Whoever can encrypt to its readers may
/// have written it, so every text of its free parts was cleaned.
pub struct Outline {
    /// Counts the writes.
    pub revision: u64,
    /// The name of its key.
    pub key_id: KeyId,
    /// The service, the project and the identity service that it is sealed for.
    pub target: [ForeignText; 3],
    /// To whom it is encrypted, shortened.
    pub recipients: Vec<ForeignText>,
    /// Its credentials by name.
    pub credentials: Vec<(String, Tag)>,
    /// Its jobs, in its order.
    pub jobs: Vec<OutlinedJob>,
}

/// One job.
pub struct OutlinedJob {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What its endpoints shall have.
    pub values: Vec<OutlinedValue>,
}

/// One value of one endpoint.
pub struct OutlinedValue {
    /// The entry's label.
    pub label: String,
    /// What stands there.
    pub value: Outlined,
}

/// How a value is shown.
pub enum Outlined {
    /// It stands in the entry itself.
    Own(Field, Tag),
    /// It is the password of this credential, whose tag is shown there.
    Shared(String),
}

/// Why nothing of a file is shown. It holds nothing of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veiled {
    /// It cannot be read, is no regular file, or is too long.
    Unreadable,
    /// It is not encrypted.
    Plain,
    /// It holds the marks of an unresolved merge.
    Conflict,
    /// It is no whole age file that is encrypted to recipients.
    Damaged,
    /// No identity that is at hand without asking opens it.
    NoIdentity,
    /// An identity would have to be asked for or run: a passphrase or a plugin.
    Locked,
    /// It was opened, and is no valid sealed manifest.
    Invalid,
}
