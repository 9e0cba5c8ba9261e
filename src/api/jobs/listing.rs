//! The full inventory of a project: three kinds of job, page by page, with the
//! details of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Method;

use super::{IDS_PER_QUERY, body_of, shown_id, status_of, unusable};
use crate::api::client::Client;
use crate::api::error::ServiceError;
use crate::api::exchange::Failure;
use crate::api::note::Note;
use crate::api::wire::jobs::{self, DetailRow, ListRow};
use crate::core::inventory::{Database, ListedJob, UseType};
use crate::core::job::{Endpoint, JobId};
use crate::core::redact::Needles;

/// Pages of one kind that are asked for at most: a hundred thousand jobs.
const MAX_PAGES: usize = 1_000;

/// What a project holds.
#[derive(Debug)]
pub struct Inventory {
    /// Its jobs in the order of the service, subtasks after their parents.
    pub jobs: Vec<ListedJob>,
    /// Rows that name no usable job.
    pub unusable: usize,
    /// Why details are missing, where they are.
    pub details_failed: Option<ServiceError>,
    /// What else there is to know.
    pub notes: Vec<Note>,
}

impl Client {
    /// Lists all jobs of the project with their databases.
    /// Fails if the list cannot be had. Details that cannot be had are left out.
    pub async fn inventory(self: &Arc<Self>) -> Result<Inventory, ServiceError> {
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        for kind in UseType::ALL {
            let listed = self.list(kind, MAX_PAGES).await;
            let listed = listed.map_err(|failure| self.error("the list of jobs", failure))?;
            for row in listed {
                // A service that does not tell the kinds apart lists a job thrice.
                if row.id.is_none() || seen.insert(row.id.clone()) {
                    rows.push((row.use_type.unwrap_or(kind), row));
                }
            }
        }
        let needles = self.needles();
        let mut inventory = Inventory {
            jobs: Vec::new(),
            unusable: 0,
            details_failed: None,
            notes: Vec::new(),
        };
        // A subtask may have a row of its own as well: each job stands once.
        let mut places: BTreeMap<JobId, usize> = BTreeMap::new();
        let mut add = |job: ListedJob| match places.get(&job.id) {
            Some(&place) => {
                let known = &mut inventory.jobs[place];
                known.parent = known.parent.take().or(job.parent);
            }
            None => {
                places.insert(job.id.clone(), inventory.jobs.len());
                inventory.jobs.push(job);
            }
        };
        for (kind, row) in &rows {
            let Some(job) = listed(row, *kind, None, &needles) else {
                inventory.unusable += 1;
                continue;
            };
            let parent = job.id.clone();
            add(job);
            for child in &row.children {
                match listed(child, *kind, Some(&parent), &needles) {
                    Some(child) if child.id == parent => {}
                    Some(child) => add(child),
                    None => inventory.unusable += 1,
                }
            }
        }
        let ids: Vec<JobId> = inventory.jobs.iter().map(|job| job.id.clone()).collect();
        match self.details(&ids).await {
            Ok(details) => complete(&mut inventory.jobs, &details, &needles),
            Err(failure) => {
                let error = self.error("the query of job details", failure);
                inventory.details_failed = Some(error);
            }
        }
        inventory.notes = self.notes();
        Ok(inventory)
    }

    /// All jobs of one kind. A page that brings nothing new ends the list, whatever
    /// total was announced.
    /// Fails if the service refuses or does not answer, or if the list goes on after
    /// so many pages: a part of it must not pass for the whole.
    pub(in crate::api) async fn list(
        &self,
        kind: UseType,
        max_pages: usize,
    ) -> Result<Vec<ListRow>, Failure> {
        let mut rows: Vec<ListRow> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut page = 0;
        loop {
            page += 1;
            let body = jobs::list(kind, page, "");
            let call = self.call(Method::POST, "jobs", body);
            let answer = body_of(self.ask(&call).await?);
            let Some(answer) = jobs::read_list(&answer) else {
                return Err(unusable(&call, Note::OddAnswer));
            };
            // A row without an id is no news: it may be the same one on each page.
            let before = seen.len();
            let fresh = answer.rows.into_iter();
            rows.extend(fresh.filter(|row| row.id.is_none() || seen.insert(row.id.clone())));
            if seen.len() == before || answer.total.is_some_and(|total| rows.len() >= total) {
                return Ok(rows);
            }
            if page == max_pages {
                return Err(unusable(&call, Note::EndlessList { pages: page }));
            }
        }
    }

    /// The details of jobs; those that the service does not know are left out.
    /// Fails if it refuses or does not answer.
    pub(super) async fn details(
        self: &Arc<Self>,
        ids: &[JobId],
    ) -> Result<Vec<DetailRow>, Failure> {
        let answers = self
            .each_batch(ids, IDS_PER_QUERY, |client, ids| async move {
                let body = jobs::by_ids(&ids);
                let call = client.call(Method::POST, "jobs/batch-detail", body);
                let body = body_of(client.ask(&call).await?);
                jobs::read_details(&body).ok_or_else(|| unusable(&call, Note::OddAnswer))
            })
            .await;
        let mut all = Vec::with_capacity(ids.len());
        for answer in answers {
            all.extend(answer?);
        }
        Ok(all)
    }
}

fn listed(
    row: &ListRow,
    kind: UseType,
    parent: Option<&JobId>,
    needles: &Needles,
) -> Option<ListedJob> {
    Some(ListedJob {
        id: shown_id(row.id.as_deref()?, needles)?,
        name: row.name.as_deref().and_then(|name| needles.text(name)),
        status: row
            .status
            .as_deref()
            .and_then(|status| status_of(status, || needles)),
        use_type: kind,
        engine: row.engine.as_deref().and_then(|name| needles.text(name)),
        parent: parent.cloned(),
        is_dual_active_parent: false,
        source: Database::default(),
        destination: Database::default(),
    })
}

/// Adds to the jobs what their details tell.
fn complete(jobs: &mut [ListedJob], details: &[DetailRow], needles: &Needles) {
    let by_id: BTreeMap<&str, &DetailRow> = details
        .iter()
        .filter_map(|row| Some((row.id.as_deref()?, row)))
        .collect();
    let parents: Vec<JobId> = jobs.iter().filter_map(|job| job.parent.clone()).collect();
    for job in jobs {
        let Some(row) = by_id.get(job.id.as_str()) else {
            continue;
        };
        let text = |text: &Option<String>| text.as_deref().and_then(|text| needles.text(text));
        let database = |endpoint: Endpoint| {
            let told = row.database(endpoint);
            Database {
                db_type: text(&told.db_type),
                address: text(&told.address),
                port: text(&told.port),
                user: text(&told.user),
            }
        };
        job.source = database(Endpoint::Source);
        job.destination = database(Endpoint::Destination);
        if job.engine.is_none() {
            job.engine = text(&row.engine);
        }
        job.is_dual_active_parent = row.is_dual_active() && parents.contains(&job.id);
    }
}
