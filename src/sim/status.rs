//! The query of job states: `POST /v3/{project_id}/jobs/batch-status`.
//!
//! Owns the paging rules, whose default of five is easily overlooked. Refuses to
//! change anything but what time itself has changed.

use std::collections::HashSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::job::Denied;
use super::reply::Reply;
use super::service::{self, Call};
use super::shared::Shared;

/// Results on a page unless the request says otherwise (OTC api-ref, Querying
/// Task Statuses, Table PageReq).
const DEFAULT_PER_PAGE: u64 = 5;

/// The most results a page may be asked for (same table).
const MAX_PER_PAGE: u64 = 100;

/// Answers the query.
pub(super) fn query(shared: &Shared, call: &Call) -> Reply {
    if let Some(reply) = service::refusal(shared, call) {
        return reply;
    }
    let document = call.body.as_ref();
    let document = document.and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let Some(document) = document else {
        return Reply::error(400, "DRS.M00200", "Invalid request.");
    };
    let page =
        read_ids(&document).and_then(|ids| page(&document, ids.len()).map(|page| (ids, page)));
    let (ids, (from, length)) = match page {
        Ok(read) => read,
        Err(reply) => return reply,
    };
    let now = Instant::now();
    let mut inner = shared.lock();
    let mut missing = 0;
    let results: Vec<Value> = ids
        .iter()
        .skip(from)
        .take(length)
        .map(|id| match inner.store.status(id, now) {
            Some(status) => json!({"id": id, "status": status}),
            None => {
                missing += 1;
                let (code, message) = Denied::NotFound.code();
                json!({"id": id, "status": "", "error_code": code, "error_message": message})
            }
        })
        .collect();
    let status = if missing == results.len() { 400 } else { 200 };
    Reply::json(status, &json!({"results": results, "count": ids.len()}))
}

/// The ids asked for: present, not empty and each only once.
fn read_ids(document: &Value) -> Result<Vec<&str>, Reply> {
    let ids: Option<Vec<&str>> = document
        .get("jobs")
        .and_then(Value::as_array)
        .and_then(|ids| ids.iter().map(Value::as_str).collect());
    let ids = ids.unwrap_or_default();
    if ids.is_empty() || ids.iter().any(|id| id.is_empty()) {
        return Err(Reply::error(
            400,
            "DRS.M00201",
            "The parameter jobs cannot be empty.",
        ));
    }
    let mut seen = HashSet::with_capacity(ids.len());
    if ids.iter().any(|id| !seen.insert(*id)) {
        return Err(Reply::error(
            400,
            "DRS.M00301",
            "The request contains duplicate tasks.",
        ));
    }
    Ok(ids)
}

/// The first result of the page and how many there may be.
///
/// `per_page` 0 means all, and then `cur_page` may be 0 or 1; otherwise pages
/// count from 1 to the last one (OTC api-ref, Querying Task Statuses; the bound
/// for 0 stands in the vendor's SDK).
fn page(document: &Value, total: usize) -> Result<(usize, usize), Reply> {
    let bad = |code, field: &str| {
        let message = format!("The value of {field} is invalid.");
        Err(Reply::error(400, code, &message))
    };
    let request = document.get("page_req").unwrap_or(&Value::Null);
    let number = |field, default| match request.get(field) {
        None | Some(Value::Null) => Some(default),
        Some(value) => value.as_u64(),
    };
    let Some(per_page) = number("per_page", DEFAULT_PER_PAGE).filter(|n| *n <= MAX_PER_PAGE) else {
        return bad("DRS.M00210", "per_page");
    };
    let Some(cur_page) = number("cur_page", 1) else {
        return bad("DRS.M00210", "cur_page");
    };
    let per_page = usize::try_from(per_page).unwrap_or(usize::MAX);
    if per_page == 0 {
        return match cur_page {
            0 | 1 => Ok((0, total)),
            _ => bad("DRS.M00211", "cur_page"),
        };
    }
    let cur_page = usize::try_from(cur_page).unwrap_or(usize::MAX);
    if cur_page == 0 {
        return bad("DRS.M00210", "cur_page");
    }
    if cur_page > total.div_ceil(per_page) {
        return bad("DRS.M00211", "cur_page");
    }
    Ok(((cur_page - 1) * per_page, per_page))
}
