//! The identity service: what it says about a login (OTC IAM api-ref, "Verifying a Token",
//! "Querying Project Information", "Querying the Service Catalog"), and its JSON.
//!
//! Reading is lenient: only used fields are read, and an unreadable one counts as absent.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, Request};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::signature::canonical_query;
use super::{Domain, IamName, LoginPass, LoginSession, TokenHeader};
use crate::api::error::{CallFailure, FailureKind};
use crate::api::exchange::{Exchange, Patience, Policy};
use crate::api::http::{ApiCall, ClientOptions, Received, Transport, X_SUBJECT_TOKEN};
use crate::api::judge::Judgement;
use crate::api::secrets::{LoginSecrets, needles};
use crate::api::wire::write_secret;
use crate::core::config::bare_endpoint;
use crate::core::failure::Failure;
use crate::core::secret::Secret;
use crate::core::target::service_url;

const MAX_URL_BYTES: usize = 255;

pub struct Iam {
    transport: Transport,
    pub url: Url,
    pub patience: Patience,
}

impl Iam {
    pub fn new(options: &ClientOptions, patience: Patience) -> Result<Self, Failure> {
        let url = service_url(&options.target.auth_url).map_err(|_| {
            Failure::new(
                "drspass::api::auth_url",
                "the address of the identity service is invalid",
                "Write target.auth_url as https://HOST/v3.",
            )
        })?;
        Ok(Self {
            transport: Transport::new(&url, options.named_by[1], options)?,
            url,
            patience,
        })
    }

    pub fn call(&self, method: Method, path: &str, query: &[(&str, &str)]) -> ApiCall {
        let mut url = self.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{path}"));
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
            .collect();
        if !query.is_empty() {
            url.set_query(Some(&canonical_query(&query)));
        }
        ApiCall {
            method,
            url,
            body: None,
        }
    }

    /// Sends a call until it ends; `authorize` makes a new request for each attempt.
    pub async fn ask(
        &self,
        call: &ApiCall,
        policy: Policy<'_>,
        login: &LoginSecrets,
        authorize: &(dyn Fn(&ApiCall) -> Request + Sync),
    ) -> Result<Received, CallFailure> {
        let mut exchange = Exchange::new(&self.transport, &self.patience, None, call, policy);
        loop {
            match exchange.attempt(authorize(call), || login.clone()).await {
                Judgement::Lost(_) | Judgement::Again(_) => {}
                Judgement::Answered(received) => return Ok(received),
                Judgement::Failed(kind) => return Err(exchange.failed(kind)),
                // Only a change of passwords ends in another way.
                _ => return Err(exchange.failed(FailureKind::Unanswered)),
            }
        }
    }

    /// Sends a call with a pass of a session, about a token if one is given; calls of the identity
    /// service name no project.
    async fn ask_as(
        &self,
        (session, pass): (&LoginSession, &LoginPass),
        path: &str,
        query: &[(&str, &str)],
        about: Option<&TokenHeader>,
    ) -> Result<Vec<u8>, CallFailure> {
        let authorize = |call: &ApiCall| {
            let mut request = pass.request(call, None, (self.patience.ambient.now)());
            if let Some(token) = about {
                let headers = request.headers_mut();
                headers.insert(X_SUBJECT_TOKEN, token.header.clone());
            }
            request
        };
        let call = self.call(Method::GET, path, query);
        let received = self
            .ask(&call, Policy::Query, &session.secrets(), &authorize)
            .await?;
        Ok(received.into_body())
    }

    pub async fn facts_of(
        &self,
        caller: (&LoginSession, &LoginPass),
    ) -> Result<TokenFacts, CallFailure> {
        let LoginPass::Token { header, .. } = caller.1 else {
            return Ok(TokenFacts::default());
        };
        let query = [("nocatalog", "true")];
        let body = self.ask_as(caller, "auth/tokens", &query, Some(header));
        Ok(facts(&body.await?))
    }

    pub async fn projects(
        &self,
        caller: (&LoginSession, &LoginPass),
        name: Option<&str>,
    ) -> Result<Vec<IamProject>, CallFailure> {
        let query = name.map(|name| ("name", name));
        let body = self.ask_as(caller, "projects", query.as_slice(), None);
        Ok(projects(&body.await?))
    }

    pub async fn catalogue(
        &self,
        caller: (&LoginSession, &LoginPass),
        project_id: &str,
    ) -> Result<Vec<CataloguedEndpoint>, CallFailure> {
        let body = self.ask_as(caller, "auth/catalog", &[], None).await?;
        let mut found = endpoints(&body, project_id);
        // They are shown, and may be anything that the service knows.
        let needles = needles(&caller.0.secrets(), None, &[]);
        found.retain(|found| {
            let region = found.region.as_deref();
            found.url.len() <= MAX_URL_BYTES
                && !needles.occur_in(&found.url)
                && !region.is_some_and(|region| needles.occur_in(region))
        });
        Ok(found)
    }
}

#[derive(Clone, Debug, Default)]
pub struct TokenFacts {
    pub issued_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub project: Option<IamProject>,
    pub user: Option<String>,
    pub domain: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamProject {
    pub id: String,
    pub name: Option<String>,
}

/// Returns the body of a login. Its one plain copy of the secrets is in a buffer that is wiped
/// and never grows.
pub fn login_body(
    user: &IamName,
    password: &Secret,
    passcode: Option<&Secret>,
    project: &IamName,
) -> Bytes {
    let json = |called: &IamName| match called {
        IamName::Id(id) => json!({"id": id}),
        IamName::Named(name, None) => json!({"name": name}),
        IamName::Named(name, Some(Domain::Id(id))) => json!({"name": name, "domain": {"id": id}}),
        IamName::Named(name, Some(Domain::Name(domain))) => {
            json!({"name": name, "domain": {"name": domain}})
        }
    };
    let (user, scope) = (json(user).to_string(), json(project));
    // Without its end, since a secret follows.
    let user = user.strip_suffix('}').unwrap_or_default();
    let methods = match passcode {
        Some(_) => r#""password","totp""#,
        None => r#""password""#,
    };
    let password_of = format!(
        r#"{{"auth":{{"identity":{{"methods":[{methods}],"password":{{"user":{user},"password":"#
    );
    let passcode_of = format!(r#"}}}},"totp":{{"user":{user},"passcode":"#);
    let parts = [
        Some((password_of, password)),
        passcode.map(|passcode| (passcode_of, passcode)),
    ];
    let parts = parts.iter().flatten();
    let end = format!(r#"}}}}}},"scope":{{"project":{scope}}}}}}}"#);
    let needed = parts
        .clone()
        .map(|(text, secret)| text.len() + secret.max_json_bytes());
    let mut body = Zeroizing::new(Vec::with_capacity(needed.sum::<usize>() + end.len()));
    for (text, secret) in parts {
        body.extend_from_slice(text.as_bytes());
        write_secret(&mut body, secret);
    }
    body.extend_from_slice(end.as_bytes());
    Bytes::from_owner(body)
}

pub fn facts(body: &[u8]) -> TokenFacts {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = &answer["token"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |value: &Value| value.as_str()?.parse().ok();
    TokenFacts {
        issued_at: time(&token["issued_at"]),
        expires_at: time(&token["expires_at"]),
        project: project(&token["project"]),
        user: text(&token["user"]["name"]).or_else(|| text(&token["user"]["id"])),
        domain: text(&token["user"]["domain"]["name"]),
    }
}

pub fn projects(body: &[u8]) -> Vec<IamProject> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = answer["projects"].as_array();
    listed.into_iter().flatten().filter_map(project).collect()
}

fn project(value: &Value) -> Option<IamProject> {
    Some(IamProject {
        id: value["id"].as_str()?.to_owned(),
        name: value["name"].as_str().map(str::to_owned),
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguedEndpoint {
    /// The region that it serves; `None` for every one.
    pub region: Option<String>,
    pub url: String,
}

/// Returns the public endpoints of DRS, each address once, without version and project.
pub fn endpoints(body: &[u8], project_id: &str) -> Vec<CataloguedEndpoint> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let catalogue = answer["catalog"]
        .as_array()
        .or_else(|| answer["token"]["catalog"].as_array());
    let services = catalogue.into_iter().flatten();
    let listed = services
        .filter(|entry| entry["type"] == "drs")
        .filter_map(|entry| entry["endpoints"].as_array())
        .flatten()
        .filter(|endpoint| endpoint["interface"] == "public");
    let mut found: Vec<CataloguedEndpoint> = Vec::new();
    for endpoint in listed {
        let Some(url) = endpoint["url"].as_str() else {
            continue;
        };
        let region = endpoint["region"].as_str().filter(|region| *region != "*");
        let next = CataloguedEndpoint {
            region: region.map(str::to_owned),
            url: bare_endpoint(url, project_id).unwrap_or(url).to_owned(),
        };
        if !found.contains(&next) {
            found.push(next);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn parsed(body: &Bytes) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn user_domain_and_project_domain_stand_apart() {
        let body = login_body(
            &IamName::Named("op\"s".to_owned(), Some(Domain::Name("people".to_owned()))),
            &secret("canary-\"\\\n"),
            None,
            &IamName::Named("lab".to_owned(), Some(Domain::Name("machines".to_owned()))),
        );
        assert_eq!(
            parsed(&body),
            json!({"auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {
                        "name": "op\"s",
                        "domain": {"name": "people"},
                        "password": "canary-\"\\\n",
                    }},
                },
                "scope": {"project": {"name": "lab", "domain": {"name": "machines"}}},
            }})
        );
    }

    #[test]
    fn a_passcode_goes_with_a_user_id() {
        let body = login_body(
            &IamName::Id("u1".to_owned()),
            &secret("canary-1"),
            Some(&secret("123456")),
            &IamName::Id("p1".to_owned()),
        );
        assert_eq!(
            parsed(&body),
            json!({"auth": {
                "identity": {
                    "methods": ["password", "totp"],
                    "password": {"user": {"id": "u1", "password": "canary-1"}},
                    "totp": {"user": {"id": "u1", "passcode": "123456"}},
                },
                "scope": {"project": {"id": "p1"}},
            }})
        );
    }

    #[test]
    fn the_facts_of_a_token_are_read_and_what_is_odd_is_absent() {
        let facts = facts(
            br#"{"token":{"issued_at":"2026-01-02T03:04:05.527363Z","expires_at":"soon",
                "project":{"id":"p1","name":"eu-de"},"user":{"id":"u1","domain":{"name":"acc"}}}}"#,
        );
        assert!(facts.issued_at.is_some() && facts.expires_at.is_none());
        assert_eq!(facts.project.unwrap().id, "p1");
        assert_eq!(facts.user.as_deref(), Some("u1"));
        assert!(super::facts(b"[]").project.is_none());
        assert!(super::facts(b"").user.is_none());
    }

    #[test]
    fn the_catalogue_gives_the_public_endpoints_without_project() {
        let body = br#"{"catalog":[{"type":"evs","endpoints":[]},{"type":"drs","endpoints":[
            {"interface":"internal","region":"eu-de","url":"https://internal"},
            {"interface":"public","region":"eu-nl","url":"https://nl"},
            {"interface":"public","region":"eu-de","url":"https://drs.eu-de.example/v3/p1"}]}]}"#;
        let found = endpoints(body, "p1");
        let found_endpoints: Vec<_> = found
            .iter()
            .map(|found| (found.region.as_deref(), found.url.as_str()))
            .collect();
        let nl = (Some("eu-nl"), "https://nl");
        assert_eq!(
            found_endpoints,
            [nl, (Some("eu-de"), "https://drs.eu-de.example")]
        );
        assert_eq!(endpoints(b"{}", "p1"), []);
    }
}
