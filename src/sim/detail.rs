//! The query of whole jobs: `POST /v3/{project_id}/jobs/batch-detail`.
//!
//! Owns the form of its answer (OTC api-ref, Querying Task Details), as far as a
//! client of this tool's kind may look at it. Refuses to invent a password: one
//! stands in an answer only where a test put it.

use serde_json::{Map, Value, json};

use super::clock::millis;
use super::job::Job;
use super::query;
use super::reply::Reply;
use super::service::Call;
use super::shared::{Inner, Shared};
use super::spec::EndpointSpec;

/// Answers the query.
pub(super) fn answer(shared: &Shared, inner: &mut Inner, call: &Call) -> Reply {
    let told = |id: &str, job: &Job| details(shared, id, job);
    query::of_jobs(shared, inner, call, told, &Map::new())
}

fn details(shared: &Shared, id: &str, job: &Job) -> Value {
    let facts = &job.facts;
    let region = shared.catalog.region.as_str();
    let side = |spec: &Option<EndpointSpec>, name: &str| {
        let spec = spec.clone().unwrap_or_default();
        let usual = facts.engine_type.split('-').next().unwrap_or_default();
        let mut endpoint = json!({
            "db_type": spec.db_type.as_deref().unwrap_or(usual),
            "inst_id": spec.inst_id,
            "inst_name": spec.inst_id.as_ref().map(|_| format!("{name}-instance")),
            "region": spec.inst_id.as_ref().map(|_| region),
            "project_id": spec.inst_id.as_ref().map(|_| &shared.project_id),
            "ip": spec.ip,
            "db_port": spec.port,
            "db_user": spec.user,
            "ssl_link": false,
        });
        if let Some(password) = spec.detail_password {
            endpoint["db_password"] = Value::String(password);
        }
        endpoint
    };
    let created = millis(shared.started);
    json!({
        "id": id,
        "parent_id": facts.parent.as_deref().unwrap_or_default(),
        "name": facts.name,
        "status": job.status,
        "description": "",
        "create_time": created,
        "update_time": created,
        "task_type": "FULL_INCR_TRANS",
        "source_endpoint": side(&facts.source, "source"),
        "target_endpoint": side(&facts.destination, "destination"),
        "failed_reason": job.failure(),
        "inst_info": {
            "engine_type": facts.engine_type,
            "inst_type": "high",
            "ip": "192.0.2.10",
            "public_ip": "",
            "start_time": "0",
            "status": "active",
        },
        "job_direction": "up",
        "db_use_type": facts.db_use_type,
        "multi_write": facts.multi_write || facts.dual_active_parent,
        "master_job_id": "",
        "node_num": "0",
        "is_multi_az": false,
    })
}
