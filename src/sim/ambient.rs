//! The simulator's clock and randomness.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};

/// Returns the time of a clock that is so many seconds ahead.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the simulator reads the clock"
)]
pub fn now(ahead: i64) -> Timestamp {
    later(Timestamp::now(), SignedDuration::from_secs(ahead))
}

/// Returns the later time, or the end of time.
pub fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Formats a `Date` header (RFC 9110, section 5.6.7).
pub fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Formats token times (OTC IAM api-ref, Obtaining a User Token).
pub fn token_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Formats `create_time` in the list of jobs (OTC api-ref, Querying the Task List).
pub fn list_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats times in the details of a job (OTC api-ref, Querying Task Details).
pub fn millis(time: Timestamp) -> String {
    time.as_millisecond().to_string()
}

/// One random seed for everything: only the start can fail for lack of randomness.
pub struct Nonces {
    seed: [u8; 32],
    next: AtomicU64,
}

impl Nonces {
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let next = AtomicU64::new(0);
        Ok(Self { seed, next })
    }

    pub fn salt(&self) -> [u8; 32] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(number.to_le_bytes())
            .finalize()
            .into()
    }

    pub fn token(&self) -> String {
        hex(&self.salt())
    }

    /// Returns a request id of 32 hexadecimal digits, as the service's.
    pub fn request_id(&self) -> String {
        hex(&self.salt()[..16])
    }
}

pub type SaltedDigest = [u8; 32];

pub fn salted_digest(salt: &[u8; 32], secret: &str) -> SaltedDigest {
    Sha256::new()
        .chain_update(salt)
        .chain_update(secret)
        .finalize()
        .into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn percent_encoded(bytes: &[u8]) -> String {
    const ESCAPED: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encode(bytes, &ESCAPED).to_string()
}

/// Compares two secrets in constant time.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    Sha256::digest(left) == Sha256::digest(right)
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
        let real = now(0);
        assert!(now(3600) > real);
        assert!(now(-3600) < real);
        assert_eq!(now(i64::MAX), Timestamp::MAX);
    }
}
