//! The JSON of an answer to a change of passwords, and what every answer may carry:
//! an error, in any of its spellings.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::endpoint_named;
use super::scalar::Scalar;
use crate::core::job::Endpoint;

/// The body of an answer.
#[derive(Debug)]
pub(in crate::api) enum Decoded {
    /// One of the shapes that are known.
    Answer(Answer),
    /// JSON of another shape, or one that says a thing twice.
    Strange,
    /// No JSON.
    NotJson,
}

/// What an answer says, in the service's words: nothing here is cleaned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Answer {
    /// The results, if it lists any.
    pub(in crate::api) results: Option<Vec<Row>>,
    /// How many there are by its own account.
    pub(in crate::api) count: Option<u64>,
    /// The error code of the whole request.
    pub(in crate::api) code: Option<String>,
    /// The text that goes with it.
    pub(in crate::api) text: Option<String>,
    /// The id of the request.
    pub(in crate::api) request_id: Option<String>,
}

/// One result in the service's words; a result that cannot be read is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Row {
    pub(in crate::api) job: Option<String>,
    pub(in crate::api) endpoint: Option<Endpoint>,
    pub(in crate::api) status: Option<String>,
    pub(in crate::api) code: Option<String>,
    pub(in crate::api) text: Option<String>,
}

/// Derived, so that a field said twice is an error and not the last one said:
/// which of two statuses counts is not ours to guess.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct TopWire<'a> {
    #[serde(borrow)]
    results: Option<&'a RawValue>,
    count: Scalar,
    error_code: Scalar,
    #[serde(rename = "errorCode")]
    gateway_code: Scalar,
    request_id: Scalar,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct RowWire {
    id: Scalar,
    end_point_type: Scalar,
    status: Scalar,
    error_code: Scalar,
    #[serde(rename = "errorCode")]
    gateway_code: Scalar,
    code: Scalar,
    error: Scalar,
    error_msg: Scalar,
    error_message: Scalar,
    #[serde(rename = "errorMsg")]
    gateway_text: Scalar,
}

/// The names that an answer is read by.
const TOP_NAMES: [&str; 6] = [
    "results",
    "count",
    "error_code",
    "errorCode",
    "request_id",
    "error",
];

/// The names that a result is read by.
const ROW_NAMES: [&str; 10] = [
    "error",
    "id",
    "end_point_type",
    "status",
    "error_code",
    "errorCode",
    "code",
    "error_msg",
    "error_message",
    "errorMsg",
];

/// Objects and lists in one answer, at most: a page of a hundred jobs with all their
/// details has a few thousand. What small ones take in memory is many times what they
/// take in the answer.
const MAX_NODES: usize = 100_000;

/// Whether an answer has more objects and lists than any real one.
pub(super) fn is_excessive(body: &[u8]) -> bool {
    let nodes = body.iter().filter(|byte| matches!(byte, b'{' | b'['));
    nodes.count() > MAX_NODES
}

/// Reads a body, however it is dressed, without judging it.
pub(in crate::api) fn decode(body: &[u8]) -> Decoded {
    if is_excessive(body) {
        return Decoded::Strange;
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Decoded::NotJson;
    };
    // A derived struct would also be read from a list, by position.
    let top = serde_json::from_slice::<TopWire<'_>>(body);
    let is_plain = value
        .as_object()
        .is_some_and(|object| has_plain_names(object.keys(), &TOP_NAMES));
    let Some(top) = top.ok().filter(|_| is_plain) else {
        return Decoded::Strange;
    };
    let results: Option<Vec<&RawValue>> = match top.results {
        None => None,
        Some(raw) => match serde_json::from_str(raw.get()) {
            Ok(rows) => Some(rows),
            // Results that are no list are somebody's, but not this service's.
            Err(_) => return Decoded::Strange,
        },
    };
    // A code anywhere beside the rows contradicts their successes; rows stand in a
    // list, which is not searched.
    let (nested_code, text) = find_error(&value, 0).unwrap_or_default();
    Decoded::Answer(Answer {
        results: results.map(|rows| rows.into_iter().map(read_row).collect()),
        count: top
            .count
            .given()
            .and_then(|count| count.trim().parse().ok()),
        code: top
            .error_code
            .given()
            .or(top.gateway_code.given())
            .or(nested_code),
        text,
        request_id: top.request_id.given(),
    })
}

fn read_row(raw: &RawValue) -> Row {
    let names: BTreeMap<String, IgnoredAny> = serde_json::from_str(raw.get()).unwrap_or_default();
    let is_plain = has_plain_names(names.keys(), &ROW_NAMES);
    let object = Some(raw.get()).filter(|text| text.starts_with('{') && is_plain);
    let row: RowWire = object
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Row {
        job: row.id.given(),
        endpoint: row.end_point_type.given().and_then(|n| endpoint_named(&n)),
        status: row.status.given(),
        code: row
            .error_code
            .given()
            .or(row.gateway_code.given())
            .or(row.code.given())
            .or(row.error.given()),
        text: row
            .error_msg
            .given()
            .or(row.error_message.given())
            .or(row.gateway_text.given()),
    }
}

/// Whether no name differs from a known one in letter case alone: which of
/// `status` and `Status` counts is not ours to guess.
fn has_plain_names<'a>(mut names: impl Iterator<Item = &'a String>, known: &[&str]) -> bool {
    names.all(|name| {
        known
            .iter()
            .all(|known| name == known || !name.eq_ignore_ascii_case(known))
    })
}

/// The code and the text of the first error object, this one or nested in one
/// of its fields, in any of the spellings of the service, its gateway and the
/// login service. A bare number is a status repeated and no code.
fn find_error(value: &Value, depth: usize) -> Option<(Option<String>, Option<String>)> {
    const MAX_DEPTH: usize = 4;
    let object = value.as_object().filter(|_| depth <= MAX_DEPTH)?;
    let text_of = |names: &[&str]| {
        names
            .iter()
            .filter_map(|name| object.get(*name)?.as_str())
            .find(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    let code = text_of(&["error_code", "errorCode", "code"])
        .filter(|code| code.bytes().any(|b| !b.is_ascii_digit()));
    let text = text_of(&["error_msg", "error_message", "errorMsg", "message"]);
    if code.is_some() || text.is_some() {
        return Some((code, text));
    }
    object
        .values()
        .find_map(|inner| find_error(inner, depth + 1))
}
