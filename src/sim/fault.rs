//! What can go wrong on purpose, and which request it hits.
//!
//! Owns the vocabulary of faults, as tests, scenario files and admin calls write
//! it. Refuses to choose among them and to build answers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::job::Endpoint;
use super::reply;

/// One fault and when it strikes. Several faults may strike the same request;
/// they act in the order in which they were injected.
///
/// There are three queues: for password changes, for logins, and for queries and
/// retries. What is said of password changes below goes for the requests of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which password changes are hit; the next one unless told otherwise.
    #[serde(default)]
    pub on: When,
    /// What happens to them.
    pub kind: FaultKind,
    /// How many password changes are hit before the fault is used up. `None`
    /// means one for [`When::Next`] and no limit for the others.
    #[serde(default)]
    pub times: Option<u32>,
    /// Which query is hit, and counted; all of them if left out. For the queue of
    /// queries and retries alone.
    #[serde(default)]
    pub call: Option<QueryCall>,
}

/// A call that changes no password and is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryCall {
    /// `batch-status`.
    Status,
    /// `batch-detail`.
    Detail,
    /// The list of jobs.
    List,
    /// `batch-retry-task`.
    Retry,
}

impl QueryCall {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "status" => Some(Self::Status),
            "detail" => Some(Self::Detail),
            "list" => Some(Self::List),
            "retry" => Some(Self::Retry),
            _ => None,
        }
    }
}

impl Fault {
    /// A fault for the next password change alone.
    pub fn next(kind: FaultKind) -> Self {
        Self::on(When::Next, kind)
    }

    /// A fault for every password change.
    pub fn always(kind: FaultKind) -> Self {
        Self::on(When::Always, kind)
    }

    /// A fault for the password change with this number, counted from 1.
    pub fn nth(number: u64, kind: FaultKind) -> Self {
        Self::on(When::Nth(number), kind)
    }

    /// A fault with a choice of its own and the usual number of strikes.
    pub fn on(on: When, kind: FaultKind) -> Self {
        Self {
            on,
            kind,
            times: None,
            call: None,
        }
    }

    /// The same fault with a limit on how many password changes it hits.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Fails if the fault can never strike a password change or its answer
    /// cannot be sent.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.on {
            _ if self.call.is_some() => Err("a call can be named for queries alone"),
            _ => self.check_answer(),
        }
    }

    /// The same for the queue of logins.
    pub(super) fn check_login(&self) -> Result<(), &'static str> {
        self.check().and_then(|()| self.check_without_entries())
    }

    /// The same for the queue of queries and retries.
    pub(super) fn check_query(&self) -> Result<(), &'static str> {
        self.check_answer()
            .and_then(|()| self.check_without_entries())
    }

    fn check_answer(&self) -> Result<(), &'static str> {
        match self.on {
            When::Nth(0) | When::Every(0) => return Err("requests are counted from 1"),
            _ if self.times == Some(0) => return Err("a fault must strike at least once"),
            _ => {}
        }
        match &self.kind {
            FaultKind::Status(answer) => {
                let content_type = answer.content_type.iter();
                let headers = answer.headers.iter();
                reply::check_head(
                    answer.http,
                    headers
                        .map(|(name, value)| (name.as_str(), value.as_str()))
                        .chain(content_type.map(|value| ("content-type", value.as_str()))),
                )
            }
            FaultKind::TokenExpired { http, .. } | FaultKind::Html { http, .. } => {
                reply::check_head(*http, [])
            }
            _ => Ok(()),
        }
    }

    /// Fails if the fault is about the entries of a password change.
    fn check_without_entries(&self) -> Result<(), &'static str> {
        let whole = matches!(
            self.kind,
            FaultKind::Status(_)
                | FaultKind::Throttled { .. }
                | FaultKind::Busy
                | FaultKind::TokenExpired { .. }
                | FaultKind::Slow { .. }
                | FaultKind::Silent
                | FaultKind::CloseBefore
                | FaultKind::CloseAfter
                | FaultKind::Truncated
                | FaultKind::Gzip
                | FaultKind::Huge { .. }
                | FaultKind::NotJson
                | FaultKind::Html { .. }
        );
        match self.on {
            When::Entry { .. } => Err("only password changes hold entries"),
            _ if whole => Ok(()),
            _ => Err("this can go wrong with password changes alone"),
        }
    }
}

/// Which password changes a fault hits. They are counted from 1 as they come in
/// whole, whether they are acted on or not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// The next one. Several such faults queue up: one of them per request.
    #[default]
    Next,
    /// The one with this number.
    Nth(u64),
    /// Each one whose number can be divided by this.
    Every(u64),
    /// All.
    Always,
    /// Each one that holds this entry.
    Entry {
        /// The job id.
        job: String,
        /// The endpoint of that job.
        endpoint: Endpoint,
    },
}

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
