//! The login and the jobs of a project, for people. The rules of
//! [`super::terminal`] hold here as well.

use std::fmt::Write as _;

use super::terminal::counted;
use crate::core::inventory::JobDatabase;
use crate::core::job::Endpoint;
use crate::core::report::{JobsReport, LoginReport, ManagedJob};

/// What stands where the service says nothing.
const NOT_TOLD: &str = "not told";

/// Who calls, a fact a line.
pub fn whoami(login: &LoginReport) -> String {
    let caller = &login.caller;
    let user = match (&caller.user, &caller.domain) {
        (Some(user), Some(domain)) => format!("{user} of {domain}"),
        (Some(user), None) => user.to_string(),
        (None, _) if caller.is_key => "whoever the access key belongs to".to_owned(),
        (None, _) => NOT_TOLD.to_owned(),
    };
    let project = match &caller.project_name {
        Some(name) => format!("{} ({name})", login.scope.project_id),
        None => login.scope.project_id.clone(),
    };
    let end = match (caller.token_end, caller.is_key) {
        (Some(end), _) => format!("{end:.0}"),
        (None, true) => "none: each request is signed".to_owned(),
        (None, false) => NOT_TOLD.to_owned(),
    };
    let region = login.region.as_deref().unwrap_or("not named");
    format!(
        "login:      {}\n\
         user:       {user}\n\
         project:    {project}\n\
         region:     {region}\n\
         endpoint:   {}\n\
         identity:   {}\n\
         token ends: {end}\n",
        login.source, login.scope.endpoint, login.auth_url
    )
}

/// The jobs of a project: counts, then each with its databases.
pub fn jobs(report: &JobsReport) -> String {
    let mut text = String::new();
    let managed = report
        .jobs
        .iter()
        .filter(|job| job.source || job.destination);
    let _ = writeln!(
        text,
        "Jobs: {}, {} in the manifest; project {}.",
        report.jobs.len(),
        managed.count(),
        report.project_id
    );
    for managed in &report.jobs {
        text.push_str(&job(managed));
    }
    for key in &report.absent {
        let _ = writeln!(text, "note: {key}: no such job here");
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if !report.absent.is_empty() {
        let absent = counted(report.absent.len(), "entry has", "entries have");
        let _ = writeln!(text, "note: {absent} no job that the project lists");
    }
    text
}

fn job(managed: &ManagedJob) -> String {
    let job = &managed.job;
    let mut text = String::new();
    let status = job.status.as_ref();
    let status = status.map_or_else(|| NOT_TOLD.to_owned(), ToString::to_string);
    let _ = writeln!(text, "  {}   {status}", job.id);
    let mut facts = Vec::new();
    facts.extend(job.name.as_ref().map(ToString::to_string));
    facts.push(job.use_type.as_str().to_owned());
    facts.extend(job.engine.as_ref().map(ToString::to_string));
    let _ = writeln!(text, "      {}", facts.join(", "));
    if let Some(parent) = &job.parent {
        let _ = writeln!(text, "      subtask of {parent}");
    }
    if job.is_dual_active_parent {
        text.push_str("      dual-active parent: takes no password, its subtasks do\n");
    }
    for endpoint in Endpoint::ALL {
        let word = if managed.is_managed(endpoint) {
            "managed"
        } else {
            "unmanaged"
        };
        let database = job.database(endpoint);
        let _ = writeln!(
            text,
            "      {:11}  {word:9}{}",
            endpoint.as_str(),
            described(database)
        );
    }
    text
}

/// Kind, address and user of a database, as far as they are told.
fn described(database: &JobDatabase) -> String {
    let mut text = String::new();
    let parts = [
        ("", &database.db_type),
        ("at ", &database.address),
        ("port ", &database.port),
        ("user ", &database.user),
    ];
    for (word, part) in parts {
        if let Some(part) = part {
            let gap = if text.is_empty() { "  " } else { " " };
            let _ = write!(text, "{gap}{word}{part}");
        }
    }
    text
}
