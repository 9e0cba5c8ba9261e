//! Scenario files: jobs and faults to start a simulator with, as YAML.
//!
//! Owns the file's format. Refuses unknown fields, and refuses to quote the file
//! in an error, because it may hold passwords.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::Config;
use super::fault::Fault;
use super::spec::{AccessKeySpec, CatalogSpec, JobSpec, ProjectSpec, UserSpec};

/// The file as it is written. All of it is optional.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    project_name: Option<String>,
    #[serde(default)]
    other_projects: Vec<ProjectSpec>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    token_life_millis: Option<u64>,
    #[serde(default)]
    users: Vec<UserSpec>,
    #[serde(default)]
    access_keys: Vec<AccessKeySpec>,
    #[serde(default)]
    catalog: CatalogSpec,
    #[serde(default)]
    clock_offset_seconds: i64,
    #[serde(default)]
    accept_any_job: bool,
    #[serde(default)]
    job_actions: bool,
    #[serde(default)]
    latency_millis: Option<u64>,
    #[serde(default)]
    failure_delay_millis: Option<u64>,
    #[serde(default)]
    jobs: Vec<JobSpec>,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    login_faults: Vec<Fault>,
    #[serde(default)]
    query_faults: Vec<Fault>,
}

/// Why a scenario file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Line in the file, counted from 1; `None` if no line can be told.
    pub line: Option<u64>,
    /// Column in that line, counted from 1 in characters.
    pub column: Option<u64>,
    what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for ScenarioError {}

/// Reads a scenario into the configuration of a simulator on any free port.
///
/// Fails if the text is no YAML, has an unknown or missing field, or holds a
/// fault that can never strike.
pub fn parse(text: &str) -> Result<Config, ScenarioError> {
    let file: File = serde_yaml::from_str(text).map_err(|error| {
        let location = error.location();
        ScenarioError {
            line: location.map(|location| location.line()),
            column: location.map(|location| location.column()),
            what: describe(error.without_snippet()),
        }
    })?;
    check("fault", &file.faults, Fault::check)?;
    check("login fault", &file.login_faults, Fault::check_login)?;
    check("query fault", &file.query_faults, Fault::check_query)?;
    let usual = Config::default();
    let time = |millis: Option<u64>, usual| millis.map_or(usual, Duration::from_millis);
    Ok(Config {
        project_id: file.project_id.unwrap_or(usual.project_id),
        project_name: file.project_name.unwrap_or(usual.project_name),
        other_projects: file.other_projects,
        token: file.token,
        token_life: time(file.token_life_millis, usual.token_life),
        users: file.users,
        access_keys: file.access_keys,
        catalog: file.catalog,
        clock_offset_seconds: file.clock_offset_seconds,
        accept_any_job: file.accept_any_job,
        job_actions: file.job_actions,
        latency: time(file.latency_millis, usual.latency),
        failure_delay: time(file.failure_delay_millis, usual.failure_delay),
        jobs: file.jobs,
        faults: file.faults,
        login_faults: file.login_faults,
        query_faults: file.query_faults,
        ..Config::default()
    })
}

/// Fails with the first fault that makes no sense in its queue.
fn check(
    name: &str,
    faults: &[Fault],
    check: fn(&Fault) -> Result<(), &'static str>,
) -> Result<(), ScenarioError> {
    for (index, fault) in faults.iter().enumerate() {
        check(fault).map_err(|why| ScenarioError {
            line: None,
            column: None,
            what: format!("{name} {}: {why}", index + 1),
        })?;
    }
    Ok(())
}

/// Says what is wrong in words of our own; only names that this module knows
/// anyway are taken from the parser.
fn describe(error: &serde_yaml::Error) -> String {
    use serde_yaml::Error;
    match error {
        Error::SerdeUnknownField { expected, .. } => {
            format!("unknown field; known here: {}", expected.join(", "))
        }
        Error::SerdeUnknownVariant { expected, .. } => {
            format!("unknown word; known here: {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the field {field} is missing"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        Error::InvalidScalar { ty, .. } => format!("expected {ty}"),
        Error::MultipleDocuments { .. } => "a second YAML document begins".to_owned(),
        Error::DuplicateMappingKey { .. } => "a key stands here a second time".to_owned(),
        _ => "this is no readable scenario".to_owned(),
    }
}
