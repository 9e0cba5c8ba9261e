//! What a test may ask about the requests that came in.
//!
//! Owns the record of one request. Refuses to show a body or a header's value
//! in its `Debug` form, because both carry secrets.

use std::fmt;

use hyper::body::Bytes;
use hyper::http::request::Parts;

/// How a recorded request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// No answer yet: the request is held, slow or met with silence.
    Pending,
    /// An answer with this HTTP status was handed to the connection in full.
    Status(u16),
    /// The connection was closed, by either side, before a whole answer.
    Cut,
}

/// One request to the service. Admin calls are not recorded.
#[derive(Clone)]
pub struct Recorded {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Option<Bytes>,
    pub(super) entries: Vec<(String, String)>,
    pub(super) answered: Answered,
}

impl Recorded {
    pub(super) fn new(head: &Parts, body: Option<Bytes>, entries: Vec<(String, String)>) -> Self {
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        Self {
            method: head.method.to_string(),
            path: head
                .uri
                .path_and_query()
                .map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
            headers,
            body,
            entries,
            answered: Answered::Pending,
        }
    }

    /// The HTTP method, in capitals.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query as they stood in the request line.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names of all headers in the order sent, in lower case.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    /// The value of the first header of this name, whatever its case. `None` if
    /// it was not sent or is no UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The raw body; `None` unless [`Config::record_bodies`](super::Config) is
    /// set, and for bodies over the size limit of the gateway.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// The pairs (job id, `source` or `destination`) of a password change in the
    /// order sent, as far as the body could be read. An `end_point_type` the
    /// service does not know is given as `invalid`.
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// How the request ended, or that it has not.
    pub fn answered(&self) -> Answered {
        self.answered
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.header_names().collect::<Vec<_>>())
            .field("entries", &self.entries)
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}
