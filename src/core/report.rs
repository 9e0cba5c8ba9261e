//! What a use case has to say: all that a view may see. Nothing here can hold a
//! secret or borrow a manifest.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::fingerprint::change::ChangeId;
use super::fingerprint::{Field, KeyId, Scope};
use super::inventory::ListedJob;
use super::job::{Endpoint, EntryKey};
use super::outcome::{Outcome, Refusal};
use super::plan::{Counts, Exceeded, PlanEntry};
use super::preflight::Blocked;
use super::problem::Problem;
use super::redact::{ForeignText, Token};
use super::state::StateEntry;
use super::status::{JobStatus, ToldStatus};

/// Something a reader of a plan should know beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The state was made with another key, so nothing in it counts.
    KeyChanged,
    /// There is no state at this place, so every entry counts as never set.
    NoState(String),
    /// An apply was cut off; its recorded answers are counted in.
    Unfinished,
    /// The mode of the state file lets others at it.
    OpenToOthers,
    /// Somebody is working on this state right now.
    LockHeld(String),
    /// The plan changes more than the limits allow, so apply refuses it.
    LimitExceeded(Exceeded),
    /// How asking for the states of jobs went.
    Preflight(String),
    /// Nobody proved who made this plan.
    NotAuthenticated,
    /// So many entries of a saved plan were applied by it before.
    AppliedBefore(usize),
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

/// A plan to show.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// What an apply would do, counted.
    pub counts: Counts,
    /// Entries that are in sync.
    pub in_sync: usize,
    /// Entries of the manifest that were not selected.
    pub not_selected: usize,
    /// Entries of the state that the manifest does not list any more.
    pub unlisted: Vec<EntryKey>,
    /// Requests that an apply would send.
    pub requests: usize,
    /// Entries that are not in sync or have something to say, with their labels,
    /// in manifest order.
    pub entries: Vec<(String, PlanEntry)>,
    /// Entries whose job cannot be told a password now, where the service was asked:
    /// an apply would leave them out.
    pub blocked: BTreeMap<EntryKey, Blocked>,
    /// The service and project.
    pub scope: Scope,
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
        self.counts != Counts::default()
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

/// What became of one entry of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was up for sending.
    Tried(Outcome),
    /// It was left alone because sending it does harm or is of no use.
    Blocked(Block),
}

/// Why an entry was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// The same value was refused as wrong: repeating it locks the account.
    WrongPassword {
        /// The service's code.
        code: Token,
    },
    /// Its job cannot be told a password now.
    Job(Blocked),
}

/// A job that was looked after once its entries were applied.
#[derive(Clone, Debug)]
pub struct CaredFor {
    /// Its name, or its id.
    pub label: String,
    /// What came of it.
    pub care: Care,
}

/// What came of looking after a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Care {
    /// It was retried and works again.
    Runs(JobStatus),
    /// It was retried and failed again.
    Failed(JobStatus),
    /// A retry was asked for, and what it came to was not seen in time; the last
    /// state that was seen.
    Unseen(Option<ToldStatus>),
    /// The service did not retry it.
    Refused(Refusal),
    /// It could not be asked for a retry.
    NotAsked(NotAsked),
    /// Its owner paused it, so it was left as it is.
    LeftPaused,
}

/// Why the service could not be asked for the retry of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// No connection could be made.
    NoConnection,
    /// The login turned out to be for another project than the sealed one.
    OtherProject,
    /// The service refused the caller, or said nothing, when it was asked for others.
    Stopped,
}

impl Care {
    /// Whether the job is as it should be, or as its owner wants it.
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Runs(_) | Self::LeftPaused)
    }
}

/// Whether jobs were looked after as they were to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedAfter {
    /// All that were to be, if any.
    All,
    /// Some or all of them were not.
    Not {
        /// Why.
        why: String,
    },
}

/// How the record of an apply was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// In the state.
    InState,
    /// The state could not be written; a recovery file holds it.
    Recovery {
        /// Where.
        path: String,
        /// Why the state could not be written.
        why: String,
    },
    /// Nowhere: neither the state nor a recovery file could be written.
    Lost {
        /// Why.
        why: String,
    },
}

/// Which signal stopped a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A request to end, from the system or a closed terminal.
    Terminate,
}

/// What became of an apply.
#[derive(Clone, Debug)]
pub struct ApplyReport {
    /// Every entry that was planned, with its label, in manifest order.
    pub entries: Vec<(String, Fate)>,
    /// Requests that were sent, repetitions not counted.
    pub requests: usize,
    /// What else the answers showed.
    pub findings: Vec<String>,
    /// Jobs that were looked after.
    pub jobs: Vec<CaredFor>,
    /// Whether every job that was to be looked after was.
    pub looked_after: LookedAfter,
    /// How the record was kept.
    pub saved: Saved,
    /// What stopped the run early.
    pub interrupted: Option<Signal>,
}

impl ApplyReport {
    /// An apply that had nothing to do.
    pub const fn nothing() -> Self {
        Self {
            entries: Vec::new(),
            requests: 0,
            findings: Vec::new(),
            jobs: Vec::new(),
            looked_after: LookedAfter::All,
            saved: Saved::InState,
            interrupted: None,
        }
    }
}

/// The numbers of an apply. They add up to the number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Taken by the service.
    pub applied: usize,
    /// Refused by the service.
    pub refused: usize,
    /// Left alone because sending does harm or is of no use.
    pub blocked: usize,
    /// Left as they were.
    pub not_sent: usize,
    /// Of unknown outcome.
    pub in_doubt: usize,
}

impl Totals {
    /// All entries together.
    pub const fn total(self) -> usize {
        self.applied + self.refused + self.blocked + self.not_sent + self.in_doubt
    }
}

impl ApplyReport {
    /// Counts the fates.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, fate) in &self.entries {
            let count = match fate {
                Fate::Tried(Outcome::Applied) => &mut totals.applied,
                Fate::Tried(Outcome::Refused(_)) => &mut totals.refused,
                Fate::Tried(Outcome::NotSent(_)) => &mut totals.not_sent,
                Fate::Tried(Outcome::InDoubt(_)) => &mut totals.in_doubt,
                Fate::Blocked(_) => &mut totals.blocked,
            };
            *count += 1;
        }
        totals
    }
}

/// The state to show. It holds fingerprints, which a view never writes.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// Grows by one with every write; 0 before the first.
    pub serial: u64,
    /// The highest manifest revision that was applied.
    pub revision: u64,
    /// The identity of the state; empty before its first write.
    pub lineage: String,
    /// Whether answers of a cut-off apply are counted in.
    pub from_journal: bool,
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
    /// The job's id, where the label holds a name instead.
    pub job: String,
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

/// Something that happened during a run, for a progress display.
#[derive(Clone, Debug)]
pub enum Event {
    /// An answer was read.
    Answered {
        /// Entries whose outcome is known or in doubt by now.
        settled: usize,
        /// All entries.
        entries: usize,
    },
    /// A signal came: nothing new is sent.
    Stopping(Signal),
    /// Failed jobs were retried and are being watched.
    Watching {
        /// How many.
        jobs: usize,
        /// For how long at most.
        at_most: Duration,
    },
}
