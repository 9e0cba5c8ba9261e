//! The jobs of the simulated project, found by id.
//!
//! Owns which jobs there are. Every look at a job first brings its state up to
//! the time handed in, so no timer runs. Refuses to hold rules of a single job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Endpoint, Job};
use super::spec::JobSpec;
use super::state::Denied;
use super::tokens::Nonces;

/// All jobs of the simulated project.
pub(super) struct Store {
    jobs: BTreeMap<String, Job>,
    nonces: Arc<Nonces>,
    accept_any_job: bool,
    failure_delay: Duration,
}

impl Store {
    /// Fails with the id if two jobs have the same one.
    pub(super) fn new(
        specs: Vec<JobSpec>,
        nonces: Arc<Nonces>,
        accept_any_job: bool,
        failure_delay: Duration,
    ) -> Result<Self, String> {
        let mut store = Self {
            jobs: BTreeMap::new(),
            nonces,
            accept_any_job,
            failure_delay,
        };
        for spec in specs {
            if store.jobs.contains_key(&spec.id) {
                return Err(spec.id);
            }
            store.add(spec);
        }
        Ok(store)
    }

    /// The same store without any job, and without making any up.
    pub(super) fn emptied(&self) -> Self {
        Self {
            jobs: BTreeMap::new(),
            nonces: Arc::clone(&self.nonces),
            accept_any_job: false,
            failure_delay: self.failure_delay,
        }
    }

    fn add(&mut self, spec: JobSpec) {
        let id = spec.id.clone();
        self.jobs.insert(id, Job::new(spec, || self.nonces.salt()));
    }

    /// The job as it is at `now`. With `accept_any_job`, a well-formed id that
    /// was never seen becomes a running job.
    pub(super) fn job(&mut self, id: &str, now: Instant) -> Option<&mut Job> {
        if self.accept_any_job && !self.jobs.contains_key(id) && is_well_formed(id) {
            self.add(JobSpec::new(id));
        }
        let job = self.jobs.get_mut(id)?;
        job.advance(now, self.failure_delay);
        Some(job)
    }

    /// Does something to a job, then lets the consequences that are due happen.
    /// `None` if there is no such job.
    fn change<T>(&mut self, id: &str, now: Instant, act: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let delay = self.failure_delay;
        let job = self.job(id, now)?;
        let result = act(job);
        job.advance(now, delay);
        Some(result)
    }

    /// All known jobs as they are at `now`, in the order of their ids.
    pub(super) fn jobs(&mut self, now: Instant) -> impl Iterator<Item = (&String, &Job)> {
        let delay = self.failure_delay;
        self.jobs.iter_mut().map(move |(id, job)| {
            job.advance(now, delay);
            (id, &*job)
        })
    }

    pub(super) fn status(&mut self, id: &str, now: Instant) -> Option<&str> {
        self.job(id, now).map(|job| job.status.as_str())
    }

    /// What the password call does to one entry.
    pub(super) fn change_password(
        &mut self,
        id: &str,
        endpoint: Endpoint,
        password: &str,
        now: Instant,
    ) -> Result<(), Denied> {
        self.change(id, now, |job| job.change_password(endpoint, password))
            .unwrap_or(Err(Denied::NotFound))
    }

    /// Changes the password at the database itself, unknown to DRS.
    pub(super) fn set_real_password(
        &mut self,
        id: &str,
        endpoint: Endpoint,
        password: &str,
        now: Instant,
    ) -> bool {
        self.change(id, now, |job| job.set_real_password(endpoint, password))
            .is_some()
    }

    pub(super) fn set_status(&mut self, id: &str, status: &str, now: Instant) -> bool {
        self.change(id, now, |job| job.set_status(status)).is_some()
    }

    /// Whether the job was there and in a state that can be retried.
    pub(super) fn retry(&mut self, id: &str, now: Instant) -> bool {
        self.change(id, now, |job| job.retry(now)) == Some(true)
    }

    /// What the retry call does to one job.
    pub(super) fn resume(&mut self, id: &str, now: Instant) -> Result<(), Denied> {
        self.change(id, now, |job| job.resume(now))
            .unwrap_or(Err(Denied::NotFound))
    }

    /// The job as it was last looked at; for questions that time does not change.
    pub(super) fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }
}

/// Whether an id has the form of real ones: 8-4-4-4-12 digits and small letters,
/// which reach beyond `f` (OTC api-ref, examples with a tail like `jb52`).
fn is_well_formed(id: &str) -> bool {
    let mut groups = id.split('-');
    [8, 4, 4, 4, 12].iter().all(|length| {
        groups.next().is_some_and(|group| {
            group.len() == *length
                && group
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        })
    }) && groups.next().is_none()
}
