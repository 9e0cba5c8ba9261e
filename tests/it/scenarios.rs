//! Every scenario of the repository, started as its users start it: drspass meets
//! the situation that the comment of the file promises.

mod rehearsal;

use std::fs;
use std::path::Path;
use std::process::Command;

use drspass::sim::{SimConfig, scenario};
use serde_json::{Value, json};

use crate::preflight::{id, sources};
use crate::support::leaks::found;
use crate::support::wait_until;
use rehearsal::Rehearsal;

const FIRST: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const SECOND: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";
const THIRD: &str = "35df459d-a37c-41b9-bc2b-8c00ba32jb53";

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios")
}

/// The scenario as the simulator reads it.
fn read(name: &str) -> SimConfig {
    scenario::parse(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// The login of the user that some scenarios have.
const USER: [(&str, &str); 3] = [
    ("OS_USERNAME", "rotation"),
    ("OS_PASSWORD", "rehearsal-password"),
    ("OS_USER_DOMAIN_NAME", "OTC00000000001000000001"),
];

#[test]
fn every_scenario_is_rehearsed_here() {
    let tests = include_str!("scenarios.rs");
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            tests.contains(&format!("Rehearsal::of(\"{name}\")")),
            "no test rehearses {name}"
        );
    }
}

#[test]
fn a_bad_day_throttles_loses_an_answer_and_shuffles_and_everything_arrives() {
    let mut rehearsal = Rehearsal::of("bad-day.yaml");
    rehearsal
        .lab
        .configure("apply: { batch_size: 2, parallelism: 1 }");
    let jobs = [1, 2, 3].map(id);
    let entries: Vec<_> = jobs
        .iter()
        .flat_map(|job| ["source", "destination"].map(|end| (job.as_str(), end, "canary-1")))
        .collect();
    rehearsal.lab.passwords(&entries);
    rehearsal.apply(&[]).exits(0).says("Result: 6 applied");
    assert_eq!(
        rehearsal.count("PUT batch-modify-pwd"),
        5,
        "two are repeated"
    );
    for (job, endpoint, password) in entries {
        assert!(rehearsal.holds(job, endpoint, password));
    }
}

#[test]
fn the_simulator_tells_nothing_of_what_a_request_carries() {
    let mut rehearsal = Rehearsal::of("one-refused.yaml");
    let entries = [
        (FIRST, "source", "canary-1"),
        (SECOND, "source", "canary-2"),
    ];
    rehearsal.lab.passwords(&entries);
    rehearsal.apply(&[]).exits(3).says("1 applied");
    assert!(rehearsal.count("PUT batch-modify-pwd") > 0);
    let told = rehearsal.told("1 applied, 1 refused\n");
    for secret in ["canary-1", "canary-2"] {
        assert_eq!(found(secret, told.as_bytes()), None, "{told}");
    }
}

#[test]
fn the_simulator_prints_one_line_a_request_without_what_it_carries() {
    let mut rehearsal = Rehearsal::of("one-refused.yaml");
    let entries = [
        (FIRST, "source", "canary-1"),
        (FIRST, "destination", "canary-1"),
        (SECOND, "source", "canary-2"),
    ];
    rehearsal.lab.passwords(&entries);
    rehearsal.apply(&["--no-preflight"]).exits(3);
    rehearsal.apply(&["--no-preflight"]).exits(0);
    rehearsal.ask_for_nothing();
    let project = read("one-refused.yaml").project_id;
    let told = rehearsal.told("nothing 404\n");
    let lines: Vec<&str> = told.lines().filter(|line| line.contains(" /v3/")).collect();
    let change = format!("PUT /v3/{project}/jobs/batch-modify-pwd 200");
    let expected = [
        format!("{change}: 2 applied, 1 refused"),
        format!("{change}: 1 applied, 0 refused"),
        "GET /v3/nothing 404".to_owned(),
    ];
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, expected) in lines.iter().zip(expected) {
        let (at, rest) = line.split_once(' ').unwrap();
        assert!(
            at.starts_with("20") && at.ends_with('Z') && at.len() == 20,
            "{at}"
        );
        assert_eq!(rest, expected);
    }
    for secret in ["canary", "rehearsal-token", "X-Sim-Admin"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn of_a_dual_active_pair_the_subtasks_take_passwords_and_the_parent_does_not() {
    let mut rehearsal = Rehearsal::of("dual-active.yaml");
    let parent = "15df459d-a37c-41b9-bc2b-8c00ba32jb60";
    let subtasks = [
        "25df459d-a37c-41b9-bc2b-8c00ba32jb61",
        "35df459d-a37c-41b9-bc2b-8c00ba32jb62",
    ];
    let all = [parent, subtasks[0], subtasks[1]];
    sources(&mut rehearsal.lab, &all, "canary-1");
    rehearsal
        .run(&["jobs"])
        .exits(0)
        .says("dual-active parent: its subtasks accept passwords, it does not")
        .says(&format!("subtask of {parent}"));
    rehearsal
        .apply(&["--retry-jobs"])
        .exits(3)
        .says("it is the parent of a dual-active pair")
        .says(&format!(
            "List its subtasks instead: {}, {}.",
            subtasks[0], subtasks[1]
        ));
    assert!(
        subtasks
            .iter()
            .all(|job| rehearsal.holds(job, "source", "canary-1"))
    );
    rehearsal
        .apply(&["--no-preflight"])
        .exits(1)
        .says("refused: DRS.M00307");
}

#[test]
fn every_way_to_log_in_is_taken_and_the_other_project_is_not() {
    let mut rehearsal = Rehearsal::of("every-login.yaml");
    let temporary = [
        ("OS_ACCESS_KEY", "REHEARSALACCESSKEY02"),
        ("OS_SECRET_KEY", "rehearsal-secret-key-of-a-temporary-kind"),
        ("OS_SECURITY_TOKEN", "rehearsal-security-token"),
    ];
    rehearsal.lab.plant(&["rehearsal-password"]);
    for (_, secret) in &temporary[1..] {
        rehearsal.lab.plant(&[secret]);
    }
    sources(&mut rehearsal.lab, &[FIRST], "canary-1");
    let factor = [
        ("OS_USER_ID", "b0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5"),
        ("OS_PASSWORD", "rehearsal-password-too"),
        ("OS_PASSCODE", "123456"),
    ];
    let permanent = [
        ("OS_ACCESS_KEY", "REHEARSALACCESSKEY01"),
        ("OS_SECRET_KEY", "rehearsal-secret-key-of-forty-characters"),
    ];
    rehearsal.run(&["whoami"]).exits(0);
    for (login, user) in [
        (&USER[..], "\"rotation\" of \"OTC"),
        (&factor, "\"rotation-mfa\" of \"OTC"),
        (&permanent, "the owner of the access key"),
        (&temporary, "the owner of the access key"),
    ] {
        rehearsal.run_as(&["whoami"], login).exits(0).says(user);
        rehearsal
            .run_as(&["jobs"], login)
            .exits(0)
            .says("1 job: 1 running; 1 of 2 endpoints managed.");
        let args = ["apply", "--auto-approve", "--resend", FIRST];
        rehearsal.run_as(&args, login).exits(0);
    }
    let other = [&USER[..], &[("OS_PROJECT_NAME", "eu-de_other")]].concat();
    rehearsal
        .run_as(&["jobs"], &other)
        .exits(1)
        .says("89abcdef012345670123456789abcdef");
    // The catalogue names the endpoint.
    fs::create_dir(rehearsal.lab.path("new")).unwrap();
    let project = read("every-login.yaml").project_id;
    let auth_url = format!("{}/v3", rehearsal.url());
    let args = [
        "-C",
        "new",
        "init",
        "-i",
        "own.txt",
        "--project-id",
        &project,
        "--auth-url",
        &auth_url,
    ];
    rehearsal.run(&args).exits(0);
    let config = rehearsal.lab.read("new/drspass.yaml");
    assert!(config.contains(rehearsal.url()), "{config}");
}

#[test]
fn failed_jobs_run_again_with_the_right_password_and_fail_again_with_a_wrong_one() {
    let mut rehearsal = Rehearsal::of("failed-jobs.yaml");
    rehearsal.lab.passwords(&[
        (FIRST, "source", "rehearsal-source"),
        (FIRST, "destination", "rehearsal-destination"),
        (SECOND, "source", "rehearsal-source"),
        (THIRD, "source", "canary-1"),
    ]);
    rehearsal
        .apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!(
            "job {FIRST} retried, runs again: INCRE_TRANSFER_STARTED"
        ))
        .says(&format!(
            "job {SECOND} retried, runs again: FULL_TRANSFER_STARTED"
        ))
        .says(&format!(
            "job {THIRD} retried, failed again: START_JOB_FAILED"
        ));
    assert_eq!(rehearsal.count("POST batch-retry-task"), 1);
    rehearsal.lab.passwords(&[
        (FIRST, "source", "rehearsal-source"),
        (FIRST, "destination", "rehearsal-destination"),
        (SECOND, "source", "rehearsal-source"),
        (THIRD, "source", "rehearsal-source"),
    ]);
    rehearsal
        .apply(&["--retry-jobs"])
        .exits(0)
        .says("1 applied");
}

#[test]
fn lost_answers_leave_doubt_that_a_second_run_ends() {
    let mut rehearsal = Rehearsal::of("lost-answers.yaml");
    rehearsal
        .lab
        .configure("apply: { batch_size: 1, parallelism: 1, request_timeout: 4s }");
    let jobs = [1, 2].map(id);
    sources(&mut rehearsal.lab, &jobs, "canary-1");
    let args = ["apply", "--auto-approve"];
    rehearsal
        .run_as(&args, &USER)
        .exits(1)
        .says("lost: the connection broke");
    assert_eq!(rehearsal.count("POST tokens"), 1, "a login is not repeated");
    rehearsal
        .run_as(&args, &USER)
        .exits(4)
        .says("0 applied, 0 refused, 0 skipped, 0 not sent, 2 unknown");
    assert_eq!(
        rehearsal.count("PUT batch-modify-pwd"),
        4,
        "each repeated once"
    );
    rehearsal.run_as(&["jobs"], &USER).exits(0).says("2 jobs: ");
    assert_eq!(rehearsal.count("POST batch-detail"), 2, "one was lost");
    rehearsal.run_as(&args, &USER).exits(0).says("2 applied");
    assert!(
        jobs.iter()
            .all(|job| rehearsal.holds(job, "source", "canary-1"))
    );
    // What was done counts, and not what could be answered.
    let told = rehearsal.told("200: 1 applied, 0 refused\n");
    for end in [
        "cut off: 1 applied, 0 refused\n",
        "batch-modify-pwd cut off\n",
    ] {
        assert!(told.contains(end), "{told}");
    }
}

#[test]
fn more_jobs_than_a_page_holds_are_all_listed_and_judged() {
    let mut rehearsal = Rehearsal::of("many-jobs.yaml");
    let specs = read("many-jobs.yaml").jobs;
    let ids: Vec<&str> = specs.iter().map(|job| job.id.as_str()).collect();
    sources(&mut rehearsal.lab, &ids, "canary-1");
    let mut run = rehearsal
        .run(&["jobs"])
        .exits(0)
        .says("21 of 42 endpoints managed.");
    for job in &specs {
        let kind = job
            .db_use_type
            .replace("cloudDataGuard", "disaster-recovery");
        run = run.says(&format!("\"{}\", {kind}", job.name));
    }
    rehearsal
        .apply(&[])
        .exits(3)
        .says("18 applied, 0 refused, 3 skipped, 0 not sent, 0 unknown; 21 in all.");
}

#[test]
fn the_refused_one_goes_through_with_the_next_apply() {
    let mut rehearsal = Rehearsal::of("one-refused.yaml");
    sources(&mut rehearsal.lab, &[FIRST, SECOND], "canary-1");
    rehearsal
        .apply(&[])
        .exits(3)
        .says("refused: DRS.M00304")
        .says("1 applied, 1 refused");
    rehearsal.apply(&[]).exits(0).says("1 applied");
    assert!(rehearsal.holds(SECOND, "source", "canary-1"));
}

#[test]
fn a_paused_job_takes_passwords_and_goes_on_when_it_is_resumed() {
    let mut rehearsal = Rehearsal::of("paused-job.yaml");
    sources(&mut rehearsal.lab, &[FIRST], "canary-1");
    rehearsal
        .apply(&["--retry-jobs"])
        .exits(0)
        .says("is paused; --resume-paused resumes it");
    rehearsal.run(&["jobs"]).exits(0).says("PAUSING");
    sources(&mut rehearsal.lab, &[FIRST], "rehearsal-source");
    rehearsal
        .apply(&["--retry-jobs", "--resume-paused"])
        .exits(0)
        .says("runs again: INCRE_TRANSFER_STARTED");
}

#[test]
fn a_poisoned_entry_alone_is_refused_and_all_others_arrive() {
    let mut rehearsal = Rehearsal::of("poisoned-entry.yaml");
    let jobs = [FIRST, SECOND, THIRD];
    let entries: Vec<_> = jobs
        .iter()
        .flat_map(|job| ["source", "destination"].map(|end| (*job, end, "canary-1")))
        .collect();
    rehearsal.lab.passwords(&entries);
    rehearsal
        .apply(&[])
        .exits(3)
        .says(&format!("! {SECOND}/source refused: DRS.M00202"))
        .says("5 applied, 1 refused");
    for (job, endpoint, password) in entries {
        let is_poisoned = (job, endpoint) == (SECOND, "source");
        assert_eq!(rehearsal.holds(job, endpoint, password), !is_poisoned);
    }
    rehearsal.apply(&[]).exits(1).says("0 applied, 1 refused");
}

/// The rehearsal after three sources were applied, one request after the other.
fn three_one_by_one(mut rehearsal: Rehearsal) -> Rehearsal {
    rehearsal
        .lab
        .configure("apply: { batch_size: 1, parallelism: 1 }");
    let jobs = [1, 2, 3].map(id);
    sources(&mut rehearsal.lab, &jobs, "canary-1");
    rehearsal
        .run_as(&["apply", "--auto-approve"], &USER)
        .exits(0)
        .says("Result: 3 applied");
    rehearsal
}

#[test]
fn a_throttled_service_is_asked_again_until_everything_arrives() {
    let rehearsal = three_one_by_one(Rehearsal::of("throttled.yaml"));
    assert_eq!(rehearsal.count("POST tokens"), 2);
    assert_eq!(rehearsal.count("POST jobs"), 4, "one list was throttled");
    assert_eq!(rehearsal.count("PUT batch-modify-pwd"), 5);
}

#[test]
fn a_token_that_expires_is_renewed_on_the_way() {
    let rehearsal = three_one_by_one(Rehearsal::of("token-expires.yaml"));
    // On a slow machine a token may end once more on the way to the service.
    assert!(rehearsal.count("PUT batch-modify-pwd") >= 4);
    assert!(rehearsal.count("POST tokens") >= 2);
    // A token that was fetched elsewhere cannot be renewed, but does not expire here.
    rehearsal.run(&["whoami"]).exits(0);
}

#[test]
fn states_that_no_page_names_are_held_back_or_judged_by_the_service() {
    let mut rehearsal = Rehearsal::of("unknown-state.yaml");
    sources(&mut rehearsal.lab, &[FIRST, THIRD, SECOND], "canary-1");
    rehearsal
        .apply(&[])
        .exits(1)
        .says("the job's state \"QUANTUM_TRANSFER_STARTED\" is unknown")
        .says("the job is WAITING_FOR_START and does not accept a password")
        .says("the service returned no state of ")
        .says("0 applied, 1 refused, 2 skipped");
    rehearsal
        .apply(&["--try-unknown-state", "--only", FIRST])
        .exits(1)
        .says("refused: DRS.M00304");
}

#[test]
fn a_password_of_an_account_is_changed_in_its_database_for_all_its_endpoints() {
    let rehearsal = Rehearsal::of("production.yaml");
    let host = |host: &str, user: &str| {
        let account = json!({"host": host, "user": user, "password": "canary-2"});
        rehearsal.ask("POST", "/sim/real-password", &account)
    };
    assert_eq!(host("192.0.2.40", "warehouse")["endpoints"], 12);
    assert_eq!(host("192.0.2.30", "drs")["endpoints"], 3);
    assert!(host("192.0.2.30", "other")["error"].is_string());
    wait_until("the jobs to fail", || {
        let all = rehearsal.ask("GET", "/sim/jobs", &Value::Null);
        let jobs = all["jobs"].as_array().unwrap();
        jobs.len() == 12
            && jobs
                .iter()
                .all(|job| job["status"] == "INCRE_TRANSFER_FAILED")
    });
}

#[test]
fn the_call_that_a_simulator_shows_works_with_its_scenario() {
    for scenario in ["one-refused.yaml", "production.yaml"] {
        let rehearsal = Rehearsal::of(scenario);
        let shown = rehearsal.shown();
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        let mut shell = Command::new("sh");
        shell.args(["-c", shown]).env_clear();
        let pasted = shell.env("PATH", "/usr/bin:/bin").output().unwrap();
        assert_eq!(pasted.stdout, b"{}\n", "{scenario}: {shown}");
    }
}

#[test]
fn faults_of_a_scenario_and_later_ones_are_removed_by_one_call() {
    let mut rehearsal = Rehearsal::of("one-refused.yaml");
    let entries = [
        (FIRST, "source", "canary-1"),
        (SECOND, "source", "canary-2"),
    ];
    rehearsal.lab.passwords(&entries);
    let more = json!({"on": "always", "kind": "busy"});
    let unknown =
        json!({"on": {"entry": {"job": "72904e81-none", "endpoint": "source"}}, "kind": "busy"});
    for (body, why) in [
        (unknown, "no such job"),
        (
            json!({"on": "canary-value"}),
            "the body does not fit the call: line 1, column 7: unknown word; known here: next, nth",
        ),
        (
            json!({"kind": "busy", "canary-value": 1}),
            "unknown field; known here: on, kind, times, call",
        ),
        (json!({"times": 1}), "the field kind is missing"),
    ] {
        let answer = rehearsal.ask("POST", "/sim/faults", &body).to_string();
        assert!(answer.contains(why), "{answer}");
        assert!(!answer.contains("canary"), "{answer}");
    }
    for (method, body) in [("POST", &more), ("DELETE", &Value::Null)] {
        let answer = rehearsal.ask(method, "/sim/faults", body);
        assert_eq!(answer, json!({}), "{method}");
    }
    rehearsal.apply(&[]).exits(0).says("Result: 2 applied");
}

#[test]
fn staging_has_another_project_with_some_of_the_jobs() {
    let rehearsal = Rehearsal::of("staging.yaml");
    let run = rehearsal.run(&["jobs"]).exits(0);
    assert_eq!(run.stdout.matches("INCRE_TRANSFER_STARTED").count(), 4);
    assert_ne!(
        read("staging.yaml").project_id,
        read("production.yaml").project_id
    );
}
