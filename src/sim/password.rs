//! The call that changes passwords, `PUT /v3/{project_id}/jobs/batch-modify-pwd`: strict parsing
//! of its body, and faults in its results.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::ambient::{hex, percent_encoded};
use super::fault::{EchoForm, FaultKind, MessageKey, Which};
use super::http::{ServiceReply, ServiceRequest, SimAnswer};
use super::job::Denied;
use super::queries;
use super::shared::SimExchange;
use super::spec::EndPointType;

/// One entry of the body. It lives no longer than the request.
struct PasswordChange<'a> {
    job: &'a str,
    endpoint: EndPointType,
    password: &'a str,
}

/// One of an answer's `results`, as the service writes it.
fn succeeded(change: &PasswordChange<'_>) -> Value {
    let endpoint = change.endpoint.wire();
    json!({"id": change.job, "status": "success", "end_point_type": endpoint})
}

fn failed(change: &PasswordChange<'_>, code: &str, message: &str) -> Value {
    let mut result = succeeded(change);
    result["status"] = "failed".into();
    result["error_code"] = code.into();
    result["error_msg"] = message.into();
    result
}

fn without(result: &mut Value, start: &str) {
    if let Some(fields) = result.as_object_mut() {
        fields.retain(|field, _| !field.starts_with(start));
    }
}

fn contradiction(result: &Value) -> Value {
    let mut other = result.clone();
    without(&mut other, "error_");
    if result["status"] == "success" {
        other["status"] = "failed".into();
        other["error_code"] = "DRS.M00304".into();
        other["error_msg"] = "".into();
    } else {
        other["status"] = "success".into();
    }
    other
}

/// Returns the readable pairs of job id and `end_point_type`.
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

/// Returns the entries that faults can match.
pub fn known_entries(request: &ServiceRequest) -> Vec<(&str, EndPointType)> {
    pairs(request)
        .filter_map(|(job, wire)| Some((job, EndPointType::from_wire(wire)?)))
        .collect()
}

pub fn change(exchange: &mut SimExchange<'_>) -> SimAnswer {
    let changes = read(queries::document(exchange)?)?;
    let faults = exchange.faults;
    let now = Instant::now();
    let jobs = exchange.jobs();
    let results = changes.iter().enumerate().map(|(index, change)| {
        if let Some(refused) = refusal(faults, index, change) {
            return refused;
        }
        let changed = jobs.change(change.job, now, |job| {
            job.change_password(change.endpoint, change.password)
        });
        match changed.unwrap_or(Err(Denied::NOT_FOUND)) {
            Ok(()) => succeeded(change),
            Err(Denied(code, message)) => failed(change, code, message),
        }
    });
    let results: Vec<Value> = results.collect();
    let applied = results
        .iter()
        .filter(|it| it["status"] == "success")
        .count();
    exchange.changed = Some((applied, results.len() - applied));
    Ok(answer(faults, &changes, results))
}

/// Mandatory fields are those of OTC api-ref, Changing the Passwords…, Table
/// ModifyPwdEndPoint; the codes are those of its Error Code page. Which of them
/// the service uses where is not documented. Unknown fields are ignored.
fn read(document: &Value) -> Result<Vec<PasswordChange<'_>>, ServiceReply> {
    let jobs = match &document["jobs"] {
        Value::Array(jobs) if !jobs.is_empty() => jobs,
        Value::Null | Value::Array(_) => return Err(ServiceReply::empty("jobs")),
        _ => return Err(ServiceReply::invalid("jobs")),
    };
    let changes = jobs.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = changes
        .iter()
        .map(|change| (change.job, change.endpoint.wire()))
        .collect();
    queries::refuse_doubles(&names)?;
    Ok(changes)
}

fn read_entry(entry: &Value) -> Result<PasswordChange<'_>, ServiceReply> {
    let text = |field: &'static str| match &entry[field] {
        Value::String(text) if !text.is_empty() => Ok(text.as_str()),
        Value::Null | Value::String(_) => Err(ServiceReply::empty(field)),
        _ => Err(ServiceReply::invalid(field)),
    };
    let job = text("job_id")?;
    let endpoint = EndPointType::from_wire(text("end_point_type")?)
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

fn refusal(kinds: &[FaultKind], index: usize, change: &PasswordChange<'_>) -> Option<Value> {
    let covers = |which: &Which| which.covers(index, change.job, change.endpoint);
    kinds.iter().find_map(|kind| {
        Some(match kind {
            FaultKind::RejectEntry(rejection)
                if rejection.job == change.job && rejection.endpoint == change.endpoint =>
            {
                let mut result = failed(change, &rejection.code, &rejection.message);
                if rejection.message_key == MessageKey::ErrorMessage {
                    result["error_message"] = result["error_msg"].take();
                    without(&mut result, "error_msg");
                }
                result
            }
            FaultKind::EchoPassword { form, which } if covers(which) => {
                let echo = written(change.password, *form);
                let message = format!("access denied for password {echo} of this endpoint");
                failed(change, "DRS.KE0002", &message)
            }
            FaultKind::ErrorCodeIsPassword(which) if covers(which) => {
                failed(change, change.password, "failed")
            }
            FaultKind::RequestIdIsPassword(which) if covers(which) => {
                failed(change, "DRS.KE0002", "user or password incorrect")
            }
            FaultKind::ResultsIn400 { code } => {
                let code = code.as_deref().unwrap_or("DRS.M00304");
                failed(change, code, "the entry was not changed")
            }
            FaultKind::ResultsIn202 { code } => {
                let code = code.as_deref().unwrap_or("DRS.M01504");
                failed(change, code, "the entry was not changed")
            }
            _ => return None,
        })
    })
}

fn answer(
    kinds: &[FaultKind],
    changes: &[PasswordChange<'_>],
    mut results: Vec<Value>,
) -> ServiceReply {
    let mut status = queries::status_of(&results);
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
                    .find(|(index, change)| which.covers(*index, change.job, change.endpoint));
                request_id = chosen.map(|(_, change)| header_form(change.password));
            }
            _ => count = bend(kind, &mut results, count),
        }
    }
    let mut reply = ServiceReply::json(status, &json!({"count": count, "results": results}));
    reply.request_id = request_id;
    reply
}

/// Applies a fault to the results; returns the count that the answer will claim.
fn bend(kind: &FaultKind, results: &mut Vec<Value>, count: usize) -> usize {
    let mut index = 0;
    let mut covered = |which: &Which, result: &Value| {
        index += 1;
        let text = |field: &str| result[field].as_str().unwrap_or_default();
        EndPointType::from_wire(text("end_point_type"))
            .is_some_and(|endpoint| which.covers(index - 1, text("id"), endpoint))
    };
    match kind {
        FaultKind::Shuffled => results.reverse(),
        FaultKind::DropResults(which) => results.retain(|result| !covered(which, result)),
        FaultKind::DoubleResults { conflicting, which } => {
            let doubled = results.iter().filter(|result| covered(which, result));
            let doubles: Vec<Value> = doubled
                .map(|result| match conflicting {
                    true => contradiction(result),
                    false => result.clone(),
                })
                .collect();
            results.extend(doubles);
            return results.len();
        }
        FaultKind::ForeignResults { id } => {
            for result in results.iter_mut() {
                result["id"] = id.as_str().into();
            }
        }
        FaultKind::AddForeign { id } => {
            if let Some(first) = results.first() {
                let mut stranger = first.clone();
                without(&mut stranger, "error_");
                stranger["status"] = "success".into();
                stranger["id"] = id.as_str().into();
                results.push(stranger);
            }
            return results.len();
        }
        FaultKind::OddStatus { status, which } => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                result["status"] = status.as_str().into();
            }
        }
        FaultKind::SuccessWithCode(which) => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                let key = match result.get("error_message") {
                    Some(_) => "error_message",
                    None => "error_msg",
                };
                result["error_code"] = "DRS.M01504".into();
                result[key] = "another operation runs".into();
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
