//! What became of an apply.

use std::fmt::Write as _;

use super::{Colour, after_wrong_password, counted, push_notes, width, wrong_password_words};
use crate::core::outcome::{NotSent, Outcome, Refusal, RefusalKind};
use crate::core::report::{
    ApplyReport, BlockReason, Fate, NotAsked, NotRetried, RetryJobsEnd, RetryJobsEntry,
    RetryJobsResult, Signal, StateSaved, Totals,
};
use crate::core::status::StatusKind;

/// Applied entries are listed one by one up to this number, counted beyond it:
/// what went wrong must not scroll away.
const MAX_APPLIED_LINES: usize = 20;

/// An apply: every entry that did not end well, the others by line or number,
/// and the totals, which add up, as the last line.
pub fn apply(report: &ApplyReport, colour: Colour) -> String {
    let mut text = String::new();
    let totals = report.totals();
    let entries = counted(totals.total(), "entry", "entries");
    let requests = counted(report.requests, "request", "requests");
    let _ = writeln!(text, "Apply: {entries}, {requests}.");
    let width = width(report.entries.iter().map(|(label, _)| label));
    let list_applied = totals.applied <= MAX_APPLIED_LINES;
    if !list_applied {
        let mark = colour.paint('=');
        let _ = writeln!(text, "  {mark} {} entries applied", totals.applied);
    }
    for (label, fate) in &report.entries {
        if *fate == Fate::Tried(Outcome::Applied) && !list_applied {
            continue;
        }
        let (mark, lines) = fate_lines(fate);
        let mark = colour.paint(mark);
        let mut lines = lines.iter();
        let words = lines.next().map_or("", String::as_str);
        let _ = writeln!(text, "  {mark} {label:width$}   {words}");
        for more in lines {
            let _ = writeln!(text, "      {more}");
        }
    }
    for job in &report.jobs {
        text.push_str(&retried_job(job, colour));
    }
    push_notes(&mut text, &apply_notes(report));
    let _ = writeln!(text, "Result: {}.", totals_words(totals));
    text
}

/// The numbers of an apply, on one line, which add up.
pub(in crate::view) fn totals_words(totals: Totals) -> String {
    format!(
        "{} applied, {} refused, {} blocked, {} not sent, {} in doubt; {} in all",
        totals.applied,
        totals.refused,
        totals.blocked,
        totals.not_sent,
        totals.in_doubt,
        totals.total()
    )
}

/// Everything that an apply says beside its entries and jobs, without the word that
/// marks it.
pub(in crate::view) fn apply_notes(report: &ApplyReport) -> Vec<String> {
    let mut notes = report.findings.clone();
    notes.extend(not_looked_after(report));
    notes.extend(saved_notes(&report.saved));
    if let Some(signal) = report.interrupted {
        let word = match signal {
            Signal::Interrupt => "interrupted",
            Signal::Terminate => "told to end",
        };
        notes.push(format!(
            "the run was {word} and sent nothing new from then on"
        ));
    }
    if report.totals().in_doubt > 0 {
        notes.push(
            "entries in doubt may be set or not; 'drspass apply' sends them again".to_owned(),
        );
    }
    notes
}

/// What there is to say, line by line, where the state does not hold what happened.
pub(in crate::view) fn saved_notes(saved: &StateSaved) -> Vec<String> {
    match saved {
        StateSaved::InState => Vec::new(),
        StateSaved::Recovery { path, why } => vec![
            format!("the state could not be saved: {why}"),
            format!("what was sent is recorded in '{path}'"),
            format!("run, in this root folder: drspass state recover '{path}'"),
        ],
        StateSaved::Lost { why } => vec![
            format!("neither the state nor a recovery file could be written: {why}"),
            "the entries marked applied ARE set, even where the next plan shows them as unknown"
                .to_owned(),
        ],
    }
}

/// The mark of what became of an entry, and what to say about it, line by line.
pub(in crate::view) fn fate_lines(fate: &Fate) -> (char, Vec<String>) {
    match fate {
        Fate::Tried(Outcome::Applied) => ('=', vec!["applied".to_owned()]),
        Fate::Tried(Outcome::Refused(refusal)) => ('!', refusal_lines(refusal)),
        Fate::Tried(Outcome::NotSent(why)) => {
            ('-', vec![format!("not sent: {}", not_sent_words(why))])
        }
        Fate::Tried(Outcome::InDoubt(why)) => ('?', vec![format!("in doubt: {why}")]),
        Fate::Blocked(BlockReason::WrongPassword { code, credential }) => {
            let words = wrong_password_words(code, credential.as_deref());
            ('!', vec![format!("blocked: {words}")])
        }
        Fate::Blocked(BlockReason::AfterWrongPassword(code)) => (
            '!',
            vec![format!("blocked: {}", after_wrong_password(code))],
        ),
        Fate::Blocked(BlockReason::Job(why)) => {
            ('x', vec![format!("blocked: {why}"), why.advice()])
        }
    }
}

fn refusal_lines(refusal: &Refusal) -> Vec<String> {
    let kind = match refusal.kind {
        RefusalKind::WrongPassword => " (user or password wrong)",
        RefusalKind::JobState => " (wrong job state)",
        RefusalKind::Busy => " (busy until the time was over)",
        RefusalKind::Rejected => "",
    };
    let mut lines = vec![format!("refused: {}{kind}", refusal.code)];
    lines.extend(refusal.doubt_among());
    lines.extend(refusal.request_id.iter().map(|id| format!("request {id}")));
    let text = refusal.text.iter();
    lines.extend(text.map(|words| format!("the service says: {words}")));
    lines.extend(refusal.advice.iter().map(ToString::to_string));
    lines
}

/// What came of a job after its entries were applied.
fn retried_job(job: &RetryJobsEntry, colour: Colour) -> String {
    let (mark, lines) = retry_lines(&job.result);
    let mark = colour.paint(mark);
    let words = lines.join("\n      ");
    format!("  {mark} job {}   {words}\n", job.label)
}

/// What to say where jobs were not looked after as they were to be.
pub(in crate::view) fn not_looked_after(report: &ApplyReport) -> Option<String> {
    match &report.retry_jobs {
        RetryJobsEnd::All => None,
        RetryJobsEnd::Not { why } => Some(format!("jobs were not looked after: {why}")),
    }
}

/// The mark of what came of a job, and what to say about it, line by line.
pub(in crate::view) fn retry_lines(result: &RetryJobsResult) -> (char, Vec<String>) {
    let (mark, words) = match result {
        RetryJobsResult::Runs(status) => ('=', format!("retried, runs again: {status}")),
        RetryJobsResult::Failed(status) => {
            let advice = "Its password may be wrong. Do not retry before that is settled: it can \
                lock the account.";
            let words = format!("retried, failed again: {status}");
            return ('!', vec![words, advice.to_owned()]);
        }
        RetryJobsResult::Unseen(None) => (
            '?',
            "retry asked for; its state could not be read".to_owned(),
        ),
        RetryJobsResult::Unseen(Some(status)) => {
            let words = format!("retry asked for; last seen {status}; look at it later");
            let has_failed = status
                .known()
                .is_some_and(|known| known.kind() == StatusKind::Failed);
            let at_once = "It failed again at once, or has not started yet.";
            let more = has_failed.then(|| at_once.to_owned());
            return ('?', std::iter::once(words).chain(more).collect());
        }
        RetryJobsResult::Refused(refusal) => {
            let words = refusal
                .text
                .as_ref()
                .map_or_else(String::new, |text| format!(", the service says: {text}"));
            ('!', format!("not retried: {}{words}", refusal.code))
        }
        RetryJobsResult::NotAsked(why) => {
            let why = match why {
                NotAsked::NoConnection => "no connection to the service",
                NotAsked::OtherProject => "the login is for another project",
                NotAsked::Stopped => "asking for others failed",
                NotAsked::Interrupted => "the run was interrupted",
            };
            ('!', format!("not retried: nothing was sent ({why})"))
        }
        RetryJobsResult::RetriedBefore(status, at) => {
            let at = at.strftime("%Y-%m-%d %H:%M UTC");
            let words = format!(
                "not retried: {status}; the retry of {at} with the same passwords failed or was \
                 not seen to work"
            );
            let advice = "Correct a password of the job, or name the job with --resend.";
            return ('!', vec![words, advice.to_owned()]);
        }
        RetryJobsResult::LeftAlone(status, why) => {
            let why = match why {
                NotRetried::OutOfSync => "its passwords are not all in sync",
                NotRetried::Adopted => "drspass sent none of its passwords",
                NotRetried::OtherFailure => "a retry does not help in this state",
            };
            ('-', format!("not retried: {status}; {why}"))
        }
        RetryJobsResult::LeftPaused => (
            '-',
            "is paused and stays so; --resume-paused resumes it".to_owned(),
        ),
    };
    (mark, vec![words])
}

/// Why an entry was left as it was.
pub(in crate::view) fn not_sent_words(why: &NotSent) -> String {
    match why {
        NotSent::LoginRefused(code) => {
            format!("the login was refused, or lacks a right: {code}")
        }
        NotSent::NoConnection => "no connection to the service".to_owned(),
        NotSent::Interrupted => "the run was stopped".to_owned(),
        NotSent::Busy => "the service kept asking to come again later".to_owned(),
        NotSent::TooManyLost => "too many answers were lost in a row".to_owned(),
        NotSent::JournalFailed => "the journal could not be written".to_owned(),
        NotSent::OthersBlocked => "other entries are blocked (--stop-if-blocked)".to_owned(),
    }
}
