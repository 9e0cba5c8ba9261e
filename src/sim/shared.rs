//! What the server's thread and the owner of a simulator have in common.
//!
//! Owns the one lock, the counters and the record of requests. Refuses to hold
//! the lock across anything that waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use hyper::http::request::Parts;
use jiff::Timestamp;
use tokio::sync::watch;

use super::clock::Clock;
use super::fault::QueryCall;
use super::keys::Keys;
use super::record::{Answered, Recorded};
use super::sessions::Sessions;
use super::spec::{CatalogSpec, ProjectSpec};
use super::store::Store;
use super::strike::Faults;
use super::tokens::Nonces;
use super::users::Users;

/// Settings, which never change, and everything that does.
pub(super) struct Shared {
    /// The address as a URL without a path.
    pub(super) url: String,
    pub(super) project_id: String,
    /// All projects of the account, that one first.
    pub(super) projects: Vec<ProjectSpec>,
    pub(super) token: String,
    pub(super) token_life: Duration,
    pub(super) catalog: CatalogSpec,
    pub(super) job_actions: bool,
    pub(super) clock: Clock,
    /// When the simulator started by that clock; all jobs were made then.
    pub(super) started: Timestamp,
    pub(super) admin_token: String,
    pub(super) latency: Duration,
    pub(super) record_bodies: bool,
    pub(super) nonces: Arc<Nonces>,
    /// Counts releases; a held request waits for the next one.
    pub(super) release: watch::Sender<u64>,
    /// Signalled whenever `Inner::received` grows.
    pub(super) put_received: Condvar,
    pub(super) inner: Mutex<Inner>,
}

/// What changes while the simulator runs.
pub(super) struct Inner {
    pub(super) store: Store,
    /// The jobs of all other projects: none.
    elsewhere: Store,
    pub(super) users: Users,
    pub(super) keys: Keys,
    pub(super) sessions: Sessions,
    pub(super) faults: Faults,
    pub(super) login_faults: Faults,
    pub(super) query_faults: Faults,
    pub(super) log: Vec<Recorded>,
    pub(super) connections: usize,
    /// Password changes that came in whole.
    pub(super) received: u64,
    /// Login calls that came in whole.
    pub(super) login_attempts: u64,
    /// Login calls that were given a token.
    pub(super) logins: usize,
    /// Queries and retries that came in whole.
    pub(super) queries: BTreeMap<QueryCall, u64>,
    pub(super) in_flight: usize,
    pub(super) max_in_flight: usize,
}

impl Inner {
    pub(super) fn new(store: Store, users: Users, keys: Keys, sessions: Sessions) -> Self {
        Self {
            elsewhere: store.emptied(),
            store,
            users,
            keys,
            sessions,
            faults: Faults::default(),
            login_faults: Faults::default(),
            query_faults: Faults::default(),
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
    pub(super) fn jobs_of(&mut self, shared: &Shared, project: &str) -> &mut Store {
        match project == shared.project_id {
            true => &mut self.store,
            false => &mut self.elsewhere,
        }
    }
}

impl Shared {
    /// The changing part. A panic elsewhere leaves it usable: no step of a change
    /// made under the lock depends on the one before.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for_puts(&self, wanted: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        while inner.received < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = self
                .put_received
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    pub(super) fn let_go(&self) {
        self.release.send_modify(|count| *count += 1);
    }
}

/// One request while it is in the house. Dropped without an answer, which also
/// happens when the caller hangs up, it marks the record as cut.
pub(super) struct Visit {
    shared: Arc<Shared>,
    is_put: bool,
    record: Option<usize>,
}

impl Visit {
    /// A password change counts as in flight from here on.
    pub(super) fn enter(shared: &Arc<Shared>, is_put: bool) -> Self {
        if is_put {
            let mut inner = shared.lock();
            inner.in_flight += 1;
            inner.max_in_flight = inner.max_in_flight.max(inner.in_flight);
        }
        Self {
            shared: Arc::clone(shared),
            is_put,
            record: None,
        }
    }

    pub(super) fn record(
        &mut self,
        inner: &mut Inner,
        head: &Parts,
        body: Option<Bytes>,
        entries: Vec<(String, String)>,
    ) {
        let body = body.filter(|_| self.shared.record_bodies);
        self.record = Some(inner.log.len());
        inner.log.push(Recorded::new(head, body, entries));
    }

    pub(super) fn answered(&mut self, how: Answered) {
        let mut inner = self.shared.lock();
        if let Some(recorded) = self.record.and_then(|index| inner.log.get_mut(index)) {
            recorded.answered = how;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        if self.is_put {
            inner.in_flight -= 1;
        }
        if let Some(recorded) = self.record.and_then(|index| inner.log.get_mut(index))
            && recorded.answered == Answered::Pending
        {
            recorded.answered = Answered::Cut;
        }
    }
}
