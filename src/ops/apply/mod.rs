//! `apply`: plans under the lock, asks, marks what it is about to send, sends,
//! records what became of it, and sums up (design sections 2.4 and 3).
//!
//! The order is the safety: the marks are durable before the first request, an
//! outcome is durable in the journal before it counts, and the journal is folded
//! into the state in one step at the end. A crash anywhere leaves entries in
//! doubt, never wrongly applied.

mod aftercare;
mod ready;
mod record;
mod send;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::OpError;
use super::error::with_causes;
use super::online::{HangUp, Online};
use super::plan::{self, Addresses, Comparable};
use super::root::{Guards, Opened, Root, Unlock};
use crate::api::client::Client;
use crate::core::batch;
use crate::core::fingerprint::Salt;
use crate::core::job::EntryKey;
use crate::core::outcome::{NotSent, Outcome};
use crate::core::plan::{Action, Plan, PlanEntry, Reason, prints_of};
use crate::core::preflight::UnknownStates;
use crate::core::problem::Problem;
use crate::core::report::{ApplyReport, Block, Event, Fate, LookedAfter, PlanReport, Saved};
use crate::core::state::{Lineage, PlanId, Replaced, Settlement, State};
use crate::store::recovery::Recovery;
use crate::store::{Keys, LockGuard, LockInfo, Version};
use crate::testpoint;

pub use aftercare::AfterCare;
use ready::{Ready, guarded, make_ready};
use record::Recorder;
use send::{Sender, Sent};

/// What the user wants of an apply.
pub struct Wishes {
    /// Which entries.
    pub addresses: Addresses,
    /// Whether the states of jobs are asked for before anything is sent, and what
    /// unknown ones mean.
    pub preflight: Option<UnknownStates>,
    /// Whether one blocked entry keeps all others back.
    pub stop_if_blocked: bool,
    /// What is done to jobs once their passwords are right.
    pub aftercare: Option<AfterCare>,
}

/// What an apply needs from outside.
pub struct Surroundings<'a> {
    /// The time, in UTC.
    pub now: fn() -> Timestamp,
    /// A fresh random salt.
    pub salt: fn() -> Salt,
    /// A fresh unique text, for the lineage of a first state and the run's id.
    pub unique: fn() -> String,
    /// Where a state goes that its own folder does not take.
    pub elsewhere: PathBuf,
    /// What the end of the terminal means for this run.
    pub hang_up: HangUp,
    /// Who takes the lock.
    pub lock: LockInfo,
    /// Finds the login and prepares the client; nothing is sent. Called after every
    /// check that needs no network, and only where the service is needed.
    pub connect: &'a dyn Fn(&Opened) -> Result<Client, OpError>,
    /// Shown the plan when it is refused before anybody is asked.
    pub show: &'a dyn Fn(&PlanReport),
    /// Told what happens.
    pub progress: &'a mut dyn FnMut(Event),
}

/// Is shown the plan and the warnings of the manifest, and decides whether to go
/// on. Fails if nobody approved.
pub type Approve<'a> = &'a mut dyn FnMut(&PlanReport, &[Problem]) -> Result<(), OpError>;

/// What an apply came to.
pub enum Done {
    /// There was nothing to do.
    NothingToDo,
    /// It ran; the report says how it went.
    Ran(ApplyReport),
}

/// Applies a root folder.
/// Fails only when nothing was sent; whatever happens later is in the report.
pub fn apply(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    wishes: &Wishes,
    surroundings: &mut Surroundings<'_>,
    approve: Approve<'_>,
) -> Result<Done, OpError> {
    let opened = root.open(unlock, guards)?;
    let keys = Keys::from(&opened.sealed.fingerprint_key);
    let guard = root.store.lock(&surroundings.lock)?;
    let snapshot = root.store.read(&keys)?;
    let notes = plan::notes_of(root, &snapshot);
    let snapshot = root.store.absorb_journal(&guard, &keys, snapshot)?;
    let version = snapshot.version.clone();
    let comparable = plan::comparable(&opened, snapshot, guards)?;
    if let Some(error) = plan::new_key_error(&comparable, &keys.id)
        && !guards.accept_new_key
    {
        return Err(error);
    }
    let plan = plan::make(root, &opened, &comparable, &wishes.addresses)?;
    let exceeded = plan::check_limits(root, &opened, &comparable, &plan, guards)
        .err()
        .filter(|exceeded| guards.override_limits != Some(exceeded.changes));
    if let Some(exceeded) = exceeded.filter(|_| plan.has_changes()) {
        let report = plan::report(&opened, plan, notes);
        (surroundings.show)(&report);
        return Err(OpError::LimitExceeded {
            changes: exceeded.changes,
            limits: exceeded.limits,
        });
    }
    let is_idle = !plan.has_changes() && wishes.aftercare.is_none();
    // What needs nobody's word needs no login either.
    let client = match is_idle {
        true => None,
        false => Some((surroundings.connect)(&opened)?),
    };
    let report = plan::report(&opened, plan.clone(), notes);
    approve(&report, &opened.warnings)?;
    let Some(client) = client else {
        return Ok(Done::NothingToDo);
    };
    let client = guarded(client, &opened);
    let mut online = Online::new(client, surroundings.hang_up)?;
    let ready = make_ready(&mut online, &plan, wishes)?;
    if comparable.key_changed && root.store.has_journal() {
        root.store.set_aside_journal(&guard)?;
    }
    let state = starting_state(comparable, &opened, &keys, surroundings);
    let run = Run {
        root,
        guard: &guard,
        keys: &keys,
        opened: &opened,
        plan: &plan,
        ready: &ready,
        elsewhere: &surroundings.elsewhere.clone(),
    };
    let (mut report, mut online, state) = run.execute(online, state, version, surroundings)?;
    drop(guard);
    if let (Some(care), Some(state)) = (wishes.aftercare, state)
        && report.interrupted.is_none()
        && !ready.held_back
    {
        let jobs = aftercare::Aftermath {
            root,
            opened: &opened,
            state,
            addresses: &wishes.addresses,
        };
        jobs.look_after(&mut online, care, &mut report, surroundings.progress)?;
    }
    // A name that is still being looked up is not worth waiting for.
    online.leave();
    Ok(Done::Ran(report))
}

/// The state to go on from: the known one, or a new one. A state made with
/// another key is followed by one of a new lineage, which shares nothing with it.
fn starting_state(
    comparable: Comparable,
    opened: &Opened,
    keys: &Keys,
    surroundings: &Surroundings<'_>,
) -> State {
    let known = comparable.state.filter(|_| !comparable.key_changed);
    let mut state = known.unwrap_or_else(|| {
        State::new(
            opened.sealed.scope.clone(),
            Lineage::new((surroundings.unique)()),
            keys.id.clone(),
        )
    });
    state.revision = state.revision.max(opened.sealed.revision);
    state
}

/// An apply that was approved.
struct Run<'a> {
    root: &'a Root,
    guard: &'a LockGuard,
    keys: &'a Keys,
    opened: &'a Opened,
    plan: &'a Plan,
    ready: &'a Ready,
    /// Where a state goes that its own folder does not take.
    elsewhere: &'a Path,
}

impl Run<'_> {
    /// Sends what is to be sent, and gives back the state that it came to, unless
    /// that could not be saved.
    fn execute(
        &self,
        online: Online,
        mut state: State,
        version: Version,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(ApplyReport, Online, Option<State>), OpError> {
        let batches = self.batches();
        if batches.is_empty() {
            let sent = Sent {
                stopped: Some(NotSent::OthersBlocked),
                ..Sent::default()
            };
            let report = self.report(BTreeMap::new(), sent, Saved::InState);
            return Ok((report, online, Some(state)));
        }
        let sender = Sender::new(
            online,
            Arc::clone(&self.opened.manifest),
            batches,
            self.root.config.apply.parallelism,
            surroundings.now,
        );
        let (recorder, hand_over, journal) = Recorder::start().map_err(OpError::Runtime)?;
        let store = &self.root.store;
        store.back_up(self.guard)?;
        let run = PlanId::new((surroundings.unique)());
        let mut replaced = self.begin(&mut state, &run, surroundings);
        let version = store.commit(self.guard, self.keys, &mut state, &version)?;
        let writer = match store.begin_journal(self.guard, self.keys, &state, &run) {
            Ok(writer) => writer,
            Err(error) => {
                // Nothing was sent, so the marks go. If that fails as well, they
                // stay, and the entries are sent again: safe, if not exact.
                self.withdraw_unsent(&mut state, &mut replaced, &BTreeMap::new());
                let _ = store.commit(self.guard, self.keys, &mut state, &version);
                return Err(error.into());
            }
        };
        testpoint::reach("apply.before_first_send");

        // A thread that is gone shows as a broken journal, which stops the run.
        let _ = hand_over.send(writer);
        let (sent, online) = sender.run(&journal, surroundings.progress);
        drop(journal);
        // Whatever the journal took or not, the outcomes are in memory: they
        // reach the state now, or a recovery file.
        let journal_error = recorder.finish().err();
        let mut outcomes = BTreeMap::new();
        for (key, outcome, at) in &sent.outcomes {
            match Settlement::of(outcome) {
                Some(settlement) => {
                    state.settle(key, &settlement, *at);
                }
                None => state.withdraw(key, &mut replaced),
            }
            outcomes.insert(key.clone(), outcome.clone());
        }
        self.withdraw_unsent(&mut state, &mut replaced, &outcomes);
        testpoint::reach("apply.before_fold");
        let sent_keys = outcomes.keys().cloned().collect();
        let (saved, state) = self.save(state, &version, sent_keys);
        let mut report = self.report(outcomes, sent, saved);
        if let Some(error) = journal_error {
            report
                .findings
                .push(format!("the journal could not be written: {error}"));
        }
        Ok((report, online, state))
    }

    /// What is sent: what the plan wants, without what is blocked.
    fn sent(&self) -> impl Iterator<Item = &PlanEntry> {
        let ready = self.ready;
        let is_free = move |entry: &&PlanEntry| {
            !ready.held_back && !ready.blocked.contains_key(&entry.key.job)
        };
        self.plan.sent().filter(is_free)
    }

    /// What is sent, in requests, by place in the manifest: in its order, a job
    /// never split.
    fn batches(&self) -> Vec<Vec<usize>> {
        let assignments = self.opened.manifest.assignments();
        let sent: Vec<usize> = self.sent().map(|entry| entry.index).collect();
        let sizes: Vec<_> = sent
            .iter()
            .map(|&index| assignments[index].batch_item())
            .collect();
        batch::split(&sizes, self.root.config.apply.batch_size)
            .into_iter()
            .map(|batch| batch.into_iter().map(|at| sent[at]).collect())
            .collect()
    }

    /// Marks everything that is about to be sent.
    fn begin(&self, state: &mut State, run: &PlanId, surroundings: &Surroundings<'_>) -> Replaced {
        let sealed = &self.opened.sealed;
        let fingerprinter = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        let assignments = self.opened.manifest.assignments();
        let wanted = self.sent().map(|entry| {
            let prints = prints_of(&fingerprinter, &assignments[entry.index], surroundings.salt);
            (entry.key.clone(), prints)
        });
        state.begin(wanted, (surroundings.now)(), run)
    }

    /// Puts back every entry whose turn did not come.
    fn withdraw_unsent(
        &self,
        state: &mut State,
        replaced: &mut Replaced,
        outcomes: &BTreeMap<EntryKey, Outcome>,
    ) {
        for entry in self.sent() {
            if !outcomes.contains_key(&entry.key) {
                state.withdraw(&entry.key, replaced);
            }
        }
    }

    /// Folds the outcomes into the state; where that fails, into a recovery file.
    fn save(
        &self,
        mut state: State,
        version: &Version,
        sent: Vec<EntryKey>,
    ) -> (Saved, Option<State>) {
        let store = &self.root.store;
        let error = match store.commit(self.guard, self.keys, &mut state, version) {
            // A journal that stays behind is recognised as folded later on.
            Ok(_) => {
                let _ = store.end_journal(self.guard);
                return (Saved::InState, Some(state));
            }
            Err(error) => error,
        };
        let recovery = Recovery::new(version, sent, state);
        let saved = match store.rescue(self.keys, &recovery, self.elsewhere) {
            Ok(path) => Saved::Recovery {
                path: self.root.relative(&path).display().to_string(),
                why: with_causes(&error),
            },
            Err(second) => Saved::Lost {
                why: format!("{}; {}", with_causes(&error), with_causes(&second)),
            },
        };
        (saved, None)
    }

    fn report(
        &self,
        mut outcomes: BTreeMap<EntryKey, Outcome>,
        sent: Sent,
        saved: Saved,
    ) -> ApplyReport {
        let unsent = sent.stopped.unwrap_or(NotSent::Interrupted);
        let assignments = self.opened.manifest.assignments();
        let mut entries = Vec::new();
        for entry in &self.plan.entries {
            let fate = match (entry.action, &entry.reason) {
                (Action::NoOp, _) => continue,
                (Action::Hold, Reason::WrongPassword { code }) => {
                    Fate::Blocked(Block::WrongPassword { code: code.clone() })
                }
                _ if self.ready.blocked.contains_key(&entry.key.job) => {
                    Fate::Blocked(Block::Job(self.ready.blocked[&entry.key.job].clone()))
                }
                _ => Fate::Tried(
                    outcomes
                        .remove(&entry.key)
                        .unwrap_or_else(|| Outcome::NotSent(unsent.clone())),
                ),
            };
            entries.push((assignments[entry.index].label.clone(), fate));
        }
        ApplyReport {
            entries,
            requests: sent.requests,
            findings: [self.ready.warnings.clone(), sent.findings].concat(),
            jobs: Vec::new(),
            looked_after: LookedAfter::All,
            saved,
            interrupted: sent.interrupted,
        }
    }
}
