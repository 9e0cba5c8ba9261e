//! The query of job states: `POST /v3/{project_id}/jobs/batch-status`.
//!
//! Owns the form of its answer. Refuses to change anything but what time itself
//! has changed.

use serde_json::{Map, json};

use super::query;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let absent = Map::from_iter([("status".to_owned(), json!(""))]);
    let told = |id: &str, job: &super::job::Job| json!({"id": id, "status": job.status});
    query::of_jobs(shared, inner, call, told, &absent)
}
