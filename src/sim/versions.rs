//! Which versions of the identity service there are: `GET /` and `GET /v3`.
//!
//! Clients ask before they log in, and warn where nobody answers (OpenStack Identity API,
//! "List versions" and "Show v3 API details").

use serde_json::{Value, json};

use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};

/// All versions, as a choice between them.
pub(super) fn list(shared: &Shared, _: &mut Inner, _: &Call) -> Reply {
    Reply::json(300, &json!({"versions": {"values": [version(shared)]}}))
}

/// The one version.
pub(super) fn show(shared: &Shared, _: &mut Inner, _: &Call) -> Reply {
    Reply::json(200, &json!({"version": version(shared)}))
}

fn version(shared: &Shared) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v3/", shared.url)}],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}
