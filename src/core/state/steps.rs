//! The steps that change a state: [`State::begin`] before anything is sent,
//! [`State::settle`] after an answer or [`State::withdraw`] where nothing was sent,
//! and what a user declares. Each is a pure function of what is known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Applied, FailedRetry, FailureClass, FieldPrints, LastOutcome, Origin, Pending, PlanId, State,
    StateEntry,
};
use crate::core::job::{Endpoint, EntryKey, JobId};
use crate::core::outcome::{Doubt, Outcome, RefusalKind};
use crate::core::redact::{Token, ToldName};

/// What can be recorded of an attempt: the part of an [`Outcome`] that outlives
/// the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Settlement {
    /// The service took the value.
    Applied,
    /// The service refused it.
    Refused {
        /// What kind of refusal.
        kind: RefusalKind,
        /// The service's code.
        code: Token,
        /// The service's id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<Token>,
    },
    /// It is unknown what became of it.
    InDoubt {
        /// Why.
        why: Doubt,
    },
}

impl Settlement {
    /// What to record of `outcome`; nothing for an entry that was not sent,
    /// which is put back by [`State::withdraw`].
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Applied => Some(Self::Applied),
            Outcome::Refused(refusal) => Some(Self::Refused {
                kind: refusal.kind,
                code: refusal.code.to_token(),
                request_id: refusal
                    .request_id
                    .as_ref()
                    .and_then(ToldName::kept)
                    .cloned(),
            }),
            Outcome::NotSent(_) => None,
            Outcome::InDoubt(why) => Some(Self::InDoubt { why: *why }),
        }
    }
}

/// The pending marks that [`State::begin`] replaced, to put back those of
/// entries that were not sent after all.
#[derive(Debug, Default)]
pub struct Replaced(BTreeMap<EntryKey, Option<Box<Pending>>>);

impl State {
    /// Marks everything that is about to be sent. From the moment this is saved
    /// until an outcome is settled, these entries are in doubt, so a crash can
    /// never make one look settled.
    pub fn begin(
        &mut self,
        wanted: impl IntoIterator<Item = (EntryKey, FieldPrints)>,
        since: Timestamp,
        plan_id: &PlanId,
    ) -> Replaced {
        let mut replaced = Replaced::default();
        for (key, prints) in wanted {
            let mark = Box::new(Pending {
                wanted: prints,
                since,
                distrusted: false,
                plan_id: plan_id.clone(),
            });
            let entry = self.entries.entry(key.clone()).or_default();
            replaced.0.insert(key, entry.pending.replace(mark));
        }
        replaced
    }

    /// Records what became of an entry that [`State::begin`] marked
    /// (the table of design section 2.4). Returns whether the entry was marked;
    /// one that was not is left alone, since nothing is known to have been sent.
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
                    origin: Origin::Sent,
                    plan_id: pending.plan_id,
                });
            }
            Settlement::Refused {
                kind,
                code,
                request_id,
            } => {
                let ended = LastOutcome {
                    class: (*kind).into(),
                    code: code.clone(),
                    request_id: request_id.clone(),
                    attempted: pending.wanted,
                    attempts,
                    at,
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
                };
                entry.end_attempt(ended);
                entry.pending = Some(pending);
            }
        }
        true
    }

    /// Puts an entry back as it was before [`State::begin`], because nothing
    /// was sent for it.
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

    /// Marks an entry as in doubt about what `tried` says was sent last. A wrong
    /// password stays known as one.
    pub fn doubt(
        &mut self,
        key: &EntryKey,
        tried: &StateEntry,
        since: Timestamp,
        plan_id: &PlanId,
    ) {
        let last = tried.last_outcome.as_ref();
        let prints = tried
            .pending
            .as_ref()
            .map(|pending| &pending.wanted)
            .or(last.map(|last| &last.attempted))
            .or(tried.applied.as_ref().map(|applied| &applied.prints));
        let Some(wanted) = prints.cloned() else {
            return;
        };
        let entry = self.entries.entry(key.clone()).or_default();
        entry.pending = Some(Box::new(Pending {
            wanted,
            since,
            distrusted: false,
            plan_id: plan_id.clone(),
        }));
        if let Some(wrong) = last.filter(|last| last.class == FailureClass::WrongPassword) {
            entry.last_outcome = Some(wrong.clone());
        }
    }

    /// Marks every entry that has a mark as distrusted: it is sent again on the user's word.
    pub fn distrust(&mut self) {
        for pending in self.entries.values_mut().filter_map(|e| e.pending.as_mut()) {
            pending.distrusted = true;
        }
    }

    /// Takes over from `old` what keeps accounts from being locked: the wrong passwords
    /// and the failed retries that it knows.
    pub fn keep_warnings(&mut self, old: Self) {
        self.retries = old.retries;
        for (key, known) in old.entries {
            let wrong = known.last_outcome;
            let wrong = wrong.filter(|last| last.class == FailureClass::WrongPassword);
            if let (Some(wrong), Some(entry)) = (wrong, self.entries.get_mut(&key)) {
                entry.last_outcome = Some(wrong);
            }
        }
    }

    /// Records the user's word that the service holds these values.
    pub fn adopt(&mut self, key: &EntryKey, prints: FieldPrints, at: Timestamp, plan_id: &PlanId) {
        let adopted = StateEntry {
            applied: Some(Applied {
                prints,
                at,
                origin: Origin::Adopted,
                plan_id: plan_id.clone(),
            }),
            ..StateEntry::default()
        };
        self.entries.insert(key.clone(), adopted);
    }

    /// Records the retry of a job as failed, until the job is seen to recover: what was
    /// asked for and never looked at may have failed, and one more wrong login may lock
    /// an account.
    pub fn retry(&mut self, job: &JobId, at: Timestamp) {
        let applied = |endpoint| {
            let key = EntryKey {
                job: job.clone(),
                endpoint,
            };
            let applied = self.entries.get(&key)?.applied.as_ref()?;
            Some((endpoint, applied.prints.clone()))
        };
        let prints = Endpoint::ALL.into_iter().filter_map(applied).collect();
        let failed = FailedRetry { at, prints };
        self.retries.insert(job.clone(), failed);
    }

    /// Forgets an entry, and the retry of its job if it was the last one.
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

    /// Whether this state already contains `settlement` for `key`, so that a
    /// journal line that says so adds nothing.
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
    /// Keeps how an attempt without success ended. That a password is wrong is not
    /// forgotten for an end that says nothing about it: the same value would be
    /// sent again and lock the account.
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

    /// Whether it says nothing at all.
    fn is_empty(&self) -> bool {
        self.applied.is_none() && self.pending.is_none() && self.last_outcome.is_none()
    }
}
