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

/// The pairs of job id and `end_point_type`, as far as they can be read.
pub fn entries(request: &ServiceRequest) -> Vec<(&str, Option<EndPointType>)> {
    let document = request.document.as_ref();
    let jobs = document.and_then(|document| document["jobs"].as_array());
    let entries = jobs.into_iter().flatten().map(|entry| {
        let text = |field| entry[field].as_str().unwrap_or_default();
        let endpoint = EndPointType::from_wire(text("end_point_type"));
        (text("job_id"), endpoint)
    });
    entries.collect()
}

pub fn change(
    exchange: &mut SimExchange<'_>,
    faults: &[FaultKind],
) -> Result<ServiceReply, ServiceReply> {
    let changes = read(queries::document(exchange)?)?;
    let now = Instant::now();
    let jobs = exchange.jobs();
    let results = changes.iter().enumerate().map(|(index, change)| {
        let refused = faults.iter().find_map(|kind| refusal(kind, index, change));
        if let Some(refused) = refused {
            return refused;
        }
        let changed = jobs.change(&change.job, now, |job| {
            job.change_password(change.endpoint, &change.password)
        });
        match changed.unwrap_or(Err(Denied::NOT_FOUND)) {
            Ok(()) => success(change),
            Err(Denied(code, message)) => failed(change, code, message),
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

fn success(change: &PasswordChange) -> Value {
    let endpoint = change.endpoint.wire();
    json!({"id": change.job, "status": "success", "end_point_type": endpoint})
}

fn failed(change: &PasswordChange, code: &str, message: &str) -> Value {
    let mut result = success(change);
    result["status"] = json!("failed");
    result["error_code"] = json!(code);
    result["error_msg"] = json!(message);
    result
}

/// The failure that a fault gives to one entry in the place of acting on it.
fn refusal(kind: &FaultKind, index: usize, change: &PasswordChange) -> Option<Value> {
    let covers = |which: &Which| which.covers(index, &change.job, Some(change.endpoint));
    let refused = match kind {
        FaultKind::RejectEntry(rejection)
            if rejection.job == change.job && rejection.endpoint == change.endpoint =>
        {
            let mut refused = failed(change, &rejection.code, &rejection.message);
            if rejection.message_key == MessageKey::ErrorMessage {
                refused["error_message"] = refused["error_msg"].take();
                refused.as_object_mut()?.remove("error_msg");
            }
            refused
        }
        FaultKind::EchoPassword { form, which } if covers(which) => {
            let echo = written(&change.password, *form);
            let message = format!("access denied for password {echo} of this endpoint");
            failed(change, "DRS.KE0002", &message)
        }
        FaultKind::ErrorCodeIsPassword(which) if covers(which) => {
            failed(change, &change.password, "failed")
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
    };
    Some(refused)
}

/// The answer about all entries, bent as the faults want it.
fn answer(
    kinds: &[FaultKind],
    changes: &[PasswordChange],
    mut results: Vec<Value>,
) -> ServiceReply {
    let missing = |result: &Value| result["error_code"].as_str().is_some_and(is_missing);
    let mut status = match results.iter().all(missing) {
        true => 400,
        false => 200,
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
                let chosen = numbered.find(|(index, change)| {
                    which.covers(*index, &change.job, Some(change.endpoint))
                });
                request_id = chosen.map(|(_, change)| header_form(&change.password));
            }
            _ => count = bend(kind, &mut results, count),
        }
    }
    let mut reply = ServiceReply::json(status, json!({"count": count, "results": results}));
    reply.request_id = request_id;
    reply
}

/// Changes the results; the count given back is what the answer will claim.
fn bend(kind: &FaultKind, results: &mut Vec<Value>, count: usize) -> usize {
    let mut index = 0;
    let mut covered = |which: &Which, result: &Value| {
        let text = |field| result[field].as_str().unwrap_or_default();
        index += 1;
        let endpoint = EndPointType::from_wire(text("end_point_type"));
        which.covers(index - 1, text("id"), endpoint)
    };
    match kind {
        FaultKind::Shuffled => results.reverse(),
        FaultKind::DropResults(which) => results.retain(|result| !covered(which, result)),
        FaultKind::DoubleResults { conflicting, which } => {
            let doubled = results.iter().filter(|result| covered(which, result));
            let mut doubles: Vec<Value> = doubled.cloned().collect();
            if *conflicting {
                doubles.iter_mut().for_each(contradict);
            }
            results.append(&mut doubles);
            return results.len();
        }
        FaultKind::ForeignResults { id } => {
            for result in results.iter_mut() {
                result["id"] = json!(id);
            }
        }
        FaultKind::AddForeign { id } => {
            if let Some(first) = results.first() {
                let endpoint = &first["end_point_type"];
                let stranger = json!({"id": id, "status": "success", "end_point_type": endpoint});
                results.push(stranger);
            }
            return results.len();
        }
        FaultKind::OddStatus { status, which } => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                result["status"] = json!(status);
            }
        }
        FaultKind::SuccessWithCode(which) => {
            for result in results.iter_mut().filter(|result| covered(which, result)) {
                result["error_code"] = json!("DRS.M01504");
                result["error_msg"] = json!("another operation runs");
            }
        }
        _ => {}
    }
    count
}

/// Makes a success of a failure, and the other way round.
fn contradict(result: &mut Value) {
    let (id, endpoint) = (&result["id"], &result["end_point_type"]);
    *result = match result["status"] == "success" {
        true => json!({
            "id": id,
            "status": "failed",
            "end_point_type": endpoint,
            "error_code": "DRS.M00304",
            "error_msg": "",
        }),
        false => json!({"id": id, "status": "success", "end_point_type": endpoint}),
    };
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
