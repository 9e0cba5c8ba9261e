//! Faults, and which requests they hit.
//!
//! Owns when a fault strikes and in which queue it makes sense, as tests, scenario
//! files and admin calls write it. Refuses to choose among faults.

use serde::Deserialize;

use super::job::Endpoint;
use super::kind::FaultKind;
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
