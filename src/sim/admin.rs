//! Calls to the simulator itself, below `/sim/`, with a token of their own. They return no
//! password, no token and no body of a recorded request.

use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ambient::same;
use super::fault::{Fault, FaultQueue};
use super::http::{Completion, Recorded, ServiceReply, ServiceRequest, SimAnswer};
use super::job::SimJob;
use super::scenario;
use super::shared::Shared;
use super::spec::EndPointType;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldsQuestion {
    job: String,
    endpoint: EndPointType,
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
    endpoint: EndPointType,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccountPassword {
    host: String,
    user: String,
    password: String,
}

pub fn answer(shared: &Shared, request: &ServiceRequest) -> ServiceReply {
    let token = request.head.headers.get("x-sim-admin");
    let allowed = token.is_some_and(|given| same(given.as_bytes(), shared.admin_token.as_bytes()));
    if !allowed {
        return problem(403, "X-Sim-Admin is missing or wrong");
    }
    route(shared, request).unwrap_or_else(|reply| reply)
}

fn route(shared: &Shared, request: &ServiceRequest) -> SimAnswer {
    let path: Vec<&str> = request.head.uri.path().split('/').skip(2).collect();
    match (request.head.method.as_str(), path.as_slice()) {
        ("POST", ["faults"]) => {
            let fault: Fault = read(request)?;
            fault
                .check(FaultQueue::Changes)
                .map_err(|why| problem(400, why))?;
            if !fault
                .jobs()
                .all(|job| shared.change(job, |_, _| ()).is_some())
            {
                return Err(no_such_job());
            }
            shared.inject(FaultQueue::Changes, fault);
            Ok(done())
        }
        ("DELETE", ["faults"]) => {
            shared.disarm();
            Ok(done())
        }
        ("POST", ["holds"]) => {
            let asked: HoldsQuestion = read(request)?;
            let state = shared.lock();
            let job = state.jobs.get(&asked.job).ok_or_else(no_such_job)?;
            let holds = job.login(asked.endpoint).holds(&asked.password);
            ServiceReply::ok(&json!({"holds": holds}))
        }
        ("POST", ["release"]) => {
            shared.let_go();
            Ok(done())
        }
        ("GET", ["requests"]) => {
            let requests: Vec<Value> = shared.lock().log.iter().map(outline).collect();
            ServiceReply::ok(&json!({"count": requests.len(), "requests": requests}))
        }
        ("GET", ["jobs"]) => {
            let mut state = shared.lock();
            let jobs: Vec<Value> = state
                .jobs
                .jobs(Instant::now())
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
            ServiceReply::ok(&json!({"jobs": jobs}))
        }
        ("POST", ["jobs", id, "status"]) => {
            let new: NewStatus = read(request)?;
            let changed = shared.change(id, |job, _| job.set_status(&new.status));
            changed.map(|()| done()).ok_or_else(no_such_job)
        }
        ("POST", ["jobs", id, "real-password"]) => {
            let new: NewPassword = read(request)?;
            let change = |job: &mut SimJob, _| job.login_mut(new.endpoint).change(&new.password);
            let changed = shared.change(id, change);
            changed.map(|()| done()).ok_or_else(no_such_job)
        }
        ("POST", ["real-password"]) => {
            let new: NewAccountPassword = read(request)?;
            let account = (&*new.host, &*new.user, &*new.password);
            let mut state = shared.lock();
            match state.jobs.change_account(account, Instant::now()) {
                0 => Err(problem(404, "no such account")),
                endpoints => ServiceReply::ok(&json!({"endpoints": endpoints})),
            }
        }
        ("POST", ["jobs", id, "retry"]) => match shared.change(id, SimJob::retry) {
            Some(true) => Ok(done()),
            _ => Err(problem(409, "no such job, or it is not in a failed state")),
        },
        _ => Err(problem(404, "no such admin call")),
    }
}

fn outline(recorded: &Recorded) -> Value {
    let answered = match recorded.completion {
        Completion::Pending => json!("pending"),
        Completion::Status(status) => json!(status),
        Completion::Cut => json!("cut"),
    };
    let entries = recorded.entries().iter();
    let entries = entries.map(|(job, endpoint)| json!({"job": job, "endpoint": endpoint}));
    json!({
        "method": recorded.method(),
        "path": recorded.path(),
        "entries": entries.collect::<Vec<_>>(),
        "answered": answered,
    })
}

/// Parses the body of a call. Its errors are those of the YAML parser, which reads JSON too: they
/// repeat no word of the body, which may be a password.
fn read<T: DeserializeOwned>(request: &ServiceRequest) -> Result<T, ServiceReply> {
    let body = request.body.as_deref().unwrap_or_default();
    serde_json::from_slice(body).map_err(|_| {
        let text = str::from_utf8(body).unwrap_or_default();
        let why = scenario::read::<T>(text).err();
        let why = why.unwrap_or_else(|| "this is not JSON".to_owned());
        problem(400, &format!("the body does not fit the call: {why}"))
    })
}

fn no_such_job() -> ServiceReply {
    problem(404, "no such job")
}

fn done() -> ServiceReply {
    ServiceReply::json(200, &json!({}))
}

fn problem(status: u16, message: &str) -> ServiceReply {
    ServiceReply::json(status, &json!({"error": message}))
}
