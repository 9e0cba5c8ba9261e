//! A call until its end: whether it is sent again, and after how long.
//!
//! By design section 7, a throttled call is repeated until the time for it is over, and a lost
//! answer once. The answer of a gateway that gave up waiting counts as lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Request;
use tokio::time::{Instant, sleep};

use super::error::{CallFailure, FailureKind};
use super::gate::Gate;
use super::http::{ApiCall, NoAnswer, Received, Transport};
use super::judge::{Judge, Judgement};
use super::secrets::{LoginSecrets, RunSecrets};
use crate::core::manifest::Assignment;
use crate::core::outcome::{BatchReply, Doubt, Refusal};
use crate::core::redact::{ReportedName, Token};
use crate::core::report::Progress;

const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Clock, randomness and a progress display, passed in.
#[derive(Clone, Copy)]
pub struct Ambient {
    pub now: fn() -> Timestamp,
    /// Returns an evenly distributed number, which only spreads waits.
    pub random: fn() -> u64,
    pub progress: fn(Progress),
}

#[derive(Clone)]
pub struct Patience {
    pub max_elapsed: Duration,
    /// The first wait between two attempts; it doubles from there.
    pub first_wait: Duration,
    pub ambient: Ambient,
    pub counted: Arc<Mutex<RunTally>>,
}

impl Patience {
    fn answered(&self, received: &Received) -> Timestamp {
        let now = (self.ambient.now)();
        let mut tally = self.tally();
        if tally.clock_off.is_none() {
            tally.clock_off = received.clock_off(now);
        }
        now
    }

    pub fn tally(&self) -> MutexGuard<'_, RunTally> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jittered(&self, wait: Duration) -> Duration {
        const STEPS: u32 = 1024;
        let drawn = u32::try_from((self.ambient.random)() % u64::from(STEPS)).unwrap_or(0);
        wait / 2 + (wait / 2) * drawn / STEPS
    }
}

/// Events of one run, reported once with a number and not for each request.
#[derive(Default)]
pub struct RunTally {
    clock_off: Option<String>,
    waits: u32,
    waited: Duration,
    pub renewals: u32,
}

impl RunTally {
    pub fn notes(&self) -> Vec<String> {
        let throttled = (self.waits > 0).then(|| {
            format!(
                "the service throttled requests; waits: {}, {:.1} s in total",
                self.waits,
                self.waited.as_secs_f64()
            )
        });
        let renewed = match self.renewals {
            0 => None,
            1 => Some("the token was refused; a new one was fetched".to_owned()),
            times => Some(format!(
                "the token was refused and a new one fetched {times} times"
            )),
        };
        let clock_off = self.clock_off.clone();
        [clock_off, throttled, renewed]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Whether a call may be sent again.
#[derive(Clone, Copy)]
pub enum Policy<'a> {
    /// It changes nothing: it is sent once more if its answer is lost.
    Query,
    /// It may have been acted on: it is not sent again if its answer is lost.
    Once,
    /// It sets these passwords. `gate` is halved whenever the service throttles; once it is closed,
    /// nothing is repeated.
    Change {
        entries: &'a [&'a Assignment],
        gate: &'a Gate,
    },
}

pub struct Exchange<'a> {
    transport: &'a Transport,
    patience: &'a Patience,
    run: Option<&'a RunSecrets>,
    pub call: &'a ApiCall,
    pub policy: Policy<'a>,
    started: Instant,
    attempt: u32,
    waits: u32,
    /// Whether the answer to an attempt was lost, so that it may have been acted on.
    pub lost: bool,
    pub notes: Vec<String>,
    /// The places of the entries that the last answer calls wrong, each with the code.
    pub wrong: Vec<(usize, Token)>,
}

impl<'a> Exchange<'a> {
    pub fn new(
        transport: &'a Transport,
        patience: &'a Patience,
        run: Option<&'a RunSecrets>,
        call: &'a ApiCall,
        policy: Policy<'a>,
    ) -> Self {
        Self {
            transport,
            patience,
            run,
            call,
            policy,
            started: Instant::now(),
            attempt: 0,
            waits: 0,
            lost: false,
            notes: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Sends the call once more, as `request`. What comes back as lost, or to be sent again, is to
    /// be sent now: the wait for that is over.
    pub async fn attempt(
        &mut self,
        request: Request,
        login: impl FnOnce() -> LoginSecrets,
    ) -> Judgement {
        let entries = match self.policy {
            Policy::Change { entries, gate } => {
                // Each wrong login brings an account closer to its lock.
                if self.lost && !gate.may_repeat() {
                    return Judgement::GivenUp(BatchReply::Lost(Doubt::AnswerLost));
                }
                let is_barred = |entry: &&Assignment| gate.code_of(entry).is_some();
                if !self.lost && (gate.has_expired() || entries.iter().any(is_barred)) {
                    return Judgement::CalledBack;
                }
                Some(entries)
            }
            Policy::Query | Policy::Once => None,
        };
        self.attempt += 1;
        let count = entries.map_or(0, <[_]>::len);
        let received = match self.transport.send(request, count, self.attempt).await {
            Err(NoAnswer::NoConnection(note)) => {
                self.notes.push(note);
                return match entries {
                    Some(_) => Judgement::GivenUp(BatchReply::NoConnection),
                    None => Judgement::Failed(FailureKind::NoConnection),
                };
            }
            Err(NoAnswer::Lost(note)) => {
                self.notes.push(note);
                return self.after_loss(Doubt::AnswerLost, None).await;
            }
            Ok(received) => received,
        };
        let now = self.patience.answered(&received);
        let login = login();
        let (status, asked) = (received.status, received.wait_asked(now));
        let judge = Judge::new(entries, &login, &self.call.url, now, self.run);
        let judgement = judge.judge(received, &mut self.notes);
        self.wrong = judge.wrong.take();
        match judgement {
            Judgement::Lost(doubt) => self.after_loss(doubt, asked).await,
            Judgement::Again(refusal) => self.after_throttling(status, refusal, asked).await,
            judgement => {
                if let (Policy::Change { gate, .. }, Judgement::Settled(reply)) =
                    (self.policy, &judgement)
                    && !matches!(reply, BatchReply::Lost(_))
                {
                    gate.answered();
                }
                judgement
            }
        }
    }

    /// Waits to repeat a call whose answer was lost, if it may be repeated.
    async fn after_loss(&mut self, doubt: Doubt, asked: Option<Duration>) -> Judgement {
        let is_first = !std::mem::replace(&mut self.lost, true);
        let may_repeat = is_first && !matches!(self.policy, Policy::Once);
        let wait = match asked {
            None => Some(self.patience.jittered(self.patience.first_wait)),
            asked => self.wait_after(asked),
        };
        match (wait, self.policy) {
            (Some(wait), _) if may_repeat && self.pause(wait).await => Judgement::Lost(doubt),
            (_, Policy::Change { .. }) => Judgement::GivenUp(BatchReply::Lost(doubt)),
            _ => Judgement::Failed(FailureKind::Unanswered),
        }
    }

    /// Waits as the service asks, if there is time for that.
    async fn after_throttling(
        &mut self,
        status: u16,
        refusal: Refusal,
        asked: Option<Duration>,
    ) -> Judgement {
        if let Policy::Change { gate, .. } = self.policy {
            gate.halve();
        }
        match self.wait_after(asked) {
            None => self.notes.push(gave_up(status, &refusal.code, asked)),
            Some(wait) if self.pause(wait).await => {
                self.waits += 1;
                let mut tally = self.patience.tally();
                tally.waits += 1;
                tally.waited += wait;
                return Judgement::Again(refusal);
            }
            Some(_) => {
                let note = "stopped while the service asked to wait";
                self.notes.push(note.to_owned());
            }
        }
        match self.policy {
            Policy::Change { .. } => Judgement::GivenUp(BatchReply::TurnedAway(refusal)),
            Policy::Query | Policy::Once => Judgement::Failed(FailureKind::Busy(refusal)),
        }
    }

    /// Returns the wait before a throttled request is sent again, or `None` if too little time is
    /// left. It is at least what the service asked for, spread a little so that parallel senders do
    /// not all come back at once.
    fn wait_after(&self, asked: Option<Duration>) -> Option<Duration> {
        let Patience {
            max_elapsed,
            first_wait,
            ..
        } = *self.patience;
        let left = max_elapsed.checked_sub(self.started.elapsed())?;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            let spread = first_wait - self.patience.jittered(first_wait);
            return (asked <= left).then(|| asked.saturating_add(spread).min(left));
        }
        let doubled = 2_u32.saturating_pow(self.waits);
        let wait = first_wait.saturating_mul(doubled).min(LONGEST_WAIT);
        let wait = self.patience.jittered(wait);
        (wait <= left).then_some(wait)
    }

    /// Waits; returns false as soon as the gate of a change is closed.
    async fn pause(&self, wait: Duration) -> bool {
        let (attempt, wait_ms) = (self.attempt, wait.as_millis());
        tracing::debug!(attempt, wait_ms, "waiting to send again");
        let Policy::Change { gate, .. } = self.policy else {
            sleep(wait).await;
            return true;
        };
        tokio::select! {
            biased;
            () = gate.closed() => false,
            () = sleep(wait) => true,
        }
    }

    pub fn failed(&mut self, kind: FailureKind) -> CallFailure {
        let notes = std::mem::take(&mut self.notes);
        CallFailure::new(kind, self.call.host(), notes)
    }
}

fn gave_up(status: u16, code: &ReportedName, asked: Option<Duration>) -> String {
    let why = match asked {
        None => "no time was left to retry".to_owned(),
        Some(asked) => format!(
            "the service asked to wait {} s, more than is left",
            asked.as_secs()
        ),
    };
    format!("throttled: gave up after answer {status} {code}, {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_spread_over_its_second_half() {
        let jittered = |random| {
            let patience = Patience {
                max_elapsed: Duration::ZERO,
                first_wait: Duration::ZERO,
                ambient: Ambient {
                    now: || Timestamp::UNIX_EPOCH,
                    random,
                    progress: |_| {},
                },
                counted: Arc::default(),
            };
            patience.jittered(Duration::from_secs(2))
        };
        assert_eq!(jittered(|| 0), Duration::from_secs(1));
        assert_eq!(jittered(|| 512), Duration::from_millis(1_500));
        let longest = jittered(|| u64::MAX);
        assert!(Duration::from_millis(1_990) < longest && longest < Duration::from_secs(2));
    }
}
