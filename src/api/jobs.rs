//! Questions about jobs, and the call that retries them.
//!
//! It owns the paging: ten ids to a query by ids, as the pages advise, and a hundred to
//! one of the list; a full page is asked for each time, since the defaults of five and
//! ten would cut the answer. It refuses to decide what an answer means for a password.

pub mod listing;
pub mod survey;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use crate::core::preflight::Told;
use crate::core::redact::{Needles, Token, ToldName};
use crate::core::report::NotAsked;
use crate::core::status::{JobStatus, ToldStatus};

use super::codes;
use super::wire::jobs;

/// Ids in one query (Huawei Cloud api-ref, "Querying Details About Tasks in
/// Batches": not over ten, for performance).
const IDS_PER_QUERY: usize = 10;

/// Questions under way at once.
const PARALLEL: usize = 4;

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

    /// The states of jobs, in the order asked for; what a query that fails was about
    /// is not told. Nothing more is asked once the caller is refused or the service
    /// is silent.
    pub async fn statuses(
        self: &Arc<Self>,
        ids: &[JobId],
    ) -> (Vec<(JobId, Told)>, Option<ServiceError>) {
        let is_over = Arc::new(AtomicBool::new(false));
        let answers = self
            .each_batch(ids, |client, ids| {
                let is_over = Arc::clone(&is_over);
                async move {
                    if is_over.load(Ordering::SeqCst) {
                        return (ids, None);
                    }
                    let told = client.states(&ids).await;
                    if let Err(failure) = &told
                        && (failure.is_silence() || failure.refuses_caller())
                    {
                        is_over.store(true, Ordering::SeqCst);
                    }
                    (ids, Some(told))
                }
            })
            .await;
        let mut all = Vec::with_capacity(ids.len());
        let mut failed: Option<Failure> = None;
        for (ids, answer) in answers {
            let untold = || ids.iter().map(|id| (id.clone(), Told::Nothing));
            match answer {
                Some(Ok(told)) => all.extend(told),
                None => all.extend(untold()),
                Some(Err(failure)) => {
                    all.extend(untold());
                    // That the caller is refused outranks everything else.
                    if failed.is_none() || failure.refuses_caller() {
                        failed = Some(failure);
                    }
                }
            }
        }
        let failed = failed.map(|failure| self.error("the query of job states", failure));
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
                let go_on = if failure.refuses_caller() || failure.is_silence() {
                    GoOn::No
                } else {
                    GoOn::Yes
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
            let verdict = match only_row(&rows, id) {
                Some(row) if row.code.is_none() && row.status.as_deref() == Some("success") => {
                    Retry::Taken
                }
                Some(row) => Retry::Refused(refused(
                    (row.code.as_deref(), row.text.as_deref()),
                    None,
                    ToldName::from_static("NO-CODE"),
                    || &needles,
                )),
                None => Retry::Unanswered,
            };
            (id.clone(), verdict)
        };
        (ids.iter().map(judged).collect(), GoOn::Yes)
    }

    /// Runs one question for every ten ids, a few at a time; the answers come in
    /// the order of the ids. As long as it is open whether the caller is known, one
    /// goes ahead.
    async fn each_batch<T, F>(
        self: &Arc<Self>,
        ids: &[JobId],
        ask: impl Fn(Arc<Self>, Vec<JobId>) -> F,
    ) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut batches = ids.chunks(IDS_PER_QUERY).map(<[JobId]>::to_vec);
        let mut answers = Vec::new();
        if self.at_once(PARALLEL) == 1
            && let Some(first) = batches.next()
        {
            answers.push(ask(Arc::clone(self), first).await);
        }
        answers.extend(in_turn(batches.map(|batch| ask(Arc::clone(self), batch))).await);
        answers
    }
}

/// Runs futures, at most [`PARALLEL`] at a time; results come in their order.
async fn in_turn<T, F>(futures: impl Iterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut waiting = futures.enumerate();
    let mut running = tokio::task::JoinSet::new();
    let mut done = std::collections::BTreeMap::new();
    loop {
        while running.len() < PARALLEL
            && let Some((place, future)) = waiting.next()
        {
            running.spawn(async move { (place, future.await) });
        }
        match running.join_next().await {
            Some(Ok((place, result))) => {
                done.insert(place, result);
            }
            // Nothing aborts these tasks, so one that is gone panicked.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => return done.into_values().collect(),
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
        Some(status) => Told::Job(crate::core::preflight::JobFacts {
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
