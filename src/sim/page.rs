//! The ids that a query asks for, and the page of them that it gets.
//!
//! Owns the paging rules that two queries share, whose default of five is easily
//! overlooked. Refuses to know what is told about an id.

use std::collections::HashSet;

use serde_json::Value;

use super::reply::Reply;

/// Results on a page unless the request says otherwise (OTC api-ref, Querying
/// Task Statuses, Table PageReq).
const DEFAULT_PER_PAGE: u64 = 5;

/// The most results a page may be asked for (same table).
const MAX_PER_PAGE: u64 = 100;

/// A page of ids.
pub(super) struct Page<'a> {
    /// Those on the page.
    pub(super) ids: Vec<&'a str>,
    /// How many there are on all pages.
    pub(super) total: usize,
}

/// The page that the body of a query asks for.
pub(super) fn of(document: &Value) -> Result<Page<'_>, Reply> {
    let ids = read_ids(document)?;
    let total = ids.len();
    let (from, length) = page(document, total)?;
    let ids = ids.into_iter().skip(from).take(length).collect();
    Ok(Page { ids, total })
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
