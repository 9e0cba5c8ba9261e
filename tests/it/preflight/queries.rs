//! When the question about states is asked, and what happens if it fails.

use std::fs;

use drspass::sim::{CannedAnswer, Fault, FaultKind, JobSpec};

use super::{asked, job, lab_of, list_is, sources, without_list};
use crate::outputs::{document, messages, refusal};
use crate::support::{J1, J2, J3, Lab, send_signal, wait_until};

fn lab() -> Lab {
    let mut lab = lab_of(vec![job(J1, "INCRE_TRANSFER_STARTED"), job(J2, "CREATING")]);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    sources(&mut lab, &[J1], "canary-1");
    lab
}

/// The same, with a short time limit where the service keeps silent.
fn lab_for(kind: &FaultKind) -> Lab {
    let lab = lab();
    if matches!(kind, FaultKind::Silent) {
        let config = lab.read("drspass.yaml");
        let config = config.replace("apply: {", "apply: { request_timeout: 3s,");
        lab.write("drspass.yaml", config);
    }
    lab
}

fn status(http: u16, code: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http,
        code: code.to_owned(),
        message: "no".to_owned(),
        ..CannedAnswer::default()
    })
}

/// Every way in which a question can come to nothing without being about the caller.
fn failures() -> Vec<FaultKind> {
    vec![
        status(500, "DRS.M00004"),
        status(403, "DRS.M00103"),
        status(401, "DRS.M00103"),
        status(200, "DRS.M05066"),
        FaultKind::CloseBefore,
        FaultKind::Truncated,
        FaultKind::Html {
            http: 502,
            act_first: false,
        },
        FaultKind::NotJson,
        FaultKind::Gzip,
        FaultKind::Huge { bytes: 9 << 20 },
        status(302, ""),
        FaultKind::Silent,
        FaultKind::Throttled { retry_after: None },
    ]
}

#[test]
fn a_question_that_fails_is_a_warning_and_everything_is_sent() {
    for kind in failures() {
        let name = format!("{kind:?}");
        let lab = lab_for(&kind);
        assert!(lab.sim.inject_query(None, Fault::always(kind)));
        let run = lab
            .apply(&[])
            .exits(0)
            .says("could not read the state of any job, so none was checked: ")
            .says("for dual-active parents among");
        assert!(lab.sim.holds(J1, "source", "canary-1"), "{name}");
        assert!(run.stdout.lines().last().unwrap().starts_with("Result: 1 "));
    }
}

#[test]
fn a_list_that_fails_is_not_missed_where_the_states_can_be_asked_for() {
    for kind in failures() {
        let mut lab = lab_for(&kind);
        sources(&mut lab, &[J1, J2], "canary-1");
        assert!(lab.sim.inject_query(Some("list"), Fault::always(kind)));
        let run = lab
            .apply(&[])
            .exits(3)
            .says("the job is CREATING")
            .says(&format!(
                "could not check for dual-active parents among {J1}, {J2}: "
            ));
        assert!(!run.all().contains("could not read"), "{}", run.all());
    }
}

#[test]
fn a_job_that_may_be_a_dual_active_parent_is_named_and_sent() {
    let recovery = |job: JobSpec| JobSpec {
        db_use_type: "cloudDataGuard".to_owned(),
        multi_write: true,
        ..job
    };
    let mut kinds = failures();
    // The details of other jobs, and nothing that can be read as details.
    kinds.push(answered(r#"{"count":0,"results":[]}"#));
    kinds.push(answered(r#"{"results":7}"#));
    for kind in kinds {
        let name = format!("{kind:?}");
        let mut lab = lab_of(vec![
            JobSpec {
                dual_active_parent: true,
                ..recovery(job(J1, "INCRE_TRANSFER_STARTED"))
            },
            JobSpec {
                parent: Some(J1.to_owned()),
                ..recovery(job(J2, "INCRE_TRANSFER_STARTED"))
            },
        ]);
        lab.configure("apply: { request_timeout: 3s, retry: { max_elapsed: 1s } }");
        sources(&mut lab, &[J1], "canary-1");
        assert!(lab.sim.inject_query(Some("detail"), Fault::always(kind)));
        let note = format!("could not check for dual-active parents among {J1}: ");
        lab.run(&["plan", "--preflight"]).exits(0).says(&note);
        lab.apply(&[]).exits(1).says(&note).says("1 refused");
        assert_eq!(lab.sent().len(), 1, "{name}");
    }
}

fn answered(body: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http: 200,
        body: Some(body.to_owned()),
        ..CannedAnswer::default()
    })
}

#[test]
fn states_that_cannot_be_asked_for_are_missed_only_where_the_list_does_not_tell_them() {
    for kind in failures() {
        let mut lab = lab_for(&kind);
        sources(&mut lab, &[J1, J2], "canary-1");
        let fault = Fault::always(kind);
        assert!(lab.sim.inject_query(Some("status"), fault));
        let run = lab.apply(&[]).exits(3).says("the job is CREATING");
        assert!(!run.all().contains("could not"), "{}", run.all());
        assert_eq!(asked(&lab, "batch-status"), 0);
        // A cloud whose list does not find jobs by their ids.
        list_is(&lab, &serde_json::json!({"total_record": 0, "jobs": []}));
        lab.apply(&[])
            .exits(1)
            .says("could not read the state of any job, so none was checked: ")
            .says("refused: DRS.M00304");
    }
}

#[test]
fn a_caller_that_is_refused_stops_the_run_after_one_question() {
    for kind in [
        FaultKind::TokenExpired {
            http: 401,
            code: None,
        },
        FaultKind::TokenExpired {
            http: 403,
            code: None,
        },
    ] {
        let mut lab = lab();
        lab.apply(&[]).exits(0);
        sources(&mut lab, &[J1], "canary-2");
        let state = lab.read("drspass.state.json");
        let before = lab.sim.requests().len();
        assert!(lab.sim.inject_query(None, Fault::always(kind.clone())));
        lab.apply(&[])
            .exits(1)
            .says("rejected the query of job states");
        assert_eq!(lab.sim.requests().len(), before + 1);
        assert_eq!(lab.read("drspass.state.json"), state);
        assert!(!lab.exists("drspass.state.json.journal"));
        lab.run(&["lock", "show"]).exits(0).says("free");
        lab.run(&["plan", "--preflight"]).exits(1);
    }
    // The same where only the second question is asked of a stranger.
    let lab = lab();
    without_list(&lab);
    let kind = FaultKind::TokenExpired {
        http: 401,
        code: None,
    };
    assert!(lab.sim.inject_query(Some("status"), Fault::always(kind)));
    lab.apply(&[]).exits(1);
    assert!(lab.sent().is_empty());
    assert_eq!(asked(&lab, "batch-status"), 1);
}

#[test]
fn without_preflight_nothing_is_asked() {
    let mut lab = lab();
    sources(&mut lab, &[J1, J2], "canary-1");
    lab.apply(&["--no-preflight"])
        .exits(3)
        .says("refused: DRS.M00304");
    let requests = lab.sim.requests();
    assert!(requests.iter().all(|request| request.method() == "PUT"));
    assert_eq!(requests.len(), 1);
}

#[test]
fn a_plan_tells_what_is_blocked_takes_no_lock_and_changes_no_file() {
    let mut lab = lab();
    sources(&mut lab, &[J1, J2], "canary-1");
    let files = || {
        let names = fs::read_dir(lab.dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    lab.run(&["plan", "--preflight"])
        .exits(0)
        .says(&format!("+ {J2}/source never set"))
        .says("x skipped now: the job is CREATING and does not accept a password")
        .says("note: preflight: 1 job accepts a password now")
        .says("0 to send again, 1 skipped; 0 in sync");
    lab.run(&["plan", "--preflight", "--detailed-exitcode"])
        .exits(2);
    assert_eq!(files(), before);
    lab.apply(&[]).exits(3);
    let lock = fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
    lock.lock().unwrap();
    lab.run(&["plan", "--preflight"])
        .exits(0)
        .says("skipped now: the job is CREATING")
        .says("note: the lock is held by");
    drop(lock);
    assert!(lab.sent().len() == 1);
    // What fails is a note there as well.
    assert!(
        lab.sim
            .inject_query(None, Fault::always(status(500, "DRS.M00004")))
    );
    let plan = document(
        &lab.run(&["plan", "--preflight", "--json", "--detailed-exitcode"])
            .exits(2),
        "plan-output",
    );
    assert!(
        plan["notes"]
            .to_string()
            .contains("could not read the state of")
    );
    assert!(plan["entries"][0]["blocked"].is_null());
}

#[test]
fn a_plan_asks_nobody_unless_it_is_told_to() {
    let lab = lab();
    for args in [
        &["plan"][..],
        &["plan", "--json"],
        &["plan", "--diff"],
        &["plan", "--detailed-exitcode"],
    ] {
        let mut command = lab.command(args);
        command.env("OS_USERNAME", "rotation");
        command.env("OS_PASSWORD", "canary-login");
        command.env("OS_USER_DOMAIN_NAME", "OTC");
        assert!(!lab.run_command(command).all().contains("CREATING"));
    }
    for args in [
        &["--try-unknown-state"][..],
        &["--cloud", "people"],
        &["--token-file", "-"],
    ] {
        lab.run(&[&["plan"], args].concat())
            .exits(64)
            .says("--preflight");
    }
    assert_eq!(lab.sim.connections(), 0);
}

#[test]
fn an_explicit_preflight_names_failed_jobs_though_nothing_is_to_be_sent() {
    let states = [
        (J1, "INCRE_TRANSFER_STARTED"),
        (J2, "INCRE_TRANSFER_FAILED"),
        (J3, "START_JOB_FAILED"),
    ];
    let mut lab = lab_of(states.map(|(id, status)| job(id, status)).into());
    sources(&mut lab, &[J1, J2, J3], "canary-1");
    lab.apply(&[])
        .exits(0)
        .says("note: jobs that have failed: ");
    let failed = format!(
        "note: jobs that have failed: {J2}, {J3}; an apply with --retry-jobs retries them once \
         their passwords are right"
    );
    lab.run(&["plan", "--preflight", "--detailed-exitcode"])
        .exits(0)
        .says(&failed)
        .says("Nothing to send.");
    // Not only those of entries to be sent.
    lab.run(&["plan", "--preflight", "--resend", J1])
        .exits(0)
        .says(&failed);
    lab.run(&["plan", "--preflight", "--only", J1])
        .exits(0)
        .says_not("have failed");
    let before = lab.sim.connections();
    lab.run(&["plan"]).exits(0).says_not("have failed");
    assert_eq!(lab.sim.connections(), before);
}

#[test]
fn an_apply_with_nothing_to_do_makes_no_connection_and_needs_no_login() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    let before = lab.sim.connections();
    lab.apply(&[]).exits(0).says("Nothing to send");
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env_remove("OS_TOKEN");
    lab.run_command(command).exits(0).says("Nothing to send");
    let mut command = lab.command(&["apply", "--auto-approve", "--json"]);
    command.env_remove("OS_TOKEN");
    messages(&lab.run_command(command).exits(0));
    assert_eq!(lab.sim.connections(), before);
}

#[test]
fn an_apply_without_a_login_marks_nothing_and_asks_nobody() {
    let lab = lab();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env_remove("OS_TOKEN");
    lab.run_command(command).exits(1).says("no login found");
    assert!(!lab.exists("drspass.state.json"));
    assert_eq!(lab.sim.connections(), 0);
}

#[test]
fn a_job_that_changes_its_state_after_the_plan_is_judged_anew() {
    let lab = lab();
    let plan = lab.run(&["plan", "--preflight"]).exits(0);
    assert!(!plan.stdout.contains("skipped"), "{}", plan.stdout);
    lab.sim.set_status(J1, "RELEASE_RESOURCE_STARTED");
    lab.apply(&[])
        .exits(1)
        .says("the job is RELEASE_RESOURCE_STARTED");
    assert!(lab.sent().is_empty());
    // And after the question as well: the service has the last word.
    lab.sim.set_status(J1, "INCRE_TRANSFER_STARTED");
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: false }));
    let child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);
    lab.sim.set_status(J1, "RELEASE_RESOURCE_STARTED");
    lab.sim.release();
    lab.wait(child).exits(1).says("refused: DRS.M00304");
    assert!(lab.plan().contains("last attempt refused: DRS.M00304"));
}

#[test]
fn a_signal_during_the_question_ends_the_run_before_anything_is_marked() {
    for (call, signal, code) in [
        (None, rustix::process::Signal::INT, 130),
        (Some("status"), rustix::process::Signal::TERM, 143),
    ] {
        let mut lab = lab_of(vec![job(J1, "INCRE_TRANSFER_STARTED")]);
        sources(&mut lab, &[J1], "canary-1");
        lab.apply(&[]).exits(0);
        sources(&mut lab, &[J1], "canary-2");
        let state = lab.read("drspass.state.json");
        if call.is_some() {
            without_list(&lab);
        }
        let before = lab.sim.requests().len();
        let silent = Fault::always(FaultKind::Silent);
        assert!(lab.sim.inject_query(call, silent));
        for args in [
            &["apply", "--auto-approve"][..],
            &["apply", "--auto-approve", "--json"],
            &["plan", "--preflight"],
        ] {
            let seen = lab.sim.requests().len();
            let child = lab.command(args).spawn().unwrap();
            let wanted = seen + if call.is_some() { 2 } else { 1 };
            wait_until("the question", || lab.sim.requests().len() >= wanted);
            send_signal(child.id(), signal);
            let run = lab.wait(child).exits(code);
            if args.contains(&"--json") {
                refusal(&run);
            }
        }
        assert_eq!(lab.sent().len(), 1);
        assert!(lab.sim.requests().len() > before);
        assert_eq!(lab.read("drspass.state.json"), state);
        assert!(!lab.exists("drspass.state.json.journal"));
        lab.run(&["lock", "show"]).exits(0).says("free");
    }
}

#[test]
fn a_caller_who_is_refused_by_any_question_asks_no_other_kind_of_question() {
    for call in ["list", "detail"] {
        let recovery = |job: JobSpec| JobSpec {
            db_use_type: "cloudDataGuard".to_owned(),
            multi_write: true,
            ..job
        };
        let mut lab = lab_of(vec![
            JobSpec {
                dual_active_parent: true,
                ..recovery(job(J1, "INCRE_TRANSFER_STARTED"))
            },
            JobSpec {
                parent: Some(J1.to_owned()),
                ..recovery(job(J2, "INCRE_TRANSFER_STARTED"))
            },
        ]);
        // The list does not tell the last one.
        sources(&mut lab, &[J1, J3], "canary-1");
        let number = if call == "list" { 2 } else { 1 };
        let kind = FaultKind::TokenExpired {
            http: 401,
            code: None,
        };
        assert!(lab.sim.inject_query(Some(call), Fault::nth(number, kind)));
        lab.apply(&[]).exits(1).says("rejected the query");
        assert_eq!(asked(&lab, "batch-status"), 0, "{call}");
        assert!(lab.sent().is_empty());
    }
}
