//! What goes back to a caller: status, headers and body, whole or broken off.
//!
//! Owns the bytes of an answer and their delivery, and refuses to know what an
//! answer means. Content coding is made by hand from stored blocks, so that no
//! compression library is needed for a fault that only has to be decodable.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::time::Sleep;

/// How long a broken-off answer waits before the connection is closed, so that
/// the first half has left the write buffer.
const HALF_BODY_PAUSE: Duration = Duration::from_millis(20);

/// An answer before it is put on the wire.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Replaces the generated `X-Request-Id`.
    pub(super) request_id: Option<Vec<u8>>,
    /// The connection is closed after half of the body.
    pub(super) truncated: bool,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: String) -> Self {
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
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error_code": code, "error_msg": message}))
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if name.eq_ignore_ascii_case("x-request-id") {
            self.request_id = Some(value.into().into_bytes());
        } else {
            self.headers.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Wraps the body as gzip and says so in the headers.
    pub(super) fn gzipped(mut self) -> Self {
        self.body = gzip(&self.body);
        self.header(CONTENT_ENCODING.as_str(), "gzip")
    }

    /// The response for hyper. An answer that no HTTP message can carry (a fault
    /// with an impossible status or header) becomes a 500 that says so.
    pub(super) fn into_response(self, request_id: &str, date: &str) -> Response<Payload> {
        let request_id = self
            .request_id
            .as_deref()
            .unwrap_or(request_id.as_bytes())
            .to_vec();
        let mut builder = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.content_type)
            .header("X-Request-Id", request_id)
            .header(DATE, date);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        builder
            .body(Payload::new(self.body, self.truncated))
            .unwrap_or_else(|_| {
                let mut response = Response::new(Payload::new(
                    b"the injected fault is no HTTP message".to_vec(),
                    false,
                ));
                *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
                response
            })
    }
}

/// Whether a status and headers can stand in an answer to a request.
pub(super) fn check_head<'a>(
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
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// The body of an answer; it may promise more bytes than it delivers.
pub(super) struct Payload {
    rest: Option<Bytes>,
    promised: u64,
    cut: Option<Pin<Box<Sleep>>>,
}

impl Payload {
    fn new(body: Vec<u8>, truncated: bool) -> Self {
        let promised = body.len() as u64;
        let mut rest = Bytes::from(body);
        if truncated {
            rest.truncate(rest.len() / 2);
        }
        Self {
            rest: (!rest.is_empty()).then_some(rest),
            promised,
            cut: truncated.then(|| Box::pin(tokio::time::sleep(HALF_BODY_PAUSE))),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(bytes) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(cut) = self.cut.as_mut() else {
            return Poll::Ready(None);
        };
        ready!(cut.as_mut().poll(cx));
        Poll::Ready(Some(Err(Cut)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::with_exact(self.promised)
        }
    }
}

/// A gzip member of stored blocks (RFC 1951 section 3.2.4, RFC 1952).
fn gzip(data: &[u8]) -> Vec<u8> {
    const BLOCK: usize = u16::MAX as usize;
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = data.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(data).to_le_bytes());
    // RFC 1952 asks for the length modulo 2^32, which is what the low half is.
    let [a, b, c, d, ..] = (data.len() as u64).to_le_bytes();
    out.extend([a, b, c, d]);
    out
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = (crc >> 1) ^ (0xedb8_8320 * low);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_bodies_take_several_blocks() {
        let data = vec![b'x'; 70_000];
        let packed = gzip(&data);
        assert_eq!(packed.len(), 10 + 5 + 65_535 + 5 + 4_465 + 8);
        assert_eq!(packed[10], 0);
        assert_eq!(packed[10 + 5 + 65_535], 1);
    }
}
