//! Who makes a call: by token or by signature.
//!
//! Owns the question that comes before every call but a login. Refuses to know
//! which projects there are, and what a call does.

use jiff::Timestamp;

use super::reply::Reply;
use super::service::Call;
use super::sessions::Found;
use super::shared::Inner;
use super::signature::{ALGORITHM, Signed};
use super::users::Person;

/// Who calls, and what they may address.
pub(super) struct Caller {
    /// `None` for a key that belongs to no user known here.
    pub(super) person: Option<Person>,
    pub(super) reach: Reach,
}

/// Which projects a caller may address.
pub(super) enum Reach {
    /// That of the token, or none at all.
    Scope(Option<String>),
    /// All of the account: a signature names none.
    Account,
}

/// Says who calls, or refuses.
///
/// A missing token is turned away by the gateway (OTC API Gateway manual, Error
/// Codes: 0301 with 401), a wrong one by the service (OTC api-ref, Error Code:
/// DRS.M00100 with 403).
pub(super) fn identify(inner: &mut Inner, call: &Call, now: Timestamp) -> Result<Caller, Reply> {
    let headers = &call.head.headers;
    let token = headers.get("x-auth-token");
    let signed = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap_or_default())
        .filter(|value| value.starts_with(ALGORITHM));
    match (token, signed) {
        (Some(_), Some(_)) => Err(refused("both a token and a signature")),
        (None, None) => Err(refused("x-auth-token not found")),
        (Some(token), None) => match inner.sessions.find(token.as_bytes(), now) {
            Found::Unknown => Err(Reply::error(403, "DRS.M00100", "Invalid token.")),
            Found::Expired => Err(refused("token expires")),
            Found::Good(session) => Ok(Caller {
                person: Some(session.person.clone()),
                reach: Reach::Scope(session.project.clone()),
            }),
        },
        (None, Some(authorization)) => {
            let request = Signed {
                method: call.head.method.as_str(),
                path: call.head.uri.path(),
                query: call.head.uri.query().unwrap_or_default(),
                headers,
                body: call.body.as_deref().unwrap_or_default(),
            };
            let user = inner.keys.check(authorization, &request, now)?;
            Ok(Caller {
                person: user.and_then(|name| inner.users.named(&name).cloned()),
                reach: Reach::Account,
            })
        }
    }
}

fn refused(why: &str) -> Reply {
    let message = format!("Incorrect IAM authentication information: {why}");
    Reply::error(401, "APIGW.0301", &message)
}
