//! Users with passwords, tokens, and access keys.
//!
//! Passwords and passcodes are kept as digests; secret keys stay in plain text, as signatures
//! cannot be checked without them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::ambient::{self, SaltedDigest, salted_digest, same};
use super::http::{ServiceReply, ServiceRequest};
use super::signature::{Authorization, DATE};
use super::spec::{AccessKeySpec, UserSpec};

/// Refused logins that lock a user (IAM.0061; a setting of the account, usually five), and refused
/// signatures in a row that lock a key, and for how long (OTC API Gateway manual, Error Codes,
/// 0301).
const LOCK_AFTER: u32 = 5;
const LOCKED_FOR: SignedDuration = SignedDuration::from_mins(5);

/// How far the time of signing may be off (Huawei Cloud API Request Signing
/// Guide: 15 minutes).
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

const SECURITY_TOKEN: &str = "x-security-token";

#[derive(Clone)]
pub struct Person {
    pub name: String,
    pub id: String,
    pub domain: String,
    pub domain_id: String,
}

#[derive(Default)]
pub struct LoginClaim<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub domain: Option<&'a str>,
    pub domain_id: Option<&'a str>,
    pub password: &'a str,
    pub passcode: Option<&'a str>,
    /// The user that the passcode claims to be of.
    pub passcode_id: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    Wrong,
    Locked,
}

struct SimUser {
    person: Person,
    salt: SaltedDigest,
    password: SaltedDigest,
    passcode: Option<SaltedDigest>,
    refused: u32,
}

pub struct Users(Vec<SimUser>);

impl Users {
    /// `salt` is called once for each user.
    pub fn new(specs: Vec<UserSpec>, salt: impl Fn() -> SaltedDigest) -> Self {
        let users = specs.into_iter().map(|spec| {
            let salt = salt();
            SimUser {
                password: salted_digest(&salt, &spec.password),
                passcode: spec.passcode.map(|code| salted_digest(&salt, &code)),
                salt,
                person: Person {
                    name: spec.name,
                    id: spec.id,
                    domain: spec.domain,
                    domain_id: spec.domain_id,
                },
                refused: 0,
            }
        });
        Self(users.collect())
    }

    /// Logs a user in, who is named by the id alone or by name and domain.
    pub fn log_in(&mut self, claim: &LoginClaim<'_>) -> Result<Person, LoginRefusal> {
        let user = self.0.iter_mut().find(|user| user.is_meant(claim));
        let user = user.ok_or(LoginRefusal::Wrong)?;
        if user.refused >= LOCK_AFTER {
            return Err(LoginRefusal::Locked);
        }
        let passcode = claim.passcode.map(|code| salted_digest(&user.salt, code));
        let right = salted_digest(&user.salt, claim.password) == user.password
            && user.passcode.is_none_or(|wanted| passcode == Some(wanted))
            && claim.passcode_id.is_none_or(|id| id == user.person.id);
        if !right {
            user.refused += 1;
            return Err(LoginRefusal::Wrong);
        }
        user.refused = 0;
        Ok(user.person.clone())
    }

    pub fn named(&self, name: &str) -> Option<&Person> {
        let mut people = self.0.iter().map(|user| &user.person);
        people.find(|person| person.name == name)
    }
}

impl SimUser {
    fn is_meant(&self, claim: &LoginClaim<'_>) -> bool {
        let person = &self.person;
        match (claim.id, claim.name) {
            (Some(id), _) => person.id == id,
            (None, Some(name)) => {
                person.name == name
                    && (claim.domain.is_some() || claim.domain_id.is_some())
                    && person.is_of_domain(claim.domain, claim.domain_id)
            }
            (None, None) => false,
        }
    }
}

impl Person {
    /// The owner of the fixed token.
    pub fn unnamed() -> Self {
        Self {
            name: "simulated-user".to_owned(),
            id: "0000000000000000000000000000user".to_owned(),
            domain: "simulated-domain".to_owned(),
            domain_id: "00000000000000000000000000domain".to_owned(),
        }
    }

    /// Returns whether the domain has this name and id, as far as they are given.
    pub fn is_of_domain(&self, name: Option<&str>, id: Option<&str>) -> bool {
        name.is_none_or(|name| name == self.domain) && id.is_none_or(|id| id == self.domain_id)
    }
}

#[derive(Clone)]
pub struct SimToken {
    pub token: String,
    pub person: Person,
    /// `None` is a token for a domain or for nothing, which DRS does not take.
    pub project: Option<String>,
    pub methods: Vec<&'static str>,
    pub issued: Timestamp,
    /// `None` never ends.
    pub expires: Option<Timestamp>,
}

/// The fixed one, then those of the login call.
pub struct SimTokens(Vec<SimToken>);

pub enum TokenLookup<'a> {
    Unknown,
    Expired,
    Good(&'a SimToken),
}

impl SimTokens {
    pub fn new(fixed: SimToken) -> Self {
        Self(vec![fixed])
    }

    pub fn add(&mut self, token: SimToken) {
        self.0.push(token);
    }

    pub fn find(&self, token: &[u8], now: Timestamp) -> TokenLookup<'_> {
        let mut all = self.0.iter().rev();
        let found = all.find(|known| same(known.token.as_bytes(), token));
        match found {
            None => TokenLookup::Unknown,
            Some(known) if known.expires.is_some_and(|end| end <= now) => TokenLookup::Expired,
            Some(known) => TokenLookup::Good(known),
        }
    }

    pub fn issued(&self) -> Vec<String> {
        let issued = self.0.iter().skip(1);
        issued.map(|token| token.token.clone()).collect()
    }

    pub fn expire(&mut self, now: Timestamp) {
        for token in self.0.iter_mut().skip(1) {
            let end = token.expires.unwrap_or(now);
            token.expires = Some(end.min(now));
        }
    }
}

struct SigningKey {
    spec: AccessKeySpec,
    refused: u32,
    locked_until: Option<Timestamp>,
}

pub struct SigningKeys(Vec<SigningKey>);

impl SigningKeys {
    pub fn new(specs: Vec<AccessKeySpec>) -> Self {
        let keys = specs.into_iter().map(|spec| SigningKey {
            spec,
            refused: 0,
            locked_until: None,
        });
        Self(keys.collect())
    }

    /// Returns the name of the user whose key signed the request, if it has one.
    pub fn check(
        &mut self,
        authorization: &str,
        request: &ServiceRequest,
        now: Timestamp,
    ) -> Result<Option<String>, ServiceReply> {
        let Some(authorization) = Authorization::parse(authorization) else {
            return Err(unauthenticated("decrypt token fail"));
        };
        let mut keys = self.0.iter_mut();
        let Some(key) = keys.find(|key| key.spec.access == authorization.access) else {
            return Err(unauthenticated("Get secretKey failed"));
        };
        if key.locked_until.is_some_and(|end| now < end) {
            return Err(unauthenticated("AK access failed to reach the limit"));
        }
        if let Err(reply) = key.verify(&authorization, request, now) {
            key.refused += 1;
            if key.refused >= LOCK_AFTER {
                key.refused = 0;
                key.locked_until = Some(ambient::later(now, LOCKED_FOR));
            }
            return Err(reply);
        }
        key.refused = 0;
        Ok(key.spec.user.clone())
    }
}

impl SigningKey {
    fn verify(
        &self,
        authorization: &Authorization<'_>,
        request: &ServiceRequest,
        now: Timestamp,
    ) -> Result<(), ServiceReply> {
        let fails = |text: &str| unauthenticated(&format!("verify aksk signature fail, {text}"));
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
            return Err(unauthenticated("signature expired"));
        }
        let Some(canonical) = request.canonical(&authorization.signed) else {
            return Err(fails("a signed header is missing or repeated"));
        };
        if !authorization.is_by(&self.spec.secret, date, &canonical) {
            // Echoing it is what the real gateway does, in one line.
            let echo = canonical.replace('\n', "|");
            return Err(fails(&format!("canonicalRequest:{echo}")));
        }
        let given = request.only(SECURITY_TOKEN);
        let right = match (given, &self.spec.security_token) {
            (None, None) => !request.head.headers.contains_key(SECURITY_TOKEN),
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

pub fn unauthenticated(why: &str) -> ServiceReply {
    let message = format!("Incorrect IAM authentication information: {why}");
    ServiceReply::error(401, "APIGW.0301", &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(passcode: Option<&str>) -> Users {
        let spec = UserSpec {
            name: "ci".to_owned(),
            id: "u1".to_owned(),
            password: "canary-right".to_owned(),
            domain: "acme".to_owned(),
            domain_id: "d1".to_owned(),
            passcode: passcode.map(ToOwned::to_owned),
        };
        Users::new(vec![spec], || [7; 32])
    }

    fn by_name<'a>(name: &'a str, domain: &'a str, password: &'a str) -> LoginClaim<'a> {
        LoginClaim {
            name: Some(name),
            domain: Some(domain),
            password,
            ..LoginClaim::default()
        }
    }

    #[test]
    fn users_are_named_by_id_or_by_name_and_domain() {
        let mut users = users(None);
        assert!(users.log_in(&by_name("ci", "acme", "canary-right")).is_ok());
        assert!(
            users
                .log_in(&by_name("ci", "other", "canary-right"))
                .is_err()
        );
        assert!(
            users
                .log_in(&by_name("me", "acme", "canary-right"))
                .is_err()
        );
        let mut claim = by_name("ci", "acme", "canary-right");
        claim.domain = None;
        assert!(users.log_in(&claim).is_err());
        claim.domain_id = Some("d1");
        assert!(users.log_in(&claim).is_ok());
        let claim = LoginClaim {
            id: Some("u1"),
            password: "canary-right",
            ..LoginClaim::default()
        };
        assert!(users.log_in(&claim).is_ok());
    }

    #[test]
    fn five_refusals_in_a_row_lock_a_user() {
        let mut users = users(None);
        let wrong = by_name("ci", "acme", "canary-wrong");
        let right = by_name("ci", "acme", "canary-right");
        let mut fails = |times: usize| {
            for _ in 0..times {
                assert_eq!(users.log_in(&wrong).err(), Some(LoginRefusal::Wrong));
            }
            users.log_in(&right).err()
        };
        assert_eq!(fails(4), None);
        assert_eq!(fails(4), None);
        assert_eq!(fails(5), Some(LoginRefusal::Locked));
    }

    #[test]
    fn a_passcode_is_asked_for_only_where_there_is_one() {
        let mut users = users(Some("123456"));
        let mut claim = by_name("ci", "acme", "canary-right");
        assert!(users.log_in(&claim).is_err());
        claim.passcode = Some("654321");
        assert!(users.log_in(&claim).is_err());
        claim.passcode = Some("123456");
        assert!(users.log_in(&claim).is_ok());
    }
}
