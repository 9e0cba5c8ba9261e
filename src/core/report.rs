//! What a use case has to say: all that a view may see. Nothing here can hold a
//! secret or borrow a manifest.

use super::fingerprint::{Field, KeyId, Scope};
use super::job::EntryKey;
use super::outcome::Outcome;
use super::plan::{Counts, Exceeded, PlanEntry};
use super::problem::Problem;
use super::redact::Token;
use super::state::StateEntry;

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
    /// What else there is to know.
    pub notes: Vec<Note>,
}

impl PlanReport {
    /// Whether the manifest and the state differ in anything.
    pub fn has_changes(&self) -> bool {
        self.counts != Counts::default()
    }
}

/// What became of one entry of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was up for sending.
    Tried(Outcome),
    /// It was left alone because sending it does harm.
    Blocked {
        /// The code that says why.
        code: Token,
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
    /// How the record was kept.
    pub saved: Saved,
    /// What stopped the run early.
    pub interrupted: Option<Signal>,
}

/// The numbers of an apply. They add up to the number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Taken by the service.
    pub applied: usize,
    /// Refused by the service.
    pub refused: usize,
    /// Left alone because sending does harm.
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
                Fate::Blocked { .. } => &mut totals.blocked,
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
}
