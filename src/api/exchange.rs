//! A call that carries no password: sent until it is answered, or until that is
//! not to be expected any more.
//!
//! It owns the repetitions of such calls, by the same rules as those of password
//! changes: throttling until the time for it is over, a lost answer once, nothing
//! else. It refuses to know what was asked.

use std::time::Duration;

use reqwest::Request;

use super::client::Call;
use super::error::ServiceError;
use super::judge::{Judge, QueryStep};
use super::note::{LossCause, Note};
use super::received::Received;
use super::retry::{Course, Patience};
use super::secrets::{LoginSecrets, RunSecrets};
use super::transport::{Sent, Transport, answer_lost};
use crate::core::outcome::Refusal;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: Why,
    /// Host that was asked.
    pub(super) host: String,
    pub(super) notes: Vec<Note>,
}

/// The kinds of failure.
#[derive(Debug)]
pub(super) enum Why {
    /// The caller is not known (any longer).
    Login(Refusal),
    /// Everything else that the service said no to.
    Refused(Refusal),
    /// It said that it cannot answer now, which is no word on the question.
    Failed(Refusal),
    /// It asked to come again later until the time for that was over.
    Busy(Refusal),
    /// Nothing left this machine.
    NoConnection,
    /// No answer that can be used.
    Unanswered,
    /// The login is for another project than the sealed one.
    OtherProject {
        /// The project it is for; none if it is for no project at all.
        found: Option<String>,
        sealed: String,
    },
}

impl Failure {
    /// Whether the caller may ask nothing more.
    pub(super) const fn refuses_caller(&self) -> bool {
        matches!(self.why, Why::Login(_) | Why::OtherProject { .. })
    }

    /// Whether nothing else may be asked, or is of any use.
    pub(super) const fn ends_asking(&self) -> bool {
        self.is_silence() || self.refuses_caller()
    }

    /// Whether nothing was said on the question, neither yes nor no.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(
            self.why,
            Why::NoConnection | Why::Unanswered | Why::Failed(_) | Why::Busy(_)
        )
    }

    /// The same with this advice, where the caller was refused without a reason.
    pub(super) fn advised(mut self, advice: &'static str) -> Self {
        if let Why::Login(refusal) = &mut self.why {
            refusal.advice.get_or_insert(advice);
        }
        self
    }

    /// The failure as an error of whatever was attempted; `used` names the login.
    pub(super) fn into_error(self, what: &'static str, used: String) -> ServiceError {
        let Self { why, host, notes } = self;
        let of_caller = matches!(why, Why::Login(_));
        match why {
            Why::Login(refusal) | Why::Refused(refusal) => ServiceError::Refused {
                what,
                host,
                of_caller,
                refusal: Box::new(refusal),
                used,
                notes,
            },
            Why::Failed(refusal) | Why::Busy(refusal) => ServiceError::Failed {
                what,
                host,
                refusal: Box::new(refusal),
                notes,
            },
            Why::NoConnection | Why::Unanswered => ServiceError::Unanswered { what, host, notes },
            Why::OtherProject { found, sealed } => ServiceError::OtherProject {
                found,
                sealed,
                used,
            },
        }
    }
}

/// What is done where an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfLost {
    /// The call is sent once more: it changes nothing.
    AskAgain,
    /// It is not, since it may have been acted on.
    GiveUp,
}

/// One way to ask.
pub(super) struct Exchange<'a> {
    pub(super) transport: &'a Transport,
    pub(super) patience: &'a Patience,
    pub(super) login: &'a LoginSecrets,
    pub(super) run: Option<&'a RunSecrets>,
}

impl Exchange<'_> {
    /// Sends `call` until an answer settles it; `authorize` makes a request of it,
    /// anew for each attempt.
    /// Fails if it is refused, if no connection can be made, or if no usable
    /// answer comes.
    pub(super) async fn ask(
        &self,
        call: &Call,
        if_lost: IfLost,
        authorize: &(dyn Fn(&Call) -> Request + Sync),
    ) -> Result<Received, Failure> {
        let mut notes = Vec::new();
        let why = match self.pursue(call, if_lost, authorize, &mut notes).await {
            Ok(received) => return Ok(received),
            Err(why) => why,
        };
        Err(Failure {
            why,
            host: super::judge::authority(&call.url),
            notes,
        })
    }

    async fn pursue(
        &self,
        call: &Call,
        if_lost: IfLost,
        authorize: &(dyn Fn(&Call) -> Request + Sync),
        notes: &mut Vec<Note>,
    ) -> Result<Received, Why> {
        let mut course = Course::begin();
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            let cause = match self.transport.send(authorize(call), 0, attempt).await {
                Sent::NoConnection(cause) => {
                    notes.push(self.transport.no_connection(&call.url, cause));
                    return Err(Why::NoConnection);
                }
                Sent::Lost(cause) => cause,
                Sent::Answer(received) => {
                    let now = self.patience.answered(&received);
                    let judge = Judge::new(&[], self.login, &call.url, now, self.run);
                    match judge.judge_query(&received, notes) {
                        QueryStep::Answered => return Ok(received),
                        QueryStep::Login(refusal) => return Err(Why::Login(refusal)),
                        QueryStep::Refused(refusal) => return Err(Why::Refused(refusal)),
                        QueryStep::Failed(refusal) => return Err(Why::Failed(refusal)),
                        QueryStep::Unusable => return Err(Why::Unanswered),
                        QueryStep::Lost => LossCause::Cut,
                        QueryStep::Again(refusal) => {
                            let asked = received.headers.wait_asked(now);
                            let Some(wait) = self.patience.wait_after(&course, asked) else {
                                notes.push(Note::GaveUp {
                                    status: received.status,
                                    code: refusal.code.clone(),
                                    asked,
                                });
                                return Err(Why::Busy(refusal));
                            };
                            self.wait(wait, attempt).await;
                            self.patience.waited(&mut course, wait);
                            continue;
                        }
                    }
                }
            };
            notes.push(answer_lost(&call.url, cause));
            if std::mem::replace(&mut course.lost, true) || if_lost == IfLost::GiveUp {
                return Err(Why::Unanswered);
            }
            let wait = self.patience.jittered(self.patience.first_wait);
            self.wait(wait, attempt).await;
        }
    }

    async fn wait(&self, wait: Duration, attempt: u32) {
        tracing::debug!(attempt, wait_ms = wait.as_millis(), "waiting to ask again");
        tokio::time::sleep(wait).await;
    }
}
