//! Version 1 of the JSON outputs. The schemas stand under `schemas/`.
//!
//! They tell the same facts as the text for people. No value, fingerprint or
//! salt is in them: a field that has a value says `"sensitive": true` instead.

mod inventory;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::fingerprint::Field;
use crate::core::job::EntryKey;
use crate::core::outcome::{NotSent, Outcome, Refusal};
use crate::core::plan::{PlanEntry, Reason};
use crate::core::preflight::Blocked;
use crate::core::problem::{Problem, Severity};
use crate::core::report::{
    ApplyReport, Block, Care, CaredFor, Fate, LedgerEntry, LedgerReport, Note, PlanReport, Saved,
    Signal,
};
use crate::core::state::{FieldPrints, Origin};
use crate::core::status::{JobStatus, ToldStatus};
use crate::view::terminal;

pub use inventory::jobs;

/// The name and version of the format of `plan --json`.
pub const PLAN: &str = "drspass.plan-output/1";
/// The name and version of the format of `apply --json`.
pub const APPLY: &str = "drspass.apply-output/1";
/// The name and version of the format of `validate --json`.
pub const VALIDATE: &str = "drspass.validate-output/1";
/// The name and version of the format of `state show --json`.
pub const STATE: &str = "drspass.state-output/1";

#[derive(Serialize)]
struct PlanDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    has_changes: bool,
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
struct CountsOut {
    to_set: usize,
    to_change: usize,
    to_send_again: usize,
    held: usize,
    in_sync: usize,
    no_longer_listed: usize,
    not_selected: usize,
}

#[derive(Serialize)]
struct PlanLine<'a> {
    address: &'a str,
    job_id: &'a str,
    endpoint: &'static str,
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
    let counts = report.counts;
    to_line(&PlanDocument {
        format: PLAN,
        tool_version: env!("CARGO_PKG_VERSION"),
        has_changes: report.has_changes(),
        counts: CountsOut {
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            in_sync: report.in_sync,
            no_longer_listed: report.unlisted.len(),
            not_selected: report.not_selected,
        },
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
        notes: report.notes.iter().map(note_words).collect(),
    })
}

fn note_words(note: &Note) -> String {
    terminal::note_words(note)
}

fn plan_line<'a>(label: &'a str, entry: &'a PlanEntry, blocked: Option<&Blocked>) -> PlanLine<'a> {
    let (reason, code) = match &entry.reason {
        Reason::NeverSet => ("never_set", None),
        Reason::Changed { .. } => ("changed", None),
        Reason::KeyChanged => ("key_changed", None),
        Reason::InDoubt => ("in_doubt", None),
        Reason::LastRefused { code, .. } => ("last_refused", Some(code)),
        Reason::WrongPassword { code } => ("wrong_password", Some(code)),
        Reason::Resend => ("resend", None),
        Reason::Unchanged => ("unchanged", None),
    };
    PlanLine {
        address: label,
        job_id: entry.key.job.as_str(),
        endpoint: entry.key.endpoint.as_str(),
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

const fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Sent => "sent",
        Origin::Adopted => "adopted",
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Version {
        format: &'static str,
        tool_version: &'static str,
    },
    Plan {
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
    let counts = report.counts;
    [
        to_line(&Message::Version {
            format: APPLY,
            tool_version: env!("CARGO_PKG_VERSION"),
        }),
        to_line(&Message::Plan {
            requests: report.requests,
            to_set: counts.to_set,
            to_change: counts.to_change,
            to_send_again: counts.to_send_again,
            held: counts.held,
            in_sync: report.in_sync,
            no_longer_listed: report.unlisted.len(),
            not_selected: report.not_selected,
            change_id: report.change_id.as_str(),
            plan_id: report.saved.as_ref().map(|saved| saved.id.as_str()),
            notes: report.notes.iter().map(note_words).collect(),
        }),
    ]
    .concat()
}

/// The lines of `apply --json` about every entry, and the result as the last one.
pub fn apply(report: &ApplyReport, exit_code: u8) -> String {
    let mut lines = String::new();
    for (label, fate) in &report.entries {
        lines.push_str(&to_line(&fate_message(label, fate)));
    }
    for job in &report.jobs {
        lines.push_str(&to_line(&job_message(job)));
    }
    for text in &report.findings {
        lines.push_str(&to_line(&Message::Note { text }));
    }
    if let Some(text) = &terminal::not_looked_after(report) {
        lines.push_str(&to_line(&Message::Note { text }));
    }
    let totals = report.totals();
    let (state_saved, why_not_saved, recovery_file) = match &report.saved {
        Saved::InState => (true, None, None),
        Saved::Recovery { path, why } => (false, Some(why.as_str()), Some(path.as_str())),
        Saved::Lost { why } => (false, Some(why.as_str()), None),
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

fn fate_message<'a>(address: &'a str, fate: &'a Fate) -> Message<'a> {
    let plain = |outcome, code, why| Message::Entry {
        address,
        outcome,
        code,
        why,
        request_id: None,
        text: None,
        advice: None,
    };
    match fate {
        Fate::Tried(Outcome::Applied) => plain("applied", None, None),
        Fate::Tried(Outcome::Refused(refusal)) => refusal_message(address, refusal),
        Fate::Tried(Outcome::NotSent(why)) => {
            let code = match why {
                NotSent::LoginRefused(code) => Some(code.as_str()),
                _ => None,
            };
            plain("not_sent", code, Some(terminal::not_sent_words(why)))
        }
        Fate::Tried(Outcome::InDoubt(why)) => {
            plain("in_doubt", Some(why.as_str()), Some(why.to_string()))
        }
        Fate::Blocked(Block::WrongPassword { code }) => plain("blocked", Some(code.as_str()), None),
        Fate::Blocked(Block::Job(why)) => Message::Entry {
            address,
            outcome: "blocked",
            code: Some(why.as_str()),
            why: Some(why.to_string()),
            request_id: None,
            text: None,
            advice: Some(Cow::Owned(why.advice())),
        },
    }
}

fn job_message(job: &CaredFor) -> Message<'_> {
    let (outcome, status, code) = match &job.care {
        Care::Runs(status) => ("runs", Some(status.as_str()), None),
        Care::Failed(status) => ("failed", Some(status.as_str()), None),
        Care::Unseen(status) => ("unseen", status.as_ref().map(ToldStatus::as_str), None),
        Care::Refused(refusal) => ("retry_refused", None, Some(refusal.code.as_str())),
        Care::NotAsked(_) => ("not_asked", None, None),
        Care::LeftPaused => ("left_paused", Some(JobStatus::Pausing.as_str()), None),
    };
    let (_, lines) = terminal::care_lines(&job.care);
    Message::Job {
        job: &job.label,
        outcome,
        status,
        code,
        why: lines.join(". "),
    }
}

fn refusal_message<'a>(address: &'a str, refusal: &'a Refusal) -> Message<'a> {
    Message::Entry {
        address,
        outcome: "refused",
        code: Some(refusal.code.as_str()),
        why: None,
        request_id: refusal.request_id.as_ref().map(|id| id.as_str()),
        text: refusal.text.as_ref().map(|text| text.as_str()),
        advice: refusal.advice.map(Cow::Borrowed),
    }
}

#[derive(Serialize)]
struct ValidateDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    valid: bool,
    problems: Vec<ProblemOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOut>,
}

#[derive(Serialize)]
struct ProblemOut<'a> {
    document: &'a str,
    severity: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    what: &'a str,
    help: &'a str,
}

/// An error that is no problem of a document.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorOut {
    /// Its code.
    pub code: String,
    /// What failed.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// The document of `validate --json`.
pub fn validate(problems: &[(String, Vec<Problem>)], error: Option<ErrorOut>) -> String {
    let problems: Vec<ProblemOut<'_>> = problems
        .iter()
        .flat_map(|(document, problems)| {
            problems.iter().map(|problem| ProblemOut {
                document,
                severity: match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                path: &problem.path,
                line: problem.at.map(|at| at.line),
                column: problem.at.map(|at| at.column),
                what: &problem.what,
                help: &problem.help,
            })
        })
        .collect();
    to_line(&ValidateDocument {
        format: VALIDATE,
        tool_version: env!("CARGO_PKG_VERSION"),
        valid: error.is_none() && problems.iter().all(|problem| problem.severity != "error"),
        problems,
        error,
    })
}

#[derive(Serialize)]
struct StateDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    authenticated: bool,
    serial: u64,
    revision: u64,
    unfinished_apply: bool,
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
        unfinished_apply: report.from_journal,
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

fn to_line<T: Serialize>(value: &T) -> String {
    let mut text =
        serde_json::to_string(value).expect("strings, numbers and lists of them always serialize");
    text.push('\n');
    text
}
