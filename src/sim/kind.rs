//! What can go wrong on purpose.
//!
//! Owns the vocabulary of faults, as tests, scenario files and admin calls write
//! it. Refuses to build answers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::job::Endpoint;

/// What goes wrong. Unless said otherwise, the request is acted on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// One entry fails inside an answer with HTTP 200; only that entry is not acted on.
    RejectEntry(Rejection),
    /// The whole request is refused with HTTP 400 because of one entry; not acted
    /// on. It strikes only requests that hold the entry.
    PoisonEntry {
        /// The job id.
        job: String,
        /// The endpoint of that job.
        endpoint: Endpoint,
        /// The error code; `DRS.M00202` if left out.
        #[serde(default = "invalid_parameter")]
        code: String,
        /// The error text.
        #[serde(default)]
        message: String,
    },
    /// The whole request is refused with HTTP 400 because of the number of its
    /// entries; not acted on. It strikes only requests with more entries.
    TooMany {
        /// The most entries that are taken.
        most: usize,
        /// The error code; `DRS.M00202` if left out.
        #[serde(default = "invalid_parameter")]
        code: String,
    },
    /// The whole request is answered like this and not acted on.
    Status(Answer),
    /// HTTP 429 from the gateway; not acted on.
    Throttled {
        /// Seconds for the `Retry-After` header; `None` leaves it out.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// HTTP 202 with `DRS.M01504`; not acted on.
    Busy,
    /// The token is no longer good; not acted on.
    TokenExpired {
        /// 401 (the gateway's answer) or 403 (the service's).
        #[serde(default = "unauthorized")]
        http: u16,
        /// The error code; by default the one that goes with the status.
        #[serde(default)]
        code: Option<String>,
    },
    /// The answer takes this long.
    Slow {
        /// Milliseconds on top of the usual latency.
        millis: u64,
    },
    /// The request is read and never answered; not acted on.
    Silent,
    /// The request is kept until `release`, then answered. If the caller hangs
    /// up while it is kept, what was not done before is not done at all.
    Hold {
        /// Whether it is acted on before it is kept, not after.
        #[serde(default)]
        act_first: bool,
    },
    /// The connection is closed once the request was read; not acted on.
    CloseBefore,
    /// The connection is closed instead of an answer.
    CloseAfter,
    /// The connection is closed in the middle of the answer's body.
    Truncated,
    /// The results come in another order than the entries.
    Shuffled,
    /// Results are left out; the count still includes them.
    DropResults(Which),
    /// Results come twice.
    DoubleResults {
        /// Whether the second one says the opposite of the first.
        #[serde(default)]
        conflicting: bool,
        /// Which results.
        #[serde(default)]
        which: Which,
    },
    /// All results carry this job id instead of their own.
    ForeignResults {
        /// An id that was not asked for.
        id: String,
    },
    /// A further result, for an id that was not asked for.
    AddForeign {
        /// That id.
        id: String,
    },
    /// A result's status is neither `success` nor `failed`.
    OddStatus {
        /// The word that stands there.
        status: String,
        /// Which results.
        #[serde(default)]
        which: Which,
    },
    /// The count is one higher than the number of results.
    WrongCount,
    /// All entries fail inside an answer with HTTP 400; not acted on.
    #[serde(rename = "results_in_400")]
    ResultsIn400 {
        /// The code of each entry; `DRS.M00304` if left out.
        #[serde(default)]
        code: Option<String>,
    },
    /// All entries fail inside an answer with HTTP 202; not acted on.
    #[serde(rename = "results_in_202")]
    ResultsIn202 {
        /// The code of each entry; `DRS.M01504` if left out.
        #[serde(default)]
        code: Option<String>,
    },
    /// The answer is compressed though nobody asked.
    Gzip,
    /// The answer's JSON is padded to at least this many bytes.
    Huge {
        /// Bytes of the body.
        bytes: usize,
    },
    /// HTTP 200 with a JSON content type and a body that is no JSON.
    NotJson,
    /// A gateway's HTML page instead of an answer.
    Html {
        /// The status, such as 502 or 524.
        http: u16,
        /// Whether the request got through to the service before.
        #[serde(default)]
        act_first: bool,
    },
    /// A result says `success` and carries an error code all the same.
    SuccessWithCode(Which),
    /// Entries fail, unacted, and the text repeats the password just sent.
    EchoPassword {
        /// How the password is written in the text.
        #[serde(default)]
        form: EchoForm,
        /// Which entries.
        #[serde(default)]
        which: Which,
    },
    /// Entries fail, unacted, and the error code is the password just sent.
    ErrorCodeIsPassword(Which),
    /// Entries fail, unacted, and `X-Request-Id` is the password just sent
    /// (percent-encoded if a header cannot carry it).
    RequestIdIsPassword(Which),
}

fn invalid_parameter() -> String {
    "DRS.M00202".to_owned()
}

fn unauthorized() -> u16 {
    401
}

/// Which entries or results of a request are meant. Without either field, the
/// first; otherwise all that agree with the fields given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The job id.
    #[serde(default)]
    pub job: Option<String>,
    /// The endpoint.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
}

impl Which {
    /// One entry alone.
    pub fn entry(job: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            job: Some(job.into()),
            endpoint: Some(endpoint),
        }
    }

    /// Whether the entry at this place is meant.
    pub(super) fn covers(&self, index: usize, job: &str, endpoint: Endpoint) -> bool {
        if self.job.is_none() && self.endpoint.is_none() {
            return index == 0;
        }
        self.job.as_deref().is_none_or(|wanted| wanted == job)
            && self.endpoint.is_none_or(|wanted| wanted == endpoint)
    }
}

/// A failure of one entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The job id.
    pub job: String,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The error code, such as `DRS.KE0002`.
    pub code: String,
    /// The error text.
    #[serde(default)]
    pub message: String,
    /// The field that carries the text.
    #[serde(default)]
    pub message_key: MessageKey,
}

/// The name of the field with an entry's error text; the service uses both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKey {
    /// `error_msg`, as documented for the password call.
    #[default]
    ErrorMsg,
    /// `error_message`, as documented for the queries.
    ErrorMessage,
}

/// An answer to a whole request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The HTTP status.
    pub http: u16,
    /// The error code of the JSON body.
    #[serde(default)]
    pub code: String,
    /// The error text of the JSON body.
    #[serde(default)]
    pub message: String,
    /// Further headers, such as `Retry-After` or `Location`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The raw body; `None` makes JSON of `code` and `message`.
    #[serde(default)]
    pub body: Option<String>,
    /// The content type; `None` is JSON.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// How an echoed password is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EchoForm {
    /// As it was sent.
    #[default]
    Plain,
    /// With the escapes of a JSON string, seen after the answer was decoded.
    Json,
    /// Percent-encoded, all but letters, digits and `-._~`.
    Percent,
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding.
    Base64,
}
