//! The service as a whole: reading requests, the checks all calls share, routes.
//!
//! Owns the way of a request from its first byte to its answer. Refuses to know
//! what a single call means; each has a module of its own.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use super::record::Answered;
use super::reply::{Cut, Payload, Reply};
use super::shared::{Shared, Visit};
use super::{admin, password, status, tokens};

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
    BatchStatus,
    Admin,
    Unknown,
}

/// Finds the call, and the project id its path names.
fn route(method: &str, path: &str) -> (Route, String) {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method, parts.as_slice()) {
        ("PUT", ["v3", project, "jobs", "batch-modify-pwd"]) => {
            (Route::ModifyPasswords, (*project).to_owned())
        }
        ("POST", ["v3", project, "jobs", "batch-status"]) => {
            (Route::BatchStatus, (*project).to_owned())
        }
        (_, ["sim", ..]) => (Route::Admin, String::new()),
        _ => (Route::Unknown, String::new()),
    }
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
        Route::BatchStatus => plainly(&shared, &mut visit, &call, status::query),
        Route::Unknown => plainly(&shared, &mut visit, &call, |_, _| unknown()),
        Route::Admin => admin::answer(&shared, &call),
    };
    Ok(reply.into_response(&shared.nonces.request_id()))
}

/// Records a call that no fault can touch, and answers it.
fn plainly(
    shared: &Shared,
    visit: &mut Visit,
    call: &Call,
    answer: impl FnOnce(&Shared, &Call) -> Reply,
) -> Reply {
    visit.record(
        &mut shared.lock(),
        &call.head,
        call.body.clone(),
        Vec::new(),
    );
    let reply = answer(shared, call);
    visit.answered(Answered::Status(reply.status));
    reply
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
pub(super) fn refusal(shared: &Shared, call: &Call) -> Option<Reply> {
    let headers = &call.head.headers;
    if call.body.is_none() {
        return Some(Reply::error(
            413,
            "APIGW.0201",
            "The request body is too large.",
        ));
    }
    let token = headers.get("x-auth-token").map(|value| value.as_bytes());
    if let Some(reply) = tokens::refusal(token, &shared.token) {
        return Some(reply);
    }
    if call.project != shared.project_id {
        return Some(Reply::error(403, "DRS.M00261", "Invalid project ID."));
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !content_type.trim().eq_ignore_ascii_case("application/json") {
        return Some(Reply::error(
            415,
            "DRS.M00200",
            "The media type of the request is not supported.",
        ));
    }
    None
}

fn unknown() -> Reply {
    Reply::error(
        404,
        "APIGW.0101",
        "The API does not exist or has not been published in the environment",
    )
}
