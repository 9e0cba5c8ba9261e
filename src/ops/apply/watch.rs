//! Watches retried jobs until they run, fail again, or time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::send::GRACE;
use crate::api::client::Client;
use crate::core::job::JobId;
use crate::core::report::{Progress, RetryJobsResult};
use crate::core::status::{ReportedJob, ReportedStatus, StatusKind};

/// The first wait between two queries of a job; it doubles up to the second. The first query
/// comes at once, so that a job that fails again quickly is seen to start.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a job must run that was not seen to start: a resumed one shows a running state before
/// it logs in.
const STEADY: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Watch {
    /// The jobs whose retry is under way.
    pub open: BTreeSet<JobId>,
    /// The last state of each.
    pub last: BTreeMap<JobId, ReportedStatus>,
    /// A failed state after that is a new one.
    seen_starting: BTreeSet<JobId>,
    /// Since when the others among the open ones were seen to run.
    seen_running: BTreeMap<JobId, Instant>,
    /// How many run, failed again, and are in another state.
    settled: [usize; 3],
}

impl Watch {
    /// Queries jobs until `all` of them, or one, have a result.
    ///
    /// # Errors
    /// Why there will be no more results.
    pub async fn look(
        &mut self,
        client: Arc<Client>,
        end: Instant,
        results: &mut BTreeMap<JobId, RetryJobsResult>,
        all: bool,
    ) -> Result<(), &'static str> {
        const TIME_OVER: &str = "the time for watching was over";
        let what = ["watching retried jobs", "retried job", "retried jobs"];
        let open = self.open.len();
        let jobs = open + self.settled.iter().sum::<usize>();
        let mut wait = FIRST_WAIT;
        loop {
            let [running, failed, changed] = self.settled;
            let outcomes = [
                (running, "running"),
                (failed, "failed"),
                (changed, "changed"),
            ];
            client.progress(Progress::at(what, jobs, &outcomes));
            let ids: Vec<JobId> = self.open.iter().cloned().collect();
            let look = timeout_at(end + GRACE, client.states_of(&ids));
            let (reported, failed) = look.await.map_err(|_| TIME_OVER)?;
            if failed.is_some_and(|failure| failure.refuses_caller()) {
                return Err("the service rejected the login");
            }
            for (job, reported) in reported {
                if let ReportedJob::Job(facts) = reported {
                    self.take(job, facts.status, results);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.open.is_empty() && all {
                return Ok(());
            }
            if left.is_zero() {
                return Err(TIME_OVER);
            }
            if self.open.len() < open && !all {
                return Ok(());
            }
            let running = self.seen_running.values();
            let steady = running.map(|since| STEADY.saturating_sub(since.elapsed()));
            let steady = steady.min().map_or(wait, |left| left.max(FIRST_WAIT));
            sleep(wait.min(left).min(steady)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn take(
        &mut self,
        job: JobId,
        reported: ReportedStatus,
        results: &mut BTreeMap<JobId, RetryJobsResult>,
    ) {
        self.last.insert(job.clone(), reported.clone());
        let Some(status) = reported.known() else {
            return;
        };
        let is_starting = self.seen_starting.contains(&job);
        let (at, result) = match status.kind() {
            StatusKind::Running => {
                let since = *(self.seen_running.entry(job.clone())).or_insert_with(Instant::now);
                if !is_starting && since.elapsed() < STEADY {
                    return;
                }
                (0, RetryJobsResult::Runs(status))
            }
            StatusKind::Failed if is_starting || self.seen_running.contains_key(&job) => {
                (1, RetryJobsResult::Failed(status))
            }
            StatusKind::Failed | StatusKind::Paused => {
                self.seen_running.remove(&job);
                return;
            }
            StatusKind::Transient => {
                self.seen_starting.insert(job);
                return;
            }
            StatusKind::Stable | StatusKind::Ended => (2, RetryJobsResult::Unseen(Some(reported))),
        };
        self.settled[at] += 1;
        self.open.remove(&job);
        self.seen_running.remove(&job);
        results.insert(job, result);
    }
}
