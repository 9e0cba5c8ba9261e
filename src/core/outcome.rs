//! What the service's answer means for each entry that was sent.
//!
//! Results are matched by entry, never by position, and a result that is
//! missing, doubled, foreign or odd is never taken for success.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::job::{Endpoint, EntryKey};
use super::redact::{ForeignText, ToldName};

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
    /// Whether it is about the number of jobs in the request and not about any of
    /// them: each alone may be accepted.
    pub is_one_job_only: bool,
    /// The service's error code, or a code of ours such as `HTTP-307`.
    pub code: ToldName,
    /// The service's id of the request, for its support.
    pub request_id: Option<ToldName>,
    /// The service's words, cleaned, for this run's output only: never stored.
    pub text: Option<ForeignText>,
    /// What to do about it, as a sentence, where the code is a known one.
    pub advice: Option<&'static str>,
    /// How many entries it is about: those of a request that was refused as a whole.
    pub entries: usize,
}

impl Refusal {
    /// A refusal by drspass itself.
    pub const fn of_ours(code: &'static str) -> Self {
        Self {
            kind: RefusalKind::Rejected,
            is_one_job_only: false,
            code: ToldName::from_static(code),
            request_id: None,
            text: None,
            advice: None,
            entries: 1,
        }
    }

    /// Whether it says that a user or password is wrong, but not which: to be said
    /// beside each entry of a request that was refused as a whole.
    pub fn doubt_among(&self) -> Option<String> {
        let is_one_of_many = self.kind == RefusalKind::WrongPassword && self.entries > 1;
        is_one_of_many.then(|| {
            format!(
                "refused as a whole: at least one of these {} is wrong; --resend sends them \
                 one by one",
                self.entries
            )
        })
    }
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

impl Doubt {
    /// The name under which it is stored.
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
            Self::AnswerLost => "no answer came",
            Self::ServerError => "the service failed while it had the request",
            Self::Unreadable => "the answer cannot be read",
            Self::NoResult => "the answer holds no result for it",
            Self::DoubledResult => "the answer holds several results for it",
            Self::OddResult => "its result is neither success nor failure",
            Self::Interrupted => "the run was stopped before the answer came",
        })
    }
}

/// Why an entry was left as it was before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The login or a right was refused; the code says how.
    LoginRefused(ToldName),
    /// No connection could be made, so nothing left this machine.
    NoConnection,
    /// The run was told to stop before its turn came.
    Interrupted,
    /// Too many answers in a row were lost, so nothing new was sent.
    TooManyLost,
    /// The service kept asking to come again later, so nothing new was sent.
    Busy,
    /// The journal could not be written, so nothing new was sent.
    JournalFailed,
    /// Another entry is blocked, and nothing was to be sent then.
    OthersBlocked,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It answered entry by entry.
    PerEntry {
        /// What it listed, in its order.
        results: Vec<EntryResult>,
        /// How many results it says there are.
        announced: Option<u64>,
        /// The service's id of the request.
        request_id: Option<ToldName>,
    },
    /// It turned the whole request away because of what the request holds:
    /// nothing was changed, and a part of it may be acceptable.
    Refused(Refusal),
    /// It, or something before it, turned the request away for a reason that
    /// sending the parts would not help (a wrong address, a redirect, no time
    /// left while busy) or would make worse (a wrong password): nothing was
    /// changed.
    TurnedAway(Refusal),
    /// It refused the caller: nothing was changed, and nothing will be.
    LoginRefused(Refusal),
    /// No answer that can be relied on: everything in the batch is in doubt.
    Lost(Doubt),
    /// Nothing left this machine.
    NoConnection,
    /// The answer to a repetition, after the answer to the first sending was
    /// lost. The first may have been acted on, so only a success settles an
    /// entry. Never holds another `AfterLoss`.
    AfterLoss(Box<Self>),
}

impl Reply {
    /// The refusal of the caller, after which nothing new may be sent: a login
    /// that is refused again and again locks accounts and keys.
    pub fn login_refusal(&self) -> Option<&Refusal> {
        match self {
            Self::LoginRefused(refusal) => Some(refusal),
            Self::AfterLoss(reply) => reply.login_refusal(),
            _ => None,
        }
    }

    /// Whether the batch is worth cutting in halves to find the entry that
    /// spoils it (design section 7).
    pub const fn may_be_split(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// One line of a per-entry answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryResult {
    /// The job it names, if any.
    pub job: Option<ToldName>,
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
    /// A status that is neither, or a success that carries an error code; what it
    /// says, if anything.
    Odd(Option<ForeignText>),
}

/// What a reply means for each entry of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// One outcome for each entry, in the order in which they were sent.
    pub outcomes: Vec<Outcome>,
    /// What was odd about the reply, entries first in the order sent.
    pub findings: Vec<Finding>,
}

/// Foreign results that are listed one by one.
const MAX_FOREIGN: usize = 10;

/// Gives each entry of `sent` the one outcome that `reply` proves, and never
/// more: an entry is applied only if exactly one result names it and that
/// result is a success (design section 2.4).
pub fn match_results(sent: &[EntryKey], reply: &Reply) -> Matched {
    let every = |outcome: Outcome| Matched {
        outcomes: vec![outcome; sent.len()],
        findings: Vec::new(),
    };
    match reply {
        Reply::PerEntry {
            results, announced, ..
        } => match_entries(sent, results, *announced),
        Reply::Refused(refusal) | Reply::TurnedAway(refusal) => every(Outcome::Refused(Refusal {
            entries: sent.len(),
            ..refusal.clone()
        })),
        Reply::LoginRefused(refusal) => every(Outcome::NotSent(NotSent::LoginRefused(
            refusal.code.clone(),
        ))),
        Reply::Lost(doubt) => every(Outcome::InDoubt(*doubt)),
        Reply::NoConnection => every(Outcome::NotSent(NotSent::NoConnection)),
        Reply::AfterLoss(reply) => after_loss(sent, match_results(sent, reply)),
    }
}

/// Takes back what the repetition of a lost request cannot prove: that the
/// first sending changed nothing.
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
            Outcome::NotSent(_) => None,
        };
        refused.extend(code.map(|code| Finding::RepetitionRefused {
            key: key.clone(),
            code,
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
    let mut by_key: BTreeMap<(&str, Endpoint), Vec<&Verdict>> = sent
        .iter()
        .map(|key| ((key.job.as_str(), key.endpoint), Vec::new()))
        .collect();
    let mut strange = Vec::new();
    let mut foreign = 0;
    for result in results {
        // A name that was changed to be shown proves nothing.
        let job = result.job.as_ref().and_then(ToldName::kept);
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
            (Some(job), None) if is_ours => Finding::NoEndpoint(job.clone()),
            (job, endpoint) => Finding::Foreign(job.clone(), endpoint),
        });
    }
    if foreign > MAX_FOREIGN {
        strange.push(Finding::MoreForeign(foreign - MAX_FOREIGN));
    }
    if let Some(announced) = announced
        && u64::try_from(results.len()) != Ok(announced)
    {
        strange.push(Finding::CountDiffers {
            announced,
            listed: results.len(),
        });
    }

    let mut findings = Vec::new();
    let outcomes = sent
        .iter()
        .map(|key| {
            let verdicts = by_key
                .get(&(key.job.as_str(), key.endpoint))
                .map_or(&[][..], Vec::as_slice);
            let (outcome, finding) = settle(key, verdicts);
            findings.extend(finding);
            outcome
        })
        .collect();
    findings.append(&mut strange);
    Matched { outcomes, findings }
}

fn settle(key: &EntryKey, verdicts: &[&Verdict]) -> (Outcome, Option<Finding>) {
    match verdicts {
        [] => (
            Outcome::InDoubt(Doubt::NoResult),
            Some(Finding::NoResult(key.clone())),
        ),
        [Verdict::Success] => (Outcome::Applied, None),
        [Verdict::Failed(refusal)] => (Outcome::Refused(refusal.clone()), None),
        [Verdict::Odd(said)] => (
            Outcome::InDoubt(Doubt::OddResult),
            Some(Finding::OddResult(key.clone(), said.clone())),
        ),
        [first, rest @ ..] => {
            let agreement = if rest.iter().all(|other| say_the_same(first, other)) {
                Agreement::Agree
            } else {
                Agreement::Disagree
            };
            (
                Outcome::InDoubt(Doubt::DoubledResult),
                Some(Finding::Doubled {
                    key: key.clone(),
                    results: verdicts.len(),
                    agreement,
                }),
            )
        }
    }
}

fn say_the_same(a: &Verdict, b: &Verdict) -> bool {
    match (a, b) {
        (Verdict::Success, Verdict::Success) => true,
        (Verdict::Failed(a), Verdict::Failed(b)) => a.code == b.code,
        _ => false,
    }
}

/// Something in a per-entry answer that a person should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The answer holds no result for an entry.
    NoResult(EntryKey),
    /// The answer holds several results for an entry.
    Doubled {
        /// The entry.
        key: EntryKey,
        /// How many results there are.
        results: usize,
        /// Whether all say the same.
        agreement: Agreement,
    },
    /// The result of an entry is neither a success nor a failure, or is both; what
    /// it says.
    OddResult(EntryKey, Option<ForeignText>),
    /// The repetition of a lost request was refused for an entry.
    RepetitionRefused {
        /// The entry.
        key: EntryKey,
        /// The service's error code.
        code: ToldName,
    },
    /// A result names a job that was sent, but no endpoint that there is.
    NoEndpoint(ToldName),
    /// A result is about an entry that was not sent; the job is absent when it
    /// names none.
    Foreign(Option<ToldName>, Option<Endpoint>),
    /// More foreign results than are worth listing.
    MoreForeign(usize),
    /// The answer announces another number of results than it holds.
    CountDiffers {
        /// The number announced.
        announced: u64,
        /// The number of results.
        listed: usize,
    },
}

/// Whether several results for one entry say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// All are successes, or all are failures with one code.
    Agree,
    /// They contradict each other.
    Disagree,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResult(key) => write!(f, "no result was returned for {key}"),
            Self::Doubled {
                key,
                results,
                agreement,
            } => {
                let agreement = match agreement {
                    Agreement::Agree => "which agree",
                    Agreement::Disagree => "which disagree",
                };
                write!(f, "{results} results were returned for {key}, {agreement}")
            }
            Self::OddResult(key, said) => {
                write!(
                    f,
                    "the result for {key} is neither a success nor a failure: "
                )?;
                match said {
                    Some(said) => write!(f, "it says {said}"),
                    None => f.write_str("no status was read"),
                }
            }
            Self::RepetitionRefused { key, code } => write!(
                f,
                "the answer for {key} was lost and its repetition refused: {code}"
            ),
            Self::NoEndpoint(job) => write!(f, "a result for job {job} names no endpoint"),
            Self::Foreign(job, endpoint) => {
                f.write_str("a result came for an entry that was not sent: ")?;
                match job {
                    Some(job) => write!(f, "{job}")?,
                    None => f.write_str("no id")?,
                }
                match endpoint {
                    Some(endpoint) => write!(f, "/{endpoint}"),
                    None => Ok(()),
                }
            }
            Self::MoreForeign(more) => {
                write!(f, "{more} more results came for entries that were not sent")
            }
            Self::CountDiffers { announced, listed } => {
                write!(
                    f,
                    "the answer announces {announced} results and holds {listed}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
