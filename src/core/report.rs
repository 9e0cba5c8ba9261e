//! Reports of the use cases: all that a view may see. Nothing here can contain a secret.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::fingerprint::{ChangeId, Field, KeyId, Scope};
use super::inventory::{JobFilter, ListedJob};
use super::job::{Endpoint, EntryKey};
use super::outcome::{Outcome, Refusal};
use super::plan::{Counts, Plan};
use super::recipients::Difference;
use super::redact::ForeignText;
use super::state::{Rollback, State};
use super::status::{Blocked, JobStatus, ReportedStatus};

/// A remark for readers of a plan, next to its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanNote {
    /// Its heading in CI annotations; without one it is not annotated.
    pub title: Option<&'static str>,
    pub text: String,
}

impl PlanNote {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            title: None,
            text: text.into(),
        }
    }

    pub fn titled(title: &'static str, text: impl Into<String>) -> Self {
        Self {
            title: Some(title),
            text: text.into(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct PlanReport {
    pub rollback: Option<Rollback>,
    /// Both revisions, if a state of another key claims to be newer than the manifest.
    pub behind: Option<Rollback>,
    /// Without blocked entries.
    pub counts: Counts,
    /// Its requests are counted without blocked entries.
    pub plan: Plan,
    /// Entries that an apply would skip, if the service was asked.
    pub blocked: BTreeMap<EntryKey, Blocked>,
    pub scope: Scope,
    pub environment: Option<ForeignText>,
    pub change_id: ChangeId,
    pub saved: Option<SavedFacts>,
    pub notes: Vec<PlanNote>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFacts {
    pub id: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}

impl PlanReport {
    pub fn has_changes(&self) -> bool {
        self.counts != Counts::default() || !self.blocked.is_empty()
    }
}

/// It contains fingerprints, which a view never writes.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// `None` before the first write.
    pub state: Option<State>,
    /// Labels of the entries in the manifest.
    pub labels: BTreeMap<EntryKey, String>,
    pub is_unfinished: bool,
    pub notes: Vec<PlanNote>,
}

pub struct ManifestReport {
    pub environment: Option<ForeignText>,
    pub seal: Option<ManifestSeal>,
    pub entries: Vec<ManifestEntry>,
}

pub struct ManifestSeal {
    pub scope: Scope,
    pub key_id: KeyId,
    pub revision: u64,
    pub recipients: usize,
}

pub struct ManifestEntry {
    pub label: String,
    pub key: EntryKey,
    pub credential: Option<String>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct LoginIdentity {
    pub user: Option<ForeignText>,
    pub domain: Option<ForeignText>,
    pub project_name: Option<ForeignText>,
    /// `None` for an access key, which signs each request.
    pub token_end: Option<Timestamp>,
    pub is_key: bool,
}

#[derive(Clone, Debug)]
pub struct LoginReport {
    pub source: String,
    pub caller: LoginIdentity,
    pub scope: Scope,
    pub auth_url: String,
    pub region: Option<String>,
}

#[derive(Clone, Debug)]
pub struct JobsReport {
    pub project_id: String,
    /// Those that were asked for.
    pub jobs: Vec<ListedJob>,
    pub wanted: JobFilter,
    /// All jobs of the project.
    pub total: usize,
    pub managed: BTreeSet<EntryKey>,
    /// Those whose job the project does not list.
    pub absent: Vec<EntryKey>,
    pub notes: Vec<String>,
}

impl JobsReport {
    pub fn is_managed(&self, job: &ListedJob, endpoint: Endpoint) -> bool {
        let job = job.id.clone();
        self.managed.contains(&EntryKey { job, endpoint })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetChange {
    pub field: &'static str,
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFate {
    Untouched,
    Absent { path: String },
    CarriedOver { entries: usize },
    LeftBehind { entries: usize },
}

#[derive(Debug)]
pub struct RekeyPlan {
    pub manifest: String,
    pub scope: Scope,
    pub environment: Option<ForeignText>,
    pub recipients: usize,
    pub change: Difference,
    pub moved: Vec<TargetChange>,
    /// Why a new fingerprint key will be made, if one will.
    pub new_key: Option<&'static str>,
    pub state: StateFate,
    pub is_lockout: bool,
}

#[derive(Debug)]
pub struct Rekeyed {
    pub plan: RekeyPlan,
    /// The files, and the revision.
    pub written: String,
    pub key_id: Option<KeyId>,
    /// The key of the state, until a command writes it with the new one.
    pub former_key_id: Option<KeyId>,
}

/// A state that was written with the former key after a rekey.
#[derive(Debug)]
pub struct MovedState {
    pub then: u64,
    pub now: u64,
    pub is_other_lineage: bool,
    /// The labels of the entries that the next apply would not send: in sync, or held.
    pub unsent: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct RetryJobsEntry {
    pub label: String,
    pub result: RetryJobsResult,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryJobsResult {
    Runs(JobStatus),
    Failed(JobStatus),
    Unseen(Option<ReportedStatus>),
    Refused(Refusal),
    /// Nothing was sent, for this reason.
    NotAsked(String),
    /// An earlier retry with the same passwords failed or was not confirmed.
    RetriedBefore(JobStatus, Timestamp),
    LeftAlone(JobStatus, &'static str),
    LeftPaused,
}

impl RetryJobsResult {
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Runs(_) | Self::LeftPaused | Self::LeftAlone(..))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateSaved {
    #[default]
    InState,
    Recovery {
        path: String,
        why: String,
        use_it: RecoveryUse,
    },
    Lost {
        why: String,
    },
}

/// When a recovery file is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryUse {
    /// Only if the journal next to the state is lost, which has the outcomes too.
    WithoutJournal,
    /// Only in another clone than this one, whose journal has the outcomes too.
    InAnotherClone,
    /// Before any other change: nothing else has all outcomes.
    First,
    /// In any case: the state is another one by now, so the outcomes become unknown.
    AsUnknown,
    /// With the newest manifest: the state was moved, where nothing else has the outcomes.
    AfterMove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    /// Returns what it did to a run, as the end of a sentence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated by a signal",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct ApplyReport {
    pub entries: Vec<(String, Outcome)>,
    /// Whether the entries were shown before retried jobs were watched.
    pub is_shown: bool,
    pub requests: usize,
    pub findings: Vec<String>,
    pub jobs: Vec<RetryJobsEntry>,
    /// Whether jobs were to be retried and none had failed.
    pub none_failed: bool,
    /// Why jobs were not retried as requested.
    pub not_retried: Option<String>,
    pub saved: StateSaved,
    pub interrupted: Option<Signal>,
}

/// They add up to the number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub applied: usize,
    pub refused: usize,
    pub blocked: usize,
    pub not_sent: usize,
    pub in_doubt: usize,
}

impl Totals {
    pub fn total(self) -> usize {
        self.named().iter().map(|(number, _)| number).sum()
    }

    pub const fn count(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Applied => &mut self.applied,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Blocked(_) => &mut self.blocked,
            Outcome::NotSent(_) => &mut self.not_sent,
            Outcome::InDoubt(_) => &mut self.in_doubt,
        };
        *count += 1;
    }

    pub const fn named(self) -> [(usize, &'static str); 5] {
        [
            (self.applied, "applied"),
            (self.refused, "refused"),
            (self.blocked, "skipped"),
            (self.not_sent, "not sent"),
            (self.in_doubt, "unknown"),
        ]
    }
}

impl ApplyReport {
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let outcomes = self.entries.iter();
        outcomes.for_each(|(_, outcome)| totals.count(outcome));
        totals
    }
}

/// How far a step of a run is, for a progress display.
pub struct Step {
    /// What is done; then what is counted, one and several.
    pub what: [&'static str; 3],
    pub done: usize,
    /// 0 if unknown.
    pub of: usize,
    pub outcomes: Vec<(usize, &'static str)>,
}

pub enum Progress {
    At(Step),
    /// The present step is further by this number, unless it has outcomes.
    Adds(usize),
}

impl Progress {
    pub fn at(what: [&'static str; 3], of: usize, outcomes: &[(usize, &'static str)]) -> Self {
        Self::At(Step {
            what,
            done: outcomes.iter().map(|(number, _)| number).sum(),
            of,
            outcomes: outcomes.to_vec(),
        })
    }
}
