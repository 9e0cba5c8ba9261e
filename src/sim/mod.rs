//! A local Data Replication Service to try things against.
//!
//! Owns a server on the loopback address that keeps to the rules of the real
//! service as far as they are documented, and breaks them on request. It uses no
//! other module of this crate: if it shared the client's notion of a field name,
//! a misspelling would be wrong on both sides and pass.
//!
//! What it refuses: to be reached from another machine, to accept credentials
//! other than its own, to keep a password in plain text beyond the request that
//! brought it (unless a test asks for bodies to be recorded), and to show one.
//!
//! ```text
//! mod ─ server (thread, sockets) ─ service (routes, common checks) ─┬─ password ─ shape
//!                                                                   ├─ status
//!                                                                   └─ admin
//! shared (one lock): store ─ job, strike ─ fault, record
//! ```

mod admin;
mod fault;
mod job;
mod password;
mod record;
mod reply;
pub mod scenario;
mod server;
mod service;
mod shape;
mod shared;
mod status;
mod store;
mod strike;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::watch;

pub use self::fault::{Answer, EchoForm, Fault, FaultKind, MessageKey, Rejection, When, Which};
pub use self::job::Endpoint;
pub use self::record::{Answered, Recorded};
use self::server::Server;
use self::shared::{Inner, Shared};
use self::store::Store;
use self::tokens::Nonces;

/// How a simulator is set up.
#[derive(Clone)]
pub struct Config {
    /// The address to listen on; it must be a loopback address.
    pub address: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// The project id that paths must name.
    pub project_id: String,
    /// The token that callers must send; `None` makes a random one.
    pub token: Option<String>,
    /// The jobs there are from the start.
    pub jobs: Vec<JobSpec>,
    /// Whether every well-formed job id that is asked for is a running job.
    pub accept_any_job: bool,
    /// The faults that wait from the start.
    pub faults: Vec<Fault>,
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
            token: None,
            jobs: Vec::new(),
            accept_any_job: false,
            faults: Vec::new(),
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
            .field("jobs", &self.jobs)
            .field("accept_any_job", &self.accept_any_job)
            .field("faults", &self.faults)
            .field("latency", &self.latency)
            .field("failure_delay", &self.failure_delay)
            .field("record_bodies", &self.record_bodies)
            .finish_non_exhaustive()
    }
}

/// One job as it is at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The job id. It is taken as it is, well-formed or not.
    pub id: String,
    /// The name people gave it.
    #[serde(default)]
    pub name: String,
    /// The state (OTC api-ref, Task Statuses), by default a running one.
    #[serde(default = "running")]
    pub status: String,
    /// The database that is read.
    #[serde(default)]
    pub source: Option<EndpointSpec>,
    /// The database that is written.
    #[serde(default)]
    pub destination: Option<EndpointSpec>,
    /// The id of the parent, for a subtask.
    #[serde(default)]
    pub parent: Option<String>,
    /// Whether this is the parent of a dual-active pair, which may not be told
    /// passwords (OTC api-ref, Changing the Passwords…, Constraints).
    #[serde(default)]
    pub dual_active_parent: bool,
    /// `migration`, `sync` or `cloudDataGuard`.
    #[serde(default = "sync")]
    pub db_use_type: String,
}

impl JobSpec {
    /// A running synchronization whose databases accept any password.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: String::new(),
            status: running(),
            source: None,
            destination: None,
            parent: None,
            dual_active_parent: false,
            db_use_type: sync(),
        }
    }
}

fn running() -> String {
    "INCRE_TRANSFER_STARTED".to_owned()
}

fn sync() -> String {
    "sync".to_owned()
}

/// One database of a job.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// The password the database accepts, and the one DRS was given when the job
    /// was made. `None` accepts any password until another is set.
    #[serde(default)]
    pub real_password: Option<String>,
}

impl fmt::Debug for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSpec").finish_non_exhaustive()
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can be reached from other machines.
    #[error("{0} is no loopback address, and the simulator serves no other")]
    NotLoopback(IpAddr),
    /// The address or its port is taken, or no thread can be started.
    #[error("the simulator cannot listen on {address}")]
    Listen {
        /// What was to be bound.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("no random bytes for the simulator's tokens")]
    Random(#[source] getrandom::Error),
    /// Two jobs have the same id.
    #[error("job {0} is configured twice")]
    DuplicateJob(String),
    /// A fault can never strike or cannot be sent.
    #[error("fault {number}: {why}")]
    BadFault {
        /// Its place in the list, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A running simulator. It stops, and cuts all connections, when dropped.
///
/// All methods may be called from any thread, within or without a runtime.
pub struct Simulator {
    shared: Arc<Shared>,
    server: Server,
}

impl Simulator {
    /// Starts a simulator on a thread of its own; it is reachable at once.
    ///
    /// Fails if the address is not loopback or cannot be bound, if a job is
    /// configured twice or if a fault makes no sense.
    pub fn start(config: Config) -> Result<Self, StartError> {
        if !config.address.is_loopback() {
            return Err(StartError::NotLoopback(config.address));
        }
        let nonces = Arc::new(Nonces::new().map_err(StartError::Random)?);
        let store = Store::new(
            config.jobs,
            Arc::clone(&nonces),
            config.accept_any_job,
            config.failure_delay,
        )
        .map_err(StartError::DuplicateJob)?;
        let mut inner = Inner::new(store);
        for (index, fault) in config.faults.into_iter().enumerate() {
            let number = index + 1;
            fault
                .check()
                .map_err(|why| StartError::BadFault { number, why })?;
            inner.faults.inject(fault);
        }
        let shared = Arc::new(Shared {
            project_id: config.project_id,
            token: config.token.unwrap_or_else(|| nonces.token()),
            admin_token: nonces.token(),
            latency: config.latency,
            record_bodies: config.record_bodies,
            nonces,
            release: watch::Sender::new(0),
            put_received: Condvar::new(),
            inner: Mutex::new(inner),
        });
        let address = SocketAddr::new(config.address, config.port);
        let server = Server::start(address, Arc::clone(&shared))
            .map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { shared, server })
    }

    /// The address as a URL without a path, such as `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The project id that paths must name.
    pub fn project_id(&self) -> &str {
        &self.shared.project_id
    }

    /// The token for `X-Auth-Token`.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// The token for `X-Sim-Admin`, new with every start.
    pub fn admin_token(&self) -> &str {
        &self.shared.admin_token
    }

    /// Whether this is the password DRS was last told for `source` or
    /// `destination` of the job. False for a job or endpoint it does not know.
    pub fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        let inner = self.shared.lock();
        let found = Endpoint::from_name(endpoint).zip(inner.store.get(job));
        found.is_some_and(|(endpoint, job)| job.holds(endpoint, password))
    }

    /// Whether DRS was told any password for that endpoint since the start.
    pub fn knows(&self, job: &str, endpoint: &str) -> bool {
        let inner = self.shared.lock();
        let found = Endpoint::from_name(endpoint).zip(inner.store.get(job));
        found.is_some_and(|(endpoint, job)| job.knows(endpoint))
    }

    /// Whether too many refused logins have locked the account at the database.
    pub fn is_locked(&self, job: &str, endpoint: &str) -> bool {
        let inner = self.shared.lock();
        let found = Endpoint::from_name(endpoint).zip(inner.store.get(job));
        found.is_some_and(|(endpoint, job)| job.is_locked(endpoint))
    }

    /// The state of the job now; `None` if there is no such job.
    pub fn status(&self, job: &str) -> Option<String> {
        let mut inner = self.shared.lock();
        inner
            .store
            .status(job, Instant::now())
            .map(ToOwned::to_owned)
    }

    /// All requests so far in the order in which they came in whole, without
    /// admin calls.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().log.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// The highest number of password changes that were under way at one time,
    /// each from its first line to its answer.
    pub fn max_in_flight(&self) -> usize {
        self.shared.lock().max_in_flight
    }

    /// Lets a fault wait for its request.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().faults.inject(fault);
    }

    /// Puts a job into a state; false if there is no such job.
    pub fn set_status(&self, job: &str, status: &str) -> bool {
        let mut inner = self.shared.lock();
        inner.store.set_status(job, status, Instant::now())
    }

    /// Changes the password at the database, as an operator would before telling
    /// DRS, and unlocks the account. False if there is no such job or endpoint.
    pub fn set_real_password(&self, job: &str, endpoint: &str, password: &str) -> bool {
        let Some(endpoint) = Endpoint::from_name(endpoint) else {
            return false;
        };
        let mut inner = self.shared.lock();
        inner
            .store
            .set_real_password(job, endpoint, password, Instant::now())
    }

    /// Retries a failed job, as an operator would in the console. False if there
    /// is no such job or it has not failed.
    pub fn retry(&self, job: &str) -> bool {
        self.shared.lock().store.retry(job, Instant::now())
    }

    /// Lets all held requests go on. Requests held later wait for the next call.
    pub fn release(&self) {
        self.shared.let_go();
    }

    /// Blocks until this many password changes have come in whole since the
    /// start, and says whether they have. Those that are acted on at once have
    /// been acted on by then.
    pub fn wait_for_put(&self, count: usize, timeout: Duration) -> bool {
        self.shared.wait_for_puts(count as u64, timeout)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("address", &self.server.address)
            .finish_non_exhaustive()
    }
}
