//! After the passwords: jobs that failed because of a wrong one are retried, and
//! watched until they work or the time for it is over (OTC user manual, "Modifying
//! Connection Information": a failed job must be resumed after that).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::send::GRACE;
use crate::api::client::Client;
use crate::api::jobs::{GoOn, Retry};
use crate::core::job::{EntryKey, JobId};
use crate::core::outcome::{NotSent, Outcome};
use crate::core::plan::Action;
use crate::core::preflight::Told;
use crate::core::report::{
    ApplyReport, Care, CaredFor, Event, Fate, LookedAfter, NotAsked, Signal,
};
use crate::core::state::{Origin, State};
use crate::core::status::{JobStatus, Kind, ToldStatus};
use crate::ops::OpError;
use crate::ops::error::with_causes;
use crate::ops::online::Online;
use crate::ops::plan::{self, Addresses, Comparable};
use crate::ops::root::{Opened, Root};

/// The first wait between two looks at a job; it doubles up to the second. The first
/// look comes at once, so that a job that fails again quickly is seen to start.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What may be done to jobs once their passwords are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterCare {
    /// Whether jobs that their owner paused are resumed as well.
    pub resume_paused: bool,
    /// How long retried jobs are watched.
    pub at_most: Duration,
}

/// An apply that is recorded, with jobs to look after.
pub(super) struct Aftermath<'a> {
    pub(super) root: &'a Root,
    pub(super) opened: &'a Opened,
    pub(super) state: State,
    pub(super) addresses: &'a Addresses,
    /// The jobs of a saved plan, which are the only ones then.
    pub(super) planned: Option<BTreeSet<&'a JobId>>,
}

impl Aftermath<'_> {
    /// Retries the failed ones among the jobs whose every listed entry is in sync,
    /// with at least one that drspass sent, in this run or before: a run that was cut
    /// off before this step is made good by the next.
    /// Fails if an address names nothing, which the plan showed before; or, in a run
    /// that had nothing else to do, if the states cannot be asked for.
    pub(super) fn look_after(
        self,
        online: &mut Online,
        care: AfterCare,
        report: &mut ApplyReport,
        progress: &mut dyn FnMut(Event),
    ) -> Result<(), OpError> {
        let jobs = self.jobs()?;
        if jobs.is_empty() {
            return Ok(());
        }
        let is_refused_login = |(_, fate): &(String, Fate)| {
            matches!(
                fate,
                Fate::Tried(Outcome::NotSent(NotSent::LoginRefused(_)))
            )
        };
        // A login that was refused is not tried again: that locks keys and accounts.
        if report.entries.iter().any(is_refused_login) {
            report.looked_after = not("the login was refused");
            return Ok(());
        }
        let ids = jobs.keys().cloned().collect();
        match look_after(online, ids, care, progress) {
            Ok(looked) => {
                report.interrupted = looked.interrupted;
                if looked.untold > 0 {
                    let number = looked.untold;
                    report.looked_after = not(format!("the service tells no state for {number}"));
                }
                report
                    .jobs
                    .extend(looked.cared.into_iter().map(|(job, care)| CaredFor {
                        label: jobs.get(&job).cloned().unwrap_or_default(),
                        care,
                    }));
            }
            // The entries are recorded, so the report is worth more than the error.
            Err(OpError::Interrupted { signal }) => report.interrupted = Some(signal),
            Err(error) if report.entries.is_empty() => return Err(error),
            Err(error) => report.looked_after = not(with_causes(&error)),
        }
        Ok(())
    }

    fn is_planned(&self, job: &JobId) -> bool {
        let planned = self.planned.as_ref();
        planned.is_none_or(|planned| planned.contains(job))
    }

    /// The jobs that are in sync, with what to call them.
    fn jobs(&self) -> Result<BTreeMap<JobId, String>, OpError> {
        let everything = Addresses::default();
        let comparable = Comparable {
            state: Some(self.state.clone()),
            key_changed: false,
            rollback: None,
        };
        let after = plan::make(self.root, self.opened, &comparable, &everything)?;
        let only = Addresses {
            only: self.addresses.only.clone(),
            resend: Vec::new(),
        };
        let selected = plan::selection(self.opened, &only)?;
        let differing = after.entries.iter();
        let open: BTreeSet<&JobId> = differing
            .filter(|entry| entry.action != Action::NoOp)
            .map(|entry| &entry.key.job)
            .collect();
        let was_sent = |key: &EntryKey| {
            let entry = self.state.entries.get(key);
            let applied = entry.and_then(|entry| entry.applied.as_ref());
            applied.is_some_and(|applied| applied.origin == Origin::Sent)
        };
        let assignments = self.opened.manifest.assignments().iter().enumerate();
        Ok(assignments
            .filter(|(at, assignment)| selected.is_selected(*at) && was_sent(&assignment.key))
            .filter(|(_, assignment)| !open.contains(&assignment.key.job))
            .filter(|(_, assignment)| self.is_planned(&assignment.key.job))
            .map(|(_, assignment)| {
                let label = assignment.label.rsplit_once('/');
                let label = label.map_or(assignment.label.as_str(), |(job, _)| job);
                (assignment.key.job.clone(), label.to_owned())
            })
            .collect())
    }
}

fn not(why: impl Into<String>) -> LookedAfter {
    LookedAfter::Not { why: why.into() }
}

/// What came of looking after jobs.
#[derive(Default)]
struct Looked {
    /// Those that needed something.
    cared: BTreeMap<JobId, Care>,
    /// How many there are whose state was not told.
    untold: usize,
    /// The signal that ended it.
    interrupted: Option<Signal>,
}

/// Retries those of `jobs` that failed, and watches them. Jobs in any other state
/// are not touched, nor are those whose state is not told. A signal ends it once
/// something was retried, and is told beside what came of it by then.
/// Fails if the states cannot be asked for, or a signal comes before that.
fn look_after(
    online: &mut Online,
    jobs: Vec<JobId>,
    care: AfterCare,
    progress: &mut dyn FnMut(Event),
) -> Result<Looked, OpError> {
    let client = Arc::clone(&online.client);
    let asked = Arc::clone(&client);
    let (told, failed) = online.ask(async move { asked.statuses(&jobs).await })?;
    let mut looked = Looked::default();
    let Looked {
        cared,
        untold,
        interrupted,
    } = &mut looked;
    let mut to_retry = Vec::new();
    for (job, told) in told {
        *untold += usize::from(told == Told::Nothing);
        match known(&told) {
            Some(status) if status.may_be_retried() => to_retry.push(job),
            Some(JobStatus::Pausing) if care.resume_paused => to_retry.push(job),
            Some(JobStatus::Pausing) => {
                cared.insert(job, Care::LeftPaused);
            }
            _ => {}
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut watched = BTreeSet::new();
    let mut go_on = GoOn::Yes;
    for asked in Client::groups(&to_retry) {
        if go_on == GoOn::No {
            let stopped = |job: &JobId| (job.clone(), Care::NotAsked(NotAsked::Stopped));
            cared.extend(asked.iter().map(stopped));
            continue;
        }
        let ((answers, may_go_on), signal) = retry(online, asked);
        go_on = may_go_on;
        for (job, answer) in answers {
            match answer {
                Retry::Refused(refusal) => {
                    cared.insert(job, Care::Refused(refusal));
                }
                Retry::NotAsked(why) => {
                    cared.insert(job, Care::NotAsked(why));
                }
                Retry::Taken | Retry::Unanswered => {
                    watched.insert(job);
                }
            }
        }
        *interrupted = signal;
        if interrupted.is_some() {
            break;
        }
    }
    if watched.is_empty() {
        return Ok(looked);
    }
    progress(Event::Watching {
        jobs: watched.len(),
        at_most: care.at_most,
    });
    let mut watch = Watch {
        client,
        seen_starting: BTreeSet::new(),
        last: BTreeMap::new(),
    };
    if interrupted.is_none() {
        // A signal ends the watching, not the report.
        let watching = watch.until_settled(watched.clone(), care.at_most, cared);
        if let Err(OpError::Interrupted { signal }) = online.ask(watching) {
            *interrupted = Some(signal);
        }
    }
    for job in watched {
        let last = watch.last.remove(&job);
        cared.entry(job).or_insert(Care::Unseen(last));
    }
    Ok(looked)
}

/// What came of asking for the retry of jobs, and whether more may be asked.
type Answers = (Vec<(JobId, Retry)>, GoOn);

/// Asks for the retry of jobs. A signal ends it, but an answer on its way is waited
/// for a while.
fn retry(online: &mut Online, jobs: &[JobId]) -> (Answers, Option<Signal>) {
    let client = Arc::clone(&online.client);
    let signals = &mut online.signals;
    online.runtime.block_on(async {
        let mut asking = std::pin::pin!(client.retry(jobs));
        let signal = tokio::select! {
            biased;
            answers = &mut asking => return (answers, None),
            signal = signals.next() => signal,
        };
        let answers = timeout(GRACE, asking).await.unwrap_or_else(|_| {
            let unanswered = |job: &JobId| (job.clone(), Retry::Unanswered);
            (jobs.iter().map(unanswered).collect(), GoOn::No)
        });
        (answers, Some(signal))
    })
}

fn known(told: &Told) -> Option<JobStatus> {
    match told {
        Told::Job(facts) => facts.status.known(),
        Told::Missing(_) | Told::Nothing => None,
    }
}

/// A look at jobs every now and then.
struct Watch {
    client: Arc<Client>,
    /// Jobs that were seen to start: a failed state after that is a new one.
    seen_starting: BTreeSet<JobId>,
    last: BTreeMap<JobId, ToldStatus>,
}

impl Watch {
    async fn until_settled(
        &mut self,
        mut open: BTreeSet<JobId>,
        at_most: Duration,
        cared: &mut BTreeMap<JobId, Care>,
    ) {
        let end = Instant::now() + at_most;
        let mut wait = FIRST_WAIT;
        loop {
            let ids: Vec<JobId> = open.iter().cloned().collect();
            let look = timeout_at(end + GRACE, self.client.statuses(&ids));
            let Ok((told, failed)) = look.await else {
                return;
            };
            if failed.is_some_and(|error| error.refuses_caller()) {
                return;
            }
            for (job, told) in told {
                if let Some(care) = self.judge(&job, &told) {
                    open.remove(&job);
                    cared.insert(job, care);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if open.is_empty() || left.is_zero() {
                return;
            }
            sleep(wait.min(left)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// What a look at a job settles, if anything.
    fn judge(&mut self, job: &JobId, told: &Told) -> Option<Care> {
        let Told::Job(facts) = told else {
            return None;
        };
        self.last.insert(job.clone(), facts.status.clone());
        let status = facts.status.known()?;
        match status.kind() {
            Kind::Running => Some(Care::Runs(status)),
            Kind::Failed if self.seen_starting.contains(job) => Some(Care::Failed(status)),
            Kind::Failed | Kind::Paused => None,
            Kind::Transient => {
                self.seen_starting.insert(job.clone());
                None
            }
            Kind::Stable | Kind::Ended => Some(Care::Unseen(Some(facts.status.clone()))),
        }
    }
}
