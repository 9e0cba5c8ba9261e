//! What came back from one sending, before anybody judges it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::note::Note;
use crate::core::secret::Secret;

/// Clocks that differ by less than this are no news: a signed login allows for
/// 15 minutes ("API Request Signing Guide").
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// What came back from one sending.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Body,
}

/// The headers that are looked at, as text.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) content_type: Option<String>,
    pub(super) date: Option<String>,
    pub(super) location: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<String>,
    /// Whether the password of a login was right and a second factor is asked for.
    pub(super) asks_second_factor: bool,
    /// The token that a login yields.
    pub(super) subject_token: Option<Secret>,
}

/// What became of reading the body.
pub(super) enum Body {
    Read(Vec<u8>),
    /// It is packed, as this header says.
    Coded(String),
    TooLong,
    /// The connection broke or the time was over in the middle of it.
    Cut,
}

impl fmt::Debug for Body {
    /// Never shows a body: it is foreign, and may repeat a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read(..)",
            Self::Coded(_) => "Coded(..)",
            Self::TooLong => "TooLong",
            Self::Cut => "Cut",
        })
    }
}

impl Headers {
    /// The wait that the answer asks for: seconds, or a date by the answer's own
    /// clock (RFC 9110, section 10.2.3).
    pub(super) fn wait_asked(&self, now: Timestamp) -> Option<Duration> {
        let asked = self.retry_after.as_deref()?.trim();
        if !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_digit()) {
            return Some(asked.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let until = parse_date(asked)?;
        let from = self.date.as_deref().and_then(parse_date).unwrap_or(now);
        Duration::try_from(until.duration_since(from)).ok()
    }

    /// What to say of the service's clock, if it differs from the one here.
    pub(super) fn clock_off(&self, local: Timestamp) -> Option<Note> {
        let server = parse_date(self.date.as_deref()?)?;
        let apart = local.duration_since(server).unsigned_abs();
        (apart > CLOCK_TOLERANCE).then_some(Note::ClockOff { local, server })
    }
}

/// A date as HTTP writes it.
fn parse_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}
