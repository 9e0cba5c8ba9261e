//! What the server's thread and the owner of a simulator have in common, with the one
//! lock, which is never held across anything that waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::accounts::{AccessKeys, SimTokens, Users};
use super::ambient::{Clock, Nonces};
use super::fault::{ArmedFaults, FaultKind, Hit, QueryCall};
use super::http::{Completion, Recorded, ServiceRequest};
use super::job::JobStore;
use super::spec::{CatalogSpec, EndPointType, ProjectSpec};

/// Settings, which never change, and everything that does.
pub struct Shared {
    /// The address as a URL without a path.
    pub url: String,
    pub project_id: String,
    /// All projects of the account, that one first.
    pub projects: Vec<ProjectSpec>,
    pub token: String,
    pub token_life: Duration,
    pub catalog: CatalogSpec,
    pub job_actions: bool,
    pub clock: Clock,
    /// When the simulator started by that clock; all jobs were made then.
    pub started: Timestamp,
    pub admin_token: String,
    pub latency: Duration,
    pub record_bodies: bool,
    pub nonces: Arc<Nonces>,
    /// Counts releases; a held request waits for the next one.
    pub release: watch::Sender<u64>,
    /// Signalled whenever `SimState::received` grows.
    pub put_received: Condvar,
    pub state: Mutex<SimState>,
}

/// What changes while the simulator runs.
pub struct SimState {
    /// The jobs that were configured.
    pub jobs: JobStore,
    /// The jobs of all other projects: none.
    elsewhere: JobStore,
    pub users: Users,
    pub keys: AccessKeys,
    pub tokens: SimTokens,
    pub faults: ArmedFaults,
    pub login_faults: ArmedFaults,
    pub query_faults: ArmedFaults,
    pub log: Vec<Recorded>,
    pub connections: usize,
    /// Password changes that came in whole.
    pub received: u64,
    /// Login calls that came in whole.
    pub login_attempts: u64,
    /// Login calls that were given a token.
    pub logins: usize,
    /// Queries and retries that came in whole.
    queries: BTreeMap<QueryCall, u64>,
    in_flight: usize,
    pub max_in_flight: usize,
}

impl SimState {
    pub fn new(jobs: JobStore, users: Users, keys: AccessKeys, tokens: SimTokens) -> Self {
        Self {
            elsewhere: jobs.emptied(),
            jobs,
            users,
            keys,
            tokens,
            faults: ArmedFaults::default(),
            login_faults: ArmedFaults::default(),
            query_faults: ArmedFaults::default(),
            log: Vec::new(),
            connections: 0,
            received: 0,
            login_attempts: 0,
            logins: 0,
            queries: BTreeMap::new(),
            in_flight: 0,
            max_in_flight: 0,
        }
    }

    /// The jobs of a project; all that were configured are in the first one.
    pub fn jobs_of(&mut self, shared: &Shared, project: &str) -> &mut JobStore {
        match project == shared.project_id {
            true => &mut self.jobs,
            false => &mut self.elsewhere,
        }
    }

    /// Counts a password change with these entries, and chooses its faults.
    pub fn strike_change(&mut self, entries: &[(&str, EndPointType)]) -> Vec<FaultKind> {
        self.received += 1;
        self.faults.strike(&Hit {
            number: self.received,
            call: None,
            entries,
        })
    }

    pub fn strike_login(&mut self) -> Vec<FaultKind> {
        self.login_attempts += 1;
        self.login_faults.strike(&Hit {
            number: self.login_attempts,
            call: None,
            entries: &[],
        })
    }

    pub fn strike_query(&mut self, call: QueryCall) -> Vec<FaultKind> {
        let own = self.queries.entry(call).or_default();
        *own += 1;
        let call = Some((call, *own));
        self.query_faults.strike(&Hit {
            number: self.queries.values().sum(),
            call,
            entries: &[],
        })
    }
}

impl Shared {
    /// The changing part. A panic elsewhere leaves it usable: no step of a change
    /// made under the lock depends on the one before.
    pub fn lock(&self) -> MutexGuard<'_, SimState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for_puts(&self, wanted: u64, timeout: Duration) -> bool {
        let (_guard, waited) = self
            .put_received
            .wait_timeout_while(self.lock(), timeout, |state| state.received < wanted)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    pub fn let_go(&self) {
        self.release.send_modify(|count| *count += 1);
    }
}

/// One request while it is in the house. Dropped without an answer, which also
/// happens when the caller hangs up, it marks the record as cut.
pub struct Visit {
    shared: Arc<Shared>,
    is_put: bool,
    record: Option<usize>,
}

impl Visit {
    /// A password change counts as in flight from here on.
    pub fn enter(shared: &Arc<Shared>, is_put: bool) -> Self {
        if is_put {
            let mut state = shared.lock();
            state.in_flight += 1;
            state.max_in_flight = state.max_in_flight.max(state.in_flight);
        }
        Self {
            shared: Arc::clone(shared),
            is_put,
            record: None,
        }
    }

    pub fn record(
        &mut self,
        state: &mut SimState,
        request: &ServiceRequest,
        entries: Vec<(String, String)>,
    ) {
        let body = request.body.clone().filter(|_| self.shared.record_bodies);
        self.record = Some(state.log.len());
        state.log.push(Recorded::new(&request.head, body, entries));
    }

    pub fn completed(&self, how: Completion) {
        self.complete(&mut self.shared.lock(), how);
    }

    fn complete(&self, state: &mut SimState, how: Completion) {
        if let Some(recorded) = self.record.and_then(|index| state.log.get_mut(index))
            && recorded.completion == Completion::Pending
        {
            recorded.completion = how;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.in_flight -= usize::from(self.is_put);
        self.complete(&mut state, Completion::Cut);
    }
}
