//! Sends batches side by side and decides when to stop.
//!
//! At most `parallelism` batches are in flight, and no two of them touch one job. Nothing new is
//! sent while the journal is more than `parallelism` answers behind, so a crash on a slow disk
//! leaves few unknown outcomes. Sending stops after a refused login, after too many lost answers
//! in a row, when the journal cannot be written, and on a signal; answers in flight are still
//! awaited and recorded.
//!
//! Until an entry of a credential is applied, one request with one job of it is in flight at a
//! time, and after a wrong password nothing more of it is sent: every wrong login brings the
//! database account closer to its lock.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::ApplyEvent;
use super::record::JournalHandle;
use crate::api::client::{BatchAnswer, Client};
use crate::api::error::labelled;
use crate::api::gate::Gate;
use crate::core::batch::{BatchVerdict, Capacity, NextRequest, Search};
use crate::core::job::EntryKey;
use crate::core::manifest::{Assignment, Manifest};
use crate::core::outcome::{
    self, BatchReply, BlockReason, Doubt, NotSent, Outcome, Refusal, RefusalKind,
};
use crate::core::plan::Requests;
use crate::core::redact::Token;
use crate::core::report::{Progress, Signal, Totals};
use crate::core::state::Settlement;
use crate::ops::online::Online;
use crate::store::journal::{JournalAnswer, JournalRecord};
use crate::sys::signals::Signals;

/// This many lost answers in a row point at the connection, not at one request (design
/// section 7).
const MAX_LOST_IN_A_ROW: usize = 3;

/// How long a signal waits for answers in flight (design section 4).
pub const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct SendReport {
    pub outcomes: BTreeMap<EntryKey, Outcome>,
    /// What the journal was given: the entries that were sent.
    pub answers: Vec<Arc<JournalAnswer>>,
    /// Entries not sent because another entry of their credential was refused as wrong.
    pub skipped: BTreeMap<usize, BlockReason>,
    /// Of `outcomes`.
    pub totals: Totals,
    /// Requests answered or given up on, without repetitions.
    pub requests: usize,
    pub findings: Vec<String>,
    pub stopped: Option<NotSent>,
    pub interrupted: Option<Signal>,
}

/// Sends until everything is answered or something stops the run.
pub fn send(
    online: &mut Online,
    manifest: &Arc<Manifest>,
    requests: Requests,
    parallelism: usize,
    now: fn() -> Timestamp,
    journal: &mut JournalHandle,
    progress: &mut dyn FnMut(ApplyEvent),
) -> SendReport {
    let Requests { alone, batches } = requests;
    let mut waiting: Vec<Search> = batches.into_iter().rev().map(Search::new).collect();
    if !alone.is_empty() {
        waiting.push(Search::one_by_one(&alone));
    }
    let lease = journal
        .keeper
        .as_ref()
        .map(|keeper| Arc::clone(&keeper.lease));
    let credential_at = |place: &usize| manifest.assignments()[*place].credential.as_ref();
    let flight = Flight {
        client: &online.client,
        manifest,
        entries: waiting.iter().map(Search::entries).sum(),
        waiting,
        awaited: alone.iter().filter_map(credential_at).cloned().collect(),
        alone: alone.into_iter().collect(),
        wrong_alone: None,
        refusals: 0,
        unproven: HashSet::new(),
        proven: HashSet::new(),
        parallelism,
        now,
        journal,
        gate: Arc::new(Gate::new(parallelism).leased(lease)),
        in_air: JoinSet::new(),
        lanes: BTreeMap::new(),
        lost_in_a_row: 0,
        capacity: Capacity::default(),
        sent: SendReport::default(),
    };
    let flown = flight.complete(&mut online.waiter.signals, progress);
    online.waiter.runtime.block_on(flown)
}

/// A request in flight. The rest of a split batch follows it, so that no two requests touch
/// one job at a time.
struct Lane {
    search: Search,
    is_out: Arc<AtomicBool>,
    /// The number of refusals known at launch.
    refusals: usize,
}

struct Flight<'a> {
    client: &'a Arc<Client>,
    manifest: &'a Arc<Manifest>,
    /// The queue, next one last: batches not begun, and above them the rests of split ones.
    waiting: Vec<Search>,
    /// Unfinished batches that go one by one.
    alone: HashSet<usize>,
    wrong_alone: Option<Token>,
    /// Their credentials, which wait for all of them or for a proof.
    awaited: HashSet<Arc<str>>,
    /// How many times entries were barred from sending.
    refusals: usize,
    /// Credentials in flight with nothing applied so far.
    unproven: HashSet<Arc<str>>,
    /// Credentials with an applied entry.
    proven: HashSet<Arc<str>>,
    entries: usize,
    parallelism: usize,
    now: fn() -> Timestamp,
    journal: &'a mut JournalHandle,
    /// Halved when the service throttles, closed when nothing new may be sent.
    gate: Arc<Gate>,
    in_air: JoinSet<Option<BatchAnswer>>,
    lanes: BTreeMap<Id, Lane>,
    lost_in_a_row: usize,
    capacity: Capacity,
    sent: SendReport,
}

impl Flight<'_> {
    async fn complete(
        mut self,
        signals: &mut Signals,
        progress: &mut dyn FnMut(ApplyEvent),
    ) -> SendReport {
        let mut deadline: Option<Instant> = None;
        loop {
            self.show_progress();
            while self.may_launch()
                && let Some(search) = self.next()
            {
                self.launch(search);
            }
            let waits_for_journal = self.waits_for_journal();
            if self.in_air.is_empty() && !waits_for_journal {
                break;
            }
            tokio::select! {
                biased;
                Some(landed) = self.in_air.join_next_with_id() => {
                    self.land(landed);
                }
                () = self.journal.moved(), if waits_for_journal => {}
                signal = signals.next() => {
                    // The second signal does not wait any longer.
                    let grace = if deadline.is_some() { Duration::ZERO } else { GRACE };
                    deadline = Some(Instant::now() + grace);
                    self.stop(NotSent::Interrupted);
                    // The machine may not last until the answers are here.
                    if let Some(keeper) = &self.journal.keeper {
                        keeper.checkpoint();
                    }
                    self.sent.interrupted.get_or_insert(signal);
                    progress(ApplyEvent::Stopping);
                }
                () = until(deadline) => {
                    self.abandon();
                    break;
                }
            }
        }
        self.sent
    }

    fn show_progress(&self) {
        let mut totals = self.sent.totals;
        totals.blocked += self.sent.skipped.len();
        let what = ["sending", "entry", "entries"];
        let at = Progress::at(what, self.entries, &totals.named());
        self.client.progress(at);
    }

    fn may_launch(&mut self) -> bool {
        if self.journal.is_broken() {
            self.stop(NotSent::JournalFailed);
        }
        let keeper = self.journal.keeper.as_ref();
        if keeper.is_some_and(|keeper| !keeper.may_send()) {
            self.stop(NotSent::LockLost);
        }
        let at_once = self.client.at_once(self.parallelism);
        self.sent.stopped.is_none() && self.in_air.len() < at_once && !self.is_too_far_ahead()
    }

    fn is_too_far_ahead(&self) -> bool {
        self.journal.behind() > self.parallelism
    }

    /// Returns whether only the journal holds back the next request.
    fn waits_for_journal(&self) -> bool {
        self.sent.stopped.is_none() && !self.waiting.is_empty() && self.is_too_far_ahead()
    }

    /// Takes the next batch to send. A batch waits for proof of its credentials.
    fn next(&mut self) -> Option<Search> {
        let assignments = self.manifest.assignments();
        let must_wait = |place: &usize| {
            let credential = assignments[*place].credential.as_ref();
            credential.is_some_and(|credential| {
                let is_awaited = !self.alone.is_empty()
                    && !self.alone.contains(place)
                    && !self.proven.contains(credential)
                    && self.awaited.contains(credential);
                is_awaited || self.unproven.contains(credential)
            })
        };
        let may_go = |search: &mut Search| !search.due().iter().any(must_wait);
        self.waiting.pop_if(may_go)
    }

    fn launch(&mut self, search: Search) {
        let assignments = self.manifest.assignments();
        let unproven = |place: usize| {
            let credential = assignments[place].credential.as_ref();
            credential.filter(|name| !self.proven.contains(*name))
        };
        let key_of = |place: usize| &assignments[place].key;
        let search = search
            .within(&self.capacity, key_of)
            .one_of_each(key_of, |place| unproven(place).map(AsRef::as_ref));
        let due = search.due().iter();
        let tried = due.filter_map(|&place| unproven(place)).cloned();
        self.unproven.extend(tried);
        let client = Arc::clone(self.client);
        let manifest = Arc::clone(self.manifest);
        let gate = Arc::clone(&self.gate);
        let is_out = Arc::new(AtomicBool::new(false));
        let (places, left) = (search.due().to_vec(), Arc::clone(&is_out));
        let task = self.in_air.spawn(async move {
            let _pass = gate.enter().await?;
            left.store(true, Ordering::SeqCst);
            let assignments = manifest.assignments();
            let entries: Vec<&Assignment> = places.iter().map(|&at| &assignments[at]).collect();
            client.modify_passwords(&entries, &gate).await
        });
        let refusals = self.refusals;
        let lane = Lane {
            search,
            is_out,
            refusals,
        };
        self.lanes.insert(task.id(), lane);
    }

    /// Stops sending: neither waiting batches nor repetitions go out.
    fn stop(&mut self, why: NotSent) {
        self.sent.stopped.get_or_insert(why);
        self.gate.close();
    }

    /// Reads an answer, hands it to the journal, and queues the rest of a split batch.
    fn land(&mut self, landed: Result<(Id, Option<BatchAnswer>), JoinError>) {
        let (id, answered) = match landed {
            Ok((id, Some(answered))) => (id, answered),
            // It was still waiting for its turn, or was called back: it changed nothing.
            Ok((id, None)) => {
                if let Some((search, refusals)) = self.landed(id) {
                    self.put_back(search, refusals);
                }
                return;
            }
            // A task that ended early may have sent: the outcome of its entries is unknown.
            Err(error) => {
                let lost = BatchAnswer {
                    reply: BatchReply::Lost(Doubt::AnswerLost),
                    notes: Vec::new(),
                    wrong: Vec::new(),
                };
                (error.id(), lost)
            }
        };
        let Some((search, refusals)) = self.landed(id) else {
            return;
        };
        self.sent.requests += 1;
        self.sent.findings.extend(answered.notes);
        let due = search.due().to_vec();
        let keys = self.keys_of(&due);
        let wrong = answered.wrong.into_iter();
        self.refuse(wrong.map(|(at, code)| (due[at], code)));
        let assignments = self.manifest.assignments();
        let heard = verdict_of(&answered.reply);
        let next = search.after(heard, &mut self.capacity, |place| &assignments[place].key);
        let next = match next {
            NextRequest::Parted(next) => Some(next),
            NextRequest::Settled(next) => {
                let matched = outcome::match_results(&keys, &answered.reply);
                self.sent.findings.extend(matched.findings);
                self.consider_stopping(&answered.reply, &matched.outcomes);
                let applied = due.iter().zip(&matched.outcomes);
                let applied = applied.filter(|(_, outcome)| **outcome == Outcome::Applied);
                let proven = applied.filter_map(|(&at, _)| assignments[at].credential.as_ref());
                self.proven.extend(proven.cloned());
                for place in &due {
                    self.alone.remove(place);
                }
                self.record(keys.into_iter().zip(matched.outcomes));
                next
            }
        };
        if let Some(next) = next {
            self.put_back(next, refusals);
        }
    }

    /// Takes a request out of flight; returns the refusals known to it.
    fn landed(&mut self, id: Id) -> Option<(Search, usize)> {
        let Lane {
            search, refusals, ..
        } = self.lanes.remove(&id)?;
        for &place in search.due() {
            if let Some(credential) = &self.manifest.assignments()[place].credential {
                self.unproven.remove(credential);
            }
        }
        Some((search, refusals))
    }

    /// Queues a batch, without entries barred since `refusals` were known.
    fn put_back(&mut self, mut search: Search, refusals: usize) {
        if refusals < self.refusals {
            for place in search.take_out(|place| self.block_of(place).is_some()) {
                let block = self.block_of(place);
                self.sent.skipped.extend(block.map(|block| (place, block)));
                self.alone.remove(&place);
            }
        }
        if !search.due().is_empty() {
            self.waiting.push(search);
        }
    }

    fn block_of(&self, place: usize) -> Option<BlockReason> {
        let entry = &self.manifest.assignments()[place];
        if let Some(code) = self.gate.code_of(entry) {
            let credential = entry.credential.as_deref().map(str::to_owned);
            return Some(BlockReason::WrongPassword { code, credential });
        }
        let code = self.wrong_alone.clone();
        code.filter(|_| self.alone.contains(&place))
            .map(BlockReason::AfterWrongPassword)
    }

    /// Bars entries that these wrong passwords forbid.
    fn refuse(&mut self, wrong: impl Iterator<Item = (usize, Token)>) {
        let before = self.refusals;
        for (place, code) in wrong {
            if self.alone.contains(&place) && self.wrong_alone.is_none() {
                self.wrong_alone = Some(code.clone());
                self.refusals += 1;
            }
            let credential = self.manifest.assignments()[place].credential.as_ref();
            self.refusals += usize::from(self.gate.refuse(credential, code));
        }
        if before < self.refusals {
            for search in std::mem::take(&mut self.waiting) {
                self.put_back(search, before);
            }
        }
    }

    fn consider_stopping(&mut self, reply: &BatchReply, outcomes: &[Outcome]) {
        if let Some(refusal) = reply.login_refusal() {
            // Reported once for all entries, since it is about none of them.
            if self.sent.stopped.is_none() {
                self.sent.findings.push(caller_refused(refusal));
            }
            self.stop(NotSent::LoginRefused(refusal.code.clone()));
        }
        let gets_nowhere = |outcome: &Outcome| {
            matches!(
                outcome,
                Outcome::InDoubt(_)
                    | Outcome::NotSent(NotSent::NoConnection)
                    | Outcome::Refused(Refusal {
                        kind: RefusalKind::Busy,
                        ..
                    })
            )
        };
        if !outcomes.iter().all(gets_nowhere) {
            self.lost_in_a_row = 0;
            return;
        }
        self.lost_in_a_row += 1;
        if self.lost_in_a_row >= MAX_LOST_IN_A_ROW {
            self.stop(match reply {
                BatchReply::NoConnection => NotSent::NoConnection,
                BatchReply::TurnedAway(_) => NotSent::Busy,
                _ => NotSent::TooManyLost,
            });
        }
    }

    /// Gives up on everything in flight: it may have been acted on. Answers that have arrived
    /// are read first, and a request that never left has no unknown outcome.
    fn abandon(&mut self) {
        while let Some(landed) = self.in_air.try_join_next_with_id() {
            self.land(landed);
        }
        self.in_air.abort_all();
        for lane in std::mem::take(&mut self.lanes).into_values() {
            if !lane.is_out.load(Ordering::SeqCst) {
                continue;
            }
            self.sent.requests += 1;
            let doubts = self
                .keys_of(lane.search.due())
                .into_iter()
                .map(|key| (key, Outcome::InDoubt(Doubt::Interrupted)));
            self.record(doubts);
        }
    }

    fn record(&mut self, outcomes: impl Iterator<Item = (EntryKey, Outcome)>) {
        let at = (self.now)();
        let mut records = Vec::new();
        for (key, outcome) in outcomes {
            let settled = Settlement::of(&outcome);
            records.extend(settled.map(|settled| JournalRecord {
                entry: key.clone(),
                settled,
            }));
            self.sent.totals.count(&outcome);
            self.sent.outcomes.insert(key, outcome);
        }
        if !records.is_empty() {
            let answer = Arc::new(JournalAnswer { at, records });
            self.journal.record(Arc::clone(&answer));
            self.sent.answers.push(answer);
        }
    }

    fn keys_of(&self, places: &[usize]) -> Vec<EntryKey> {
        let assignments = self.manifest.assignments();
        let keys = places.iter().map(|&at| &assignments[at].key);
        keys.cloned().collect()
    }
}

/// Returns what a reply says about the whole request; nothing for a repetition, as the
/// first request may have been acted on.
fn verdict_of(reply: &BatchReply) -> BatchVerdict {
    match reply {
        BatchReply::PerEntry { .. } => BatchVerdict::Taken,
        BatchReply::Refused(refusal) if refusal.is_one_job_only => BatchVerdict::OneJobOnly,
        _ if reply.may_be_split() => BatchVerdict::Refused,
        _ => BatchVerdict::Neither,
    }
}

/// Describes a refused caller, and what to do about it.
fn caller_refused(refusal: &Refusal) -> String {
    let id = labelled(", request ", refusal.request_id.as_ref());
    let text = labelled(", saying ", refusal.text.as_ref());
    let advice = labelled(". ", refusal.advice);
    format!(
        "the service refused the caller: {}{id}{text}{advice}",
        refusal.code
    )
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
