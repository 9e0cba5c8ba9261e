//! What the service's answer means for each entry that was sent. Results are matched by entry,
//! never by position; a missing, duplicate, foreign or malformed one is never taken for success.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::job::{Endpoint, EntryKey};
use super::redact::{ForeignText, ReportedName, Token};
use super::status::Blocked;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The user or the password is wrong (DRS.KE0002). Sending the same value again locks database
    /// accounts, so that happens only on request.
    WrongPassword,
    JobState,
    Busy,
    Rejected,
}

/// A refusal that is known to have changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// The request had too many jobs: each alone may be accepted.
    pub is_one_job_only: bool,
    /// The service's error code, or a code of drspass such as `HTTP-307`.
    pub code: ReportedName,
    pub request_id: Option<ReportedName>,
    /// The service's message, cleaned, for this run's output only: never stored.
    pub text: Option<ForeignText>,
    pub advice: Option<&'static str>,
    /// How many entries the request had, if it was refused as a whole.
    pub entries: usize,
}

impl Refusal {
    pub const fn of_ours(code: &'static str) -> Self {
        Self {
            kind: RefusalKind::Rejected,
            is_one_job_only: false,
            code: ReportedName::from_static(code),
            request_id: None,
            text: None,
            advice: None,
            entries: 1,
        }
    }

    pub fn doubt_among(&self) -> Option<String> {
        let entries = self.entries;
        let is_one_of_many = self.kind == RefusalKind::WrongPassword && entries > 1;
        is_one_of_many.then(|| {
            format!("refused as a whole: at least one of these {entries} entries is wrong")
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    AnswerLost,
    ServerError,
    Unreadable,
    NoResult,
    DoubledResult,
    OddResult,
    Interrupted,
}

impl Doubt {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnswerLost => "answer_lost",
            Self::ServerError => "server_error",
            Self::Unreadable => "unreadable",
            Self::NoResult => "no_result",
            Self::DoubledResult => "doubled_result",
            Self::OddResult => "odd_result",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnswerLost => "no answer was received",
            Self::ServerError => "the service failed while handling the request",
            Self::Unreadable => "the answer is unreadable",
            Self::NoResult => "the answer contains no result for it",
            Self::DoubledResult => "the answer contains several results for it",
            Self::OddResult => "its result is neither a success nor a failure",
            Self::Interrupted => "the run was stopped before the answer arrived",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    LoginRefused(ReportedName),
    NoConnection,
    Interrupted,
    TooManyLost,
    Busy,
    JournalFailed,
    /// Another run may send now.
    LockLost,
    /// Another entry is blocked, and nothing was to be sent in that case.
    OthersBlocked,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoginRefused(code) => {
                return write!(f, "the login was refused or lacks a permission: {code}");
            }
            Self::NoConnection => "could not connect to the service",
            Self::Interrupted => "the run was stopped",
            Self::TooManyLost => "too many answers were lost in a row",
            Self::Busy => "the service remained busy",
            Self::JournalFailed => "the journal could not be written",
            Self::LockLost => "the lock on the state was lost or could not be renewed in time",
            Self::OthersBlocked => "other entries would be skipped (--stop-if-blocked)",
        })
    }
}

/// Why an entry was not sent: sending it would do harm or be useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// The same value was rejected as wrong: repeating it locks the account. `credential` is set if
    /// it was rejected for another entry of that credential.
    WrongPassword {
        code: Token,
        credential: Option<String>,
    },
    /// Another entry was rejected as wrong in this run, which ended the sending one by one.
    AfterWrongPassword(Token),
    Job(Blocked),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    Refused(Refusal),
    Blocked(BlockReason),
    /// No request was made for it, or the service answered without judging it.
    NotSent(NotSent),
    InDoubt(Doubt),
}

/// The service's answer to one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchReply {
    PerEntry {
        results: Vec<EntryResult>,
        announced: Option<u64>,
    },
    /// Rejected because of what the request contains: nothing was changed, and a part of it may be
    /// accepted.
    Refused(Refusal),
    /// Rejected for a reason that sending the parts would not help (a wrong address, a redirect, no
    /// time left while busy) or would make worse (a wrong password): nothing was changed.
    TurnedAway(Refusal),
    /// The caller was rejected: nothing was changed, and nothing will be.
    LoginRefused(Refusal),
    /// No answer that can be relied on: the outcome of the whole batch is unknown.
    Lost(Doubt),
    NoConnection,
    /// The answer to a repetition, after the answer to the first sending was lost. The first may
    /// have been acted on, so only a success settles an entry. Never another `AfterLoss`.
    AfterLoss(Box<Self>),
}

impl BatchReply {
    /// Returns the refusal after which nothing new may be sent: a login that is rejected again and
    /// again locks accounts and keys.
    pub fn login_refusal(&self) -> Option<&Refusal> {
        match self {
            Self::LoginRefused(refusal) => Some(refusal),
            Self::AfterLoss(reply) => reply.login_refusal(),
            _ => None,
        }
    }

    /// Returns whether halving the batch may find the entry that spoils it (design section 7).
    pub const fn may_be_split(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryResult {
    pub job: Option<ReportedName>,
    pub endpoint: Option<Endpoint>,
    pub verdict: ResultVerdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultVerdict {
    Success,
    Failed(Refusal),
    /// Neither, or a success with an error code; contains what it says, if anything.
    Odd(Option<ForeignText>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub outcomes: Vec<Outcome>,
    /// The unexpected parts of the reply, as sentences, entries first.
    pub findings: Vec<String>,
}

const MAX_FOREIGN: usize = 10;

/// Gives each entry of `sent` the one outcome that `reply` proves: it is applied only if exactly
/// one result names it and that result is a success (design section 2.4).
pub fn match_results(sent: &[EntryKey], reply: &BatchReply) -> Matched {
    let every = |outcome: Outcome| Matched {
        outcomes: vec![outcome; sent.len()],
        findings: Vec::new(),
    };
    match reply {
        BatchReply::PerEntry { results, announced } => match_entries(sent, results, *announced),
        BatchReply::Refused(refusal) | BatchReply::TurnedAway(refusal) => {
            every(Outcome::Refused(Refusal {
                entries: sent.len(),
                ..refusal.clone()
            }))
        }
        BatchReply::LoginRefused(refusal) => every(Outcome::NotSent(NotSent::LoginRefused(
            refusal.code.clone(),
        ))),
        BatchReply::Lost(doubt) => every(Outcome::InDoubt(*doubt)),
        BatchReply::NoConnection => every(Outcome::NotSent(NotSent::NoConnection)),
        BatchReply::AfterLoss(reply) => after_loss(sent, match_results(sent, reply)),
    }
}

/// Withdraws what the repetition of a lost request cannot prove: that the first one changed
/// nothing.
fn after_loss(sent: &[EntryKey], mut matched: Matched) -> Matched {
    let mut refused = Vec::new();
    for (key, outcome) in sent.iter().zip(&mut matched.outcomes) {
        let code = match outcome {
            Outcome::Applied | Outcome::InDoubt(_) => continue,
            // The value was the same both times, so it is as wrong for the first
            // sending; and forgetting that would let it be tried once more.
            Outcome::Refused(refusal) if refusal.kind == RefusalKind::WrongPassword => continue,
            Outcome::Refused(refusal) => Some(refusal.code.clone()),
            Outcome::NotSent(NotSent::LoginRefused(code)) => Some(code.clone()),
            Outcome::NotSent(_) | Outcome::Blocked(_) => None,
        };
        refused.extend(code.map(|code| {
            format!("the answer for {key} was lost, and sending it again was refused: {code}")
        }));
        *outcome = Outcome::InDoubt(Doubt::AnswerLost);
    }
    refused.append(&mut matched.findings);
    Matched {
        findings: refused,
        ..matched
    }
}

fn match_entries(sent: &[EntryKey], results: &[EntryResult], announced: Option<u64>) -> Matched {
    let mut by_key: BTreeMap<(&str, Endpoint), Vec<&ResultVerdict>> = sent
        .iter()
        .map(|key| ((key.job.as_str(), key.endpoint), Vec::new()))
        .collect();
    let mut strange = Vec::new();
    let mut foreign = 0;
    for result in results {
        // A name that was changed for display proves nothing.
        let job = result.job.as_ref().and_then(ReportedName::kept);
        let slot = job
            .zip(result.endpoint)
            .and_then(|(job, endpoint)| by_key.get_mut(&(job.as_str(), endpoint)));
        if let Some(verdicts) = slot {
            verdicts.push(&result.verdict);
            continue;
        }
        foreign += 1;
        if foreign > MAX_FOREIGN {
            continue;
        }
        let is_ours =
            job.is_some_and(|job| sent.iter().any(|key| key.job.as_str() == job.as_str()));
        strange.push(match (&result.job, result.endpoint) {
            (Some(job), None) if is_ours => format!("a result for job {job} has no endpoint"),
            (job, endpoint) => {
                let job = job.as_ref().map_or("no id".to_owned(), ToString::to_string);
                let endpoint = endpoint.map_or_else(String::new, |endpoint| format!("/{endpoint}"));
                format!("the answer has a result for an entry that was not sent: {job}{endpoint}")
            }
        });
    }
    if foreign > MAX_FOREIGN {
        let more = foreign - MAX_FOREIGN;
        strange.push(format!(
            "the answer has {more} more results for entries that were not sent"
        ));
    }
    if let Some(announced) = announced
        && u64::try_from(results.len()) != Ok(announced)
    {
        strange.push(format!(
            "the answer announces {announced} results and contains {}",
            results.len()
        ));
    }

    let mut findings = Vec::new();
    let outcomes = sent
        .iter()
        .map(|key| {
            let verdicts = by_key
                .get(&(key.job.as_str(), key.endpoint))
                .map_or(&[][..], Vec::as_slice);
            let (outcome, finding) = outcome_of(key, verdicts);
            findings.extend(finding);
            outcome
        })
        .collect();
    findings.append(&mut strange);
    Matched { outcomes, findings }
}

fn outcome_of(key: &EntryKey, verdicts: &[&ResultVerdict]) -> (Outcome, Option<String>) {
    match verdicts {
        [] => (
            Outcome::InDoubt(Doubt::NoResult),
            Some(format!("no result was returned for {key}")),
        ),
        [ResultVerdict::Success] => (Outcome::Applied, None),
        [ResultVerdict::Failed(refusal)] => (Outcome::Refused(refusal.clone()), None),
        [ResultVerdict::Odd(said)] => {
            let said = said.as_ref();
            let said = said.map_or("no status was read".to_owned(), |said| {
                format!("it says {said}")
            });
            let odd = format!("the result for {key} is neither a success nor a failure: {said}");
            (Outcome::InDoubt(Doubt::OddResult), Some(odd))
        }
        [first, rest @ ..] => {
            let agreement = if rest.iter().all(|other| say_the_same(first, other)) {
                "agree"
            } else {
                "disagree"
            };
            let results = verdicts.len();
            let doubled = format!("{results} results were returned for {key}, which {agreement}");
            (Outcome::InDoubt(Doubt::DoubledResult), Some(doubled))
        }
    }
}

fn say_the_same(a: &ResultVerdict, b: &ResultVerdict) -> bool {
    match (a, b) {
        (ResultVerdict::Success, ResultVerdict::Success) => true,
        (ResultVerdict::Failed(a), ResultVerdict::Failed(b)) => a.code == b.code,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
