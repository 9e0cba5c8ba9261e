//! The identity service: tokens, the catalogue, projects (OTC IAM api-ref).
//!
//! It accepts a password, alone or with a passcode, or a token to be exchanged for another scope,
//! and no other method.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::accounts::{LoginClaim, LoginRefusal, Person, SimToken, TokenLookup, unauthenticated};
use super::ambient::{self, token_time};
use super::http::{ServiceReply, SimAnswer};
use super::shared::{Shared, SimExchange, SimState};
use super::signature::{ALGORITHM, decode};
use super::spec::ProjectSpec;

const SUBJECT: &str = "X-Subject-Token";

const OWN: &str = "self";

enum Caller {
    Token(SimToken),
    /// The owner of the key, if that is a user known here.
    Key(Option<Person>),
}

/// The gateway refuses a missing token (OTC API Gateway manual, Error Codes: 0301 with 401), the
/// service a wrong one (OTC api-ref, Error Code: DRS.M00100 with 403).
fn identify(exchange: &mut SimExchange<'_>) -> Result<Caller, ServiceReply> {
    let SimExchange { state, request, .. } = exchange;
    let now = exchange.shared.now();
    let token = request.head.headers.get("x-auth-token");
    let signed = request
        .header("authorization")
        .filter(|value| value.starts_with(ALGORITHM));
    match (token, signed) {
        (Some(_), Some(_)) => Err(unauthenticated("both a token and a signature")),
        (None, None) => Err(unauthenticated("x-auth-token not found")),
        (Some(token), None) => match state.tokens.find(token.as_bytes(), now) {
            TokenLookup::Unknown => Err(ServiceReply::error(403, "DRS.M00100", "Invalid token.")),
            TokenLookup::Expired => Err(unauthenticated("token expires")),
            TokenLookup::Good(token) => Ok(Caller::Token(token.clone())),
        },
        (None, Some(authorization)) => {
            let user = state.keys.check(authorization, request, now)?;
            let person = user.and_then(|name| state.users.named(&name).cloned());
            Ok(Caller::Key(person))
        }
    }
}

/// Admits a caller to the project in the path: a token must be for that very project, and a
/// signature must not name another one.
pub fn admit(exchange: &mut SimExchange<'_>) -> Result<(), ServiceReply> {
    let caller = identify(exchange)?;
    let project = exchange.request.project.as_str();
    let reaches = match caller {
        Caller::Token(token) => token.project.as_deref() == Some(project),
        Caller::Key(_) => {
            let named = exchange.request.head.headers.get("x-project-id");
            let mut known = exchange.shared.projects.iter();
            named.is_none_or(|named| named.as_bytes() == project.as_bytes())
                && known.any(|known| known.id == project)
        }
    };
    let refused = || ServiceReply::error(403, "DRS.M00261", "Invalid project ID.");
    reaches.then_some(()).ok_or_else(refused)
}

/// `POST /v3/auth/tokens` (OTC IAM api-ref, Obtaining a User Token).
pub fn log_in(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let token = issue(exchange)?;
    exchange.state.logins += 1;
    exchange.state.tokens.add(token.clone());
    let mut pairs = exchange.request.query().split('&');
    let no_catalog = pairs.any(|pair| pair.split('=').next() == Some("nocatalog"));
    let outline = token_outline(exchange.shared, &token, !no_catalog);
    Ok(ServiceReply::json(201, &outline).header(SUBJECT, token.token))
}

/// `GET /v3/auth/tokens` (OTC IAM api-ref, Verifying a Token).
pub fn show_token(exchange: &mut SimExchange<'_>) -> SimAnswer {
    identify(exchange)?;
    let Some(subject) = exchange.request.head.headers.get(SUBJECT) else {
        return Err(bad_request("X-Subject-Token is missing"));
    };
    let shared = exchange.shared;
    match exchange.state.tokens.find(subject.as_bytes(), shared.now()) {
        TokenLookup::Unknown | TokenLookup::Expired => {
            let message = "Could not find the token.";
            Err(error(404, "IAM.0004", message, "Not Found"))
        }
        TokenLookup::Good(token) => {
            let outline = token_outline(shared, token, true);
            Ok(ServiceReply::json(200, &outline).header(SUBJECT, token.token.clone()))
        }
    }
}

fn issue(exchange: &mut SimExchange<'_>) -> Result<SimToken, ServiceReply> {
    let SimExchange { state, request, .. } = exchange;
    let shared = exchange.shared;
    if !request.is_json() {
        return Err(bad_request("The Content-Type must be application/json."));
    }
    let Some(document) = &request.document else {
        return Err(bad_request("The body is not JSON."));
    };
    let auth = &document["auth"];
    let identity = &auth["identity"];
    let now = shared.now();
    let (person, methods, expires) = if identity["methods"] == json!(["token"]) {
        by_token(state, &identity["token"], now)?
    } else {
        let (claim, methods) = claim(identity)?;
        let person = state.users.log_in(&claim).map_err(|why| match why {
            LoginRefusal::Wrong => unauthorized("IAM.0062", "The username or password is wrong."),
            LoginRefusal::Locked => unauthorized("IAM.0061", "The account is locked."),
        })?;
        (person, methods, None)
    };
    let project = project(shared, &auth["scope"], &person)?;
    Ok(SimToken {
        token: shared.nonces.token(),
        person,
        project,
        methods,
        issued: now,
        expires: Some(expires.unwrap_or_else(|| end_of_life(shared, now))),
    })
}

/// Returns the owner of a token. A token for another scope expires with the one that it was
/// exchanged for (OpenStack Identity API, "Token authentication with scoped authorization").
fn by_token(
    state: &SimState,
    given: &Value,
    now: Timestamp,
) -> Result<(Person, Vec<&'static str>, Option<Timestamp>), ServiceReply> {
    let id = text(given, "id")?.ok_or_else(|| bad_request("identity.token.id is missing"))?;
    match state.tokens.find(id.as_bytes(), now) {
        TokenLookup::Unknown => Err(unauthorized("IAM.0067", "The token is not valid.")),
        TokenLookup::Expired => Err(unauthorized("IAM.0066", "The token has expired.")),
        TokenLookup::Good(token) => {
            let mut methods = token.methods.clone();
            methods.retain(|method| *method != "token");
            methods.push("token");
            Ok((token.person.clone(), methods, token.expires))
        }
    }
}

fn end_of_life(shared: &Shared, from: Timestamp) -> Timestamp {
    let life = SignedDuration::try_from(shared.config.token_life).unwrap_or(SignedDuration::MAX);
    ambient::later(from, life)
}

fn claim(identity: &Value) -> Result<(LoginClaim<'_>, Vec<&'static str>), ServiceReply> {
    let methods = if identity["methods"] == json!(["password"]) {
        vec!["password"]
    } else if identity["methods"] == json!(["password", "totp"]) {
        vec!["password", "totp"]
    } else {
        let why = "identity.methods must be password, or password and totp";
        return Err(bad_request(why));
    };
    let user = &identity["password"]["user"];
    let mut claim = LoginClaim {
        id: text(user, "id")?,
        name: text(user, "name")?,
        domain: text(&user["domain"], "name")?,
        domain_id: text(&user["domain"], "id")?,
        password: text(user, "password")?
            .ok_or_else(|| bad_request("identity.password.user.password is missing"))?,
        ..LoginClaim::default()
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

/// Returns the project of the new token. It takes precedence over a domain (OTC IAM api-ref,
/// Obtaining a User Token, scope).
fn project(
    shared: &Shared,
    scope: &Value,
    person: &Person,
) -> Result<Option<String>, ServiceReply> {
    let own = |domain: &Value| -> Result<bool, ServiceReply> {
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

fn text<'a>(object: &'a Value, field: &str) -> Result<Option<&'a str>, ServiceReply> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_request(&format!("{field} must be a string"))),
    }
}

fn token_outline(shared: &Shared, token: &SimToken, with_catalog: bool) -> Value {
    let person = &token.person;
    let domain = json!({"id": person.domain_id, "name": person.domain});
    let expires = token
        .expires
        .unwrap_or_else(|| end_of_life(shared, shared.now()));
    let mut outline = json!({
        "methods": token.methods,
        "issued_at": token_time(token.issued),
        "expires_at": token_time(expires),
        "user": {"id": person.id, "name": person.name, "domain": domain},
        "roles": [],
    });
    let project = token.project.as_ref();
    match shared
        .projects
        .iter()
        .find(|known| project == Some(&known.id))
    {
        Some(project) => {
            outline["project"] = json!({"id": project.id, "name": project.name, "domain": domain});
        }
        None => outline["domain"] = domain,
    }
    if with_catalog {
        outline["catalog"] = catalog_entries(shared, token.project.as_deref());
    }
    json!({"token": outline})
}

fn bad_request(message: &str) -> ServiceReply {
    error(400, "IAM.0011", message, "Bad Request")
}

fn unauthorized(code: &str, message: &str) -> ServiceReply {
    error(401, code, message, "Unauthorized")
}

fn error(status: u16, code: &str, message: &str, title: &str) -> ServiceReply {
    let error = json!({"code": code, "message": message, "title": title});
    ServiceReply::json(status, &json!({"error": error}))
}

/// `GET /v3/auth/catalog`.
pub fn catalog(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let project = match identify(exchange)? {
        Caller::Token(token) => token.project,
        // A signature may name its project in a header (Huawei Cloud API Request
        // Signing Guide, X-Project-Id).
        Caller::Key(_) => {
            let named = exchange.request.header("x-project-id");
            named.map(ToOwned::to_owned)
        }
    };
    let entries = catalog_entries(exchange.shared, project.as_deref());
    ServiceReply::ok(&json!({"catalog": entries, "links": {}}))
}

/// Includes just enough of the other services to be mistaken for one of them.
fn catalog_entries(shared: &Shared, project: Option<&str>) -> Value {
    let own = &shared.url;
    let region = shared.config.catalog.region.as_str();
    let project = project.unwrap_or_default();
    let evs = format!("https://evs.{region}.example.invalid/v2/{project}");
    let mut entries = vec![
        catalog_entry("iam", "identity", "*", &format!("{own}/v3")),
        catalog_entry("evs", "volumev2", region, &evs),
    ];
    if let Some(endpoint) = &shared.config.catalog.drs_endpoint {
        let endpoint = if endpoint == OWN { own } else { endpoint };
        let url = match shared.config.catalog.project_suffix {
            true => format!("{endpoint}/v3/{project}"),
            false => endpoint.clone(),
        };
        entries.push(catalog_entry("drs", "drs", region, &url));
    }
    Value::Array(entries)
}

fn catalog_entry(name: &str, kind: &str, region: &str, url: &str) -> Value {
    json!({
        "id": format!("catalog-{name}"),
        "name": name,
        "type": kind,
        "endpoints": [{
            "id": format!("endpoint-{name}"),
            "interface": "public",
            "region": region,
            "region_id": region,
            "url": url,
        }],
    })
}

/// `GET /v3/projects`, with its one filter (OTC IAM api-ref, Querying Project Information).
pub fn projects(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let person = match identify(exchange)? {
        Caller::Token(token) => Some(token.person),
        Caller::Key(person) => person,
    };
    let domain = person.map(|person| person.domain_id);
    let SimExchange {
        shared, request, ..
    } = exchange;
    let mut pairs = request.query().split('&');
    let name = pairs.find_map(|pair| pair.strip_prefix("name="));
    let is_asked =
        |project: &&ProjectSpec| name.is_none_or(|name| decode(name) == project.name.as_bytes());
    let url = &shared.url;
    let projects = shared.projects.iter().filter(is_asked).map(|project| {
        json!({
            "id": project.id,
            "name": project.name,
            "description": "",
            "domain_id": domain,
            "parent_id": domain,
            "enabled": true,
            "is_domain": false,
            "links": {"self": format!("{url}/v3/projects/{}", project.id)},
        })
    });
    let projects: Vec<Value> = projects.collect();
    let links = json!({"self": format!("{url}/v3/projects"), "next": null, "previous": null});
    ServiceReply::ok(&json!({"projects": projects, "links": links}))
}

/// `GET /`: all versions of the service, as a choice. Clients ask before they log in, and warn if
/// there is no answer (OpenStack Identity API, "List versions").
pub fn versions(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let answer = json!({"versions": {"values": [the_version(exchange.shared)]}});
    Ok(ServiceReply::json(300, &answer))
}

/// `GET /v3`.
pub fn version(exchange: &mut SimExchange<'_>) -> SimAnswer {
    ServiceReply::ok(&json!({"version": the_version(exchange.shared)}))
}

fn the_version(shared: &Shared) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v3/", shared.url)}],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}
