//! Every call but the password change: logins, queries, retries.
//!
//! Owns the order of recording, faults and acting for these calls. Refuses to
//! know what a call means; it is handed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;

use super::fault::QueryCall;
use super::job::Job;
use super::kind::FaultKind;
use super::page;
use super::record::Answered;
use super::reply::{Cut, Reply};
use super::service::{self, Call};
use super::shape;
use super::shared::{Inner, Shared, Visit};
use super::state::Denied;
use super::strike::Hit;

/// Whose faults a call meets.
#[derive(Clone, Copy)]
pub(super) enum Meets {
    /// Those for logins.
    Login,
    /// Those for queries and retries.
    Query(QueryCall),
    /// None.
    Nothing,
}

/// Counts and records the call, then answers it, or not, as the faults want.
pub(super) async fn run(
    shared: &Arc<Shared>,
    visit: &mut Visit,
    call: &Call,
    meets: Meets,
    answer: fn(&Shared, &mut Inner, &Call) -> Reply,
) -> Result<Reply, Cut> {
    let (faults, reply) = {
        let mut inner = shared.lock();
        visit.record(&mut inner, &call.head, call.body.clone(), Vec::new());
        let faults = inner.strike(meets);
        let unheard = faults
            .iter()
            .any(|kind| matches!(kind, FaultKind::Silent | FaultKind::CloseBefore));
        let reply = match shape::instead(&faults) {
            // The caller never sees it; the call only has to end up unacted.
            _ if unheard => Reply::error(503, "APIGW.0201", "never sent"),
            Some(reply) => reply,
            None => {
                let reply = match call.body {
                    Some(_) => answer(shared, &mut inner, call),
                    None => too_large(),
                };
                faults.iter().fold(reply, shape::dress)
            }
        };
        (faults, reply)
    };
    for kind in &faults {
        if let FaultKind::Slow { millis } = kind {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
        }
    }
    let_out(visit, &faults, reply).await
}

/// Lets a reply out, or keeps it or cuts the connection, as the faults want.
pub(super) async fn let_out(
    visit: &mut Visit,
    faults: &[FaultKind],
    reply: Reply,
) -> Result<Reply, Cut> {
    for kind in faults {
        match kind {
            FaultKind::Silent => std::future::pending().await,
            FaultKind::CloseBefore | FaultKind::CloseAfter => return Err(Cut),
            _ => {}
        }
    }
    visit.answered(match reply.truncated {
        true => Answered::Cut,
        false => Answered::Status(reply.status),
    });
    Ok(reply)
}

/// Answers a call that carries a JSON document, after the checks that all of them
/// share. Either side of what `act` returns is an answer; the second one ended early.
pub(super) fn with_document(
    shared: &Shared,
    inner: &mut Inner,
    call: &Call,
    act: impl FnOnce(&mut Inner, &serde_json::Value) -> Result<Reply, Reply>,
) -> Reply {
    if let Some(refusal) = service::refusal(shared, inner, call) {
        return refusal;
    }
    document(call.body.as_ref())
        .and_then(|document| act(inner, &document))
        .unwrap_or_else(|refusal| refusal)
}

/// Answers a query about the jobs of a page: `told` says what there is to say of one.
/// Of a job that is not there, `absent` and the error are said, and the whole call
/// fails if none is there.
pub(super) fn of_jobs(
    shared: &Shared,
    inner: &mut Inner,
    call: &Call,
    told: impl Fn(&str, &Job) -> serde_json::Value,
    absent: &serde_json::Map<String, serde_json::Value>,
) -> Reply {
    with_document(shared, inner, call, |inner, document| {
        let page = page::of(document)?;
        let now = Instant::now();
        let jobs = inner.jobs_of(shared, &call.project);
        let mut missing = 0;
        let results: Vec<serde_json::Value> = page
            .ids
            .iter()
            .map(|id| match jobs.job(id, now) {
                Some(job) => told(id, job),
                None => {
                    missing += 1;
                    let (code, message) = Denied::NotFound.code();
                    let mut result = absent.clone();
                    result.insert("id".to_owned(), (*id).into());
                    result.insert("error_code".to_owned(), code.into());
                    result.insert("error_message".to_owned(), message.into());
                    result.into()
                }
            })
            .collect();
        let status = if missing == results.len() { 400 } else { 200 };
        let answer = serde_json::json!({"count": page.total, "results": results});
        Ok(Reply::json(status, &answer))
    })
}

/// What the gateway says to a body over its limit.
pub(super) fn too_large() -> Reply {
    Reply::error(413, "APIGW.0201", "The request body is too large.")
}

impl Inner {
    /// Counts a call, and chooses its faults.
    fn strike(&mut self, meets: Meets) -> Vec<FaultKind> {
        match meets {
            Meets::Nothing => Vec::new(),
            Meets::Login => {
                self.login_attempts += 1;
                self.login_faults.strike(&Hit {
                    number: self.login_attempts,
                    call: None,
                    entries: &[],
                })
            }
            Meets::Query(query) => {
                let own = self.queries.entry(query).or_default();
                *own += 1;
                let own = *own;
                self.query_faults.strike(&Hit {
                    number: self.queries.values().sum(),
                    call: Some((query, own)),
                    entries: &[],
                })
            }
        }
    }
}

/// The body of a call as JSON, or the refusal.
fn document(body: Option<&Bytes>) -> Result<serde_json::Value, Reply> {
    body.and_then(|body| serde_json::from_slice(body).ok())
        .ok_or_else(|| Reply::error(400, "DRS.M00200", "Invalid request."))
}
