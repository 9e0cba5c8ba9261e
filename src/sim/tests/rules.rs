//! The rules of the service and of the simulator itself, without faults.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Completion, EndpointSpec, Fault, FaultKind, scenario};
use super::*;

#[test]
fn only_loopback_is_served() {
    assert!(simulator().url().starts_with("http://127.0.0.1:"));
}

#[test]
fn tokens_are_checked() {
    let sim = simulator();
    let request = format!("PUT {}", path(&sim, "batch-modify-pwd"));
    let body = body(&[(JOB, "so", "first")]);
    let json = ("Content-Type", "application/json");
    let none = send(&sim, &request, &[json], &body).unwrap();
    assert_eq!((none.status, none.code().as_str()), (401, "APIGW.0301"));
    let wrong = [json, ("X-Auth-Token", "guess")];
    let wrong = send(&sim, &request, &wrong, &body).unwrap();
    assert_eq!((wrong.status, wrong.code().as_str()), (403, "DRS.M00100"));
    assert!(wrong.header("X-Request-Id").is_some());
    assert!(!sim.knows(JOB, "source"));
}

#[test]
fn project_path_and_media_type_are_checked() {
    let sim = simulator();
    let body = body(&[(JOB, "so", "first")]);
    let foreign = "PUT /v3/other/jobs/batch-modify-pwd";
    let foreign = send(&sim, foreign, &headers(&sim), &body).unwrap();
    assert_eq!(
        (foreign.status, foreign.code().as_str()),
        (403, "DRS.M00261")
    );
    let unknown = format!("PUT {}", path(&sim, "batch-modify"));
    let unknown = send(&sim, &unknown, &headers(&sim), &body).unwrap();
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "APIGW.0101")
    );
    let request = format!("PUT {}", path(&sim, "batch-modify-pwd"));
    let text = [
        ("Content-Type", "text/plain"),
        ("X-Auth-Token", sim.token()),
    ];
    assert_eq!(send(&sim, &request, &text, &body).unwrap().status, 415);
    assert!(!sim.knows(JOB, "source"));
}

#[test]
fn passwords_are_taken_over() {
    let sim = simulator();
    let seen = put(&sim, &[(JOB, "so", "first"), (JOB, "ta", "zweites ü")]);
    assert_eq!(seen.status, 200);
    assert_eq!(seen.json()["count"], 2);
    assert!(seen.results().iter().all(|line| line.2 == "success"));
    assert!(sim.holds(JOB, "source", "first"));
    assert!(sim.holds(JOB, "destination", "zweites ü"));
    assert!(!sim.holds(JOB, "source", "zweites ü"));
    assert!(!sim.knows(OTHER, "source"));
    let requests = sim.requests();
    assert_eq!(requests[0].answered(), Completion::Status(200));
    let entry = |endpoint: &str| (JOB.to_owned(), endpoint.to_owned());
    assert_eq!(
        requests[0].entries(),
        [entry("source"), entry("destination")]
    );
    assert_eq!(requests[0].header("x-auth-token"), Some(sim.token()));
    assert_eq!((sim.connections(), sim.max_in_flight()), (1, 1));
}

#[test]
fn bodies_are_kept_only_on_request_and_never_shown() {
    for record_bodies in [false, true] {
        let sim = Simulator::start(SimConfig {
            record_bodies,
            ..config()
        })
        .unwrap();
        put(&sim, &[(JOB, "so", "canary-word")]);
        let recorded = &sim.requests()[0];
        assert_eq!(recorded.body().is_some(), record_bodies);
        let shown = format!("{recorded:?}");
        assert!(shown.contains("x-auth-token"));
        assert!(!shown.contains("canary-word") && !shown.contains(sim.token()));
    }
}

#[test]
fn malformed_requests_change_nothing() {
    let sim = simulator();
    let good = json!({"job_id": JOB, "end_point_type": "so", "db_password": "first"});
    let with = |field: &str, value: Value| {
        let mut entry = good.clone();
        entry[field] = value;
        json!({"jobs": [good.clone(), entry]})
    };
    let cases = [
        (json!({}), "DRS.M00201"),
        (json!({"jobs": []}), "DRS.M00201"),
        (json!({"jobs": "x"}), "DRS.M00202"),
        (json!([1]), "DRS.M00201"),
        (with("job_id", json!("")), "DRS.M00201"),
        (with("db_password", json!(null)), "DRS.M00201"),
        (with("db_password", json!(7)), "DRS.M00202"),
        (with("end_point_type", json!("ls")), "DRS.M00202"),
        (with("kerberos", json!("x")), "DRS.M00202"),
        (with("extra", json!(1)), "DRS.M00301"),
    ];
    for (body, code) in cases {
        let seen = put_raw(&sim, &body);
        assert_eq!((seen.status, seen.code().as_str()), (400, code), "{body}");
    }
    assert!(!sim.knows(JOB, "source"));
    for kerberos in [json!(null), json!({}), json!({"domain_name": "EXAMPLE"})] {
        let mut entry = good.clone();
        entry["kerberos"] = kerberos;
        assert_eq!(put_raw(&sim, &json!({"jobs": [entry]})).status, 200);
    }
}

#[test]
fn bodies_over_twelve_megabytes_are_refused() {
    let sim = simulator();
    let password = "x".repeat(12 << 20);
    let seen = put(&sim, &[(JOB, "so", &password)]);
    assert_eq!((seen.status, seen.code().as_str()), (413, "APIGW.0201"));
    assert!(!sim.knows(JOB, "source"));
}

#[test]
fn each_entry_is_judged_by_its_job() {
    let mut config = config();
    let mut parent = JobSpec::new("parent");
    parent.dual_active_parent = true;
    let mut deleted = JobSpec::new("deleted");
    deleted.status = "DELETED".to_owned();
    config.jobs.extend([parent, deleted]);
    let sim = Simulator::start(config).unwrap();
    assert!(sim.set_status(OTHER, "WAITING_FOR_START"));
    let jobs = [JOB, OTHER, "parent", "deleted", "nobody"];
    let seen = put(&sim, &jobs.map(|job| (job, "so", "first")));
    assert_eq!(seen.status, 200);
    let codes: Vec<String> = seen.results().into_iter().map(|line| line.3).collect();
    assert_eq!(
        codes,
        ["", "DRS.M00304", "DRS.M00307", "DRS.M05004", "DRS.M00289"]
    );
    let missing = put(&sim, &[("deleted", "so", "a"), ("nobody", "ta", "b")]);
    assert_eq!((missing.status, missing.results().len()), (400, 2));
}

#[test]
fn status_pages_hold_five_unless_told_otherwise() {
    let jobs: Vec<JobSpec> = (0..12).map(|n| JobSpec::new(format!("job{n}"))).collect();
    let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
    let sim = Simulator::start(SimConfig {
        jobs,
        ..SimConfig::default()
    })
    .unwrap();
    let page = |page: Value| query(&sim, &json!({"jobs": ids, "page_req": page}));
    assert_eq!(query(&sim, &json!({"jobs": ids})).results().len(), 5);
    assert_eq!(page(json!({"cur_page": 3})).results().len(), 2);
    assert_eq!(page(json!({"per_page": 100})).results().len(), 12);
    let all = page(json!({"per_page": 0, "cur_page": 0}));
    assert_eq!(all.results().len(), 12);
    assert_eq!(all.results()[0].2, "INCRE_TRANSFER_STARTED");
    assert_eq!(page(json!({"per_page": 101})).code(), "DRS.M00210");
    assert_eq!(page(json!({"cur_page": 4})).code(), "DRS.M00211");
    assert_eq!(
        page(json!({"per_page": 0, "cur_page": 2})).code(),
        "DRS.M00211"
    );
    let gone = query(&sim, &json!({"jobs": ["nobody"]}));
    assert_eq!(
        (gone.status, gone.results()[0].3.as_str()),
        (400, "DRS.M00289")
    );
    assert_eq!(
        query(&sim, &json!({"jobs": ["a", "a"]})).code(),
        "DRS.M00301"
    );
}

#[test]
fn any_well_formed_job_may_be_accepted() {
    let sim = Simulator::start(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    })
    .unwrap();
    assert_eq!(query(&sim, &json!({"jobs": [JOB]})).status, 200);
    let seen = put(&sim, &[(OTHER, "so", "first"), ("job", "so", "first")]);
    assert_eq!(seen.results()[0].2, "success");
    assert_eq!(seen.results()[1].3, "DRS.M00289");
}

#[test]
fn wrong_password_fails_the_job_until_it_is_retried() {
    let mut spec = JobSpec::new(JOB);
    spec.source = Some(EndpointSpec {
        real_password: Some("old".to_owned()),
        ..EndpointSpec::default()
    });
    let sim = Simulator::start(SimConfig {
        jobs: vec![spec],
        failure_delay: Duration::ZERO,
        ..SimConfig::default()
    })
    .unwrap();
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_STARTED");
    assert!(sim.set_real_password(JOB, "source", "new"));
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_FAILED");
    put(&sim, &[(JOB, "so", "new")]);
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_FAILED");
    let retry = || {
        let request = format!("POST /sim/jobs/{JOB}/retry");
        assert_eq!(admin(&sim, &request, &json!(null)).status, 200);
    };
    retry();
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_STARTED");
    put(&sim, &[(JOB, "so", "wrong")]);
    while !sim.is_locked(JOB, "source") {
        retry();
    }
    put(&sim, &[(JOB, "so", "new")]);
    retry();
    assert_eq!(sim.status(JOB).unwrap(), "INCRE_TRANSFER_FAILED");
}

#[test]
fn admin_calls_need_their_own_token() {
    let sim = simulator();
    put(&sim, &[(JOB, "so", "canary-word")]);
    let request = "GET /sim/requests";
    assert_eq!(send(&sim, request, &headers(&sim), "").unwrap().status, 403);
    let outline = admin(&sim, request, &json!(null));
    assert_eq!(outline.json()["count"], 1);
    assert_eq!(outline.json()["requests"][0]["entries"][0]["job"], JOB);
    assert!(!String::from_utf8(outline.body).unwrap().contains("canary"));
    let asked = json!({"job": JOB, "endpoint": "source", "password": "canary-word"});
    let holds = admin(&sim, "POST /sim/holds", &asked);
    assert_eq!(holds.json()["holds"], true);
    let status = format!("POST /sim/jobs/{JOB}/status");
    assert_eq!(
        admin(&sim, &status, &json!({"status": "PAUSING"})).status,
        200
    );
    assert_eq!(sim.status(JOB).unwrap(), "PAUSING");
    let fault = json!({"kind": {"throttled": {"retry_after": 2}}});
    assert_eq!(admin(&sim, "POST /sim/faults", &fault).status, 200);
    let bad = json!({"kind": {"password": "canary"}});
    let bad = admin(&sim, "POST /sim/faults", &bad);
    assert_eq!(bad.status, 400);
    assert!(!String::from_utf8(bad.body).unwrap().contains("canary"));
    assert_eq!(put(&sim, &[(JOB, "so", "x")]).status, 429);
}

#[test]
fn one_call_removes_the_faults_of_all_queues() {
    let sim = simulator();
    let fault = || Fault::always(FaultKind::Throttled { retry_after: None });
    sim.inject(fault());
    sim.inject_login(fault());
    assert!(sim.inject_query(None, fault()));
    let statuses = || query(&sim, &json!({"jobs": [JOB]})).status;
    assert_eq!(
        (put(&sim, &[(JOB, "so", "x")]).status, statuses()),
        (429, 429)
    );
    let log_in = || {
        send(&sim, "POST /v3/auth/tokens", &[], "{}")
            .unwrap()
            .status
    };
    assert_eq!(log_in(), 429);
    assert_eq!(admin(&sim, "DELETE /sim/faults", &json!(null)).status, 200);
    assert_eq!(
        (put(&sim, &[(JOB, "so", "x")]).status, statuses()),
        (200, 200)
    );
    assert_ne!(log_in(), 429);
}

#[test]
fn scenarios_are_read() {
    let config = scenario::parse(include_str!("scenario.yaml")).unwrap();
    assert_eq!(config.jobs.len(), 2);
    assert_eq!(config.faults.len(), 5);
    assert_eq!(config.latency, Duration::from_millis(5));
    assert!(Simulator::start(config).is_ok());
}

#[test]
fn scenario_errors_name_the_place_and_quote_nothing() {
    let cases = [
        ("jobs:\n  - id: a\n    canary: b\n", 3),
        ("jobs:\n  - id: a\n    source: canary\n", 3),
        ("faults:\n  - kind: canary\n", 2),
    ];
    for (text, line) in cases {
        let error = scenario::parse(text).unwrap_err();
        assert!(error.starts_with(&format!("line {line}, ")), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let never = "faults:\n  - {on: {nth: 0}, kind: silent}\n";
    assert!(scenario::parse(never).is_err());
}
