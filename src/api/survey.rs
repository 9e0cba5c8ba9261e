//! Queries the jobs whose passwords are about to be set.
//!
//! The list call comes first: it takes up to a hundred ids, and returns the available actions and
//! the subtasks of parents if the service knows of these. Not every cloud finds ids by that call,
//! so the status query fills the gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::client::Client;
use super::error::CallFailure;
use super::job_wire::{ListRow, PER_PAGE};
use super::jobs::shown_id;
use crate::core::inventory::UseType;
use crate::core::job::{JobId, some_of};
use crate::core::status::{JobDetails, ReportedJob};

#[derive(Default)]
pub struct Survey {
    pub reported: BTreeMap<JobId, ReportedJob>,
    pub failed: Option<CallFailure>,
    /// Which jobs may be dual-active parents, and why that is unknown.
    pub warnings: Vec<String>,
}

impl Survey {
    fn warn_of_parents(&mut self, among: &[JobId], why: impl fmt::Display) {
        self.warnings.push(format!(
            "could not check for dual-active parents among {}: {why}",
            some_of(among, 5)
        ));
    }
}

impl Client {
    /// Queries these jobs. Never fails: a state may be missing.
    pub async fn survey(self: &Arc<Self>, ids: &[JobId]) -> Survey {
        self.begin_reading(ids.len());
        let mut survey = Survey::default();
        let mut unlisted = None;
        let mut unfound = Vec::new();
        let mut list_finds = true;
        // Later queries use what the first ones learned.
        let (first, others) = ids.split_at(ids.len().min(PER_PAGE));
        for asked in [first, others] {
            if list_finds {
                match self.look_up(asked, &mut survey, &mut unlisted).await {
                    Ok(is_listed) => list_finds = is_listed,
                    Err(failure) => {
                        survey.failed = Some(failure);
                        return survey;
                    }
                }
            }
            let is_unknown =
                |id: &&JobId| matches!(survey.reported.get(*id), None | Some(ReportedJob::Nothing));
            let left: Vec<JobId> = asked.iter().filter(is_unknown).cloned().collect();
            let (states, failed) = self.states_of(&left).await;
            // A list without any of these jobs cannot find them by id.
            let is_there =
                |(_, reported): &(JobId, ReportedJob)| matches!(reported, ReportedJob::Job(_));
            list_finds &= left.len() < asked.len() || !states.iter().any(is_there);
            survey.reported.extend(states);
            unfound.extend(left);
            let is_over = failed.as_ref().is_some_and(CallFailure::ends_asking);
            survey.failed = survey.failed.or(failed);
            if is_over {
                for id in others {
                    survey
                        .reported
                        .entry(id.clone())
                        .or_insert(ReportedJob::Nothing);
                }
                break;
            }
        }
        // Only the list shows which jobs have subtasks.
        if let Some(failure) = unlisted.filter(|_| !unfound.is_empty()) {
            survey.warn_of_parents(&unfound, self.error("the list of jobs", failure));
        }
        survey
    }

    /// Queries the list call for these jobs, in all three use types; returns whether it finds jobs by
    /// id. The first failure of a use type goes to `unlisted`.
    async fn look_up(
        self: &Arc<Self>,
        asked: &[JobId],
        survey: &mut Survey,
        unlisted: &mut Option<CallFailure>,
    ) -> Result<bool, CallFailure> {
        let mut questions = asked.chunks(PER_PAGE).flat_map(|ids| {
            let names: Vec<&str> = ids.iter().map(JobId::as_str).collect();
            let names = names.join(",");
            UseType::ALL.map(|kind| {
                let (client, names) = (Arc::clone(self), names.clone());
                async move { client.list_page(kind, 1, &names).await }
            })
        });
        // One goes ahead: the time that the next failure takes is better spent on the
        // other query.
        let Some(first) = questions.next() else {
            return Ok(true);
        };
        let mut pages = vec![match first.await {
            Err(failure) if failure.refuses_caller() => return Err(failure),
            Err(failure) => {
                unlisted.get_or_insert(failure);
                return Ok(false);
            }
            page => page,
        }];
        pages.extend(self.ask_all(questions).await);
        let wanted: BTreeSet<&str> = asked.iter().map(JobId::as_str).collect();
        let mut parents = Vec::new();
        for (kind, rows) in UseType::ALL.into_iter().cycle().zip(pages) {
            // States missing from the list come from the status query.
            let rows = match rows {
                Ok(page) => page.jobs,
                Err(failure) if failure.refuses_caller() => return Err(failure),
                Err(failure) => {
                    unlisted.get_or_insert(failure);
                    Vec::new()
                }
            };
            for row in rows {
                let taken = self.take(&row, &wanted, &mut survey.reported);
                if kind == UseType::DisasterRecovery && !row.children().is_empty() {
                    parents.extend(taken);
                }
                for child in row.children() {
                    self.take(child, &wanted, &mut survey.reported);
                }
            }
        }
        if !parents.is_empty() {
            self.mark_parents(parents, survey).await?;
        }
        Ok(true)
    }

    /// Takes a row about a requested job, and returns that job and its subtasks.
    fn take(
        &self,
        row: &ListRow,
        wanted: &BTreeSet<&str>,
        reported: &mut BTreeMap<JobId, ReportedJob>,
    ) -> Option<(JobId, Vec<JobId>)> {
        let id = row.id.text().filter(|id| wanted.contains(id))?;
        let id = JobId::parse(id).ok()?;
        let status = self.status_of(row.status.text()?)?;
        let children = row.children().iter();
        let children: Vec<JobId> = children
            .filter_map(|child| shown_id(child.id.text()?, &self.needles()))
            .collect();
        let facts = JobDetails {
            status,
            offered: row.offers_password(),
            parent_of: Vec::new(),
        };
        // Rows that contradict each other say nothing.
        let merged = match reported.remove(&id) {
            Some(ReportedJob::Job(known)) if known.status != facts.status => ReportedJob::Nothing,
            Some(ReportedJob::Nothing) => ReportedJob::Nothing,
            _ => ReportedJob::Job(facts),
        };
        reported.insert(id.clone(), merged);
        Some((id, children))
    }

    /// Queries the details of possible dual-active parents: only they show whether it is one.
    async fn mark_parents(
        self: &Arc<Self>,
        candidates: Vec<(JobId, Vec<JobId>)>,
        survey: &mut Survey,
    ) -> Result<(), CallFailure> {
        let ids: Vec<JobId> = candidates.iter().map(|(id, _)| id.clone()).collect();
        let details = match self.details(&ids).await {
            Ok(details) => details,
            Err(failure) if failure.refuses_caller() => return Err(failure),
            Err(failure) => {
                survey.warn_of_parents(&ids, self.error("the query of job details", failure));
                return Ok(());
            }
        };
        let mut unknown = Vec::new();
        for (id, children) in candidates {
            let mut rows = details.iter();
            let Some(detail) = rows.find(|row| row.id.text() == Some(id.as_str())) else {
                unknown.push(id);
                continue;
            };
            if let Some(ReportedJob::Job(facts)) = survey.reported.get_mut(&id)
                && detail.is_dual_active()
            {
                facts.parent_of = children;
            }
        }
        if !unknown.is_empty() {
            survey.warn_of_parents(&unknown, "the answer does not contain its details");
        }
        Ok(())
    }
}
