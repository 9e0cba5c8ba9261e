//! What became of an apply, and what happened on the way.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::outcome::{Outcome, Refusal};
use crate::core::redact::Token;
use crate::core::status::{Blocked, JobStatus, ToldStatus};

/// What became of one entry of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was up for sending.
    Tried(Outcome),
    /// It was left alone because sending it does harm or is of no use.
    Blocked(Block),
}

/// Why an entry was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// The same value was refused as wrong: repeating it locks the account.
    WrongPassword {
        /// The service's code.
        code: Token,
        /// The credential, where it was refused for another of its entries.
        credential: Option<String>,
    },
    /// Another one was refused as wrong in this run, and whatever was to go one by one
    /// ended with that; the service's code.
    AfterWrongPassword(Token),
    /// Its job cannot be told a password now.
    Job(Blocked),
}

/// A job that was looked after once its entries were applied.
#[derive(Clone, Debug)]
pub struct RetryJobsEntry {
    /// Its name, or its id.
    pub label: String,
    /// What came of it.
    pub result: RetryJobsResult,
}

/// What came of looking after a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryJobsResult {
    /// It was retried and works again.
    Runs(JobStatus),
    /// It was retried and failed again.
    Failed(JobStatus),
    /// A retry was asked for, and what it came to was not seen in time; the last
    /// state that was seen.
    Unseen(Option<ToldStatus>),
    /// The service did not retry it.
    Refused(Refusal),
    /// It could not be asked for a retry.
    NotAsked(NotAsked),
    /// It has failed, and was not retried: an earlier retry with the same passwords
    /// failed, or was not seen to work.
    RetriedBefore(JobStatus, Timestamp),
    /// It has failed, and a retry is of no use.
    LeftAlone(JobStatus, NotRetried),
    /// Its owner paused it, so it was left as it is.
    LeftPaused,
}

/// Why the retry of a failed job is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRetried {
    /// Not all its passwords are in sync.
    OutOfSync,
    /// drspass sent none of its passwords: they were adopted.
    Adopted,
    /// What failed is not the transfer.
    OtherFailure,
}

/// Why the service could not be asked for the retry of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// No connection could be made.
    NoConnection,
    /// The login turned out to be for another project than the sealed one.
    OtherProject,
    /// The service refused the caller, or said nothing, when it was asked for others.
    Stopped,
    /// The run was interrupted.
    Interrupted,
}

impl RetryJobsResult {
    /// Whether the job is as it should be, or as its owner wants it.
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Runs(_) | Self::LeftPaused | Self::LeftAlone(..))
    }
}

/// Whether jobs were looked after as they were to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryJobsEnd {
    /// All that were to be, if any.
    All,
    /// Some or all of them were not.
    Not {
        /// Why.
        why: String,
    },
}

/// How the record of an apply was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// In the state.
    InState,
    /// The state could not be written; a recovery file holds it.
    Recovery {
        /// Where.
        path: String,
        /// Why the state could not be written.
        why: String,
    },
    /// Nowhere: neither the state nor a recovery file could be written.
    Lost {
        /// Why.
        why: String,
    },
}

/// Which signal stopped a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A request to end, from the system or a closed terminal.
    Terminate,
}

/// What became of an apply.
#[derive(Clone, Debug)]
pub struct ApplyReport {
    /// Every entry that was planned, with its label, in manifest order.
    pub entries: Vec<(String, Fate)>,
    /// Requests that were sent, repetitions not counted.
    pub requests: usize,
    /// What else the answers showed.
    pub findings: Vec<String>,
    /// Jobs that were looked after.
    pub jobs: Vec<RetryJobsEntry>,
    /// Whether every job that was to be looked after was.
    pub retry_jobs: RetryJobsEnd,
    /// How the record was kept.
    pub saved: Saved,
    /// What stopped the run early.
    pub interrupted: Option<Signal>,
}

impl ApplyReport {
    /// An apply that had nothing to do.
    pub const fn nothing() -> Self {
        Self {
            entries: Vec::new(),
            requests: 0,
            findings: Vec::new(),
            jobs: Vec::new(),
            retry_jobs: RetryJobsEnd::All,
            saved: Saved::InState,
            interrupted: None,
        }
    }
}

/// The numbers of an apply. They add up to the number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Taken by the service.
    pub applied: usize,
    /// Refused by the service.
    pub refused: usize,
    /// Left alone because sending does harm or is of no use.
    pub blocked: usize,
    /// Left as they were.
    pub not_sent: usize,
    /// Of unknown outcome.
    pub in_doubt: usize,
}

impl Totals {
    /// All entries together.
    pub const fn total(self) -> usize {
        self.applied + self.refused + self.blocked + self.not_sent + self.in_doubt
    }
}

impl ApplyReport {
    /// Counts the fates.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, fate) in &self.entries {
            let count = match fate {
                Fate::Tried(Outcome::Applied) => &mut totals.applied,
                Fate::Tried(Outcome::Refused(_)) => &mut totals.refused,
                Fate::Tried(Outcome::NotSent(_)) => &mut totals.not_sent,
                Fate::Tried(Outcome::InDoubt(_)) => &mut totals.in_doubt,
                Fate::Blocked(_) => &mut totals.blocked,
            };
            *count += 1;
        }
        totals
    }
}

/// Something that happened during a run, for a progress display.
#[derive(Clone, Debug)]
pub enum Event {
    /// A manifest of before, which differs in nothing, is recorded as the one applied
    /// last.
    WentBack {
        /// Its revision.
        revision: u64,
    },
    /// An answer was read.
    Answered {
        /// Entries whose outcome is known or in doubt by now.
        settled: usize,
        /// All entries.
        entries: usize,
    },
    /// A signal came: nothing new is sent.
    Stopping(Signal),
    /// Failed jobs were retried and are being watched.
    Watching {
        /// How many.
        jobs: usize,
        /// For how long at most.
        at_most: Duration,
    },
}
