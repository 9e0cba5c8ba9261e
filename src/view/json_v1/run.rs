//! The document of `plan --json`, and the messages of `apply --json`, one a line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use super::{ErrorOut, origin_word, to_line};
use crate::core::plan::PlanEntry;
use crate::core::redact::{ForeignText, Token};
use crate::core::report::{ApplyReport, PlanReport, Signal, StateSaved};
use crate::core::state::Rollback;
use crate::core::status::Blocked;
use crate::view::entry::{JobLine, OutcomeLine, not_retried_words, note_words};

fn notes(report: &PlanReport) -> Vec<String> {
    report.notes.iter().map(note_words).collect()
}

#[derive(Serialize)]
pub struct CountsOut {
    pub to_set: usize,
    pub to_change: usize,
    pub to_send_again: usize,
    pub held: usize,
    pub skipped: usize,
    pub in_sync: usize,
    pub no_longer_listed: usize,
    pub not_selected: usize,
}

impl CountsOut {
    pub fn of(report: &PlanReport) -> Self {
        let counts = report.counts;
        Self {
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            skipped: report.blocked.len(),
            in_sync: report.plan.in_sync,
            no_longer_listed: report.plan.unlisted.len(),
            not_selected: report.plan.not_selected,
        }
    }
}

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
    entries: Vec<PlanEntryOut<'a>>,
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
struct PlanEntryOut<'a> {
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
        requests: report.plan.requests,
        change_id: report.change_id.as_str(),
        saved: report.saved.as_ref().map(|saved| SavedOut {
            plan_id: &saved.id,
            created: saved.created,
            expires: saved.expires,
        }),
        entries: report
            .entries()
            .map(|(label, entry)| plan_line(label, entry, report.blocked.get(&entry.key)))
            .collect(),
        unlisted: report
            .plan
            .unlisted
            .iter()
            .map(ToString::to_string)
            .collect(),
        notes: notes(report),
    })
}

fn plan_line<'a>(
    label: &'a str,
    entry: &'a PlanEntry,
    blocked: Option<&Blocked>,
) -> PlanEntryOut<'a> {
    PlanEntryOut {
        address: label,
        job_id: entry.key.job.as_str(),
        endpoint: entry.key.endpoint.as_str(),
        credential: entry.credential.as_deref(),
        action: entry.action.as_str(),
        reason: entry.reason.as_str(),
        code: entry.reason.code().map(Token::as_str),
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

/// The name and version of the format of `apply --json`.
pub const APPLY: &str = "drspass.apply-output/1";

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Version {
        format: &'static str,
        tool_version: &'static str,
    },
    Plan {
        project_id: &'a str,
        endpoint: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        environment: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rollback: Option<Rollback>,
        requests: usize,
        to_set: usize,
        to_change: usize,
        to_send_again: usize,
        held: usize,
        in_sync: usize,
        no_longer_listed: usize,
        not_selected: usize,
        change_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        plan_id: Option<&'a str>,
        notes: Vec<String>,
    },
    Entry {
        address: &'a str,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        advice: Option<Cow<'static, str>>,
    },
    Job {
        job: &'a str,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        why: String,
    },
    Note {
        text: &'a str,
    },
    Error {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        help: Option<&'a str>,
        exit_code: u8,
    },
    Result {
        applied: usize,
        refused: usize,
        blocked: usize,
        not_sent: usize,
        in_doubt: usize,
        total: usize,
        requests: usize,
        state_saved: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why_not_saved: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovery_file: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped_by: Option<&'static str>,
        exit_code: u8,
    },
}

/// The first lines of `apply --json`: the version, then what is about to be sent.
pub fn apply_head(report: &PlanReport) -> String {
    let counts = CountsOut::of(report);
    [
        to_line(&Message::Version {
            format: APPLY,
            tool_version: env!("CARGO_PKG_VERSION"),
        }),
        to_line(&Message::Plan {
            project_id: &report.scope.project_id,
            endpoint: &report.scope.endpoint,
            environment: report.environment.as_ref().map(ForeignText::as_str),
            rollback: report.rollback,
            requests: report.plan.requests,
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            in_sync: counts.in_sync,
            no_longer_listed: counts.no_longer_listed,
            not_selected: counts.not_selected,
            change_id: report.change_id.as_str(),
            plan_id: report.saved.as_ref().map(|saved| saved.id.as_str()),
            notes: notes(report),
        }),
    ]
    .concat()
}

/// The lines of `apply --json` about every entry, and the result as the last one.
pub fn apply(report: &ApplyReport, exit_code: u8) -> String {
    let mut lines = String::new();
    for (label, outcome) in &report.entries {
        let line = OutcomeLine::of(outcome);
        let refusal = line.refusal;
        lines.push_str(&to_line(&Message::Entry {
            address: label,
            outcome: line.outcome,
            code: line.code,
            why: line.why,
            request_id: refusal
                .and_then(|refusal| refusal.request_id.as_ref())
                .map(|id| id.as_str()),
            text: refusal
                .and_then(|refusal| refusal.text.as_ref())
                .map(ForeignText::as_str),
            advice: line.advice,
        }));
    }
    for job in &report.jobs {
        let line = JobLine::of(&job.result);
        lines.push_str(&to_line(&Message::Job {
            job: &job.label,
            outcome: line.outcome,
            status: line.status,
            code: line.code,
            why: line.lines.join(". "),
        }));
    }
    for text in &report.findings {
        lines.push_str(&to_line(&Message::Note { text }));
    }
    if let Some(text) = &not_retried_words(report) {
        lines.push_str(&to_line(&Message::Note { text }));
    }
    let totals = report.totals();
    let (state_saved, why_not_saved, recovery_file) = match &report.saved {
        StateSaved::InState => (true, None, None),
        StateSaved::Recovery { path, why } => (false, Some(why.as_str()), Some(path.as_str())),
        StateSaved::Lost { why } => (false, Some(why.as_str()), None),
    };
    lines.push_str(&to_line(&Message::Result {
        applied: totals.applied,
        refused: totals.refused,
        blocked: totals.blocked,
        not_sent: totals.not_sent,
        in_doubt: totals.in_doubt,
        total: totals.total(),
        requests: report.requests,
        state_saved,
        why_not_saved,
        recovery_file,
        stopped_by: report.interrupted.map(|signal| match signal {
            Signal::Interrupt => "interrupt",
            Signal::Terminate => "terminate",
        }),
        exit_code,
    }));
    lines
}

/// The last line of an apply that stopped before it sent anything.
pub fn apply_error(error: &ErrorOut, exit_code: u8) -> String {
    to_line(&Message::Error {
        code: &error.code,
        message: &error.message,
        help: error.help.as_deref(),
        exit_code,
    })
}
