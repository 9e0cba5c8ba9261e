//! Calls to the simulator itself, below `/sim/`.
//!
//! Owns the admin routes and their token. Refuses to give out a password, a
//! token or the body of a recorded request.

use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::Fault;
use super::job::Endpoint;
use super::record::{Answered, Recorded};
use super::reply::Reply;
use super::service::Call;
use super::shared::Shared;
use super::tokens;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holds {
    job: String,
    endpoint: Endpoint,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    endpoint: Endpoint,
    password: String,
}

/// Answers an admin call.
pub(super) fn answer(shared: &Shared, call: &Call) -> Reply {
    let token = call.head.headers.get("x-sim-admin");
    let allowed =
        token.is_some_and(|given| tokens::same(given.as_bytes(), shared.admin_token.as_bytes()));
    if !allowed {
        return problem(403, "X-Sim-Admin is missing or wrong");
    }
    route(shared, call).unwrap_or_else(|reply| reply)
}

fn route(shared: &Shared, call: &Call) -> Result<Reply, Reply> {
    let now = Instant::now();
    let path: Vec<&str> = call.head.uri.path().split('/').skip(2).collect();
    match (call.head.method.as_str(), path.as_slice()) {
        ("POST", ["faults"]) => {
            let fault: Fault = read(call)?;
            fault.check().map_err(|why| problem(400, why))?;
            shared.lock().faults.inject(fault);
            Ok(done())
        }
        ("POST", ["holds"]) => {
            let asked: Holds = read(call)?;
            let inner = shared.lock();
            let job = inner.store.get(&asked.job);
            let holds = job.is_some_and(|job| job.holds(asked.endpoint, &asked.password));
            Ok(Reply::json(200, &json!({"holds": holds})))
        }
        ("POST", ["release"]) => {
            shared.let_go();
            Ok(done())
        }
        ("GET", ["requests"]) => {
            let inner = shared.lock();
            let requests: Vec<Value> = inner.log.iter().map(outline).collect();
            let body = json!({"count": requests.len(), "requests": requests});
            Ok(Reply::json(200, &body))
        }
        ("GET", ["jobs"]) => {
            let mut inner = shared.lock();
            let jobs: Vec<Value> = inner
                .store
                .jobs(now)
                .map(|(id, job)| {
                    json!({
                        "id": id,
                        "name": job.facts.name,
                        "status": job.status,
                        "db_use_type": job.facts.db_use_type,
                        "parent": job.facts.parent,
                    })
                })
                .collect();
            Ok(Reply::json(200, &json!({"jobs": jobs})))
        }
        ("POST", ["jobs", id, "status"]) => {
            let wanted: NewStatus = read(call)?;
            found(shared.lock().store.set_status(id, &wanted.status, now))
        }
        ("POST", ["jobs", id, "real-password"]) => {
            let new: NewPassword = read(call)?;
            let mut inner = shared.lock();
            found(
                inner
                    .store
                    .set_real_password(id, new.endpoint, &new.password, now),
            )
        }
        ("POST", ["jobs", id, "retry"]) => match shared.lock().store.retry(id, now) {
            true => Ok(done()),
            false => Err(problem(409, "no such job, or it is not in a failed state")),
        },
        _ => Err(problem(404, "no such admin call")),
    }
}

/// What may be told about a request: everything but headers and body.
fn outline(recorded: &Recorded) -> Value {
    let answered = match recorded.answered {
        Answered::Pending => json!("pending"),
        Answered::Status(status) => json!(status),
        Answered::Cut => json!("cut"),
    };
    let entries: Vec<Value> = recorded
        .entries
        .iter()
        .map(|(job, endpoint)| json!({"job": job, "endpoint": endpoint}))
        .collect();
    json!({
        "method": recorded.method,
        "path": recorded.path,
        "entries": entries,
        "answered": answered,
    })
}

/// The body as what the call expects. The parser's own words are dropped, since
/// they may quote a password.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Reply> {
    let body = call.body.as_deref().unwrap_or_default();
    serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body does not fit the call (line {}, column {})",
            error.line(),
            error.column()
        );
        problem(400, &message)
    })
}

fn found(found: bool) -> Result<Reply, Reply> {
    match found {
        true => Ok(done()),
        false => Err(problem(404, "no such job")),
    }
}

fn done() -> Reply {
    Reply::json(200, &json!({}))
}

fn problem(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}
