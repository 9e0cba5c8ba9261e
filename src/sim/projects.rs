//! The projects of the account: `GET /v3/projects`.
//!
//! Owns the list and its one filter (OTC IAM api-ref, Querying Project
//! Information). Refuses to hide a project from anyone.

use serde_json::{Value, json};

use super::caller;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};
use super::signature::decode;

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let caller = match caller::identify(inner, call, shared.clock.now()) {
        Ok(caller) => caller,
        Err(reply) => return reply,
    };
    let domain = caller.person.map(|person| person.domain_id);
    let query = call.head.uri.query().unwrap_or_default();
    let name = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("name="))
        .map(decode);
    let projects: Vec<Value> = shared
        .projects
        .iter()
        .filter(|project| {
            name.as_ref()
                .is_none_or(|name| name == project.name.as_bytes())
        })
        .map(|project| {
            json!({
                "id": project.id,
                "name": project.name,
                "description": "",
                "domain_id": domain,
                "parent_id": domain,
                "enabled": true,
                "is_domain": false,
                "links": {"self": format!("{}/v3/projects/{}", shared.url, project.id)},
            })
        })
        .collect();
    let links =
        json!({"self": format!("{}/v3/projects", shared.url), "next": null, "previous": null});
    Reply::json(200, &json!({"projects": projects, "links": links}))
}
