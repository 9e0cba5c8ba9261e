//! What drspass knows about each entry, and the steps that change it: [`State::begin`]
//! before anything is sent, [`State::settle`] after an answer or [`State::withdraw`]
//! where nothing was sent. Paths, locks and bytes are the store's business.
//!
//! The invariant of the whole program: an entry without mark or refusal is
//! exactly what drspass last set or the user declared. The state may know less
//! than the truth, never claim more.
//!
//! The serde form of these types is the body of format `drspass.state/1`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fingerprint, KeyId, Scope};
use super::job::{Endpoint, EntryKey, JobId};
pub use super::lineage::{CopiedFrom, Holder, Lineage, ManifestDigest, RunId, minute};
use super::outcome::{Doubt, Outcome, RefusalKind};
use super::redact::{ReportedName, Token};

/// One record per field, so that a plan can say which field changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPrints {
    pub password: Fingerprint,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kerberos: BTreeMap<Field, Fingerprint>,
}

impl FieldPrints {
    pub fn is_same_record(&self, other: &Self) -> bool {
        self.password.is_same_record(&other.password)
            && self.kerberos.len() == other.kerberos.len()
            && self.kerberos.iter().all(|(field, print)| {
                let other = other.kerberos.get(field);
                other.is_some_and(|other| print.is_same_record(other))
            })
    }

    pub fn get(&self, field: Field) -> Option<&Fingerprint> {
        match field {
            Field::Password => Some(&self.password),
            kerberos => self.kerberos.get(&kerberos),
        }
    }

    pub fn get_mut(&mut self, field: Field) -> Option<&mut Fingerprint> {
        match field {
            Field::Password => Some(&mut self.password),
            kerberos => self.kerberos.get_mut(&kerberos),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueOrigin {
    Sent,
    Adopted,
}

/// In place of an option, which needs more memory in each entry.
pub const UNKNOWN: Timestamp = Timestamp::UNIX_EPOCH;

const fn unknown() -> Timestamp {
    UNKNOWN
}

fn is_unknown(time: &Timestamp) -> bool {
    *time == UNKNOWN
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    pub prints: FieldPrints,
    pub at: Timestamp,
    /// Since when the password is set, never later than the change to it; or [`UNKNOWN`].
    #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
    pub value_since: Timestamp,
    pub origin: ValueOrigin,
    #[serde(rename = "plan_id")]
    pub run_id: RunId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    pub wanted: FieldPrints,
    pub since: Timestamp,
    /// As in [`Applied`], if the password is set.
    #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
    pub value_since: Timestamp,
    /// `state distrust` marked them to be sent again; no attempt was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distrusted: bool,
    #[serde(rename = "plan_id")]
    pub run_id: RunId,
}

impl Pending {
    fn new(
        wanted: FieldPrints,
        since: Timestamp,
        value_since: Timestamp,
        run_id: &RunId,
    ) -> Box<Self> {
        Box::new(Self {
            wanted,
            since,
            value_since,
            distrusted: false,
            run_id: run_id.clone(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    WrongPassword,
    JobState,
    Busy,
    Rejected,
    InDoubt,
}

impl FailureClass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::JobState => "job_state",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::InDoubt => "in_doubt",
        }
    }
}

impl From<RefusalKind> for FailureClass {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::WrongPassword => Self::WrongPassword,
            RefusalKind::JobState => Self::JobState,
            RefusalKind::Busy => Self::Busy,
            RefusalKind::Rejected => Self::Rejected,
        }
    }
}

/// The end of the last attempt, kept until one succeeds. It contains no text of the service, which
/// may repeat a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastOutcome {
    pub class: FailureClass,
    pub code: Token,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Token>,
    pub attempted: FieldPrints,
    /// Since the last success, at least 1.
    pub attempts: u32,
    pub at: Timestamp,
    /// As in [`Pending`], if an attempt before this one may have set the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_since: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// Boxed, like the next one: few entries have one, and there may be 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<Pending>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<Box<LastOutcome>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedRetry {
    pub at: Timestamp,
    pub prints: BTreeMap<Endpoint, FieldPrints>,
    /// Endpoints whose credential has worked for another job since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub proven: BTreeSet<Endpoint>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub scope: Scope,
    pub lineage: Lineage,
    pub serial: u64,
    pub key_id: KeyId,
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestDigest>,
    pub highest: u64,
    /// On a branch alone, like `follows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Box<Holder>>,
    /// Former lineages, whose manifests this state admits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<Lineage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedFrom>,
    /// The place that replaced this one; `state move --done` sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// Jobs that are not retried again while their passwords stay the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<JobId, FailedRetry>,
    pub entries: BTreeMap<EntryKey, StateEntry>,
}

/// A manifest whose revision was used before, applied on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    pub to: u64,
    pub applied: u64,
}

impl State {
    pub fn new(scope: Scope, lineage: Lineage, key_id: KeyId) -> Self {
        Self {
            scope,
            lineage,
            serial: 0,
            key_id,
            revision: 0,
            manifest: None,
            highest: 0,
            holder: None,
            follows: Vec::new(),
            copied: None,
            moved_to: None,
            retries: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    pub fn is_copy(&self) -> bool {
        self.copied.as_ref().is_some_and(|copied| copied.untouched)
    }

    /// Names a lineage that this state follows, with those that it followed.
    pub fn follow<'a>(&mut self, former: impl IntoIterator<Item = &'a Lineage>) {
        for lineage in former {
            if *lineage != self.lineage && !self.follows.contains(lineage) {
                self.follows.push(lineage.clone());
            }
        }
    }

    /// Returns the entries that a run has marked and not settled.
    pub fn marked_by(&self, run: &str) -> Vec<EntryKey> {
        let entries = self.entries.iter().filter(|(_, entry)| {
            let pending = entry.pending.as_ref();
            pending.is_some_and(|pending| pending.run_id.as_str() == run)
        });
        entries.map(|(key, _)| key.clone()).collect()
    }

    /// Returns its serial, the revision applied last, and the highest that was ever applied.
    pub const fn numbers(&self) -> [u64; 3] {
        [self.serial, self.revision, self.highest]
    }

    /// Returns both revisions if this state is newer than a manifest, as it claims.
    pub fn ahead_of(&self, revision: u64) -> Option<Rollback> {
        let (to, applied) = (revision, self.highest);
        (to < applied).then_some(Rollback { to, applied })
    }

    /// Returns the highest revision that was applied, if the manifest would be a way back from it:
    /// it was not applied last, and its revision is not new.
    pub fn rollback_from(&self, revision: u64, manifest: &ManifestDigest) -> Option<u64> {
        let is_last = self.revision == revision && self.manifest.as_ref() == Some(manifest);
        (!is_last && revision <= self.highest).then_some(self.highest)
    }

    pub fn take_manifest(&mut self, revision: u64, manifest: ManifestDigest) {
        self.revision = revision;
        self.manifest = Some(manifest);
        self.highest = self.highest.max(revision);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Settlement {
    Applied,
    Refused {
        kind: RefusalKind,
        code: Token,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<Token>,
    },
    InDoubt {
        why: Doubt,
    },
}

impl Settlement {
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Applied => Some(Self::Applied),
            Outcome::Refused(refusal) => Some(Self::Refused {
                kind: refusal.kind,
                code: refusal.code.to_token(),
                request_id: refusal
                    .request_id
                    .as_ref()
                    .and_then(ReportedName::kept)
                    .cloned(),
            }),
            Outcome::NotSent(_) | Outcome::Blocked(_) => None,
            Outcome::InDoubt(why) => Some(Self::InDoubt { why: *why }),
        }
    }
}

/// The pending marks that [`State::begin`] replaced.
#[derive(Debug, Default)]
pub struct Replaced(BTreeMap<EntryKey, Option<Box<Pending>>>);

impl State {
    /// Marks everything that is about to be sent, each with a test whether a recorded fingerprint
    /// is of its password. Once this is saved, the outcome of these entries is unknown until it is
    /// settled, so a crash can never make one look settled.
    pub fn begin<F: Fn(&Fingerprint) -> bool>(
        &mut self,
        wanted: impl IntoIterator<Item = (EntryKey, FieldPrints, F)>,
        since: Timestamp,
        run_id: &RunId,
    ) -> Replaced {
        let mut replaced = Replaced::default();
        for (key, prints, is_password) in wanted {
            let entry = self.entries.entry(key.clone()).or_default();
            let value_since = entry.value_since(is_password).unwrap_or(since);
            let mark = Pending::new(prints, since, value_since, run_id);
            replaced.0.insert(key, entry.pending.replace(mark));
        }
        replaced
    }

    /// Records the outcome of an entry that [`State::begin`] marked (table of design section 2.4).
    /// Returns whether it was marked; otherwise nothing changes.
    pub fn settle(&mut self, key: &EntryKey, settlement: &Settlement, at: Timestamp) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let Some(pending) = entry.pending.take() else {
            return false;
        };
        let attempts = entry
            .last_outcome
            .as_ref()
            .map_or(1, |last| last.attempts.saturating_add(1));
        match settlement {
            Settlement::Applied => {
                entry.last_outcome = None;
                entry.applied = Some(Applied {
                    prints: pending.wanted,
                    at,
                    value_since: pending.value_since,
                    origin: ValueOrigin::Sent,
                    run_id: pending.run_id,
                });
            }
            Settlement::Refused {
                kind,
                code,
                request_id,
            } => {
                let is_first = pending.value_since == pending.since;
                let ended = LastOutcome {
                    class: (*kind).into(),
                    code: code.clone(),
                    request_id: request_id.clone(),
                    attempted: pending.wanted,
                    attempts,
                    at,
                    value_since: (!is_first).then_some(pending.value_since),
                };
                entry.end_attempt(ended);
            }
            Settlement::InDoubt { why } => {
                let ended = LastOutcome {
                    class: FailureClass::InDoubt,
                    code: Token::from_static(why.as_str()),
                    request_id: None,
                    attempted: pending.wanted.clone(),
                    attempts,
                    at,
                    value_since: None,
                };
                entry.end_attempt(ended);
                entry.pending = Some(pending);
            }
        }
        true
    }

    /// Restores an entry as it was before [`State::begin`], because nothing was sent for it.
    pub fn withdraw(&mut self, key: &EntryKey, replaced: &mut Replaced) {
        let (Some(before), Some(entry)) = (replaced.0.remove(key), self.entries.get_mut(key))
        else {
            return;
        };
        entry.pending = before;
        if entry.is_empty() {
            self.entries.remove(key);
        }
    }

    /// Marks the outcome of an entry as unknown, with `tried` as the values sent last. A wrong
    /// password stays known as one.
    pub fn doubt(&mut self, key: &EntryKey, tried: &StateEntry, since: Timestamp, run_id: &RunId) {
        let last = tried.last_outcome.as_ref();
        let (pending, applied) = (tried.pending.as_ref(), tried.applied.as_ref());
        let sent = pending
            .map(|pending| (&pending.wanted, pending.value_since))
            .or(last.map(|last| (&last.attempted, last.value_since.unwrap_or(UNKNOWN))))
            .or(applied.map(|applied| (&applied.prints, applied.value_since)));
        let Some((wanted, value_since)) = sent else {
            return;
        };
        let entry = self.entries.entry(key.clone()).or_default();
        entry.pending = Some(Pending::new(wanted.clone(), since, value_since, run_id));
        if let Some(wrong) = last.filter(|last| last.class == FailureClass::WrongPassword) {
            entry.last_outcome = Some(wrong.clone());
        }
    }

    /// Marks everything that is wanted to be sent again. Of what is known it keeps since when these
    /// passwords are set, and those that are wrong, which lock accounts.
    pub fn distrust<F: Fn(&Fingerprint) -> bool>(
        &mut self,
        wanted: impl IntoIterator<Item = (EntryKey, FieldPrints, F)>,
        since: Timestamp,
        run_id: &RunId,
    ) {
        let mut known = std::mem::take(&mut self.entries);
        for (key, prints, is_password) in wanted {
            let entry = known.remove(&key).unwrap_or_default();
            let value_since = entry.value_since(is_password).unwrap_or(UNKNOWN);
            let mut mark = Pending::new(prints, since, value_since, run_id);
            mark.distrusted = true;
            let last = entry.last_outcome;
            let marked = StateEntry {
                applied: None,
                pending: Some(mark),
                last_outcome: last.filter(|last| last.class == FailureClass::WrongPassword),
            };
            self.entries.insert(key, marked);
        }
    }

    /// Only of the applied password it is known since when it is set.
    pub fn adopt(
        &mut self,
        (key, prints, is_password): (EntryKey, FieldPrints, impl Fn(&Fingerprint) -> bool),
        at: Timestamp,
        run_id: &RunId,
    ) {
        let known = self
            .entries
            .get(&key)
            .and_then(|known| known.applied.as_ref());
        let known = known.filter(|applied| is_password(&applied.prints.password));
        let adopted = StateEntry {
            applied: Some(Applied {
                prints,
                at,
                value_since: known.map_or(UNKNOWN, |applied| applied.value_since),
                origin: ValueOrigin::Adopted,
                run_id: run_id.clone(),
            }),
            ..StateEntry::default()
        };
        self.entries.insert(key, adopted);
    }

    /// Records a retry as failed until the job is seen to recover: an unwatched one may have
    /// failed, and one more wrong login may lock an account.
    pub fn retry(&mut self, job: &JobId, at: Timestamp) {
        let applied = self.applied(job);
        let failed = FailedRetry {
            at,
            prints: (applied.into_iter())
                .map(|(endpoint, prints)| (endpoint, prints.clone()))
                .collect(),
            proven: BTreeSet::new(),
        };
        self.retries.insert(job.clone(), failed);
    }

    /// Returns whether the recorded retry of a job logged in with what was applied last: a job
    /// that starts with a former password says nothing of the new one.
    pub fn is_retried_as_applied(&self, job: &JobId) -> bool {
        let applied = self.applied(job);
        self.retries.get(job).is_some_and(|retry| {
            retry.prints.len() == applied.len()
                && applied.into_iter().all(|(endpoint, prints)| {
                    let tried = retry.prints.get(&endpoint);
                    tried.is_some_and(|tried| tried.is_same_record(prints))
                })
        })
    }

    fn applied(&self, job: &JobId) -> BTreeMap<Endpoint, &FieldPrints> {
        let applied = |endpoint| {
            let job = job.clone();
            let entry = self.entries.get(&EntryKey { job, endpoint })?;
            Some((endpoint, &entry.applied.as_ref()?.prints))
        };
        Endpoint::ALL.into_iter().filter_map(applied).collect()
    }

    pub fn forget(&mut self, key: &EntryKey) {
        self.entries.remove(key);
        let is_known = |endpoint| {
            let job = key.job.clone();
            self.entries.contains_key(&EntryKey { job, endpoint })
        };
        if !Endpoint::ALL.into_iter().any(is_known) {
            self.retries.remove(&key.job);
        }
    }

    /// Returns whether a journal line with this settlement adds nothing.
    pub fn reflects(&self, key: &EntryKey, settlement: &Settlement, at: Timestamp) -> bool {
        let Some(entry) = self.entries.get(key) else {
            return false;
        };
        match settlement {
            Settlement::Applied => {
                entry.pending.is_none()
                    && entry.last_outcome.is_none()
                    && entry
                        .applied
                        .as_ref()
                        .is_some_and(|applied| applied.at == at)
            }
            Settlement::Refused { .. } | Settlement::InDoubt { .. } => entry
                .last_outcome
                .as_ref()
                .is_some_and(|last| last.at == at),
        }
    }
}

impl StateEntry {
    /// Returns since when a password is set that is set or may be; `None` if it is another one.
    fn value_since(&self, is_password: impl Fn(&Fingerprint) -> bool) -> Option<Timestamp> {
        let applied = self.applied.iter();
        let applied = applied.map(|applied| (&applied.prints, applied.value_since));
        let pending = self.pending.iter();
        let pending = pending.map(|pending| (&pending.wanted, pending.value_since));
        let refused = self.last_outcome.iter();
        let refused = refused.filter_map(|last| Some((&last.attempted, last.value_since?)));
        let mut known = applied.chain(pending).chain(refused);
        let (_, since) = known.find(|(prints, _)| is_password(&prints.password))?;
        Some(since)
    }

    /// A wrong password outlives an end that does not mention it: the same value would be sent
    /// again and lock the account.
    fn end_attempt(&mut self, ended: LastOutcome) {
        let says_nothing = matches!(ended.class, FailureClass::InDoubt | FailureClass::Busy);
        match &mut self.last_outcome {
            Some(known) if says_nothing && known.class == FailureClass::WrongPassword => {
                known.attempts = ended.attempts;
                known.at = ended.at;
            }
            last => *last = Some(Box::new(ended)),
        }
    }

    fn is_empty(&self) -> bool {
        self.applied.is_none() && self.pending.is_none() && self.last_outcome.is_none()
    }
}

#[cfg(test)]
mod tests;
