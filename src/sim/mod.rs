//! A local Data Replication Service to try things against.
//!
//! A server on the loopback address that follows the documented rules of the real service, and
//! breaks them on request. It uses no other module of this crate: if it shared the client's notion
//! of a field name, a misspelling would be wrong on both sides and pass.
//!
//! It accepts its own credentials alone, keeps no password in plain text beyond the request that
//! brought it (unless a test records bodies), and shows none (unless a test puts a made-up one
//! into a job's details).

mod accounts;
mod admin;
mod ambient;
mod fault;
mod http;
mod iam;
mod job;
mod password;
mod queries;
pub mod scenario;
mod server;
mod shared;
mod signature;
mod spec;
#[cfg(test)]
mod tests;

use std::mem::take;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use self::accounts::{Person, SigningKeys, SimToken, SimTokens, Users};
use self::ambient::Nonces;
use self::fault::{ArmedFaults, FaultQueue};
pub use self::fault::{
    CannedAnswer, EchoForm, Fault, FaultKind, FaultTrigger, MessageKey, QueryCall, Rejection, Which,
};
pub use self::http::{Completion, Recorded};
use self::job::{DatabaseLogin, JobStore, SimJob};
pub use self::scenario::SimConfig;
use self::server::Server;
use self::shared::{Shared, SimState};
pub use self::spec::{
    AccessKeySpec, CatalogSpec, EndPointType, EndpointSpec, JobSpec, ProjectSpec, UserSpec,
};

/// Stops, and cuts all connections, when dropped. All methods may be called from any thread,
/// inside or outside a runtime.
pub struct Simulator {
    shared: Arc<Shared>,
    _server: Server,
}

impl Simulator {
    /// Starts a simulator on a thread of its own; it is reachable at once. An error says why not.
    pub fn start(mut config: SimConfig) -> Result<Self, String> {
        let nonces = Nonces::new().map_err(|_| "no random bytes for the simulator's tokens")?;
        let nonces = Arc::new(nonces);
        let store = |invents| JobStore::new(Arc::clone(&nonces), invents, config.failure_delay);
        let (mut jobs, elsewhere) = (store(config.accept_any_job), store(false));
        for spec in take(&mut config.jobs) {
            let added = jobs.add(spec);
            added.map_err(|id| format!("job {id} is configured twice"))?;
        }
        for id in config.faults.iter().flat_map(Fault::jobs) {
            let found = jobs.job(id, Instant::now());
            found.ok_or_else(|| format!("a fault names job {id}, which is not configured"))?;
        }
        let started = ambient::now(config.clock_offset_seconds);
        let token = config.token.take().unwrap_or_else(|| nonces.token());
        let tokens = SimTokens::new(SimToken {
            token: token.clone(),
            person: Person::unnamed(),
            project: Some(config.project_id.clone()),
            methods: vec!["password"],
            issued: started,
            expires: None,
        });
        let state = SimState {
            jobs,
            elsewhere,
            users: Users::new(take(&mut config.users), || nonces.salt()),
            keys: SigningKeys::new(take(&mut config.access_keys)),
            tokens,
            faults: [
                armed(take(&mut config.faults), FaultQueue::Changes)?,
                armed(take(&mut config.login_faults), FaultQueue::Logins)?,
                armed(take(&mut config.query_faults), FaultQueue::Queries)?,
            ],
            log: Vec::new(),
            connections: 0,
            open_connections: 0,
            logins: 0,
            in_flight: 0,
            max_in_flight: 0,
        };
        let mut projects = vec![ProjectSpec {
            id: config.project_id.clone(),
            name: config.project_name.clone(),
        }];
        projects.append(&mut config.other_projects);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let failed = |_| format!("the simulator cannot listen on {address}");
        let (listener, bound) = Server::bind(address).map_err(failed)?;
        let shared = Arc::new(Shared {
            config,
            url: format!("http://{bound}"),
            projects,
            token,
            admin_token: nonces.token(),
            started,
            nonces,
            release: watch::Sender::new(0),
            put_received: Condvar::new(),
            state: Mutex::new(state),
        });
        let server = Server::start(listener, Arc::clone(&shared)).map_err(failed)?;
        Ok(Self {
            shared,
            _server: server,
        })
    }

    /// The address as a URL without a path, such as `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    pub fn project_id(&self) -> &str {
        &self.shared.config.project_id
    }

    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// The token for `X-Sim-Admin`, new with every start.
    pub fn admin_token(&self) -> &str {
        &self.shared.admin_token
    }

    /// Returns whether this password was last set in DRS for `source` or `destination` of the job.
    pub fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        self.login_is(job, endpoint, |login| login.holds(password))
    }

    /// Returns whether any password was set in DRS for that endpoint since the start.
    pub fn knows(&self, job: &str, endpoint: &str) -> bool {
        self.login_is(job, endpoint, DatabaseLogin::is_told)
    }

    /// Returns whether too many refused logins have locked the account at the database.
    pub fn is_locked(&self, job: &str, endpoint: &str) -> bool {
        self.login_is(job, endpoint, DatabaseLogin::is_locked)
    }

    fn login_is(&self, job: &str, endpoint: &str, is: impl FnOnce(&DatabaseLogin) -> bool) -> bool {
        let state = self.shared.lock();
        let found = named(endpoint).zip(state.jobs.get(job));
        found.is_some_and(|(endpoint, job)| is(job.login(endpoint)))
    }

    pub fn status(&self, job: &str) -> Option<String> {
        let mut state = self.shared.lock();
        let job = state.jobs.job(job, Instant::now());
        job.map(|job| job.status.clone())
    }

    /// Returns the requests in order of arrival, without admin calls.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().log.clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    pub fn open_connections(&self) -> usize {
        self.shared.lock().open_connections
    }

    /// Returns the most password changes at one time, each from its first line to its answer.
    pub fn max_in_flight(&self) -> usize {
        self.shared.lock().max_in_flight
    }

    pub fn logins(&self) -> usize {
        self.shared.lock().logins
    }

    /// Returns how many login calls arrived, whatever their result.
    pub fn login_attempts(&self) -> usize {
        let met = self.shared.lock().faults[FaultQueue::Logins as usize].met;
        usize::try_from(met).unwrap_or(usize::MAX)
    }

    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.lock().tokens.issued()
    }

    pub fn expire_tokens(&self) {
        let now = self.shared.now();
        self.shared.lock().tokens.expire(now);
    }

    pub fn inject(&self, fault: Fault) {
        self.shared.inject(FaultQueue::Changes, fault);
    }

    pub fn inject_login(&self, fault: Fault) {
        self.shared.inject(FaultQueue::Logins, fault);
    }

    /// Injects a fault into that query or the retry, or any of them. Returns false if there is none.
    pub fn inject_query(&self, call: Option<&str>, mut fault: Fault) -> bool {
        fault.call = call.and_then(named);
        let is_known = fault.call.is_some() || call.is_none();
        if is_known {
            self.shared.inject(FaultQueue::Queries, fault);
        }
        is_known
    }

    /// Returns false if there is no such job.
    pub fn set_status(&self, job: &str, status: &str) -> bool {
        let changed = self.shared.change(job, |job, _| job.set_status(status));
        changed.is_some()
    }

    /// Sets it in the database, which unlocks the account. Returns false for an unknown endpoint.
    pub fn set_real_password(&self, job: &str, endpoint: &str, password: &str) -> bool {
        let changed = named(endpoint).and_then(|endpoint| {
            let change = |job: &mut SimJob, _| job.login_mut(endpoint).change(password);
            self.shared.change(job, change)
        });
        changed.is_some()
    }

    /// Lets all held requests go on. Requests held later wait for the next call.
    pub fn release(&self) {
        self.shared.let_go();
    }

    /// Blocks until this many password changes have arrived whole, and returns whether they have.
    /// Those that are acted on at once have been acted on by then.
    pub fn wait_for_put(&self, count: usize, timeout: Duration) -> bool {
        self.shared.wait_for_puts(count as u64, timeout)
    }
}

/// Parses a word of scenario files.
fn named<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(word.into()).ok()
}

/// Arms faults for the start; fails with the first invalid one.
fn armed(faults: Vec<Fault>, queue: FaultQueue) -> Result<ArmedFaults, String> {
    let mut armed = ArmedFaults::default();
    for (fault, number) in faults.into_iter().zip(1..) {
        let checked = fault.check(queue);
        checked.map_err(|why| format!("fault {number}: {why}"))?;
        armed.inject(fault);
    }
    Ok(armed)
}
