//! The token calls of IAM: `POST` and `GET /v3/auth/tokens`.
//!
//! Owns the reading of a login and what is told about a token (OTC IAM api-ref,
//! Obtaining a User Token and Verifying a Token). Refuses every method but a
//! password, alone or with a passcode, and a token that is to be for another scope.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::caller;
use super::catalog;
use super::clock::{self, token_time};
use super::reply::Reply;
use super::service::{self, Call};
use super::sessions::{Found, Session};
use super::shared::{Inner, Shared};
use super::users::{Claim, Person, Refused};

/// The header that carries a token out, and one to be looked at in.
const SUBJECT: &str = "X-Subject-Token";

/// Answers a login.
pub(super) fn issue(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let session = match log_in(shared, inner, call) {
        Ok(session) => session,
        Err(reply) => return reply,
    };
    inner.logins += 1;
    inner.sessions.add(session.clone());
    let query = call.head.uri.query().unwrap_or_default();
    let nocatalog = query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("nocatalog"));
    Reply::json(201, &outline(shared, &session, !nocatalog)).header(SUBJECT, session.token)
}

/// Answers the question what a token is.
pub(super) fn show(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let now = shared.clock.now();
    if let Err(reply) = caller::identify(inner, call, now) {
        return reply;
    }
    let Some(subject) = call.head.headers.get(SUBJECT) else {
        return bad_request("X-Subject-Token is missing");
    };
    match inner.sessions.find(subject.as_bytes(), now) {
        Found::Unknown | Found::Expired => {
            error(404, "IAM.0004", "Could not find the token.", "Not Found")
        }
        Found::Good(session) => {
            Reply::json(200, &outline(shared, session, true)).header(SUBJECT, session.token.clone())
        }
    }
}

fn log_in(shared: &Shared, inner: &mut Inner, call: &Call) -> Result<Session, Reply> {
    if !service::is_json(call) {
        return Err(bad_request("The Content-Type must be application/json."));
    }
    let document = call.body.as_deref().unwrap_or_default();
    let document: Value =
        serde_json::from_slice(document).map_err(|_| bad_request("The body is no JSON."))?;
    let auth = &document["auth"];
    let identity = &auth["identity"];
    let now = shared.clock.now();
    let (person, methods, expires) = if identity["methods"] == json!(["token"]) {
        by_token(inner, &identity["token"], now)?
    } else {
        let (claim, methods) = claim(identity)?;
        let person = inner.users.log_in(&claim).map_err(|why| match why {
            Refused::Wrong => unauthorized("IAM.0062", "The username or password is wrong."),
            Refused::Locked => unauthorized("IAM.0061", "The account is locked."),
        })?;
        (person, methods, None)
    };
    let project = project(shared, &auth["scope"], &person)?;
    Ok(Session {
        token: shared.nonces.token(),
        person,
        project,
        methods,
        issued: now,
        expires: Some(expires.unwrap_or_else(|| end_of_life(shared, now))),
    })
}

/// Whose token it is. One for another scope ends with the one that it is fetched by
/// (OpenStack Identity API, "Token authentication with scoped authorization").
fn by_token(
    inner: &Inner,
    given: &Value,
    now: Timestamp,
) -> Result<(Person, Vec<&'static str>, Option<Timestamp>), Reply> {
    let id = text(given, "id")?.ok_or_else(|| bad_request("identity.token.id is missing"))?;
    match inner.sessions.find(id.as_bytes(), now) {
        Found::Unknown => Err(unauthorized("IAM.0067", "The token is not valid.")),
        Found::Expired => Err(unauthorized("IAM.0066", "The token has expired.")),
        Found::Good(session) => {
            let mut methods = session.methods.clone();
            methods.retain(|method| *method != "token");
            methods.push("token");
            Ok((session.person.clone(), methods, session.expires))
        }
    }
}

fn end_of_life(shared: &Shared, from: Timestamp) -> Timestamp {
    let life = SignedDuration::try_from(shared.token_life).unwrap_or(SignedDuration::MAX);
    clock::later(from, life)
}

/// Who the caller claims to be, and by which methods.
fn claim(identity: &Value) -> Result<(Claim<'_>, Vec<&'static str>), Reply> {
    let methods = identity["methods"].as_array();
    let methods: Option<Vec<&'static str>> = methods.and_then(|methods| {
        let known = |method: &Value| match method.as_str() {
            Some("password") => Some("password"),
            Some("totp") => Some("totp"),
            _ => None,
        };
        methods.iter().map(known).collect()
    });
    let methods = methods
        .filter(|methods| matches!(methods.as_slice(), ["password"] | ["password", "totp"]))
        .ok_or_else(|| bad_request("identity.methods must be password, or password and totp"))?;
    let user = &identity["password"]["user"];
    let mut claim = Claim {
        id: text(user, "id")?,
        name: text(user, "name")?,
        domain: text(&user["domain"], "name")?,
        domain_id: text(&user["domain"], "id")?,
        password: text(user, "password")?
            .ok_or_else(|| bad_request("identity.password.user.password is missing"))?,
        ..Claim::default()
    };
    if methods.contains(&"totp") {
        let user = &identity["totp"]["user"];
        claim.passcode_id = text(user, "id")?;
        claim.passcode = text(user, "passcode")?;
        if claim.passcode.is_none() {
            return Err(bad_request("identity.totp.user.passcode is missing"));
        }
    }
    Ok((claim, methods))
}

/// The project that the token is to be for. If a domain is named beside it, the
/// project wins (OTC IAM api-ref, Obtaining a User Token, scope).
fn project(shared: &Shared, scope: &Value, person: &Person) -> Result<Option<String>, Reply> {
    let own = |domain: &Value| -> Result<bool, Reply> {
        Ok(person.is_of_domain(text(domain, "name")?, text(domain, "id")?))
    };
    let project = &scope["project"];
    if project.is_null() {
        return match own(&scope["domain"])? {
            true => Ok(None),
            false => Err(unauthorized("IAM.0001", "The domain is not the user's.")),
        };
    }
    let (id, name) = (text(project, "id")?, text(project, "name")?);
    if id.is_none() && name.is_none() {
        return Err(bad_request("scope.project needs an id or a name"));
    }
    let found = shared.projects.iter().find(|project| {
        id.is_none_or(|id| id == project.id) && name.is_none_or(|name| name == project.name)
    });
    match found.filter(|_| matches!(own(&project["domain"]), Ok(true))) {
        Some(project) => Ok(Some(project.id.clone())),
        None => Err(unauthorized("IAM.0001", "The project cannot be found.")),
    }
}

/// A text that may be left out, and nothing but a text.
fn text<'a>(object: &'a Value, field: &str) -> Result<Option<&'a str>, Reply> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_request(&format!("{field} must be a string"))),
    }
}

/// What is told about a token.
fn outline(shared: &Shared, session: &Session, with_catalog: bool) -> Value {
    let person = &session.person;
    let domain = json!({"id": person.domain_id, "name": person.domain});
    let expires = session
        .expires
        .unwrap_or_else(|| end_of_life(shared, shared.clock.now()));
    let mut token = Map::new();
    let mut put = |field: &str, value: Value| token.insert(field.to_owned(), value);
    put("methods", json!(session.methods));
    put("issued_at", json!(token_time(session.issued)));
    put("expires_at", json!(token_time(expires)));
    put(
        "user",
        json!({"id": person.id, "name": person.name, "domain": domain}),
    );
    put("roles", json!([]));
    let project = session.project.as_deref();
    let project = shared
        .projects
        .iter()
        .find(|known| project == Some(&known.id));
    match project {
        Some(project) => put(
            "project",
            json!({"id": project.id, "name": project.name, "domain": domain}),
        ),
        None => put("domain", domain),
    };
    if with_catalog {
        put(
            "catalog",
            catalog::entries(shared, session.project.as_deref()),
        );
    }
    json!({ "token": token })
}

fn bad_request(message: &str) -> Reply {
    error(400, "IAM.0011", message, "Bad Request")
}

fn unauthorized(code: &str, message: &str) -> Reply {
    error(401, code, message, "Unauthorized")
}

/// An error in the shape of IAM, which is not that of DRS.
fn error(status: u16, code: &str, message: &str, title: &str) -> Reply {
    let error = json!({"code": code, "message": message, "title": title});
    Reply::json(status, &json!({ "error": error }))
}
