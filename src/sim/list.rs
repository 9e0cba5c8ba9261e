//! The list of jobs: `POST /v3/{project_id}/jobs`.
//!
//! Owns its filters and its pages, which are not those of the other queries, and
//! its rows (OTC api-ref, Querying the Task List). Refuses to give a subtask a
//! row of its own: it stands in that of its parent.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::action;
use super::clock::list_time;
use super::job::Job;
use super::query;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};

/// Rows on a page unless the request says otherwise, and at most (the same page).
const DEFAULT_PER_PAGE: usize = 10;
const MAX_PER_PAGE: usize = 100;

/// The kinds of jobs, one of which has to be named.
const USE_TYPES: [&str; 3] = ["migration", "sync", "cloudDataGuard"];

/// The most ids that the filter by name takes (vendor's SDK, QueryJobsReq).
const MAX_IDS: usize = 100;

/// What the request asks for.
struct Wanted<'a> {
    use_type: &'a str,
    engine_type: &'a str,
    name: &'a str,
    net_type: &'a str,
    status: &'a str,
    /// Counted from 0; `None` is all pages.
    page: Option<usize>,
    per_page: usize,
}

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    query::with_document(shared, inner, call, |inner, document| {
        let wanted = read(document)?;
        let now = Instant::now();
        let mut children: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut parents = Vec::new();
        for (id, job) in inner.jobs_of(shared, &call.project).jobs(now) {
            match &job.facts.parent {
                Some(parent) => children
                    .entry(parent)
                    .or_default()
                    .push(row(shared, id, job)),
                None => parents.push((id, job)),
            }
        }
        parents.retain(|(id, job)| wanted.fits(id, job));
        let total = parents.len();
        let (from, length) = match wanted.page {
            Some(page) => (page.saturating_mul(wanted.per_page), wanted.per_page),
            None => (0, total),
        };
        let rows: Vec<Value> = parents
            .into_iter()
            .skip(from)
            .take(length)
            .map(|(id, job)| {
                let mut row = row(shared, id, job);
                row["children"] = json!(children.remove(id.as_str()).unwrap_or_default());
                row
            })
            .collect();
        Ok(Reply::json(
            200,
            &json!({"total_record": total, "jobs": rows}),
        ))
    })
}

fn row(shared: &Shared, id: &str, job: &Job) -> Value {
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
    if shared.job_actions {
        row["job_action"] = action::of(job);
    }
    row
}

impl Wanted<'_> {
    fn fits(&self, id: &str, job: &Job) -> bool {
        let any_or = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let facts = &job.facts;
        facts.db_use_type == self.use_type
            && any_or(self.engine_type, &facts.engine_type)
            && any_or(self.net_type, &facts.net_type)
            && any_or(self.status, &job.status)
            && (facts.name.contains(self.name) || self.name.split(',').any(|wanted| wanted == id))
    }
}

fn read(document: &Value) -> Result<Wanted<'_>, Reply> {
    let use_type = text(document, "db_use_type")?;
    if use_type.is_empty() {
        return Err(Reply::error(
            400,
            "DRS.M00201",
            "The parameter db_use_type cannot be empty.",
        ));
    }
    if !USE_TYPES.contains(&use_type) {
        return Err(invalid("db_use_type"));
    }
    let name = text(document, "name")?;
    if name.split(',').count() > MAX_IDS {
        return Err(invalid("name"));
    }
    // Left out, it is that of the documented default, which is not "any".
    let engine_type = match document.get("engine_type") {
        None => "mysql",
        Some(_) => text(document, "engine_type")?,
    };
    let per_page = number(document, "per_page", DEFAULT_PER_PAGE)?;
    if per_page > MAX_PER_PAGE {
        return Err(Reply::error(
            400,
            "DRS.M00210",
            "The value of per_page is invalid.",
        ));
    }
    let page = number(document, "cur_page", 1)?;
    Ok(Wanted {
        use_type,
        engine_type,
        name,
        net_type: text(document, "net_type")?,
        status: text(document, "status")?,
        page: page.checked_sub(1).filter(|_| per_page > 0),
        per_page,
    })
}

fn text<'a>(document: &'a Value, field: &str) -> Result<&'a str, Reply> {
    match document.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(field)),
    }
}

fn number(document: &Value, field: &str, usual: usize) -> Result<usize, Reply> {
    match document.get(field) {
        None | Some(Value::Null) => Ok(usual),
        Some(value) => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| invalid(field)),
    }
}

fn invalid(field: &str) -> Reply {
    let message = format!("The parameter {field} is invalid.");
    Reply::error(400, "DRS.M00202", &message)
}
