//! What faults make of an answer.
//!
//! Owns the answers that take the place of the service's own, the failures of
//! single entries, and the bending of an honest answer. Refuses to touch jobs:
//! whether a request is acted on is decided before an answer is bent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::job::Endpoint;
use super::kind::{EchoForm, FaultKind, MessageKey, Which};
use super::reply::Reply;
use super::state::Denied;
use super::tokens::hex;

/// One entry of a password change.
pub(super) struct Entry {
    pub(super) job: String,
    pub(super) endpoint: Endpoint,
    pub(super) password: String,
}

/// One line of an answer's `results`.
#[derive(Clone)]
pub(super) struct Line {
    id: String,
    endpoint: Endpoint,
    status: String,
    code: Option<String>,
    message: String,
    message_key: MessageKey,
}

impl Line {
    pub(super) fn success(entry: &Entry) -> Self {
        Self {
            id: entry.job.clone(),
            endpoint: entry.endpoint,
            status: "success".to_owned(),
            code: None,
            message: String::new(),
            message_key: MessageKey::ErrorMsg,
        }
    }

    pub(super) fn denied(entry: &Entry, denied: Denied) -> Self {
        let (code, message) = denied.code();
        Self::failed(entry, code, message)
    }

    fn failed(entry: &Entry, code: &str, message: &str) -> Self {
        Self {
            status: "failed".to_owned(),
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..Self::success(entry)
        }
    }

    fn contradiction(&self) -> Self {
        let (status, code) = if self.status == "success" {
            ("failed", Some("DRS.M00304".to_owned()))
        } else {
            ("success", None)
        };
        Self {
            status: status.to_owned(),
            code,
            message: String::new(),
            ..self.clone()
        }
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".to_owned(), json!(self.id));
        object.insert("status".to_owned(), json!(self.status));
        object.insert("end_point_type".to_owned(), json!(self.endpoint.wire()));
        if let Some(code) = &self.code {
            let key = match self.message_key {
                MessageKey::ErrorMsg => "error_msg",
                MessageKey::ErrorMessage => "error_message",
            };
            object.insert("error_code".to_owned(), json!(code));
            object.insert(key.to_owned(), json!(self.message));
        }
        Value::Object(object)
    }
}

/// The answer that takes the place of acting on the request, if a fault says so.
pub(super) fn instead(kinds: &[FaultKind]) -> Option<Reply> {
    kinds.iter().find_map(|kind| match kind {
        FaultKind::Status(answer) => {
            let mut reply = match &answer.body {
                Some(body) => Reply::text(answer.http, "application/json", body.clone()),
                None => Reply::error(answer.http, &answer.code, &answer.message),
            };
            if let Some(content_type) = &answer.content_type {
                reply.content_type.clone_from(content_type);
            }
            for (name, value) in &answer.headers {
                reply = reply.header(name, value);
            }
            Some(reply)
        }
        FaultKind::TooMany { code, .. } => Some(Reply::error(400, code, "too many entries")),
        FaultKind::PoisonEntry { code, message, .. } => Some(Reply::error(400, code, message)),
        FaultKind::Throttled { retry_after } => {
            let reply = Reply::error(
                429,
                "APIGW.0308",
                "The throttling threshold has been reached: policy ip over ratelimit,limit:5,time:1 minute",
            );
            Some(match retry_after {
                Some(seconds) => reply.header("Retry-After", seconds.to_string()),
                None => reply,
            })
        }
        FaultKind::Busy => Some(Reply::error(
            202,
            "DRS.M01504",
            "Another operation is being performed on the task or the task is abnormal.",
        )),
        FaultKind::TokenExpired { http, code } => {
            let (usual, message) = match http {
                403 => ("DRS.M00100", "Invalid token."),
                _ => (
                    "APIGW.0301",
                    "Incorrect IAM authentication information: token expires",
                ),
            };
            Some(Reply::error(
                *http,
                code.as_deref().unwrap_or(usual),
                message,
            ))
        }
        FaultKind::Html {
            http,
            act_first: false,
        } => Some(html(*http)),
        _ => None,
    })
}

/// The failure that a fault gives to one entry in the place of acting on it.
pub(super) fn refusal(kinds: &[FaultKind], index: usize, entry: &Entry) -> Option<Line> {
    let covers = |which: &Which| which.covers(index, &entry.job, entry.endpoint);
    kinds.iter().find_map(|kind| match kind {
        FaultKind::RejectEntry(rejection)
            if rejection.job == entry.job && rejection.endpoint == entry.endpoint =>
        {
            Some(Line {
                message_key: rejection.message_key,
                ..Line::failed(entry, &rejection.code, &rejection.message)
            })
        }
        FaultKind::EchoPassword { form, which } if covers(which) => {
            let echo = written(&entry.password, *form);
            let message = format!("access denied for password {echo} of this endpoint");
            Some(Line::failed(entry, "DRS.KE0002", &message))
        }
        FaultKind::ErrorCodeIsPassword(which) if covers(which) => {
            Some(Line::failed(entry, &entry.password, "failed"))
        }
        FaultKind::RequestIdIsPassword(which) if covers(which) => Some(Line::failed(
            entry,
            "DRS.KE0002",
            "user or password incorrect",
        )),
        FaultKind::ResultsIn400 { code } => {
            let code = code.as_deref().unwrap_or("DRS.M00304");
            Some(Line::failed(entry, code, "the entry was not changed"))
        }
        FaultKind::ResultsIn202 { code } => {
            let code = code.as_deref().unwrap_or("DRS.M01504");
            Some(Line::failed(entry, code, "the entry was not changed"))
        }
        _ => None,
    })
}

/// The answer about all entries, bent as the faults want it.
pub(super) fn answer(kinds: &[FaultKind], entries: &[Entry], lines: Vec<Line>) -> Reply {
    let missing = |line: &Line| line.code.as_deref().is_some_and(Denied::is_missing);
    let mut status = if lines.iter().all(missing) { 400 } else { 200 };
    let mut count = lines.len();
    let mut lines = lines;
    let mut request_id = None;
    for kind in kinds {
        match kind {
            FaultKind::ResultsIn400 { .. } => status = 400,
            FaultKind::ResultsIn202 { .. } => status = 202,
            FaultKind::WrongCount => count += 1,
            FaultKind::RequestIdIsPassword(which) => {
                request_id = chosen(which, entries).map(|entry| header_form(&entry.password));
            }
            _ => count = bend(kind, &mut lines, count),
        }
    }
    let results: Vec<Value> = lines.iter().map(Line::to_json).collect();
    let mut reply = Reply::json(status, &json!({"count": count, "results": results}));
    reply.request_id = request_id;
    kinds.iter().fold(reply, dress)
}

/// Changes the lines; the count given back is what the answer will claim.
fn bend(kind: &FaultKind, lines: &mut Vec<Line>, count: usize) -> usize {
    let mut index = 0;
    let mut covered = |which: &Which, line: &Line| {
        index += 1;
        which.covers(index - 1, &line.id, line.endpoint)
    };
    match kind {
        FaultKind::Shuffled => lines.reverse(),
        FaultKind::DropResults(which) => lines.retain(|line| !covered(which, line)),
        FaultKind::DoubleResults { conflicting, which } => {
            let doubled = lines.iter().filter(|line| covered(which, line));
            let doubles: Vec<Line> = doubled
                .map(|line| match conflicting {
                    true => line.contradiction(),
                    false => line.clone(),
                })
                .collect();
            lines.extend(doubles);
            return lines.len();
        }
        FaultKind::ForeignResults { id } => {
            for line in lines.iter_mut() {
                line.id.clone_from(id);
            }
        }
        FaultKind::AddForeign { id } => {
            if let Some(first) = lines.first() {
                let stranger = Line {
                    id: id.clone(),
                    status: "success".to_owned(),
                    code: None,
                    ..first.clone()
                };
                lines.push(stranger);
            }
            return lines.len();
        }
        FaultKind::OddStatus { status, which } => {
            for line in lines.iter_mut().filter(|line| covered(which, line)) {
                line.status.clone_from(status);
            }
        }
        FaultKind::SuccessWithCode(which) => {
            for line in lines.iter_mut().filter(|line| covered(which, line)) {
                line.code = Some("DRS.M01504".to_owned());
                "another operation runs".clone_into(&mut line.message);
            }
        }
        _ => {}
    }
    count
}

/// Changes the bytes of an answer.
pub(super) fn dress(mut reply: Reply, kind: &FaultKind) -> Reply {
    match kind {
        FaultKind::Gzip => return reply.gzipped(),
        FaultKind::Huge { bytes } => {
            // Blanks before the closing brace keep the JSON whole.
            if let Some(brace) = reply.body.pop() {
                let length = reply.body.len().max(bytes.saturating_sub(1));
                reply.body.resize(length, b' ');
                reply.body.push(brace);
            }
        }
        FaultKind::NotJson => reply.body = b"OK, passwords {changed".to_vec(),
        FaultKind::Html {
            http,
            act_first: true,
        } => return html(*http),
        FaultKind::Truncated => reply.truncated = true,
        _ => {}
    }
    reply
}

/// The page of a gateway, of the size such pages have.
fn html(status: u16) -> Reply {
    let filler = "<div class=\"cf-row\">The origin did not answer in time.</div>\n".repeat(600);
    let body = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body>\n{filler}</body></html>\n"
    );
    Reply::text(status, "text/html; charset=UTF-8", body)
}

fn chosen<'a>(which: &Which, entries: &'a [Entry]) -> Option<&'a Entry> {
    let mut numbered = entries.iter().enumerate();
    numbered
        .find(|(index, entry)| which.covers(*index, &entry.job, entry.endpoint))
        .map(|(_, entry)| entry)
}

fn header_form(password: &str) -> Vec<u8> {
    let fits = password
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let form = if fits {
        EchoForm::Plain
    } else {
        EchoForm::Percent
    };
    written(password, form).into_bytes()
}

fn written(password: &str, form: EchoForm) -> String {
    match form {
        EchoForm::Plain => password.to_owned(),
        EchoForm::Json => {
            let quoted = Value::from(password).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        EchoForm::Percent => password
            .bytes()
            .map(|byte| match byte {
                b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect(),
        EchoForm::Hex => hex(password.as_bytes()),
        EchoForm::Base64 => BASE64.encode(password),
    }
}
