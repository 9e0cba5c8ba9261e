//! A client of one service, project and login.
//!
//! It owns the addresses of the calls and the headers that all of them carry. It
//! refuses to know what a call means: each has a module of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use crate::core::config::is_project_id;
use crate::core::outcome::Reply;
use crate::core::redact::{Needles, Token};
use crate::core::target::{BadUrl, EndpointFrom, service_url};

pub use super::wire::identity::CataloguedEndpoint;

use super::auth::{Credentials, Iam, Pass, ProjectName, Session};
use super::error::{ApiError, ServiceError};
use super::exchange::Failure;
use super::note::Note;
use super::retry::Patience;
use super::secrets::{RunSecrets, needles};
use super::transport::Transport;

const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");

/// Where to send and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of the service, such as `https://drs.eu-de.otc.t-systems.com`.
    pub endpoint: String,
    /// Address of the identity service, ending in `/v3`.
    pub auth_url: String,
    /// Where the endpoint was taken from.
    pub endpoint_from: EndpointFrom,
    /// The setting that names the endpoint, for messages.
    pub endpoint_named_by: &'static str,
    /// The setting that names the identity service, for messages.
    pub auth_url_named_by: &'static str,
    /// The project whose jobs are changed.
    pub project_id: String,
    /// Where the login comes from, in words.
    pub login_from: String,
    /// Longest time from the start of a request to the end of its answer.
    pub request_timeout: Duration,
    /// Longest time to connect, at most half of the former: a time limit that
    /// ends while connecting must be known to have sent nothing.
    pub connect_timeout: Duration,
    /// Longest time for the repetitions of one throttled request.
    pub retry_max_elapsed: Duration,
    /// The first wait between two attempts; it doubles from there.
    pub retry_first_wait: Duration,
    /// Questions under way at once.
    pub parallelism: usize,
    /// Certificates in PEM form that are trusted beside those of the system.
    pub ca_file: Option<Vec<u8>>,
    /// Host and port of the proxy that the surroundings name, for messages: the
    /// connection finds it by itself.
    pub proxy: Option<String>,
}

impl Options {
    /// The defaults of design section 2.1 for one service and project.
    pub const fn new(endpoint: String, auth_url: String, project_id: String) -> Self {
        Self {
            endpoint,
            auth_url,
            endpoint_from: EndpointFrom::Settings,
            endpoint_named_by: "target.endpoint",
            auth_url_named_by: "target.auth_url",
            project_id,
            login_from: String::new(),
            request_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_max_elapsed: Duration::from_secs(5 * 60),
            retry_first_wait: Duration::from_secs(1),
            parallelism: 4,
            ca_file: None,
            proxy: None,
        }
    }
}

/// The clock and the dice, handed in so that nothing here reads them by itself.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The time of day.
    pub now: fn() -> Timestamp,
    /// An evenly distributed number; it only spreads waits.
    pub random: fn() -> u64,
}

/// A client of one service, project and login.
#[derive(Debug)]
pub struct Client {
    pub(super) transport: Transport,
    pub(super) session: Session,
    pub(super) iam: Arc<Iam>,
    endpoint: Url,
    endpoint_from: EndpointFrom,
    project_id: String,
    login_from: String,
    /// The project that only its name was given of, with an access key.
    pub(super) project: Option<ProjectName>,
    pub(super) patience: Patience,
    pub(super) parallelism: usize,
    /// How many ids a query of states takes, once that is known.
    pub(super) ids_per_query: OnceLock<usize>,
    /// What must not come back, beyond the request at hand.
    pub(super) run: Option<RunSecrets>,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Answered {
    /// The meaning.
    pub reply: Reply,
    /// What a person should know about how it came to be.
    pub notes: Vec<Note>,
    /// The places of the entries that it calls wrong, each with the code, also where it
    /// leaves them in doubt.
    pub wrong: Vec<(usize, Token)>,
}

/// One request as it is before a login is added.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Bytes>,
}

impl Call {
    /// The request with the headers that every call carries: messages in English,
    /// and no content coding (design section 7).
    pub(super) fn request(&self) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(X_LANGUAGE, HeaderValue::from_static("en-us"));
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }
}

impl Client {
    /// Prepares a client; nothing is sent.
    /// Fails if an address is no https address (or http to a literal loopback
    /// address), if the project id could change the address of a request, if the
    /// login cannot be used, if the CA file holds no certificate, or if the
    /// system's certificates or proxy settings cannot be used.
    pub fn new(
        options: Options,
        credentials: Credentials,
        ambient: Ambient,
    ) -> Result<Self, ApiError> {
        let endpoint = service_url(&options.endpoint).map_err(|why| match why {
            BadUrl::Insecure => ApiError::InsecureEndpoint,
            _ => ApiError::Endpoint,
        })?;
        if endpoint.path() != "/" {
            return Err(ApiError::Endpoint);
        }
        if !is_project_id(&options.project_id) {
            return Err(ApiError::ProjectId);
        }
        let patience = Patience {
            max_elapsed: options.retry_max_elapsed,
            first_wait: options.retry_first_wait,
            ambient,
            tally: Arc::default(),
        };
        let iam = Arc::new(Iam::new(&options, patience.clone())?);
        Ok(Self {
            transport: Transport::new(&endpoint, options.endpoint_named_by, &options)?,
            project: credentials.project_name(),
            session: Session::open(credentials, &iam, &options.project_id)?,
            iam,
            endpoint,
            endpoint_from: options.endpoint_from,
            project_id: options.project_id,
            login_from: options.login_from,
            patience,
            parallelism: options.parallelism,
            ids_per_query: OnceLock::new(),
            run: None,
        })
    }

    /// The same client, which looks for all secrets of a run in every answer.
    #[must_use]
    pub fn guarding(mut self, secrets: RunSecrets) -> Self {
        self.run = Some(secrets);
        self
    }

    /// Logs in, where that takes a request; nothing is sent for a given token or a
    /// key. Where only the name of a key's project is given, or where only the
    /// catalogue knows the endpoint, that is asked.
    /// Fails if the login is refused, or is for another project than the sealed one,
    /// or if the catalogue names another endpoint.
    pub async fn log_in(&self) -> Result<(), ServiceError> {
        let asked = async {
            let pass = self.session.pass().await?;
            self.check_named_project(&pass).await?;
            let EndpointFrom::Catalogue { region } = &self.endpoint_from else {
                return Ok(None);
            };
            self.endpoints(&pass, region.as_deref()).await.map(Some)
        };
        let sealed = self.endpoint.as_str().trim_end_matches('/');
        match asked.await {
            Ok(Some(found)) if found.iter().all(|found| found.url != sealed) => {
                let found = found.first();
                Err(ServiceError::OtherEndpoint {
                    found: found.and_then(|found| self.needles().text(&found.url)),
                    sealed: sealed.to_owned(),
                })
            }
            Ok(_) => Ok(()),
            Err(failure) => Err(self.error("the login", failure)),
        }
    }

    /// A call of this project; `path` is what follows the project's id.
    pub(super) fn call(&self, method: Method, path: &str, body: Bytes) -> Call {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("/v3/{}/{path}", self.project_id));
        Call {
            method,
            url,
            body: Some(body),
        }
    }

    /// A call as a request that proves who calls.
    pub(super) fn authorized(&self, call: &Call, pass: &Pass) -> Request {
        let mut request = call.request();
        let now = (self.patience.ambient.now)();
        pass.authorize(&mut request, Some(&self.project_id), now);
        request
    }

    /// How many requests may be under way at once, at most `wanted`: the signatures of
    /// all of them could be refused, and five in a row lock a key.
    pub fn at_once(&self, wanted: usize) -> usize {
        self.session.at_once(wanted)
    }

    /// What a person should know of the run so far, beside its single answers.
    pub fn notes(&self) -> Vec<Note> {
        self.patience.tally.notes()
    }

    /// The project whose jobs are looked at and changed.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The failure of something that was asked, with the login that it was asked with.
    pub(super) fn error(&self, what: &'static str, failure: Failure) -> ServiceError {
        let used = format!(" (login from {}{})", self.login_from, self.session.used());
        failure
            .advised(self.session.advice())
            .into_error(what, used)
    }

    /// The search for secrets in whatever comes back.
    pub(super) fn needles(&self) -> Arc<Needles> {
        needles(&self.session.secrets(), self.run.as_ref(), &[])
    }
}

#[cfg(test)]
mod tests;
