//! A client with the runtime that drives it and the signals that end it, and the queries of
//! commands: the states of jobs before anything is sent, the jobs of the project compared with
//! the manifest, and the endpoint in the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::OpError;
use super::root::Opened;
use crate::api::client::Client;
use crate::api::http::CLOCK_OFF;
use crate::api::jobs::Inventory;
use crate::core::inventory::JobFilter;
use crate::core::job::{EntryKey, JobId, some_of};
use crate::core::manifest::{Assignment, Manifest};
use crate::core::redact::ForeignText;
use crate::core::report::{JobsReport, Signal};
use crate::core::status::{Blocked, JobStatus, ReportedJob, UnknownStates, blocked};
pub use crate::sys::signals::HangUp;
use crate::sys::signals::{Signals, leave_signals};

/// A runtime, and the signals that end what it waits for. Once there is one, they have no other
/// effect.
pub struct Waiter {
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
}

pub struct Online {
    pub(super) waiter: Waiter,
    pub client: Arc<Client>,
}

impl Waiter {
    pub fn new(hang_up: HangUp) -> Result<Self, OpError> {
        // One thread is enough: it waits for the network nearly all the time.
        let runtime = Builder::new_current_thread()
            .enable_all()
            // A question that follows takes the signals; a thread that looks up names must not.
            .on_thread_start(leave_signals)
            .build()
            .map_err(OpError::runtime)?;
        let signals = {
            let _inside = runtime.enter();
            Signals::listen(hang_up).map_err(OpError::runtime)?
        };
        Ok(Self { runtime, signals })
    }

    /// Returns a signal that has arrived, at the latest after this time.
    pub fn signal_within(&mut self, time: Duration) -> Option<Signal> {
        let (runtime, signals) = (&self.runtime, &mut self.signals);
        runtime.block_on(async {
            let arrived = signals.arrived().await;
            match arrived {
                None if !time.is_zero() => timeout(time, signals.next()).await.ok(),
                arrived => arrived,
            }
        })
    }
}

impl Online {
    pub fn new(client: Client, hang_up: HangUp) -> Result<Self, OpError> {
        Self::with(client, None, hang_up)
    }

    /// As [`Online::new`], with the runtime of an earlier wait if there was one.
    pub fn with(client: Client, waiter: Option<Waiter>, hang_up: HangUp) -> Result<Self, OpError> {
        Ok(Self {
            waiter: waiter.map_or_else(|| Waiter::new(hang_up), Ok)?,
            client: Arc::new(client),
        })
    }

    /// Logs in, and checks what only the identity service can confirm.
    pub fn log_in(&mut self) -> Result<(), OpError> {
        self.ask(|client| async move { client.log_in().await })??;
        Ok(())
    }

    /// Waits for the answer to a query, or for a signal.
    pub fn ask<F: Future>(
        &mut self,
        question: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<F::Output, OpError> {
        let question = question(Arc::clone(&self.client));
        let Waiter { runtime, signals } = &mut self.waiter;
        runtime.block_on(async {
            tokio::select! {
                biased;
                signal = signals.next() => Err(OpError::Interrupted { signal }),
                answer = question => Ok(answer),
            }
        })
    }

    /// Adds notes on the run so far to those `said` already; a clock difference may come with
    /// an error.
    pub fn add_notes(&self, said: &mut Vec<String>) {
        let has_clock = said.iter().any(|said| said.contains(CLOCK_OFF));
        let mut notes = self.client.notes();
        notes.retain(|note| !(has_clock && note.starts_with(CLOCK_OFF)));
        said.append(&mut notes);
    }

    /// Drops the runtime without waiting for anything in flight, such as a name lookup.
    pub fn leave(self) {
        self.waiter.runtime.shutdown_background();
    }
}

/// The result of querying job states before sending.
#[derive(Debug, Default)]
pub struct Preflight {
    /// The jobs whose password cannot be set now.
    pub blocked: BTreeMap<JobId, Blocked>,
    /// How many jobs accept a password, of a known state.
    pub accepting: usize,
    /// What a person should know about the query.
    pub warnings: Vec<String>,
    /// The failed jobs, which need a retry as well as the right password.
    failed: BTreeSet<JobId>,
    /// Whether blocked entries stop the whole run.
    pub held_back: bool,
}

impl Preflight {
    /// Queries the jobs of these entries. A failure is a warning: the service judges each
    /// entry anyway.
    pub fn ask<'a>(
        online: &mut Online,
        entries: impl Iterator<Item = &'a EntryKey>,
        unknown: UnknownStates,
    ) -> Result<Self, OpError> {
        let jobs: BTreeSet<&JobId> = entries.map(|key| &key.job).collect();
        let jobs: Vec<JobId> = jobs.into_iter().cloned().collect();
        if jobs.is_empty() {
            return Ok(Self::default());
        }
        let number = jobs.len();
        let survey = online.ask(|client| async move { client.survey(&jobs).await })?;
        let mut preflight = Self::default();
        let mut unread = Vec::new();
        for (job, reported) in survey.reported {
            let is_known = reported.known().is_some();
            if reported.known().is_some_and(JobStatus::may_be_retried) {
                preflight.failed.insert(job.clone());
            }
            if let Some(why) = blocked(&reported, unknown) {
                preflight.blocked.insert(job, why);
            } else if reported == ReportedJob::Nothing {
                unread.push(job);
            } else if is_known {
                preflight.accepting += 1;
            }
        }
        let unchecked = match unread.len() == number {
            true => "any job, so none was checked".to_owned(),
            false => format!("{}, so it was not checked", some_of(&unread, 5)),
        };
        match survey.failed {
            Some(failure) if failure.refuses_caller() => {
                return Err(online.client.states_error(failure).into());
            }
            Some(failure) => preflight.warnings.push(format!(
                "could not read the state of {unchecked}: {}",
                online.client.states_error(failure)
            )),
            None if !unread.is_empty() => preflight
                .warnings
                .push(format!("the service returned no state of {unchecked}")),
            None => {}
        }
        preflight.warnings.extend(survey.warnings);
        Ok(preflight)
    }

    /// Adds a warning that names the failed jobs.
    pub fn warn_of_failed(&mut self, manifest: &Manifest) {
        let failed = manifest.assignments().iter();
        let failed = failed.filter(|entry| self.failed.remove(&entry.key.job));
        let failed: Vec<&str> = failed.map(Assignment::job_label).collect();
        if !failed.is_empty() {
            self.warnings.push(format!(
                "jobs that have failed: {}; an apply with --retry-jobs retries them once their \
                 passwords are right",
                some_of(&failed, 10)
            ));
        }
    }
}

/// Lists jobs of the project, and which of their endpoints the manifest has.
pub fn jobs(
    client: Client,
    hang_up: HangUp,
    opened: &Opened,
    wanted: JobFilter,
) -> Result<JobsReport, OpError> {
    let mut inventory = inventory(client.guarding(&opened.manifest), hang_up, wanted)?;
    let assignments = opened.manifest.assignments().iter();
    let managed: BTreeSet<EntryKey> = assignments.map(|entry| entry.key.clone()).collect();
    let found: BTreeSet<&JobId> = inventory.jobs.iter().map(|job| &job.id).collect();
    let absent = managed.iter().filter(|key| !found.contains(&key.job));
    let mut notes = Vec::new();
    if inventory.unusable > 0 {
        let number = inventory.unusable;
        notes.push(format!("skipped rows without a usable job id: {number}"));
    }
    if let Some(error) = &inventory.details_failed {
        notes.push(format!("cannot read the databases of the jobs: {error}"));
    }
    notes.extend(inventory.notes);
    let absent = absent.cloned().collect();
    let all = inventory.jobs.iter();
    let unknown = all.filter(|job| wanted == JobFilter::Failed && job.may_have_failed());
    let unknown: Vec<&JobId> = unknown.map(|job| &job.id).collect();
    if !unknown.is_empty() {
        let named = some_of(&unknown, 5);
        notes.push(format!("state unknown, so not listed: {named}"));
    }
    let total = inventory.jobs.len();
    inventory.jobs.retain(|job| wanted.passes(job));
    Ok(JobsReport {
        project_id: opened.sealed.scope.project_id.clone(),
        absent,
        jobs: inventory.jobs,
        wanted,
        total,
        managed,
        notes,
    })
}

pub fn inventory(client: Client, hang_up: HangUp, wanted: JobFilter) -> Result<Inventory, OpError> {
    let mut online = Online::new(client, hang_up)?;
    online.log_in()?;
    Ok(online.ask(|client| async move { client.inventory(wanted).await })??)
}

/// Returns the endpoint that the identity service's catalogue has for a region.
pub fn catalogued(online: &mut Online, region: Option<&str>) -> Result<String, OpError> {
    let found = online.ask(|client| async move { client.catalogued(region).await })??;
    let Some((first, others)) = found.split_first() else {
        return Err(OpError::unfit(
            "the identity service's catalogue has no DRS endpoint for this region",
            "Nothing was written. Give the address of the service with --endpoint.",
        ));
    };
    if others.iter().all(|other| other.url == first.url) {
        return Ok(first.url.clone());
    }
    let shown =
        |text: &str| ForeignText::clean(text).map_or_else(String::new, |text| text.to_string());
    let listed: Vec<String> = found
        .iter()
        .map(|found| {
            let region = found
                .region
                .as_deref()
                .map_or_else(|| "any".to_owned(), shown);
            format!("region {region} at {}", shown(&found.url))
        })
        .collect();
    Err(OpError::unfit(
        format!(
            "the identity service's catalogue has several DRS endpoints: {}",
            listed.join(", ")
        ),
        "Nothing was written. Give the region with --region or OS_REGION_NAME, or the address with --endpoint.",
    ))
}
