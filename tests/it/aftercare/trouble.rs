//! What can go wrong while jobs are looked after. Entries are recorded by then, so
//! the report comes in any case.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use drspass::sim::{CannedAnswer, Fault, FaultKind, SimConfig, Simulator};
use serde_json::json;

use super::{NEVER, SOON, lab_of, retried};
use crate::outputs::messages;
use crate::preflight::{asked, id};
use crate::support::{J1, J2, Lab, send_signal, unanswered, wait_until};

pub(super) fn status(http: u16, code: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http,
        code: code.to_owned(),
        message: "no".to_owned(),
        ..CannedAnswer::default()
    })
}

pub(super) fn body(body: &serde_json::Value) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http: 200,
        body: Some(body.to_string()),
        ..CannedAnswer::default()
    })
}

pub(super) fn inject(lab: &Lab, call: &str, fault: Fault) {
    assert!(lab.sim.inject_query(Some(call), fault));
}

/// One failed job, which is watched for a second at most.
fn lab() -> Lab {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab
}

#[test]
fn a_retry_that_the_service_refuses_is_said_with_its_code() {
    let lab = lab();
    inject(
        &lab,
        "retry",
        Fault::always(status(403, "DRS.M00102")).times(1),
    );
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!("! job {J1} not retried: DRS.M00102"))
        .says("Result: 1 applied");
    // A refusal of the job alone, which repeats a password of an earlier run.
    let refused = json!({"results": [{
        "id": J1, "status": "failed", "error_code": "DRS.M00304",
        "error_msg": "access denied for canary-new",
    }], "count": 1});
    inject(&lab, "retry", Fault::always(body(&refused)));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("not retried: DRS.M00304, the service says: (text withheld");
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(3);
    let messages = messages(&run);
    let job = messages.iter().find(|m| m["type"] == "job").unwrap();
    assert_eq!(job["outcome"], "retry_refused");
    assert_eq!(job["code"], "DRS.M00304");
    assert_eq!(retried(&lab).len(), 3);
}

#[test]
fn a_retry_whose_answer_is_lost_is_not_sent_again_and_its_job_is_watched() {
    for kind in [
        FaultKind::CloseAfter,
        FaultKind::Truncated,
        FaultKind::NotJson,
    ] {
        let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
        inject(&lab, "retry", Fault::always(kind));
        lab.apply(&["--retry-jobs"]).exits(0).says("runs again");
        assert_eq!(retried(&lab), [[J1]]);
    }
    let empty = body(&json!({"results": [], "count": 0}));
    let bad_gateway = FaultKind::Html {
        http: 502,
        act_first: false,
    };
    for kind in [FaultKind::CloseBefore, bad_gateway, empty] {
        let lab = lab();
        inject(&lab, "retry", Fault::always(kind));
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says("? job")
            .says("retried; last seen INCRE_TRANSFER_FAILED; check it later");
        assert_eq!(retried(&lab), [[J1]]);
    }
}

#[test]
fn a_retry_that_cannot_be_asked_for_is_not_said_to_be_refused() {
    let mut lab = lab();
    lab.apply(&[]).exits(0);
    // Somebody who answers the question about the states, and then is gone.
    let address = lab.sim.url().replace("http://", "");
    drop(std::mem::replace(
        &mut lab.sim,
        Simulator::start(SimConfig::default()).unwrap(),
    ));
    for json in [false, true] {
        // A process that is just being started may hold the simulator's socket a while.
        let mut bound = None;
        wait_until("the address to be free", || {
            bound = TcpListener::bind(&address).ok();
            bound.is_some()
        });
        let listener = bound.unwrap();
        let own = address.clone();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            // A process that is just being started may hold the socket a while.
            wait_until("nobody to listen", || TcpStream::connect(&own).is_err());
            let nobody = unanswered(&own);
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            let states = json!({
                "count": 1,
                "results": [{"id": J1, "status": "INCRE_TRANSFER_FAILED"}],
            })
            .to_string();
            let length = states.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{states}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            nobody
        });
        let more = if json { &["--json"][..] } else { &[] };
        let run = lab.apply(&[&["--retry-jobs"], more].concat()).exits(3);
        drop(answering.join().unwrap());
        if json {
            let messages = messages(&run);
            let job = messages.iter().find(|m| m["type"] == "job").unwrap();
            assert_eq!(job["outcome"], "not_asked");
            assert!(job["status"].is_null() && job["code"].is_null());
        } else {
            run.says(&format!(
                "! job {J1} not retried: no connection to the service"
            ));
        }
    }
}

#[test]
fn a_throttled_retry_is_asked_for_again() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    let throttled = FaultKind::Throttled {
        retry_after: Some(1),
    };
    inject(&lab, "retry", Fault::next(throttled));
    lab.apply(&["--retry-jobs"]).exits(0).says("runs again");
    assert_eq!(retried(&lab).len(), 2);
}

#[test]
fn states_that_cannot_be_read_leave_every_job_alone() {
    let lab = lab();
    inject(&lab, "status", Fault::always(status(500, "DRS.M00004")));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("note: jobs were not retried: 127.0.0.1")
        .says("Result: 1 applied");
    assert!(retried(&lab).is_empty());
    // A run that had nothing else to do has failed.
    lab.apply(&["--retry-jobs"])
        .exits(1)
        .says("could not answer the query of job states")
        .says("DRS.M00004");
}

#[test]
fn a_job_whose_state_is_not_told_is_not_taken_for_one_that_needs_nothing() {
    let lab = lab();
    let untold = json!({"results": [], "count": 0});
    inject(&lab, "status", Fault::always(body(&untold)));
    for summary in ["1 in all.", "0 in all."] {
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says("note: jobs were not retried: the service returned no state for 1 of them")
            .says(summary);
    }
    assert!(retried(&lab).is_empty());
}

#[test]
fn a_key_that_is_refused_is_shown_to_the_service_once() {
    let ids: Vec<String> = (0..45).map(id).collect();
    let jobs: Vec<_> = ids.iter().map(|id| (id.as_str(), "PAUSING")).collect();
    let lab = lab_of(&jobs, SOON);
    lab.apply(&[]).exits(0);
    for more in [&[][..], &["--resend", "*"]] {
        let before = lab.sim.requests().len();
        let mut command =
            lab.command(&[&["apply", "--auto-approve", "--retry-jobs"], more].concat());
        command.env_remove("OS_TOKEN");
        command.env("OS_ACCESS_KEY", "NOSUCHKEY");
        command.env("OS_SECRET_KEY", "canary-secret-key");
        lab.run_command(command)
            .exits(1)
            .says("rejected the query of job states");
        // Five refused signatures lock a key.
        assert_eq!(lab.sim.requests().len(), before + 1);
    }
}

#[test]
fn states_that_cannot_be_read_while_watching_are_said() {
    let lab = lab();
    for number in 2..9 {
        let fault = Fault::nth(number, status(500, "DRS.M00004"));
        inject(&lab, "status", fault);
    }
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(3);
    let messages = messages(&run);
    let job = messages.iter().find(|m| m["type"] == "job").unwrap();
    assert_eq!(job["outcome"], "unseen");
    assert_eq!(job["why"], "retried; its state could not be read");
    assert_eq!(retried(&lab), [[J1]]);
}

#[test]
fn watching_ends_when_its_time_is_over() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], NEVER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("? job")
        .says("retried; last seen STARTJOBING; check it later");
    // A look that is never answered does not hold it up for long either.
    lab.sim.set_status(J1, "INCRE_TRANSFER_FAILED");
    lab.run(&["state", "rm", J1]).exits(0);
    let seen = u64::try_from(asked(&lab, "batch-status")).unwrap();
    inject(&lab, "status", Fault::nth(seen + 2, FaultKind::Silent));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("its state could not be read");
    assert_eq!(retried(&lab), [[J1], [J1]]);
}

#[test]
fn a_password_of_an_earlier_run_as_a_state_is_withheld() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    let odd = json!({"count": 1, "results": [{"id": J1, "status": "canary-new"}]});
    for number in 2..9 {
        inject(&lab, "status", Fault::nth(number, body(&odd)));
    }
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("last seen (text withheld");
}

#[test]
fn a_login_that_was_refused_is_not_tried_again_for_the_jobs() {
    let mut lab = lab_of(
        &[(J1, "INCRE_TRANSFER_FAILED"), (J2, "INCRE_TRANSFER_FAILED")],
        SOON,
    );
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-new"), (J2, "source", "canary-new")]);
    let expired = || FaultKind::TokenExpired {
        http: 401,
        code: None,
    };
    lab.sim.inject(Fault::nth(2, expired()));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("note: jobs were not retried: the login was refused");
    assert_eq!(asked(&lab, "batch-status"), 0);
    assert!(retried(&lab).is_empty());
    // Nor while they are watched.
    inject(&lab, "status", Fault::nth(2, expired()));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("its state could not be read");
    assert_eq!(asked(&lab, "batch-status"), 2);
    assert_eq!(retried(&lab), [[J1, J2]]);
}

#[test]
fn a_signal_ends_the_watching_and_the_report_still_comes() {
    for (signal, code) in [
        (rustix::process::Signal::INT, 130),
        (rustix::process::Signal::TERM, 143),
    ] {
        let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], NEVER);
        let args = ["apply", "--auto-approve", "--retry-jobs"];
        let child = lab.command(&args).spawn().unwrap();
        wait_until("the watching", || asked(&lab, "batch-status") >= 3);
        // Others may work meanwhile: what was sent is recorded.
        lab.run(&["lock", "show"]).exits(0).says("free");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        send_signal(child.id(), signal);
        let run = lab
            .wait(child)
            .exits(code)
            .says("retried; last seen STARTJOBING");
        let last: Vec<&str> = run.stdout.lines().rev().take(2).collect();
        assert!(last[1].starts_with("Result: 1 applied"), "{last:?}");
        assert!(
            last[0].ends_with(" 1 unknown, 0 not retried; 1 in all."),
            "{last:?}"
        );
    }
}

#[test]
fn a_signal_while_a_retry_hangs_ends_the_run_and_says_so() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], NEVER);
    inject(&lab, "retry", Fault::always(FaultKind::Silent));
    let args = ["apply", "--auto-approve", "--retry-jobs"];
    let child = lab.command(&args).spawn().unwrap();
    wait_until("the retry", || asked(&lab, "batch-retry-task") >= 1);
    send_signal(child.id(), rustix::process::Signal::INT);
    lab.wait(child)
        .exits(130)
        .says("retried; its state could not be read")
        .says("Result: 1 applied");
    assert_eq!(retried(&lab), [[J1]]);
}

#[test]
fn a_signal_while_the_states_are_asked_for_ends_the_run_with_its_report() {
    let lab = lab_of(&[(J1, "INCRE_TRANSFER_FAILED")], SOON);
    inject(&lab, "status", Fault::always(FaultKind::Silent));
    let args = ["apply", "--auto-approve", "--retry-jobs"];
    let child = lab.command(&args).spawn().unwrap();
    wait_until("the question", || asked(&lab, "batch-status") >= 1);
    send_signal(child.id(), rustix::process::Signal::INT);
    lab.wait(child).exits(130).says("Result: 1 applied");
    assert!(retried(&lab).is_empty());
}

#[test]
fn jobs_whose_retry_was_asked_for_are_named_though_the_state_cannot_be_saved() {
    let lab = lab_of(
        &[(J1, "INCRE_TRANSFER_FAILED"), (J2, "INCRE_TRANSFER_FAILED")],
        SOON,
    );
    let answers = json!({"results": [
        {"id": J1, "status": "success"},
        {"id": J2, "status": "failed", "error_code": "DRS.M00304"},
    ], "count": 2});
    inject(&lab, "retry", Fault::always(body(&answers)));
    let mut command = lab.command(&["apply", "--auto-approve", "--retry-jobs"]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:4");
    lab.run_command(command)
        .exits(3)
        .says("jobs were not retried")
        .says(&format!("? job {J1} retried"))
        .says(&format!("! job {J2} not retried: DRS.M00304"));
}
