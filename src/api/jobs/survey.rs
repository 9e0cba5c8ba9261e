//! What the service says about the jobs that are about to be told passwords.
//!
//! The list call is asked first: it takes up to a hundred ids at once, and tells
//! the actions that are offered and the subtasks of parents where the service
//! knows of such things. Not every cloud finds ids by that call, so whatever it
//! does not tell is asked of the status query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Method;

use super::{body_of, shown_id, status_of, unusable};
use crate::api::client::Client;
use crate::api::error::ServiceError;
use crate::api::exchange::Failure;
use crate::api::note::Note;
use crate::api::wire::jobs::{self, ListRow, PER_PAGE};
use crate::core::inventory::UseType;
use crate::core::job::JobId;
use crate::core::status::{JobFacts, Told};

/// The action that sets a password (official Huawei Cloud SDK, `job_action`).
const RESET_PASSWORD: &str = "RESET_DB_PWD";

/// What a list came to.
#[derive(PartialEq, Eq)]
enum Found {
    /// It was given, whatever stood in it.
    Rows,
    /// It cannot be had here, or not now.
    Nothing,
}

/// What the service says about jobs.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every job that was asked for.
    pub told: BTreeMap<JobId, Told>,
    /// Why the service did not say something about some of them.
    pub failed: Option<ServiceError>,
    /// Jobs that may be the parent of a dual-active pair, and the error that kept
    /// that from being known; none where the answer left them out.
    pub maybe_parents: Vec<(Vec<JobId>, Option<ServiceError>)>,
}

impl Client {
    /// Asks the service about these jobs. Never fails: what it does not say is not told.
    pub async fn survey(self: &Arc<Self>, ids: &[JobId]) -> Survey {
        let mut survey = Survey::default();
        let (mut unlisted, mut unread) = (None, None);
        let mut unfound = Vec::new();
        let mut list_finds = true;
        // What the first ones teach is used for the others.
        let (first, others) = ids.split_at(ids.len().min(PER_PAGE));
        for asked in [first, others] {
            if list_finds {
                match self.look_up(asked, &mut survey, &mut unlisted).await {
                    Ok(found) => list_finds = found == Found::Rows,
                    Err(failure) => {
                        survey.failed = Some(self.error("the query of job states", failure));
                        return survey;
                    }
                }
            }
            let is_untold =
                |id: &&JobId| matches!(survey.told.get(*id), None | Some(Told::Nothing));
            let left: Vec<JobId> = asked.iter().filter(is_untold).cloned().collect();
            let (states, failed) = self.states_of(&left).await;
            // A list that has none of the jobs that are there does not find them by id.
            let is_there = |(_, told): &(JobId, Told)| matches!(told, Told::Job(_));
            list_finds &= left.len() < asked.len() || !states.iter().any(is_there);
            survey.told.extend(states);
            unfound.extend(left);
            let is_over = failed.as_ref().is_some_and(Failure::ends_asking);
            unread = unread.or(failed);
            if is_over {
                let untold = others.iter().map(|id| (id.clone(), Told::Nothing));
                untold.for_each(|(id, told)| {
                    survey.told.entry(id).or_insert(told);
                });
                break;
            }
        }
        survey.failed = unread.map(|failure| self.error("the query of job states", failure));
        // Only the list tells which jobs have subtasks.
        if let Some(failure) = unlisted.filter(|_| !unfound.is_empty()) {
            let error = self.error("the list of jobs", failure);
            survey.maybe_parents.push((unfound, Some(error)));
        }
        survey
    }

    /// Asks the list call for these jobs, in all three kinds. The first failure of a
    /// kind goes to `unlisted`.
    /// Fails only if the caller is refused: then nothing else may be asked.
    async fn look_up(
        self: &Arc<Self>,
        asked: &[JobId],
        survey: &mut Survey,
        unlisted: &mut Option<Failure>,
    ) -> Result<Found, Failure> {
        let mut questions = asked.chunks(PER_PAGE).flat_map(|ids| {
            let names: Vec<&str> = ids.iter().map(JobId::as_str).collect();
            let names = names.join(",");
            UseType::ALL.map(|kind| {
                let (client, names) = (Arc::clone(self), names.clone());
                async move { client.named(kind, &names).await }
            })
        });
        // One goes ahead: the time that the next failure takes is better spent on the
        // other query.
        let Some(first) = questions.next() else {
            return Ok(Found::Rows);
        };
        let mut pages = vec![match first.await {
            Err(failure) if failure.refuses_caller() => return Err(failure),
            Err(failure) => {
                unlisted.get_or_insert(failure);
                return Ok(Found::Nothing);
            }
            page => page,
        }];
        pages.extend(self.ask_all(questions).await);
        let wanted: BTreeSet<&str> = asked.iter().map(JobId::as_str).collect();
        let mut parents = Vec::new();
        for (kind, rows) in UseType::ALL.into_iter().cycle().zip(pages) {
            // States that the list does not tell come from the status query.
            let rows = match rows {
                Ok(rows) => rows,
                Err(failure) if failure.refuses_caller() => return Err(failure),
                Err(failure) => {
                    unlisted.get_or_insert(failure);
                    Vec::new()
                }
            };
            for row in rows {
                let taken = self.take(&row, &wanted, &mut survey.told);
                if kind == UseType::DisasterRecovery && !row.children.is_empty() {
                    parents.extend(taken);
                }
                for child in &row.children {
                    self.take(child, &wanted, &mut survey.told);
                }
            }
        }
        if !parents.is_empty() {
            self.mark_parents(parents, survey).await?;
        }
        Ok(Found::Rows)
    }

    async fn named(&self, kind: UseType, names: &str) -> Result<Vec<ListRow>, Failure> {
        let body = jobs::list(kind, 1, names);
        let call = self.call(Method::POST, "jobs", body);
        let answer = body_of(self.ask(&call).await?);
        let page = jobs::read_list(&answer).ok_or_else(|| unusable(&call, Note::OddAnswer))?;
        Ok(page.rows)
    }

    /// Takes a row over if it is about a job that was asked for; returns the job and
    /// its subtasks then.
    fn take(
        &self,
        row: &ListRow,
        wanted: &BTreeSet<&str>,
        told: &mut BTreeMap<JobId, Told>,
    ) -> Option<(JobId, Vec<JobId>)> {
        let id = row.id.as_deref().filter(|id| wanted.contains(id))?;
        let id = JobId::parse(id).ok()?;
        let status = status_of(row.status.as_deref()?, || self.needles())?;
        let children = row.children.iter();
        let children: Vec<JobId> = children
            .filter_map(|child| shown_id(child.id.as_deref()?, &self.needles()))
            .collect();
        let facts = JobFacts {
            status,
            offered: row.actions.as_ref().and_then(offered),
            parent_of: Vec::new(),
        };
        // Rows that contradict each other tell nothing.
        let told_now = match told.remove(&id) {
            Some(Told::Job(known)) if known.status != facts.status => Told::Nothing,
            Some(Told::Nothing) => Told::Nothing,
            _ => Told::Job(facts),
        };
        told.insert(id.clone(), told_now);
        Some((id, children))
    }

    /// Asks for the details of what looks like the parent of a dual-active pair:
    /// only they tell whether it is one.
    /// Fails only if the caller is refused.
    async fn mark_parents(
        self: &Arc<Self>,
        candidates: Vec<(JobId, Vec<JobId>)>,
        survey: &mut Survey,
    ) -> Result<(), Failure> {
        let ids: Vec<JobId> = candidates.iter().map(|(id, _)| id.clone()).collect();
        let details = match self.details(&ids).await {
            Ok(details) => details,
            Err(failure) if failure.refuses_caller() => return Err(failure),
            Err(failure) => {
                let error = self.error("the query of job details", failure);
                survey.maybe_parents.push((ids, Some(error)));
                return Ok(());
            }
        };
        let mut untold = Vec::new();
        for (id, children) in candidates {
            let mut rows = details.iter();
            let Some(detail) = rows.find(|row| row.id.as_deref() == Some(id.as_str())) else {
                untold.push(id);
                continue;
            };
            if let Some(Told::Job(facts)) = survey.told.get_mut(&id)
                && detail.is_dual_active()
            {
                facts.parent_of = children;
            }
        }
        if !untold.is_empty() {
            survey.maybe_parents.push((untold, None));
        }
        Ok(())
    }
}

/// Whether the service offers to set a password; nothing where it names that neither
/// among what it offers nor among what it does not: then this action may be unknown
/// to that cloud.
fn offered((available, unavailable): &(Vec<String>, Vec<String>)) -> Option<bool> {
    let is_in = |list: &[String]| list.iter().any(|action| action == RESET_PASSWORD);
    match (is_in(available), is_in(unavailable)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_count_only_where_the_service_is_clear_about_them() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let read = |available: &[&str], unavailable: &[&str]| {
            offered(&(list(available), list(unavailable)))
        };
        assert_eq!(read(&["RESET_DB_PWD"], &["RETRY"]), Some(true));
        assert_eq!(read(&["RETRY"], &["RESET_DB_PWD"]), Some(false));
        assert_eq!(read(&["RETRY"], &[]), None);
        assert_eq!(read(&[], &[]), None);
        assert_eq!(read(&["RESET_DB_PWD"], &["RESET_DB_PWD"]), None);
    }
}
