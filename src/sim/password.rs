//! The call that changes passwords, `PUT /v3/{project_id}/jobs/batch-modify-pwd`: the
//! strict reading of its body, and what faults make of its results.

use std::collections::HashSet;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::ambient::{hex, percent_encoded};
use super::fault::{EchoForm, FaultKind, MessageKey, Which};
use super::http::{ServiceReply, ServiceRequest};
use super::job::{Denied, is_missing};
use super::queries;
use super::shared::SimExchange;
use super::spec::EndPointType;

/// One entry of the body. It lives no longer than the request.
struct PasswordChange {
    job: String,
    endpoint: EndPointType,
    password: String,
}

/// One of an answer's `results`.
#[derive(Clone)]
struct ChangeResult {
    id: String,
    endpoint: EndPointType,
    status: String,
    code: Option<String>,
    message: String,
    message_key: MessageKey,
}

impl ChangeResult {
    fn success(change: &PasswordChange) -> Self {
        Self {
            id: change.job.clone(),
            endpoint: change.endpoint,
            status: "success".to_owned(),
            code: None,
            message: String::new(),
            message_key: MessageKey::ErrorMsg,
        }
    }

    fn failed(change: &PasswordChange, code: &str, message: &str) -> Self {
        Self {
            status: "failed".to_owned(),
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..Self::success(change)
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
        let endpoint = self.endpoint.wire();
        let mut object = json!({"id": self.id, "status": self.status, "end_point_type": endpoint});
        if let Some(code) = &self.code {
            let key = match self.message_key {
                MessageKey::ErrorMsg => "error_msg",
                MessageKey::ErrorMessage => "error_message",
            };
            object["error_code"] = json!(code);
            object[key] = json!(self.message);
        }
        object
    }
}

/// The pairs of job id and `end_point_type`, as far as they can be read.
fn pairs(request: &ServiceRequest) -> impl Iterator<Item = (&str, &str)> {
    let document = request.document.as_ref();
    let jobs = document.and_then(|document| document["jobs"].as_array());
    jobs.into_iter().flatten().map(|entry| {
        let text = |field| entry[field].as_str().unwrap_or_default();
        (text("job_id"), text("end_point_type"))
    })
}

pub fn names(request: &ServiceRequest) -> Vec<(String, String)> {
    let names = pairs(request).map(|(job, wire)| {
        let name = EndPointType::from_wire(wire).map_or("invalid", EndPointType::name);
        (job.to_owned(), name.to_owned())
    });
    names.collect()
}

/// The entries as faults choose by them.
pub fn known_entries(request: &ServiceRequest) -> Vec<(&str, EndPointType)> {
    pairs(request)
        .filter_map(|(job, wire)| Some((job, EndPointType::from_wire(wire)?)))
        .collect()
}

pub fn change(
    exchange: &mut SimExchange<'_>,
    faults: &[FaultKind],
) -> Result<ServiceReply, ServiceReply> {
    let changes = read(queries::document(exchange)?)?;
    let now = Instant::now();
    let jobs = exchange.jobs();
    let results = changes.iter().enumerate().map(|(index, change)| {
        if let Some(refused) = refusal(faults, index, change) {
            return refused;
        }
        let changed = jobs.change(&change.job, now, |job| {
            job.change_password(change.endpoint, &change.password)
        });
        match changed.unwrap_or(Err(Denied::NOT_FOUND)) {
            Ok(()) => ChangeResult::success(change),
            Err(Denied(code, message)) => ChangeResult::failed(change, code, message),
        }
    });
    let results = results.collect();
    Ok(answer(faults, &changes, results))
}

/// The entries of the body, or the refusal of the whole request.
///
/// Mandatory fields are those of OTC api-ref, Changing the Passwords…, Table
/// ModifyPwdEndPoint; the codes are those of its Error Code page. Which of them
/// the service uses where is not documented. Unknown fields are ignored.
fn read(document: &Value) -> Result<Vec<PasswordChange>, ServiceReply> {
    let jobs = match &document["jobs"] {
        Value::Array(jobs) if !jobs.is_empty() => jobs,
        Value::Null | Value::Array(_) => return Err(ServiceReply::empty("jobs")),
        _ => return Err(ServiceReply::invalid("jobs")),
    };
    let changes = jobs.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::with_capacity(changes.len());
    for change in &changes {
        if !seen.insert((change.job.as_str(), change.endpoint.wire())) {
            return Err(ServiceReply::duplicate());
        }
    }
    Ok(changes)
}

fn read_entry(entry: &Value) -> Result<PasswordChange, ServiceReply> {
    let text = |field: &'static str| match &entry[field] {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Null | Value::String(_) => Err(ServiceReply::empty(field)),
        _ => Err(ServiceReply::invalid(field)),
    };
    let job = text("job_id")?;
    let endpoint = EndPointType::from_wire(&text("end_point_type")?)
        .ok_or_else(|| ServiceReply::invalid("end_point_type"))?;
    let password = text("db_password")?;
    // Clients in the field send null or {} for "no kerberos", so both are nothing.
    let kerberos = &entry["kerberos"];
    let fields = [
        "krb5_conf_file",
        "key_tab_file",
        "domain_name",
        "user_principal",
    ];
    let is_text = |value: &Value| value.is_string() || value.is_null();
    let in_order = kerberos.is_null()
        || kerberos.is_object() && fields.iter().all(|field| is_text(&kerberos[*field]));
    if !in_order {
        return Err(ServiceReply::invalid("kerberos"));
    }
    Ok(PasswordChange {
        job,
        endpoint,
        password,
    })
}

fn refusal(kinds: &[FaultKind], index: usize, change: &PasswordChange) -> Option<ChangeResult> {
    let covers = |which: &Which| which.covers(index, &change.job, change.endpoint);
    kinds.iter().find_map(|kind| match kind {
        FaultKind::RejectEntry(rejection)
            if rejection.job == change.job && rejection.endpoint == change.endpoint =>
        {
            Some(ChangeResult {
                message_key: rejection.message_key,
                ..ChangeResult::failed(change, &rejection.code, &rejection.message)
            })
        }
        FaultKind::EchoPassword { form, which } if covers(which) => {
            let echo = written(&change.password, *form);
            let message = format!("access denied for password {echo} of this endpoint");
            Some(ChangeResult::failed(change, "DRS.KE0002", &message))
        }
        FaultKind::ErrorCodeIsPassword(which) if covers(which) => {
            Some(ChangeResult::failed(change, &change.password, "failed"))
        }
        FaultKind::RequestIdIsPassword(which) if covers(which) => {
            let message = "user or password incorrect";
            Some(ChangeResult::failed(change, "DRS.KE0002", message))
        }
        FaultKind::ResultsIn400 { code } => {
            let code = code.as_deref().unwrap_or("DRS.M00304");
            Some(ChangeResult::failed(
                change,
                code,
                "the entry was not changed",
            ))
        }
        FaultKind::ResultsIn202 { code } => {
            let code = code.as_deref().unwrap_or("DRS.M01504");
            Some(ChangeResult::failed(
                change,
                code,
                "the entry was not changed",
            ))
        }
        _ => None,
    })
}

fn answer(
    kinds: &[FaultKind],
    changes: &[PasswordChange],
    mut results: Vec<ChangeResult>,
) -> ServiceReply {
    let missing = |result: &ChangeResult| result.code.as_deref().is_some_and(is_missing);
    let mut status = if results.iter().all(missing) {
        400
    } else {
        200
    };
    let mut count = results.len();
    let mut request_id = None;
    for kind in kinds {
        match kind {
            FaultKind::ResultsIn400 { .. } => status = 400,
            FaultKind::ResultsIn202 { .. } => status = 202,
            FaultKind::WrongCount => count += 1,
            FaultKind::RequestIdIsPassword(which) => {
                let mut numbered = changes.iter().enumerate();
                let chosen = numbered
                    .find(|(index, change)| which.covers(*index, &change.job, change.endpoint));
                request_id = chosen.map(|(_, change)| header_form(&change.password));
            }
            _ => count = bend(kind, &mut results, count),
        }
    }
    let results: Vec<Value> = results.iter().map(ChangeResult::to_json).collect();
    let mut reply = ServiceReply::json(status, &json!({"count": count, "results": results}));
    reply.request_id = request_id;
    reply
}

/// Changes the results; the count given back is what the answer will claim.
fn bend(kind: &FaultKind, results: &mut Vec<ChangeResult>, count: usize) -> usize {
    let mut index = 0;
    let mut covered = |which: &Which, result: &ChangeResult| {
        index += 1;
        which.covers(index - 1, &result.id, result.endpoint)
    };
    match kind {
        FaultKind::Shuffled => results.reverse(),
        FaultKind::DropResults(which) => results.retain(|result| !covered(which, result)),
        FaultKind::DoubleResults { conflicting, which } => {
            let doubled = results.iter().filter(|result| covered(which, result));
            let doubles: Vec<ChangeResult> = doubled
                .map(|result| match conflicting {
                    true => result.contradiction(),
                    false => result.clone(),
                })
                .collect();
            results.extend(doubles);
            return results.len();
        }
        FaultKind::ForeignResults { id } => {
            for result in results.iter_mut() {
                result.id.clone_from(id);
            }
        }
        FaultKind::AddForeign { id } => {
            if let Some(first) = results.first() {
                let stranger = ChangeResult {
                    id: id.clone(),
                    status: "success".to_owned(),
                    code: None,
                    ..first.clone()
                };
                results.push(stranger);
            }
            return results.len();
        }
        FaultKind::OddStatus { status, which } => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                result.status.clone_from(status);
            }
        }
        FaultKind::SuccessWithCode(which) => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                result.code = Some("DRS.M01504".to_owned());
                "another operation runs".clone_into(&mut result.message);
            }
        }
        _ => {}
    }
    count
}

fn header_form(password: &str) -> Vec<u8> {
    let fits = password
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match fits {
        true => password.to_owned().into_bytes(),
        false => percent_encoded(password.as_bytes()).into_bytes(),
    }
}

fn written(password: &str, form: EchoForm) -> String {
    match form {
        EchoForm::Plain => password.to_owned(),
        EchoForm::Json => {
            let quoted = Value::from(password).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        EchoForm::Percent => percent_encoded(password.as_bytes()),
        EchoForm::Hex => hex(password.as_bytes()),
        EchoForm::Base64 => BASE64.encode(password),
    }
}
