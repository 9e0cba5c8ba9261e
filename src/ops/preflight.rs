//! Asking for the states of the jobs that are about to be told passwords.

use std::collections::{BTreeMap, BTreeSet};

use super::OpError;
use super::online::Online;
use crate::core::job::{EntryKey, JobId, some_of};
use crate::core::status::{Blocked, JobStatus, Readiness, ReportedJob, UnknownStates, judge};

/// What came of it.
#[derive(Debug, Default)]
pub struct Preflight {
    /// The jobs that cannot be told a password now.
    pub blocked: BTreeMap<JobId, Blocked>,
    /// What a person should know about how it went.
    pub warnings: Vec<String>,
    /// How many of the jobs have failed, so that the right password alone does not
    /// bring them back.
    pub failed: usize,
}

impl Preflight {
    /// Asks for the jobs of these entries. A question that fails is a warning: the
    /// service judges each entry anyway.
    /// Fails if the caller is refused, or a signal comes first.
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
        let client = std::sync::Arc::clone(&online.client);
        let survey = online.ask(async move { client.survey(&jobs).await })?;
        let mut preflight = Self::default();
        let mut unread = Vec::new();
        for (job, told) in survey.told {
            if let ReportedJob::Job(facts) = &told {
                let status = facts.status.known();
                preflight.failed += usize::from(status.is_some_and(JobStatus::may_be_retried));
            }
            match judge(&told, unknown) {
                Readiness::Ready => {}
                Readiness::Blocked(why) => {
                    preflight.blocked.insert(job, why);
                }
                Readiness::Unread => unread.push(job),
            }
        }
        match survey.failed {
            Some(error) if error.refuses_caller() => return Err(error.into()),
            Some(error) => preflight.warnings.push(format!(
                "could not read the state of {}, so it was not checked: {error}",
                some_of(&unread)
            )),
            None if !unread.is_empty() => preflight.warnings.push(format!(
                "the service returned no state of {}, so it was not checked",
                some_of(&unread)
            )),
            None => {}
        }
        for (jobs, error) in survey.maybe_parents {
            let why = error.map_or_else(
                || "the answer does not contain its details".to_owned(),
                |error| error.to_string(),
            );
            preflight.warnings.push(format!(
                "could not check whether a dual-active parent is among {}: {why}",
                some_of(&jobs)
            ));
        }
        Ok(preflight)
    }
}
