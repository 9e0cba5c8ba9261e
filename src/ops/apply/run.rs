//! An apply that was approved: marks, sends, records and folds, in this order.

use std::collections::BTreeSet;
use std::path::Path;

use super::keep::{Keeper, Kept};
use super::record::Recorder;
use super::send::{SendReport, send};
use super::{ApplyContext, Prints};
use crate::core::job::EntryKey;
use crate::core::outcome::{BlockReason, NotSent, Outcome};
use crate::core::plan::{Action, Plan, PlanEntry, Reason, Requests, prints_of, to_record};
use crate::core::report::{ApplyReport, RecoveryUse, StateSaved};
use crate::core::state::{Replaced, RunId, State, StateEntry};
use crate::ops::OpError;
use crate::ops::error::with_causes;
use crate::ops::online::{Online, Preflight};
use crate::ops::root::{Opened, Root};
use crate::store::Recovery;
use crate::store::branch::Branch;
use crate::store::journal::JournalWriter;
use crate::store::{LockGuard, StateVersion, StoreError, StoreKeys};
use crate::sys::testpoint;

pub type SavedState = Option<(State, StateVersion)>;

pub struct Run<'a> {
    pub root: &'a Root,
    pub keys: &'a StoreKeys,
    pub opened: &'a Opened,
    pub plan: &'a Plan,
    pub id: RunId,
    pub preflight: &'a Preflight,
    /// Whether the state differs from what is written, even if nothing is sent.
    pub is_unsaved: bool,
    /// Whether the user was asked, or did not want to be.
    pub is_asked: bool,
}

impl Run<'_> {
    /// Sends the entries, and returns the resulting state with its version, unless that could
    /// not be saved.
    pub fn execute(
        &self,
        guard: &LockGuard,
        online: &mut Online,
        mut state: State,
        version: StateVersion,
        prints: &mut Prints,
        context: &mut ApplyContext<'_>,
    ) -> Result<(ApplyReport, SavedState), OpError> {
        let batch_size = self.root.config.apply.batch_size;
        let requests = Requests::of(self.sent(), &self.opened.manifest, batch_size);
        if requests.is_empty() {
            return self.send_nothing(guard, online, state, version);
        }
        let now = context.runtime.now;
        let (recorder, hand_over, mut journal) = Recorder::start().map_err(OpError::runtime)?;
        std::thread::scope(|scope| {
            let lease = self.root.store.branch().map(Branch::lease).transpose()?;
            let with = (self.root, guard, self.keys);
            let keeper = lease.map(|lease| Keeper::start(scope, with, lease, now));
            let keeper = keeper.transpose().map_err(OpError::runtime)?;
            let (writer, mut replaced, version) =
                self.mark(guard, &mut state, &version, prints, context)?;
            testpoint::reach("apply.before_first_send");

            // A thread that is gone shows as a broken journal, which stops the run.
            let _ = hand_over.send(writer);
            if let Some(keeper) = &keeper {
                keeper.begin(&state, &version);
            }
            journal.keeper = keeper.as_ref().map(Keeper::handle);
            let sent = send(
                online,
                &self.opened.manifest,
                requests,
                self.root.config.apply.parallelism,
                now,
                &mut journal,
                context.progress,
            );
            drop(journal);
            let kept = keeper.and_then(Keeper::finish).unwrap_or(Kept {
                version,
                serial: state.serial,
                notes: Vec::new(),
            });
            // Whatever the journal took, the outcomes are in memory: they reach the state now, or
            // a recovery file.
            let journal_error = recorder.finish().err();
            for answer in &sent.answers {
                answer.fold_into(&mut state);
            }
            state.serial = kept.serial;
            let records = sent.answers.iter().flat_map(|answer| &answer.records);
            let recorded: BTreeSet<&EntryKey> = records.map(|record| &record.entry).collect();
            for entry in self.sent().filter(|entry| !recorded.contains(&entry.key)) {
                state.withdraw(&entry.key, &mut replaced);
            }
            testpoint::reach("apply.before_fold");
            let sent_keys = sent.outcomes.keys().cloned().collect();
            let has_journal = journal_error.is_none() && self.root.store.has_journal();
            let to = (&kept.version, context.elsewhere.as_path());
            let (saved, state) = self.save(guard, state, to, sent_keys, has_journal);
            let mut report = self.report(online, sent, saved);
            report.findings.extend(kept.notes);
            let unwritten = |error| format!("the journal could not be written: {error}");
            report.findings.extend(journal_error.map(unwritten));
            Ok((report, state))
        })
    }

    /// Reports that every entry is skipped, and writes a state that is not written yet.
    fn send_nothing(
        &self,
        guard: &LockGuard,
        online: &Online,
        mut state: State,
        mut version: StateVersion,
    ) -> Result<(ApplyReport, SavedState), OpError> {
        if self.is_unsaved {
            state.holder = None;
            let store = &self.root.store;
            version = store.commit(guard, self.keys, &mut state, &version)?;
        }
        let sent = SendReport {
            stopped: Some(NotSent::OthersBlocked),
            ..SendReport::default()
        };
        let report = self.report(online, sent, StateSaved::InState);
        Ok((report, Some((state, version))))
    }

    /// Begins the journal and marks the entries to be sent. Returns what the marks replaced, too.
    fn mark(
        &self,
        guard: &LockGuard,
        state: &mut State,
        version: &StateVersion,
        prints: &mut Prints,
        context: &mut ApplyContext<'_>,
    ) -> Result<(JournalWriter, Replaced, StateVersion), OpError> {
        let store = &self.root.store;
        store.back_up(guard)?;
        // The journal comes first: where the disk has no room for it, nothing is marked.
        let marked = state.serial + 1;
        let lineage = &state.lineage;
        let writer = store.begin_journal(guard, self.keys, lineage, marked, &self.id)?;
        let replaced = self.begin(state, prints, context);
        state.holder = store.holder(&context.lock, &self.id);
        store.announce();
        let marks = self
            .root
            .check_unchanged(&self.opened.digest)
            .and_then(|()| {
                let marks = store.commit(guard, self.keys, state, version);
                marks.map_err(OpError::from)
            });
        match marks {
            Ok(version) => Ok((writer, replaced, version)),
            Err(error) => {
                // A journal that stays behind does no harm. On a branch the marks may still arrive,
                // and it shows that they are of a run of this clone, which has ended.
                if store.branch().is_none() {
                    let _ = store.end_journal(guard);
                }
                Err(error)
            }
        }
    }

    /// Returns the entries of the plan that are not blocked.
    fn sent(&self) -> impl Iterator<Item = &PlanEntry> {
        let preflight = self.preflight;
        let is_free = move |entry: &&PlanEntry| {
            !preflight.held_back && !preflight.blocked.contains_key(&entry.key.job)
        };
        self.plan.sent().filter(is_free)
    }

    fn begin(
        &self,
        state: &mut State,
        prints: &mut Prints,
        context: &ApplyContext<'_>,
    ) -> Replaced {
        let sealed = &self.opened.sealed;
        let fingerprinter = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        let assignments = self.opened.manifest.assignments();
        let wanted = self.sent().map(|entry| {
            let assignment = &assignments[entry.index];
            // Those of a saved plan are recorded as they are, so that the record tells
            // which plan made it.
            let prints = prints
                .remove(&entry.key)
                .unwrap_or_else(|| prints_of(&fingerprinter, assignment, context.runtime.salt));
            to_record(&fingerprinter, assignment, prints)
        });
        state.begin(wanted, (context.runtime.now)(), &self.id)
    }

    /// Folds the outcomes into the state, or else into a recovery file.
    fn save(
        &self,
        guard: &LockGuard,
        mut state: State,
        (version, elsewhere): (&StateVersion, &Path),
        sent: Vec<EntryKey>,
        has_journal: bool,
    ) -> (StateSaved, SavedState) {
        let store = &self.root.store;
        let holder = state.holder.take();
        store.announce();
        let error = match store.commit(guard, self.keys, &mut state, version) {
            // A journal that stays behind is recognised as folded later on.
            Ok(version) => {
                let _ = store.end_journal(guard);
                return (StateSaved::InState, Some((state, version)));
            }
            Err(error) => error,
        };
        // It names the run whose lock is still in the state.
        state.holder = holder;
        let recovery = Recovery::new(version, sent, state);
        let saved = match store.rescue(self.keys, &recovery, elsewhere) {
            Ok(path) => StateSaved::Recovery {
                path: self.root.relative(&path).display().to_string(),
                why: with_causes(&error),
                use_it: self.recovery_use(&error, &recovery, has_journal),
            },
            Err(second) => StateSaved::Lost {
                why: format!("{}; {}", with_causes(&error), with_causes(&second)),
            },
        };
        (saved, None)
    }

    /// Returns when the recovery file is needed. The next run takes the answers of a whole journal,
    /// unless another run may have sent the same entries since the marks.
    fn recovery_use(
        &self,
        error: &StoreError,
        recovery: &Recovery,
        has_journal: bool,
    ) -> RecoveryUse {
        let store = &self.root.store;
        let is_on_branch = store.branch().is_some();
        // Or a checkpoint has settled it.
        let is_ours = |entry: &StateEntry, key| match (&entry.pending, &entry.last_outcome) {
            (Some(pending), _) => pending.run_id == self.id,
            (None, Some(outcome)) => {
                let known = recovery.state.entries.get(key);
                let known = known.and_then(|known| known.last_outcome.as_ref());
                known.is_some_and(|known| known.attempted.is_same_record(&outcome.attempted))
            }
            (None, None) => {
                let applied = entry.applied.as_ref();
                applied.is_some_and(|applied| applied.run_id == self.id)
            }
        };
        let is_marked = |state: &State| {
            let mut sent = recovery.sent.iter();
            sent.all(|key| state.entries.get(key).is_some_and(|it| is_ours(it, key)))
        };
        if matches!(error, StoreError::Changed { .. }) {
            let has_own = is_on_branch && has_journal;
            let found = store.read_alone(self.keys).ok();
            let found = found.as_ref().and_then(|found| found.known.state());
            return match found {
                Some(found) if found.moved_to.is_some() => RecoveryUse::AfterMove,
                Some(found) if has_own && is_marked(found) => RecoveryUse::InAnotherClone,
                _ => RecoveryUse::AsUnknown,
            };
        }
        match (has_journal, is_on_branch) {
            (false, _) => RecoveryUse::First,
            (true, true) => RecoveryUse::InAnotherClone,
            (true, false) => RecoveryUse::WithoutJournal,
        }
    }

    fn report(&self, online: &Online, mut sent: SendReport, saved: StateSaved) -> ApplyReport {
        let unsent = sent.stopped.take().unwrap_or(NotSent::Interrupted);
        let mut entries = Vec::new();
        for entry in &self.plan.entries {
            let outcome = match (entry.action, &entry.reason) {
                (Action::NoOp, _) => continue,
                (Action::Hold, Reason::WrongPassword { code, credential }) => {
                    Outcome::Blocked(BlockReason::WrongPassword {
                        code: code.clone(),
                        credential: credential.clone(),
                    })
                }
                _ if self.preflight.blocked.contains_key(&entry.key.job) => Outcome::Blocked(
                    BlockReason::Job(self.preflight.blocked[&entry.key.job].clone()),
                ),
                _ => match sent.skipped.remove(&entry.index) {
                    Some(block) => Outcome::Blocked(block),
                    None => sent
                        .outcomes
                        .remove(&entry.key)
                        .unwrap_or_else(|| Outcome::NotSent(unsent.clone())),
                },
            };
            entries.push((entry.label.clone(), outcome));
        }
        let mut findings = [self.preflight.warnings.clone(), sent.findings].concat();
        online.add_notes(&mut findings);
        ApplyReport {
            entries,
            requests: sent.requests,
            findings,
            saved,
            interrupted: sent.interrupted,
            ..ApplyReport::default()
        }
    }
}
