//! The calls of DRS that change no password: states, details, the list of jobs, retries, and
//! available actions.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::time::Instant;

use serde_json::{Value, json};

use super::ambient::{list_time, millis};
use super::http::{ServiceReply, SimAnswer};
use super::iam;
use super::job::{ACTIONS, Denied, SimJob, allows, is_missing};
use super::shared::{Shared, SimExchange};
use super::spec::EndpointSpec;

/// Results on a page of ids unless the request says otherwise (OTC api-ref, Querying
/// Task Statuses, Table PageReq), and rows on one of the list (Querying the Task List).
const DEFAULT_PER_PAGE: u64 = 5;
const DEFAULT_ROWS: usize = 10;

const MAX_PER_PAGE: u64 = 100;

const USE_TYPES: [&str; 3] = ["migration", "sync", "cloudDataGuard"];

/// The most ids that the filter by name takes (vendor's SDK, QueryJobsReq).
const MAX_IDS: usize = 100;

pub fn document<'a>(exchange: &mut SimExchange<'a>) -> Result<&'a Value, ServiceReply> {
    iam::admit(exchange)?;
    let request = exchange.request;
    if !request.is_json() {
        let message = "The media type of the request is not supported.";
        return Err(ServiceReply::error(415, "DRS.M00200", message));
    }
    let document = request.document.as_ref();
    document.ok_or_else(|| ServiceReply::error(400, "DRS.M00200", "Invalid request."))
}

pub fn unknown(_: &mut SimExchange<'_>) -> SimAnswer {
    let message = "The API does not exist or has not been published in the environment";
    Err(ServiceReply::error(404, "APIGW.0101", message))
}

/// `POST /v3/{project_id}/jobs/batch-status` (OTC api-ref, Querying Task Statuses).
pub fn statuses(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let describe = |id: &str, job: &SimJob| json!({"id": id, "status": job.status});
    of_jobs(exchange, describe, &json!({"status": ""}))
}

/// `POST /v3/{project_id}/jobs/batch-detail` (OTC api-ref, Querying Task Details), as far as
/// drspass needs it. An answer has a password only if a test put it there.
pub fn details(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let shared = exchange.shared;
    let describe = |id: &str, job: &SimJob| details_of(shared, id, job);
    of_jobs(exchange, describe, &json!({}))
}

/// Answers a query about the jobs of a page. A missing job gets `absent` and the error; the whole
/// call fails if all are missing.
fn of_jobs(
    exchange: &mut SimExchange<'_>,
    describe: impl Fn(&str, &SimJob) -> Value,
    absent: &Value,
) -> SimAnswer {
    let document = document(exchange)?;
    let ids = asked_ids(document)?;
    let (from, length) = page(document, ids.len())?;
    let now = Instant::now();
    let jobs = exchange.jobs();
    let results = ids.iter().skip(from).take(length).map(|id| {
        if let Some(job) = jobs.job(id, now) {
            return describe(id, job);
        }
        let Denied(code, message) = Denied::NOT_FOUND;
        let mut result = absent.clone();
        result["id"] = (*id).into();
        result["error_code"] = code.into();
        result["error_message"] = message.into();
        result
    });
    answer(ids.len(), results)
}

/// Returns 400 if every job is missing.
pub fn status_of(results: &[Value]) -> u16 {
    let is_absent = |result: &Value| result["error_code"].as_str().is_some_and(is_missing);
    if results.iter().all(is_absent) {
        400
    } else {
        200
    }
}

fn answer(count: usize, results: impl Iterator<Item = Value>) -> SimAnswer {
    let results: Vec<Value> = results.collect();
    let answer = json!({"count": count, "results": results});
    Ok(ServiceReply::json(status_of(&results), &answer))
}

fn asked_ids(document: &Value) -> Result<Vec<&str>, ServiceReply> {
    let ids = document["jobs"].as_array();
    let ids: Option<Vec<&str>> = ids.and_then(|ids| ids.iter().map(Value::as_str).collect());
    let ids = ids.unwrap_or_default();
    if ids.is_empty() || ids.iter().any(|id| id.is_empty()) {
        return Err(ServiceReply::empty("jobs"));
    }
    refuse_doubles(&ids)?;
    Ok(ids)
}

pub fn refuse_doubles<T: Eq + Hash>(items: &[T]) -> Result<(), ServiceReply> {
    let mut seen = HashSet::with_capacity(items.len());
    match items.iter().all(|item| seen.insert(item)) {
        true => Ok(()),
        false => {
            let message = "The request contains duplicate tasks.";
            Err(ServiceReply::error(400, "DRS.M00301", message))
        }
    }
}

/// Returns the first result of the page and the most on it: `per_page` 0 means all, and then
/// `cur_page` may be 0 or 1; otherwise pages count from 1 to the last one (OTC api-ref, Querying
/// Task Statuses; the bound for 0 is in the vendor's SDK).
fn page(document: &Value, total: usize) -> Result<(usize, usize), ServiceReply> {
    let bad = |code, field: &str| {
        let message = format!("The value of {field} is invalid.");
        Err(ServiceReply::error(400, code, &message))
    };
    let number = |field, default| match &document["page_req"][field] {
        Value::Null => Some(default),
        value => value.as_u64(),
    };
    let Some(per_page) = number("per_page", DEFAULT_PER_PAGE).filter(|n| *n <= MAX_PER_PAGE) else {
        return bad("DRS.M00210", "per_page");
    };
    let Some(cur_page) = number("cur_page", 1) else {
        return bad("DRS.M00210", "cur_page");
    };
    let per_page = usize::try_from(per_page).unwrap_or(usize::MAX);
    let cur_page = usize::try_from(cur_page).unwrap_or(usize::MAX);
    match (per_page, cur_page) {
        (0, 0 | 1) => Ok((0, total)),
        (0, _) => bad("DRS.M00211", "cur_page"),
        (_, 0) => bad("DRS.M00210", "cur_page"),
        _ if cur_page > total.div_ceil(per_page) => bad("DRS.M00211", "cur_page"),
        _ => Ok(((cur_page - 1) * per_page, per_page)),
    }
}

fn details_of(shared: &Shared, id: &str, job: &SimJob) -> Value {
    let facts = &job.facts;
    let region = shared.config.catalog.region.as_str();
    let side = |spec: &Option<EndpointSpec>, name: &str| {
        let spec = spec.clone().unwrap_or_default();
        let usual = facts.engine_type.split('-').next().unwrap_or_default();
        let mut endpoint = json!({
            "db_type": spec.db_type.as_deref().unwrap_or(usual),
            "inst_id": spec.inst_id,
            "inst_name": spec.inst_id.as_ref().map(|_| format!("{name}-instance")),
            "region": spec.inst_id.as_ref().map(|_| region),
            "project_id": spec.inst_id.as_ref().map(|_| &shared.config.project_id),
            "ip": spec.ip,
            "db_port": spec.port,
            "db_user": spec.user,
            "ssl_link": false,
        });
        if let Some(password) = spec.detail_password {
            endpoint["db_password"] = Value::String(password);
        }
        endpoint
    };
    let created = millis(shared.started);
    json!({
        "id": id,
        "parent_id": facts.parent.as_deref().unwrap_or_default(),
        "name": facts.name,
        "status": job.status,
        "description": "",
        "create_time": created,
        "update_time": created,
        "task_type": "FULL_INCR_TRANS",
        "source_endpoint": side(&facts.source, "source"),
        "target_endpoint": side(&facts.destination, "destination"),
        "failed_reason": job.failure(),
        "inst_info": {
            "engine_type": facts.engine_type,
            "inst_type": "high",
            "ip": "192.0.2.10",
            "public_ip": "",
            "start_time": "0",
            "status": "active",
        },
        "job_direction": "up",
        "db_use_type": facts.db_use_type,
        "multi_write": facts.multi_write || facts.dual_active_parent,
        "master_job_id": "",
        "node_num": "0",
        "is_multi_az": false,
    })
}

/// `POST /v3/{project_id}/jobs/batch-retry-task` (OTC api-ref, Resuming or Retrying a
/// Task).
pub fn retry(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let ids = retried_ids(document(exchange)?)?;
    let now = Instant::now();
    let jobs = exchange.jobs();
    let results = ids.iter().map(|id| {
        let resumed = jobs.change(id, now, |job| job.resume(now));
        match resumed.unwrap_or(Err(Denied::NOT_FOUND)) {
            Ok(()) => json!({"id": id, "status": "success"}),
            Err(Denied(code, message)) => {
                json!({"id": id, "status": "failed", "error_code": code, "error_msg": message})
            }
        }
    });
    answer(ids.len(), results)
}

/// Returns the job ids. `is_sync_re_edit` is optional, as in the page's example, though its table
/// calls it mandatory.
fn retried_ids(document: &Value) -> Result<Vec<&str>, ServiceReply> {
    let jobs = document["jobs"].as_array();
    let jobs = jobs.filter(|jobs| !jobs.is_empty());
    let jobs = jobs.ok_or_else(|| ServiceReply::empty("jobs"))?;
    let ids = jobs.iter().map(|job| {
        let id = job["job_id"].as_str().filter(|id| !id.is_empty());
        match (id, &job["is_sync_re_edit"]) {
            (None, _) => Err(ServiceReply::empty("job_id")),
            (Some(id), Value::Null | Value::Bool(_)) => Ok(id),
            _ => Err(ServiceReply::invalid("is_sync_re_edit")),
        }
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    refuse_doubles(&ids)?;
    Ok(ids)
}

/// `POST /v3/{project_id}/jobs` (OTC api-ref, Querying the Task List). A subtask is in its
/// parent's row.
pub fn list(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let document = document(exchange)?;
    let text = |field: &str| match &document[field] {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text.as_str()),
        _ => Err(ServiceReply::invalid(field)),
    };
    let number = |field: &str, usual: usize| match &document[field] {
        Value::Null => Ok(usual),
        value => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| ServiceReply::invalid(field)),
    };
    let use_type = text("db_use_type")?;
    if use_type.is_empty() {
        return Err(ServiceReply::empty("db_use_type"));
    }
    if !USE_TYPES.contains(&use_type) {
        return Err(ServiceReply::invalid("db_use_type"));
    }
    let name = text("name")?;
    if name.split(',').count() > MAX_IDS {
        return Err(ServiceReply::invalid("name"));
    }
    // Left out, it is that of the documented default, which is not "any".
    let engine_type = match document.get("engine_type") {
        None => "mysql",
        Some(_) => text("engine_type")?,
    };
    let per_page = number("per_page", DEFAULT_ROWS)?;
    if per_page as u64 > MAX_PER_PAGE {
        let message = "The value of per_page is invalid.";
        return Err(ServiceReply::error(400, "DRS.M00210", message));
    }
    let page = number("cur_page", 1)?;
    let (net_type, status) = (text("net_type")?, text("status")?);
    let any_or = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let fits = |id: &str, job: &SimJob| {
        job.facts.db_use_type == use_type
            && any_or(engine_type, &job.facts.engine_type)
            && any_or(net_type, &job.facts.net_type)
            && any_or(status, &job.status)
            && (job.facts.name.contains(name) || name.split(',').any(|wanted| wanted == id))
    };
    let shared = exchange.shared;
    let mut children: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut parents = Vec::new();
    for (id, job) in exchange.jobs().jobs(Instant::now()) {
        match &job.facts.parent {
            Some(parent) => children
                .entry(parent)
                .or_default()
                .push(row(shared, id, job)),
            None if fits(id, job) => parents.push((id, job)),
            None => {}
        }
    }
    let total = parents.len();
    // Page 0, like pages of no rows, is all of them.
    let (from, length) = match page.checked_sub(1).filter(|_| per_page > 0) {
        Some(page) => (page.saturating_mul(per_page), per_page),
        None => (0, total),
    };
    let mut rows = Vec::new();
    for (id, job) in parents.into_iter().skip(from).take(length) {
        let mut row = row(shared, id, job);
        row["children"] = json!(children.remove(id.as_str()).unwrap_or_default());
        rows.push(row);
    }
    ServiceReply::ok(&json!({"total_record": total, "jobs": rows}))
}

fn row(shared: &Shared, id: &str, job: &SimJob) -> Value {
    let facts = &job.facts;
    let mut row = json!({
        "id": id,
        "name": facts.name,
        "status": job.status,
        "description": "",
        "create_time": list_time(shared.started),
        "engine_type": facts.engine_type,
        "net_type": facts.net_type,
        "billing_tag": false,
        "job_direction": "up",
        "db_use_type": facts.db_use_type,
        "task_type": "FULL_INCR_TRANS",
        "error_msg": job.failure(),
        "node_newFramework": false,
    });
    if shared.config.job_actions {
        row["job_action"] = actions_of(job);
    }
    row
}

/// `GET /v5/{project_id}/jobs/{job_id}/actions`. No OTC page describes it, so most services lack
/// it (the vendor's SDK has it in JobActionResp and ShowActionsResponse).
pub fn actions(exchange: &mut SimExchange<'_>) -> SimAnswer {
    if !exchange.shared.config.job_actions {
        return unknown(exchange);
    }
    iam::admit(exchange)?;
    let mut parts = exchange.request.head.uri.path().split('/');
    let id = parts.nth(4).unwrap_or_default();
    match exchange.jobs().job(id, Instant::now()) {
        Some(job) => ServiceReply::ok(&json!({"job_action": actions_of(job)})),
        None => {
            let message = "The task does not exist.";
            Err(ServiceReply::error(404, "DRS.10000010", message))
        }
    }
}

/// Returns the actions advertised for a job's present state, which may differ from what the calls
/// do.
fn actions_of(job: &SimJob) -> Value {
    let withheld = &job.facts.unavailable_actions;
    let is_open = |action: &&str| {
        let parent = job.facts.dual_active_parent && *action != "DELETE";
        allows(&job.status, action) && !parent && !withheld.iter().any(|name| name == action)
    };
    let (open, mut shut): (Vec<&str>, Vec<&str>) = ACTIONS.into_iter().partition(is_open);
    let further = withheld.iter().map(String::as_str);
    shut.extend(further.filter(|name| !ACTIONS.contains(name)));
    let current = match job.status.as_str() {
        "STARTJOBING" => "START",
        _ => "",
    };
    json!({"available_actions": open, "unavailable_actions": shut, "current_action": current})
}
