//! A retry that failed is not repeated by itself: each one logs in with a password that
//! may be wrong, and several wrong logins lock an account.

use std::time::Duration;

use drspass::sim::{Fault, FaultKind};
use serde_json::{Value, json};

use super::trouble::{body, inject, status};
use super::{LATER, NEVER, SOON, failed, lab_of, lab_with, retried, watched_for};
use crate::outputs::messages;
use crate::support::around::Watched;
use crate::support::{J1, J2, Lab, send_signal};

/// The retries that the state knows as failed.
fn recorded(lab: &Lab) -> Value {
    lab.state()["body"]["retries"].clone()
}

/// A job whose destination has another password than the manifest says, retried once.
fn failed_again() -> Lab {
    let mut lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], LATER);
    lab.sim.set_real_password(J1, "destination", "canary-other");
    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J1, "destination", "canary-wrong"),
    ]);
    lab.apply(&["--retry-jobs"]).exits(3).says("failed again");
    lab
}

#[test]
fn a_failed_retry_is_not_repeated_however_often_it_is_asked_for() {
    let mut lab = failed_again();
    for _ in 0..7 {
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says("not retried: INCRE_TRANSFER_FAILED; the retry of 20")
            .says("Correct its password; or, once the database has it, run ")
            .says(&format!(
                "'drspass apply --retry-jobs --resend {J1}'. Jobs that share its credential are \
                 retried after it."
            ));
    }
    assert_eq!(retried(&lab), [[J1]]);
    assert!(!lab.sim.is_locked(J1, "destination"));
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(3);
    let messages = messages(&run);
    let job = messages.iter().find(|m| m["type"] == "job").unwrap();
    assert_eq!(job["outcome"], "retried_before");
    assert_eq!(job["status"], "INCRE_TRANSFER_FAILED");
    // Another password of the job is a reason to try once more.
    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J1, "destination", "canary-other"),
    ]);
    lab.apply(&["--retry-jobs"]).exits(0).says("runs again");
    assert_eq!(retried(&lab), [[J1], [J1]]);
    assert!(recorded(&lab).is_null());
}

#[test]
fn a_rekey_and_a_saved_plan_keep_it_and_a_name_or_forgetting_the_job_ends_it() {
    let lab = failed_again();
    lab.run(&["rekey", "--new-key", "--yes"]).exits(0);
    lab.apply(&["--retry-jobs"]).exits(3).says("not retried");
    lab.run(&["plan", "--out", "plan.json", "--resend", J1])
        .exits(0);
    lab.sim.set_real_password(J1, "destination", "canary-wrong");
    lab.run(&["apply", "plan.json", "--retry-jobs"])
        .exits(0)
        .says("runs again");
    assert_eq!(retried(&lab).len(), 2);

    let lab = failed_again();
    lab.run(&["state", "rm", J1]).exits(0);
    assert!(recorded(&lab).is_null());
}

#[test]
fn a_retry_is_recorded_before_it_is_sent_and_forgotten_once_the_job_is_seen_to_run() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    let args = ["apply", "--auto-approve", "--retry-jobs"];
    lab.killed_at("aftercare.before_retry", 1, &args);
    assert!(recorded(&lab)[J1]["at"].is_string());
    assert!(retried(&lab).is_empty());
    // It may have been sent, for all that anybody knows.
    lab.apply(&["--retry-jobs"]).exits(3).says("not retried");
    assert!(retried(&lab).is_empty());
    lab.sim.set_status(J1, "INCRE_TRANSFER_STARTED");
    lab.apply(&["--retry-jobs"])
        .exits(0)
        .says(&format!(
            "Watching 1 job ({J1}) of an earlier run for at most 5m."
        ))
        .says("runs again");
    assert!(recorded(&lab).is_null());
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_job_that_an_earlier_run_retried_is_watched_while_it_starts() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], NEVER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    for _ in 0..2 {
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says("last seen STARTJOBING");
    }
    assert_eq!(retried(&lab), [[J1]]);
    // It may not have logged in yet.
    lab.sim.set_status(J1, "INCRE_TRANSFER_STARTED");
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("last seen INCRE_TRANSFER_STARTED")
        .says("It ran for too short a time to show that its passwords are right.");
    assert!(recorded(&lab)[J1]["at"].is_string());
    watched_for(&lab, "1m");
    lab.apply(&["--retry-jobs"]).exits(0).says("runs again");
    assert!(recorded(&lab).is_null());
}

#[test]
fn a_retry_that_the_service_answers_with_a_wrong_password_is_not_repeated() {
    let row = json!({"id": J1, "status": "failed", "error_code": "DRS.KE0002"});
    let answers = [
        body(&json!({"results": [row], "count": 1})),
        status(400, "DRS.KE0002"),
    ];
    for answer in answers {
        let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
        inject(&lab, "retry", Fault::always(answer));
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says("not retried: DRS.KE0002")
            .says("Correct the password in the manifest");
        for _ in 0..2 {
            lab.apply(&["--retry-jobs"])
                .exits(3)
                .says("the retry of 20");
        }
        assert_eq!(retried(&lab), [[J1]]);
    }
}

#[test]
fn a_job_that_fails_again_before_it_is_looked_at_is_not_said_to_be_unseen_alone() {
    let mut lab = lab_with(drspass::sim::SimConfig {
        jobs: vec![failed(J1, "INCRE_TRANSFER_FAILED")],
        failure_delay: Duration::ZERO,
        ..drspass::sim::SimConfig::default()
    });
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab.passwords(&[(J1, "source", "canary-wrong")]);
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("last seen INCRE_TRANSFER_FAILED")
        .says("It failed again at once, or has not started yet.");
}

#[test]
fn a_run_that_could_not_be_saved_or_was_interrupted_says_that_no_job_was_looked_after() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    let args = ["apply", "--auto-approve", "--retry-jobs"];
    let mut command = lab.command(&args);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:2");
    lab.run_command(command)
        .exits(8)
        .says("jobs were not retried: the state could not be saved");

    let mut lab = lab_of(
        &[(J1, "INCRE_TRANSFER_FAILED"), (J2, "INCRE_TRANSFER_FAILED")],
        SOON,
    );
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-new"), (J2, "source", "canary-new")]);
    let hold = FaultKind::Hold { act_first: false };
    lab.sim.inject(Fault::next(hold));
    let run = Watched::start(lab.command(&args));
    lab.await_puts(1);
    send_signal(run.id(), rustix::process::Signal::INT);
    run.says("Stopping");
    lab.sim.release();
    run.ended(&lab)
        .exits(130)
        .says("jobs were not retried: the run was interrupted");
    assert!(retried(&lab).is_empty());
}

#[test]
fn a_retry_is_refused_only_by_a_code_or_the_word_and_else_it_stays_recorded() {
    for (row, is_refused) in [
        (json!({"id": J1, "status": "SUCCESS"}), false),
        (json!({"id": J1}), false),
        (json!({"id": J1, "status": "FAILED"}), true),
        (json!({"id": J1, "error_code": "DRS.M00304"}), true),
    ] {
        let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
        lab.configure("apply: { retry: { max_elapsed: 1s } }");
        let answer = json!({"results": [row], "count": 1});
        inject(&lab, "retry", Fault::always(body(&answer)));
        let said = if is_refused {
            "not retried"
        } else {
            "retried; last seen"
        };
        lab.apply(&["--retry-jobs"]).exits(3).says(said);
        assert_eq!(recorded(&lab).is_null(), is_refused, "{row}");
    }
}

#[test]
fn a_refused_retry_of_a_named_job_leaves_the_failed_one_before_it_recorded() {
    let lab = failed_again();
    let before = recorded(&lab);
    let refusal = Fault::always(status(403, "DRS.M00102")).times(1);
    inject(&lab, "retry", refusal);
    lab.apply(&["--retry-jobs", "--resend", J1])
        .exits(3)
        .says("not retried: DRS.M00102");
    assert_eq!(recorded(&lab), before);
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("the retry of 20");
    assert_eq!(retried(&lab), [[J1], [J1]]);
}

#[test]
fn distrust_keeps_failed_retries() {
    let lab = failed_again();
    let before = recorded(&lab);
    lab.run(&["state", "distrust"]).exits(0);
    assert_eq!(recorded(&lab), before);
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("the retry of 20");
    assert_eq!(retried(&lab), [[J1]]);
}
