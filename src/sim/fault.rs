//! Faults on purpose, and which requests they hit, as tests, scenario files and admin calls write
//! them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http;
use super::spec::EndPointType;

/// The largest answer to ask for; drspass refuses those over 8 MiB.
const MOST_BYTES: usize = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FaultQueue {
    Changes,
    Logins,
    Queries,
}

/// One fault and when it strikes. Several may strike the same request, in the order of their
/// injection. What follows about password changes holds for logins too, and for queries and
/// retries, which have queues of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    pub on: FaultTrigger,
    pub kind: FaultKind,
    /// `None` means one for [`FaultTrigger::Next`] and no limit for the others.
    #[serde(default)]
    pub times: Option<u32>,
    /// For the queue of queries and retries: which call is hit and counted.
    #[serde(default)]
    pub call: Option<QueryCall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryCall {
    Status,
    Detail,
    List,
    Retry,
}

impl Fault {
    pub fn next(kind: FaultKind) -> Self {
        Self::on(FaultTrigger::Next, kind)
    }

    pub fn always(kind: FaultKind) -> Self {
        Self::on(FaultTrigger::Always, kind)
    }

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

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Returns the jobs that it names.
    pub fn jobs(&self) -> impl Iterator<Item = &str> {
        let on = match &self.on {
            FaultTrigger::Entry { job, .. } => Some(job),
            _ => None,
        };
        let hit = match &self.kind {
            FaultKind::RejectEntry(Rejection { job, .. }) | FaultKind::PoisonEntry { job, .. } => {
                Some(job)
            }
            FaultKind::DropResults(which)
            | FaultKind::DoubleResults { which, .. }
            | FaultKind::OddStatus { which, .. }
            | FaultKind::SuccessWithCode(which)
            | FaultKind::EchoPassword { which, .. }
            | FaultKind::ErrorCodeIsPassword(which)
            | FaultKind::RequestIdIsPassword(which) => which.job.as_ref(),
            _ => None,
        };
        on.into_iter().chain(hit).map(String::as_str)
    }

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
            FaultKind::Huge { bytes } if *bytes > MOST_BYTES => {
                return Err("an answer is padded to 64 MiB at most");
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

/// Which password changes a fault hits, counted from 1 as they come in whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultTrigger {
    /// The next one. Several such faults queue up: one of them per request.
    #[default]
    Next,
    Nth(u64),
    Every(u64),
    Always,
    Entry {
        job: String,
        endpoint: EndPointType,
    },
}

/// The kind of a fault. Unless it says otherwise, the request is acted on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// One entry fails inside an answer with HTTP 200; only that entry is not acted on.
    RejectEntry(Rejection),
    /// HTTP 400 because of one entry; not acted on. It strikes only requests with that entry.
    PoisonEntry {
        job: String,
        endpoint: EndPointType,
        #[serde(default = "invalid_parameter")]
        code: String,
        #[serde(default)]
        message: String,
    },
    /// HTTP 400 because of the number of entries; not acted on. It strikes only larger ones.
    TooMany {
        most: usize,
        #[serde(default = "invalid_parameter")]
        code: String,
    },
    Status(CannedAnswer),
    /// HTTP 429 from the gateway; not acted on.
    Throttled {
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// `DRS.M01504`; not acted on.
    Busy,
    /// The token has expired; not acted on.
    TokenExpired {
        /// 401 (the gateway's answer) or 403 (the service's).
        #[serde(default = "unauthorized")]
        http: u16,
        #[serde(default)]
        code: Option<String>,
    },
    /// On top of the usual latency.
    Slow {
        millis: u64,
    },
    /// The request is read and never answered; not acted on.
    Silent,
    /// The request is kept until `release`; if the caller hangs up in the meantime, what was not done
    /// before is not done at all.
    Hold {
        /// Whether it is acted on before it is kept, not after.
        #[serde(default)]
        act_first: bool,
    },
    /// The connection is closed once the request was read; not acted on.
    CloseBefore,
    CloseAfter,
    Truncated,
    Shuffled,
    /// Results are missing; the count still includes them.
    DropResults(Which),
    DoubleResults {
        #[serde(default)]
        conflicting: bool,
        #[serde(default)]
        which: Which,
    },
    ForeignResults {
        id: String,
    },
    AddForeign {
        id: String,
    },
    /// A result's status is neither `success` nor `failed`.
    OddStatus {
        status: String,
        #[serde(default)]
        which: Which,
    },
    WrongCount,
    /// All entries fail inside an answer with HTTP 400; not acted on.
    #[serde(rename = "results_in_400")]
    ResultsIn400 {
        /// That of each entry; `DRS.M00304` by default.
        #[serde(default)]
        code: Option<String>,
    },
    /// All entries fail inside an answer with HTTP 202; not acted on.
    #[serde(rename = "results_in_202")]
    ResultsIn202 {
        /// That of each entry; `DRS.M01504` by default.
        #[serde(default)]
        code: Option<String>,
    },
    /// The answer claims a content coding that it does not have.
    Gzip,
    /// The answer's JSON is padded to at least this many bytes.
    Huge {
        bytes: usize,
    },
    /// HTTP 200 with a JSON content type and a body that is not JSON.
    NotJson,
    Html {
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

/// Selects entries or results: the first, or all that match the given fields.
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
    /// As documented for the password call.
    #[default]
    ErrorMsg,
    /// As documented for the queries.
    ErrorMessage,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedAnswer {
    pub http: u16,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub content_type: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EchoForm {
    #[default]
    Plain,
    /// With the escapes of a JSON string, seen after the answer was decoded.
    Json,
    Percent,
    Hex,
    Base64,
}

#[derive(Default)]
pub struct ArmedFaults {
    armed: Vec<(Fault, Option<u32>)>,
    /// The requests so far.
    pub met: u64,
    met_by_call: BTreeMap<QueryCall, u64>,
}

impl ArmedFaults {
    pub fn inject(&mut self, fault: Fault) {
        let once = matches!(fault.on, FaultTrigger::Next).then_some(1);
        let left = fault.times.or(once);
        self.armed.push((fault, left));
    }

    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Returns the faults that strike the next request, which is this call with these entries.
    pub fn strike(
        &mut self,
        call: Option<QueryCall>,
        entries: &[(&str, EndPointType)],
    ) -> Vec<FaultKind> {
        self.met += 1;
        if let Some(call) = call {
            *self.met_by_call.entry(call).or_default() += 1;
        }
        let mut kinds = Vec::new();
        let mut next_taken = false;
        for (fault, left) in &mut self.armed {
            let number = match fault.call {
                None => self.met,
                Some(wanted) if call == Some(wanted) => self.met_by_call[&wanted],
                Some(_) => continue,
            };
            let due = match &fault.on {
                FaultTrigger::Next => !next_taken,
                FaultTrigger::Nth(wanted) => *wanted == number,
                FaultTrigger::Every(step) => *step != 0 && number.is_multiple_of(*step),
                FaultTrigger::Always => true,
                FaultTrigger::Entry { job, endpoint } => entries.contains(&(job, *endpoint)),
            };
            if !due || !fault.kind.can_strike(entries) {
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
