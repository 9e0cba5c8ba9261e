//! What the service's answer means for each entry that was sent.
//!
//! Results are matched by entry, never by position, and a result that is
//! missing, doubled, foreign or odd is never taken for success.

use serde::{Deserialize, Serialize};

use super::job::{Endpoint, EntryKey};
use super::redact::{ForeignText, Token};

/// How the service refused: what the next plan needs to know about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The user or password is wrong (DRS.KE0002). Sending the same value again
    /// locks database accounts, so it is only repeated when asked for.
    WrongPassword,
    /// The job's state does not allow the change now.
    JobState,
    /// The service asked to come again later until the time for it was over.
    Busy,
    /// Anything else: this entry or this request was not acceptable.
    Rejected,
}

/// One refusal: known to have changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// The service's error code, or a code of ours such as `HTTP-307`.
    pub code: Token,
    /// The service's id of the request, for its support.
    pub request_id: Option<Token>,
    /// The service's words, cleaned, for this run's output only: never stored.
    pub text: Option<ForeignText>,
}

/// Why it is not known what became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The connection broke, or the time was over, before an answer came.
    AnswerLost,
    /// The answer's status says that the service or something before it failed.
    ServerError,
    /// An answer came that cannot be read as one of this service.
    Unreadable,
    /// The answer holds no result for the entry.
    NoResult,
    /// The answer holds more than one result for the entry.
    DoubledResult,
    /// The result is neither a success nor a failure, or is both.
    OddResult,
    /// The run was stopped before the answer came.
    Interrupted,
}

/// Why an entry was left as it was before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The login or a right was refused; the code says how.
    LoginRefused(Token),
    /// No connection could be made, so nothing left this machine.
    NoConnection,
    /// The run was told to stop before its turn came.
    Interrupted,
    /// Too many answers in a row were lost, so nothing new was sent.
    TooManyLost,
    /// The journal could not be written, so nothing new was sent.
    JournalFailed,
}

/// What is known about an entry after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service said that it took the value.
    Applied,
    /// The service said that it did not.
    Refused(Refusal),
    /// Nothing was asked of the service, or it answered without judging.
    NotSent(NotSent),
    /// It may have been set or not.
    InDoubt(Doubt),
}

/// What the service said to one batch, in the words of this domain.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It answered entry by entry.
    PerEntry {
        /// What it listed, in its order.
        results: Vec<EntryResult>,
        /// How many results it says there are.
        announced: Option<u64>,
        /// The service's id of the request.
        request_id: Option<Token>,
    },
    /// It turned the whole request away: nothing was changed.
    Refused(Refusal),
    /// It refused the caller: nothing was changed, and nothing will be.
    LoginRefused(Refusal),
    /// No answer that can be relied on: everything in the batch is in doubt.
    Lost(Doubt),
    /// Nothing left this machine.
    NoConnection,
}

/// One line of a per-entry answer.
#[derive(Clone, Debug)]
pub struct EntryResult {
    /// The job it names, as a cleaned token; absent when it is unusable.
    pub job: Option<Token>,
    /// The endpoint it names; absent when it is missing or unknown.
    pub endpoint: Option<Endpoint>,
    /// What it says.
    pub verdict: Verdict,
}

/// What one result says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Success, without an error code.
    Success,
    /// Failure.
    Failed(Refusal),
    /// A status that is neither, or a success that carries an error code.
    Odd,
}
