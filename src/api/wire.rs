//! The JSON of a change of passwords, and of every answer: an error in any of its spellings.
//!
//! Source: OTC api-ref, "Changing the Passwords of the Sources and Destinations". Only this
//! module knows the short names `so` and `ta`; what an answer means is judged elsewhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::core::fingerprint::Field;
use crate::core::job::Endpoint;
use crate::core::manifest::Assignment;
use crate::core::secret::Secret;

const HEAD: &str = "{\"jobs\":[";
const TAIL: &str = "]}";

const fn endpoint_name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Source => "so",
        Endpoint::Destination => "ta",
    }
}

fn endpoint_named(name: &str) -> Option<Endpoint> {
    Endpoint::ALL
        .into_iter()
        .find(|endpoint| endpoint_name(*endpoint) == name)
}

const fn kerberos_name(field: Field) -> Option<&'static str> {
    match field {
        Field::Password => None,
        Field::Krb5ConfFile => Some("krb5_conf_file"),
        Field::KeyTabFile => Some("key_tab_file"),
        Field::DomainName => Some("domain_name"),
        Field::UserPrincipal => Some("user_principal"),
    }
}

/// Writes the body of a request. The one plain copy of the passwords is in a buffer that is
/// wiped when its last handle is dropped; it has its final size from the start, since growing
/// would leave a copy behind.
pub fn encode(entries: &[&Assignment]) -> Bytes {
    Bytes::from_owner(write_body(entries))
}

fn max_body_bytes(entries: &[&Assignment]) -> usize {
    let entries: usize = entries.iter().map(|entry| entry.max_json_bytes()).sum();
    HEAD.len() + TAIL.len() + entries
}

fn write_body(entries: &[&Assignment]) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(max_body_bytes(entries)));
    body.extend_from_slice(HEAD.as_bytes());
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"job_id\":\"");
        body.extend_from_slice(entry.key.job.as_str().as_bytes());
        body.extend_from_slice(b"\",\"end_point_type\":\"");
        body.extend_from_slice(endpoint_name(entry.key.endpoint).as_bytes());
        body.extend_from_slice(b"\",\"db_password\":");
        write_secret(&mut body, &entry.password);
        write_kerberos(&mut body, &entry.kerberos);
        body.push(b'}');
    }
    body.extend_from_slice(TAIL.as_bytes());
    body
}

/// Writes only the given fields, and no object without one: the service would have to guess
/// what an empty field means.
fn write_kerberos(body: &mut Vec<u8>, given: &[(Field, Secret)]) {
    let mut before = ",\"kerberos\":{";
    for wanted in Field::KERBEROS {
        let value = given.iter().find(|(field, _)| *field == wanted);
        let (Some(name), Some((_, value))) = (kerberos_name(wanted), value) else {
            continue;
        };
        body.extend_from_slice(before.as_bytes());
        body.push(b'"');
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        write_secret(body, value);
        before = ",";
    }
    if before == "," {
        body.push(b'}');
    }
}

pub fn write_secret(body: &mut Vec<u8>, value: &Secret) {
    body.push(b'"');
    for &byte in value.expose().as_bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                body.extend_from_slice(b"\\u00");
                body.push(DIGITS[usize::from(byte >> 4)]);
                body.push(DIGITS[usize::from(byte & 15)]);
                continue;
            }
            _ => {
                body.push(byte);
                continue;
            }
        };
        body.extend_from_slice(&[b'\\', short]);
    }
    body.push(b'"');
}

#[derive(Debug)]
pub enum Decoded {
    Answer(AnswerBody),
    /// JSON of another shape, or with a repeated key.
    Strange,
    NotJson,
}

/// An answer in the service's words, not cleaned yet. Derived, like its rows, so that a repeated
/// field is an error: drspass does not guess which of two statuses counts.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct AnswerBody {
    #[serde(deserialize_with = "read_rows")]
    pub results: Option<Vec<ResultRow>>,
    count: LooseText,
    error_code: LooseText,
    #[serde(rename = "errorCode")]
    gateway_code: LooseText,
    request_id: LooseText,
    /// Code and text of the first error object, this one or a nested one.
    #[serde(skip)]
    error: (Option<String>, Option<String>),
}

impl AnswerBody {
    pub fn count(&self) -> Option<u64> {
        self.count.text()?.trim().parse().ok()
    }

    pub fn code(&self) -> Option<&str> {
        let code = self.error_code.text().or(self.gateway_code.text());
        code.or(self.error.0.as_deref())
    }

    pub fn text(&self) -> Option<&str> {
        self.error.1.as_deref()
    }

    pub fn request_id(&self) -> Option<&str> {
        self.request_id.text()
    }
}

/// One result in the service's words; an unreadable result is empty.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ResultRow {
    id: LooseText,
    end_point_type: LooseText,
    status: LooseText,
    error_code: LooseText,
    #[serde(rename = "errorCode")]
    gateway_code: LooseText,
    code: LooseText,
    error: LooseText,
    error_msg: LooseText,
    error_message: LooseText,
    #[serde(rename = "errorMsg")]
    gateway_text: LooseText,
}

impl ResultRow {
    pub fn job(&self) -> Option<&str> {
        self.id.text()
    }

    pub fn endpoint(&self) -> Option<Endpoint> {
        self.end_point_type.text().and_then(endpoint_named)
    }

    pub fn status(&self) -> Option<&str> {
        self.status.text()
    }

    pub fn code(&self) -> Option<&str> {
        let codes = [
            &self.error_code,
            &self.gateway_code,
            &self.code,
            &self.error,
        ];
        codes.into_iter().find_map(LooseText::text)
    }

    pub fn text(&self) -> Option<&str> {
        let texts = [&self.error_msg, &self.error_message, &self.gateway_text];
        texts.into_iter().find_map(LooseText::text)
    }
}

const TOP_NAMES: &str = "results count error_code errorCode request_id error";
const ROW_NAMES: &str = "error id end_point_type status error_code errorCode code error_msg \
                         error_message errorMsg";

/// The most objects and lists in one answer: a page of a hundred jobs with all their details has a
/// few thousand. Small ones take many times their size in memory.
const MAX_NODES: usize = 100_000;

pub fn is_excessive(body: &[u8]) -> bool {
    let nodes = body.iter().filter(|byte| matches!(byte, b'{' | b'['));
    let items = body.iter().filter(|byte| **byte == b',');
    nodes.count() > MAX_NODES || items.count() > 10 * MAX_NODES
}

pub fn decode(body: &[u8]) -> Decoded {
    if is_excessive(body) {
        return Decoded::Strange;
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Decoded::NotJson;
    };
    // A derived struct would also be read from a list, by position.
    let answer = serde_json::from_slice::<AnswerBody>(body);
    let is_plain = value
        .as_object()
        .is_some_and(|object| has_plain_names(object.keys(), TOP_NAMES));
    match answer {
        // A code anywhere outside the rows contradicts their successes; rows are in a list, which
        // is not searched.
        Ok(answer) if is_plain => Decoded::Answer(AnswerBody {
            error: find_error(&value, 0).unwrap_or_default(),
            ..answer
        }),
        _ => Decoded::Strange,
    }
}

/// Fails for results that are not a list: they are not from this service.
fn read_rows<'de, D: Deserializer<'de>>(results: D) -> Result<Option<Vec<ResultRow>>, D::Error> {
    let Some(results) = Option::<&RawValue>::deserialize(results)? else {
        return Ok(None);
    };
    let rows: Vec<&RawValue> = serde_json::from_str(results.get()).map_err(D::Error::custom)?;
    Ok(Some(rows.into_iter().map(read_row).collect()))
}

fn read_row(raw: &RawValue) -> ResultRow {
    let names: BTreeMap<String, IgnoredAny> = serde_json::from_str(raw.get()).unwrap_or_default();
    let is_plain = has_plain_names(names.keys(), ROW_NAMES);
    let object = Some(raw.get()).filter(|text| text.starts_with('{') && is_plain);
    object
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns whether no name differs from a known one in letter case alone: drspass does not guess
/// which of `status` and `Status` counts.
fn has_plain_names<'a>(mut names: impl Iterator<Item = &'a String>, known: &str) -> bool {
    let is_plain = |name: &str, known| name == known || !name.eq_ignore_ascii_case(known);
    names.all(|name| known.split(' ').all(|known| is_plain(name, known)))
}

/// Returns code and text of the first error object, this one or one nested in a field, in any
/// of the spellings of the service, its gateway and the login service. A bare number is a
/// repeated status and not a code.
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

/// Replaces a list or an object where text is expected.
const NO_TEXT: &str = "not-a-text";

/// Text, or a value readable as text: this service sends numbers as strings and strings as
/// numbers. A list or an object is present but not text: it must not pass for absent, or a
/// success could hide an error.
#[derive(Debug, Default)]
pub struct LooseText(Option<String>);

impl LooseText {
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.trim().is_empty())
    }
}

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Null => None,
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
                Some(value) => value.to_string(),
                None => number.to_string(),
            }),
            Value::String(text) => Some(text),
            Value::Array(_) | Value::Object(_) => Some(NO_TEXT.to_owned()),
        }))
    }
}

#[cfg(test)]
mod tests;
