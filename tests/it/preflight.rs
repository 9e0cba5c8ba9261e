//! What is held back because of the state of a job, and said.

mod many;
mod queries;
mod words;

use std::fmt::Write as _;

use drspass::sim::{CannedAnswer, EndpointSpec, Fault, FaultKind, JobSpec, SimConfig};
use serde_json::json;

use crate::outputs::{about, document, messages};
use crate::support::{J1, J2, J3, J9, Lab};

/// Every state that is known, in every spelling, and whether it takes a password
/// (OTC api-ref, "Changing the Passwords of the Sources and Destinations").
const STATES: [(&str, bool); 31] = [
    ("STARTJOBING", true),
    ("START_JOB_FAILED", true),
    ("STARTJOB_FAILED", true),
    ("FULL_TRANSFER_STARTED", true),
    ("FULL_TRANSFER_FAILED", true),
    ("FULL_TRANSFER_COMPLETE", true),
    ("INCRE_TRANSFER_STARTED", true),
    ("INCRE_TRANSFER_FAILED", true),
    ("PAUSING", true),
    ("PAUSEING", true),
    ("CREATING", false),
    ("CREATE_FAILED", false),
    ("CONFIGURATION", false),
    ("WAITING_FOR_START", false),
    ("CHANGE_JOB_STARTED", false),
    ("CHANGE_JOB_FAILED", false),
    ("CHILD_TRANSFER_STARTING", false),
    ("CHILD_TRANSFER_STARTED", false),
    ("CHILD_TRANSFER_COMPLETE", false),
    ("CHILD_TRANSFER_FAILED", false),
    ("RELEASE_CHILD_TRANSFER_STARTED", false),
    ("RELEASE_CHILD_TRANSFER_COMPLETE", false),
    ("RELEASE_RESOURCE_STARTED", false),
    ("RELEASE_RESOURCE_FAILED", false),
    ("RELEASE_RESOURCE_COMPLETE", false),
    ("REBUILD_NODE_STARTED", false),
    ("REBUILD_NODE_FAILED", false),
    ("NODE_UPGRADE_START", false),
    ("NODE_UPGRADE_COMPLETE", false),
    ("NODE_UPGRADE_FAILED", false),
    ("DELETED", false),
];

/// An id of the usual shape for each number.
pub(crate) fn id(number: usize) -> String {
    format!("{number:08}-a37c-41b9-bc2b-8c00ba32jb51")
}

/// A database whose details hold a password that must not come out anywhere.
pub(crate) fn trapped() -> Option<EndpointSpec> {
    Some(EndpointSpec {
        db_type: Some("mysql".to_owned()),
        ip: Some("192.0.2.10".to_owned()),
        port: Some(3306),
        user: Some("drs".to_owned()),
        detail_password: Some("canary-in-the-details".to_owned()),
        ..EndpointSpec::default()
    })
}

pub(crate) fn job(id: impl Into<String>, status: &str) -> JobSpec {
    JobSpec {
        status: status.to_owned(),
        source: trapped(),
        destination: trapped(),
        ..JobSpec::new(id)
    }
}

/// A root folder whose project holds these jobs.
pub(crate) fn lab_of(jobs: Vec<JobSpec>) -> Lab {
    lab_with(SimConfig {
        jobs,
        ..SimConfig::default()
    })
}

pub(crate) fn lab_with(config: SimConfig) -> Lab {
    let mut lab = Lab::with_config(config);
    lab.plant(&["canary-in-the-details"]);
    lab
}

/// A manifest that sets the source of each of these jobs to one password.
pub(crate) fn sources<S: AsRef<str>>(lab: &mut Lab, jobs: &[S], password: &str) {
    let mut text = String::new();
    for job in jobs {
        let job = job.as_ref();
        let _ = writeln!(text, "  {job}: {{ source: {{ password: '{password}' }} }}");
    }
    lab.plant(&[password]);
    lab.manifest(&text).exits(0);
}

/// How many requests to a call there were; the list is `jobs`.
pub(crate) fn asked(lab: &Lab, call: &str) -> usize {
    let requests = lab.sim.requests();
    let end = format!("/{call}");
    requests.iter().filter(|r| r.path().ends_with(&end)).count()
}

/// From now on the list is this, whatever is asked of it.
pub(crate) fn list_is(lab: &Lab, body: &serde_json::Value) {
    let answer = CannedAnswer {
        http: 200,
        body: Some(body.to_string()),
        ..CannedAnswer::default()
    };
    let fault = Fault::always(FaultKind::Status(answer));
    assert!(lab.sim.inject_query(Some("list"), fault));
}

/// From now on the list, which tells most of it, cannot be had.
pub(crate) fn without_list(lab: &Lab) {
    let answer = CannedAnswer {
        http: 404,
        code: "APIGW.0101".to_owned(),
        ..CannedAnswer::default()
    };
    let fault = Fault::always(FaultKind::Status(answer));
    assert!(lab.sim.inject_query(Some("list"), fault));
}

#[test]
fn every_state_is_sent_or_left_out_as_the_table_says() {
    // By the list, by the list with actions, and by the status query alone.
    for way in 0..3 {
        let jobs = STATES.iter().enumerate();
        let jobs = jobs.map(|(n, (state, _))| job(id(n), state)).collect();
        let mut lab = lab_with(SimConfig {
            jobs,
            job_actions: way == 1,
            ..SimConfig::default()
        });
        if way == 2 {
            without_list(&lab);
        }
        let ids: Vec<String> = (0..STATES.len()).map(id).collect();
        sources(&mut lab, &ids, "canary-1");
        let mut run = lab
            .apply(&[])
            .exits(3)
            .says("Result: 10 applied, 0 refused, 21 skipped, 0 not sent, 0 unknown; 31 in all.");
        assert!(!run.stderr.contains("could not read"), "{}", run.stderr);
        let mut sent: Vec<String> = Vec::new();
        for (n, (state, is_taken)) in STATES.iter().enumerate() {
            let job = id(n);
            assert_eq!(lab.sim.holds(&job, "source", "canary-1"), *is_taken);
            let entry = lab.entry(&job, "source");
            if *is_taken {
                sent.push(job);
                assert!(entry["applied"].is_object(), "{state}: {entry}");
                continue;
            }
            assert!(entry.is_null(), "{state}: {entry}");
            run = run.says(&match (*state, way) {
                ("DELETED", 2) => {
                    format!("x {job}/source skipped: the job does not exist (DELETED)")
                }
                _ => format!(
                    "x {job}/source skipped: the job is {state} and does not accept a password"
                ),
            });
        }
        let mut taken = lab.sent().concat();
        taken.sort();
        let sent: Vec<_> = sent.into_iter().map(|j| (j, "source".to_owned())).collect();
        assert_eq!(taken, sent);
        // What was left out stands as before, and is left out again: nothing is sent.
        let plan = lab.plan();
        assert!(plan.contains("\n21 to set, 0 to change"), "{plan}");
        let state = lab.read("drspass.state.json");
        let puts = lab.sent().len();
        lab.apply(&[])
            .exits(1)
            .says("Result: 0 applied, 0 refused, 21 skipped, 0 not sent, 0 unknown; 21 in all.");
        assert_eq!(lab.sent().len(), puts);
        assert_eq!(lab.read("drspass.state.json"), state);
    }
}

#[test]
fn a_first_apply_with_everything_blocked_leaves_no_state_behind() {
    let mut lab = lab_of(vec![job(J1, "CONFIGURATION")]);
    sources(&mut lab, &[J1], "canary-1");
    lab.apply(&[])
        .exits(1)
        .says("the job is CONFIGURATION")
        .says("Set this password in the console, or start the job and apply again.");
    assert!(lab.sent().is_empty());
    assert!(!lab.exists("drspass.state.json"));
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.run(&["lock", "show"]).exits(0).says("free");
}

#[test]
fn a_job_that_is_not_there_is_blocked_and_the_others_are_applied() {
    let mut lab = lab_of(vec![job(J1, "PAUSING")]);
    sources(&mut lab, &[J1, J9], "canary-1");
    lab.apply(&[])
        .exits(3)
        .says(&format!(
            "x {J9}/source skipped: the job does not exist (DRS.M00289)"
        ))
        .says("Check the job's id, the project and the region.")
        .says("1 applied, 0 refused, 1 skipped");
    assert!(lab.entry(J9, "source").is_null());
    // Alone, its answer comes with HTTP 400.
    lab.apply(&["--only", J9]).exits(1).says("DRS.M00289");
    // Other words for the same.
    for code in ["DRS.M05004", "DRS.M05003", "DRS-M05004"] {
        let answer = CannedAnswer {
            http: 400,
            body: Some(json!({"results": [{"id": J9, "error_code": code}]}).to_string()),
            ..CannedAnswer::default()
        };
        let fault = Fault::next(FaultKind::Status(answer));
        assert!(lab.sim.inject_query(Some("status"), fault));
        lab.apply(&["--only", J9]).exits(1).says(&format!(
            "the job does not exist ({})",
            code.replace("DRS-", "DRS.")
        ));
    }
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn no_page_cuts_off_a_blocked_job() {
    for (number, way) in [(6, 0), (6, 1), (11, 0), (11, 1), (121, 0), (121, 1)] {
        let edges = [0, 4, 5, 9, 10, 99, 100, 120];
        let is_blocked = |n: usize| edges.contains(&n) || n + 1 == number;
        let jobs = (0..number).map(|n| match is_blocked(n) {
            true => job(id(n), "CREATING"),
            false => job(id(n), "INCRE_TRANSFER_STARTED"),
        });
        let mut lab = lab_of(jobs.collect());
        if way == 1 {
            without_list(&lab);
        }
        let ids: Vec<String> = (0..number).map(id).collect();
        sources(&mut lab, &ids, "canary-1");
        let blocked = (0..number).filter(|n| is_blocked(*n)).count();
        let applied = number - blocked;
        let mut run = lab.apply(&[]).exits(3).says(&format!(
            "Result: {applied} applied, 0 refused, {blocked} skipped, 0 not sent"
        ));
        for n in (0..number).filter(|n| is_blocked(*n)) {
            run = run.says(&format!("{}/source skipped: the job is CREATING", id(n)));
        }
        assert!(!run.all().contains("no state of"), "{}", run.all());
        assert_eq!(lab.sent().concat().len(), applied);
    }
}

#[test]
fn the_parent_of_a_dual_active_pair_is_blocked_and_its_subtask_is_sent() {
    for job_actions in [false, true] {
        let recovery = |job: JobSpec| JobSpec {
            db_use_type: "cloudDataGuard".to_owned(),
            multi_write: true,
            ..job
        };
        let child = |id| JobSpec {
            parent: Some(J1.to_owned()),
            ..recovery(job(id, "INCRE_TRANSFER_STARTED"))
        };
        let parent = JobSpec {
            dual_active_parent: true,
            ..recovery(job(J1, "INCRE_TRANSFER_STARTED"))
        };
        let mut lab = lab_with(SimConfig {
            jobs: vec![parent, child(J2), child(J3)],
            job_actions,
            ..SimConfig::default()
        });
        sources(&mut lab, &[J1, J2], "canary-1");
        lab.apply(&[])
            .exits(3)
            .says(&format!(
                "x {J1}/source skipped: it is the parent of a dual-active pair"
            ))
            .says(&format!("List its subtasks instead: {J2}, {J3}."));
        assert_eq!(lab.sent(), [[(J2.to_owned(), "source".to_owned())]]);
        lab.apply(&["--only", J1, "--try-unknown-state"]).exits(1);
        assert_eq!(lab.sent().len(), 1);
    }
}

#[test]
fn the_actions_that_the_service_offers_beat_the_table_both_ways() {
    let withheld = JobSpec {
        unavailable_actions: vec!["RESET_DB_PWD".to_owned()],
        ..job(J1, "INCRE_TRANSFER_STARTED")
    };
    let mut lab = lab_with(SimConfig {
        jobs: vec![withheld, job(J2, "INCRE_TRANSFER_STARTED")],
        job_actions: true,
        ..SimConfig::default()
    });
    sources(&mut lab, &[J1, J2], "canary-1");
    lab.apply(&[]).exits(3).says(&format!(
        "x {J1}/source skipped: the service does not accept a password for this job, which is \
         INCRE_TRANSFER_STARTED"
    ));
    assert_eq!(lab.sent(), [[(J2.to_owned(), "source".to_owned())]]);

    let mut lab = lab_of(vec![job(J1, "PAUSING"), job(J2, "PAUSING")]);
    let row = |id, status| {
        json!({
            "id": id, "status": status,
            "job_action": { "available_actions": ["RESET_DB_PWD"], "unavailable_actions": [] },
        })
    };
    list_is(
        &lab,
        &json!({"total_record": 2, "jobs": [row(J1, "WAITING_FOR_START"), row(J2, "RESHARDING")]}),
    );
    sources(&mut lab, &[J1, J2], "canary-1");
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn stopping_when_something_is_blocked_sends_nothing_at_all() {
    let mut lab = lab_of([J1, J2, J3].map(|id| job(id, "PAUSING")).to_vec());
    sources(&mut lab, &[J1, J2, J3], "canary-1");
    lab.apply(&["--only", J1, J3]).exits(0);
    lab.passwords(&[
        (J1, "source", "canary-2"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-1"),
    ]);
    lab.sim.set_status(J2, "CHANGE_JOB_STARTED");
    let state = lab.read("drspass.state.json");
    for more in [&[][..], &["--retry-jobs", "--resume-paused"]] {
        lab.apply(&[&["--stop-if-blocked"], more].concat())
            .exits(1)
            .says("not sent: other entries would be skipped (--stop-if-blocked)")
            .says("0 applied, 0 refused, 1 skipped, 1 not sent");
        assert_eq!(lab.read("drspass.state.json"), state);
    }
    assert_eq!(lab.sent().len(), 1);
    assert_eq!(asked(&lab, "batch-retry-task"), 0);
    assert!(!lab.exists("drspass.state.json.journal"));
    // With nothing blocked, it is an apply like any other.
    lab.sim.set_status(J2, "PAUSING");
    lab.apply(&["--stop-if-blocked"]).exits(0);
}

#[test]
fn a_blocked_entry_is_told_to_machines_with_why_and_advice() {
    let mut lab = lab_of(vec![
        job(J1, "PAUSING"),
        job(J2, "CREATING"),
        job(J3, "RESHARDING"),
    ]);
    sources(&mut lab, &[J1, J2, J3, J9], "canary-1");
    let run = lab.apply(&["--json"]).exits(3);
    let messages = messages(&run);
    for (job, code) in [
        (J2, "job_state"),
        (J3, "unknown_state"),
        (J9, "no_such_job"),
    ] {
        let entry = about(&messages, &format!("{job}/source"));
        assert_eq!(entry["outcome"], "blocked");
        assert_eq!(entry["code"], code);
        assert!(entry["why"].is_string() && entry["advice"].is_string());
    }
    assert_eq!(messages.last().unwrap()["blocked"], 3);

    let plan = document(
        &lab.run(&["plan", "--preflight", "--json"]).exits(0),
        "plan-output",
    );
    let codes = plan["entries"].as_array().unwrap().iter();
    let codes: Vec<_> = codes.map(|entry| &entry["blocked"]["code"]).collect();
    assert_eq!(codes, ["job_state", "unknown_state", "no_such_job"]);
}
