//! The query of job states: `POST /v3/{project_id}/jobs/batch-status`.
//!
//! Owns the form of its answer. Refuses to change anything but what time itself
//! has changed.

use std::time::Instant;

use serde_json::{Value, json};

use super::page;
use super::query;
use super::reply::Reply;
use super::service::{self, Call};
use super::shared::{Inner, Shared};
use super::state::Denied;

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    if let Some(reply) = service::refusal(shared, inner, call) {
        return reply;
    }
    let document = match query::document(call.body.as_ref()) {
        Ok(document) => document,
        Err(reply) => return reply,
    };
    let page = match page::of(&document) {
        Ok(page) => page,
        Err(reply) => return reply,
    };
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
    Reply::json(status, &json!({"results": results, "count": page.total}))
}
