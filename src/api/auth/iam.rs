//! The identity service: what there is to learn about a login (OTC IAM api-ref,
//! "Verifying a Token", "Querying Project Information", "Querying the Service
//! Catalog"). What is asked of it for a token is in `login`.

use reqwest::header::HeaderName;
use reqwest::{Method, Request};
use url::Url;

use super::key::query_of;
use super::{Pass, PassKind};
use crate::api::client::{Call, Options};
use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Failure, IfLost};
use crate::api::received::{Body, Received};
use crate::api::retry::Patience;
use crate::api::secrets::{LoginSecrets, needles};
use crate::api::transport::Transport;
use crate::api::wire::identity::{self, CataloguedEndpoint, Facts};
use crate::core::target::service_url;

/// The longest address that is taken from a catalogue, in bytes.
const MAX_URL_BYTES: usize = 255;

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// The identity service of one login.
#[derive(Debug)]
pub(in crate::api) struct Iam {
    transport: Transport,
    url: Url,
    pub(super) patience: Patience,
}

impl Iam {
    /// Prepares the connection; nothing is sent.
    /// Fails if the address is none, or the connection cannot be set up.
    pub(in crate::api) fn new(options: &Options, patience: Patience) -> Result<Self, ApiError> {
        let url = service_url(&options.auth_url).map_err(|_| ApiError::AuthUrl)?;
        Ok(Self {
            transport: Transport::new(&url, options.auth_url_named_by, options)?,
            url,
            patience,
        })
    }

    /// The host and, where it is not the usual one, the port.
    pub(super) fn host(&self) -> String {
        crate::api::judge::authority(&self.url)
    }

    /// A call of this service: its path below the address, and its query.
    pub(super) fn call(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Call {
        let mut url = self.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{path}"));
        url.set_query(
            Some(query_of(query))
                .as_deref()
                .filter(|text| !text.is_empty()),
        );
        Call {
            method,
            url,
            body: None,
        }
    }

    /// Asks until there is an answer.
    /// Fails if the service refuses, or does not answer.
    pub(super) async fn ask(
        &self,
        call: &Call,
        if_lost: IfLost,
        login: &LoginSecrets,
        authorize: &(dyn Fn(&Call) -> Request + Sync),
    ) -> Result<Received, Failure> {
        let exchange = Exchange {
            transport: &self.transport,
            patience: &self.patience,
            login,
            run: None,
        };
        exchange.ask(call, if_lost, authorize).await
    }

    /// Asks with a pass; calls of the identity service name no project.
    async fn ask_as(
        &self,
        call: &Call,
        pass: &Pass,
        login: &LoginSecrets,
    ) -> Result<Vec<u8>, Failure> {
        let now = self.patience.ambient.now;
        let received = self
            .ask(call, IfLost::AskAgain, login, &|call| {
                let mut request = call.request();
                pass.authorize(&mut request, None, now());
                request
            })
            .await?;
        Ok(body_of(received))
    }

    /// What the service knows about a token that was given.
    /// Fails if it does not take the token, or does not answer.
    pub(in crate::api) async fn facts_of(
        &self,
        pass: &Pass,
        login: &LoginSecrets,
    ) -> Result<Facts, Failure> {
        let call = self.call(Method::GET, "auth/tokens", &[("nocatalog", "true")]);
        let PassKind::Token(token) = &pass.kind else {
            return Ok(Facts::default());
        };
        let now = self.patience.ambient.now;
        let received = self
            .ask(&call, IfLost::AskAgain, login, &|call| {
                let mut request = call.request();
                pass.authorize(&mut request, None, now());
                request
                    .headers_mut()
                    .insert(X_SUBJECT_TOKEN, token.value().clone());
                request
            })
            .await?;
        Ok(identity::facts(&body_of(received)))
    }

    /// Names and ids of the projects that the caller may use, or of the one with
    /// this name.
    /// Fails if the service refuses, or does not answer.
    pub(in crate::api) async fn projects(
        &self,
        pass: &Pass,
        login: &LoginSecrets,
        name: Option<&str>,
    ) -> Result<Vec<identity::Project>, Failure> {
        let query: Vec<(&str, &str)> = name.map(|name| ("name", name)).into_iter().collect();
        let call = self.call(Method::GET, "projects", &query);
        let body = self.ask_as(&call, pass, login).await?;
        Ok(identity::projects(&body))
    }

    /// The endpoints of the replication service, as the catalogue of the identity
    /// service has them; often none.
    /// Fails if the service refuses, or does not answer.
    pub(in crate::api) async fn catalogue(
        &self,
        pass: &Pass,
        login: &LoginSecrets,
        project_id: &str,
    ) -> Result<Vec<CataloguedEndpoint>, Failure> {
        let call = self.call(Method::GET, "auth/catalog", &[]);
        let body = self.ask_as(&call, pass, login).await?;
        let mut found = identity::endpoints(&body, project_id);
        // They are shown, and may be anything that the service knows.
        let needles = needles(login, None, &[]);
        found.retain(|found| {
            found.url.len() <= MAX_URL_BYTES
                && !needles.occur_in(&found.url)
                && found
                    .region
                    .as_deref()
                    .is_none_or(|region| !needles.occur_in(region))
        });
        Ok(found)
    }
}

/// The body of an answer; nothing where it could not be read as it is.
pub(super) fn body_of(received: Received) -> Vec<u8> {
    match received.body {
        Body::Read(body) => body,
        Body::Coded(_) | Body::TooLong | Body::Cut => Vec::new(),
    }
}
