//! The jobs of the simulated project: their states, what each state allows, and the passwords in
//! DRS and the databases.
//!
//! Time is passed in, so tests need not wait: every access to a job first brings its state up to
//! that time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ambient::{Nonces, SaltedDigest, salted_digest};
use super::spec::{EndPointType, EndpointSpec, JobSpec};

/// Refused logins after which a database locks the account, by a policy of its own (OTC
/// user manual, synchronization scenarios: DRS retries may lock the account).
const LOCK_AFTER: u32 = 5;

/// Why the service does not change a job: code and text (OTC api-ref, Error Code; M00289 is seen
/// in live answers only).
pub struct Denied(pub &'static str, pub &'static str);

impl Denied {
    pub const NOT_FOUND: Self = Self("DRS.M00289", "The task does not exist.");
    const DELETED: Self = Self(
        "DRS.M05004",
        "The task has been deleted or its resources have been released.",
    );
    const PARENT: Self = Self("DRS.M00307", "Only subtasks can call this API.");
    const STATE: Self = Self(
        "DRS.M00304",
        "The API cannot be called in the current task status.",
    );
}

pub fn is_missing(code: &str) -> bool {
    matches!(code, "DRS.M00289" | "DRS.M05003" | "DRS.M05004")
}

/// The states in which the password of a job can be changed (OTC api-ref, Changing the Passwords…,
/// Constraints; the misspelt forms are on the status pages), with the state after a failed login,
/// and the state that a failed one returns to after a retry. A job that does not log in has
/// neither.
const STATES: [(&str, Option<&str>, Option<&str>); 10] = [
    ("STARTJOBING", Some("START_JOB_FAILED"), None),
    ("START_JOB_FAILED", None, Some("FULL_TRANSFER_STARTED")),
    ("STARTJOB_FAILED", None, Some("FULL_TRANSFER_STARTED")),
    ("FULL_TRANSFER_STARTED", Some("FULL_TRANSFER_FAILED"), None),
    ("FULL_TRANSFER_FAILED", None, Some("FULL_TRANSFER_STARTED")),
    ("FULL_TRANSFER_COMPLETE", Some("FULL_TRANSFER_FAILED"), None),
    (
        "INCRE_TRANSFER_STARTED",
        Some("INCRE_TRANSFER_FAILED"),
        None,
    ),
    (
        "INCRE_TRANSFER_FAILED",
        None,
        Some("INCRE_TRANSFER_STARTED"),
    ),
    ("PAUSING", None, None),
    ("PAUSEING", None, None),
];

fn forms(status: &str) -> Option<(Option<&'static str>, Option<&'static str>)> {
    let mut states = STATES.into_iter();
    states.find_map(|(name, failed, running)| (name == status).then_some((failed, running)))
}

fn may_change_password(status: &str) -> bool {
    forms(status).is_some()
}

fn failed_form(status: &str) -> Option<&'static str> {
    forms(status)?.0
}

fn running_form(status: &str) -> Option<&'static str> {
    forms(status)?.1
}

/// `PAUSING` is not a transition to another state (OTC api-ref, Task Statuses).
fn is_paused(status: &str) -> bool {
    forms(status) == Some((None, None))
}

/// Returns whether an action is available in this state. The names are those of the vendor's SDK,
/// JobActionResp; which state allows what is documented for the password call alone, and for the
/// other calls by what they do.
pub fn allows(status: &str, action: &str) -> bool {
    match action {
        "RESET_DB_PWD" => may_change_password(status),
        "RETRY" => running_form(status).is_some(),
        "START" => is_paused(status),
        "PAUSE" => failed_form(status).is_some() && status != "STARTJOBING",
        "DELETE" => status != "DELETED",
        _ => false,
    }
}

pub const ACTIONS: [&str; 5] = ["RESET_DB_PWD", "RETRY", "START", "PAUSE", "DELETE"];

/// The passwords around one database, as digests.
pub struct DatabaseLogin {
    salt: SaltedDigest,
    /// The password last set in DRS; `None` is the one from the creation of the job.
    held: Option<SaltedDigest>,
    /// What the database accepts now; `None` accepts anything.
    real: Option<SaltedDigest>,
    /// What the database accepted when the job was made.
    first_real: Option<SaltedDigest>,
    /// Whether DRS has a password that was right until the database changed.
    is_outdated: bool,
    /// One number for all endpoints of an account.
    refused: RefusedLogins,
}

type RefusedLogins = Arc<AtomicU32>;

impl DatabaseLogin {
    fn new(salt: SaltedDigest, real_password: Option<&str>, refused: RefusedLogins) -> Self {
        let real = real_password.map(|password| salted_digest(&salt, password));
        Self {
            salt,
            held: None,
            real,
            first_real: real,
            is_outdated: false,
            refused,
        }
    }

    /// Changes what the database accepts, which also unlocks the account.
    pub fn change(&mut self, password: &str) {
        self.is_outdated |= !self.is_wrong();
        self.real = Some(salted_digest(&self.salt, password));
        self.refused.store(0, Ordering::Relaxed);
    }

    pub fn holds(&self, password: &str) -> bool {
        self.held == Some(salted_digest(&self.salt, password))
    }

    pub fn is_told(&self) -> bool {
        self.held.is_some()
    }

    fn is_wrong(&self) -> bool {
        self.real.is_some() && self.held.or(self.first_real) != self.real
    }

    fn is_refused(&self) -> bool {
        self.is_wrong() || self.is_locked()
    }

    fn count(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_locked(&self) -> bool {
        self.refused.load(Ordering::Relaxed) >= LOCK_AFTER
    }
}

pub struct SimJob {
    /// The constant facts: the state is the first one, and passwords are removed.
    pub facts: JobSpec,
    pub status: String,
    logins: [DatabaseLogin; 2],
    wrong_since: Option<Instant>,
    /// When a retry began, and the failed state it began in.
    retry: Option<(Instant, String)>,
}

impl SimJob {
    /// A job without history; `salt` and `refused` are called once for each endpoint.
    fn new(
        mut spec: JobSpec,
        salt: impl Fn() -> [u8; 32],
        mut refused: impl FnMut(Option<&EndpointSpec>) -> RefusedLogins,
    ) -> Self {
        let mut login = |endpoint: &mut Option<EndpointSpec>| {
            let refused = refused(endpoint.as_ref());
            let password = endpoint.as_mut().and_then(|spec| spec.real_password.take());
            DatabaseLogin::new(salt(), password.as_deref(), refused)
        };
        Self {
            logins: [login(&mut spec.source), login(&mut spec.destination)],
            status: spec.status.clone(),
            facts: spec,
            wrong_since: None,
            retry: None,
        }
    }

    pub fn login(&self, endpoint: EndPointType) -> &DatabaseLogin {
        &self.logins[endpoint as usize]
    }

    pub fn login_mut(&mut self, endpoint: EndPointType) -> &mut DatabaseLogin {
        &mut self.logins[endpoint as usize]
    }

    pub fn change_password(
        &mut self,
        endpoint: EndPointType,
        password: &str,
    ) -> Result<(), Denied> {
        self.is_addressable()?;
        if !may_change_password(&self.status) {
            return Err(Denied::STATE);
        }
        let login = self.login_mut(endpoint);
        login.held = Some(salted_digest(&login.salt, password));
        login.is_outdated = false;
        Ok(())
    }

    fn is_addressable(&self) -> Result<(), Denied> {
        match () {
            () if self.status == "DELETED" => Err(Denied::DELETED),
            () if self.facts.dual_active_parent => Err(Denied::PARENT),
            () => Ok(()),
        }
    }

    pub fn set_status(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        self.retry = None;
        self.wrong_since = None;
    }

    /// Does what the retry call does: the console's retry, and resuming a paused job (OTC api-ref,
    /// Resuming or Retrying a Task).
    pub fn resume(&mut self, now: Instant) -> Result<(), Denied> {
        self.is_addressable()?;
        if is_paused(&self.status) {
            self.set_status("INCRE_TRANSFER_STARTED");
            return Ok(());
        }
        match self.retry(now) {
            true => Ok(()),
            false => Err(Denied::STATE),
        }
    }

    /// Retries like the console: a failed job starts again, and runs or fails once the failure delay
    /// is over. Returns false for any other job.
    pub fn retry(&mut self, now: Instant) -> bool {
        if running_form(&self.status).is_none() {
            return false;
        }
        let failed = std::mem::replace(&mut self.status, "STARTJOBING".to_owned());
        self.retry = Some((now, failed));
        true
    }

    fn logins_refused(&self) -> bool {
        self.logins.iter().any(DatabaseLogin::is_refused)
    }

    pub fn failure(&self) -> &'static str {
        match self.status.ends_with("_FAILED") {
            true if self.logins.iter().any(DatabaseLogin::is_locked) => {
                "Access denied: the account is locked."
            }
            true if self.logins_refused() => "Access denied: the user name or password is wrong.",
            true => "The task failed.",
            false => "",
        }
    }

    fn advance(&mut self, now: Instant, delay: Duration) {
        if let Some((began, failed)) = &self.retry {
            if now.duration_since(*began) < delay {
                return;
            }
            if self.logins_refused() {
                self.status.clone_from(failed);
                self.count_refusals(|_| true);
            } else if let Some(running) = running_form(failed) {
                running.clone_into(&mut self.status);
            }
            self.retry = None;
        }
        let failed = failed_form(&self.status).filter(|_| self.logins_refused());
        let Some(failed) = failed else {
            self.wrong_since = None;
            return;
        };
        let since = *self.wrong_since.get_or_insert(now);
        if now.duration_since(since) >= delay {
            failed.clone_into(&mut self.status);
            self.wrong_since = None;
            // A connection that a change of the password ends is not a login with a wrong one:
            // five jobs would lock their account at every rotation.
            self.count_refusals(|login| !login.is_outdated);
        }
    }

    fn count_refusals(&self, counts: impl Fn(&DatabaseLogin) -> bool) {
        let refused = self.logins.iter().filter(|login| login.is_refused());
        refused
            .filter(|login| counts(login))
            .for_each(DatabaseLogin::count);
    }
}

pub struct JobStore {
    jobs: BTreeMap<String, SimJob>,
    /// The refused logins by host and user.
    refused: BTreeMap<(String, String), RefusedLogins>,
    nonces: Arc<Nonces>,
    accept_any_job: bool,
    failure_delay: Duration,
}

impl JobStore {
    pub fn new(nonces: Arc<Nonces>, accept_any_job: bool, failure_delay: Duration) -> Self {
        Self {
            jobs: BTreeMap::new(),
            refused: BTreeMap::new(),
            nonces,
            accept_any_job,
            failure_delay,
        }
    }

    /// Fails with an id that is known already.
    pub fn add(&mut self, spec: JobSpec) -> Result<(), String> {
        let id = spec.id.clone();
        let account = |endpoint: Option<&EndpointSpec>| {
            let host = endpoint.and_then(|it| it.ip.clone().or_else(|| it.inst_id.clone()));
            let user = endpoint.and_then(|it| it.user.clone());
            let known = host.zip(user);
            known.map_or_else(RefusedLogins::default, |account| {
                Arc::clone(self.refused.entry(account).or_default())
            })
        };
        let job = SimJob::new(spec, || self.nonces.salt(), account);
        match self.jobs.insert(id.clone(), job) {
            None => Ok(()),
            Some(_) => Err(id),
        }
    }

    /// Returns the job as it is at `now`; with `accept_any_job`, any well-formed id is one.
    pub fn job(&mut self, id: &str, now: Instant) -> Option<&mut SimJob> {
        if self.accept_any_job && !self.jobs.contains_key(id) && is_well_formed(id) {
            self.add(JobSpec::new(id)).ok()?;
        }
        let job = self.jobs.get_mut(id)?;
        job.advance(now, self.failure_delay);
        Some(job)
    }

    /// Changes a job, then lets due consequences happen.
    pub fn change<T>(
        &mut self,
        id: &str,
        now: Instant,
        act: impl FnOnce(&mut SimJob) -> T,
    ) -> Option<T> {
        let delay = self.failure_delay;
        let job = self.job(id, now)?;
        let result = act(job);
        job.advance(now, delay);
        Some(result)
    }

    /// Changes what a database accepts of a user; returns for how many endpoints.
    pub fn change_account(
        &mut self,
        (host, user, password): (&str, &str, &str),
        now: Instant,
    ) -> usize {
        let (mut changed, delay) = (0, self.failure_delay);
        for job in self.jobs.values_mut() {
            let specs = [&job.facts.source, &job.facts.destination];
            for (login, spec) in job.logins.iter_mut().zip(specs) {
                let is_account = |spec: &EndpointSpec| {
                    let hosts = [spec.ip.as_deref(), spec.inst_id.as_deref()];
                    hosts.contains(&Some(host)) && spec.user.as_deref() == Some(user)
                };
                if spec.as_ref().is_some_and(is_account) {
                    login.change(password);
                    changed += 1;
                }
            }
            job.advance(now, delay);
        }
        changed
    }

    /// Returns all known jobs as they are at `now`, in the order of their ids.
    pub fn jobs(&mut self, now: Instant) -> impl Iterator<Item = (&String, &SimJob)> {
        let delay = self.failure_delay;
        self.jobs.iter_mut().map(move |(id, job)| {
            job.advance(now, delay);
            (id, &*job)
        })
    }

    /// Returns the job as of its last access, for facts that time does not change.
    pub fn get(&self, id: &str) -> Option<&SimJob> {
        self.jobs.get(id)
    }
}

/// Returns whether an id has the form of real ones: 8-4-4-4-12 digits and small letters, which go
/// beyond `f` (OTC api-ref, examples with a tail like `jb52`).
fn is_well_formed(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    let lengths = id.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && id.bytes().all(|byte| byte == b'-' || is_letter(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(10);

    /// A running job whose databases were given `old`, seen at `start`.
    fn job(start: Instant) -> SimJob {
        let mut spec = JobSpec::new("job");
        spec.source = Some(EndpointSpec {
            real_password: Some("old".to_owned()),
            ..EndpointSpec::default()
        });
        spec.destination.clone_from(&spec.source);
        let mut job = SimJob::new(spec, || [7; 32], |_| RefusedLogins::default());
        job.advance(start, DELAY);
        job
    }

    fn status_after(job: &mut SimJob, start: Instant, seconds: u64) -> &str {
        job.advance(start + Duration::from_secs(seconds), DELAY);
        &job.status
    }

    #[test]
    fn job_fails_only_once_the_delay_is_over() {
        let start = Instant::now();
        let mut job = job(start);
        job.login_mut(EndPointType::Source).change("new");
        job.advance(start, DELAY);
        assert_eq!(status_after(&mut job, start, 9), "INCRE_TRANSFER_STARTED");
        assert_eq!(status_after(&mut job, start, 10), "INCRE_TRANSFER_FAILED");
    }

    #[test]
    fn timely_change_keeps_the_job_running() {
        let start = Instant::now();
        let mut job = job(start);
        job.login_mut(EndPointType::Source).change("new");
        job.advance(start, DELAY);
        assert!(job.change_password(EndPointType::Source, "new").is_ok());
        assert_eq!(status_after(&mut job, start, 9), "INCRE_TRANSFER_STARTED");
        assert_eq!(status_after(&mut job, start, 99), "INCRE_TRANSFER_STARTED");
    }

    #[test]
    fn retry_takes_the_delay_and_then_tells() {
        let start = Instant::now();
        let mut job = job(start);
        assert!(!job.retry(start));
        job.set_status("FULL_TRANSFER_FAILED");
        assert!(job.retry(start));
        assert_eq!(status_after(&mut job, start, 9), "STARTJOBING");
        assert_eq!(status_after(&mut job, start, 10), "FULL_TRANSFER_STARTED");
    }

    #[test]
    fn paused_jobs_do_not_log_in() {
        let start = Instant::now();
        let mut job = job(start);
        job.set_status("PAUSING");
        assert!(
            job.change_password(EndPointType::Destination, "wrong")
                .is_ok()
        );
        assert_eq!(status_after(&mut job, start, 99), "PAUSING");
    }

    #[test]
    fn paused_jobs_are_resumed_and_running_ones_are_not() {
        let start = Instant::now();
        let mut job = job(start);
        assert!(matches!(job.resume(start), Err(Denied("DRS.M00304", _))));
        for paused in ["PAUSING", "PAUSEING"] {
            job.set_status(paused);
            assert!(job.resume(start).is_ok());
            assert_eq!(job.status, "INCRE_TRANSFER_STARTED");
        }
        job.set_status("DELETED");
        assert!(matches!(job.resume(start), Err(Denied("DRS.M05004", _))));
        job.facts.dual_active_parent = true;
        job.set_status("INCRE_TRANSFER_FAILED");
        assert!(matches!(job.resume(start), Err(Denied("DRS.M00307", _))));
    }

    /// Two jobs whose sources are one account, the second one with a host and a user of its own
    /// if `is_apart`.
    fn of_one_account(is_apart: bool) -> JobStore {
        let nonces = Arc::new(Nonces::new().expect("there are random bytes"));
        let mut store = JobStore::new(nonces, false, Duration::ZERO);
        for (id, host) in [
            ("one", "192.0.2.1"),
            ("two", ["192.0.2.1", "192.0.2.2"][usize::from(is_apart)]),
        ] {
            let mut spec = JobSpec::new(id);
            spec.source = Some(EndpointSpec {
                real_password: Some("old".to_owned()),
                ip: Some(host.to_owned()),
                user: Some("drs".to_owned()),
                ..EndpointSpec::default()
            });
            assert!(store.add(spec).is_ok());
        }
        store
    }

    #[test]
    fn wrong_logins_of_all_jobs_lock_one_account() {
        for is_apart in [false, true] {
            let (mut store, now) = (of_one_account(is_apart), Instant::now());
            let wrong =
                |job: &mut SimJob| job.change_password(EndPointType::Source, "wrong").is_ok();
            assert_eq!(store.change("one", now, wrong), Some(true));
            for _ in 0..4 {
                let source = store
                    .job("two", now)
                    .expect("it is known")
                    .login(EndPointType::Source);
                assert!(!source.is_locked());
                assert_eq!(store.change("one", now, |job| job.retry(now)), Some(true));
                store.job("one", now);
            }
            let two = store.job("two", now).expect("it is known");
            assert_eq!(two.login(EndPointType::Source).is_locked(), !is_apart);
            let failed = ["INCRE_TRANSFER_FAILED", "INCRE_TRANSFER_STARTED"];
            assert_eq!(two.status, failed[usize::from(is_apart)]);
            store.change_account(("192.0.2.1", "drs", "new"), now);
            let two = store.job("two", now).expect("it is known");
            assert!(!two.login(EndPointType::Source).is_locked());
        }
    }

    #[test]
    fn a_changed_password_ends_connections_and_counts_no_wrong_login_until_a_retry() {
        let (mut store, now) = (of_one_account(false), Instant::now());
        for _ in 0..3 {
            store.change_account(("192.0.2.1", "drs", "new"), now);
        }
        let refused = |store: &mut JobStore| {
            let job = store.job("one", now).expect("it is known");
            assert_eq!(job.status, "INCRE_TRANSFER_FAILED");
            job.login(EndPointType::Source)
                .refused
                .load(Ordering::Relaxed)
        };
        assert_eq!(refused(&mut store), 0);
        assert_eq!(store.change("two", now, |job| job.retry(now)), Some(true));
        store.job("two", now);
        assert_eq!(refused(&mut store), 1);
    }

    #[test]
    fn equal_passwords_leave_unequal_digests() {
        let refused = RefusedLogins::default;
        let login = |salt| DatabaseLogin::new([salt; 32], Some("same"), refused()).real;
        assert_ne!(login(1), login(2));
    }
}
