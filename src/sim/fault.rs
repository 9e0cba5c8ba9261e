//! What can go wrong on purpose, and which requests it hits, as tests, scenario files
//! and admin calls write it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http;
use super::spec::EndPointType;

/// The requests that a fault may wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FaultQueue {
    Changes,
    Logins,
    /// Queries and retries.
    Queries,
}

/// One fault and when it strikes. Several faults may strike the same request;
/// they act in the order in which they were injected.
///
/// There are three queues: for password changes, for logins, and for queries and
/// retries. What is said of password changes below goes for the requests of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    pub on: FaultTrigger,
    pub kind: FaultKind,
    /// How many password changes are hit before the fault is used up. `None`
    /// means one for [`FaultTrigger::Next`] and no limit for the others.
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
    Status,
    Detail,
    List,
    Retry,
}

impl QueryCall {
    pub fn from_name(name: &str) -> Option<Self> {
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
    pub fn next(kind: FaultKind) -> Self {
        Self::on(FaultTrigger::Next, kind)
    }

    pub fn always(kind: FaultKind) -> Self {
        Self::on(FaultTrigger::Always, kind)
    }

    /// A fault for the password change with this number, counted from 1.
    pub fn nth(number: u64, kind: FaultKind) -> Self {
        Self::on(FaultTrigger::Nth(number), kind)
    }

    pub fn on(on: FaultTrigger, kind: FaultKind) -> Self {
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

    /// Whether the fault can strike a request of this queue, and its answer be sent.
    pub fn check(&self, queue: FaultQueue) -> Result<(), &'static str> {
        if self.call.is_some() && queue != FaultQueue::Queries {
            return Err("a call can be named for queries alone");
        }
        if matches!(self.on, FaultTrigger::Nth(0) | FaultTrigger::Every(0)) {
            return Err("requests are counted from 1");
        }
        if self.times == Some(0) {
            return Err("a fault must strike at least once");
        }
        match &self.kind {
            FaultKind::Status(answer) => {
                let content_type = answer.content_type.iter();
                let content_type = content_type.map(|value| ("content-type", value.as_str()));
                let headers = answer.headers.iter();
                let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
                http::check_head(answer.http, headers.chain(content_type))?;
            }
            FaultKind::TokenExpired { http, .. } | FaultKind::Html { http, .. } => {
                http::check_head(*http, [])?;
            }
            _ => {}
        }
        match self.on {
            _ if queue == FaultQueue::Changes => Ok(()),
            FaultTrigger::Entry { .. } => Err("only password changes hold entries"),
            _ if self.kind.is_about_whole_requests() => Ok(()),
            _ => Err("this can go wrong with password changes alone"),
        }
    }
}

/// Which password changes a fault hits. They are counted from 1 as they come in
/// whole, whether they are acted on or not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultTrigger {
    /// The next one. Several such faults queue up: one of them per request.
    #[default]
    Next,
    /// The one with this number.
    Nth(u64),
    /// Each one whose number can be divided by this.
    Every(u64),
    Always,
    /// Each one that holds this entry.
    Entry {
        job: String,
        endpoint: EndPointType,
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
        job: String,
        endpoint: EndPointType,
        /// `DRS.M00202` if left out.
        #[serde(default = "invalid_parameter")]
        code: String,
        #[serde(default)]
        message: String,
    },
    /// The whole request is refused with HTTP 400 because of the number of its
    /// entries; not acted on. It strikes only requests with more entries.
    TooMany {
        most: usize,
        /// `DRS.M00202` if left out.
        #[serde(default = "invalid_parameter")]
        code: String,
    },
    /// The whole request is answered like this and not acted on.
    Status(CannedAnswer),
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
        /// By default the one that goes with the status.
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
        #[serde(default)]
        which: Which,
    },
    /// All results carry this job id instead of their own.
    ForeignResults { id: String },
    /// A further result, for an id that was not asked for.
    AddForeign { id: String },
    /// A result's status is neither `success` nor `failed`.
    OddStatus {
        status: String,
        #[serde(default)]
        which: Which,
    },
    /// The count is one higher than the number of results.
    WrongCount,
    /// All entries fail inside an answer with HTTP 400; not acted on.
    #[serde(rename = "results_in_400")]
    ResultsIn400 {
        /// That of each entry; `DRS.M00304` if left out.
        #[serde(default)]
        code: Option<String>,
    },
    /// All entries fail inside an answer with HTTP 202; not acted on.
    #[serde(rename = "results_in_202")]
    ResultsIn202 {
        /// That of each entry; `DRS.M01504` if left out.
        #[serde(default)]
        code: Option<String>,
    },
    /// The answer is compressed though nobody asked.
    Gzip,
    /// The answer's JSON is padded to at least this many bytes.
    Huge { bytes: usize },
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
        #[serde(default)]
        form: EchoForm,
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
#[serde(default, deny_unknown_fields)]
pub struct Which {
    pub job: Option<String>,
    pub endpoint: Option<EndPointType>,
}

impl Which {
    pub fn entry(job: impl Into<String>, endpoint: EndPointType) -> Self {
        Self {
            job: Some(job.into()),
            endpoint: Some(endpoint),
        }
    }

    pub fn covers(&self, index: usize, job: &str, endpoint: EndPointType) -> bool {
        if self.job.is_none() && self.endpoint.is_none() {
            return index == 0;
        }
        self.job.as_deref().is_none_or(|wanted| wanted == job)
            && self.endpoint.is_none_or(|wanted| wanted == endpoint)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    pub job: String,
    pub endpoint: EndPointType,
    pub code: String,
    #[serde(default)]
    pub message: String,
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
pub struct CannedAnswer {
    pub http: u16,
    #[serde(default)]
    pub code: String,
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
    #[default]
    Plain,
    /// With the escapes of a JSON string, seen after the answer was decoded.
    Json,
    /// Percent-encoded, all but letters, digits and `-._~`.
    Percent,
    Hex,
    Base64,
}

/// A request as far as faults choose by it.
pub struct Hit<'a> {
    /// Its number among the requests of its kind, counted from 1.
    pub number: u64,
    /// Which query it is, with its number among those.
    pub call: Option<(QueryCall, u64)>,
    /// The entries of a password change.
    pub entries: &'a [(&'a str, EndPointType)],
}

/// The faults that still wait for a request.
#[derive(Default)]
pub struct ArmedFaults {
    armed: Vec<(Fault, Option<u32>)>,
}

impl ArmedFaults {
    pub fn inject(&mut self, fault: Fault) {
        let once = matches!(fault.on, FaultTrigger::Next).then_some(1);
        let left = fault.times.or(once);
        self.armed.push((fault, left));
    }

    /// The faults that strike a request. A fault that names an entry waits for a
    /// request that holds it, and one that names a call for that call.
    pub fn strike(&mut self, hit: &Hit<'_>) -> Vec<FaultKind> {
        let mut kinds = Vec::new();
        let mut next_taken = false;
        for (fault, left) in &mut self.armed {
            let number = match (fault.call, hit.call) {
                (None, _) => hit.number,
                (Some(wanted), Some((call, number))) if wanted == call => number,
                (Some(_), _) => continue,
            };
            let due = match &fault.on {
                FaultTrigger::Next => !next_taken,
                FaultTrigger::Nth(wanted) => *wanted == number,
                FaultTrigger::Every(step) => *step != 0 && number.is_multiple_of(*step),
                FaultTrigger::Always => true,
                FaultTrigger::Entry { job, endpoint } => {
                    hit.entries.contains(&(job.as_str(), *endpoint))
                }
            };
            if !due || !fault.kind.can_strike(hit.entries) {
                continue;
            }
            next_taken |= matches!(fault.on, FaultTrigger::Next);
            *left = left.map(|left| left.saturating_sub(1));
            kinds.push(fault.kind.clone());
        }
        self.armed.retain(|(_, left)| *left != Some(0));
        kinds
    }
}

impl FaultKind {
    fn is_about_whole_requests(&self) -> bool {
        matches!(
            self,
            Self::Status(_)
                | Self::Throttled { .. }
                | Self::Busy
                | Self::TokenExpired { .. }
                | Self::Slow { .. }
                | Self::Silent
                | Self::CloseBefore
                | Self::CloseAfter
                | Self::Truncated
                | Self::Gzip
                | Self::Huge { .. }
                | Self::NotJson
                | Self::Html { .. }
        )
    }

    fn can_strike(&self, entries: &[(&str, EndPointType)]) -> bool {
        match self {
            Self::RejectEntry(rejection) => {
                entries.contains(&(rejection.job.as_str(), rejection.endpoint))
            }
            Self::TooMany { most, .. } => entries.len() > *most,
            Self::PoisonEntry { job, endpoint, .. } => entries.contains(&(job, *endpoint)),
            Self::DropResults(which)
            | Self::SuccessWithCode(which)
            | Self::ErrorCodeIsPassword(which)
            | Self::RequestIdIsPassword(which)
            | Self::DoubleResults { which, .. }
            | Self::OddStatus { which, .. }
            | Self::EchoPassword { which, .. } => entries
                .iter()
                .enumerate()
                .any(|(index, (job, endpoint))| which.covers(index, job, *endpoint)),
            _ => true,
        }
    }
}
