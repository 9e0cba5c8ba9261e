//! The configuration of a simulator, by a test or by a YAML scenario file.
//!
//! No error quotes the file, because it may contain passwords.

use std::fmt;
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::fault::{Fault, FaultQueue};
use super::spec::{AccessKeySpec, CatalogSpec, JobSpec, ProjectSpec, UserSpec};

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Of the loopback address; 0 takes any free one.
    #[serde(skip)]
    pub port: u16,
    /// Whether recorded requests keep their raw bodies, passwords and all.
    #[serde(skip)]
    pub record_bodies: bool,
    /// Gets a line about each request to the service that is over.
    #[serde(skip)]
    pub request_log: Option<Sender<String>>,
    /// The project that paths must name.
    pub project_id: String,
    /// In real life that of its region, perhaps with an underscore and a suffix.
    pub project_name: String,
    /// Further projects of the account. They hold no jobs.
    pub other_projects: Vec<ProjectSpec>,
    /// A token for that project that never expires; `None` makes a random one.
    pub token: Option<String>,
    /// How long a token of the login call lives; 24 hours in real life (OTC IAM
    /// api-ref, Obtaining a User Token).
    #[serde(rename = "token_life_millis", deserialize_with = "millis")]
    pub token_life: Duration,
    pub users: Vec<UserSpec>,
    pub access_keys: Vec<AccessKeySpec>,
    pub catalog: CatalogSpec,
    /// How far the service's clock is ahead of this machine's (behind if negative).
    pub clock_offset_seconds: i64,
    /// Whether every well-formed job id that is asked for is a running job.
    pub accept_any_job: bool,
    /// Whether rows of the list, and a call of its own, have the available actions.
    pub job_actions: bool,
    /// Added to the answer of every password change.
    #[serde(rename = "latency_millis", deserialize_with = "millis")]
    pub latency: Duration,
    /// How long a job keeps running after a database refused it, and how long a retry takes.
    #[serde(rename = "failure_delay_millis", deserialize_with = "millis")]
    pub failure_delay: Duration,
    pub jobs: Vec<JobSpec>,
    pub faults: Vec<Fault>,
    pub login_faults: Vec<Fault>,
    pub query_faults: Vec<Fault>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            port: 0,
            record_bodies: false,
            request_log: None,
            project_id: "0123456789abcdef0123456789abcdef".to_owned(),
            project_name: "eu-de".to_owned(),
            other_projects: Vec::new(),
            token: None,
            token_life: Duration::from_secs(24 * 60 * 60),
            users: Vec::new(),
            access_keys: Vec::new(),
            catalog: CatalogSpec::default(),
            clock_offset_seconds: 0,
            accept_any_job: false,
            job_actions: false,
            latency: Duration::ZERO,
            failure_delay: Duration::from_secs(10),
            jobs: Vec::new(),
            faults: Vec::new(),
            login_faults: Vec::new(),
            query_faults: Vec::new(),
        }
    }
}

impl fmt::Debug for SimConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConfig")
            .field("port", &self.port)
            .field("project_id", &self.project_id)
            .field("other_projects", &self.other_projects)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// Parses YAML; an error names the place and the problem, and repeats nothing of the text.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_yaml::from_str(text).map_err(|error| {
        let what = describe(error.without_snippet());
        match error.location() {
            Some(at) => format!("line {}, column {}: {what}", at.line(), at.column()),
            None => what,
        }
    })
}

/// Parses a scenario file.
pub fn parse(text: &str) -> Result<SimConfig, String> {
    let config: SimConfig = read(text)?;
    for (queue, name, faults) in [
        (FaultQueue::Changes, "fault", &config.faults),
        (FaultQueue::Logins, "login fault", &config.login_faults),
        (FaultQueue::Queries, "query fault", &config.query_faults),
    ] {
        for (fault, number) in faults.iter().zip(1..) {
            let checked = fault.check(queue);
            checked.map_err(|why| format!("{name} {number}: {why}"))?;
        }
    }
    Ok(config)
}

/// Takes from the parser only names that this module knows anyway.
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
        Error::DuplicateMappingKey { .. } => "this key is a repetition".to_owned(),
        _ => "the YAML is invalid".to_owned(),
    }
}
