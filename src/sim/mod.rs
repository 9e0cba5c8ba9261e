//! A local Data Replication Service to try things against.
//!
//! Owns a server on the loopback address that keeps to the rules of the real
//! service as far as they are documented, and breaks them on request. It uses no
//! other module of this crate: if it shared the client's notion of a field name,
//! a misspelling would be wrong on both sides and pass.
//!
//! What it refuses: to be reached from another machine, to accept credentials
//! other than its own, to keep a password in plain text beyond the request that
//! brought it (unless a test asks for bodies to be recorded), and to show one
//! (unless a test puts a made-up one into a job's details). Secret keys stay in
//! plain text, since no signature can be checked without them.
//!
//! ```text
//! mod ─ server (thread, sockets) ─ service (routes, common checks) ─┬─ password ─ shape
//!       config, spec, scenario            │                         ├─ query ─ status, detail,
//!                                      caller ─┬─ sessions          │          list, retry, action,
//!                                              └─ keys ─ signature  │          login ─ users,
//!                                                                   │          projects, catalog
//!                                                                   └─ admin
//! shared (one lock): store ─ job ─ state, database; strike ─ fault; record
//! ```

mod action;
mod admin;
mod caller;
mod catalog;
mod clock;
mod config;
mod database;
mod detail;
mod fault;
mod job;
mod keys;
mod kind;
mod list;
mod login;
mod page;
mod password;
mod projects;
mod query;
mod record;
mod reply;
mod retry;
pub mod scenario;
mod server;
mod service;
mod sessions;
mod shape;
mod shared;
mod signature;
mod spec;
mod state;
mod status;
mod store;
mod strike;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod versions;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::clock::Clock;
pub use self::config::Config;
pub use self::fault::{Fault, QueryCall, When};
pub use self::job::Endpoint;
use self::keys::Keys;
pub use self::kind::{Answer, EchoForm, FaultKind, MessageKey, Rejection, Which};
pub use self::record::{Answered, Recorded};
use self::server::Server;
use self::sessions::{Session, Sessions};
use self::shared::{Inner, Shared};
pub use self::spec::{AccessKeySpec, CatalogSpec, EndpointSpec, JobSpec, ProjectSpec, UserSpec};
use self::store::Store;
use self::strike::Faults;
use self::tokens::Nonces;
use self::users::{Person, Users};

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
        /// Its place in the list of its queue, counted from 1.
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
        let clock = Clock::ahead_by(config.clock_offset_seconds);
        let started = clock.now();
        let token = config.token.unwrap_or_else(|| nonces.token());
        let sessions = Sessions::new(Session {
            token: token.clone(),
            person: Person::unnamed(),
            project: Some(config.project_id.clone()),
            methods: vec!["password"],
            issued: started,
            expires: None,
        });
        let users = Users::new(config.users, || nonces.salt());
        let mut inner = Inner::new(store, users, Keys::new(config.access_keys), sessions);
        arm(&mut inner.faults, config.faults, Fault::check)?;
        arm(
            &mut inner.login_faults,
            config.login_faults,
            Fault::check_login,
        )?;
        arm(
            &mut inner.query_faults,
            config.query_faults,
            Fault::check_query,
        )?;
        let mut projects = vec![ProjectSpec {
            id: config.project_id.clone(),
            name: config.project_name,
        }];
        projects.extend(config.other_projects);
        let address = SocketAddr::new(config.address, config.port);
        let failed = |source| StartError::Listen { address, source };
        let (listener, bound) = Server::bind(address).map_err(failed)?;
        let shared = Arc::new(Shared {
            url: format!("http://{bound}"),
            project_id: config.project_id,
            projects,
            token,
            token_life: config.token_life,
            catalog: config.catalog,
            job_actions: config.job_actions,
            clock,
            started,
            admin_token: nonces.token(),
            latency: config.latency,
            record_bodies: config.record_bodies,
            nonces,
            release: watch::Sender::new(0),
            put_received: Condvar::new(),
            inner: Mutex::new(inner),
        });
        let server = Server::start(listener, bound, Arc::clone(&shared)).map_err(failed)?;
        Ok(Self { shared, server })
    }

    /// The address as a URL without a path, such as `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
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

    /// How many logins were given a token.
    pub fn logins(&self) -> usize {
        self.shared.lock().logins
    }

    /// How many login calls came in whole, whatever became of them.
    pub fn login_attempts(&self) -> usize {
        usize::try_from(self.shared.lock().login_attempts).unwrap_or(usize::MAX)
    }

    /// The tokens that logins were given, oldest first.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.lock().sessions.issued()
    }

    /// Ends all tokens that logins were given. The fixed one stays.
    pub fn expire_tokens(&self) {
        let now = self.shared.clock.now();
        self.shared.lock().sessions.expire(now);
    }

    /// Lets a fault wait for its password change.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().faults.inject(fault);
    }

    /// Lets a fault wait for its login.
    pub fn inject_login(&self, fault: Fault) {
        self.shared.lock().login_faults.inject(fault);
    }

    /// Lets a fault wait for a query or a retry: for the call of that name
    /// (`status`, `detail`, `list` or `retry`), or for any of them. False, and
    /// nothing waits, if there is no call of that name.
    pub fn inject_query(&self, call: Option<&str>, mut fault: Fault) -> bool {
        fault.call = call.and_then(QueryCall::from_name);
        if fault.call.is_none() && call.is_some() {
            return false;
        }
        self.shared.lock().query_faults.inject(fault);
        true
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

/// Lets faults wait from the start; fails with the first that makes no sense.
fn arm(
    queue: &mut Faults,
    faults: Vec<Fault>,
    check: fn(&Fault) -> Result<(), &'static str>,
) -> Result<(), StartError> {
    for (index, fault) in faults.into_iter().enumerate() {
        let number = index + 1;
        check(&fault).map_err(|why| StartError::BadFault { number, why })?;
        queue.inject(fault);
    }
    Ok(())
}
