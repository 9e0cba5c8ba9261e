//! The service as a whole: reading requests, the checks all calls share, routes.
//!
//! Owns the way of a request from its first byte to its answer. Refuses to know
//! what a single call means; each has a module of its own.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::caller::{self, Reach};
use super::fault::QueryCall;
use super::query::{self, Meets};
use super::reply::{Cut, Payload, Reply};
use super::shared::{Inner, Shared, Visit};
use super::{
    action, admin, catalog, clock, detail, list, login, password, projects, retry, status, versions,
};

/// The largest body the gateway lets through (OTC API Gateway manual, 0201 with
/// 413; OTC IAM api-ref, Request Body): 12 MB.
const MAX_BODY_BYTES: usize = 12 << 20;

/// How much of an over-large body is read away, so that the caller gets to see
/// the answer instead of a broken connection.
const MAX_DISCARDED_BYTES: usize = 64 << 20;

/// A request that was read to its end.
pub(super) struct Call {
    pub(super) head: Parts,
    /// The project id in the path; empty for calls that have none.
    pub(super) project: String,
    /// `None` if the body was over the limit.
    pub(super) body: Option<Bytes>,
}

/// Which call a request makes.
enum Route {
    ModifyPasswords,
    /// A call that needs no more than this to be answered.
    Plain(Meets, fn(&Shared, &mut Inner, &Call) -> Reply),
    Admin,
}

/// Finds the call, and the project id its path names.
fn route(method: &str, path: &str) -> (Route, String) {
    use QueryCall::{Detail, List, Retry, Status};
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let query = |call, answer| Route::Plain(Meets::Query(call), answer);
    let (route, project) = match (method, parts.as_slice()) {
        ("PUT", ["v3", project, "jobs", "batch-modify-pwd"]) => (Route::ModifyPasswords, *project),
        ("GET", [""]) => (Route::Plain(Meets::Nothing, versions::list), ""),
        ("GET", ["v3"] | ["v3", ""]) => (Route::Plain(Meets::Nothing, versions::show), ""),
        ("POST", ["v3", "auth", "tokens"]) => (Route::Plain(Meets::Login, login::issue), ""),
        ("GET", ["v3", "auth", "tokens"]) => (Route::Plain(Meets::Nothing, login::show), ""),
        ("GET", ["v3", "auth", "catalog"]) => (Route::Plain(Meets::Nothing, catalog::answer), ""),
        ("GET", ["v3", "projects"]) => (Route::Plain(Meets::Nothing, projects::answer), ""),
        ("POST", ["v3", project, "jobs"]) => (query(List, list::answer), *project),
        ("POST", ["v3", project, "jobs", call]) => match *call {
            "batch-status" => (query(Status, status::answer), *project),
            "batch-detail" => (query(Detail, detail::answer), *project),
            "batch-retry-task" => (query(Retry, retry::answer), *project),
            _ => (Route::Plain(Meets::Nothing, unknown), *project),
        },
        ("GET", ["v5", project, "jobs", _, "actions"]) => {
            (Route::Plain(Meets::Nothing, action::answer), *project)
        }
        (_, ["sim", ..]) => (Route::Admin, ""),
        _ => (Route::Plain(Meets::Nothing, unknown), ""),
    };
    (route, project.to_owned())
}

/// Answers one request.
///
/// Fails if the connection is to be closed without an answer, or broke.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Cut> {
    let (head, body) = request.into_parts();
    let (route, project) = route(head.method.as_str(), head.uri.path());
    let mut visit = Visit::enter(&shared, matches!(route, Route::ModifyPasswords));
    let body = read_body(body).await?;
    let call = Call {
        head,
        project,
        body,
    };
    let reply = match route {
        Route::ModifyPasswords => password::change(&shared, &mut visit, call).await?,
        Route::Plain(meets, answer) => {
            query::run(&shared, &mut visit, &call, meets, answer).await?
        }
        Route::Admin => admin::answer(&shared, &call),
    };
    let date = clock::http_date(shared.clock.now());
    Ok(reply.into_response(&shared.nonces.request_id(), &date))
}

/// The body; `None` if it was over the limit, which is read on and thrown away.
async fn read_body(mut body: Incoming) -> Result<Option<Bytes>, Cut> {
    let mut whole = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Cut)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length > MAX_DISCARDED_BYTES {
            return Ok(None);
        }
        if length > MAX_BODY_BYTES {
            whole = Vec::new();
        } else {
            whole.extend_from_slice(data);
        }
    }
    Ok((length <= MAX_BODY_BYTES).then(|| whole.into()))
}

/// What gateway and service refuse before they look at a call's meaning, in the
/// order in which they would.
pub(super) fn refusal(shared: &Shared, inner: &mut Inner, call: &Call) -> Option<Reply> {
    if call.body.is_none() {
        return Some(query::too_large());
    }
    let caller = match caller::identify(inner, call, shared.clock.now()) {
        Ok(caller) => caller,
        Err(reply) => return Some(reply),
    };
    if !reaches(shared, &caller.reach, call) {
        return Some(Reply::error(403, "DRS.M00261", "Invalid project ID."));
    }
    if call.head.method != Method::GET && !is_json(call) {
        return Some(Reply::error(
            415,
            "DRS.M00200",
            "The media type of the request is not supported.",
        ));
    }
    None
}

/// Whether the body is said to be JSON, in whatever characters.
pub(super) fn is_json(call: &Call) -> bool {
    let content_type = call.head.headers.get(CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    content_type.trim().eq_ignore_ascii_case("application/json")
}

/// Whether the caller may address the project in the path. A token must be for
/// that very project, and a signature must not name another one.
fn reaches(shared: &Shared, reach: &Reach, call: &Call) -> bool {
    match reach {
        Reach::Scope(project) => project.as_deref() == Some(call.project.as_str()),
        Reach::Account => {
            let named = call.head.headers.get("x-project-id");
            let mut known = shared.projects.iter().map(|project| &project.id);
            named.is_none_or(|named| named.as_bytes() == call.project.as_bytes())
                && known.any(|id| *id == call.project)
        }
    }
}

/// What the gateway says to a call it does not know.
pub(super) fn unknown(_: &Shared, _: &mut Inner, _: &Call) -> Reply {
    Reply::error(
        404,
        "APIGW.0101",
        "The API does not exist or has not been published in the environment",
    )
}
