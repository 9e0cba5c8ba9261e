//! Questions about jobs, and the call that retries them.
//!
//! It owns the paging: a hundred ids to one query of states or of the list, where the
//! service takes so many, and ten to any other; a full page is asked for each time, since
//! the defaults of five and ten would cut the answer. It refuses to decide what an answer means for a password.

pub mod listing;
pub mod survey;

use std::ops::Deref;
use std::sync::Arc;

use reqwest::Method;
use zeroize::Zeroizing;

use super::client::{Call, Client};
use super::error::ServiceError;
use super::exchange::{Exchange, Failure, IfLost, Why};
use super::judge::{authority, refused};
use super::note::Note;
use super::received::{Body, Received};
use super::wire::{self, Decoded, Row};
use crate::core::job::JobId;
use crate::core::outcome::Refusal;
use crate::core::redact::{Needles, Token, ToldName};
use crate::core::report::NotAsked;
use crate::core::status::{JobFacts, JobStatus, Told, ToldStatus};

use super::codes;
use super::wire::jobs;

/// Ids in one query (Huawei Cloud api-ref, "Querying Details About Tasks in
/// Batches": not over ten, for performance).
const IDS_PER_QUERY: usize = 10;

/// The most ids in one query of states: what a page of the answer holds. That a query
/// should not have over ten is advice, so whether this one takes them is tried.
const IDS_AT_MOST: usize = jobs::PER_PAGE;

/// What came of asking for the retry of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It begins.
    Taken,
    /// It does not.
    Refused(Refusal),
    /// It does not, since the service was not asked.
    NotAsked(NotAsked),
    /// The answer was lost, so it may begin or not.
    Unanswered,
}

/// Whether anything else may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// It may.
    Yes,
    /// It may not, or is of no use.
    No,
}

impl Client {
    /// Asks the service. A token that is refused is replaced once, where that can be.
    /// Fails if it refuses or does not answer.
    async fn ask(&self, call: &Call) -> Result<Received, Failure> {
        self.ask_with(call, IfLost::AskAgain).await
    }

    async fn ask_with(&self, call: &Call, if_lost: IfLost) -> Result<Received, Failure> {
        let pass = self.session.pass().await?;
        match self.ask_as(call, if_lost, &pass).await {
            Err(Failure {
                why: Why::Login(refusal),
                host,
                notes,
            }) => match self.session.renewed(&pass).await {
                Some(Ok(renewed)) => self.ask_as(call, if_lost, &renewed).await,
                // Without a new token, the refusal of the old one stands.
                Some(Err(failure)) if failure.is_silence() => Err(Failure {
                    why: Why::Login(refusal),
                    host,
                    notes: [notes, failure.notes].concat(),
                }),
                Some(Err(failure)) => Err(failure),
                None => Err(Failure {
                    why: Why::Login(refusal),
                    host,
                    notes,
                }),
            },
            Err(failure) => Err(self.or_other_project(failure, &pass).await),
            answered => answered,
        }
    }

    async fn ask_as(
        &self,
        call: &Call,
        if_lost: IfLost,
        pass: &super::auth::Pass,
    ) -> Result<Received, Failure> {
        let login = self.session.secrets();
        let exchange = Exchange {
            transport: &self.transport,
            patience: &self.patience,
            login: &login,
            run: self.run.as_ref(),
        };
        let answer = exchange
            .ask(call, if_lost, &|call| self.authorized(call, pass))
            .await;
        match &answer {
            Ok(_) => self.session.note(None),
            Err(Failure {
                why: Why::Login(refusal),
                host,
                ..
            }) => self.session.note(Some((refusal, host.clone()))),
            Err(_) => {}
        }
        answer
    }

    /// The states of jobs, at most ten of them, in the order asked for.
    /// Fails if the service refuses or does not answer.
    async fn states(&self, ids: &[JobId]) -> Result<Vec<(JobId, Told)>, Failure> {
        let call = self.call(Method::POST, "jobs/batch-status", jobs::by_ids(ids));
        let body = body_of(self.ask(&call).await?);
        let rows = rows_of(&body);
        let told = |id: &JobId| match only_row(&rows, id) {
            Some(row) => told_by(row, || self.needles()),
            None => Told::Nothing,
        };
        Ok(ids.iter().map(|id| (id.clone(), told(id))).collect())
    }

    /// The states of jobs; what a query that fails was about is not told. Nothing more is
    /// asked once the caller is refused or the service is silent.
    pub async fn statuses(
        self: &Arc<Self>,
        ids: &[JobId],
    ) -> (Vec<(JobId, Told)>, Option<ServiceError>) {
        let (told, failed) = self.states_of(ids).await;
        let failed = failed.map(|failure| self.error("the query of job states", failure));
        (told, failed)
    }

    async fn states_of(self: &Arc<Self>, ids: &[JobId]) -> (Vec<(JobId, Told)>, Option<Failure>) {
        let untold = |ids: &[JobId]| ids.iter().map(|id| (id.clone(), Told::Nothing)).collect();
        let mut all: Vec<(JobId, Told)> = Vec::with_capacity(ids.len());
        let mut left = ids.to_vec();
        if ids.len() > IDS_PER_QUERY && self.ids_per_query.get().is_none() {
            let rest = left.split_off(left.len().min(IDS_AT_MOST));
            let first = match self.states(&left).await {
                Ok(told) => told,
                Err(failure) if failure.ends_asking() => return (untold(ids), Some(failure)),
                Err(_) => untold(&left),
            };
            let (open, told): (Vec<_>, Vec<_>) = first
                .into_iter()
                .partition(|(_, told)| *told == Told::Nothing);
            let size = if open.is_empty() {
                IDS_AT_MOST
            } else {
                IDS_PER_QUERY
            };
            let _ = self.ids_per_query.set(size);
            all.extend(told);
            left = open.into_iter().map(|(id, _)| id).chain(rest).collect();
        }
        let size = self.ids_per_query.get().copied().unwrap_or(IDS_PER_QUERY);
        let ask = |client: Arc<Self>, ids: Vec<JobId>| async move { client.states(&ids).await };
        let mut answers = self.each_batch(&left, size, ask).await.into_iter();
        let mut failed: Option<Failure> = None;
        for ids in left.chunks(size) {
            match answers.next() {
                Some(Ok(told)) => all.extend(told),
                answer => {
                    all.extend(untold(ids));
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

    /// Jobs in groups of as many as go into one call that retries them.
    pub fn groups(jobs: &[JobId]) -> impl Iterator<Item = &[JobId]> {
        jobs.chunks(IDS_PER_QUERY)
    }

    /// Retries failed jobs, or resumes paused ones: one [group](Self::groups) of them.
    /// It is never sent twice unless it was turned away: each retry with a wrong
    /// password brings a database account closer to its lock. Tells beside whether
    /// anything else may be asked: not once the caller is refused or nothing is said.
    pub async fn retry(&self, ids: &[JobId]) -> (Vec<(JobId, Retry)>, GoOn) {
        let call = self.call(Method::POST, "jobs/batch-retry-task", jobs::retry(ids));
        let body = match self.ask_with(&call, IfLost::GiveUp).await {
            Ok(received) => body_of(received),
            Err(failure) => {
                let go_on = match failure.ends_asking() {
                    true => GoOn::No,
                    false => GoOn::Yes,
                };
                let verdict = match failure.why {
                    Why::Login(refusal) | Why::Refused(refusal) | Why::Busy(refusal) => {
                        Retry::Refused(refusal)
                    }
                    Why::NoConnection => Retry::NotAsked(NotAsked::NoConnection),
                    Why::OtherProject { .. } => Retry::NotAsked(NotAsked::OtherProject),
                    Why::Unanswered | Why::Failed(_) => Retry::Unanswered,
                };
                let all = ids.iter().map(|id| (id.clone(), verdict.clone()));
                return (all.collect(), go_on);
            }
        };
        let rows = rows_of(&body);
        let needles = self.needles();
        let judged = |id: &JobId| {
            let says = |row: &Row, word: &str| {
                let status = row.status.as_deref();
                status.is_some_and(|status| status.eq_ignore_ascii_case(word))
            };
            let verdict = match only_row(&rows, id) {
                Some(row) if row.code.is_some() || says(row, "failed") => Retry::Refused(refused(
                    (row.code.as_deref(), row.text.as_deref()),
                    None,
                    ToldName::from_static("NO-CODE"),
                    || &needles,
                )),
                Some(row) if says(row, "success") => Retry::Taken,
                _ => Retry::Unanswered,
            };
            (id.clone(), verdict)
        };
        (ids.iter().map(judged).collect(), GoOn::Yes)
    }

    /// Asks one question for every `size` ids, as [`Client::ask_all`] does.
    async fn each_batch<T, F>(
        self: &Arc<Self>,
        ids: &[JobId],
        size: usize,
        ask: impl Fn(Arc<Self>, Vec<JobId>) -> F,
    ) -> Vec<Result<T, Failure>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let batches = ids.chunks(size).map(<[JobId]>::to_vec);
        self.ask_all(batches.map(|ids| ask(Arc::clone(self), ids)))
            .await
    }

    /// Asks several questions, so many at a time as the client may; one goes ahead as long
    /// as it is open whether the caller is known. The answers come in the order of the
    /// questions, without the last ones if asking ended before: nothing more is asked
    /// once the caller is refused or the service is silent.
    async fn ask_all<T, F>(&self, mut questions: impl Iterator<Item = F>) -> Vec<Result<T, Failure>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut running = tokio::task::JoinSet::new();
        let mut answers = std::collections::BTreeMap::new();
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
}

/// The id of a job that was not asked for, as it may be shown: it could be anything
/// that the service knows. One of the usual shape is taken as it is, since a short
/// secret stands in many of them by chance.
fn shown_id(raw: &str, needles: &Needles) -> Option<JobId> {
    let is_harmless = JobId::is_usual_shape(raw) || !needles.occur_in(raw);
    JobId::parse(raw).ok().filter(|_| is_harmless)
}

fn body_of(received: Received) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match received.body {
        Body::Read(body) => body,
        Body::Coded(_) | Body::TooLong | Body::Cut => Vec::new(),
    })
}

/// An answer that does not say what was asked.
fn unusable(call: &Call, note: Note) -> Failure {
    Failure {
        why: Why::Unanswered,
        host: authority(&call.url),
        notes: vec![note],
    }
}

fn rows_of(body: &[u8]) -> Vec<Row> {
    match wire::decode(body) {
        Decoded::Answer(answer) => answer.results.unwrap_or_default(),
        Decoded::Strange | Decoded::NotJson => Vec::new(),
    }
}

/// The one row about a job: what is told twice is not told.
fn only_row<'r>(rows: &'r [Row], id: &JobId) -> Option<&'r Row> {
    let mut named = rows
        .iter()
        .filter(|row| row.job.as_deref() == Some(id.as_str()));
    named.next().filter(|_| named.next().is_none())
}

/// What one row of a status answer says.
fn told_by<N: Deref<Target = Needles>>(row: &Row, needles: impl FnOnce() -> N) -> Told {
    if let Some(code) = row.code.as_deref() {
        let code = Some(codes::normalize(code)).filter(|code| codes::says_missing(code));
        let code = code.and_then(|code| Token::parse(&code));
        return code.map_or(Told::Nothing, Told::Missing);
    }
    match row
        .status
        .as_deref()
        .and_then(|text| status_of(text, needles))
    {
        Some(ToldStatus::Known(JobStatus::Deleted)) => Told::Missing(Token::from_static("DELETED")),
        Some(status) => Told::Job(JobFacts {
            status,
            offered: None,
            parent_of: Vec::new(),
        }),
        None => Told::Nothing,
    }
}

/// A state in the service's word. Secrets are searched for in an unknown one alone.
fn status_of<N: Deref<Target = Needles>>(
    text: &str,
    needles: impl FnOnce() -> N,
) -> Option<ToldStatus> {
    match JobStatus::parse(text) {
        Some(status) => Some(ToldStatus::Known(status)),
        None => needles().text(text).map(ToldStatus::Unknown),
    }
}
