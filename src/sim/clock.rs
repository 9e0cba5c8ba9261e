//! The service's clock, which need not agree with this machine's.
//!
//! Owns the one place where the simulator reads the time of day, and the forms
//! in which it is written. Refuses to time anything: how long jobs take is
//! measured by a clock that nobody can set.

use jiff::{SignedDuration, Timestamp};

/// A clock that is a fixed number of seconds ahead of the machine's.
pub(super) struct Clock {
    ahead: SignedDuration,
}

impl Clock {
    pub(super) fn ahead_by(seconds: i64) -> Self {
        Self {
            ahead: SignedDuration::from_secs(seconds),
        }
    }

    /// The time by this clock. It stands at the end of time if the offset leads
    /// beyond it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the simulator reads the clock"
    )]
    pub(super) fn now(&self) -> Timestamp {
        later(Timestamp::now(), self.ahead)
    }
}

/// That much later, or the nearest time there is.
pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The form of the `Date` header (RFC 9110, section 5.6.7).
pub(super) fn http_date(time: Timestamp) -> String {
    written(time, "%a, %d %b %Y %H:%M:%S GMT")
}

/// The form of token times (OTC IAM api-ref, Obtaining a User Token).
pub(super) fn token_time(time: Timestamp) -> String {
    written(time, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

/// The form of `create_time` in the list of jobs (OTC api-ref, Querying the Task List).
pub(super) fn list_time(time: Timestamp) -> String {
    written(time, "%Y-%m-%d %H:%M:%S")
}

/// Milliseconds as text, the form of times in the details of a job (OTC api-ref,
/// Querying Task Details).
pub(super) fn millis(time: Timestamp) -> String {
    time.as_millisecond().to_string()
}

fn written(time: Timestamp, form: &str) -> String {
    time.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_each_call_wants_them() {
        let time: Timestamp = "2015-11-09T01:42:57.527363Z".parse().unwrap();
        assert_eq!(http_date(time), "Mon, 09 Nov 2015 01:42:57 GMT");
        assert_eq!(token_time(time), "2015-11-09T01:42:57.527363Z");
        assert_eq!(list_time(time), "2015-11-09 01:42:57");
        assert_eq!(millis(time), "1447033377527");
    }

    #[test]
    fn clocks_may_be_ahead_or_behind_without_end() {
        let real = Clock::ahead_by(0).now();
        assert!(Clock::ahead_by(3600).now() > real);
        assert!(Clock::ahead_by(-3600).now() < real);
        assert_eq!(Clock::ahead_by(i64::MAX).now(), Timestamp::MAX);
    }
}
