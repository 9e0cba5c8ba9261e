//! The wording for entries, jobs, plans and applies in text, Markdown and pipelines, and their
//! names in JSON.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::core::fingerprint::{Field, Scope};
use crate::core::job::some_of;
use crate::core::outcome::{BlockReason, NotSent, Outcome, Refusal, RefusalKind};
use crate::core::plan::{PlanEntry, Reason};
use crate::core::redact::{ForeignText, Token};
use crate::core::report::{
    ApplyReport, PlanReport, RecoveryUse, RetryJobsEntry, RetryJobsResult, StateSaved, Totals,
};
use crate::core::state::{Rollback, ValueOrigin, minute};
use crate::core::status::{JobStatus, ReportedStatus, StatusKind};

/// The most entries no longer listed that are named.
const MAX_UNLISTED_LINES: usize = 10;

/// What to show first if there is no space for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It went wrong, or may have.
    Wrong,
    LeftOut,
    Well,
}

pub struct PlanLine {
    pub mark: char,
    pub rank: Rank,
    pub words: String,
    /// What follows the words where advice is not said apart.
    pub resend: &'static str,
}

const SENDS_IT: &str = "; --resend sends it";

impl PlanLine {
    pub fn of(entry: &PlanEntry) -> Self {
        let (mark, rank, words): (_, _, Cow<'_, str>) = match &entry.reason {
            Reason::NeverSet => ('+', Rank::Well, "never set".into()),
            Reason::KeyChanged => ('+', Rank::Well, "never set with this key".into()),
            Reason::Changed { fields } => {
                let words = match (&fields[..], &entry.credential) {
                    ([Field::Password], Some(_)) => "changed".into(),
                    _ => format!("{} changed", field_list(fields)).into(),
                };
                ('~', Rank::Well, words)
            }
            Reason::Distrusted { at } => ('?', Rank::Well, distrusted_words(*at).into()),
            Reason::InDoubt => (
                '?',
                Rank::Wrong,
                "outcome of the last attempt unknown".into(),
            ),
            Reason::LastRefused { code, .. } => {
                let words = format!("last attempt refused: {code}");
                ('!', Rank::Wrong, words.into())
            }
            Reason::WrongPassword { code, credential } => {
                let words = wrong_password_words(code, credential.as_deref());
                ('!', Rank::LeftOut, format!("skipped: {words}").into())
            }
            Reason::Resend { wrong: None } => ('~', Rank::Well, "to be sent again as asked".into()),
            Reason::Resend { wrong: Some(code) } => {
                let words = "to be sent again as asked, by itself";
                (
                    '~',
                    Rank::Well,
                    format!("{words}: {code} (wrong password)").into(),
                )
            }
            Reason::Unchanged => ('=', Rank::Well, "in sync".into()),
        };
        let is_wrong = matches!(entry.reason, Reason::WrongPassword { .. });
        Self {
            mark,
            rank,
            words: words.into_owned() + &via(entry) + &since(entry),
            resend: if is_wrong { SENDS_IT } else { "" },
        }
    }
}

fn via(entry: &PlanEntry) -> String {
    let comma = match &entry.reason {
        Reason::Unchanged => return String::new(),
        // It is named already.
        Reason::WrongPassword {
            credential: Some(_),
            ..
        } => return String::new(),
        Reason::Changed { fields } if !fields.contains(&Field::Password) => return String::new(),
        Reason::Changed { .. } => "",
        _ => ",",
    };
    let credential = entry.credential.as_ref();
    credential.map_or_else(String::new, |name| format!("{comma} via @{name}"))
}

fn since(entry: &PlanEntry) -> String {
    let is_said = matches!(
        entry.reason,
        Reason::Changed { .. } | Reason::Resend { wrong: None } | Reason::Unchanged
    );
    let Some((at, origin)) = entry.last_set.filter(|_| is_said) else {
        return String::new();
    };
    let last = match origin {
        ValueOrigin::Sent => "last ",
        ValueOrigin::Adopted => "",
    };
    format!(" ({last}{})", set_words(at, origin))
}

pub struct OutcomeLine<'a> {
    pub mark: char,
    pub rank: Rank,
    pub outcome: &'static str,
    pub code: Option<&'a str>,
    pub why: Option<String>,
    /// As in [`PlanLine`], after `why`.
    pub resend: &'static str,
    pub advice: Option<Cow<'static, str>>,
    pub refusal: Option<&'a Refusal>,
}

impl<'a> OutcomeLine<'a> {
    pub fn of(said: &'a Outcome) -> Self {
        let (mut resend, mut advice, mut refusal) = ("", None, None);
        let (mark, rank, outcome, code, why) = match said {
            Outcome::Applied => ('=', Rank::Well, "applied", None, None),
            Outcome::Refused(by) => {
                let why = by.doubt_among();
                resend = ["", "; --resend sends them one by one"][usize::from(why.is_some())];
                advice = by.advice.map(Cow::Borrowed);
                refusal = Some(by);
                ('!', Rank::Wrong, "refused", Some(by.code.as_str()), why)
            }
            Outcome::NotSent(why) => {
                let code = match why {
                    NotSent::LoginRefused(code) => Some(code.as_str()),
                    _ => None,
                };
                ('-', Rank::LeftOut, "not_sent", code, Some(why.to_string()))
            }
            Outcome::InDoubt(why) => {
                let (code, why) = (why.as_str(), why.to_string());
                ('?', Rank::Wrong, "in_doubt", Some(code), Some(why))
            }
            Outcome::Blocked(why) => {
                let (mark, code, why) = match why {
                    BlockReason::WrongPassword { code, credential } => {
                        resend = SENDS_IT;
                        let why = wrong_password_words(code, credential.as_deref());
                        ('!', code.as_str(), why)
                    }
                    BlockReason::AfterWrongPassword(code) => {
                        let why = format!("{code} (wrong password) for another entry in this run");
                        ('!', code.as_str(), why)
                    }
                    BlockReason::Job(why) => {
                        advice = Some(Cow::Owned(why.advice()));
                        ('x', why.as_str(), why.to_string())
                    }
                };
                (mark, Rank::LeftOut, "blocked", Some(code), Some(why))
            }
        };
        Self {
            mark,
            rank,
            outcome,
            code,
            why,
            resend,
            advice,
            refusal,
        }
    }

    /// Returns the lines to print.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.reason(self.resend);
        lines.extend(self.request());
        lines.extend(self.text());
        lines.extend(self.advice.iter().map(ToString::to_string));
        lines
    }

    /// Returns the outcome and why, with `more` after the reason.
    pub fn reason(&self, more: &str) -> Vec<String> {
        let word = match self.outcome {
            "blocked" => "skipped",
            "not_sent" => "not sent",
            "in_doubt" => "outcome unknown",
            outcome => outcome,
        };
        let why = self.why.as_ref().map(|why| format!("{why}{more}"));
        let Some(refusal) = self.refusal else {
            return vec![why.map_or_else(|| word.to_owned(), |why| format!("{word}: {why}"))];
        };
        let kind = match refusal.kind {
            RefusalKind::WrongPassword => " (user or password wrong)",
            RefusalKind::JobState => " (wrong job state)",
            RefusalKind::Busy => " (throttled or busy; gave up)",
            RefusalKind::Rejected => "",
        };
        let head = format!("{word}: {}{kind}", refusal.code);
        [head].into_iter().chain(why).collect()
    }

    pub fn request(&self) -> Option<String> {
        let id = self.refusal?.request_id.as_ref()?;
        Some(format!("request {id}"))
    }

    pub fn text(&self) -> Option<String> {
        let text = self.refusal?.text.as_ref()?;
        Some(format!("the service says: {text}"))
    }
}

pub struct JobLine<'a> {
    pub mark: char,
    pub outcome: &'static str,
    pub status: Option<&'a str>,
    pub code: Option<&'a str>,
    /// The lines to print.
    pub lines: Vec<String>,
}

impl<'a> JobLine<'a> {
    pub fn of(job: &'a RetryJobsEntry) -> Self {
        let line = |mark, outcome, status, words| Self {
            mark,
            outcome,
            status,
            code: None,
            lines: vec![words],
        };
        let known = |status: &JobStatus| Some(status.as_str());
        let mut advice = None;
        let mut said = match &job.result {
            RetryJobsResult::Runs(status) => {
                let words = format!("retried, runs again: {status}");
                line('=', "runs", known(status), words)
            }
            RetryJobsResult::Failed(status) => {
                let settle = "Its password may be wrong. Check it before you retry: another wrong \
                              login can lock the account.";
                advice = Some(settle.to_owned());
                let words = format!("retried, failed again: {status}");
                line('!', "failed", known(status), words)
            }
            RetryJobsResult::Unseen(None) => {
                let words = "retried; its state could not be read";
                line('?', "unseen", None, words.to_owned())
            }
            RetryJobsResult::Unseen(Some(status)) => {
                let kind = status.known().map(JobStatus::kind);
                let why = match kind {
                    Some(StatusKind::Failed) => "It failed again at once, or has not started yet.",
                    Some(StatusKind::Running) => {
                        "It ran for too short a time to show that its passwords are right."
                    }
                    _ => "",
                };
                advice = (!why.is_empty()).then(|| why.to_owned());
                let words = format!("retried; last seen {status}; check it later");
                line('?', "unseen", Some(ReportedStatus::as_str(status)), words)
            }
            RetryJobsResult::Refused(refusal) => {
                let text = refusal.text.as_ref();
                let says =
                    text.map_or_else(String::new, |text| format!(", the service says: {text}"));
                advice = refusal.advice.map(str::to_owned);
                let words = format!("not retried: {}{says}", refusal.code);
                Self {
                    code: Some(refusal.code.as_str()),
                    ..line('!', "retry_refused", None, words)
                }
            }
            RetryJobsResult::NotAsked(why) => {
                line('!', "not_asked", None, format!("not retried: {why}"))
            }
            RetryJobsResult::RetriedBefore(status, at) => {
                advice = Some(format!(
                    "Correct its password; or, once the database has it, run 'drspass apply \
                     --retry-jobs --resend {}'. Jobs that share its credential are \
                     retried after it.",
                    job.label
                ));
                let at = minute(*at);
                let words = format!(
                    "not retried: {status}; the retry of {at} with the same passwords failed or \
                     was not seen to succeed"
                );
                line('!', "retried_before", known(status), words)
            }
            RetryJobsResult::LeftAlone(status, why) => {
                let words = format!("not retried: {status}; {why}");
                line('-', "left_alone", known(status), words)
            }
            RetryJobsResult::LeftPaused => {
                let words = "is paused; --resume-paused resumes it";
                let status = known(&JobStatus::Pausing);
                line('-', "left_paused", status, words.to_owned())
            }
        };
        said.lines.extend(advice);
        said
    }
}

/// Says why an entry is not sent after a wrong password, its own or that of another entry of its
/// credential.
fn wrong_password_words(code: &Token, credential: Option<&str>) -> String {
    match credential {
        None => format!("{code} (wrong password), password unchanged"),
        Some(name) => format!("{code} (wrong password) for another entry of @{name}"),
    }
}

/// Says why an entry that `state distrust` marked is sent again.
pub fn distrusted_words(at: Timestamp) -> String {
    let date = at.strftime("%Y-%m-%d");
    format!("to be sent again (state distrust, {date})")
}

pub const fn set_word(origin: ValueOrigin) -> &'static str {
    match origin {
        ValueOrigin::Sent => "set",
        ValueOrigin::Adopted => "adopted",
    }
}

/// Says when a password was set or adopted.
pub fn set_words(at: Timestamp, origin: ValueOrigin) -> String {
    format!("{} {}", set_word(origin), at.strftime("%Y-%m-%d"))
}

pub fn field_list(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    names.join(", ")
}

pub fn place(scope: &Scope) -> String {
    format!("project {} at {}", scope.project_id, scope.host())
}

/// Returns the place with the name of the environment's directory.
pub fn place_named(scope: &Scope, environment: Option<&ForeignText>) -> String {
    let name = environment.map_or_else(String::new, |name| format!(" ({})", name.as_str()));
    place(scope) + &name
}

pub fn counted(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

/// Counts jobs, and names the first ones.
pub fn jobs_named(jobs: &[String]) -> String {
    let number = counted(jobs.len(), "job", "jobs");
    format!("{number} ({})", some_of(jobs, 10))
}

/// Lists the numbers that are not 0, each after a comma.
pub fn numbers(numbers: &[(usize, &str)]) -> String {
    let some = numbers.iter().filter(|(number, _)| *number > 0);
    some.map(|(number, word)| format!(", {number} {word}"))
        .collect()
}

/// Says that a plan goes back to an older manifest: the first thing to see of it.
pub fn rollback_words(report: &PlanReport) -> Option<String> {
    let Rollback { to, applied } = report.rollback?;
    Some(format!("ROLLBACK to revision {to} ({applied} was applied)"))
}

pub fn plan_counts(report: &PlanReport) -> String {
    let (counts, plan) = (report.counts, &report.plan);
    format!(
        "{} to set, {} to change, {} to send again{}; {} in sync{}. {}.",
        counts.to_set,
        counts.to_change,
        counts.to_send_again,
        numbers(&[(report.blocked.len() + counts.held, "skipped")]),
        plan.in_sync,
        numbers(&[
            (plan.unlisted.len(), "no longer listed"),
            (plan.not_selected, "not selected")
        ]),
        match plan.requests {
            0 => "Nothing to send".to_owned(),
            many => format!("Apply needs {}", counted(many, "request", "requests")),
        }
    )
}

pub fn plan_notes(report: &PlanReport) -> Vec<String> {
    let mut notes = Vec::new();
    let left = report.plan.entries.iter();
    let left = left.filter(|entry| entry.kerberos_left);
    notes.extend(left.map(|PlanEntry { label, .. }| {
        format!("{label}: kerberos was removed from the manifest; DRS keeps its current kerberos settings")
    }));
    let unlisted = &report.plan.unlisted;
    let named = unlisted.iter().take(MAX_UNLISTED_LINES);
    notes.extend(named.map(|key| format!("{key} is no longer listed; the state keeps it")));
    if unlisted.len() > MAX_UNLISTED_LINES {
        let more = unlisted.len() - MAX_UNLISTED_LINES;
        notes.push(format!("{more} more are no longer listed"));
    }
    notes.extend(report.notes.iter().map(|note| note.text.clone()));
    notes
}

/// Returns the numbers of an apply, on one line, which add up.
pub fn totals_words(totals: Totals) -> String {
    let named = totals
        .named()
        .map(|(number, word)| format!("{number} {word}"));
    format!("{}; {} in all", named.join(", "), totals.total())
}

/// Returns the numbers of the retried jobs, which add up; `None` without a request to retry any.
pub fn jobs_words(report: &ApplyReport) -> Option<String> {
    let lines = report.jobs.iter().map(JobLine::of);
    let of = |outcome| lines.clone().filter(|line| line.outcome == outcome).count();
    let [runs, failed, unknown] = ["runs", "failed", "unseen"].map(of);
    let left = report.jobs.len() - runs - failed - unknown;
    match report.jobs.len() {
        0 if report.none_failed => Some("none has failed".to_owned()),
        0 => (report.not_retried.is_some()).then(|| "not retried; see the note above".to_owned()),
        all => Some(format!(
            "{runs} running again, {failed} failed again, {unknown} unknown, {left} not retried; \
             {all} in all"
        )),
    }
}

pub fn apply_notes(report: &ApplyReport) -> Vec<String> {
    let mut notes = report.findings.clone();
    notes.extend(not_retried_words(report));
    notes.extend(saved_notes(&report.saved));
    if let Some(signal) = report.interrupted {
        let word = signal.word();
        notes.push(format!(
            "the run was {word} and sent nothing new from then on"
        ));
    }
    if report.totals().in_doubt > 0 {
        notes.push(
            "entries with an unknown outcome may be set or not; the next apply sends them again"
                .to_owned(),
        );
    }
    notes
}

pub fn not_retried_words(report: &ApplyReport) -> Option<String> {
    let why = report.not_retried.as_ref()?;
    Some(format!("jobs were not retried: {why}"))
}

/// Returns the lines to print if the state does not have the outcomes.
pub fn saved_notes(saved: &StateSaved) -> Vec<String> {
    match saved {
        StateSaved::InState => Vec::new(),
        StateSaved::Recovery { path, why, use_it } => {
            let recover = format!("drspass state recover {}", shell_words::quote(path));
            let (are_in, next) = match use_it {
                RecoveryUse::WithoutJournal => (
                    " and in the journal next to the state",
                    format!(
                        "once the state can be written, the next 'drspass apply' in this root \
                         directory saves them. Only if the journal is lost, run: {recover}"
                    ),
                ),
                RecoveryUse::InAnotherClone => (
                    " and in the journal of this clone",
                    format!(
                        "once the state can be written, the next 'drspass apply' in this clone saves \
                         them. Only if this clone is lost, run in another one: {recover}"
                    ),
                ),
                RecoveryUse::First => (
                    " alone",
                    format!(
                        "once the state can be written, run in this root directory, before any other \
                         command that writes it: {recover}"
                    ),
                ),
                RecoveryUse::AsUnknown => (
                    "",
                    format!(
                        "the state was changed during the run, so the outcomes become unknown; \
                         run, in this root directory: {recover}"
                    ),
                ),
                RecoveryUse::AfterMove => (
                    "",
                    format!(
                        "the state was moved to another place during the run. Take the newest \
                         manifest, such as with 'git pull', then run: {recover}"
                    ),
                ),
            };
            vec![
                format!("the state could not be saved: {why}"),
                format!("the outcomes are recorded in '{path}'{are_in}"),
                next,
            ]
        }
        StateSaved::Lost { why } => vec![
            format!("neither the state nor a recovery file could be written: {why}"),
            "the entries marked applied ARE set, even if the next plan shows them as unknown"
                .to_owned(),
        ],
    }
}
