//! `apply --retry-jobs`: jobs that failed because of a wrong password are retried
//! once it is right, and nothing else is touched.

mod repeated;
mod shared;
mod trouble;

use std::time::Duration;

use drspass::sim::{EndPointType, EndpointSpec, Fault, FaultKind, JobSpec, SimConfig, Which};
use serde_json::{Value, json};

use crate::looped::refuse;
use crate::outputs::messages;
use crate::preflight::{asked, id, lab_with};
use crate::support::{J1, J2, J3, Lab};

/// A job whose databases were given new passwords that DRS does not know. The sources of all
/// such jobs are one account.
fn failed(id: &str, status: &str) -> JobSpec {
    let database = EndpointSpec {
        real_password: Some("canary-old".to_owned()),
        detail_password: Some("canary-in-the-details".to_owned()),
        ..EndpointSpec::default()
    };
    JobSpec {
        status: status.to_owned(),
        source: Some(EndpointSpec {
            ip: Some("192.0.2.10".to_owned()),
            user: Some("drs".to_owned()),
            ..database.clone()
        }),
        destination: Some(database),
        ..JobSpec::new(id)
    }
}

/// Such jobs, the passwords of their sources changed at the database and in the
/// manifest.
pub(crate) fn lab_of(jobs: &[(&str, &str)], delay: Duration) -> Lab {
    let mut lab = lab_with(SimConfig {
        jobs: jobs.iter().map(|(id, status)| failed(id, status)).collect(),
        failure_delay: delay,
        ..SimConfig::default()
    });
    lab.plant(&["canary-old"]);
    let entries: Vec<_> = jobs
        .iter()
        .map(|(id, _)| (*id, "source", "canary-new"))
        .collect();
    for (job, _) in jobs {
        assert!(lab.sim.set_real_password(job, "source", "canary-new"));
    }
    lab.passwords(&entries);
    lab
}

/// A retry is decided about soon; it does not matter whether it was looked at before.
const SOON: Duration = Duration::from_millis(200);
/// A retry is decided about, but not before it was looked at, which comes at once.
const LATER: Duration = Duration::from_millis(3200);
/// It is not decided about before the test is over.
pub(crate) const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Lets a lab that watched for a second at most watch for longer.
fn watched_for(lab: &Lab, time: &str) {
    let config = lab
        .read("drspass.yaml")
        .replace("max_elapsed: 1s", &format!("max_elapsed: {time}"));
    lab.write("drspass.yaml", config);
}

/// The jobs of each retry so far.
fn retried(lab: &Lab) -> Vec<Vec<String>> {
    let requests = lab.sim.requests();
    let retries = requests
        .iter()
        .filter(|request| request.path().ends_with("/batch-retry-task"));
    retries
        .map(|request| {
            let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            let jobs = body["jobs"].as_array().unwrap().iter();
            jobs.map(|job| {
                assert_eq!(job.as_object().unwrap().len(), 1, "the id alone: {job}");
                job["job_id"].as_str().unwrap().to_owned()
            })
            .collect()
        })
        .collect()
}

#[test]
fn failed_jobs_run_again_once_their_password_is_right() {
    let lab = lab_of(
        &[
            (J1, "START_JOB_FAILED"),
            (J2, "FULL_TRANSFER_FAILED"),
            (J3, "INCRE_TRANSFER_FAILED"),
            (&id(4), "STARTJOB_FAILED"),
        ],
        SOON,
    );
    lab.apply(&["--retry-jobs"])
        .exits(0)
        .says(&format!(
            "= job {J1} retried, runs again: FULL_TRANSFER_STARTED"
        ))
        .says(&format!(
            "= job {J3} retried, runs again: INCRE_TRANSFER_STARTED"
        ))
        .says(&format!("Retrying 4 jobs ({}, ", id(4)))
        .says("); watching for at most 5m.")
        .says("Result: 4 applied");
    let mut once = retried(&lab).concat();
    once.sort();
    assert_eq!(once, [id(4), J1.to_owned(), J2.to_owned(), J3.to_owned()]);
    assert_eq!(retried(&lab).len(), 1, "in one request");
    // They run now, so there is nothing to retry.
    let run = lab.apply(&["--retry-jobs"]).exits(0);
    assert!(!run.all().contains("retried"), "{}", run.all());
    run.says("Jobs: none has failed.");
    assert_eq!(retried(&lab).len(), 1);
}

#[test]
fn without_the_flag_no_job_is_looked_after() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    lab.apply(&[]).exits(0);
    assert_eq!(asked(&lab, "batch-retry-task"), 0);
    assert_eq!(lab.sim.status(J1).unwrap(), "INCRE_TRANSFER_FAILED");
    lab.apply(&["--resume-paused"]).exits(64);
}

#[test]
fn a_job_whose_other_database_is_still_wrong_fails_again_and_is_retried_when_it_is_named() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED"), (J2, "PAUSING")], LATER);
    lab.sim.set_real_password(J1, "destination", "canary-other");
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!(
            "! job {J1} retried, failed again: INCRE_TRANSFER_FAILED"
        ))
        .says("Result: 2 applied")
        .says("Jobs: 0 running again, 1 failed again, 0 unknown, 1 not retried; 2 in all.");
    assert_eq!(retried(&lab), [[J1]]);
    assert!(!lab.sim.is_locked(J1, "destination"));
    // The next run does not, since nothing has changed.
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!(
            "! job {J1} not retried: INCRE_TRANSFER_FAILED; the retry of"
        ))
        .says("0 in all.");
    assert_eq!(retried(&lab), [[J1]]);
    lab.sim.set_real_password(J1, "destination", "canary-old");
    lab.apply(&["--retry-jobs", "--resend", J1])
        .exits(0)
        .says("runs again");
    assert_eq!(retried(&lab), [[J1], [J1]]);
}

#[test]
fn a_job_with_an_entry_refused_in_doubt_or_blocked_is_not_retried() {
    let mut lab = lab_of(
        &[
            (J1, "INCRE_TRANSFER_FAILED"),
            (J2, "INCRE_TRANSFER_FAILED"),
            (J3, "INCRE_TRANSFER_FAILED"),
            (&id(4), "CHANGE_JOB_FAILED"),
        ],
        SOON,
    );
    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J1, "destination", "canary-old"),
        (J2, "source", "canary-new"),
        (J3, "source", "canary-new"),
        (&id(4), "source", "canary-new"),
    ]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00202"));
    lab.sim.inject(Fault::always(FaultKind::OddStatus {
        status: "maybe".to_owned(),
        which: Which::entry(J2, EndPointType::Source),
    }));
    lab.apply(&["--retry-jobs"])
        .exits(4)
        .says("2 applied, 1 refused, 1 skipped, 0 not sent, 1 unknown")
        .says(&format!("job {J3} retried, runs again"))
        .says(&format!(
            "- job {J2} not retried: INCRE_TRANSFER_FAILED; its passwords are not all in sync"
        ))
        .says(&format!(
            "- job {} not retried: CHANGE_JOB_FAILED; a retry does not help in this state",
            id(4)
        ));
    assert_eq!(retried(&lab), [[J3]]);
    // A value that is held back as wrong keeps its job back as well.
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&["--retry-jobs", "--only", J1]).exits(1);
    lab.apply(&["--retry-jobs", "--only", J1]).exits(1);
    assert_eq!(retried(&lab).len(), 1);
}

#[test]
fn a_paused_job_stays_paused_unless_it_is_to_be_resumed() {
    for paused in ["PAUSING", "PAUSEING"] {
        let lab = lab_of(&[(J1, paused)], SOON);
        lab.apply(&["--retry-jobs"])
            .exits(0)
            .says(&format!("- job {J1} is paused; --resume-paused resumes it"));
        assert_eq!(lab.sim.status(J1).unwrap(), paused);
        assert!(retried(&lab).is_empty());
        lab.apply(&["--retry-jobs", "--resume-paused"])
            .exits(0)
            .says("retried, runs again: INCRE_TRANSFER_STARTED");
        assert_eq!(retried(&lab), [[J1]]);
    }
}

#[test]
fn a_run_that_was_killed_before_it_looked_after_jobs_is_made_good() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    let args = ["apply", "--auto-approve", "--retry-jobs"];
    lab.killed_at("apply.before_fold", 1, &args);
    assert!(retried(&lab).is_empty());
    lab.apply(&["--retry-jobs"])
        .exits(0)
        .says("runs again")
        .says("Result: 0 applied, 0 refused, 0 skipped, 0 not sent, 0 unknown; 0 in all.");
    assert_eq!(lab.sent().len(), 1);
    assert_eq!(retried(&lab), [[J1]]);
}

#[test]
fn jobs_that_were_adopted_alone_are_not_retried() {
    let mut lab = lab_of(
        &[(J1, "INCRE_TRANSFER_FAILED"), (J2, "INCRE_TRANSFER_FAILED")],
        LATER,
    );
    lab.run(&["state", "adopt", J1, J2, "--yes"]).exits(0);
    lab.apply(&["--retry-jobs"]).exits(0).says(&format!(
        "- job {J1} not retried: INCRE_TRANSFER_FAILED; drspass sent none of its passwords"
    ));
    assert!(retried(&lab).is_empty());
    // What was declared of one endpoint is as good as sent, once the other one is sent.
    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J1, "destination", "canary-old"),
        (J2, "source", "canary-new"),
    ]);
    lab.apply(&["--retry-jobs"]).exits(3).says("failed again");
    assert_eq!(retried(&lab), [[J1]]);
}

#[test]
fn only_limits_what_is_looked_after() {
    let lab = lab_of(
        &[(J1, "INCRE_TRANSFER_FAILED"), (J2, "INCRE_TRANSFER_FAILED")],
        SOON,
    );
    lab.apply(&["--retry-jobs", "--only", J2]).exits(0);
    assert_eq!(retried(&lab), [[J2]]);
    lab.apply(&[]).exits(0);
    lab.apply(&["--retry-jobs", "--only", "22df*/source"])
        .exits(0);
    assert_eq!(retried(&lab).len(), 1);
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab), [[J2], [J1]]);
}

#[test]
fn many_failed_jobs_are_each_retried_once_ten_at_a_time() {
    let ids: Vec<String> = (0..23).map(id).collect();
    let jobs: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), "FULL_TRANSFER_FAILED"))
        .collect();
    let lab = lab_of(&jobs, SOON);
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab).concat(), ids);
    let sizes: Vec<usize> = retried(&lab).iter().map(Vec::len).collect();
    assert_eq!(sizes, [10, 10, 3]);
}

#[test]
fn what_came_of_jobs_is_told_to_machines() {
    let mut lab = lab_of(
        &[
            (J1, "INCRE_TRANSFER_FAILED"),
            (J2, "INCRE_TRANSFER_FAILED"),
            (J3, "PAUSING"),
        ],
        LATER,
    );
    lab.plant(&["canary-new"]);
    lab.manifest(&format!(
        "  {J1}:\n    name: orders\n    source: {{ password: 'canary-new' }}\n  {J2}:\n    \
         source: {{ password: 'canary-new' }}\n  {J3}:\n    source: {{ password: 'canary-new' }}\n"
    ))
    .exits(0);
    lab.sim.set_real_password(J2, "destination", "canary-other");
    let run = lab.apply(&["--json", "--retry-jobs"]).exits(3);
    let jobs: Vec<Value> = messages(&run)
        .into_iter()
        .filter(|message| message["type"] == "job")
        .map(|mut message| {
            let why = message.as_object_mut().unwrap().remove("why");
            assert!(why.unwrap().is_string());
            message
        })
        .collect();
    assert_eq!(
        jobs,
        [
            json!({"type": "job", "job": "orders", "outcome": "runs", "status": "INCRE_TRANSFER_STARTED"}),
            json!({"type": "job", "job": J2, "outcome": "failed", "status": "INCRE_TRANSFER_FAILED"}),
            json!({"type": "job", "job": J3, "outcome": "left_paused", "status": "PAUSING"}),
        ]
    );
    // With nothing to send as well.
    let run = lab.apply(&["--json", "--retry-jobs"]).exits(3);
    let messages = messages(&run);
    assert_eq!(messages.last().unwrap()["total"], 0);
    assert_eq!(messages.iter().filter(|m| m["type"] == "job").count(), 2);
}
