//! The jobs that `apply --retry-jobs` may retry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::ApplyOptions;
use crate::api::error::CallFailure;
use crate::core::address::Selection;
use crate::core::job::{EntryKey, JobId};
use crate::core::plan::{self, Plan, PlanInputs, failed_retries, was_tried};
use crate::core::state::{State, ValueOrigin};
use crate::core::status::{JobStatus, ReportedJob, StatusKind};
use crate::ops::OpError;
use crate::ops::online::Online;
use crate::ops::plan::ToApply;
use crate::ops::root::{Opened, Root};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryJobsOptions {
    /// Whether to resume jobs that their owner paused as well.
    pub resume_paused: bool,
    /// How long to watch, all jobs together.
    pub at_most: Duration,
    /// Whether the jobs are named before the user is asked, who is not if there is none.
    pub are_named: bool,
}

impl RetryJobsOptions {
    pub fn is_due(&self, status: JobStatus) -> bool {
        status.may_be_retried() || status == JobStatus::Pausing && self.resume_paused
    }
}

pub struct Candidate {
    pub label: String,
    pub credentials: Vec<Arc<str>>,
    /// Those that may be why its recorded retry failed.
    pub doubted: Vec<Arc<str>>,
    pub is_recorded: bool,
    pub fitness: Fitness,
}

impl Candidate {
    pub fn is_to_retry(&self, status: JobStatus, options: RetryJobsOptions) -> bool {
        matches!(self.fitness, Fitness::Fit) && options.is_due(status)
    }

    /// Returns whether a retry of an earlier run may still be under way.
    pub fn is_to_watch(&self, status: JobStatus) -> bool {
        self.is_recorded && matches!(status.kind(), StatusKind::Transient | StatusKind::Running)
    }
}

#[derive(Clone, Copy)]
pub enum Fitness {
    /// All its listed entries are in sync, and drspass sent one of them.
    Fit,
    /// The same, but a retry with these passwords failed at that time.
    Failed(Timestamp),
    Unfit(&'static str),
}

/// Returns the jobs that would be retried if everything in the plan was applied; `None` if their
/// states cannot be read.
///
/// # Errors
/// If the caller is refused, or an address matches no entry.
pub fn due_now(
    online: &mut Online,
    root: (&Root, &Opened),
    (plan, state): (&Plan, &State),
    options: &ApplyOptions,
) -> Result<Option<Vec<String>>, OpError> {
    let to_send = plan.sent().map(|entry| &entry.key).collect();
    let jobs = candidates(root, (plan, state), options, &to_send)?;
    online.log_in()?;
    let (reported, failed) = states_of(online, &jobs)?;
    match failed {
        Some(failure) if failure.refuses_caller() => {
            return Err(online.client.states_error(failure).into());
        }
        Some(_) => return Ok(None),
        None => {}
    }
    let reported = reported.iter();
    let known = reported.filter_map(|(job, reported)| Some((jobs.get(job)?, reported.known())));
    let (due, others): (Vec<_>, Vec<_>) = known.partition(|(job, status)| {
        let retry = options.retry_jobs.zip(*status);
        retry.is_some_and(|(retry, status)| job.is_to_retry(status, retry))
    });
    let failed = others
        .iter()
        .filter(|(job, status)| !status.is_some_and(|status| job.is_to_watch(status)));
    // A job that uses one of these waits until the job that failed with it runs.
    let held: BTreeSet<&Arc<str>> = failed.flat_map(|(job, _)| &job.doubted).collect();
    let due = due.iter().map(|(job, _)| job);
    let due = due.filter(|job| !job.credentials.iter().any(|it| held.contains(it)));
    Ok(Some(due.map(|job| job.label.clone()).collect()))
}

/// Returns the selected jobs as they are once `to_send` is applied.
pub fn candidates(
    (root, opened): (&Root, &Opened),
    (planned, state): (&Plan, &State),
    options: &ApplyOptions,
    to_send: &BTreeSet<&EntryKey>,
) -> Result<BTreeMap<JobId, Candidate>, OpError> {
    let (manifest, sealed) = (&opened.manifest, &opened.sealed);
    let prints = sealed.fingerprint_key.fingerprinter(&sealed.scope);
    let after = plan::make(&PlanInputs {
        manifest,
        state: Some(state),
        key_changed: false,
        fingerprinter: &prints,
        selection: &Selection::default(),
        batch_size: root.config.apply.batch_size,
    });
    let selected = Selection::resolve(manifest, &options.addresses.only, &[]);
    let selected = selected.map_err(OpError::unmatched)?;
    let open = after.changes().map(|entry| &entry.key);
    let open = open.filter(|key| !to_send.contains(key));
    let open: BTreeSet<&JobId> = open.map(|key| &key.job).collect();
    let resent = planned.entries.iter().filter(|entry| entry.is_resent());
    let resent: BTreeSet<&JobId> = resent.map(|entry| &entry.key.job).collect();
    let mut failed = failed_retries(manifest, state, &prints);
    failed.retain(|job, _| !resent.contains(job));
    let was_sent = |key: &EntryKey| {
        let entry = state.entries.get(key);
        let applied = entry.and_then(|entry| entry.applied.as_ref());
        to_send.contains(key) || applied.is_some_and(|it| it.origin == ValueOrigin::Sent)
    };
    // Of a saved plan, only its own jobs are retried. Failed ones keep those of their credentials
    // from a retry all the same.
    let own = options.saved.as_ref().map(ToApply::jobs);
    let is_own = |job: &JobId| own.as_ref().is_none_or(|own| own.contains(job));
    let mut jobs: BTreeMap<JobId, Candidate> = BTreeMap::new();
    for (at, assignment) in manifest.assignments().iter().enumerate() {
        let job = &assignment.key.job;
        let is_recorded = state.retries.contains_key(job);
        if !selected.is_selected(at) || !(is_own(job) || is_recorded) {
            continue;
        }
        let candidate = jobs.entry(job.clone()).or_insert_with(|| Candidate {
            label: assignment.job_label().to_owned(),
            credentials: Vec::new(),
            doubted: Vec::new(),
            is_recorded,
            fitness: Fitness::Unfit("drspass sent none of its passwords"),
        });
        if open.contains(job) {
            candidate.fitness = Fitness::Unfit("its passwords are not all in sync");
        } else if was_sent(&assignment.key) {
            candidate.fitness = match failed.get(job) {
                Some(retry) => Fitness::Failed(retry.at),
                None if is_own(job) => Fitness::Fit,
                None => Fitness::Unfit("the saved plan does not contain it"),
            };
        }
    }
    // A retry logs in to both databases.
    for assignment in manifest.assignments() {
        let EntryKey { job, endpoint } = &assignment.key;
        if let Some(candidate) = jobs.get_mut(job) {
            let retry = state.retries.get(job).filter(|_| !resent.contains(job));
            let is_doubted = retry.is_some_and(|retry| {
                !retry.proven.contains(endpoint) && was_tried(&prints, retry, assignment)
            });
            if is_doubted {
                candidate.doubted.extend(assignment.credential.clone());
            }
            candidate.credentials.extend(assignment.credential.clone());
        }
    }
    if own.is_some() {
        let used = jobs.iter().filter(|(job, _)| is_own(job));
        let used = used.flat_map(|(_, candidate)| candidate.credentials.iter().cloned());
        let used: BTreeSet<Arc<str>> = used.collect();
        jobs.retain(|job, candidate| {
            is_own(job) || candidate.doubted.iter().any(|it| used.contains(it))
        });
    }
    Ok(jobs)
}

pub type ReportedJobs = Vec<(JobId, ReportedJob)>;

pub fn states_of(
    online: &mut Online,
    jobs: &BTreeMap<JobId, Candidate>,
) -> Result<(ReportedJobs, Option<CallFailure>), OpError> {
    let ids: Vec<JobId> = jobs.keys().cloned().collect();
    online.client.begin_reading(ids.len());
    online.ask(|client| async move { client.states_of(&ids).await })
}
