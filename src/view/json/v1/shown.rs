//! The documents of `show --json`, `whoami --json` and `lock show --json`.

use jiff::Timestamp;
use serde::Serialize;

use super::to_line;
use crate::core::redact::ForeignText;
use crate::core::report::{LoginReport, ManifestReport};

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
