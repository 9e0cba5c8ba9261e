//! What became of an apply, and what happened on the way.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::outcome::{Outcome, Refusal};
use crate::core::redact::Token;
use crate::core::status::{Blocked, JobStatus, ReportedStatus};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Tried(Outcome),
    Blocked(BlockReason),
}

/// Why an entry was not sent: sending it does harm or is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// The same value was refused as wrong: repeating it locks the account. `credential` where
    /// it was refused for another of its entries.
    WrongPassword {
        code: Token,
        credential: Option<String>,
    },
    /// Another one was refused as wrong in this run, and whatever was to go one by one ended
    /// with that.
    AfterWrongPassword(Token),
    Job(Blocked),
}

#[derive(Clone, Debug)]
pub struct RetryJobsEntry {
    pub label: String,
    pub result: RetryJobsResult,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryJobsResult {
    Runs(JobStatus),
    Failed(JobStatus),
    /// What it came to was not seen in time; the last state that was seen.
    Unseen(Option<ReportedStatus>),
    Refused(Refusal),
    NotAsked(NotAsked),
    /// An earlier retry with the same passwords failed, or was not seen to work.
    RetriedBefore(JobStatus, Timestamp),
    LeftAlone(JobStatus, NotRetried),
    LeftPaused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRetried {
    OutOfSync,
    Adopted,
    OtherFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    NoConnection,
    OtherProject,
    /// The service refused the caller, or said nothing, when it was asked for others.
    Stopped,
    Interrupted,
}

impl RetryJobsResult {
    /// Whether the job is as it should be, or as its owner wants it.
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Runs(_) | Self::LeftPaused | Self::LeftAlone(..))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryJobsEnd {
    All,
    Not { why: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateSaved {
    InState,
    Recovery {
        path: String,
        why: String,
    },
    /// Neither the state nor a recovery file could be written.
    Lost {
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

#[derive(Clone, Debug)]
pub struct ApplyReport {
    /// Every entry that was planned, in manifest order.
    pub entries: Vec<(String, Fate)>,
    /// Repetitions not counted.
    pub requests: usize,
    pub findings: Vec<String>,
    pub jobs: Vec<RetryJobsEntry>,
    pub retry_jobs: RetryJobsEnd,
    pub saved: StateSaved,
    pub interrupted: Option<Signal>,
}

impl ApplyReport {
    pub const fn nothing() -> Self {
        Self {
            entries: Vec::new(),
            requests: 0,
            findings: Vec::new(),
            jobs: Vec::new(),
            retry_jobs: RetryJobsEnd::All,
            saved: StateSaved::InState,
            interrupted: None,
        }
    }
}

/// They add up to the number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub applied: usize,
    pub refused: usize,
    pub blocked: usize,
    pub not_sent: usize,
    pub in_doubt: usize,
}

impl Totals {
    pub const fn total(self) -> usize {
        self.applied + self.refused + self.blocked + self.not_sent + self.in_doubt
    }
}

impl ApplyReport {
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
    /// A manifest of before, which differs in nothing, is recorded as the one applied last.
    WentBack {
        revision: u64,
    },
    Answered {
        settled: usize,
        entries: usize,
    },
    Stopping(Signal),
    Watching {
        jobs: usize,
        at_most: Duration,
    },
}
