//! Retries the jobs that failed because of a wrong password, and watches them until they run
//! or time is up (OTC user manual, "Modifying Connection Information": a failed job must be
//! resumed after that).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ApplyEvent;
use super::run::{Run, SavedState};
use super::send::GRACE;
use super::{ApplyContext, ApplyOptions};
use crate::api::client::Client;
use crate::api::jobs::RetryEnd;
use crate::core::address::Selection;
use crate::core::job::{EntryKey, JobId};
use crate::core::outcome::{NotSent, Outcome};
use crate::core::plan::{self, PlanInputs, failed_retries};
use crate::core::report::{ApplyReport, Progress, RetryJobsEntry, RetryJobsResult, Signal};
use crate::core::state::{State, ValueOrigin};
use crate::core::status::{JobStatus, ReportedJob, ReportedStatus, StatusKind};
use crate::ops::OpError;
use crate::ops::compare::Addresses;
use crate::ops::error::with_causes;
use crate::ops::online::Online;
use crate::ops::plan::ToApply;
use crate::store::{LockGuard, StateVersion, StoredState};
use crate::sys::testpoint;

/// The first wait between two queries of a job; it doubles up to the second. The first query
/// comes at once, so that a job that fails again quickly is seen to start.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryJobsOptions {
    /// Whether to resume jobs that their owner paused as well.
    pub resume_paused: bool,
    pub at_most: Duration,
}

/// A recorded apply, with the jobs to retry and their results so far.
struct RetryJobsRun<'a> {
    run: &'a Run<'a>,
    options: RetryJobsOptions,
    state: State,
    version: StateVersion,
    addresses: &'a Addresses,
    /// The jobs of a saved plan; only these are retried.
    planned: Option<BTreeSet<&'a JobId>>,
    /// Whether the state before the run has a backup.
    is_backed_up: bool,
    /// The jobs that needed a retry.
    results: BTreeMap<JobId, RetryJobsResult>,
    /// The number of jobs with an unknown state.
    unknown: usize,
    interrupted: Option<Signal>,
}

struct Candidate {
    label: String,
    fitness: Fitness,
}

#[derive(Clone, Copy)]
enum Fitness {
    /// All its listed entries are in sync, and drspass sent one of them.
    Fit,
    /// The same, but a retry with these passwords failed at that time.
    Failed(Timestamp),
    Unfit(&'static str),
}

/// Retries the failed ones among the jobs whose listed entries are all in sync and of which
/// drspass sent at least one, in this run or an earlier one: it makes up for a run that was
/// cut off before this step. Each retry is recorded as failed before it is sent; a recovered
/// job has that removed. The lock is free while jobs are watched.
///
/// # Errors
/// If an address matches no entry, or, in a run with nothing else to do, if the states cannot
/// be queried or recorded.
pub fn retry_jobs(
    run: &Run<'_>,
    options: &ApplyOptions,
    (mut report, saved): (ApplyReport, SavedState),
    guard: LockGuard,
    online: &mut Online,
    context: &mut ApplyContext<'_>,
) -> Result<ApplyReport, OpError> {
    let Some(wanted) = options.retry_jobs else {
        return Ok(report);
    };
    let why_not = match (&saved, report.interrupted) {
        (_, Some(_)) => Some("the run was interrupted"),
        _ if run.preflight.held_back => Some("other entries would be skipped (--stop-if-blocked)"),
        (None, _) => Some("the state could not be saved"),
        _ => None,
    };
    let (Some((state, version)), None) = (saved, why_not) else {
        report.not_retried = why_not.map(str::to_owned);
        return Ok(report);
    };
    let jobs = RetryJobsRun {
        run,
        options: wanted,
        state,
        version,
        addresses: &options.addresses,
        planned: options.saved.as_ref().map(ToApply::jobs),
        is_backed_up: report.requests > 0,
        results: BTreeMap::new(),
        unknown: 0,
        interrupted: None,
    };
    jobs.execute(guard, online, &mut report, context)?;
    Ok(report)
}

impl RetryJobsRun<'_> {
    fn execute(
        mut self,
        guard: LockGuard,
        online: &mut Online,
        report: &mut ApplyReport,
        context: &mut ApplyContext<'_>,
    ) -> Result<(), OpError> {
        let jobs = self.candidates()?;
        if jobs.is_empty() {
            return Ok(());
        }
        let is_refused_login = |(_, outcome): &(String, Outcome)| {
            matches!(outcome, Outcome::NotSent(NotSent::LoginRefused(_)))
        };
        // A login that was refused is not tried again: that locks keys and accounts.
        if report.entries.iter().any(is_refused_login) {
            report.not_retried = Some("the login was refused".to_owned());
            return Ok(());
        }
        let retried = self.retry_failed(&guard, online, &jobs, context);
        drop(guard);
        let ended = retried.map(|watched| {
            self.watch(online, watched, context.progress);
            if let Err(error) = self.forget_recovered(context) {
                report.findings.push(format!(
                    "cannot record that retried jobs recovered: {}. If they fail again, name \
                     them with --resend",
                    with_causes(&error)
                ));
            }
        });
        report.interrupted = self.interrupted;
        if self.unknown > 0 {
            let why = format!("the service returned no state for {} of them", self.unknown);
            report.not_retried = Some(why);
        }
        let results = self.results.into_iter();
        let results = results.map(|(job, result)| RetryJobsEntry {
            label: jobs
                .get(&job)
                .map(|job| job.label.clone())
                .unwrap_or_default(),
            result,
        });
        report.jobs.extend(results);
        match ended {
            Ok(()) => {}
            // The entries are recorded, so the report is worth more than the error.
            Err(OpError::Interrupted { signal }) => report.interrupted = Some(signal),
            Err(error) if report.entries.is_empty() && report.jobs.is_empty() => return Err(error),
            Err(error) => report.not_retried = Some(with_causes(&error)),
        }
        Ok(())
    }

    fn candidates(&self) -> Result<BTreeMap<JobId, Candidate>, OpError> {
        let manifest = &self.run.opened.manifest;
        let sealed = &self.run.opened.sealed;
        let prints = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        let after = plan::make(&PlanInputs {
            manifest,
            state: Some(&self.state),
            key_changed: false,
            fingerprinter: &prints,
            selection: &Selection::default(),
            batch_size: self.run.root.config.apply.batch_size,
        });
        let selected = Selection::resolve(manifest, &self.addresses.only, &[]);
        let selected = selected.map_err(OpError::unmatched)?;
        let open: BTreeSet<&JobId> = after.changes().map(|entry| &entry.key.job).collect();
        let mut failed = failed_retries(manifest, &self.state, &prints);
        let planned = self.run.plan.entries.iter();
        for entry in planned.filter(|entry| entry.is_resent()) {
            failed.remove(&entry.key.job);
        }
        let was_sent = |key: &EntryKey| {
            let entry = self.state.entries.get(key);
            let applied = entry.and_then(|entry| entry.applied.as_ref());
            applied.is_some_and(|applied| applied.origin == ValueOrigin::Sent)
        };
        let mut jobs: BTreeMap<JobId, Candidate> = BTreeMap::new();
        for (at, assignment) in self.run.opened.manifest.assignments().iter().enumerate() {
            let job = &assignment.key.job;
            let planned = self.planned.as_ref();
            if !selected.is_selected(at) || !planned.is_none_or(|planned| planned.contains(job)) {
                continue;
            }
            let label = assignment.label.rsplit_once('/');
            let candidate = jobs.entry(job.clone()).or_insert_with(|| Candidate {
                label: label.map_or(&*assignment.label, |(job, _)| job).to_owned(),
                fitness: Fitness::Unfit("drspass sent none of its passwords"),
            });
            if open.contains(job) {
                candidate.fitness = Fitness::Unfit("its passwords are not all in sync");
            } else if was_sent(&assignment.key) {
                let failed = failed.get(job).map(|retry| Fitness::Failed(retry.at));
                candidate.fitness = failed.unwrap_or(Fitness::Fit);
            }
        }
        Ok(jobs)
    }

    /// Retries failed jobs, and returns those to watch. Jobs in another or an unknown state are
    /// not touched.
    fn retry_failed(
        &mut self,
        guard: &LockGuard,
        online: &mut Online,
        jobs: &BTreeMap<JobId, Candidate>,
        context: &ApplyContext<'_>,
    ) -> Result<BTreeSet<JobId>, OpError> {
        let ids: Vec<JobId> = jobs.keys().cloned().collect();
        online.client.begin_reading(ids.len());
        let (reported, failed) =
            online.ask(|client| async move { client.states_of(&ids).await })?;
        if let Some(failure) = failed {
            return Err(online.client.states_error(failure).into());
        }
        let recorded = self.state.retries.len();
        let (to_retry, mut watched) = self.choose(reported, jobs);
        let former = self.state.retries.clone();
        if !to_retry.is_empty() || former.len() < recorded {
            let at = (context.runtime.now)();
            for job in &to_retry {
                self.state.retry(job, at);
            }
            self.save(guard)?;
        }
        testpoint::reach("aftercare.before_retry");
        let mut is_taken_back = false;
        for (job, end) in self.retry_all(online, &to_retry) {
            let Some(result) = end else {
                watched.insert(job);
                continue;
            };
            // Nothing logged in to its databases, so what was known before still holds.
            match former.get(&job) {
                Some(failed) => self.state.retries.insert(job.clone(), failed.clone()),
                None => self.state.retries.remove(&job),
            };
            is_taken_back = true;
            self.results.insert(job, result);
        }
        if is_taken_back && let Err(error) = self.save(guard) {
            // They were retried, and are not watched any more.
            let unseen = |job| (job, RetryJobsResult::Unseen(None));
            self.results.extend(watched.into_iter().map(unseen));
            return Err(error);
        }
        Ok(watched)
    }

    /// Chooses the jobs to retry, and those to watch because an earlier run retried them.
    fn choose(
        &mut self,
        reported: Vec<(JobId, ReportedJob)>,
        jobs: &BTreeMap<JobId, Candidate>,
    ) -> (Vec<JobId>, BTreeSet<JobId>) {
        let (mut to_retry, mut watched) = (Vec::new(), BTreeSet::new());
        for (job, reported) in reported {
            self.unknown += usize::from(reported == ReportedJob::Nothing);
            let (Some(status), Some(candidate)) = (reported.known(), jobs.get(&job)) else {
                continue;
            };
            let is_paused = status == JobStatus::Pausing;
            let is_due = status.may_be_retried() || is_paused && self.options.resume_paused;
            let result = match (candidate.fitness, status.kind()) {
                (_, StatusKind::Running) => {
                    self.state.retries.remove(&job);
                    continue;
                }
                // The retry of an earlier run is under way.
                (_, StatusKind::Transient) if self.state.retries.contains_key(&job) => {
                    watched.insert(job);
                    continue;
                }
                (Fitness::Fit, _) if is_due => {
                    to_retry.push(job);
                    continue;
                }
                (Fitness::Failed(at), _) if is_due => RetryJobsResult::RetriedBefore(status, at),
                (Fitness::Unfit(why), _) if status.may_be_retried() => {
                    RetryJobsResult::LeftAlone(status, why)
                }
                (Fitness::Fit | Fitness::Failed(_), StatusKind::Paused) => {
                    RetryJobsResult::LeftPaused
                }
                (_, StatusKind::Failed) => {
                    RetryJobsResult::LeftAlone(status, "a retry does not help in this state")
                }
                _ => continue,
            };
            self.results.insert(job, result);
        }
        (to_retry, watched)
    }

    /// Retries jobs group by group until a signal arrives or nothing more may be sent. Waits
    /// a short while for an answer in flight.
    fn retry_all(&mut self, online: &mut Online, jobs: &[JobId]) -> Vec<(JobId, RetryEnd)> {
        let mut ends = Vec::with_capacity(jobs.len());
        let mut stopped = None;
        for asked in Client::groups(jobs) {
            let all = |end: RetryEnd| asked.iter().map(move |job| (job.clone(), end.clone()));
            if let Some(why) = stopped {
                ends.extend(all(Some(RetryJobsResult::NotAsked(why))));
                continue;
            }
            let (client, signals) = (Arc::clone(&online.client), &mut online.signals);
            let (retried, stop) = online.runtime.block_on(async {
                let mut asking = std::pin::pin!(client.retry(asked));
                let signal = tokio::select! {
                    biased;
                    retried = &mut asking => return retried,
                    signal = signals.next() => signal,
                };
                self.interrupted = Some(signal);
                let retried = timeout(GRACE, asking).await.map(|(ends, _)| ends);
                // One that was not answered may have begun.
                let retried = retried.unwrap_or_else(|_| all(None).collect());
                (retried, Some("the run was interrupted"))
            });
            ends.extend(retried);
            stopped = stop;
        }
        ends
    }

    fn save(&mut self, guard: &LockGuard) -> Result<(), OpError> {
        let store = &self.run.root.store;
        if !std::mem::replace(&mut self.is_backed_up, true) {
            store.back_up(guard)?;
        }
        self.version = store.commit(guard, self.run.keys, &mut self.state, &self.version)?;
        Ok(())
    }

    /// Removes the recorded failure of retries whose jobs run again. The state may have been
    /// changed since.
    fn forget_recovered(&self, context: &ApplyContext<'_>) -> Result<(), OpError> {
        let runs = |job: &JobId| matches!(self.results.get(job), Some(RetryJobsResult::Runs(_)));
        let ours = self.state.retries.iter().filter(|(job, _)| runs(job));
        let ours: Vec<_> = ours.collect();
        if ours.is_empty() {
            return Ok(());
        }
        let store = &self.run.root.store;
        let guard = store.lock(&context.lock)?;
        let snapshot = store.read(self.run.keys)?;
        let snapshot = store.absorb_journal(&guard, self.run.keys, snapshot)?;
        let StoredState::Ours(mut state) = snapshot.known else {
            return Ok(());
        };
        for (job, retry) in ours {
            if state.retries.get(job).is_some_and(|now| now.at == retry.at) {
                state.retries.remove(job);
            }
        }
        store.commit(&guard, self.run.keys, &mut state, &snapshot.version)?;
        Ok(())
    }

    /// Watches jobs until they run or time is up. A signal ends the watching, not the report.
    fn watch(
        &mut self,
        online: &mut Online,
        jobs: BTreeSet<JobId>,
        progress: &mut dyn FnMut(ApplyEvent),
    ) {
        if jobs.is_empty() {
            return;
        }
        let at_most = self.options.at_most;
        progress(ApplyEvent::Watching {
            jobs: jobs.len(),
            at_most,
        });
        let mut last = BTreeMap::new();
        if self.interrupted.is_none() {
            let (open, results) = (jobs.clone(), &mut self.results);
            let watched =
                online.ask(|client| until_settled(client, open, at_most, results, &mut last));
            if let Err(OpError::Interrupted { signal }) = watched {
                self.interrupted = Some(signal);
            }
        }
        for job in jobs {
            let unseen = RetryJobsResult::Unseen(last.remove(&job));
            self.results.entry(job).or_insert(unseen);
        }
    }
}

/// Queries jobs until they run, and keeps the `last` state of each.
async fn until_settled(
    client: Arc<Client>,
    mut open: BTreeSet<JobId>,
    at_most: Duration,
    results: &mut BTreeMap<JobId, RetryJobsResult>,
    last: &mut BTreeMap<JobId, ReportedStatus>,
) {
    let what = ["watching retried jobs", "retried job", "retried jobs"];
    let (jobs, mut outcomes) = (open.len(), [(0, "running"), (0, "failed"), (0, "changed")]);
    let end = Instant::now() + at_most;
    let mut wait = FIRST_WAIT;
    // A failed state after that is a new one.
    let mut seen_starting = BTreeSet::new();
    loop {
        client.progress(Progress::at(what, jobs, &outcomes));
        let ids: Vec<JobId> = open.iter().cloned().collect();
        let look = timeout_at(end + GRACE, client.states_of(&ids));
        let Ok((reported, failed)) = look.await else {
            return;
        };
        if failed.is_some_and(|failure| failure.refuses_caller()) {
            return;
        }
        for (job, reported) in reported {
            let ReportedJob::Job(facts) = reported else {
                continue;
            };
            last.insert(job.clone(), facts.status.clone());
            let Some(status) = facts.status.known() else {
                continue;
            };
            let (at, result) = match status.kind() {
                StatusKind::Running => (0, RetryJobsResult::Runs(status)),
                StatusKind::Failed if seen_starting.contains(&job) => {
                    (1, RetryJobsResult::Failed(status))
                }
                StatusKind::Failed | StatusKind::Paused => continue,
                StatusKind::Transient => {
                    seen_starting.insert(job);
                    continue;
                }
                StatusKind::Stable | StatusKind::Ended => {
                    (2, RetryJobsResult::Unseen(Some(facts.status)))
                }
            };
            outcomes[at].0 += 1;
            open.remove(&job);
            results.insert(job, result);
        }
        let left = end.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return;
        }
        sleep(wait.min(left)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
