//! How a simulator is set up.
//!
//! Owns the settings as tests hand them in and their usual values. Refuses to
//! show a secret in its `Debug` form, and to know the form of scenario files.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::fault::Fault;
use super::spec::{AccessKeySpec, CatalogSpec, JobSpec, ProjectSpec, UserSpec};

/// How a simulator is set up.
#[derive(Clone)]
pub struct Config {
    /// The address to listen on; it must be a loopback address.
    pub address: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// The project id that paths must name.
    pub project_id: String,
    /// The name of that project; in real life that of its region, perhaps with
    /// an underscore and a suffix.
    pub project_name: String,
    /// Further projects of the account. They hold no jobs.
    pub other_projects: Vec<ProjectSpec>,
    /// The token that callers must send; `None` makes a random one. It belongs to
    /// `project_id` and never expires, unlike tokens that the login call issues.
    pub token: Option<String>,
    /// How long a token of the login call lives; 24 hours in real life (OTC IAM
    /// api-ref, Obtaining a User Token).
    pub token_life: Duration,
    /// The users that may log in with a password.
    pub users: Vec<UserSpec>,
    /// The keys that may sign requests.
    pub access_keys: Vec<AccessKeySpec>,
    /// What the service catalogue says.
    pub catalog: CatalogSpec,
    /// How far the service's clock is ahead of this machine's (behind if
    /// negative), in seconds. It shows in the `Date` of every answer and decides
    /// about signatures and tokens.
    pub clock_offset_seconds: i64,
    /// The jobs there are from the start.
    pub jobs: Vec<JobSpec>,
    /// Whether every well-formed job id that is asked for is a running job.
    pub accept_any_job: bool,
    /// Whether the service tells which actions a job's state allows: in each row
    /// of the list and by `GET /v5/{project_id}/jobs/{id}/actions`.
    pub job_actions: bool,
    /// The faults that wait for password changes from the start.
    pub faults: Vec<Fault>,
    /// The faults that wait for logins.
    pub login_faults: Vec<Fault>,
    /// The faults that wait for queries and retries.
    pub query_faults: Vec<Fault>,
    /// Added to the answer of every password change.
    pub latency: Duration,
    /// How long a job that is turned away by a database goes on before it fails,
    /// and how long a retry takes.
    pub failure_delay: Duration,
    /// Whether recorded requests keep their raw bodies, passwords and all.
    pub record_bodies: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            project_id: "0123456789abcdef0123456789abcdef".to_owned(),
            project_name: "eu-de".to_owned(),
            other_projects: Vec::new(),
            token: None,
            token_life: Duration::from_secs(24 * 60 * 60),
            users: Vec::new(),
            access_keys: Vec::new(),
            catalog: CatalogSpec::default(),
            clock_offset_seconds: 0,
            jobs: Vec::new(),
            accept_any_job: false,
            job_actions: false,
            faults: Vec::new(),
            login_faults: Vec::new(),
            query_faults: Vec::new(),
            latency: Duration::ZERO,
            failure_delay: Duration::from_secs(10),
            record_bodies: false,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("port", &self.port)
            .field("project_id", &self.project_id)
            .field("project_name", &self.project_name)
            .field("other_projects", &self.other_projects)
            .field("token_life", &self.token_life)
            .field("users", &self.users)
            .field("access_keys", &self.access_keys)
            .field("catalog", &self.catalog)
            .field("clock_offset_seconds", &self.clock_offset_seconds)
            .field("jobs", &self.jobs)
            .field("accept_any_job", &self.accept_any_job)
            .field("job_actions", &self.job_actions)
            .field("faults", &self.faults)
            .field("login_faults", &self.login_faults)
            .field("query_faults", &self.query_faults)
            .field("latency", &self.latency)
            .field("failure_delay", &self.failure_delay)
            .field("record_bodies", &self.record_bodies)
            .finish_non_exhaustive()
    }
}
