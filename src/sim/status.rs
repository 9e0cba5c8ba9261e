//! The query of job states: `POST /v3/{project_id}/jobs/batch-status`.
//!
//! Owns the form of its answer. Refuses to change anything but what time itself
//! has changed.

use std::time::Instant;

use serde_json::{Value, json};

use super::page;
use super::query;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};
use super::state::Denied;

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    query::with_document(shared, inner, call, |inner, document| {
        let page = page::of(document)?;
        let now = Instant::now();
        let jobs = inner.jobs_of(shared, &call.project);
        let mut missing = 0;
        let results: Vec<Value> = page
            .ids
            .iter()
            .map(|id| match jobs.status(id, now) {
                Some(status) => json!({"id": id, "status": status}),
                None => {
                    missing += 1;
                    let (code, message) = Denied::NotFound.code();
                    json!({"id": id, "status": "", "error_code": code, "error_message": message})
                }
            })
            .collect();
        let status = if missing == results.len() { 400 } else { 200 };
        Ok(Reply::json(
            status,
            &json!({"results": results, "count": page.total}),
        ))
    })
}
