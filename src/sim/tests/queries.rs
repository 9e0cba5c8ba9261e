//! The calls that ask about jobs and set them going again.

use serde_json::json;

use super::super::{EndpointSpec, Fault, FaultKind, FaultTrigger, scenario};
use super::*;

fn post(sim: &Simulator, call: &str, body: &Value) -> Seen {
    let request = match call {
        "" => format!("POST /v3/{}/jobs", sim.project_id()),
        _ => format!("POST {}", path(sim, call)),
    };
    send(sim, &request, &headers(sim), &body.to_string()).unwrap()
}

fn job(id: &str, change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec = JobSpec::new(id);
    change(&mut spec);
    spec
}

fn start(jobs: Vec<JobSpec>) -> Simulator {
    Simulator::start(SimConfig {
        jobs,
        failure_delay: Duration::ZERO,
        ..SimConfig::default()
    })
    .unwrap()
}

fn rows(seen: &Seen) -> Vec<String> {
    assert_eq!(seen.status, 200, "{:?}", seen.json());
    let document = seen.json();
    let rows = document["jobs"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn details_tell_what_a_job_connects() {
    let endpoint = EndpointSpec {
        ip: Some("192.0.2.7".to_owned()),
        port: Some(3306),
        user: Some("drs".to_owned()),
        inst_id: Some("instance-1".to_owned()),
        detail_password: Some("canary-detail".to_owned()),
        ..EndpointSpec::default()
    };
    let sim = start(vec![
        job(JOB, |spec| {
            spec.name = "orders".to_owned();
            spec.engine_type = "mysql-to-taurus".to_owned();
            spec.source = Some(endpoint.clone());
            spec.destination = Some(EndpointSpec {
                db_type: Some("taurus".to_owned()),
                ..EndpointSpec::default()
            });
            spec.parent = Some(OTHER.to_owned());
        }),
        job(OTHER, |spec| spec.dual_active_parent = true),
    ]);
    let seen = post(&sim, "batch-detail", &json!({"jobs": [JOB, OTHER, "gone"]}));
    assert_eq!((seen.status, seen.json()["count"].as_u64()), (200, Some(3)));
    let results = seen.json()["results"].clone();
    assert_eq!(results[0]["parent_id"], OTHER);
    assert_eq!(results[0]["inst_info"]["engine_type"], "mysql-to-taurus");
    let source = &results[0]["source_endpoint"];
    assert_eq!(source["db_type"], "mysql");
    assert_eq!(
        (&source["ip"], &source["db_port"]),
        (&json!("192.0.2.7"), &json!(3306))
    );
    assert_eq!(source["db_password"], "canary-detail");
    let target = &results[0]["target_endpoint"];
    assert_eq!(target["db_type"], "taurus");
    assert!(target.get("db_password").is_none());
    assert_eq!(
        (&results[0]["multi_write"], &results[1]["multi_write"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(results[2]["error_code"], "DRS.M00289");
    let gone = post(&sim, "batch-detail", &json!({"jobs": ["gone"]}));
    assert_eq!(gone.status, 400);
}

#[test]
fn detail_pages_hold_five_too() {
    let ids: Vec<String> = (0..12).map(|n| format!("job{n}")).collect();
    let sim = start(ids.iter().map(JobSpec::new).collect());
    let seen = post(&sim, "batch-detail", &json!({"jobs": ids}));
    assert_eq!(seen.json()["results"].as_array().unwrap().len(), 5);
    assert_eq!(seen.json()["count"], 12);
    let page = json!({"jobs": ids, "page_req": {"per_page": 10, "cur_page": 2}});
    let seen = post(&sim, "batch-detail", &page);
    assert_eq!(seen.json()["results"][0]["id"], "job10");
}

#[test]
fn lists_are_of_one_use_type_and_hold_ten_rows() {
    let mut jobs: Vec<JobSpec> = (0..12)
        .map(|n| JobSpec::new(format!("job{n:02}")))
        .collect();
    jobs.push(job("moved", |spec| {
        spec.db_use_type = "migration".to_owned()
    }));
    let sim = start(jobs);
    let list = |more: Value| {
        let mut body = json!({"db_use_type": "sync", "engine_type": ""});
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        post(&sim, "", &body)
    };
    let seen = list(json!({}));
    assert_eq!(
        (rows(&seen).len(), &seen.json()["total_record"]),
        (10, &json!(12))
    );
    assert_eq!(rows(&list(json!({"cur_page": 2}))), ["job10", "job11"]);
    assert!(rows(&list(json!({"cur_page": 3}))).is_empty());
    assert_eq!(rows(&list(json!({"per_page": 0}))).len(), 12);
    assert_eq!(rows(&list(json!({"cur_page": 0}))).len(), 12);
    assert_eq!(rows(&list(json!({"db_use_type": "migration"}))), ["moved"]);
    assert_eq!(list(json!({"per_page": 101})).code(), "DRS.M00210");
    assert_eq!(list(json!({"per_page": "10"})).code(), "DRS.M00202");
    assert_eq!(list(json!({"db_use_type": null})).code(), "DRS.M00201");
    assert_eq!(list(json!({"db_use_type": "other"})).code(), "DRS.M00202");
}

#[test]
fn lists_are_filtered_by_name_or_ids_and_more() {
    let sim = start(vec![
        job("id-1", |spec| spec.name = "orders-eu".to_owned()),
        job("id-2", |spec| spec.name = "orders-us".to_owned()),
        job("id-3", |spec| {
            spec.engine_type = "mongodb".to_owned();
            spec.net_type = "vpc".to_owned();
            spec.status = "PAUSING".to_owned();
        }),
    ]);
    let list = |filter: Value| {
        let mut body = json!({"db_use_type": "sync", "engine_type": ""});
        for (field, value) in filter.as_object().unwrap() {
            body[field] = value.clone();
        }
        rows(&post(&sim, "", &body))
    };
    assert_eq!(list(json!({"name": "orders"})), ["id-1", "id-2"]);
    assert_eq!(list(json!({"name": "id-3,id-1"})), ["id-1", "id-3"]);
    assert_eq!(list(json!({"engine_type": "mongodb"})), ["id-3"]);
    assert_eq!(list(json!({"net_type": "vpc"})), ["id-3"]);
    assert_eq!(list(json!({"status": "PAUSING"})), ["id-3"]);
    // Left out, the engine is the documented default.
    let seen = post(&sim, "", &json!({"db_use_type": "sync"}));
    assert_eq!(rows(&seen), ["id-1", "id-2"]);
    let many = vec!["id"; 101].join(",");
    let seen = post(&sim, "", &json!({"db_use_type": "sync", "name": many}));
    assert_eq!(seen.code(), "DRS.M00202");
}

#[test]
fn subtasks_stand_in_the_row_of_their_parent() {
    let guard = |spec: &mut JobSpec| spec.db_use_type = "cloudDataGuard".to_owned();
    let sub = |spec: &mut JobSpec| {
        guard(spec);
        spec.parent = Some("parent".to_owned());
    };
    let sim = start(vec![
        job("forward", sub),
        job("backward", sub),
        job("parent", |spec| {
            guard(spec);
            spec.dual_active_parent = true;
        }),
    ]);
    let body = json!({"db_use_type": "cloudDataGuard", "engine_type": ""});
    let seen = post(&sim, "", &body);
    assert_eq!(rows(&seen), ["parent"]);
    assert_eq!(seen.json()["total_record"], 1);
    let children = seen.json()["jobs"][0]["children"].clone();
    assert_eq!(
        (&children[0]["id"], &children[1]["id"]),
        (&json!("backward"), &json!("forward"))
    );
    assert!(children[0].get("children").is_none());
}

#[test]
fn actions_are_told_only_where_the_service_has_them() {
    let jobs = || {
        vec![
            job(JOB, |_| ()),
            job(OTHER, |spec| {
                spec.status = "INCRE_TRANSFER_FAILED".to_owned();
                spec.unavailable_actions = vec!["RESET_DB_PWD".to_owned(), "CLONE".to_owned()];
            }),
        ]
    };
    let list = json!({"db_use_type": "sync", "engine_type": ""});
    let get = |sim: &Simulator, id: &str| {
        let request = format!("GET /v5/{}/jobs/{id}/actions", sim.project_id());
        send(sim, &request, &headers(sim), "").unwrap()
    };
    let without = start(jobs());
    assert!(
        post(&without, "", &list).json()["jobs"][0]
            .get("job_action")
            .is_none()
    );
    assert_eq!(get(&without, JOB).code(), "APIGW.0101");
    let sim = Simulator::start(SimConfig {
        jobs: jobs(),
        job_actions: true,
        ..SimConfig::default()
    })
    .unwrap();
    let rows = post(&sim, "", &list).json()["jobs"].clone();
    let withheld = &rows[0]["job_action"];
    assert_eq!(withheld["available_actions"], json!(["RETRY", "DELETE"]));
    let shut = json!(["RESET_DB_PWD", "START", "PAUSE", "CLONE"]);
    assert_eq!(withheld["unavailable_actions"], shut);
    assert_eq!(&get(&sim, OTHER).json()["job_action"], withheld);
    let running = &rows[1]["job_action"];
    assert_eq!(
        running["available_actions"],
        json!(["RESET_DB_PWD", "PAUSE", "DELETE"])
    );
    assert_eq!(get(&sim, "gone").code(), "DRS.10000010");
    // What is told of is not what the call itself allows.
    assert_eq!(
        put(&sim, &[(OTHER, "so", "canary")]).results()[0].2,
        "success"
    );
}

#[test]
fn retries_are_judged_by_state() {
    let state = |status: &'static str| move |spec: &mut JobSpec| spec.status = status.to_owned();
    let sim = start(vec![
        job("failed", state("INCRE_TRANSFER_FAILED")),
        job("full", state("FULL_TRANSFER_FAILED")),
        job("paused", state("PAUSING")),
        job("running", |_| ()),
        job("deleted", state("DELETED")),
        job("parent", |spec| {
            spec.dual_active_parent = true;
            spec.status = "INCRE_TRANSFER_FAILED".to_owned();
        }),
    ]);
    let ids = [
        "failed", "full", "paused", "running", "deleted", "parent", "gone",
    ];
    let jobs: Vec<Value> = ids.iter().map(|id| json!({"job_id": id})).collect();
    let seen = post(&sim, "batch-retry-task", &json!({"jobs": jobs}));
    assert_eq!((seen.status, &seen.json()["count"]), (200, &json!(7)));
    let codes: Vec<String> = seen.results().into_iter().map(|line| line.3).collect();
    let refused = ["DRS.M00304", "DRS.M05004", "DRS.M00307", "DRS.M00289"];
    assert_eq!(codes, [&[""; 3][..], &refused].concat());
    assert_eq!(sim.status("failed").unwrap(), "INCRE_TRANSFER_STARTED");
    assert_eq!(sim.status("full").unwrap(), "FULL_TRANSFER_STARTED");
    assert_eq!(sim.status("paused").unwrap(), "INCRE_TRANSFER_STARTED");
    for (body, code) in [
        (json!({"jobs": []}), "DRS.M00201"),
        (json!({"jobs": [{}]}), "DRS.M00201"),
        (
            json!({"jobs": [{"job_id": "a"}, {"job_id": "a"}]}),
            "DRS.M00301",
        ),
        (
            json!({"jobs": [{"job_id": "a", "is_sync_re_edit": 1}]}),
            "DRS.M00202",
        ),
    ] {
        assert_eq!(post(&sim, "batch-retry-task", &body).code(), code);
    }
    let gone = post(
        &sim,
        "batch-retry-task",
        &json!({"jobs": [{"job_id": "gone"}]}),
    );
    assert_eq!(gone.status, 400);
}

#[test]
fn retrying_with_a_wrong_password_locks_the_account() {
    let sim = start(vec![job(JOB, |spec| {
        spec.source = Some(EndpointSpec {
            real_password: Some("canary-old".to_owned()),
            ..EndpointSpec::default()
        });
    })]);
    assert!(sim.set_real_password(JOB, "source", "canary-new"));
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_FAILED");
    let retry = json!({"jobs": [{"job_id": JOB}]});
    for _ in 0..5 {
        assert!(!sim.is_locked(JOB, "source"));
        assert_eq!(post(&sim, "batch-retry-task", &retry).status, 200);
    }
    assert!(sim.is_locked(JOB, "source"));
    let failed = post(&sim, "batch-detail", &json!({"jobs": [JOB]}));
    let reason = failed.json()["results"][0]["failed_reason"].clone();
    assert!(reason.as_str().unwrap().contains("denied"));
}

#[test]
fn queries_meet_faults_of_their_own() {
    let sim = simulator();
    sim.inject(Fault::always(FaultKind::Busy));
    let busy = || FaultKind::Throttled { retry_after: None };
    assert!(sim.inject_query(Some("detail"), Fault::nth(2, busy())));
    assert!(!sim.inject_query(Some("password"), Fault::next(busy())));
    let ids = json!({"jobs": [JOB]});
    let status = |call| post(&sim, call, &ids).status;
    assert_eq!(status("batch-status"), 200);
    assert_eq!(status("batch-detail"), 200);
    assert_eq!(status("batch-status"), 200);
    assert_eq!(status("batch-detail"), 429);
    assert!(sim.inject_query(None, Fault::on(FaultTrigger::Every(6), busy())));
    assert_eq!(status("batch-detail"), 200);
    assert_eq!(status("batch-status"), 429);
    assert!(sim.inject_query(Some("list"), Fault::next(FaultKind::Truncated)));
    let list = post(&sim, "", &json!({"db_use_type": "sync"}));
    assert!(serde_json::from_slice::<Value>(&list.body).is_err());
    assert!(sim.inject_query(Some("retry"), Fault::next(FaultKind::CloseAfter)));
    sim.set_status(JOB, "PAUSING");
    let request = format!("POST {}", path(&sim, "batch-retry-task"));
    let body = json!({"jobs": [{"job_id": JOB}]}).to_string();
    assert!(send(&sim, &request, &headers(&sim), &body).is_none());
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_STARTED");
}

#[test]
fn faults_stand_in_the_queue_they_fit() {
    let expired = || FaultKind::TokenExpired {
        http: 401,
        code: None,
    };
    let mut for_lists = Fault::next(expired());
    for_lists.call = Some(super::super::QueryCall::List);
    let shuffled = Fault::next(FaultKind::Shuffled);
    let start = |change: &dyn Fn(&mut SimConfig)| {
        let mut config = config();
        change(&mut config);
        Simulator::start(config)
    };
    assert!(start(&|config| config.query_faults = vec![for_lists.clone()]).is_ok());
    for result in [
        start(&|config| config.faults = vec![for_lists.clone()]),
        start(&|config| config.login_faults = vec![for_lists.clone()]),
        start(&|config| config.login_faults = vec![shuffled.clone()]),
        start(&|config| config.query_faults = vec![shuffled.clone()]),
    ] {
        assert!(result.is_err_and(|why| why.starts_with("fault 1: ")));
    }
    let entry = json!({"entry": {"job": JOB, "endpoint": "source"}});
    let scenario = |fault: Value| scenario::parse(&json!({"query_faults": [fault]}).to_string());
    assert!(scenario(json!({"call": "status", "kind": "silent"})).is_ok());
    assert!(scenario(json!({"on": entry, "kind": "silent"})).is_err());
    assert!(scenario(json!({"call": "other", "kind": "silent"})).is_err());
}
