//! Which actions a job allows, in rows of the list and by
//! `GET /v5/{project_id}/jobs/{job_id}/actions`.
//!
//! Owns what is told, which need not be what the calls then do. No OTC page
//! describes it, so services without it are the rule (the vendor's SDK has it in
//! JobActionResp and ShowActionsResponse).

use std::time::Instant;

use serde_json::{Value, json};

use super::job::Job;
use super::reply::Reply;
use super::service::{self, Call};
use super::shared::{Inner, Shared};
use super::state::{self, ACTIONS};

/// Answers the call for one job.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    if !shared.job_actions {
        return service::unknown(shared, inner, call);
    }
    if let Some(reply) = service::refusal(shared, inner, call) {
        return reply;
    }
    let id = call.head.uri.path().split('/').nth(4).unwrap_or_default();
    let jobs = inner.jobs_of(shared, &call.project);
    match jobs.job(id, Instant::now()) {
        Some(job) => Reply::json(200, &json!({"job_action": of(job)})),
        None => Reply::error(404, "DRS.10000010", "The task does not exist."),
    }
}

/// The actions of a job in its present state.
pub(super) fn of(job: &Job) -> Value {
    let is_open = |action: &&str| {
        let withheld = &job.facts.unavailable_actions;
        let parent = job.facts.dual_active_parent && *action != "DELETE";
        state::allows(&job.status, action) && !parent && !withheld.iter().any(|name| name == action)
    };
    let (open, mut shut): (Vec<&str>, Vec<&str>) = ACTIONS.into_iter().partition(is_open);
    let further = job.facts.unavailable_actions.iter().map(String::as_str);
    shut.extend(further.filter(|name| !ACTIONS.contains(name)));
    let current = match job.status.as_str() {
        "STARTJOBING" => "START",
        _ => "",
    };
    json!({"available_actions": open, "unavailable_actions": shut, "current_action": current})
}
