//! The schema of scenario files, against the simulator that reads them.

use std::fs;

use drspass::sim::scenario;

use super::{assert_closed, assert_fits, json, read, root, schema};

#[test]
fn every_scenario_of_the_repository_fits() {
    let schema = schema("scenario");
    let mut count = 0;
    for entry in fs::read_dir(root().join("examples/scenarios")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let document = json(&read(&format!("examples/scenarios/{name}")));
        assert_fits(&schema, &document);
        assert_closed(&schema, &document);
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

/// Kinds of faults that any request may meet, and such as only password changes do.
const KINDS: [&[&str]; 2] = [
    &[
        "busy",
        "silent",
        "close_before",
        "close_after",
        "truncated",
        "gzip",
        "not_json",
        "{ status: { http: 503 } }",
        "{ status: { http: 503, code: A, message: m, headers: { X-A: b }, body: c, content_type: d } }",
        "{ throttled: {} }",
        "{ throttled: { retry_after: 3 } }",
        "{ token_expired: {} }",
        "{ token_expired: { http: 403, code: A } }",
        "{ slow: { millis: 5 } }",
        "{ huge: { bytes: 5 } }",
        "{ html: { http: 502, act_first: true } }",
    ],
    &[
        "shuffled",
        "wrong_count",
        "{ reject_entry: { job: a, endpoint: source, code: A, message: m, message_key: error_message } }",
        "{ poison_entry: { job: a, endpoint: destination } }",
        "{ too_many: { most: 3 } }",
        "{ hold: { act_first: true } }",
        "{ drop_results: {} }",
        "{ drop_results: { job: a } }",
        "{ double_results: { conflicting: true, which: { endpoint: source } } }",
        "{ foreign_results: { id: a } }",
        "{ add_foreign: { id: a } }",
        "{ odd_status: { status: half } }",
        "{ results_in_400: {} }",
        "{ results_in_202: { code: A } }",
        "{ success_with_code: {} }",
        "{ echo_password: { form: base64 } }",
        "{ error_code_is_password: {} }",
        "{ request_id_is_password: { job: a, endpoint: source } }",
    ],
];

#[test]
fn the_schema_takes_every_fault_where_the_simulator_does() {
    let schema = schema("scenario");
    for (queue, others) in [
        ("faults", true),
        ("login_faults", false),
        ("query_faults", false),
    ] {
        for (kinds, taken) in KINDS.into_iter().zip([true, others]) {
            for kind in kinds {
                let text = format!("{queue}:\n  - kind: {kind}\n");
                assert_eq!(scenario::parse(&text).is_ok(), taken, "{text}");
                assert_eq!(schema.is_valid(&json(&text)), taken, "{text}");
                if taken {
                    assert_closed(&schema, &json(&text));
                }
            }
        }
    }
}

#[test]
fn the_schema_of_scenarios_agrees_with_the_simulator() {
    let schema = schema("scenario");
    let mut taken = 0;
    for text in [
        "token: a",
        "token: [a]",
        "Token: a",
        "password: a",
        "port: 18080",
        "accept_any_job: true",
        "accept_any_job: 1",
        "latency_millis: 50",
        "latency_millis: -1",
        "latency_millis: 1.5",
        "latency_millis: soon",
        "token_life_millis: 0",
        "clock_offset_seconds: -5",
        "clock_offset_seconds: {}",
        "other_projects: [{ id: a, name: b }]",
        "other_projects: [{ id: a }]",
        "users: [{ name: a, id: b, password: c, domain: d, domain_id: e }]",
        "users: [{ name: a, id: b, password: c, domain: d, domain_id: e, passcode: '123456' }]",
        "users: [{ name: a, id: b, domain: d, domain_id: e }]",
        "access_keys: [{ access: a, secret: b, security_token: c, user: d }]",
        "access_keys: [{ access: a }]",
        "catalog: { drs_endpoint: self, region: '*', project_suffix: true }",
        "catalog: { endpoint: self }",
        "jobs: [{ id: a }]",
        "jobs: [{ name: a }]",
        "jobs: [{ id: a, state: b }]",
        "jobs: [a]",
        "jobs: { a: {} }",
        "jobs: [{ id: a, status: '', source: { real_password: x, port: 3306 }, destination: {} }]",
        "jobs: [{ id: a, source: { port: 65536 } }]",
        "jobs: [{ id: a, source: { password: x } }]",
        "jobs: [{ id: a, unavailable_actions: [retry] }]",
        "jobs: [{ id: a, dual_active_parent: maybe }]",
        "faults: [{ on: next }]",
        "faults: [busy]",
        "faults: [{ kind: bussy }]",
        "faults: [{ kind: busy, times: 2 }]",
        "faults: [{ kind: busy, times: 0 }]",
        "faults: [{ kind: busy, times: 4294967296 }]",
        "faults: [{ kind: busy, call: list }]",
        "faults: [{ kind: busy, on: always }]",
        "faults: [{ kind: busy, on: often }]",
        "faults: [{ kind: busy, on: { nth: 3 } }]",
        "faults: [{ kind: busy, on: { nth: 0 } }]",
        "faults: [{ kind: busy, on: { every: 0 } }]",
        "faults: [{ kind: busy, on: { every: 2, nth: 3 } }]",
        "faults: [{ kind: busy, on: {} }]",
        "faults: [{ kind: busy, on: { entry: { job: a, endpoint: source } } }]",
        "faults: [{ kind: busy, on: { entry: { job: a, endpoint: so } } }]",
        "faults: [{ kind: {} }]",
        "faults: [{ kind: { busy: {}, silent: {} } }]",
        "faults: [{ kind: { slow: {} } }]",
        "faults: [{ kind: { status: { http: 199 } } }]",
        "faults: [{ kind: { status: { http: 600 } } }]",
        "faults: [{ kind: { status: { http: 500, headers: { 'a b': c } } } }]",
        "faults: [{ kind: { status: { http: 500, headers: { a: \"b\\nc\" } } } }]",
        "faults: [{ kind: { status: { http: 500, content_type: \"b\\nc\" } } }]",
        "faults: [{ kind: { html: { http: 99 } } }]",
        "faults: [{ kind: { token_expired: { http: 0 } } }]",
        "faults: [{ kind: { throttled: { retry_after: -1 } } }]",
        "faults: [{ kind: { reject_entry: { job: a, endpoint: source } } }]",
        "faults: [{ kind: { echo_password: { form: rot13 } } }]",
        "login_faults: [{ kind: busy, on: { entry: { job: a, endpoint: source } } }]",
        "login_faults: [{ kind: busy, call: list }]",
        "query_faults: [{ kind: busy, call: list }]",
        "query_faults: [{ kind: busy, call: login }]",
        "[]",
        "{}",
    ] {
        let expected = scenario::parse(text).is_ok();
        assert_eq!(schema.is_valid(&json(text)), expected, "{text}");
        taken += usize::from(expected);
    }
    assert!((15..30).contains(&taken), "{taken} were taken");
}
