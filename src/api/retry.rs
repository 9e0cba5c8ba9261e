//! When a request may be sent again, and after how long.
//!
//! It owns the rule of design section 7: what was throttled until the time for
//! it is over, a lost answer once, a refused token once by a new one, nothing else.
//! An answer of a gateway that gave up waiting counts as lost.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use tokio::time::{Instant, sleep};

use crate::core::manifest::Assignment;
use crate::core::outcome::{Doubt, Refusal, Reply};
use crate::core::redact::Token;

use super::auth::Pass;
use super::client::{Ambient, Answered, Client};
use super::exchange::{Failure, Why};
use super::gate::Gate;
use super::judge::{Judge, Step, authority};
use super::note::Note;
use super::received::Received;
use super::tally::Tally;
use super::transport::{Sent, answer_lost};
use super::wire;

/// The longest wait between two attempts that was not asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long what was put off may take.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// Longest time for the repetitions of one throttled request.
    pub(super) max_elapsed: Duration,
    /// The first wait between two attempts; it doubles from there.
    pub(super) first_wait: Duration,
    pub(super) ambient: Ambient,
    pub(super) tally: Arc<Tally>,
}

/// What is known while a request is on its way to a reply.
pub(super) struct Course {
    started: Instant,
    /// Waits for a service that was busy.
    waits: u32,
    /// Whether the answer to an attempt was lost, so that it may have been acted on.
    pub(super) lost: bool,
    /// Whether a new token was fetched because one was refused.
    renewed: bool,
    /// What the last answer calls wrong.
    wrong: Vec<(usize, Token)>,
}

impl Course {
    pub(super) fn begin() -> Self {
        Self {
            started: Instant::now(),
            waits: 0,
            lost: false,
            renewed: false,
            wrong: Vec::new(),
        }
    }
}

impl Patience {
    /// Takes note of an answer, and says what time it is.
    pub(super) fn answered(&self, received: &Received) -> Timestamp {
        let now = (self.ambient.now)();
        self.tally.compare(&received.headers, now);
        now
    }

    pub(super) fn waited(&self, course: &mut Course, wait: Duration) {
        course.waits += 1;
        self.tally.waited(wait);
    }

    /// How long to wait before a throttled request is sent again; nothing if
    /// the time left is too short. At least what the service asked for, spread a
    /// little so that parallel senders do not all come back at once.
    pub(super) fn wait_after(&self, course: &Course, asked: Option<Duration>) -> Option<Duration> {
        let left = self.max_elapsed.checked_sub(course.started.elapsed())?;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            let spread = self.first_wait - self.jittered(self.first_wait);
            return (asked <= left).then(|| asked.saturating_add(spread).min(left));
        }
        let doubled = 2_u32.saturating_pow(course.waits);
        let wait = self.first_wait.saturating_mul(doubled).min(LONGEST_WAIT);
        let wait = self.jittered(wait);
        (wait <= left).then_some(wait)
    }

    /// Between half of `wait` and all of it.
    pub(super) fn jittered(&self, wait: Duration) -> Duration {
        const STEPS: u32 = 1024;
        let drawn = u32::try_from((self.ambient.random)() % u64::from(STEPS)).unwrap_or(0);
        wait / 2 + (wait / 2) * drawn / STEPS
    }
}

impl Client {
    /// Sends the passwords of `entries` in one request and says what came of it.
    ///
    /// The caller holds a pass of `gate`, which is halved whenever the service
    /// throttles, and keeps two requests from touching one job at the same time.
    /// Throttled requests are repeated until the time for it is over or `gate` is
    /// closed; a lost answer is repeated once. Never fails: whatever happens is a reply.
    /// Nothing is returned if `gate` let none of it out, or called it back while it
    /// changed nothing: what is left of it is to be sent anew.
    pub async fn modify_passwords(&self, entries: &[&Assignment], gate: &Gate) -> Option<Answered> {
        let mut notes = Vec::new();
        let mut course = Course::begin();
        let reply = self.pursue(entries, gate, &mut course, &mut notes).await?;
        let reply = match reply {
            // A doubt stays one; all else is only what the repetition proves.
            Reply::Lost(_) => reply,
            _ if course.lost => Reply::AfterLoss(Box::new(reply)),
            _ => reply,
        };
        Some(Answered {
            reply,
            notes,
            wrong: course.wrong,
        })
    }

    async fn pursue(
        &self,
        entries: &[&Assignment],
        gate: &Gate,
        course: &mut Course,
        notes: &mut Vec<Note>,
    ) -> Option<Reply> {
        let call = self.call(Method::PUT, "jobs/batch-modify-pwd", wire::encode(entries));
        let mut attempt = 0_u32;
        let advice = self.session.advice();
        let mut pass = match self.session.pass().await {
            Ok(pass) => pass,
            Err(failure) => return Some(without_login(failure, notes)),
        };
        loop {
            // Each wrong login brings an account closer to its lock.
            if course.lost && !gate.may_repeat() {
                return Some(Reply::Lost(Doubt::AnswerLost));
            }
            if !course.lost && entries.iter().any(|entry| gate.code_of(entry).is_some()) {
                return None;
            }
            attempt += 1;
            let request = self.authorized(&call, &pass);
            let (doubt, asked) = match self.transport.send(request, entries.len(), attempt).await {
                Sent::NoConnection(cause) => {
                    notes.push(self.transport.no_connection(&call.url, cause));
                    return Some(Reply::NoConnection);
                }
                Sent::Lost(cause) => {
                    notes.push(answer_lost(&call.url, cause));
                    (Doubt::AnswerLost, None)
                }
                Sent::Answer(received) => {
                    let login = self.session.secrets();
                    let now = self.patience.answered(&received);
                    let judge = Judge::new(entries, &login, &call.url, now, self.run.as_ref());
                    let step = judge.judge(&received, notes);
                    course.wrong = judge.wrong.take();
                    match step {
                        Step::Done(reply) => {
                            if !matches!(reply, Reply::Lost(_)) {
                                gate.answered();
                            }
                            let host = authority(&call.url);
                            let refusal = reply.login_refusal();
                            self.session.note(refusal.map(|refusal| (refusal, host)));
                            return Some(reply);
                        }
                        Step::Lost(doubt) => (doubt, received.headers.wait_asked(now)),
                        Step::LoginRefused(mut refusal) => {
                            refusal.advice.get_or_insert(advice);
                            self.session.note(Some((&refusal, authority(&call.url))));
                            pass = match self.renewed(&pass, course, refusal, notes).await {
                                Ok(pass) => pass,
                                Err(reply) => return Some(reply),
                            };
                            continue;
                        }
                        Step::Again(refusal) => {
                            gate.halve();
                            let asked = received.headers.wait_asked(now);
                            let Some(wait) = self.patience.wait_after(course, asked) else {
                                notes.push(Note::GaveUp {
                                    status: received.status,
                                    code: refusal.code.clone(),
                                    asked,
                                });
                                return Some(Reply::TurnedAway(refusal));
                            };
                            if !pause(wait, gate, attempt).await {
                                notes.push(Note::StoppedWaiting);
                                return Some(Reply::TurnedAway(refusal));
                            }
                            self.patience.waited(course, wait);
                            // A token may have come to its end meanwhile.
                            pass = match self.session.pass().await {
                                Ok(pass) => pass,
                                Err(failure) => return Some(without_login(failure, notes)),
                            };
                            continue;
                        }
                    }
                }
            };
            let may_repeat = !std::mem::replace(&mut course.lost, true);
            let wait = match asked {
                None => Some(self.patience.jittered(self.patience.first_wait)),
                asked => self.patience.wait_after(course, asked),
            };
            match wait {
                Some(wait) if may_repeat && pause(wait, gate, attempt).await => {}
                _ => return Some(Reply::Lost(doubt)),
            }
        }
    }

    /// Another pass in the place of a refused one, once for each request.
    /// Fails with the refusal that stands.
    async fn renewed(
        &self,
        refused: &Pass,
        course: &mut Course,
        refusal: Refusal,
        notes: &mut Vec<Note>,
    ) -> Result<Pass, Reply> {
        if std::mem::replace(&mut course.renewed, true) {
            return Err(Reply::LoginRefused(refusal));
        }
        match self.session.renewed(refused).await {
            None => Err(Reply::LoginRefused(refusal)),
            Some(Ok(pass)) => Ok(pass),
            // Without a new token, the refusal of the old one stands.
            Some(Err(failure)) if failure.is_silence() => {
                notes.extend(failure.notes);
                Err(Reply::LoginRefused(refusal))
            }
            Some(Err(failure)) => Err(without_login(failure.advised(self.session.advice()), notes)),
        }
    }
}

/// What a login that failed in the middle of a run means for the request that
/// needed it: nothing of it was sent.
fn without_login(failure: Failure, notes: &mut Vec<Note>) -> Reply {
    notes.extend(failure.notes);
    match failure.why {
        Why::Login(refusal) | Why::Refused(refusal) => Reply::LoginRefused(refusal),
        Why::Failed(refusal) | Why::Busy(refusal) => {
            notes.push(Note::NoLogin {
                host: failure.host,
                code: refusal.code,
            });
            Reply::NoConnection
        }
        Why::NoConnection | Why::Unanswered => Reply::NoConnection,
        Why::OtherProject { .. } => {
            notes.push(Note::OtherProject);
            Reply::LoginRefused(Refusal::of_ours("OTHER-PROJECT"))
        }
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
