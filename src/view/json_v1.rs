//! Version 1 of the JSON outputs: field by field, apart from the domain's types, so that a
//! change inside never changes what a pipeline reads. The schemas are in `schemas/`.
//!
//! It has the facts of the text output, but no password, fingerprint or salt: a field with a
//! value has `"sensitive": true` instead.

use jiff::Timestamp;
use serde::Serialize;

use super::entry::{JobLine, OutcomeLine, not_retried_words};
use crate::core::fingerprint::Field;
use crate::core::inventory::ListedJob;
use crate::core::job::{Endpoint, EntryKey};
use crate::core::plan::PlanEntry;
use crate::core::problem::{Problem, Severity};
use crate::core::recipients::{InFile, RecipientsReport};
use crate::core::redact::{ForeignText, Token, in_json};
use crate::core::report::{
    ApplyReport, JobsReport, LedgerReport, LoginReport, ManifestReport, PlanNote, PlanReport,
    RecoveryUse, Signal, StateSaved,
};
use crate::core::rotation::{PasswordAge, RotationReport};
use crate::core::state::{FieldPrints, Holder, State, StateEntry, ValueOrigin};
use crate::core::status::{Blocked, ReportedStatus};

// The name and version of the format of each command's output.
const APPLY: &str = "drspass.apply-output/1";
const JOBS: &str = "drspass.jobs-output/1";
const LOCK: &str = "drspass.lock-output/1";
const PLAN: &str = "drspass.plan-output/1";
const RECIPIENTS: &str = "drspass.recipients-output/1";
const ROTATION: &str = "drspass.rotation-output/1";
const SHOW: &str = "drspass.show-output/1";
const STATE: &str = "drspass.state-output/1";
const VALIDATE: &str = "drspass.validate-output/1";
const WHOAMI: &str = "drspass.whoami-output/1";

/// The text of an object, whose fields are written as they are added.
#[derive(Default)]
struct JsonObject(String);

impl JsonObject {
    fn document(format: &'static str) -> Self {
        Self::default()
            .with("format", format)
            .with("tool_version", env!("CARGO_PKG_VERSION"))
    }

    /// A line of `apply --json`.
    fn message(kind: &'static str) -> Self {
        Self::default().with("type", kind)
    }

    fn with(self, name: &'static str, value: impl Serialize) -> Self {
        let json = serde_json::to_string(&value);
        self.json(
            name,
            &json.expect("strings, numbers and lists of them always serialize"),
        )
    }

    /// Adds the field if it has a value.
    fn given(self, name: &'static str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn given_object(self, name: &'static str, object: Option<Self>) -> Self {
        match object {
            Some(object) => self.json(name, &object.end()),
            None => self,
        }
    }

    /// Adds what is JSON already.
    fn json(mut self, name: &'static str, json: &str) -> Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.extend(["\"", name, "\":", json]);
        self
    }

    fn end(self) -> String {
        self.0 + "}"
    }

    fn line(self) -> String {
        in_json(&self.end()).into_owned() + "\n"
    }
}

const fn origin_word(origin: ValueOrigin) -> &'static str {
    match origin {
        ValueOrigin::Sent => "sent",
        ValueOrigin::Adopted => "adopted",
    }
}

fn text(text: &Option<ForeignText>) -> Option<&str> {
    text.as_ref().map(ForeignText::as_str)
}

/// A list of objects.
fn all<T>(items: impl IntoIterator<Item = T>, each: impl Fn(T) -> JsonObject) -> String {
    let mut list = "[".to_owned();
    for item in items {
        if list.len() > 1 {
            list.push(',');
        }
        list += &each(item).end();
    }
    list + "]"
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

pub fn plan(report: &PlanReport) -> String {
    let counts = with_counts(JsonObject::default(), report, Some(report.blocked.len()));
    let saved = report.saved.as_ref().map(|saved| {
        JsonObject::default()
            .with("plan_id", &saved.id)
            .with("created", saved.created)
            .with("expires", saved.expires)
    });
    let entries = all(&report.plan.entries, |entry| {
        plan_entry(entry, report.blocked.get(&entry.key))
    });
    JsonObject::document(PLAN)
        .with("project_id", &report.scope.project_id)
        .with("endpoint", &report.scope.endpoint)
        .given("environment", text(&report.environment))
        .with("has_changes", report.has_changes())
        .given("rollback", report.rollback)
        .json("counts", &counts.end())
        .with("requests", report.plan.requests)
        .with("change_id", report.change_id.as_str())
        .given_object("saved", saved)
        .json("entries", &entries)
        .with("unlisted", texts(&report.plan.unlisted))
        .with("notes", notes(&report.notes))
        .line()
}

fn with_counts(object: JsonObject, report: &PlanReport, skipped: Option<usize>) -> JsonObject {
    object
        .with("to_set", report.counts.to_set)
        .with("to_change", report.counts.to_change)
        .with("to_send_again", report.counts.to_send_again)
        .with("held", report.counts.held)
        .given("skipped", skipped)
        .with("in_sync", report.plan.in_sync)
        .with("no_longer_listed", report.plan.unlisted.len())
        .with("not_selected", report.plan.not_selected)
}

fn notes(notes: &[PlanNote]) -> Vec<&str> {
    notes.iter().map(|note| note.text.as_str()).collect()
}

fn plan_entry(entry: &PlanEntry, blocked: Option<&Blocked>) -> JsonObject {
    let field = |(field, is_changed): &(Field, bool)| {
        JsonObject::default()
            .with("name", field.as_str())
            .with("changed", is_changed)
            .with("sensitive", true)
    };
    let blocked = blocked.map(|why| {
        JsonObject::default()
            .with("code", why.as_str())
            .with("why", why.to_string())
            .with("advice", why.advice())
    });
    let (at, origin) = entry.last_set.unzip();
    JsonObject::default()
        .with("address", &entry.label)
        .with("job_id", entry.key.job.as_str())
        .with("endpoint", entry.key.endpoint.as_str())
        .given("credential", entry.credential.as_deref())
        .with("action", entry.action.as_str())
        .with("reason", entry.reason.as_str())
        .given("code", entry.reason.code().map(Token::as_str))
        .json("fields", &all(&entry.fields, field))
        .given("last_set", at)
        .given("origin", origin.map(origin_word))
        .with("kerberos_left", entry.kerberos_left)
        .given_object("blocked", blocked)
}

/// Returns the first lines of `apply --json`: the version, then the entries to be sent.
pub fn apply_head(report: &PlanReport) -> String {
    let version = JsonObject::message("version")
        .with("format", APPLY)
        .with("tool_version", env!("CARGO_PKG_VERSION"));
    let plan = JsonObject::message("plan")
        .with("project_id", &report.scope.project_id)
        .with("endpoint", &report.scope.endpoint)
        .given("environment", text(&report.environment))
        .given("rollback", report.rollback)
        .with("requests", report.plan.requests);
    let plan = with_counts(plan, report, None)
        .with("change_id", report.change_id.as_str())
        .given("plan_id", report.saved.as_ref().map(|saved| &saved.id))
        .with("notes", notes(&report.notes));
    version.line() + &plan.line()
}

/// Returns the lines of `apply --json` about every entry.
pub fn apply_entries(report: &ApplyReport) -> String {
    let mut lines = String::new();
    for (label, outcome) in &report.entries {
        let line = OutcomeLine::of(outcome);
        let refusal = line.refusal;
        let request_id = refusal.and_then(|refusal| refusal.request_id.as_ref());
        let message = JsonObject::message("entry")
            .with("address", label)
            .with("outcome", line.outcome)
            .given("code", line.code)
            .given("why", line.why.map(|why| why + line.resend))
            .given("request_id", request_id.map(|id| id.as_str()))
            .given("text", refusal.and_then(|refusal| text(&refusal.text)))
            .given("advice", line.advice);
        lines.push_str(&message.line());
    }
    lines
}

/// Returns the lines of `apply --json` that were not shown yet, and the result as the last one.
pub fn apply(report: &ApplyReport, exit_code: u8) -> String {
    let mut lines = match report.is_shown {
        true => String::new(),
        false => apply_entries(report),
    };
    for job in &report.jobs {
        let line = JobLine::of(job);
        let message = JsonObject::message("job")
            .with("job", &job.label)
            .with("outcome", line.outcome)
            .given("status", line.status)
            .given("code", line.code)
            .with("why", line.lines.join(". "));
        lines.push_str(&message.line());
    }
    for text in report.findings.iter().chain(&not_retried_words(report)) {
        lines.push_str(&JsonObject::message("note").with("text", text).line());
    }
    let totals = report.totals();
    let (why_not_saved, recovery) = match &report.saved {
        StateSaved::InState => (None, None),
        StateSaved::Recovery { path, why, use_it } => (Some(why), Some((path, use_it))),
        StateSaved::Lost { why } => (Some(why), None),
    };
    let recovery_use = recovery.map(|(_, use_it)| match use_it {
        RecoveryUse::WithoutJournal => "without_journal",
        RecoveryUse::InAnotherClone => "in_another_clone",
        RecoveryUse::First => "first",
        RecoveryUse::AsUnknown | RecoveryUse::AfterMove => "as_unknown",
    });
    let stopped_by = report.interrupted.map(|signal| match signal {
        Signal::Interrupt => "interrupt",
        Signal::Terminate => "terminate",
    });
    let result = JsonObject::message("result")
        .with("applied", totals.applied)
        .with("refused", totals.refused)
        .with("blocked", totals.blocked)
        .with("not_sent", totals.not_sent)
        .with("in_doubt", totals.in_doubt)
        .with("total", totals.total())
        .with("requests", report.requests)
        .with("state_saved", report.saved == StateSaved::InState)
        .given("why_not_saved", why_not_saved)
        .given("recovery_file", recovery.map(|(path, _)| path))
        .given("recovery_use", recovery_use)
        .given("stopped_by", stopped_by)
        .with("exit_code", exit_code);
    lines + &result.line()
}

/// Returns the last line of an apply that stopped before it sent anything.
pub fn apply_error(error: &ErrorOut, exit_code: u8) -> String {
    JsonObject::message("error")
        .with("code", &error.code)
        .with("message", &error.message)
        .given("help", error.help.as_ref())
        .with("exit_code", exit_code)
        .line()
}

/// An error that is not about a document.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorOut {
    pub code: String,
    pub message: String,
    pub help: Option<String>,
}

pub fn validate(problems: &[(String, Vec<Problem>)], error: Option<ErrorOut>) -> String {
    let listed = problems
        .iter()
        .flat_map(|(document, problems)| problems.iter().map(move |problem| (document, problem)));
    let listed = all(listed, |(document, problem)| {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        JsonObject::default()
            .with("document", document)
            .with("severity", severity)
            .with("path", &problem.path)
            .given("line", problem.at.map(|at| at.line))
            .given("column", problem.at.map(|at| at.column))
            .with("what", &problem.what)
            .with("help", &problem.help)
    });
    let mut found = problems.iter().flat_map(|(_, problems)| problems);
    let is_valid = error.is_none() && found.all(|problem| problem.severity != Severity::Error);
    JsonObject::document(VALIDATE)
        .with("valid", is_valid)
        .json("problems", &listed)
        .given("error", error)
        .line()
}

pub fn manifest(shown: &ManifestReport) -> String {
    let sealed = shown.seal.as_ref().map(|seal| {
        JsonObject::default()
            .with("endpoint", &seal.scope.endpoint)
            .with("project_id", &seal.scope.project_id)
            .with("key_id", seal.key_id.to_string())
            .with("revision", seal.revision)
            .with("recipients", seal.recipients)
    });
    let entries = all(&shown.entries, |entry| {
        let fields: Vec<&str> = entry.fields.iter().map(|field| field.as_str()).collect();
        JsonObject::default()
            .with("address", &entry.label)
            .with("job_id", entry.key.job.as_str())
            .with("endpoint", entry.key.endpoint.as_str())
            .given("credential", entry.credential.as_ref())
            .with("fields", fields)
    });
    JsonObject::document(SHOW)
        .given_object("sealed", sealed)
        .json("entries", &entries)
        .line()
}

pub fn jobs(report: &JobsReport) -> String {
    JsonObject::document(JOBS)
        .with("project_id", &report.project_id)
        .with("total", report.total)
        .json("jobs", &all(&report.jobs, |listed| job(report, listed)))
        .with("absent", texts(&report.absent))
        .with("notes", &report.notes)
        .line()
}

fn job(report: &JobsReport, job: &ListedJob) -> JsonObject {
    let endpoint = |endpoint| {
        let database = job.database(endpoint);
        JsonObject::default()
            .with("managed", report.is_managed(job, endpoint))
            .given("db_type", text(&database.db_type))
            .given("address", text(&database.address))
            .given("port", text(&database.port))
            .given("user", text(&database.user))
    };
    JsonObject::default()
        .with("id", job.id.as_str())
        .given("name", text(&job.name))
        .given("status", job.status.as_ref().map(ReportedStatus::as_str))
        .with("use_type", job.use_type.as_str())
        .given("engine", text(&job.engine))
        .given("parent", job.parent.as_ref().map(|parent| parent.as_str()))
        .with("dual_active_parent", job.is_dual_active_parent)
        .json("source", &endpoint(Endpoint::Source).end())
        .json("destination", &endpoint(Endpoint::Destination).end())
}

pub fn whoami(login: &LoginReport) -> String {
    let caller = &login.caller;
    let method = if caller.is_key { "access_key" } else { "token" };
    JsonObject::document(WHOAMI)
        .with("source", &login.source)
        .with("method", method)
        .given("user", text(&caller.user))
        .given("domain", text(&caller.domain))
        .with("project_id", &login.scope.project_id)
        .given("project_name", text(&caller.project_name))
        .given("region", login.region.as_ref())
        .with("endpoint", &login.scope.endpoint)
        .with("auth_url", &login.auth_url)
        .given("token_expires", caller.token_end)
        .line()
}

pub fn recipients(report: &RecipientsReport) -> String {
    let recipients = all(&report.recipients, |listed| {
        let in_file = match listed.in_file {
            InFile::Yes => "yes",
            InFile::No => "no",
            InFile::Unknown => "unknown",
        };
        JsonObject::default()
            .with("recipient", &listed.key)
            .given("comment", listed.comment.as_ref())
            .with("listed", listed.is_configured)
            .given("sealed", listed.is_sealed)
            .with("in_file", in_file)
    });
    let stanzas = all(&report.stanzas, |(kind, count)| {
        JsonObject::default()
            .with("type", kind)
            .with("count", count)
    });
    JsonObject::document(RECIPIENTS)
        .with("manifest", &report.manifest)
        .with("opened", report.unopened.is_none())
        .given("not_opened_because", report.unopened)
        .json("recipients", &recipients)
        .json("stanzas", &stanzas)
        .with("unknown_ssh_stanzas", report.strangers)
        .with("notes", &report.notes)
        .line()
}

/// The holder of the lock, as its file or the state on a branch says, which is not authenticated.
#[derive(Default, Serialize)]
pub struct HolderOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    pub host: String,
    pub command: String,
    pub since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
}

impl HolderOut {
    pub fn of_branch(holder: &Holder) -> Self {
        Self {
            pid: None,
            id: Some(clean(holder.id.as_str())),
            who: holder.who.as_deref().map(clean),
            host: clean(&holder.host),
            command: clean(&holder.command),
            since: holder.since,
            renewed: Some(holder.renewed),
            run_url: holder.run_url.as_deref().map(clean),
        }
    }
}

/// Returns foreign text as it may be shown.
pub fn clean(text: &str) -> String {
    ForeignText::clean(text).map_or_else(String::new, |text| text.as_str().to_owned())
}

pub fn lock(is_held: bool, holder: Option<HolderOut>) -> String {
    JsonObject::document(LOCK)
        .with("held", is_held)
        .with("authenticated", false)
        .given("holder", holder)
        .line()
}

pub fn state(report: &LedgerReport) -> String {
    let known = report.state.as_ref();
    let [serial, revision, highest] = known.map_or([0; 3], State::numbers);
    let entries = known.into_iter().flat_map(|state| &state.entries);
    let entries = all(entries, |(key, entry)| {
        state_entry(key, report.labels.get(key), entry)
    });
    JsonObject::document(STATE)
        .with("authenticated", true)
        .with("serial", serial)
        .with("revision", revision)
        .with("highest", highest)
        .with("unfinished_apply", report.is_unfinished)
        .with("notes", notes(&report.notes))
        .json("entries", &entries)
        .line()
}

fn state_entry(key: &EntryKey, label: Option<&String>, entry: &StateEntry) -> JsonObject {
    let applied = entry.applied.as_ref().map(|applied| {
        JsonObject::default()
            .with("at", applied.at)
            .with("origin", origin_word(applied.origin))
            .with("plan_id", applied.run_id.as_str())
            .json("fields", &sensitive(&applied.prints))
    });
    let pending = entry.pending.as_ref().map(|pending| {
        JsonObject::default()
            .with("since", pending.since)
            .with("distrusted", pending.distrusted)
            .with("plan_id", pending.run_id.as_str())
            .json("fields", &sensitive(&pending.wanted))
    });
    let last_outcome = entry.last_outcome.as_ref().map(|last| {
        JsonObject::default()
            .with("class", last.class.as_str())
            .with("code", last.code.as_str())
            .given("request_id", last.request_id.as_ref().map(Token::as_str))
            .with("attempts", last.attempts)
            .with("at", last.at)
    });
    JsonObject::default()
        .with("job_id", key.job.as_str())
        .with("endpoint", key.endpoint.as_str())
        .given("address", label)
        .given_object("applied", applied)
        .given_object("pending", pending)
        .given_object("last_outcome", last_outcome)
}

pub fn rotation(report: &RotationReport) -> String {
    let entries = all(&report.entries, |entry| {
        let (since, days) = entry.age.known().unzip();
        let unknown = match entry.age {
            PasswordAge::Since { .. } => None,
            PasswordAge::NeverSet => Some("never_set"),
            PasswordAge::InDoubt { .. } => Some("in_doubt"),
            PasswordAge::Distrusted { .. } => Some("distrusted"),
            PasswordAge::Unrecorded { origin, .. } => Some(origin_word(origin)),
        };
        JsonObject::default()
            .with("address", &entry.label)
            .with("job_id", entry.key.job.as_str())
            .with("endpoint", entry.key.endpoint.as_str())
            .given("credential", entry.credential.as_deref())
            .given("since", since)
            .given("days", days)
            .with("older", entry.is_older)
            .given("unknown", unknown)
    });
    JsonObject::document(ROTATION)
        .given("max_age_days", report.max_days)
        .with("passwords", report.total)
        .with("older", report.older)
        .with("unknown", report.unknown)
        .json("entries", &entries)
        .with("notes", notes(&report.notes))
        .line()
}

fn sensitive(prints: &FieldPrints) -> String {
    let fields = std::iter::once(Field::Password).chain(prints.kerberos.keys().copied());
    all(fields, |field| {
        JsonObject::default()
            .with("name", field.as_str())
            .with("sensitive", true)
    })
}
