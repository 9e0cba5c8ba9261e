//! One job: its state and the passwords that DRS and the databases hold.
//!
//! Owns every rule about when a job may be told a password and when it fails.
//! Refuses to keep a plain password, but for one that a test wants in the job's
//! details. Time is handed in, so the rules need no waiting to be tried.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::database::Login;
use super::spec::{EndpointSpec, JobSpec};
use super::state::{Denied, failed_form, is_paused, may_change_password, running_form};

/// One of the two databases a job connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The database that is read; `so` on the wire.
    Source,
    /// The database that is written; `ta` on the wire.
    Destination,
}

impl Endpoint {
    /// The value of `end_point_type` (OTC api-ref, Changing the Passwords of the
    /// Sources and Destinations).
    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::Source => "so",
            Self::Destination => "ta",
        }
    }

    pub(super) fn from_wire(text: &str) -> Option<Self> {
        match text {
            "so" => Some(Self::Source),
            "ta" => Some(Self::Destination),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    pub(super) fn from_name(text: &str) -> Option<Self> {
        match text {
            "source" => Some(Self::Source),
            "destination" => Some(Self::Destination),
            _ => None,
        }
    }
}

/// One job and its two logins.
pub(super) struct Job {
    /// What never changes. The state in there is that of the start, and the
    /// passwords that the databases accept were taken out.
    pub(super) facts: JobSpec,
    pub(super) status: String,
    source: Login,
    destination: Login,
    /// Since when a running job has been turned away.
    wrong_since: Option<Instant>,
    /// When a retry began, and the failed state it began in.
    retry: Option<(Instant, String)>,
}

impl Job {
    /// A job without history; `salt` is called once for each endpoint.
    pub(super) fn new(mut spec: JobSpec, salt: impl Fn() -> [u8; 32]) -> Self {
        let login = |endpoint: &mut Option<EndpointSpec>| {
            let password = endpoint.as_mut().and_then(|spec| spec.real_password.take());
            Login::new(salt(), password.as_deref())
        };
        Self {
            source: login(&mut spec.source),
            destination: login(&mut spec.destination),
            status: spec.status.clone(),
            facts: spec,
            wrong_since: None,
            retry: None,
        }
    }

    /// Takes a password over, if the job's kind and state allow it.
    pub(super) fn change_password(
        &mut self,
        endpoint: Endpoint,
        password: &str,
    ) -> Result<(), Denied> {
        self.is_addressable()?;
        if !may_change_password(&self.status) {
            return Err(Denied::State);
        }
        self.login_mut(endpoint).tell(password);
        Ok(())
    }

    /// Fails if no call may change the job, whatever its state otherwise.
    fn is_addressable(&self) -> Result<(), Denied> {
        match () {
            () if self.status == "DELETED" => Err(Denied::Deleted),
            () if self.facts.dual_active_parent => Err(Denied::Parent),
            () => Ok(()),
        }
    }

    /// What the retry call does: as the console's, and it sets a paused job going
    /// again (OTC api-ref, Resuming or Retrying a Task).
    pub(super) fn resume(&mut self, now: Instant) -> Result<(), Denied> {
        self.is_addressable()?;
        if is_paused(&self.status) {
            self.set_status("INCRE_TRANSFER_STARTED");
            return Ok(());
        }
        match self.retry(now) {
            true => Ok(()),
            false => Err(Denied::State),
        }
    }

    /// Changes the password at the database itself, which also unlocks the account.
    pub(super) fn set_real_password(&mut self, endpoint: Endpoint, password: &str) {
        self.login_mut(endpoint).change(password);
    }

    pub(super) fn set_status(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        self.retry = None;
        self.wrong_since = None;
    }

    /// What the console's retry does: a failed job starts again, and is found
    /// running or failed once the failure delay is over. Refused to any other job.
    pub(super) fn retry(&mut self, now: Instant) -> bool {
        if running_form(&self.status).is_none() {
            return false;
        }
        let failed = std::mem::replace(&mut self.status, "STARTJOBING".to_owned());
        self.retry = Some((now, failed));
        true
    }

    pub(super) fn holds(&self, endpoint: Endpoint, password: &str) -> bool {
        self.login(endpoint).holds(password)
    }

    pub(super) fn knows(&self, endpoint: Endpoint) -> bool {
        self.login(endpoint).is_told()
    }

    pub(super) fn is_locked(&self, endpoint: Endpoint) -> bool {
        self.login(endpoint).is_locked()
    }

    fn login(&self, endpoint: Endpoint) -> &Login {
        match endpoint {
            Endpoint::Source => &self.source,
            Endpoint::Destination => &self.destination,
        }
    }

    fn login_mut(&mut self, endpoint: Endpoint) -> &mut Login {
        match endpoint {
            Endpoint::Source => &mut self.source,
            Endpoint::Destination => &mut self.destination,
        }
    }

    fn logins_refused(&self) -> bool {
        self.source.is_refused() || self.destination.is_refused()
    }

    /// Why the job has failed, in words; empty for one that has not.
    pub(super) fn failure(&self) -> &'static str {
        match self.status.ends_with("_FAILED") {
            true if self.logins_refused() => "Access denied: the user name or password is wrong.",
            true => "The task failed.",
            false => "",
        }
    }

    /// Brings the state up to `now`.
    pub(super) fn advance(&mut self, now: Instant, delay: Duration) {
        if let Some((began, failed)) = &self.retry {
            if now.duration_since(*began) < delay {
                return;
            }
            if self.logins_refused() {
                self.status.clone_from(failed);
                self.count_refusals();
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
            self.count_refusals();
        }
    }

    fn count_refusals(&mut self) {
        for login in [&mut self.source, &mut self.destination] {
            login.count_refusal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(10);

    /// A running job whose databases were given `old`, seen at `start`.
    fn job(start: Instant) -> Job {
        let mut spec = JobSpec::new("job");
        spec.source = Some(EndpointSpec {
            real_password: Some("old".to_owned()),
            ..EndpointSpec::default()
        });
        spec.destination.clone_from(&spec.source);
        let mut job = Job::new(spec, || [7; 32]);
        job.advance(start, DELAY);
        job
    }

    fn status_after(job: &mut Job, start: Instant, seconds: u64) -> &str {
        job.advance(start + Duration::from_secs(seconds), DELAY);
        &job.status
    }

    #[test]
    fn job_fails_only_once_the_delay_is_over() {
        let start = Instant::now();
        let mut job = job(start);
        job.set_real_password(Endpoint::Source, "new");
        job.advance(start, DELAY);
        assert_eq!(status_after(&mut job, start, 9), "INCRE_TRANSFER_STARTED");
        assert_eq!(status_after(&mut job, start, 10), "INCRE_TRANSFER_FAILED");
    }

    #[test]
    fn timely_change_keeps_the_job_running() {
        let start = Instant::now();
        let mut job = job(start);
        job.set_real_password(Endpoint::Source, "new");
        job.advance(start, DELAY);
        assert!(job.change_password(Endpoint::Source, "new").is_ok());
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
        assert!(job.change_password(Endpoint::Destination, "wrong").is_ok());
        assert_eq!(status_after(&mut job, start, 99), "PAUSING");
    }

    #[test]
    fn paused_jobs_are_resumed_and_running_ones_are_not() {
        let start = Instant::now();
        let mut job = job(start);
        assert!(matches!(job.resume(start), Err(Denied::State)));
        for paused in ["PAUSING", "PAUSEING"] {
            job.set_status(paused);
            assert!(job.resume(start).is_ok());
            assert_eq!(job.status, "INCRE_TRANSFER_STARTED");
        }
        job.set_status("DELETED");
        assert!(matches!(job.resume(start), Err(Denied::Deleted)));
        job.facts.dual_active_parent = true;
        job.set_status("INCRE_TRANSFER_FAILED");
        assert!(matches!(job.resume(start), Err(Denied::Parent)));
    }
}
