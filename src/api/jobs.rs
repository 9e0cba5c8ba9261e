//! Queries of jobs, the call that retries them, and the inventory of a project.
//!
//! A query of states or of the list has a hundred ids, if the service takes that many, and any
//! other ten; each asks for full pages, since the defaults of five and ten would cut the answer.
//! What an answer means for a password is judged elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::client::Client;
use super::codes;
use super::error::{CallFailure, FailureKind};
use super::exchange::Policy;
use super::job_wire::{self, DetailPage, DetailRow, ListPage, ListRow, PER_PAGE};
use super::judge::{Judgement, NO_CODE, refused, says};
use super::wire::{self, Decoded, LooseText, ResultRow};
use crate::core::failure::Failure;
use crate::core::inventory::{JobDatabase, JobFilter, ListedJob, UseType};
use crate::core::job::{Endpoint, JobId};
use crate::core::redact::{Needles, Token};
use crate::core::report::{Progress, RetryJobsResult};
use crate::core::status::{JobDetails, JobStatus, ReportedJob, ReportedStatus};

/// Ids in one query (Huawei Cloud api-ref, "Querying Details About Tasks in Batches": not over
/// ten, for performance).
const IDS_PER_QUERY: usize = 10;

/// The most ids in a query of states, a full page of its answer. The limit of ten is advice, so
/// drspass tries whether this many are accepted.
const IDS_AT_MOST: usize = PER_PAGE;

/// The most pages of one use type: a hundred thousand jobs.
const MAX_PAGES: usize = 1_000;

/// Why the retry of a job does not begin; `None` if it may.
pub type RetryEnd = Option<RetryJobsResult>;

pub struct Inventory {
    /// Its jobs in the order of the service, subtasks after their parents.
    pub jobs: Vec<ListedJob>,
    pub unusable: usize,
    pub details_failed: Option<Failure>,
    pub notes: Vec<String>,
}

impl Client {
    async fn ask(
        &self,
        path: &str,
        body: Bytes,
        policy: Policy<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CallFailure> {
        let call = self.call(Method::POST, path, body);
        let mut exchange = self.exchange(&call, policy);
        match self.pursue(&mut exchange).await {
            Ok(Judgement::Answered(received)) => Ok(Zeroizing::new(received.into_body())),
            // Only a change of passwords ends in another way.
            Ok(_) => Err(exchange.failed(FailureKind::Unanswered)),
            Err(failure) => Err(self.or_other_project(failure).await),
        }
    }

    async fn query<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, CallFailure> {
        let answer = self.ask(path, body, Policy::Query).await?;
        let unknown = || self.unusable("the answer is in an unknown format".to_owned());
        job_wire::object(&answer).ok_or_else(unknown)
    }

    async fn states(&self, ids: &[JobId]) -> Result<Vec<(JobId, ReportedJob)>, CallFailure> {
        let body = job_wire::by_ids(ids);
        let rows = self.ask("jobs/batch-status", body, Policy::Query).await?;
        let rows = rows_of(&rows);
        self.progress(Progress::Adds(rows.len()));
        let reported = |id: &JobId| only_row(&rows, id).map(|row| self.reported_by(row));
        let reported = |id: &JobId| (id.clone(), reported(id).unwrap_or(ReportedJob::Nothing));
        Ok(ids.iter().map(reported).collect())
    }

    pub fn begin_reading(&self, jobs: usize) {
        let what = ["reading job states", "job state read", "job states read"];
        self.progress(Progress::at(what, jobs, &[]));
    }

    /// Returns the states of jobs; those of a failed query are missing. Stops once the caller is
    /// refused or the service is silent.
    pub async fn states_of(
        self: &Arc<Self>,
        ids: &[JobId],
    ) -> (Vec<(JobId, ReportedJob)>, Option<CallFailure>) {
        let unknown = |ids: &[JobId]| {
            let unknown = ids.iter().map(|id| (id.clone(), ReportedJob::Nothing));
            unknown.collect()
        };
        let mut all: Vec<(JobId, ReportedJob)> = Vec::with_capacity(ids.len());
        let mut left = ids.to_vec();
        if ids.len() > IDS_PER_QUERY && self.ids_per_query.get().is_none() {
            let rest = left.split_off(left.len().min(IDS_AT_MOST));
            let first = match self.states(&left).await {
                Ok(reported) => reported,
                Err(failure) if failure.ends_asking() => return (unknown(ids), Some(failure)),
                Err(_) => unknown(&left),
            };
            let (open, reported): (Vec<_>, Vec<_>) = first
                .into_iter()
                .partition(|(_, reported)| *reported == ReportedJob::Nothing);
            let _ = self.ids_per_query.set(match open.is_empty() {
                true => IDS_AT_MOST,
                false => IDS_PER_QUERY,
            });
            all.extend(reported);
            left = open.into_iter().map(|(id, _)| id).chain(rest).collect();
        }
        let size = self.ids_per_query.get().copied().unwrap_or(IDS_PER_QUERY);
        let questions = left.chunks(size).map(|ids| {
            let (client, ids) = (Arc::clone(self), ids.to_vec());
            async move { client.states(&ids).await }
        });
        let mut answers = self.ask_all(questions).await.into_iter();
        let mut failed: Option<CallFailure> = None;
        for ids in left.chunks(size) {
            match answers.next() {
                Some(Ok(reported)) => all.extend(reported),
                answer => {
                    all.extend(unknown(ids));
                    // That the caller is refused outranks everything else.
                    if let Some(Err(failure)) = answer
                        && (failed.is_none() || failure.refuses_caller())
                    {
                        failed = Some(failure);
                    }
                }
            }
        }
        (all, failed)
    }

    pub fn groups(jobs: &[JobId]) -> impl Iterator<Item = &[JobId]> {
        jobs.chunks(IDS_PER_QUERY)
    }

    /// Retries failed jobs, or resumes paused ones: one [group](Self::groups) of them. It is never
    /// sent twice unless it was throttled: each retry with a wrong password brings a database
    /// account closer to its lock. Returns why each does not begin, or `None` if it may; and why no
    /// other may be retried, if so.
    pub async fn retry(&self, ids: &[JobId]) -> (Vec<(JobId, RetryEnd)>, Option<&'static str>) {
        let body = job_wire::retry(ids);
        let body = match self.ask("jobs/batch-retry-task", body, Policy::Once).await {
            Ok(body) => body,
            Err(failure) => {
                let stop = failure.ends_asking().then_some("asking for others failed");
                let not_asked = |why: &str| Some(RetryJobsResult::NotAsked(why.to_owned()));
                let end = match failure.kind {
                    FailureKind::Login(refusal)
                    | FailureKind::Refused(refusal)
                    | FailureKind::Busy(refusal) => Some(RetryJobsResult::Refused(refusal)),
                    FailureKind::NoConnection => not_asked("no connection to the service"),
                    FailureKind::OtherProject { .. } | FailureKind::OtherEndpoint { .. } => {
                        not_asked("the login is for another project")
                    }
                    FailureKind::Unanswered | FailureKind::Failed(_) => None,
                };
                let all = ids.iter().map(|id| (id.clone(), end.clone()));
                return (all.collect(), stop);
            }
        };
        let rows = rows_of(&body);
        let needles = self.needles();
        let judged = |id: &JobId| {
            let row = only_row(&rows, id).filter(|row| row.code().is_some() || says(row, "failed"));
            let end = row.map(|row| {
                let said = (row.code(), row.text());
                RetryJobsResult::Refused(refused(said, None, NO_CODE, || &needles))
            });
            (id.clone(), end)
        };
        (ids.iter().map(judged).collect(), None)
    }

    /// Runs several queries in parallel, as many as the client may; until the caller is known, one
    /// goes ahead. Returns the answers in order, without the last ones if it stopped before: the
    /// caller was refused or the service silent.
    pub async fn ask_all<T, F>(
        &self,
        mut questions: impl Iterator<Item = F>,
    ) -> Vec<Result<T, CallFailure>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CallFailure>> + Send + 'static,
    {
        let mut running = tokio::task::JoinSet::new();
        let mut answers = BTreeMap::new();
        let (mut asked, mut is_over) = (0, false);
        loop {
            while !is_over
                && running.len() < self.at_once(self.parallelism)
                && let Some(question) = questions.next()
            {
                let place = asked;
                asked += 1;
                running.spawn(async move { (place, question.await) });
            }
            match running.join_next().await {
                Some(Ok((place, answer))) => {
                    is_over |= matches!(&answer, Err(failure) if failure.ends_asking());
                    answers.insert(place, answer);
                }
                // Nothing aborts these tasks, so one that is gone panicked.
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => return answers.into_values().collect(),
            }
        }
    }

    /// Lists all jobs of the project; the databases only of those that pass the filter.
    pub async fn inventory(self: &Arc<Self>, wanted: JobFilter) -> Result<Inventory, Failure> {
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        let what = ["listing jobs", "job listed", "jobs listed"];
        self.progress(Progress::at(what, 0, &[]));
        for kind in UseType::ALL {
            let listed = self.list(kind, MAX_PAGES).await;
            let listed = listed.map_err(|failure| self.error("the list of jobs", failure))?;
            for row in listed {
                // Some services ignore the use type and list a job three times.
                if row.id.text().is_none_or(|id| seen.insert(id.to_owned())) {
                    rows.push((row.use_type().unwrap_or(kind), row));
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
        // A subtask may have a row of its own as well: each job is listed once.
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
            let Some(job) = self.listed(row, *kind, None, &needles) else {
                inventory.unusable += 1;
                continue;
            };
            let parent = job.id.clone();
            add(job);
            for child in row.children() {
                match self.listed(child, *kind, Some(&parent), &needles) {
                    Some(child) if child.id == parent => {}
                    Some(child) => add(child),
                    None => inventory.unusable += 1,
                }
            }
        }
        let described = inventory.jobs.iter().filter(|job| wanted.passes(job));
        let ids: Vec<JobId> = described.map(|job| job.id.clone()).collect();
        let what = ["reading jobs", "job read", "jobs read"];
        self.progress(Progress::at(what, ids.len(), &[]));
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

    /// Lists all jobs of one use type. A page without new jobs ends the list, whatever total was
    /// announced.
    pub async fn list(&self, kind: UseType, max_pages: usize) -> Result<Vec<ListRow>, CallFailure> {
        let mut rows: Vec<ListRow> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut page = 0;
        loop {
            page += 1;
            let answer = self.list_page(kind, page, "").await?;
            let total = answer.total();
            // A row without an id is not new: it may be the same one on each page.
            let before = seen.len();
            let mut is_fresh = |row: &ListRow| match row.id.text() {
                Some(id) => seen.insert(id.to_owned()),
                None => true,
            };
            rows.extend(answer.jobs.into_iter().filter(|row| is_fresh(row)));
            if seen.len() == before || total.is_some_and(|total| rows.len() >= total) {
                return Ok(rows);
            }
            if page == max_pages {
                return Err(self.unusable(format!("the list does not end: {page} pages were read")));
            }
        }
    }

    pub async fn list_page(
        &self,
        kind: UseType,
        page: usize,
        names: &str,
    ) -> Result<ListPage, CallFailure> {
        let body = job_wire::list(kind, page, names);
        let page: ListPage = self.query("jobs", body).await?;
        self.progress(Progress::Adds(page.jobs.len()));
        Ok(page)
    }

    /// Returns the details of jobs, without those that the service does not know.
    pub async fn details(self: &Arc<Self>, ids: &[JobId]) -> Result<Vec<DetailRow>, CallFailure> {
        let questions = ids.chunks(IDS_PER_QUERY).map(|ids| {
            let (client, body) = (Arc::clone(self), job_wire::by_ids(ids));
            async move {
                let page: DetailPage = client.query("jobs/batch-detail", body).await?;
                client.progress(Progress::Adds(IDS_PER_QUERY));
                Ok(page.results)
            }
        });
        let mut all = Vec::with_capacity(ids.len());
        for answer in self.ask_all(questions).await {
            all.extend(answer?);
        }
        Ok(all)
    }

    fn unusable(&self, note: String) -> CallFailure {
        CallFailure::new(FailureKind::Unanswered, self.host(), vec![note])
    }

    fn listed(
        &self,
        row: &ListRow,
        kind: UseType,
        parent: Option<&JobId>,
        needles: &Needles,
    ) -> Option<ListedJob> {
        let text = |text: &LooseText| text.text().and_then(|text| needles.text(text));
        Some(ListedJob {
            id: shown_id(row.id.text()?, needles)?,
            name: text(&row.name),
            status: row.status.text().and_then(|text| self.status_of(text)),
            use_type: kind,
            engine: text(&row.engine_type),
            parent: parent.cloned(),
            is_dual_active_parent: false,
            source: JobDatabase::default(),
            destination: JobDatabase::default(),
        })
    }

    fn reported_by(&self, row: &ResultRow) -> ReportedJob {
        if let Some(code) = row.code() {
            let code =
                Some(codes::normalize(code)).filter(|code| codes::MISSING.contains(&code.as_str()));
            let code = code.and_then(|code| Token::parse(&code));
            return code.map_or(ReportedJob::Nothing, ReportedJob::Missing);
        }
        let status = row.status();
        match status.and_then(|text| self.status_of(text)) {
            Some(ReportedStatus::Known(JobStatus::Deleted)) => {
                ReportedJob::Missing(Token::from_static("DELETED"))
            }
            Some(status) => ReportedJob::Job(JobDetails {
                status,
                offered: None,
                parent_of: Vec::new(),
            }),
            None => ReportedJob::Nothing,
        }
    }

    /// Returns a state in the service's word. Only an unknown one is searched for secrets.
    pub fn status_of(&self, text: &str) -> Option<ReportedStatus> {
        match JobStatus::parse(text) {
            Some(status) => Some(ReportedStatus::Known(status)),
            None => self.needles().text(text).map(ReportedStatus::Unknown),
        }
    }
}

fn complete(jobs: &mut [ListedJob], details: &[DetailRow], needles: &Needles) {
    let by_id: BTreeMap<&str, &DetailRow> = details
        .iter()
        .filter_map(|row| Some((row.id.text()?, row)))
        .collect();
    let parents: Vec<JobId> = jobs.iter().filter_map(|job| job.parent.clone()).collect();
    for job in jobs {
        let Some(row) = by_id.get(job.id.as_str()) else {
            continue;
        };
        let text = |text: Option<&str>| text.and_then(|text| needles.text(text));
        let database = |endpoint: Endpoint| {
            let row = row.database(endpoint)?;
            Some(JobDatabase {
                db_type: text(row.db_type.text()),
                address: text(row.address()),
                port: text(row.db_port.text()),
                user: text(row.db_user.text()),
            })
        };
        job.source = database(Endpoint::Source).unwrap_or_default();
        job.destination = database(Endpoint::Destination).unwrap_or_default();
        if job.engine.is_none() {
            job.engine = text(row.engine());
        }
        job.is_dual_active_parent = row.is_dual_active() && parents.contains(&job.id);
    }
}

/// Returns the id of a job that was not asked for, if it may be shown: it could be anything. An
/// id of the usual shape is taken as it is, since many contain a short secret by chance.
pub fn shown_id(raw: &str, needles: &Needles) -> Option<JobId> {
    let is_harmless = JobId::is_usual_shape(raw) || !needles.occur_in(raw);
    JobId::parse(raw).ok().filter(|_| is_harmless)
}

fn rows_of(body: &[u8]) -> Vec<ResultRow> {
    match wire::decode(body) {
        Decoded::Answer(answer) => answer.results.unwrap_or_default(),
        Decoded::Strange | Decoded::NotJson => Vec::new(),
    }
}

/// Returns the only row about a job; two rows contradict each other.
fn only_row<'r>(rows: &'r [ResultRow], id: &JobId) -> Option<&'r ResultRow> {
    let mut named = rows.iter().filter(|row| row.job() == Some(id.as_str()));
    named.next().filter(|_| named.next().is_none())
}
