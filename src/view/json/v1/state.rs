//! The document of `state show --json`.

use jiff::Timestamp;
use serde::Serialize;

use super::{origin_word, to_line};
use crate::core::fingerprint::Field;
use crate::core::job::EntryKey;
use crate::core::report::{LedgerEntry, LedgerReport, PlanNote};
use crate::core::state::FieldPrints;
use crate::view::terminal;

/// The name and version of the format of `state show --json`.
pub const STATE: &str = "drspass.state-output/1";

#[derive(Serialize)]
struct StateDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    authenticated: bool,
    serial: u64,
    revision: u64,
    highest: u64,
    unfinished_apply: bool,
    notes: Vec<String>,
    entries: Vec<StateLine<'a>>,
}

#[derive(Serialize)]
struct StateLine<'a> {
    job_id: &'a str,
    endpoint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<AppliedOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_outcome: Option<LastOut<'a>>,
}

#[derive(Serialize)]
struct AppliedOut<'a> {
    at: Timestamp,
    origin: &'static str,
    plan_id: &'a str,
    fields: Vec<SensitiveField>,
}

#[derive(Serialize)]
struct PendingOut<'a> {
    since: Timestamp,
    distrusted: bool,
    plan_id: &'a str,
    fields: Vec<SensitiveField>,
}

#[derive(Serialize)]
struct LastOut<'a> {
    class: &'static str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    attempts: u32,
    at: Timestamp,
}

#[derive(Serialize)]
struct SensitiveField {
    name: &'static str,
    sensitive: bool,
}

/// The document of `state show --json`.
pub fn state(report: &LedgerReport) -> String {
    to_line(&StateDocument {
        format: STATE,
        tool_version: env!("CARGO_PKG_VERSION"),
        authenticated: true,
        serial: report.serial,
        revision: report.revision,
        highest: report.highest,
        unfinished_apply: report.notes.contains(&PlanNote::Unfinished),
        notes: report.notes.iter().map(terminal::note_words).collect(),
        entries: report.entries.iter().map(state_line).collect(),
    })
}

fn state_line(line: &LedgerEntry) -> StateLine<'_> {
    let EntryKey { job, endpoint } = &line.key;
    StateLine {
        job_id: job.as_str(),
        endpoint: endpoint.as_str(),
        address: line.label.as_deref(),
        applied: line.entry.applied.as_ref().map(|applied| AppliedOut {
            at: applied.at,
            origin: origin_word(applied.origin),
            plan_id: applied.plan_id.as_str(),
            fields: sensitive(&applied.prints),
        }),
        pending: line.entry.pending.as_ref().map(|pending| PendingOut {
            since: pending.since,
            distrusted: pending.distrusted,
            plan_id: pending.plan_id.as_str(),
            fields: sensitive(&pending.wanted),
        }),
        last_outcome: line.entry.last_outcome.as_ref().map(|last| LastOut {
            class: last.class.as_str(),
            code: last.code.as_str(),
            request_id: last.request_id.as_ref().map(|id| id.as_str()),
            attempts: last.attempts,
            at: last.at,
        }),
    }
}

fn sensitive(prints: &FieldPrints) -> Vec<SensitiveField> {
    std::iter::once(Field::Password)
        .chain(prints.kerberos.keys().copied())
        .map(|field| SensitiveField {
            name: field.as_str(),
            sensitive: true,
        })
        .collect()
}
