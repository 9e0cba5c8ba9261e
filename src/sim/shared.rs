//! The data that the server's thread and the owner of a simulator share, with the one lock, which
//! is never held across a wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::accounts::{SigningKeys, SimTokens, Users};
use super::ambient::{self, Nonces};
use super::fault::{ArmedFaults, Fault, FaultKind, FaultQueue};
use super::http::{Recorded, ServiceRequest};
use super::job::{JobStore, SimJob};
use super::scenario::SimConfig;
use super::spec::ProjectSpec;

pub struct Shared {
    /// Without what became part of the state.
    pub config: SimConfig,
    pub url: String,
    /// All projects of the account, the one with the jobs first.
    pub projects: Vec<ProjectSpec>,
    pub token: String,
    pub admin_token: String,
    /// When the simulator started by its clock; all jobs were made then.
    pub started: Timestamp,
    pub nonces: Arc<Nonces>,
    /// Counts releases; a held request waits for the next one.
    pub release: watch::Sender<u64>,
    /// Signalled whenever a password change arrived whole.
    pub put_received: Condvar,
    pub state: Mutex<SimState>,
}

pub struct SimState {
    pub jobs: JobStore,
    pub elsewhere: JobStore,
    pub users: Users,
    pub keys: SigningKeys,
    pub tokens: SimTokens,
    /// Those of each [`FaultQueue`].
    pub faults: [ArmedFaults; 3],
    pub log: Vec<Recorded>,
    pub connections: usize,
    /// Those that have not ended.
    pub open_connections: usize,
    /// Login calls that were given a token.
    pub logins: usize,
    pub in_flight: usize,
    pub max_in_flight: usize,
}

impl Shared {
    /// Locks the changing part. A panic elsewhere leaves it usable: no step of a change under the lock
    /// depends on the one before.
    pub fn lock(&self) -> MutexGuard<'_, SimState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Timestamp {
        ambient::now(self.config.clock_offset_seconds)
    }

    pub fn wait_for_puts(&self, wanted: u64, timeout: Duration) -> bool {
        let (_guard, waited) = self
            .put_received
            .wait_timeout_while(self.lock(), timeout, |state| {
                state.faults[FaultQueue::Changes as usize].met < wanted
            })
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    pub fn inject(&self, queue: FaultQueue, fault: Fault) {
        self.lock().faults[queue as usize].inject(fault);
    }

    /// Removes all faults. The count of requests goes on.
    pub fn disarm(&self) {
        self.lock().faults.iter_mut().for_each(ArmedFaults::disarm);
    }

    /// Changes a job; returns `None` if there is no such job.
    pub fn change<T>(&self, job: &str, act: impl FnOnce(&mut SimJob, Instant) -> T) -> Option<T> {
        let now = Instant::now();
        self.lock().jobs.change(job, now, |job| act(job, now))
    }

    pub fn let_go(&self) {
        self.release.send_modify(|count| *count += 1);
    }
}

pub struct SimExchange<'a> {
    pub shared: &'a Shared,
    pub state: &'a mut SimState,
    pub request: &'a ServiceRequest,
    pub faults: &'a [FaultKind],
    /// How many entries of a password change were applied and refused.
    pub changed: Option<(usize, usize)>,
}

impl SimExchange<'_> {
    /// Returns the jobs of the project in the path; all configured ones are in the first.
    pub fn jobs(&mut self) -> &mut JobStore {
        match self.request.project == self.shared.config.project_id {
            true => &mut self.state.jobs,
            false => &mut self.state.elsewhere,
        }
    }
}
