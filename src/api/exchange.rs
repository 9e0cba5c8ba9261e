//! A call until its answer: when it may be sent again, and after how long.
//!
//! The rule of design section 7: what was throttled until the time for it is over, a lost
//! answer once, nothing else. An answer of a gateway that gave up waiting counts as lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Request;
use tokio::time::{Instant, sleep};

use super::error::{CallFailure, FailureKind};
use super::http::{ApiCall, Received, Transmission, Transport, answer_cut};
use super::judge::{Judge, QueryStep};
use super::secrets::{LoginSecrets, RunSecrets};
use crate::core::redact::ReportedName;

/// The longest wait between two attempts that was not asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The clock and the dice, handed in so that nothing here reads them by itself.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    pub now: fn() -> Timestamp,
    /// An evenly distributed number; it only spreads waits.
    pub random: fn() -> u64,
}

#[derive(Clone, Debug)]
pub struct Patience {
    pub max_elapsed: Duration,
    /// The first wait between two attempts; it doubles from there.
    pub first_wait: Duration,
    pub ambient: Ambient,
    pub tally: Arc<Tally>,
}

pub struct Attempts {
    started: Instant,
    waits: u32,
    /// Whether the answer to an attempt was lost, so that it may have been acted on.
    pub lost: bool,
}

impl Attempts {
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
            waits: 0,
            lost: false,
        }
    }
}

impl Patience {
    /// Takes note of an answer, and says what time it is.
    pub fn answered(&self, received: &Received) -> Timestamp {
        let now = (self.ambient.now)();
        let mut counts = self.tally.locked();
        if counts.clock_off.is_none() {
            counts.clock_off = received.headers.clock_off(now);
        }
        now
    }

    pub fn waited(&self, attempts: &mut Attempts, wait: Duration) {
        attempts.waits += 1;
        let mut counts = self.tally.locked();
        counts.waits += 1;
        counts.waited += wait;
    }

    /// How long to wait before a throttled request is sent again; nothing if the time left
    /// is too short. At least what the service asked for, spread a little so that parallel
    /// senders do not all come back at once.
    pub fn wait_after(&self, attempts: &Attempts, asked: Option<Duration>) -> Option<Duration> {
        let left = self.max_elapsed.checked_sub(attempts.started.elapsed())?;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            let spread = self.first_wait - self.jittered(self.first_wait);
            return (asked <= left).then(|| asked.saturating_add(spread).min(left));
        }
        let doubled = 2_u32.saturating_pow(attempts.waits);
        let wait = self.first_wait.saturating_mul(doubled).min(LONGEST_WAIT);
        let wait = self.jittered(wait);
        (wait <= left).then_some(wait)
    }

    /// Between half of `wait` and all of it.
    pub fn jittered(&self, wait: Duration) -> Duration {
        const STEPS: u32 = 1024;
        let drawn = u32::try_from((self.ambient.random)() % u64::from(STEPS)).unwrap_or(0);
        wait / 2 + (wait / 2) * drawn / STEPS
    }
}

pub fn gave_up(status: u16, code: &ReportedName, asked: Option<Duration>) -> String {
    let why = match asked {
        None => "the time to retry was over".to_owned(),
        Some(asked) => format!(
            "the service asked to wait {} s, more than is left",
            asked.as_secs()
        ),
    };
    format!("throttled: gave up after answer {status} {code}, {why}")
}

/// What happened so far in one run: told once, with a number, and not for each request.
#[derive(Debug, Default)]
pub struct Tally(Mutex<RunCounts>);

#[derive(Debug, Default)]
struct RunCounts {
    clock_off: Option<String>,
    waits: u32,
    waited: Duration,
    renewals: u32,
}

impl Tally {
    pub fn renewed(&self) {
        self.locked().renewals += 1;
    }

    pub fn notes(&self) -> Vec<String> {
        let counts = self.locked();
        let throttled = (counts.waits > 0).then(|| {
            format!(
                "the service asked to come again later; waits: {}, {:.1} s in all",
                counts.waits,
                counts.waited.as_secs_f64()
            )
        });
        let renewed = match counts.renewals {
            0 => None,
            1 => Some("the token was refused; a new one was fetched".to_owned()),
            times => Some(format!(
                "the token was refused and a new one fetched {times} times"
            )),
        };
        let clock_off = counts.clock_off.clone();
        [clock_off, throttled, renewed]
            .into_iter()
            .flatten()
            .collect()
    }

    fn locked(&self) -> MutexGuard<'_, RunCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLost {
    /// The call is sent once more: it changes nothing.
    AskAgain,
    /// It is not, since it may have been acted on.
    GiveUp,
}

/// One way to ask for what carries no password.
pub struct Exchange<'a> {
    pub transport: &'a Transport,
    pub patience: &'a Patience,
    pub login: &'a LoginSecrets,
    pub run: Option<&'a RunSecrets>,
}

impl Exchange<'_> {
    /// Sends `call` until an answer settles it; `authorize` makes a request of it,
    /// anew for each attempt.
    pub async fn ask(
        &self,
        call: &ApiCall,
        if_lost: IfLost,
        authorize: &(dyn Fn(&ApiCall) -> Request + Sync),
    ) -> Result<Received, CallFailure> {
        let mut notes = Vec::new();
        match self.pursue(call, if_lost, authorize, &mut notes).await {
            Ok(received) => Ok(received),
            Err(kind) => Err(CallFailure {
                kind,
                host: call.host(),
                notes,
            }),
        }
    }

    async fn pursue(
        &self,
        call: &ApiCall,
        if_lost: IfLost,
        authorize: &(dyn Fn(&ApiCall) -> Request + Sync),
        notes: &mut Vec<String>,
    ) -> Result<Received, FailureKind> {
        let mut attempts = Attempts::begin();
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            let lost = match self.transport.send(authorize(call), 0, attempt).await {
                Transmission::NoConnection(note) => {
                    notes.push(note);
                    return Err(FailureKind::NoConnection);
                }
                Transmission::Lost(note) => note,
                Transmission::Answer(received) => {
                    let now = self.patience.answered(&received);
                    let judge = Judge::new(&[], self.login, &call.url, now, self.run);
                    match judge.judge_query(&received, notes) {
                        QueryStep::Answered => return Ok(received),
                        QueryStep::Failed(kind) => return Err(kind),
                        QueryStep::Lost => answer_cut(&call.url),
                        QueryStep::Again(refusal) => {
                            let asked = received.headers.wait_asked(now);
                            let Some(wait) = self.patience.wait_after(&attempts, asked) else {
                                notes.push(gave_up(received.status, &refusal.code, asked));
                                return Err(FailureKind::Busy(refusal));
                            };
                            wait_for(wait, attempt).await;
                            self.patience.waited(&mut attempts, wait);
                            continue;
                        }
                    }
                }
            };
            notes.push(lost);
            if std::mem::replace(&mut attempts.lost, true) || if_lost == IfLost::GiveUp {
                return Err(FailureKind::Unanswered);
            }
            wait_for(self.patience.jittered(self.patience.first_wait), attempt).await;
        }
    }
}

async fn wait_for(wait: Duration, attempt: u32) {
    tracing::debug!(attempt, wait_ms = wait.as_millis(), "waiting to ask again");
    sleep(wait).await;
}
