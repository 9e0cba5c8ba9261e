//! Requests as they arrive, and answers, whole or broken off.

use std::fmt::{self, Write as _};
use std::time::Duration;

use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Delay before a connection is cut, so that the first half has left the write buffer.
const HALF_BODY_PAUSE: Duration = Duration::from_millis(20);

pub struct ServiceRequest {
    pub head: Parts,
    /// The project id in the path; empty for calls that have none.
    pub project: String,
    /// `None` if the body was over the limit.
    pub body: Option<Bytes>,
    pub document: Option<Value>,
}

impl ServiceRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    pub fn is_json(&self) -> bool {
        let content_type = self.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/json")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// No answer yet: the request is held, slow or met with silence.
    Pending,
    /// An answer with this HTTP status was handed to the connection in full.
    Status(u16),
    /// The connection was closed, by either side, before a whole answer.
    Cut,
}

/// One request to the service. Its `Debug` form shows no body and no header's value,
/// because both carry secrets.
#[derive(Clone)]
pub struct Recorded {
    pub head: Parts,
    pub body: Option<Bytes>,
    pub entries: Vec<(String, String)>,
    pub completion: Completion,
}

impl Recorded {
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    pub fn path(&self) -> &str {
        let uri = &self.head.uri;
        uri.path_and_query()
            .map_or(uri.path(), PathAndQuery::as_str)
    }

    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.head.headers.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the value of the first header of this name, in any case, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.head.headers.get(name)?.as_bytes()).ok()
    }

    /// Returns `None` unless `record_bodies` is set, and for bodies over the gateway's limit.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// Returns the pairs (job id, `source` or `destination`) of a password change in the order sent.
    /// An unknown `end_point_type` is `invalid`.
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    pub fn answered(&self) -> Completion {
        self.completion
    }

    /// When, what and how it ended: without the query, headers and body, which may be secret.
    pub fn line(&self, at: Timestamp, changed: Option<(usize, usize)>) -> String {
        let mut line = format!("{at:.0} {} {} ", self.method(), self.head.uri.path());
        line += &match self.completion {
            Completion::Status(status) => status.to_string(),
            Completion::Pending | Completion::Cut => "cut off".to_owned(),
        };
        if let Some((applied, refused)) = changed {
            let _ = write!(line, ": {applied} applied, {refused} refused");
        }
        line.push('\n');
        line
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("headers", &self.header_names().collect::<Vec<_>>())
            .field("entries", &self.entries)
            .field("answered", &self.completion)
            .finish_non_exhaustive()
    }
}

/// An answer, or the refusal in its place.
pub type SimAnswer = Result<ServiceReply, ServiceReply>;

pub struct ServiceReply {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Replaces the generated `X-Request-Id`.
    pub request_id: Option<Vec<u8>>,
    /// The connection is closed after half of the body.
    pub truncated: bool,
}

impl ServiceReply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub fn ok(body: &Value) -> SimAnswer {
        Ok(Self::json(200, body))
    }

    pub fn text(status: u16, content_type: &str, body: String) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into_bytes(),
            request_id: None,
            truncated: false,
        }
    }

    /// An error about the whole request, in the shape the service and its gateway share.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error_code": code, "error_msg": message}))
    }

    pub fn empty(field: &str) -> Self {
        let message = format!("The parameter {field} cannot be empty.");
        Self::error(400, "DRS.M00201", &message)
    }

    pub fn invalid(field: &str) -> Self {
        let message = format!("The parameter {field} is invalid.");
        Self::error(400, "DRS.M00202", &message)
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if name.eq_ignore_ascii_case("x-request-id") {
            self.request_id = Some(value.into().into_bytes());
        } else {
            self.headers.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Cuts the connection in place of an impossible status or header.
    pub fn into_response(
        self,
        request_id: &str,
        date: &str,
    ) -> Result<Response<Payload>, ConnectionCut> {
        let request_id = self.request_id.unwrap_or_else(|| request_id.into());
        let mut builder = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.content_type)
            .header("X-Request-Id", request_id)
            .header(DATE, date);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = Bytes::from(self.body);
        let response = if self.truncated {
            // It promises more bytes than it delivers.
            let builder = builder.header(CONTENT_LENGTH, body.len());
            builder.body(Either::Right(half_of(body)))
        } else {
            builder.body(Either::Left(Full::new(body)))
        };
        response.map_err(|_| ConnectionCut)
    }
}

pub fn check_head<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), &'static str> {
    if !(200..=599).contains(&status) {
        return Err("an HTTP status must lie between 200 and 599");
    }
    for (name, value) in headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
        {
            return Err("a header has a name or a value that HTTP cannot carry");
        }
    }
    Ok(())
}

/// The connection is closed without (the rest of) an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on purpose")]
pub struct ConnectionCut;

pub type Payload = Either<Full<Bytes>, Channel<Bytes, ConnectionCut>>;

/// Returns half of a body, after which the connection is cut.
fn half_of(body: Bytes) -> Channel<Bytes, ConnectionCut> {
    let (mut sender, payload) = Channel::new(1);
    tokio::spawn(async move {
        // An error means that the caller hung up.
        let _ = sender.send_data(body.slice(..body.len() / 2)).await;
        tokio::time::sleep(HALF_BODY_PAUSE).await;
        sender.abort(ConnectionCut);
    });
    payload
}
