//! The messages of `apply --json`, one a line.

use std::borrow::Cow;

use serde::Serialize;

use super::counts::CountsOut;
use super::validate::ErrorOut;
use super::{notes, to_line};
use crate::core::outcome::{NotSent, Outcome, Refusal};
use crate::core::redact::ForeignText;
use crate::core::report::{
    ApplyReport, BlockReason, Fate, PlanReport, RetryJobsEntry, RetryJobsResult, Rollback, Signal,
    StateSaved,
};
use crate::core::status::{JobStatus, ReportedStatus};
use crate::view::terminal;

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
            requests: report.requests,
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
        Fate::Blocked(BlockReason::WrongPassword { code, credential }) => {
            let why = terminal::wrong_password_words(code, credential.as_deref());
            plain("blocked", Some(code.as_str()), Some(why))
        }
        Fate::Blocked(BlockReason::AfterWrongPassword(code)) => {
            let why = terminal::after_wrong_password(code);
            plain("blocked", Some(code.as_str()), Some(why))
        }
        Fate::Blocked(BlockReason::Job(why)) => Message::Entry {
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

fn job_message(job: &RetryJobsEntry) -> Message<'_> {
    let (outcome, status, code) = match &job.result {
        RetryJobsResult::Runs(status) => ("runs", Some(status.as_str()), None),
        RetryJobsResult::Failed(status) => ("failed", Some(status.as_str()), None),
        RetryJobsResult::Unseen(status) => {
            ("unseen", status.as_ref().map(ReportedStatus::as_str), None)
        }
        RetryJobsResult::Refused(refusal) => ("retry_refused", None, Some(refusal.code.as_str())),
        RetryJobsResult::NotAsked(_) => ("not_asked", None, None),
        RetryJobsResult::RetriedBefore(status, _) => {
            ("retried_before", Some(status.as_str()), None)
        }
        RetryJobsResult::LeftAlone(status, _) => ("left_alone", Some(status.as_str()), None),
        RetryJobsResult::LeftPaused => ("left_paused", Some(JobStatus::Pausing.as_str()), None),
    };
    let (_, lines) = terminal::retry_lines(&job.result);
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
        why: refusal.doubt_among(),
        request_id: refusal.request_id.as_ref().map(|id| id.as_str()),
        text: refusal.text.as_ref().map(|text| text.as_str()),
        advice: refusal.advice.map(Cow::Borrowed),
    }
}
