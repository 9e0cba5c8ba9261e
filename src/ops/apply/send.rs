//! Sending batches side by side and deciding when to stop.
//!
//! At most `parallelism` batches are in flight, and no two of them touch one
//! job. Nothing new is sent after a refused login, after too many lost answers
//! in a row, once the journal cannot be written, or after a signal; what is in
//! flight then is waited for and recorded.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::record::JournalHandle;
use crate::api::client::{Answered, Client};
use crate::api::gate::Gate;
use crate::core::job::EntryKey;
use crate::core::manifest::{Assignment, Manifest};
use crate::core::outcome::{self, Doubt, NotSent, Outcome, Reply};
use crate::core::report::{Event, Signal};
use crate::core::state::Settlement;
use crate::store::journal::{Answer, Record};

/// So many answers lost one after the other mean that something is wrong with
/// the way to the service, not with one request (design section 7).
const MAX_LOST_IN_A_ROW: usize = 3;

/// How long answers in flight are waited for after a signal (design section 4).
const GRACE: Duration = Duration::from_secs(5);

/// Sends the batches of one apply.
pub(super) struct Sender {
    runtime: Runtime,
    signals: Signals,
    client: Arc<Client>,
    manifest: Arc<Manifest>,
    /// Places in the manifest, batch by batch.
    batches: Vec<Vec<usize>>,
    parallelism: usize,
    now: fn() -> Timestamp,
}

/// What came of sending.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Every entry that was handed over, with when its outcome was known.
    pub(super) outcomes: Vec<(EntryKey, Outcome, Timestamp)>,
    /// How many batches were handed to the client.
    pub(super) requests: usize,
    /// What else the answers showed.
    pub(super) findings: Vec<String>,
    /// Why the remaining batches were not sent.
    pub(super) stopped: Option<NotSent>,
    /// The signal that stopped the run.
    pub(super) interrupted: Option<Signal>,
}

impl Sender {
    /// Prepares everything that can fail before the first mark is made.
    /// Fails if the machine refuses what a runtime or signals need.
    pub(super) fn new(
        client: Client,
        manifest: Arc<Manifest>,
        batches: Vec<Vec<usize>>,
        parallelism: usize,
        now: fn() -> Timestamp,
    ) -> io::Result<Self> {
        // One thread is enough: it waits for the network nearly all the time.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            Signals::listen()?
        };
        Ok(Self {
            runtime,
            signals,
            client: Arc::new(client),
            manifest,
            batches,
            parallelism,
            now,
        })
    }

    /// Sends until everything is answered or something says stop.
    pub(super) fn run(&mut self, journal: &JournalHandle, progress: &mut dyn FnMut(Event)) -> Sent {
        let flight = Flight {
            client: &self.client,
            manifest: &self.manifest,
            batches: &self.batches,
            parallelism: self.parallelism,
            now: self.now,
            journal,
            gate: Arc::new(Gate::new(self.parallelism)),
            in_air: JoinSet::new(),
            batch_of: BTreeMap::new(),
            lost_in_a_row: 0,
            sent: Sent::default(),
        };
        self.runtime
            .block_on(flight.complete(&mut self.signals, progress))
    }
}

struct Flight<'a> {
    client: &'a Arc<Client>,
    manifest: &'a Arc<Manifest>,
    batches: &'a [Vec<usize>],
    parallelism: usize,
    now: fn() -> Timestamp,
    journal: &'a JournalHandle,
    /// Halved when the service throttles, closed when nothing new may be sent.
    gate: Arc<Gate>,
    in_air: JoinSet<Option<Answered>>,
    /// The batch of each task in the air.
    batch_of: BTreeMap<Id, usize>,
    lost_in_a_row: usize,
    sent: Sent,
}

impl Flight<'_> {
    async fn complete(mut self, signals: &mut Signals, progress: &mut dyn FnMut(Event)) -> Sent {
        let entries = self.batches.iter().map(Vec::len).sum();
        progress(Event::Started {
            entries,
            requests: self.batches.len(),
        });
        let mut deadline: Option<Instant> = None;
        loop {
            while self.may_launch() {
                self.launch();
            }
            if self.in_air.is_empty() {
                break;
            }
            tokio::select! {
                Some(answered) = self.in_air.join_next_with_id() => {
                    self.land(answered);
                    let settled = self.sent.outcomes.len();
                    progress(Event::Answered { settled, entries });
                }
                signal = signals.next() => {
                    // The second signal does not wait any longer.
                    let grace = if deadline.is_some() { Duration::ZERO } else { GRACE };
                    deadline = Some(Instant::now() + grace);
                    self.stop(NotSent::Interrupted);
                    self.sent.interrupted.get_or_insert(signal);
                    progress(Event::Stopping(signal));
                }
                () = until(deadline) => {
                    self.abandon();
                    break;
                }
            }
        }
        self.sent
    }

    fn may_launch(&mut self) -> bool {
        if self.journal.is_broken() {
            self.stop(NotSent::JournalFailed);
        }
        self.sent.stopped.is_none()
            && self.in_air.len() < self.parallelism
            && self.sent.requests < self.batches.len()
    }

    fn launch(&mut self) {
        let batch = self.sent.requests;
        self.sent.requests += 1;
        let client = Arc::clone(self.client);
        let manifest = Arc::clone(self.manifest);
        let gate = Arc::clone(&self.gate);
        let places = self.batches[batch].clone();
        let task = self.in_air.spawn(async move {
            let _pass = gate.enter().await?;
            let assignments = manifest.assignments();
            let entries: Vec<&Assignment> = places.iter().map(|&at| &assignments[at]).collect();
            Some(client.modify_passwords(&entries, &gate).await)
        });
        self.batch_of.insert(task.id(), batch);
    }

    /// Lets nothing new out: neither batches that wait nor repetitions.
    fn stop(&mut self, why: NotSent) {
        self.sent.stopped.get_or_insert(why);
        self.gate.close();
    }

    /// Reads an answer, hands it to the journal, and decides whether to go on.
    fn land(&mut self, landed: Result<(Id, Option<Answered>), JoinError>) {
        let (id, answered) = match landed {
            Ok((id, Some(answered))) => (id, answered),
            // It was still waiting for its turn: nothing left this machine.
            Ok((id, None)) => {
                self.batch_of.remove(&id);
                self.sent.requests -= 1;
                return;
            }
            // A task that ended early may have sent: its entries are in doubt.
            Err(error) => {
                let reply = Reply::Lost(Doubt::AnswerLost);
                let notes = Vec::new();
                (error.id(), Answered { reply, notes })
            }
        };
        let Some(batch) = self.batch_of.remove(&id) else {
            return;
        };
        let notes = answered.notes.iter().map(ToString::to_string);
        self.sent.findings.extend(notes);
        self.consider_stopping(&answered.reply);
        let keys = self.keys_of(batch);
        let matched = outcome::match_results(&keys, &answered.reply);
        self.sent
            .findings
            .extend(matched.findings.iter().map(ToString::to_string));
        self.settle(keys.into_iter().zip(matched.outcomes));
    }

    /// Whether this reply means that nothing new may be sent.
    fn consider_stopping(&mut self, reply: &Reply) {
        if let Some(refusal) = reply.login_refusal() {
            self.stop(NotSent::LoginRefused(refusal.code.clone()));
        }
        let why = match reply {
            Reply::Lost(_) => NotSent::TooManyLost,
            Reply::NoConnection => NotSent::NoConnection,
            // Any other reply proves that the way to the service is open.
            Reply::PerEntry { .. }
            | Reply::Refused(_)
            | Reply::TurnedAway(_)
            | Reply::LoginRefused(_)
            | Reply::AfterLoss(_) => {
                self.lost_in_a_row = 0;
                return;
            }
        };
        self.lost_in_a_row += 1;
        if self.lost_in_a_row >= MAX_LOST_IN_A_ROW {
            self.stop(why);
        }
    }

    /// Gives up on everything in the air: it may have been acted on or not.
    fn abandon(&mut self) {
        self.in_air.abort_all();
        for batch in std::mem::take(&mut self.batch_of).into_values() {
            let doubts = self
                .keys_of(batch)
                .into_iter()
                .map(|key| (key, Outcome::InDoubt(Doubt::Interrupted)));
            self.settle(doubts);
        }
    }

    fn settle(&mut self, outcomes: impl Iterator<Item = (EntryKey, Outcome)>) {
        let at = (self.now)();
        let mut records = Vec::new();
        for (key, outcome) in outcomes {
            if let Some(settled) = Settlement::of(&outcome) {
                records.push(Record {
                    entry: key.clone(),
                    settled,
                });
            }
            self.sent.outcomes.push((key, outcome, at));
        }
        if !records.is_empty() {
            self.journal.record(Answer { at, records });
        }
    }

    fn keys_of(&self, batch: usize) -> Vec<EntryKey> {
        let assignments = self.manifest.assignments();
        self.batches[batch]
            .iter()
            .map(|&at| assignments[at].key.clone())
            .collect()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The signals that ask a run to end.
struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: SignalStream,
}

impl Signals {
    /// Fails if the system refuses the handlers. Must be called inside a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hang_up.recv() => Signal::Terminate,
        }
    }
}
