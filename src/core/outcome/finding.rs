//! What was odd about an answer, as data with one sentence each and no secret.

use std::fmt;

use crate::core::job::{Endpoint, EntryKey};
use crate::core::redact::{ForeignText, ToldName};

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
