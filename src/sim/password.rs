//! The call that changes passwords: `PUT /v3/{project_id}/jobs/batch-modify-pwd`.
//!
//! Owns the strict reading of its body and the order in which things happen when
//! faults are about. Refuses to keep a password longer than the request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::job::Endpoint;
use super::kind::FaultKind;
use super::query;
use super::reply::{Cut, Reply};
use super::service::{self, Call};
use super::shape::{self, Entry, Line};
use super::shared::{Inner, Shared, Visit};
use super::strike::Hit;

/// What is known about a password change once it was taken in.
struct Turn {
    faults: Vec<FaultKind>,
    document: Option<Value>,
    /// `None` while the request is held without having been acted on.
    reply: Option<Reply>,
    held: Option<watch::Receiver<u64>>,
}

/// Takes in a password change and answers it, or not, as the faults want.
pub(super) async fn change(
    shared: &Arc<Shared>,
    visit: &mut Visit,
    call: Call,
) -> Result<Reply, Cut> {
    let arrived = Instant::now();
    let mut turn = take_in(shared, visit, &call);
    if let Some(mut held) = turn.held.take() {
        // The sender lives in `shared`, so waiting ends by release alone.
        let _ = held.changed().await;
    }
    let reply = match turn.reply.take() {
        Some(reply) => reply,
        None => act(
            shared,
            &mut shared.lock(),
            &call,
            turn.document.as_ref(),
            &turn.faults,
        ),
    };
    let slow = turn.faults.iter().filter_map(|kind| match kind {
        FaultKind::Slow { millis } => Some(Duration::from_millis(*millis)),
        _ => None,
    });
    let due = arrived + shared.latency + slow.sum::<Duration>();
    tokio::time::sleep_until(due.into()).await;
    query::let_out(visit, &turn.faults, reply).await
}

/// Counts and records the request, chooses the faults and, unless it is to be
/// held before, acts on it. All of it under one lock, so that whoever waited for
/// the request finds its effect.
fn take_in(shared: &Arc<Shared>, visit: &mut Visit, call: &Call) -> Turn {
    let document = call
        .body
        .as_ref()
        .and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let pairs = pairs(document.as_ref());
    let known: Vec<(&str, Endpoint)> = pairs
        .iter()
        .filter_map(|(job, wire)| Some((*job, Endpoint::from_wire(wire)?)))
        .collect();
    let names = pairs
        .iter()
        .map(|(job, wire)| {
            let name = Endpoint::from_wire(wire).map_or("invalid", Endpoint::name);
            ((*job).to_owned(), name.to_owned())
        })
        .collect();

    let mut inner = shared.lock();
    visit.record(&mut inner, &call.head, call.body.clone(), names);
    inner.received += 1;
    let number = inner.received;
    let faults = inner.faults.strike(&Hit {
        number,
        call: None,
        entries: &known,
    });
    let hold = faults.iter().find_map(|kind| match kind {
        FaultKind::Hold { act_first } => Some(*act_first),
        _ => None,
    });
    // Subscribed under the lock: a release by whoever sees this request is not missed.
    let held = hold.map(|_| shared.release.subscribe());
    let reply =
        (hold != Some(false)).then(|| act(shared, &mut inner, call, document.as_ref(), &faults));
    drop(inner);
    shared.put_received.notify_all();
    Turn {
        faults,
        document,
        reply,
        held,
    }
}

/// The pairs of job id and `end_point_type`, as far as they can be read.
fn pairs(document: Option<&Value>) -> Vec<(&str, &str)> {
    let jobs = document
        .and_then(|document| document.get("jobs"))
        .and_then(Value::as_array);
    jobs.into_iter()
        .flatten()
        .map(|entry| {
            let text = |field| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            (text("job_id"), text("end_point_type"))
        })
        .collect()
}

/// Acts on the request as far as the faults let it through, and says how it went.
fn act(
    shared: &Shared,
    inner: &mut Inner,
    call: &Call,
    document: Option<&Value>,
    faults: &[FaultKind],
) -> Reply {
    let unheard = faults
        .iter()
        .any(|kind| matches!(kind, FaultKind::Silent | FaultKind::CloseBefore));
    if unheard {
        // The caller never sees it; the request only has to end up unacted.
        return Reply::error(503, "APIGW.0201", "never sent");
    }
    if let Some(reply) = shape::instead(faults) {
        return reply;
    }
    if let Some(reply) = service::refusal(shared, inner, call) {
        return reply;
    }
    let entries = match read(document) {
        Ok(entries) => entries,
        Err(reply) => return reply,
    };
    let now = Instant::now();
    let jobs = inner.jobs_of(shared, &call.project);
    let lines = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            if let Some(line) = shape::refusal(faults, index, entry) {
                return line;
            }
            let result = jobs.change_password(&entry.job, entry.endpoint, &entry.password, now);
            match result {
                Ok(()) => Line::success(entry),
                Err(denied) => Line::denied(entry, denied),
            }
        })
        .collect();
    shape::answer(faults, &entries, lines)
}

/// The entries of the body, or the refusal of the whole request.
///
/// Mandatory fields are those of OTC api-ref, Changing the Passwords…, Table
/// ModifyPwdEndPoint; the codes are those of its Error Code page. Which of them
/// the service uses where is not documented. Unknown fields are ignored.
fn read(document: Option<&Value>) -> Result<Vec<Entry>, Reply> {
    let Some(document) = document else {
        return Err(Reply::error(400, "DRS.M00200", "Invalid request."));
    };
    let jobs = match document.get("jobs") {
        Some(Value::Array(jobs)) if !jobs.is_empty() => jobs,
        None | Some(Value::Null | Value::Array(_)) => return Err(empty("jobs")),
        Some(_) => return Err(invalid("jobs")),
    };
    let entries = jobs.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::with_capacity(entries.len());
    let doubled = entries
        .iter()
        .any(|entry| !seen.insert((entry.job.as_str(), entry.endpoint.wire())));
    if doubled {
        return Err(Reply::error(
            400,
            "DRS.M00301",
            "The request contains duplicate tasks.",
        ));
    }
    Ok(entries)
}

fn read_entry(entry: &Value) -> Result<Entry, Reply> {
    let text = |field: &'static str| match entry.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Value::Null | Value::String(_)) => Err(empty(field)),
        Some(_) => Err(invalid(field)),
    };
    let job = text("job_id")?;
    let endpoint =
        Endpoint::from_wire(&text("end_point_type")?).ok_or_else(|| invalid("end_point_type"))?;
    let password = text("db_password")?;
    // Clients in the field send null or {} for "no kerberos", so both are nothing.
    let kerberos = entry.get("kerberos").unwrap_or(&Value::Null);
    let in_order = match kerberos {
        Value::Null => true,
        Value::Object(fields) => [
            "krb5_conf_file",
            "key_tab_file",
            "domain_name",
            "user_principal",
        ]
        .iter()
        .filter_map(|field| fields.get(*field))
        .all(|value| value.is_string() || value.is_null()),
        _ => false,
    };
    if !in_order {
        return Err(invalid("kerberos"));
    }
    Ok(Entry {
        job,
        endpoint,
        password,
    })
}

fn empty(field: &str) -> Reply {
    let message = format!("The parameter {field} cannot be empty.");
    Reply::error(400, "DRS.M00201", &message)
}

fn invalid(field: &str) -> Reply {
    let message = format!("The parameter {field} is invalid.");
    Reply::error(400, "DRS.M00202", &message)
}
