//! The document of `plan --json`.

use jiff::Timestamp;
use serde::Serialize;

use super::counts::CountsOut;
use super::{notes, origin_word, to_line};
use crate::core::plan::{PlanEntry, Reason};
use crate::core::redact::ForeignText;
use crate::core::report::{PlanReport, Rollback};
use crate::core::status::Blocked;

/// The name and version of the format of `plan --json`.
pub const PLAN: &str = "drspass.plan-output/1";

#[derive(Serialize)]
struct PlanDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    project_id: &'a str,
    endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    has_changes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<Rollback>,
    counts: CountsOut,
    requests: usize,
    change_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<SavedOut<'a>>,
    entries: Vec<PlanLine<'a>>,
    unlisted: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct SavedOut<'a> {
    plan_id: &'a str,
    created: Timestamp,
    expires: Timestamp,
}

#[derive(Serialize)]
struct PlanLine<'a> {
    address: &'a str,
    job_id: &'a str,
    endpoint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    action: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    fields: Vec<FieldOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    kerberos_left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<BlockedOut>,
}

#[derive(Serialize)]
struct BlockedOut {
    code: &'static str,
    why: String,
    advice: String,
}

#[derive(Serialize)]
struct FieldOut {
    name: &'static str,
    changed: bool,
    sensitive: bool,
}

/// The document of `plan --json`.
pub fn plan(report: &PlanReport) -> String {
    to_line(&PlanDocument {
        format: PLAN,
        tool_version: env!("CARGO_PKG_VERSION"),
        project_id: &report.scope.project_id,
        endpoint: &report.scope.endpoint,
        environment: report.environment.as_ref().map(ForeignText::as_str),
        has_changes: report.has_changes(),
        rollback: report.rollback,
        counts: CountsOut::of(report),
        requests: report.requests,
        change_id: report.change_id.as_str(),
        saved: report.saved.as_ref().map(|saved| SavedOut {
            plan_id: &saved.id,
            created: saved.created,
            expires: saved.expires,
        }),
        entries: report
            .entries
            .iter()
            .map(|(label, entry)| plan_line(label, entry, report.blocked.get(&entry.key)))
            .collect(),
        unlisted: report.unlisted.iter().map(ToString::to_string).collect(),
        notes: notes(report),
    })
}

fn plan_line<'a>(label: &'a str, entry: &'a PlanEntry, blocked: Option<&Blocked>) -> PlanLine<'a> {
    let (reason, code) = match &entry.reason {
        Reason::NeverSet => ("never_set", None),
        Reason::Changed { .. } => ("changed", None),
        Reason::KeyChanged => ("key_changed", None),
        Reason::InDoubt => ("in_doubt", None),
        Reason::Distrusted { .. } => ("distrusted", None),
        Reason::LastRefused { code, .. } => ("last_refused", Some(code)),
        Reason::WrongPassword { code, .. } => ("wrong_password", Some(code)),
        Reason::Resend { wrong } => ("resend", wrong.as_ref()),
        Reason::Unchanged => ("unchanged", None),
    };
    PlanLine {
        address: label,
        job_id: entry.key.job.as_str(),
        endpoint: entry.key.endpoint.as_str(),
        credential: entry.credential.as_deref(),
        action: entry.action.as_str(),
        reason,
        code: code.map(|code| code.as_str()),
        fields: entry
            .fields
            .iter()
            .map(|(field, is_changed)| FieldOut {
                name: field.as_str(),
                changed: *is_changed,
                sensitive: true,
            })
            .collect(),
        last_set: entry.last_set.map(|(at, _)| at.to_string()),
        origin: entry.last_set.map(|(_, origin)| origin_word(origin)),
        kerberos_left: entry.kerberos_left,
        blocked: blocked.map(|why| BlockedOut {
            code: why.as_str(),
            why: why.to_string(),
            advice: why.advice(),
        }),
    }
}
