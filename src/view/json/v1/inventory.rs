//! The document of `jobs --json`.

use serde::Serialize;

use super::to_line;
use crate::core::inventory::JobDatabase;
use crate::core::job::Endpoint;
use crate::core::redact::ForeignText;
use crate::core::report::{JobsReport, ManagedJob};
use crate::core::status::ReportedStatus;

/// The name and version of the format of `jobs --json`.
pub(super) const JOBS: &str = "drspass.jobs-output/1";

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
