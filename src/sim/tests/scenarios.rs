//! Scenario files: what can be written in them, and the samples.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::{FaultKind, scenario};
use super::*;

#[test]
fn each_sample_says_what_it_shows_and_starts_a_simulator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.display();
        assert!(text.starts_with("# "), "{shown} opens without a comment");
        let config = scenario::parse(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
        // Where neither a fixed token nor a user is given, nobody gets in.
        assert!(
            config.token.is_some() || !config.users.is_empty(),
            "{shown}"
        );
        Simulator::start(config).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        names.insert(name.trim_end_matches(".yaml").to_owned());
    }
    let expected = [
        "bad-day",
        "dual-active",
        "every-login",
        "failed-jobs",
        "lost-answers",
        "many-jobs",
        "one-refused",
        "paused-job",
        "poisoned-entry",
        "production",
        "staging",
        "throttled",
        "token-expires",
        "unknown-state",
    ];
    assert_eq!(names, expected.map(ToOwned::to_owned).into());
}

/// The sample of this name, as it starts.
fn sample(name: &str) -> Simulator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
    let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
    Simulator::start(scenario::parse(&text).unwrap()).unwrap()
}

#[test]
fn the_sample_of_many_jobs_exceeds_every_usual_page() {
    let sim = sample("many-jobs");
    for (use_type, total) in [("sync", 13), ("migration", 6), ("cloudDataGuard", 2)] {
        let request = format!("POST /v3/{}/jobs", sim.project_id());
        let body = json!({"db_use_type": use_type, "engine_type": ""}).to_string();
        let seen = send(&sim, &request, &headers(&sim), &body).unwrap();
        assert_eq!(seen.json()["total_record"], total, "{use_type}");
    }
}

#[test]
fn the_sample_of_a_poisoned_entry_refuses_what_is_sent_beside_it() {
    let sim = sample("poisoned-entry");
    for _ in 0..3 {
        let seen = put(&sim, &[(JOB, "so", "first"), (OTHER, "so", "second")]);
        assert_eq!((seen.status, seen.code().as_str()), (400, "DRS.M00202"));
    }
    assert_eq!(put(&sim, &[(OTHER, "so", "second")]).status, 200);
}

#[test]
fn the_samples_of_jobs_keep_to_their_comments() {
    let sim = sample("dual-active");
    let parent = "15df459d-a37c-41b9-bc2b-8c00ba32jb60";
    let forward = "25df459d-a37c-41b9-bc2b-8c00ba32jb61";
    let seen = put(&sim, &[(parent, "so", "first"), (forward, "so", "first")]);
    let codes: Vec<String> = seen.results().into_iter().map(|line| line.3).collect();
    assert_eq!(codes, ["DRS.M00307", ""]);
    let sim = sample("unknown-state");
    let third = "35df459d-a37c-41b9-bc2b-8c00ba32jb53";
    let seen = put(&sim, &[JOB, OTHER, third].map(|job| (job, "so", "first")));
    assert!(seen.results().iter().all(|line| line.3 == "DRS.M00304"));
    let sim = sample("paused-job");
    assert_eq!(
        put(&sim, &[(OTHER, "so", "first")]).results()[0].2,
        "success"
    );
    assert_eq!(sim.status(OTHER).unwrap(), "PAUSING");
}

#[test]
fn everything_that_can_be_set_can_be_written() {
    let text = json!({
        "project_id": "p", "project_name": "eu-nl", "token": "t", "token_life_millis": 5,
        "other_projects": [{"id": "q", "name": "eu-nl_q"}],
        "users": [{"name": "u", "id": "i", "password": "canary-p", "domain": "d",
                   "domain_id": "e", "passcode": "1"}],
        "access_keys": [{"access": "a", "secret": "canary-s", "security_token": "canary-t",
                         "user": "u"}],
        "catalog": {"drs_endpoint": "self", "region": "*", "project_suffix": true},
        "clock_offset_seconds": -5, "job_actions": true,
        "login_faults": [{"kind": "silent"}],
        "query_faults": [{"call": "retry", "kind": {"slow": {"millis": 1}}}],
        "jobs": [{"id": "j", "engine_type": "mongodb", "net_type": "vpn", "multi_write": true,
                  "unavailable_actions": ["RETRY"],
                  "source": {"db_type": "mongodb", "ip": "h", "port": 1, "user": "u",
                             "inst_id": "n", "detail_password": "canary-d"}}],
    });
    let config = scenario::parse(&text.to_string()).unwrap();
    assert_eq!(config.project_name, "eu-nl");
    assert_eq!(config.token_life, Duration::from_millis(5));
    assert_eq!(
        (
            config.catalog.region.as_str(),
            config.catalog.project_suffix
        ),
        ("*", true)
    );
    assert_eq!(
        (config.clock_offset_seconds, config.job_actions),
        (-5, true)
    );
    assert_eq!(config.users[0].passcode.as_deref(), Some("1"));
    assert_eq!(
        config.access_keys[0].security_token.as_deref(),
        Some("canary-t")
    );
    assert!(matches!(
        config.query_faults[0].kind,
        FaultKind::Slow { .. }
    ));
    assert!(config.jobs[0].multi_write && config.jobs[0].net_type == "vpn");
    let shown = format!("{config:?}");
    assert!(shown.contains("eu-nl_q"));
    assert!(!shown.contains("canary"), "{shown}");
    for unknown in [
        json!({"users": [{"canary": 1}]}),
        json!({"access_keys": [{"access": "canary"}]}),
        json!({"catalog": {"canary": 1}}),
    ] {
        let error = scenario::parse(&unknown.to_string()).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
