//! A client of one service, project and login, and the call that changes passwords.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use reqwest::Method;
use url::Url;

use super::auth::{CataloguedEndpoint, Credentials, Iam, LoginPass, LoginSession, TokenFacts};
use super::codes;
use super::error::{CallFailure, FailureKind};
use super::exchange::{Ambient, Exchange, Patience, Policy};
use super::gate::Gate;
use super::http::{ApiCall, ClientOptions, Transport, authority};
use super::judge::Judgement;
use super::secrets::{RunSecrets, needles};
use super::wire;
use crate::core::config::is_project_id;
use crate::core::failure::Failure;
use crate::core::manifest::{Assignment, Manifest};
use crate::core::outcome::{BatchReply, Doubt, Refusal};
use crate::core::redact::{Needles, Token};
use crate::core::report::{LoginIdentity, Progress};
use crate::core::target::{BadUrl, EndpointFrom, service_url};

pub struct Client {
    pub transport: Transport,
    pub session: LoginSession,
    iam: Arc<Iam>,
    endpoint: Url,
    endpoint_from: EndpointFrom,
    project_id: String,
    /// Names the login, without a secret.
    used: String,
    advice: &'static str,
    pub patience: Patience,
    pub parallelism: usize,
    pub ids_per_query: OnceLock<usize>,
    /// Secrets of the whole run, to search answers for.
    pub run: Option<RunSecrets>,
}

#[derive(Debug)]
pub struct BatchAnswer {
    pub reply: BatchReply,
    pub notes: Vec<String>,
    /// The places of the entries that it calls wrong, each with the code, even if their outcome is
    /// unknown.
    pub wrong: Vec<(usize, Token)>,
}

impl Client {
    pub fn new(
        options: ClientOptions,
        credentials: Credentials,
        ambient: Ambient,
    ) -> Result<Self, Failure> {
        let scope = &options.target.scope;
        let endpoint = match service_url(&scope.endpoint) {
            Ok(endpoint) if endpoint.path() == "/" => endpoint,
            Err(BadUrl::Insecure) => {
                return Err(Failure::new(
                    "drspass::api::insecure_endpoint",
                    "the endpoint is not https",
                    "Use https; http is only accepted for a literal loopback address such as http://127.0.0.1:8080.",
                ));
            }
            _ => {
                return Err(Failure::new(
                    "drspass::api::endpoint",
                    "the endpoint is not a valid address",
                    "Write the endpoint as https://HOST, with a port if needed, and nothing after it.",
                ));
            }
        };
        if !is_project_id(&scope.project_id) {
            return Err(Failure::new(
                "drspass::api::project_id",
                "the project id is not 1 to 64 letters, digits, dashes or underscores",
                "Copy the project id from the console, My Credentials, Projects.",
            ));
        }
        let patience = Patience {
            max_elapsed: options.sending.retry_max_elapsed,
            first_wait: options.retry_first_wait,
            ambient,
            counted: Arc::default(),
        };
        let iam = Arc::new(Iam::new(&options, patience.clone())?);
        let used = credentials.used(&authority(&iam.url));
        Ok(Self {
            used: format!(" (login from {}{used})", options.login_from),
            advice: credentials.advice(),
            transport: Transport::new(&endpoint, options.named_by[0], &options)?,
            session: LoginSession::open(credentials, &iam, &scope.project_id)?,
            iam,
            endpoint,
            endpoint_from: options.endpoint_from,
            project_id: options.target.scope.project_id,
            patience,
            parallelism: options.sending.parallelism,
            ids_per_query: OnceLock::new(),
            run: None,
        })
    }

    /// Returns the client, searching every answer for all secrets of a manifest: the service may
    /// repeat what this run or an earlier one sent.
    #[must_use]
    pub fn guarding(self, manifest: &Arc<Manifest>) -> Self {
        let run = Some(RunSecrets::new(Arc::clone(manifest)));
        Self { run, ..self }
    }

    /// Logs in if that takes a request; a given token or key sends nothing. If a key's project is
    /// given by name only, or the endpoint is only in the catalogue, that is queried.
    pub async fn log_in(&self) -> Result<(), Failure> {
        self.progress(Progress::at(["logging in", "", ""], 0, &[]));
        let logged_in = async {
            let pass = self.session.pass().await?;
            // Not every key may look names up: the id goes with each request, so a key that
            // may not is let through.
            if let LoginSession::Key { signer, .. } = &self.session
                && let Some(project) = &signer.project
                && let Err(failure) = self.facts_of_key(&pass, Some(project)).await
                && !matches!(failure.kind, FailureKind::Refused(_))
            {
                return Err(failure);
            }
            let EndpointFrom::Catalogue { region } = &self.endpoint_from else {
                return Ok(());
            };
            let found = self.endpoints(&pass, region.as_deref()).await?;
            let sealed = self.endpoint.as_str().trim_end_matches('/');
            if found.iter().any(|found| found.url == sealed) {
                return Ok(());
            }
            let first = found.first();
            Err(CallFailure::of_ours(FailureKind::OtherEndpoint {
                found: first.and_then(|found| self.needles().text(&found.url)),
                sealed: sealed.to_owned(),
            }))
        };
        let logged_in = logged_in.await;
        logged_in.map_err(|failure| self.error("the login", failure))
    }

    pub fn host(&self) -> String {
        authority(&self.endpoint)
    }

    pub fn call(&self, method: Method, path: &str, body: Bytes) -> ApiCall {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("/v3/{}/{path}", self.project_id));
        ApiCall {
            method,
            url,
            body: Some(body),
        }
    }

    /// Returns how many requests may be in flight, at most `wanted`: all their signatures could be
    /// refused, and five refusals in a row lock a key.
    pub fn at_once(&self, wanted: usize) -> usize {
        self.session.at_once(wanted)
    }

    pub fn notes(&self) -> Vec<String> {
        self.patience.tally().notes()
    }

    pub fn error(&self, what: &str, failure: CallFailure) -> Failure {
        failure.advised(self.advice).into_error(what, &self.used)
    }

    pub fn progress(&self, progress: Progress) {
        (self.patience.ambient.progress)(progress);
    }

    pub fn states_error(&self, failure: CallFailure) -> Failure {
        self.error("the query of job states", failure)
    }

    pub fn needles(&self) -> Arc<Needles> {
        needles(&self.session.secrets(), self.run.as_ref(), &[])
    }

    pub async fn caller(&self) -> Result<LoginIdentity, Failure> {
        let facts = async {
            let pass = self.session.pass().await?;
            match &self.session {
                LoginSession::Password(session) => Ok(session.facts().await.unwrap_or_default()),
                LoginSession::Token(_) => self.facts_of_token().await,
                // Not every key may list projects, and the id goes with each request.
                LoginSession::Key { signer, .. } => {
                    match self.facts_of_key(&pass, signer.project.as_deref()).await {
                        Err(CallFailure {
                            kind: FailureKind::Refused(_),
                            ..
                        }) => Ok(TokenFacts::default()),
                        facts => facts,
                    }
                }
            }
        };
        let facts = facts.await;
        let facts = facts.map_err(|failure| self.error("the login", failure))?;
        let needles = self.needles();
        let text = |text: Option<String>| text.and_then(|text| needles.text(&text));
        Ok(LoginIdentity {
            user: text(facts.user),
            domain: text(facts.domain),
            project_name: text(facts.project.and_then(|project| project.name)),
            token_end: facts.expires_at,
            is_key: matches!(self.session, LoginSession::Key { .. }),
        })
    }

    /// Returns the DRS endpoints in the catalogue for a region, or for all without one.
    pub async fn catalogued(
        &self,
        region: Option<&str>,
    ) -> Result<Vec<CataloguedEndpoint>, Failure> {
        let answer = async { self.endpoints(&self.session.pass().await?, region).await };
        answer
            .await
            .map_err(|failure| self.error("the query of the catalogue", failure))
    }

    pub async fn endpoints(
        &self,
        pass: &LoginPass,
        region: Option<&str>,
    ) -> Result<Vec<CataloguedEndpoint>, CallFailure> {
        let caller = (&self.session, pass);
        let mut found = self.iam.catalogue(caller, &self.project_id).await?;
        found.retain(|found| match (region, &found.region) {
            (Some(wanted), Some(region)) => region == wanted,
            _ => true,
        });
        Ok(found)
    }

    /// Returns the failure of a query or its cause: a given token for another project.
    pub async fn or_other_project(&self, failure: CallFailure) -> CallFailure {
        let is_about_project = matches!(
            &failure.kind,
            FailureKind::Refused(refusal) if refusal.code.as_str() == codes::OTHER_PROJECT
        );
        if !is_about_project || !matches!(self.session, LoginSession::Token(_)) {
            return failure;
        }
        match self.facts_of_token().await {
            Err(found) if matches!(found.kind, FailureKind::OtherProject { .. }) => found,
            _ => failure,
        }
    }

    async fn facts_of_token(&self) -> Result<TokenFacts, CallFailure> {
        let pass = self.session.pass().await?;
        let facts = self.iam.facts_of((&self.session, &pass)).await?;
        match &facts.project {
            Some(project) if project.id == self.project_id => Ok(facts),
            other => Err(self.other_project(other.as_ref().map(|project| project.id.clone()))),
        }
    }

    async fn facts_of_key(
        &self,
        pass: &LoginPass,
        name: Option<&str>,
    ) -> Result<TokenFacts, CallFailure> {
        let listed = self.iam.projects((&self.session, pass), name).await;
        if let Err(failure) = &listed
            && let FailureKind::Login(refusal) = &failure.kind
        {
            self.session.note(Some((refusal, failure.host.clone())));
        }
        let listed = listed?;
        let mut projects = listed.iter();
        match projects.find(|project| project.id == self.project_id) {
            Some(project) => Ok(TokenFacts {
                project: Some(project.clone()),
                ..TokenFacts::default()
            }),
            None => Err(self.other_project(match listed.as_slice() {
                [only] if name.is_some() => Some(only.id.clone()),
                _ => None,
            })),
        }
    }

    fn other_project(&self, found: Option<String>) -> CallFailure {
        CallFailure::of_ours(FailureKind::OtherProject {
            found: found.filter(|id| is_project_id(id) && !self.needles().occur_in(id)),
            sealed: self.project_id.clone(),
        })
    }

    /// Sends the passwords of `entries` in one request and returns the reply.
    ///
    /// The caller has a pass of `gate` and keeps two requests from touching one job at the same
    /// time. Never fails: whatever happens is a reply. Returns `None` if `gate` let none of it out, or
    /// called it back before it changed anything: the caller sends the rest again.
    pub async fn modify_passwords(
        &self,
        entries: &[&Assignment],
        gate: &Gate,
    ) -> Option<BatchAnswer> {
        let call = self.call(Method::PUT, "jobs/batch-modify-pwd", wire::encode(entries));
        let mut exchange = self.exchange(&call, Policy::Change { entries, gate });
        let reply = match self.pursue(&mut exchange).await {
            Ok(Judgement::Settled(reply) | Judgement::GivenUp(reply)) => reply,
            Ok(Judgement::CalledBack) => return None,
            // Only a question ends in another way.
            Ok(_) => BatchReply::Lost(Doubt::Unreadable),
            Err(failure) => without_login(failure, &mut exchange.notes),
        };
        Some(BatchAnswer {
            reply: match reply {
                // A doubt stays one; all else is only what the repetition proves.
                BatchReply::Lost(_) => reply,
                _ if exchange.lost => BatchReply::AfterLoss(Box::new(reply)),
                _ => reply,
            },
            notes: exchange.notes,
            wrong: exchange.wrong,
        })
    }

    pub fn exchange<'a>(&'a self, call: &'a ApiCall, policy: Policy<'a>) -> Exchange<'a> {
        Exchange::new(
            &self.transport,
            &self.patience,
            self.run.as_ref(),
            call,
            policy,
        )
    }

    /// Sends a call until it ends. A refused token is replaced once, if possible. Fails only
    /// if the caller is refused or cannot log in.
    pub async fn pursue(&self, exchange: &mut Exchange<'_>) -> Result<Judgement, CallFailure> {
        let is_change = matches!(exchange.policy, Policy::Change { .. });
        let mut is_renewed = false;
        let mut pass = self.session.pass().await?;
        loop {
            let now = (self.patience.ambient.now)();
            let request = pass.request(exchange.call, Some(&self.project_id), now);
            let attempt = exchange.attempt(request, || self.session.secrets()).await;
            let host = exchange.call.host();
            let mut refusal = match attempt {
                Judgement::Lost(_) => continue,
                // A token may have expired since.
                Judgement::Again(_) => {
                    pass = self.session.pass().await?;
                    continue;
                }
                Judgement::Failed(FailureKind::Login(refusal)) => refusal,
                // Of a change this would claim that nothing was sent.
                Judgement::Failed(kind) if !is_change => return Err(exchange.failed(kind)),
                Judgement::Settled(reply) => {
                    let refusal = reply.login_refusal();
                    self.session.note(refusal.map(|refusal| (refusal, host)));
                    return Ok(Judgement::Settled(reply));
                }
                Judgement::Answered(received) => {
                    self.session.note(None);
                    return Ok(Judgement::Answered(received));
                }
                ended => return Ok(ended),
            };
            if is_change {
                refusal.advice.get_or_insert(self.advice);
            }
            self.session.note(Some((&refusal, host)));
            let renewed = match std::mem::replace(&mut is_renewed, true) {
                true => None,
                false => self.session.renewed(&pass).await,
            };
            match renewed {
                Some(Ok(renewed)) => pass = renewed,
                // Without a new token, the first refusal counts.
                Some(Err(failure)) if failure.is_silence() => {
                    exchange.notes.extend(failure.notes);
                    return Err(exchange.failed(FailureKind::Login(refusal)));
                }
                Some(Err(failure)) if is_change => return Err(failure.advised(self.advice)),
                Some(Err(failure)) => return Err(failure),
                None => return Err(exchange.failed(FailureKind::Login(refusal))),
            }
            if !is_change {
                // They are about the token that was replaced.
                exchange.notes.clear();
            }
        }
    }
}

/// Returns the reply to a request whose login failed during a run: none of it was sent.
fn without_login(failure: CallFailure, notes: &mut Vec<String>) -> BatchReply {
    notes.extend(failure.notes);
    match failure.kind {
        FailureKind::Login(refusal) | FailureKind::Refused(refusal) => {
            BatchReply::LoginRefused(refusal)
        }
        FailureKind::Failed(refusal) | FailureKind::Busy(refusal) => {
            notes.push(format!(
                "no token from {} ({}); nothing was sent",
                failure.host, refusal.code
            ));
            BatchReply::NoConnection
        }
        FailureKind::NoConnection | FailureKind::Unanswered => BatchReply::NoConnection,
        FailureKind::OtherProject { .. } | FailureKind::OtherEndpoint { .. } => {
            notes.push("a new token is for another project than the sealed one".to_owned());
            BatchReply::LoginRefused(Refusal::of_ours("OTHER-PROJECT"))
        }
    }
}

#[cfg(test)]
mod tests;
