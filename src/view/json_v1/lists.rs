//! The documents of `show`, `jobs`, `whoami`, `recipients`, `lock show` and `state show`.

use jiff::Timestamp;
use serde::Serialize;

use super::{origin_word, to_line};
use crate::core::fingerprint::Field;
use crate::core::inventory::JobDatabase;
use crate::core::job::{Endpoint, EntryKey};
use crate::core::recipients::{InFile, ListedRecipient, RecipientsReport};
use crate::core::redact::ForeignText;
use crate::core::report::{
    JobsReport, LedgerReport, LoginReport, ManagedJob, ManifestReport, PlanNote,
};
use crate::core::state::{FieldPrints, State, StateEntry};
use crate::core::status::ReportedStatus;
use crate::view::entry::note_words;

/// The name and version of the format of `jobs --json`.
pub const JOBS: &str = "drspass.jobs-output/1";

#[derive(Serialize)]
struct JobsDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    project_id: &'a str,
    jobs: Vec<JobOut<'a>>,
    /// Entries whose job the project does not list.
    absent: Vec<String>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct JobOut<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    use_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    dual_active_parent: bool,
    source: EndpointOut<'a>,
    destination: EndpointOut<'a>,
}

#[derive(Serialize)]
struct EndpointOut<'a> {
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

/// The document of `jobs --json`.
pub fn jobs(report: &JobsReport) -> String {
    to_line(&JobsDocument {
        format: JOBS,
        tool_version: env!("CARGO_PKG_VERSION"),
        project_id: &report.project_id,
        jobs: report.jobs.iter().map(job).collect(),
        absent: report.absent.iter().map(ToString::to_string).collect(),
        notes: &report.notes,
    })
}

fn job(managed: &ManagedJob) -> JobOut<'_> {
    let job = &managed.job;
    JobOut {
        id: job.id.as_str(),
        name: text(&job.name),
        status: job.status.as_ref().map(ReportedStatus::as_str),
        use_type: job.use_type.as_str(),
        engine: text(&job.engine),
        parent: job.parent.as_ref().map(|parent| parent.as_str()),
        dual_active_parent: job.is_dual_active_parent,
        source: endpoint(&job.source, managed.is_managed(Endpoint::Source)),
        destination: endpoint(&job.destination, managed.is_managed(Endpoint::Destination)),
    }
}

fn endpoint(database: &JobDatabase, managed: bool) -> EndpointOut<'_> {
    EndpointOut {
        managed,
        db_type: text(&database.db_type),
        address: text(&database.address),
        port: text(&database.port),
        user: text(&database.user),
    }
}

fn text(text: &Option<ForeignText>) -> Option<&str> {
    text.as_ref().map(ForeignText::as_str)
}

/// The name and version of the format of `recipients --json`.
pub const RECIPIENTS: &str = "drspass.recipients-output/1";

#[derive(Serialize)]
struct RecipientsDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    manifest: &'a str,
    opened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_opened_because: Option<&'a str>,
    recipients: Vec<RecipientOut<'a>>,
    stanzas: Vec<StanzasOut<'a>>,
    unknown_ssh_stanzas: usize,
    notes: &'a [String],
}

#[derive(Serialize)]
struct RecipientOut<'a> {
    recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    listed: bool,
    /// Left out where the manifest was not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<bool>,
    in_file: &'static str,
}

#[derive(Serialize)]
struct StanzasOut<'a> {
    r#type: &'a str,
    count: usize,
}

/// The document of `recipients --json`.
pub fn recipients(report: &RecipientsReport) -> String {
    to_line(&RecipientsDocument {
        format: RECIPIENTS,
        tool_version: env!("CARGO_PKG_VERSION"),
        manifest: &report.manifest,
        opened: report.unopened.is_none(),
        not_opened_because: report.unopened,
        recipients: report.recipients.iter().map(recipient).collect(),
        stanzas: report
            .stanzas
            .iter()
            .map(|(kind, count)| StanzasOut {
                r#type: kind,
                count: *count,
            })
            .collect(),
        unknown_ssh_stanzas: report.strangers,
        notes: &report.notes,
    })
}

fn recipient(listed: &ListedRecipient) -> RecipientOut<'_> {
    RecipientOut {
        recipient: &listed.key,
        comment: listed.comment.as_deref(),
        listed: listed.is_configured,
        sealed: listed.is_sealed,
        in_file: match listed.in_file {
            InFile::Yes => "yes",
            InFile::No => "no",
            InFile::Unknown => "unknown",
        },
    }
}

/// The name and version of the format of `show --json`.
const SHOW: &str = "drspass.show-output/1";
/// The name and version of the format of `whoami --json`.
const WHOAMI: &str = "drspass.whoami-output/1";
/// The name and version of the format of `lock show --json`.
const LOCK: &str = "drspass.lock-output/1";

#[derive(Serialize)]
struct ManifestDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<SealOut<'a>>,
    entries: Vec<EntryOut<'a>>,
}

#[derive(Serialize)]
struct SealOut<'a> {
    endpoint: &'a str,
    project_id: &'a str,
    key_id: String,
    revision: u64,
    recipients: usize,
}

#[derive(Serialize)]
struct EntryOut<'a> {
    address: &'a str,
    job_id: &'a str,
    endpoint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    fields: Vec<&'static str>,
}

/// The document of `show --json`.
pub fn manifest(shown: &ManifestReport) -> String {
    to_line(&ManifestDocument {
        format: SHOW,
        tool_version: env!("CARGO_PKG_VERSION"),
        sealed: shown.seal.as_ref().map(|seal| SealOut {
            endpoint: &seal.scope.endpoint,
            project_id: &seal.scope.project_id,
            key_id: seal.key_id.to_string(),
            revision: seal.revision,
            recipients: seal.recipients,
        }),
        entries: shown
            .entries
            .iter()
            .map(|entry| EntryOut {
                address: &entry.label,
                job_id: entry.key.job.as_str(),
                endpoint: entry.key.endpoint.as_str(),
                credential: entry.credential.as_deref(),
                fields: entry.fields.iter().map(|field| field.as_str()).collect(),
            })
            .collect(),
    })
}

#[derive(Serialize)]
struct LoginDocument<'a> {
    format: &'static str,
    tool_version: &'static str,
    source: &'a str,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    project_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    endpoint: &'a str,
    auth_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires: Option<Timestamp>,
}

/// The document of `whoami --json`.
pub fn whoami(login: &LoginReport) -> String {
    let caller = &login.caller;
    to_line(&LoginDocument {
        format: WHOAMI,
        tool_version: env!("CARGO_PKG_VERSION"),
        source: &login.source,
        method: if caller.is_key { "access_key" } else { "token" },
        user: caller.user.as_ref().map(ForeignText::as_str),
        domain: caller.domain.as_ref().map(ForeignText::as_str),
        project_id: &login.scope.project_id,
        project_name: caller.project_name.as_ref().map(ForeignText::as_str),
        region: login.region.as_deref(),
        endpoint: &login.scope.endpoint,
        auth_url: &login.auth_url,
        token_expires: caller.token_end,
    })
}

/// Who holds the lock, as its file says, which nobody proves.
#[derive(Serialize)]
pub struct HolderOut {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// What it is doing.
    pub command: String,
    /// Since when, in UTC.
    pub since: Timestamp,
}

#[derive(Serialize)]
struct LockDocument {
    format: &'static str,
    tool_version: &'static str,
    held: bool,
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderOut>,
}

/// The document of `lock show --json`.
pub fn lock(is_held: bool, holder: Option<HolderOut>) -> String {
    to_line(&LockDocument {
        format: LOCK,
        tool_version: env!("CARGO_PKG_VERSION"),
        held: is_held,
        authenticated: false,
        holder,
    })
}

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
    let known = report.state.as_ref();
    let [serial, revision, highest] = known.map_or([0; 3], State::numbers);
    let entries = known.into_iter().flat_map(|state| &state.entries);
    to_line(&StateDocument {
        format: STATE,
        tool_version: env!("CARGO_PKG_VERSION"),
        authenticated: true,
        serial,
        revision,
        highest,
        unfinished_apply: report.notes.contains(&PlanNote::Unfinished),
        notes: report.notes.iter().map(note_words).collect(),
        entries: entries
            .map(|(key, entry)| state_line(key, report.labels.get(key), entry))
            .collect(),
    })
}

fn state_line<'a>(
    key: &'a EntryKey,
    label: Option<&'a String>,
    entry: &'a StateEntry,
) -> StateLine<'a> {
    StateLine {
        job_id: key.job.as_str(),
        endpoint: key.endpoint.as_str(),
        address: label.map(String::as_str),
        applied: entry.applied.as_ref().map(|applied| AppliedOut {
            at: applied.at,
            origin: origin_word(applied.origin),
            plan_id: applied.plan_id.as_str(),
            fields: sensitive(&applied.prints),
        }),
        pending: entry.pending.as_ref().map(|pending| PendingOut {
            since: pending.since,
            distrusted: pending.distrusted,
            plan_id: pending.plan_id.as_str(),
            fields: sensitive(&pending.wanted),
        }),
        last_outcome: entry.last_outcome.as_ref().map(|last| LastOut {
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
