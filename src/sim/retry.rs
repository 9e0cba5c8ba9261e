//! Resuming and retrying jobs: `POST /v3/{project_id}/jobs/batch-retry-task`.
//!
//! Owns the reading of its body and the form of its answer (OTC api-ref,
//! Resuming or Retrying a Task). Refuses to know when a job can be retried.

use std::collections::HashSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::query;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};
use super::state::Denied;

/// Answers the call.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    query::with_document(shared, inner, call, |inner, document| {
        let ids = read(document)?;
        let now = Instant::now();
        let jobs = inner.jobs_of(shared, &call.project);
        let mut missing = 0;
        let results: Vec<Value> = ids
            .iter()
            .map(|id| match jobs.resume(id, now) {
                Ok(()) => json!({"id": id, "status": "success"}),
                Err(denied) => {
                    let (code, message) = denied.code();
                    missing += usize::from(Denied::is_missing(code));
                    json!({"id": id, "status": "failed", "error_code": code, "error_msg": message})
                }
            })
            .collect();
        let status = if missing == results.len() { 400 } else { 200 };
        Ok(Reply::json(
            status,
            &json!({"results": results, "count": ids.len()}),
        ))
    })
}

/// The ids of the jobs. `is_sync_re_edit` may be left out, as the example on the
/// page does, though its table calls it mandatory.
fn read(document: &Value) -> Result<Vec<&str>, Reply> {
    let jobs = document.get("jobs").and_then(Value::as_array);
    let jobs = jobs.filter(|jobs| !jobs.is_empty());
    let jobs = jobs.ok_or_else(|| refused("DRS.M00201", "The parameter jobs cannot be empty."))?;
    let mut ids = Vec::with_capacity(jobs.len());
    let mut seen = HashSet::with_capacity(jobs.len());
    for job in jobs {
        let id = job
            .get("job_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if id.is_empty() {
            return Err(refused(
                "DRS.M00201",
                "The parameter job_id cannot be empty.",
            ));
        }
        if !matches!(
            job.get("is_sync_re_edit"),
            None | Some(Value::Null | Value::Bool(_))
        ) {
            return Err(refused(
                "DRS.M00202",
                "The parameter is_sync_re_edit is invalid.",
            ));
        }
        if !seen.insert(id) {
            return Err(refused(
                "DRS.M00301",
                "The request contains duplicate tasks.",
            ));
        }
        ids.push(id);
    }
    Ok(ids)
}

fn refused(code: &str, message: &str) -> Reply {
    Reply::error(400, code, message)
}
