//! The service catalogue, in a token and by `GET /v3/auth/catalog`.
//!
//! Owns which addresses are told. Refuses to list more of the other services
//! than it takes to be mistaken for one of them.

use serde_json::{Value, json};

use super::caller::{self, Reach};
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};

/// The word in a scenario that stands for the simulator's own address.
const OWN: &str = "self";

/// Answers the question for the catalogue.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let caller = match caller::identify(inner, call, shared.clock.now()) {
        Ok(caller) => caller,
        Err(reply) => return reply,
    };
    // A signature may name its project in a header (Huawei Cloud API Request
    // Signing Guide, X-Project-Id).
    let named = call.head.headers.get("x-project-id");
    let named = named.and_then(|value| value.to_str().ok());
    let project = match &caller.reach {
        Reach::Scope(project) => project.as_deref(),
        Reach::Account => named,
    };
    let entries = entries(shared, project);
    Reply::json(200, &json!({"catalog": entries, "links": {}}))
}

/// The entries for a token of this project.
pub(super) fn entries(shared: &Shared, project: Option<&str>) -> Value {
    let own = &shared.url;
    let region = shared.catalog.region.as_str();
    let project = project.unwrap_or_default();
    let mut entries = vec![
        entry("iam", "identity", "*", &format!("{own}/v3")),
        entry(
            "evs",
            "volumev2",
            region,
            &format!("https://evs.{region}.example.invalid/v2/{project}"),
        ),
    ];
    if let Some(endpoint) = &shared.catalog.drs_endpoint {
        let endpoint = if endpoint == OWN { own } else { endpoint };
        let suffix = match shared.catalog.project_suffix {
            true => format!("/v3/{project}"),
            false => String::new(),
        };
        entries.push(entry("drs", "drs", region, &format!("{endpoint}{suffix}")));
    }
    Value::Array(entries)
}

fn entry(name: &str, kind: &str, region: &str, url: &str) -> Value {
    json!({
        "id": format!("catalog-{name}"),
        "name": name,
        "type": kind,
        "endpoints": [{
            "id": format!("endpoint-{name}"),
            "interface": "public",
            "region": region,
            "region_id": region,
            "url": url,
        }],
    })
}
