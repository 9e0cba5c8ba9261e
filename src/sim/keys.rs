//! The access keys that may sign requests, and when they are locked.
//!
//! Owns what the gateway says to a signature (OTC API Gateway manual, Error
//! Codes: 0301 with 401; the texts are those of live answers). Its answer to a
//! wrong signature repeats the canonical request, security token and all, as
//! that of the real gateway does. Refuses to know the projects.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::clock;
use super::reply::Reply;
use super::signature::{Authorization, DATE, Signed};
use super::spec::AccessKeySpec;
use super::tokens::same;

/// How far the time of signing may be off (Huawei Cloud API Request Signing
/// Guide: 15 minutes).
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Refused signatures in a row that lock a key, and for how long (OTC API
/// Gateway manual, Error Codes, 0301).
const LOCK_AFTER: u32 = 5;
const LOCKED_FOR: SignedDuration = SignedDuration::from_mins(5);

/// The header with the token of a temporary key.
const SECURITY_TOKEN: &str = "x-security-token";

struct Key {
    spec: AccessKeySpec,
    refused: u32,
    locked_until: Option<Timestamp>,
}

/// All access keys.
pub(super) struct Keys {
    keys: Vec<Key>,
}

impl Keys {
    pub(super) fn new(specs: Vec<AccessKeySpec>) -> Self {
        let keys = specs.into_iter().map(|spec| Key {
            spec,
            refused: 0,
            locked_until: None,
        });
        Self {
            keys: keys.collect(),
        }
    }

    /// The name of the user who signed the request, if the key has one; or the
    /// gateway's refusal.
    pub(super) fn check(
        &mut self,
        authorization: &str,
        request: &Signed<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, Reply> {
        let Some(authorization) = Authorization::parse(authorization) else {
            return Err(refused("decrypt token fail"));
        };
        let key = self
            .keys
            .iter_mut()
            .find(|key| key.spec.access == authorization.access);
        let Some(key) = key else {
            return Err(refused("Get secretKey failed"));
        };
        if key.locked_until.is_some_and(|end| now < end) {
            return Err(refused("AK access failed to reach the limit"));
        }
        if let Err(reply) = key.verify(&authorization, request, now) {
            key.refused += 1;
            if key.refused >= LOCK_AFTER {
                key.refused = 0;
                key.locked_until = Some(clock::later(now, LOCKED_FOR));
            }
            return Err(reply);
        }
        key.refused = 0;
        Ok(key.spec.user.clone())
    }
}

impl Key {
    fn verify(
        &self,
        authorization: &Authorization<'_>,
        request: &Signed<'_>,
        now: Timestamp,
    ) -> Result<(), Reply> {
        let fails = |text: &str| refused(&format!("verify aksk signature fail, {text}"));
        let date = request.only(DATE).unwrap_or_default();
        let Some(signed_at) = read_date(date) else {
            return Err(fails("X-Sdk-Date is missing or not in its form"));
        };
        for header in ["host", DATE] {
            if !authorization.signs(header) {
                return Err(fails(&format!("{header} must be signed")));
            }
        }
        let age = now.duration_since(signed_at);
        if age > MAX_SKEW || age < -MAX_SKEW {
            return Err(refused("signature expired"));
        }
        let Some(canonical) = request.canonical(&authorization.signed) else {
            return Err(fails("a signed header is missing or stands twice"));
        };
        if !authorization.is_by(&self.spec.secret, date, &canonical) {
            // Echoing it is what the real gateway does, in one line.
            let echo = canonical.replace('\n', "|");
            return Err(fails(&format!("canonicalRequest:{echo}")));
        }
        let given = request.only(SECURITY_TOKEN);
        let right = match (given, &self.spec.security_token) {
            (None, None) => !request.headers.contains_key(SECURITY_TOKEN),
            (Some(given), Some(wanted)) => {
                authorization.signs(SECURITY_TOKEN) && same(given.as_bytes(), wanted.as_bytes())
            }
            _ => false,
        };
        match right {
            true => Ok(()),
            false => Err(fails("the security token does not go with the key")),
        }
    }
}

/// The time of signing, as `YYYYMMDDTHHMMSSZ` in UTC.
fn read_date(text: &str) -> Option<Timestamp> {
    let digits = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let time = digits.then(|| DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok())?;
    let zoned = TimeZone::UTC.to_timestamp(time?);
    zoned.ok()
}

fn refused(why: &str) -> Reply {
    let message = format!("Incorrect IAM authentication information: {why}");
    Reply::error(401, "APIGW.0301", &message)
}
