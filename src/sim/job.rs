//! One job: its state and the passwords that DRS and the databases hold.
//!
//! Owns every rule about when a job may be told a password and when it fails.
//! Refuses to keep a plain password: digests only, with a random salt for each
//! endpoint. Time is handed in, so the rules need no waiting to be tried.

use std::time::{Duration, Instant};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::JobSpec;

/// Refused logins after which a database locks the account. The real number is
/// the database's policy; what matters is that retrying has a price (OTC user
/// manual, synchronization scenarios: DRS retries may lock the account).
const LOCK_AFTER: u32 = 5;

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

/// Why the service does not change a password.
#[derive(Clone, Copy)]
pub(super) enum Denied {
    NotFound,
    Deleted,
    Parent,
    State,
}

impl Denied {
    /// Code and text (OTC api-ref, Error Code; M00289 is seen in live answers only).
    pub(super) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("DRS.M00289", "The task does not exist."),
            Self::Deleted => (
                "DRS.M05004",
                "The task has been deleted or its resources have been released.",
            ),
            Self::Parent => ("DRS.M00307", "Only subtasks can call this API."),
            Self::State => (
                "DRS.M00304",
                "The API cannot be called in the current task status.",
            ),
        }
    }

    /// Whether the code says that there is no such job.
    pub(super) fn is_missing(code: &str) -> bool {
        matches!(code, "DRS.M00289" | "DRS.M05003" | "DRS.M05004")
    }
}

/// Whether a job in this state may be told a password (OTC api-ref, Changing the
/// Passwords…, Constraints; the misspelt forms stand on the status pages).
fn may_change_password(status: &str) -> bool {
    matches!(
        status,
        "STARTJOBING"
            | "START_JOB_FAILED"
            | "STARTJOB_FAILED"
            | "FULL_TRANSFER_STARTED"
            | "FULL_TRANSFER_FAILED"
            | "FULL_TRANSFER_COMPLETE"
            | "INCRE_TRANSFER_STARTED"
            | "INCRE_TRANSFER_FAILED"
            | "PAUSING"
            | "PAUSEING"
    )
}

/// The state a job falls into when a login fails; `None` for a job that does not log in.
fn failed_form(status: &str) -> Option<&'static str> {
    match status {
        "STARTJOBING" => Some("START_JOB_FAILED"),
        "FULL_TRANSFER_STARTED" | "FULL_TRANSFER_COMPLETE" => Some("FULL_TRANSFER_FAILED"),
        "INCRE_TRANSFER_STARTED" => Some("INCRE_TRANSFER_FAILED"),
        _ => None,
    }
}

/// The state a failed job returns to once a retry succeeds.
fn running_form(status: &str) -> Option<&'static str> {
    match status {
        "START_JOB_FAILED" | "STARTJOB_FAILED" | "FULL_TRANSFER_FAILED" => {
            Some("FULL_TRANSFER_STARTED")
        }
        "INCRE_TRANSFER_FAILED" => Some("INCRE_TRANSFER_STARTED"),
        _ => None,
    }
}

type Print = [u8; 32];

/// The passwords around one endpoint, as digests.
struct Login {
    salt: Print,
    /// What DRS was last told; `None` is what was typed in when the job was made.
    held: Option<Print>,
    /// What the database accepts now; `None` accepts anything.
    real: Option<Print>,
    /// What the database accepted when the job was made.
    first_real: Option<Print>,
    refused: u32,
}

impl Login {
    fn new(salt: Print, real_password: Option<&str>) -> Self {
        let mut login = Self {
            salt,
            held: None,
            real: None,
            first_real: None,
            refused: 0,
        };
        login.real = real_password.map(|password| login.print(password));
        login.first_real = login.real;
        login
    }

    fn print(&self, password: &str) -> Print {
        Sha256::new()
            .chain_update(self.salt)
            .chain_update(password)
            .finalize()
            .into()
    }

    /// Whether the database would turn DRS away now.
    fn is_refused(&self) -> bool {
        let wrong = match (self.held, self.real) {
            (Some(held), Some(real)) => held != real,
            (None, Some(real)) => Some(real) != self.first_real,
            (_, None) => false,
        };
        wrong || self.is_locked()
    }

    fn is_locked(&self) -> bool {
        self.refused >= LOCK_AFTER
    }
}

/// One job and its two logins.
pub(super) struct Job {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) parent: Option<String>,
    pub(super) db_use_type: String,
    dual_active_parent: bool,
    source: Login,
    destination: Login,
    /// Since when a running job has been turned away.
    wrong_since: Option<Instant>,
    /// When a retry began, and the failed state it began in.
    retry: Option<(Instant, String)>,
}

impl Job {
    /// A job without history; `salt` is called once for each endpoint.
    pub(super) fn new(spec: JobSpec, salt: impl Fn() -> [u8; 32]) -> Self {
        let login = |endpoint: Option<&super::EndpointSpec>| {
            Login::new(
                salt(),
                endpoint.and_then(|spec| spec.real_password.as_deref()),
            )
        };
        Self {
            source: login(spec.source.as_ref()),
            destination: login(spec.destination.as_ref()),
            name: spec.name,
            status: spec.status,
            parent: spec.parent,
            db_use_type: spec.db_use_type,
            dual_active_parent: spec.dual_active_parent,
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
        if self.status == "DELETED" {
            return Err(Denied::Deleted);
        }
        if self.dual_active_parent {
            return Err(Denied::Parent);
        }
        if !may_change_password(&self.status) {
            return Err(Denied::State);
        }
        let login = self.login_mut(endpoint);
        login.held = Some(login.print(password));
        Ok(())
    }

    /// Changes the password at the database itself, which also unlocks the account.
    pub(super) fn set_real_password(&mut self, endpoint: Endpoint, password: &str) {
        let login = self.login_mut(endpoint);
        login.real = Some(login.print(password));
        login.refused = 0;
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
        let login = self.login(endpoint);
        login.held == Some(login.print(password))
    }

    pub(super) fn knows(&self, endpoint: Endpoint) -> bool {
        self.login(endpoint).held.is_some()
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
            if login.is_refused() {
                login.refused += 1;
            }
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
        spec.source = Some(super::super::EndpointSpec {
            real_password: Some("old".to_owned()),
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
    fn equal_passwords_leave_unequal_digests() {
        let login = |salt| Login::new([salt; 32], Some("same")).real;
        assert_ne!(login(1), login(2));
    }
}
