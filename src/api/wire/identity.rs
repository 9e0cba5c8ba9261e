//! The JSON of the identity service (OTC IAM api-ref, "Obtaining a User Token").
//!
//! It is read leniently: only what is used is looked at, and what cannot be read
//! is absent.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::write_secret;
use crate::api::auth::{Domain, IamUser, ProjectName};
use crate::core::config::bare_endpoint;
use crate::core::secret::Secret;

/// What is known about a token.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Facts {
    pub(in crate::api) issued_at: Option<Timestamp>,
    pub(in crate::api) expires_at: Option<Timestamp>,
    /// The project that it is for, if it is for one.
    pub(in crate::api) project: Option<Project>,
    pub(in crate::api) user: Option<String>,
    pub(in crate::api) domain: Option<String>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Project {
    pub(in crate::api) id: String,
    pub(in crate::api) name: Option<String>,
}

/// The body of a login. Its one plain copy of the secrets is in a buffer that is
/// wiped, and that never grows.
pub(in crate::api) fn login(
    user: &IamUser,
    password: &Secret,
    passcode: Option<&Secret>,
    project: &ProjectName,
) -> Bytes {
    let domain = |domain: &Domain| match domain {
        Domain::Id(id) => json!({"id": id}),
        Domain::Name(name) => json!({"name": name}),
    };
    let (who, of) = match user {
        IamUser::Id(id) => (json!({"id": id}), None),
        IamUser::Named { name, domain: of } => (json!({"name": name}), Some(domain(of))),
    };
    let who = who.to_string();
    let of = of.map(|of| of.to_string());
    let scope = match project {
        ProjectName::Id(id) => json!({"id": id}),
        ProjectName::Named { name, domain: None } => json!({"name": name}),
        ProjectName::Named {
            name,
            domain: Some(of),
        } => json!({"name": name, "domain": domain(of)}),
    };
    let scope = scope.to_string();
    let secrets = [Some(password), passcode].into_iter().flatten();
    let needed = 512
        + 2 * who.len()
        + of.as_ref().map_or(0, String::len)
        + scope.len()
        + secrets.map(Secret::max_json_bytes).sum::<usize>();
    let mut body = Zeroizing::new(Vec::with_capacity(needed));
    let methods = if passcode.is_some() {
        r#""password","totp""#
    } else {
        r#""password""#
    };
    let push = |body: &mut Zeroizing<Vec<u8>>, text: &str| body.extend_from_slice(text.as_bytes());
    push(&mut body, r#"{"auth":{"identity":{"methods":["#);
    push(&mut body, methods);
    push(&mut body, r#"],"password":{"user":"#);
    push(&mut body, who.strip_suffix('}').unwrap_or(&who));
    if let Some(of) = &of {
        push(&mut body, r#","domain":"#);
        push(&mut body, of);
    }
    push(&mut body, r#","password":"#);
    write_secret(&mut body, password);
    push(&mut body, "}}");
    if let Some(passcode) = passcode {
        push(&mut body, r#","totp":{"user":"#);
        push(&mut body, who.strip_suffix('}').unwrap_or(&who));
        push(&mut body, r#","passcode":"#);
        write_secret(&mut body, passcode);
        push(&mut body, "}}");
    }
    push(&mut body, r#"},"scope":{"project":"#);
    push(&mut body, &scope);
    push(&mut body, "}}}");
    Bytes::from_owner(body)
}

/// What the answer to a login, or to a question about a token, tells.
pub(in crate::api) fn facts(body: &[u8]) -> Facts {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = &answer["token"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |value: &Value| value.as_str()?.parse().ok();
    Facts {
        issued_at: time(&token["issued_at"]),
        expires_at: time(&token["expires_at"]),
        project: project(&token["project"]),
        user: text(&token["user"]["name"]).or_else(|| text(&token["user"]["id"])),
        domain: text(&token["user"]["domain"]["name"]),
    }
}

/// The projects of an answer.
pub(in crate::api) fn projects(body: &[u8]) -> Vec<Project> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = answer["projects"].as_array();
    listed.into_iter().flatten().filter_map(project).collect()
}

fn project(value: &Value) -> Option<Project> {
    Some(Project {
        id: value["id"].as_str()?.to_owned(),
        name: value["name"].as_str().map(str::to_owned),
    })
}

/// A public endpoint of the replication service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguedEndpoint {
    /// The region that it serves; every one if none is named.
    pub region: Option<String>,
    /// Its address.
    pub url: String,
}

/// The public endpoints of the replication service, each address once, without the
/// version and the project.
pub(in crate::api) fn endpoints(body: &[u8], project_id: &str) -> Vec<CataloguedEndpoint> {
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
        let body = login(
            &IamUser::Named {
                name: "op\"s".to_owned(),
                domain: Domain::Name("people".to_owned()),
            },
            &secret("canary-\"\\\n"),
            None,
            &ProjectName::Named {
                name: "lab".to_owned(),
                domain: Some(Domain::Name("machines".to_owned())),
            },
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
        let body = login(
            &IamUser::Id("u1".to_owned()),
            &secret("canary-1"),
            Some(&secret("123456")),
            &ProjectName::Id("p1".to_owned()),
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
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.region.as_deref(), found.url.as_str()))
            .collect();
        let nl = (Some("eu-nl"), "https://nl");
        assert_eq!(told, [nl, (Some("eu-de"), "https://drs.eu-de.example")]);
        assert_eq!(endpoints(b"{}", "p1"), []);
    }
}
