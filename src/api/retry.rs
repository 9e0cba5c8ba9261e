//! When a request may be sent again, and after how long.
//!
//! It owns the rule of design section 7: what was throttled until the time for
//! it is over, a lost answer once, nothing else.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::manifest::Assignment;
use crate::core::outcome::{Doubt, Reply};

use super::client::{Answered, Client, Sent};
use super::gate::Gate;
use super::judge::{Judge, Step};
use super::note::{LossCause, Note};
use super::wire;

/// The longest wait between two attempts that was not asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is known while a request is on its way to a reply.
struct Course {
    started: Instant,
    /// Waits for a service that was busy.
    waits: u32,
    waited: Duration,
    /// Whether the answer to an attempt was lost, so that it may have been acted on.
    lost: bool,
}

impl Client {
    /// Sends the passwords of `entries` in one request and says what came of it.
    ///
    /// The caller holds a pass of `gate`, which is halved whenever the service
    /// throttles, and keeps two requests from touching one job at the same time.
    /// Throttled requests are repeated until the time for it is over or `gate` is
    /// closed; a lost answer is repeated once. Never fails: whatever happens is a reply.
    pub async fn modify_passwords(&self, entries: &[&Assignment], gate: &Gate) -> Answered {
        let mut notes = Vec::new();
        let mut course = Course {
            started: Instant::now(),
            waits: 0,
            waited: Duration::ZERO,
            lost: false,
        };
        let reply = self.pursue(entries, gate, &mut course, &mut notes).await;
        if course.waits > 0 {
            notes.push(Note::Throttled {
                waits: course.waits,
                waited: course.waited,
            });
        }
        let reply = match reply {
            // A doubt stays one; all else is only what the repetition proves.
            Reply::Lost(_) => reply,
            _ if course.lost => Reply::AfterLoss(Box::new(reply)),
            _ => reply,
        };
        Answered { reply, notes }
    }

    async fn pursue(
        &self,
        entries: &[&Assignment],
        gate: &Gate,
        course: &mut Course,
        notes: &mut Vec<Note>,
    ) -> Reply {
        let body = wire::encode(entries);
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            let sent = self.send(body.clone(), entries.len(), attempt).await;
            let cause = match sent {
                Sent::NoConnection(cause) => {
                    notes.push(self.no_connection(cause));
                    return Reply::NoConnection;
                }
                Sent::Lost(cause) => cause,
                Sent::Answer(received) => {
                    let login = self.session.secrets();
                    let now = (self.ambient.now)();
                    let step = Judge::new(entries, &login, &self.url, now, self.run.as_ref())
                        .judge(&received, notes);
                    match step {
                        Step::Done(reply) => return reply,
                        Step::Lost => LossCause::Cut,
                        Step::Again(refusal) => {
                            gate.halve();
                            let asked = received.headers.wait_asked(now);
                            let Some(wait) = self.wait_after(course, asked) else {
                                notes.push(Note::GaveUp {
                                    status: received.status,
                                    code: refusal.code.clone(),
                                    asked,
                                });
                                return Reply::TurnedAway(refusal);
                            };
                            if !pause(wait, gate, attempt).await {
                                notes.push(Note::StoppedWaiting);
                                return Reply::TurnedAway(refusal);
                            }
                            course.waits += 1;
                            course.waited += wait;
                            continue;
                        }
                    }
                }
            };
            notes.push(self.answer_lost(cause));
            let may_repeat = !std::mem::replace(&mut course.lost, true);
            let wait = self.jittered(self.retry_first_wait);
            if !may_repeat || !pause(wait, gate, attempt).await {
                return Reply::Lost(Doubt::AnswerLost);
            }
        }
    }

    /// How long to wait before a throttled request is sent again; nothing if
    /// the time left is too short. At least what the service asked for, spread a
    /// little so that parallel senders do not all come back at once.
    fn wait_after(&self, course: &Course, asked: Option<Duration>) -> Option<Duration> {
        let left = self
            .retry_max_elapsed
            .checked_sub(course.started.elapsed())?;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            let spread = self.retry_first_wait - self.jittered(self.retry_first_wait);
            return (asked <= left).then(|| asked.saturating_add(spread).min(left));
        }
        let doubled = 2_u32.saturating_pow(course.waits);
        let wait = self
            .retry_first_wait
            .saturating_mul(doubled)
            .min(LONGEST_WAIT);
        let wait = self.jittered(wait);
        (wait <= left).then_some(wait)
    }

    /// Between half of `wait` and all of it.
    fn jittered(&self, wait: Duration) -> Duration {
        const STEPS: u32 = 1024;
        let drawn = u32::try_from((self.ambient.random)() % u64::from(STEPS)).unwrap_or(0);
        wait / 2 + (wait / 2) * drawn / STEPS
    }
}

/// Waits, or returns false as soon as the gate is closed.
async fn pause(wait: Duration, gate: &Gate, attempt: u32) -> bool {
    tracing::debug!(attempt, wait_ms = wait.as_millis(), "waiting to send again");
    tokio::select! {
        biased;
        () = gate.closed() => false,
        () = sleep(wait) => true,
    }
}
