//! Retries the jobs that failed because of a wrong password, and watches them until they run
//! or time is up (OTC user manual, "Modifying Connection Information": a failed job must be
//! resumed after that).

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::candidates::{
    Candidate, Fitness, ReportedJobs, RetryJobsOptions, candidates, states_of,
};
use super::run::{Run, SavedState};
use super::send::GRACE;
use super::turn;
use super::watch::Watch;
use super::{ApplyContext, ApplyEvent, ApplyOptions};
use crate::api::client::Client;
use crate::api::jobs::RetryEnd;
use crate::core::job::JobId;
use crate::core::manifest::Assignment;
use crate::core::outcome::{NotSent, Outcome, RefusalKind};
use crate::core::plan::was_tried;
use crate::core::report::{ApplyReport, RetryJobsEntry, RetryJobsResult, Signal};
use crate::core::state::State;
use crate::core::status::{ReportedJob, StatusKind};
use crate::ops::OpError;
use crate::ops::error::with_causes;
use crate::ops::online::Online;
use crate::ops::root::Opened;
use crate::store::{LockGuard, StateSnapshot, StateVersion, StoreError, StoredState};
use crate::sys::testpoint;

/// How often the state is written anew if others write it as well.
const TRIES: usize = 3;

const INTERRUPTED: &str = "the run was interrupted";

/// By credential, the jobs that did not recover with it.
type Failing<'a> = BTreeMap<&'a Arc<str>, Vec<&'a JobId>>;

/// A recorded apply, with the jobs to retry and their results so far.
struct RetryJobsRun<'a> {
    run: &'a Run<'a>,
    options: RetryJobsOptions,
    state: State,
    version: StateVersion,
    /// Whether the state before the run has a backup.
    is_backed_up: bool,
    jobs: BTreeMap<JobId, Candidate>,
    waiting: Vec<JobId>,
    watch: Watch,
    /// The jobs that needed a retry.
    results: BTreeMap<JobId, RetryJobsResult>,
    /// By credential that one failed job keeps from others: how to try it with one of them.
    proposals: BTreeMap<Arc<str>, String>,
    /// The number of jobs with an unknown state.
    unknown: usize,
    /// Why no other job is retried.
    stopped: Option<&'static str>,
    interrupted: Option<Signal>,
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
    let is_refused = |outcome| matches!(outcome, &Outcome::NotSent(NotSent::LoginRefused(_)));
    let why_not = match (&saved, report.interrupted) {
        (_, Some(_)) => Some(INTERRUPTED),
        // It is not tried again: that locks keys and accounts.
        _ if report.entries.iter().any(|(_, it)| is_refused(it)) => Some("the login was refused"),
        _ if run.preflight.held_back => Some("other entries would be skipped (--stop-if-blocked)"),
        (None, _) => Some("the state could not be saved"),
        _ => None,
    };
    let (Some((state, version)), None) = (saved, why_not) else {
        report.not_retried = why_not.map(str::to_owned);
        return Ok(report);
    };
    let known = (run.plan, &state);
    let jobs = RetryJobsRun {
        run,
        options: wanted,
        jobs: candidates((run.root, run.opened), known, options, &BTreeSet::new())?,
        state,
        version,
        is_backed_up: report.requests > 0,
        waiting: Vec::new(),
        watch: Watch::default(),
        results: BTreeMap::new(),
        proposals: BTreeMap::new(),
        unknown: 0,
        stopped: (!run.is_asked).then_some("it failed only now; run the command again"),
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
        if self.jobs.is_empty() {
            return Ok(());
        }
        let ended = self.retry_all(guard, online, report, context);
        self.give_up();
        if !self.results.is_empty() {
            let why = "its retry could not be recorded".to_owned();
            let waiting = take(&mut self.waiting).into_iter();
            let waiting = waiting.map(|job| (job, RetryJobsResult::NotAsked(why.clone())));
            self.results.extend(waiting);
        }
        if let Err(error) = self.forget_recovered(context) {
            report.findings.push(format!(
                "cannot record that retried jobs recovered: {}. If they fail again, name \
                 them with --resend",
                with_causes(&error)
            ));
        }
        report.findings.extend(self.proposals.into_values());
        report.interrupted = self.interrupted;
        if self.unknown > 0 {
            let why = format!("the service returned no state for {} of them", self.unknown);
            report.not_retried = Some(why);
        }
        let results = self.results.into_iter();
        let results = results.map(|(job, result)| RetryJobsEntry {
            label: self.jobs[&job].label.clone(),
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

    /// Retries and watches, round by round, until each job has a result. Jobs in another or an
    /// unknown state are not touched.
    fn retry_all(
        &mut self,
        guard: LockGuard,
        online: &mut Online,
        report: &mut ApplyReport,
        context: &mut ApplyContext<'_>,
    ) -> Result<(), OpError> {
        let (reported, failed) = states_of(online, &self.jobs)?;
        if let Some(failure) = failed {
            return Err(online.client.states_error(failure).into());
        }
        let are_known = reported.iter().all(|(_, job)| job.known().is_some());
        self.choose(reported);
        let mut now = self.next_round();
        let all = now.iter().chain(&self.waiting).chain(&self.watch.open);
        let jobs: Vec<String> = all.map(|job| self.jobs[job].label.clone()).collect();
        report.none_failed = are_known && jobs.is_empty() && self.results.is_empty();
        if !jobs.is_empty() {
            report.is_shown = !report.entries.is_empty() && (context.show_outcomes)(report);
            (context.progress)(ApplyEvent::Retrying {
                jobs,
                is_over: now.is_empty() && self.waiting.is_empty(),
                in_rounds: !self.waiting.is_empty(),
                at_most: self.options.at_most,
            });
        }
        let (mut guard, mut end) = (Some(guard), None);
        loop {
            if !now.is_empty() {
                self.retry(guard, &now, online, context)?;
            }
            guard = None;
            if !self.watch.open.is_empty() {
                let end = end.get_or_insert_with(|| Instant::now() + self.options.at_most);
                self.watch(online, *end);
            } else if self.waiting.is_empty() {
                return Ok(());
            }
            now = self.next_round();
        }
    }

    /// Chooses the jobs to retry, and those to watch because an earlier run retried them.
    fn choose(&mut self, reported: ReportedJobs) {
        for (job, reported) in reported {
            self.unknown += usize::from(reported == ReportedJob::Nothing);
            let (Some(status), Some(candidate)) = (reported.known(), self.jobs.get(&job)) else {
                continue;
            };
            if candidate.is_to_watch(status) {
                self.watch.open.insert(job);
                continue;
            }
            if candidate.is_to_retry(status, self.options) {
                self.waiting.push(job);
                continue;
            }
            let result = match (candidate.fitness, status.kind()) {
                (Fitness::Failed(at), _) if self.options.is_due(status) => {
                    RetryJobsResult::RetriedBefore(status, at)
                }
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
    }

    /// Takes the jobs to retry now: one of each credential until one of them runs again, since
    /// each wrong login brings an account closer to its lock.
    fn next_round(&mut self) -> Vec<JobId> {
        self.hold_back();
        let used = |job: &JobId| self.jobs[job].credentials.iter();
        let works = self.proven();
        let mut tried: BTreeSet<&Arc<str>> = self.watch.open.iter().flat_map(used).collect();
        let (mut now, mut later, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for job in &self.waiting {
            let mut unproven = used(job).filter(|credential| !works.contains(credential));
            if let Some(why) = self.stopped.map(str::to_owned) {
                held.push((job.clone(), RetryJobsResult::NotAsked(why)));
            } else if unproven.any(|credential| tried.contains(credential)) {
                later.push(job.clone());
            } else {
                tried.extend(used(job));
                now.push(job.clone());
            }
        }
        self.waiting = later;
        self.results.extend(held);
        now
    }

    /// Gives up the waiting jobs that use a credential with which another one did not recover.
    fn hold_back(&mut self) {
        loop {
            let fails = self.failing();
            let (mut held, mut proposals) = (BTreeMap::new(), Vec::new());
            for job in &self.waiting {
                let mut used = self.jobs[job].credentials.iter();
                let failed = used.find_map(|it| Some((it, fails.get(it)?)));
                let Some((credential, by)) = failed else {
                    continue;
                };
                if let Some(proposal) = self.proposal(job, credential, &fails) {
                    proposals.push((Arc::clone(credential), proposal));
                }
                let by = by.last().map_or("", |by| &self.jobs[*by].label);
                let why = format!("{by} uses @{credential} too and did not recover");
                held.insert(job.clone(), RetryJobsResult::NotAsked(why));
            }
            // One that is held is not retried, so its own record keeps others from a retry.
            if held.is_empty() {
                return;
            }
            self.waiting.retain(|job| !held.contains_key(job));
            self.results.extend(held);
            for (credential, proposal) in proposals {
                self.proposals.entry(credential).or_insert(proposal);
            }
        }
    }

    /// Returns the credentials with which a job runs again.
    fn proven(&self) -> BTreeSet<&Arc<str>> {
        let proves = |job: &JobId| {
            matches!(self.results.get(job), Some(RetryJobsResult::Runs(_)))
                && !matches!(self.jobs[job].fitness, Fitness::Unfit(_))
                && self.state.is_retried_as_applied(job)
        };
        let jobs = self.jobs.iter().filter(|(job, _)| proves(job));
        jobs.flat_map(|(_, job)| &job.credentials).collect()
    }

    /// Returns the other credentials with which jobs did not recover, in this run or, as recorded,
    /// before it.
    fn failing(&self) -> Failing<'_> {
        let (works, waiting) = (self.proven(), self.waiting.iter().collect::<BTreeSet<_>>());
        let mut fails = Failing::new();
        for (job, candidate) in &self.jobs {
            let doubted = match (self.results.get(job), candidate.fitness) {
                (Some(RetryJobsResult::Runs(_)), _) => continue,
                (
                    Some(
                        RetryJobsResult::Failed(_)
                        | RetryJobsResult::Unseen(_)
                        | RetryJobsResult::Refused(_),
                    ),
                    Fitness::Fit | Fitness::Unfit(_),
                ) => &candidate.credentials,
                // This run finds out.
                (None, _) if waiting.contains(job) || self.watch.open.contains(job) => continue,
                _ => &candidate.doubted,
            };
            for credential in doubted.iter().filter(|it| !works.contains(it)) {
                fails.entry(credential).or_default().push(job);
            }
        }
        fails
    }

    /// Returns how to retry this job although one that failed uses the same credential. After a
    /// second failure that is to be suspected itself.
    fn proposal(&self, job: &JobId, credential: &Arc<str>, fails: &Failing<'_>) -> Option<String> {
        let [by] = fails.get(credential)?.as_slice() else {
            return None;
        };
        match self.results.get(*by) {
            Some(RetryJobsResult::Unseen(_)) => return None,
            Some(RetryJobsResult::Refused(it)) if it.kind != RefusalKind::WrongPassword => {
                return None;
            }
            _ => {}
        }
        let mut used = self.jobs[job].credentials.iter();
        if used.any(|it| it != credential && fails.contains_key(it)) {
            return None;
        }
        let (by, job) = (&self.jobs[*by].label, &self.jobs[job].label);
        let resume = match self.options.resume_paused {
            true => " --resume-paused",
            false => "",
        };
        Some(format!(
            "if @{credential} is right and only the other password of {by} is wrong, run 'drspass \
             apply --retry-jobs{resume} --only {job}', which tries @{credential} once more; once \
             {job} runs again, the next --retry-jobs retries the others"
        ))
    }

    /// Records retries as failed, sends them, and takes back the records of those that do not
    /// begin. Takes the lock again if it was given back; a state that was changed since is an
    /// error.
    fn retry(
        &mut self,
        guard: Option<LockGuard>,
        jobs: &[JobId],
        online: &mut Online,
        context: &ApplyContext<'_>,
    ) -> Result<(), OpError> {
        let waiting = self.waiting.len();
        self.waiting.extend_from_slice(jobs);
        let guard = match guard {
            Some(guard) => guard,
            None => self.lock_again(context)?.0,
        };
        let former = self.state.retries.clone();
        for job in jobs {
            self.state.retry(job, (context.runtime.now)());
        }
        self.save(&guard)?;
        self.waiting.truncate(waiting);
        testpoint::reach("aftercare.before_retry");
        let mut is_taken_back = false;
        for (job, end) in self.ask_for(online, jobs) {
            let Some(result) = end else {
                self.watch.open.insert(job);
                continue;
            };
            let is_wrong = matches!(&result, RetryJobsResult::Refused(refusal)
                if refusal.kind == RefusalKind::WrongPassword);
            self.results.insert(job.clone(), result);
            if is_wrong {
                continue;
            }
            // Nothing logged in to its databases, so what was known before still holds.
            match former.get(&job) {
                Some(failed) => self.state.retries.insert(job, failed.clone()),
                None => self.state.retries.remove(&job),
            };
            is_taken_back = true;
        }
        match is_taken_back {
            true => self.save(&guard),
            false => Ok(()),
        }
    }

    fn lock_again(
        &self,
        context: &ApplyContext<'_>,
    ) -> Result<(LockGuard, StateSnapshot), OpError> {
        let store = &self.run.root.store;
        let guard = store.lock(&context.lock)?;
        let snapshot = store.read(self.run.keys)?;
        turn::check_free(self.run.root, &snapshot)?;
        let snapshot = store.absorb_journal(&guard, self.run.keys, snapshot)?;
        Ok((guard, snapshot))
    }

    /// Asks for retries group by group until a signal arrives or nothing more may be sent. Waits
    /// a short while for an answer in flight.
    fn ask_for(&mut self, online: &mut Online, jobs: &[JobId]) -> Vec<(JobId, RetryEnd)> {
        let mut ends = Vec::with_capacity(jobs.len());
        for asked in Client::groups(jobs) {
            let all = |end: RetryEnd| asked.iter().map(move |job| (job.clone(), end.clone()));
            if let Some(why) = self.stopped {
                ends.extend(all(Some(RetryJobsResult::NotAsked(why.to_owned()))));
                continue;
            }
            let (client, signals) = (Arc::clone(&online.client), &mut online.waiter.signals);
            let (retried, stop) = online.waiter.runtime.block_on(async {
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
                (retried, Some(INTERRUPTED))
            });
            ends.extend(retried);
            self.stopped = stop;
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

    /// Removes the recorded failure of retries whose jobs run again, and records that their
    /// credentials were not why others failed. The state may have been changed since.
    fn forget_recovered(&self, context: &ApplyContext<'_>) -> Result<(), OpError> {
        let runs = |job: &JobId| matches!(self.results.get(job), Some(RetryJobsResult::Runs(_)));
        let ours = self.state.retries.iter().filter(|(job, _)| runs(job));
        let ours: Vec<_> = ours.collect();
        if ours.is_empty() {
            return Ok(());
        }
        let works = self.proven();
        let store = &self.run.root.store;
        let mut tries = TRIES;
        loop {
            let (guard, snapshot) = self.lock_again(context)?;
            let StoredState::Ours(mut state) = snapshot.known else {
                return Ok(());
            };
            for (job, retry) in &ours {
                let now = state.retries.get(*job);
                if now.is_some_and(|now| now.at == retry.at) {
                    state.retries.remove(*job);
                }
            }
            self.prove(&mut state, &works);
            tries -= 1;
            match store.commit(&guard, self.run.keys, &mut state, &snapshot.version) {
                Err(StoreError::Changed { .. }) if tries > 0 => {}
                written => return Ok(written.map(drop)?),
            }
        }
    }

    fn prove(&self, state: &mut State, works: &BTreeSet<&Arc<str>>) {
        let Opened {
            manifest, sealed, ..
        } = self.run.opened;
        let prints = sealed.fingerprint_key.fingerprinter(&sealed.scope);
        for assignment in manifest.assignments() {
            let Assignment {
                key, credential, ..
            } = assignment;
            if credential.as_ref().is_some_and(|it| works.contains(it))
                && let Some(retry) = state.retries.get_mut(&key.job)
                && was_tried(&prints, retry, assignment)
            {
                retry.proven.insert(key.endpoint);
            }
        }
    }

    /// Watches until a job settles that others may wait for, all do, or time is up. A signal ends
    /// the watching, not the report.
    fn watch(&mut self, online: &mut Online, end: Instant) {
        let (watch, results, all) = (&mut self.watch, &mut self.results, self.waiting.is_empty());
        let ended = match self.interrupted {
            Some(_) => Err(INTERRUPTED),
            None => match online.ask(|client| watch.look(client, end, results, all)) {
                Ok(ended) => ended,
                Err(error) => {
                    if let OpError::Interrupted { signal } = error {
                        self.interrupted = Some(signal);
                    }
                    Err(INTERRUPTED)
                }
            },
        };
        if let Err(why) = ended {
            self.give_up();
            self.stopped = Some(why);
        }
    }

    fn give_up(&mut self) {
        for job in take(&mut self.watch.open) {
            let unseen = RetryJobsResult::Unseen(self.watch.last.remove(&job));
            self.results.entry(job).or_insert(unseen);
        }
    }
}
