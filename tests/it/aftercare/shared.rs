//! Failed jobs that share a credential log in to the same account: one of them shows whether
//! its password is right, before the others try.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use drspass::sim::{EndPointType, Fault, FaultKind};
use rexpect::process::Signal;
use serde_json::{Value, json};

use super::trouble::{body, inject, status};
use super::{LATER, NEVER, SOON, lab_of, retried, watched_for};
use crate::cli::approval::approval;
use crate::looped::refuse;
use crate::outputs::messages;
use crate::preflight::{asked, id};
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{Lab, send_signal, wait_until};

const RETRY: [&str; 3] = ["apply", "--auto-approve", "--retry-jobs"];

/// So many failed jobs, whose sources use `@orders-db`.
fn lab(jobs: usize, delay: Duration) -> Lab {
    let ids: Vec<String> = (0..jobs).map(id).collect();
    let failed = ids.iter().map(|id| (&**id, "INCRE_TRANSFER_FAILED"));
    let mut lab = lab_of(&failed.collect::<Vec<_>>(), delay);
    seal(&mut lab, &ids, "canary-new");
    lab
}

fn seal(lab: &mut Lab, ids: &[String], password: &str) {
    lab.plant(&[password]);
    let mut text =
        format!("version: 1\ncredentials:\n  orders-db: {{ password: '{password}' }}\njobs:\n");
    for id in ids {
        let _ = writeln!(text, "  {id}:\n    source: {{ credential: orders-db }}");
    }
    lab.document(text).exits(0);
}

/// The database has another password than the manifest says.
fn wrong(lab: &Lab, jobs: usize) {
    for number in 0..jobs {
        assert!(
            lab.sim
                .set_real_password(&id(number), "source", "canary-other")
        );
    }
}

fn held(number: usize, by: usize) -> String {
    let (job, by) = (id(number), id(by));
    format!("! job {job} not retried: {by} uses @orders-db too and did not recover")
}

#[test]
fn one_job_of_a_credential_is_retried_first_and_the_others_follow_when_it_runs() {
    let mut lab = lab(4, SOON);
    let ids: Vec<String> = (0..4).map(id).collect();
    seal(&mut lab, &ids[..3], "canary-new");
    let own = format!("  {}:\n    source: {{ password: 'canary-new' }}\n", ids[3]);
    let text = lab.run(&["decrypt"]).exits(0).stdout + &own;
    lab.document(text).exits(0);
    lab.apply(&["--retry-jobs"])
        .exits(0)
        .says(&format!(
            "Retrying 4 jobs ({}), one of each shared credential first; watching for at most 5m.",
            [0, 3, 1, 2].map(id).join(", ")
        ))
        .says(&format!("= job {} retried, runs again", ids[2]));
    assert_eq!(retried(&lab), [[id(0), id(3)], [id(1), id(2)]]);
    assert!(lab.state()["body"]["retries"].is_null());
}

#[test]
fn a_shared_password_that_is_wrong_in_the_database_is_tried_by_one_job() {
    let mut lab = lab(7, LATER);
    wrong(&lab, 7);
    for _ in 0..3 {
        let mut run = lab.apply(&["--retry-jobs"]).exits(3);
        for number in 1..7 {
            run = run.says(&held(number, 0));
        }
        assert_eq!(retried(&lab), [[id(0)]]);
    }
    // Those that nothing was sent for are not taken for retried ones.
    let recorded = lab.state()["body"]["retries"].clone();
    assert_eq!(recorded.as_object().unwrap().len(), 1);
    // None would be retried, so there is nothing to approve.
    lab.run(&["apply", "--retry-jobs"])
        .exits(3)
        .says("Jobs: 0 running again, 0 failed again, 0 unknown, 7 not retried; 7 in all.");
    // To name it alone is to want it in any case.
    lab.apply(&["--retry-jobs", "--only", &format!("{}/source", id(1))])
        .exits(3)
        .says("retried, failed again");
    assert_eq!(retried(&lab), [[id(0)], [id(1)]]);
    // A second failure makes the shared password the likely cause.
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&held(2, 1))
        .says_not("--only");
    let ids: Vec<String> = (0..7).map(id).collect();
    seal(&mut lab, &ids, "canary-other");
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab)[2..], [vec![id(0)], ids[1..].to_vec()]);
    assert!(!lab.sim.is_locked(&id(0), "source"));
}

#[test]
fn a_job_that_runs_again_clears_its_credential_of_the_failure_of_another() {
    let mut lab = lab(4, LATER);
    let ids: Vec<String> = (0..4).map(id).collect();
    lab.plant(&["canary-old"]);
    let mut text =
        "version: 1\ncredentials:\n  wide: { password: 'canary-old' }\njobs:\n".to_owned();
    for id in &ids {
        let _ = writeln!(
            text,
            "  {id}:\n    source: {{ password: 'canary-new' }}\n    destination: {{ credential: wide }}"
        );
    }
    lab.document(text).exits(0);
    // Of the first job, only the password of its own source is wrong.
    wrong(&lab, 1);
    let next = format!("'drspass apply --retry-jobs --only {}'", ids[1]);
    for _ in 0..2 {
        lab.apply(&["--retry-jobs"]).exits(3).says(&format!(
            "if @wide is right and only the other password of {} is wrong, run {next}, which tries \
             @wide once more",
            ids[0]
        ));
    }
    assert_eq!(retried(&lab), [[id(0)]]);
    lab.apply(&["--retry-jobs", "--only", &ids[1]]).exits(0);
    let failed = lab.state()["body"]["retries"][&ids[0]].clone();
    assert_eq!(failed["proven"], json!(["destination"]));
    // The others go one by one all the same, and the failed job stays as it is.
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!("! job {} not retried: INCRE", ids[0]))
        .says(&format!("= job {} retried, runs again", ids[3]))
        .says_not("--only");
    assert_eq!(retried(&lab)[1..], [[id(1)], [id(2)], [id(3)]]);
}

#[test]
fn a_job_that_is_held_is_told_to_machines() {
    let lab = lab(2, LATER);
    wrong(&lab, 2);
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(3);
    let jobs: Vec<Value> = messages(&run)
        .into_iter()
        .filter(|message| message["type"] == "job")
        .collect();
    assert_eq!(jobs[0]["outcome"], "failed");
    assert_eq!(jobs[1]["outcome"], "not_asked");
    assert!(jobs[1]["status"].is_null());
}

#[test]
fn one_limit_counts_for_the_first_job_and_the_others() {
    let lab = lab(3, NEVER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("watching for at most 1s.")
        .says("retried; last seen STARTJOBING; check it later")
        .says(&held(1, 0))
        .says(&held(2, 0));
    assert_eq!(retried(&lab), [[id(0)]]);
    // A later run watches the same one, and goes on once it runs.
    watched_for(&lab, "8s");
    let before = asked(&lab, "batch-status");
    let child = lab.command(&RETRY).spawn().unwrap();
    wait_until("the watching", || asked(&lab, "batch-status") >= before + 2);
    lab.sim.set_status(&id(0), "INCRE_TRANSFER_STARTED");
    lab.wait(child).exits(3);
    assert_eq!(retried(&lab), [vec![id(0)], vec![id(1), id(2)]]);
}

#[test]
fn a_first_retry_that_the_service_refuses_is_followed_by_no_other() {
    let lab = lab(3, SOON);
    let row = json!({"id": id(0), "status": "failed", "error_code": "DRS.M00304"});
    let answer = body(&json!({"results": [row], "count": 1}));
    inject(&lab, "retry", Fault::next(answer));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("not retried: DRS.M00304")
        .says(&held(1, 0))
        .says(&held(2, 0));
    assert_eq!(retried(&lab), [[id(0)]]);
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab)[1..], [vec![id(0)], vec![id(1), id(2)]]);
}

#[test]
fn no_other_job_is_retried_if_someone_changed_the_state_in_the_meantime() {
    let lab = lab(2, NEVER);
    let child = lab.command(&RETRY).spawn().unwrap();
    wait_until("the watching", || asked(&lab, "batch-status") >= 3);
    lab.run(&["state", "distrust"]).exits(0);
    lab.sim.set_status(&id(0), "INCRE_TRANSFER_STARTED");
    lab.wait(child)
        .exits(3)
        .says(&format!("= job {} retried, runs again", id(0)))
        .says(&format!("! job {} not retried: ", id(1)))
        .says("note: jobs were not retried: ");
    assert_eq!(retried(&lab), [[id(0)]]);
}

#[test]
fn a_run_that_is_killed_between_two_rounds_leaves_each_retry_recorded() {
    let lab = lab(3, SOON);
    lab.killed_at("aftercare.before_retry", 2, &RETRY);
    let recorded = lab.state()["body"]["retries"].clone();
    assert_eq!(recorded.as_object().unwrap().len(), 3);
    assert_eq!(retried(&lab), [[id(0)]]);
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("the retry of 20");
    assert_eq!(retried(&lab), [[id(0)]]);
}

#[test]
fn outcomes_are_shown_before_retried_jobs_are_watched() {
    let lab = lab(1, NEVER);
    let mut child = lab.command(&RETRY).spawn().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let early: Vec<String> = shown
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| !line.contains("/source   applied"))
        .collect();
    assert!(early.iter().any(|line| line.starts_with("Apply: 1 entry")));
    wait_until("the watching", || asked(&lab, "batch-status") >= 3);
    send_signal(child.id(), rustix::process::Signal::INT);
    let late: Vec<String> = shown.map(Result::unwrap).collect();
    assert!(
        late[0].contains("retried; last seen STARTJOBING"),
        "{late:?}"
    );
    let is_result = |line: &&String| line.starts_with("Result: 1 applied");
    assert!(!early.iter().any(|line| is_result(&line)), "{early:?}");
    assert_eq!(late.iter().filter(is_result).count(), 1, "{late:?}");
    assert!(
        late.last()
            .unwrap()
            .starts_with("Jobs: 0 running again, 0 failed again, 1 unknown")
    );
    lab.wait(child).exits(130);
}

#[test]
fn each_entry_is_told_to_machines_once_though_outcomes_are_told_early() {
    let lab = lab(2, SOON);
    let run = lab.apply(&["--retry-jobs", "--json"]).exits(0);
    let kinds: Vec<String> = messages(&run)
        .iter()
        .map(|message| message["type"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["version", "plan", "entry", "entry", "job", "job", "result"];
    assert_eq!(kinds, expected);
}

#[test]
fn the_question_names_the_jobs_that_would_be_retried() {
    let lab = lab(12, SOON);
    // One that is not to be retried is not named.
    lab.sim.set_status(&id(3), "PAUSING");
    let first: Vec<String> = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10].map(id).into();
    let question = format!(
        "Send 12 passwords to project {} at {}, then retry 11 jobs ({} and 1 more)? Type",
        lab.sim.project_id(),
        lab.sim.url().replace("http://", ""),
        first.join(", ")
    );
    let ask = |answer| approval(&lab, &["apply", "--retry-jobs"], answer);
    ask("no\n").exits(7).says(&question);
    assert!(lab.sent().is_empty() && retried(&lab).is_empty());
    lab.apply(&[]).exits(0);
    ask("no\n").exits(7).says("Retry 11 jobs (");
    ask("yes\n").exits(0);
    lab.run(&["apply", "--retry-jobs"])
        .exits(0)
        .says("Jobs: 0 running again, 0 failed again, 0 unknown, 1 not retried; 1 in all.");
}

#[test]
fn a_job_that_fails_when_no_question_was_left_to_ask_is_not_retried() {
    let lab = lab(1, SOON);
    lab.apply(&[]).exits(0);
    let row = json!({"id": id(0), "status": "INCRE_TRANSFER_STARTED"});
    let running = body(&json!({"results": [row], "count": 1}));
    inject(&lab, "status", Fault::next(running));
    lab.run(&["apply", "--retry-jobs"])
        .exits(3)
        .says("not retried: it failed only now; run the command again");
    assert!(retried(&lab).is_empty());
    lab.apply(&["--retry-jobs"]).exits(0);
}

#[test]
fn passwords_are_sent_though_the_jobs_to_retry_cannot_be_named() {
    let lab = lab(1, SOON);
    inject(&lab, "status", Fault::always(status(500, "DRS.M00004")));
    approval(&lab, &["apply", "--retry-jobs"], "yes\n")
        .exits(3)
        .says(", then retry failed jobs? Type")
        .says("note: jobs were not retried: ")
        .says("Result: 1 applied");
}

#[test]
fn a_key_that_is_refused_before_the_question_is_shown_to_the_service_once() {
    let lab = lab(1, SOON);
    let mut command = lab.command(&["apply", "--retry-jobs"]);
    command.env_remove("OS_TOKEN");
    command.env("OS_ACCESS_KEY", "NOSUCHKEY");
    command.env("OS_SECRET_KEY", "canary-secret-key");
    lab.ended(Terminal::start(command)).exits(1);
    assert_eq!(lab.sim.requests().len(), 1);
}

#[test]
fn a_signal_at_the_question_that_names_jobs_ends_the_run() {
    let lab = lab(1, SOON);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut terminal = Terminal::start(lab.command(&["apply", "--retry-jobs"]));
        terminal.sees(APPROVAL);
        terminal.signal(signal);
        lab.ended(terminal).exits(code);
    }
    assert!(lab.sent().is_empty() && retried(&lab).is_empty());
}

#[test]
fn a_throttled_first_retry_is_followed_by_the_others() {
    let lab = lab(2, SOON);
    let throttled = FaultKind::Throttled {
        retry_after: Some(1),
    };
    inject(&lab, "retry", Fault::next(throttled));
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab), [[id(0)], [id(0)], [id(1)]]);
}

#[test]
fn the_credential_of_an_endpoint_that_is_not_selected_counts_too() {
    let mut lab = lab(2, NEVER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    let ids = [id(0), id(1)];
    let jobs = ids.each_ref().map(|id| {
        format!("  {id}:\n    source: {{ password: 'canary-new' }}\n    destination: {{ credential: wide }}\n")
    });
    let head = "version: 1\ncredentials:\n  wide: { password: 'canary-old' }\njobs:\n";
    lab.plant(&["canary-old"]);
    lab.document(head.to_owned() + &jobs.concat()).exits(0);
    lab.apply(&[]).exits(0);
    lab.apply(&["--retry-jobs", "--only", "*/source"])
        .exits(3)
        .says("uses @wide too and did not recover");
    assert_eq!(retried(&lab), [[id(0)]]);
}

#[test]
fn no_two_jobs_try_a_credential_at_once_that_was_not_seen_to_work() {
    let lab = lab(3, SOON);
    let [first, second, third] = [0, 1, 2].map(id);
    let wide = "destination: { credential: wide }";
    let orders = "source: { credential: orders-db }";
    let text = format!(
        "version: 1\ncredentials:\n  orders-db: {{ password: 'canary-new' }}\n  wide: {{ password: \
         'canary-old' }}\njobs:\n  {first}:\n    {orders}\n  {second}:\n    {orders}\n    {wide}\n  \
         {third}:\n    {orders}\n    {wide}\n"
    );
    lab.document(text).exits(0);
    lab.apply(&["--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab), [[first], [second], [third]]);
}

#[test]
fn a_job_that_starts_with_a_former_password_proves_nothing_of_the_new_one() {
    let mut lab = lab(7, LATER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says("last seen STARTJOBING");
    // The database does not have the next password yet, and the starting job refuses it.
    let ids: Vec<String> = (0..7).map(id).collect();
    seal(&mut lab, &ids, "canary-next");
    watched_for(&lab, "1m");
    lab.sim
        .inject(refuse(&ids[0], EndPointType::Source, "DRS.M00304"));
    lab.apply(&["--retry-jobs"])
        .exits(3)
        .says(&format!("= job {} retried, runs again", ids[0]))
        .says(&format!("! job {} retried, failed again", ids[1]))
        .says(&held(2, 1))
        .says(&held(6, 1));
    assert_eq!(retried(&lab), [[id(0)], [id(1)]]);
    let recorded = lab.state()["body"]["retries"].clone();
    assert!(!lab.sim.is_locked(&ids[0], "source"));
    assert!(recorded[&ids[1]]["proven"].is_null(), "{recorded}");
}

/// The sources use `@orders-db`, and each destination has a password of its own.
fn seal_both(lab: &mut Lab, destinations: &[&str]) {
    let mut text =
        "version: 1\ncredentials:\n  orders-db: { password: 'canary-new' }\njobs:\n".to_owned();
    for (number, password) in destinations.iter().enumerate() {
        let id = id(number);
        lab.sim.set_real_password(&id, "destination", password);
        let source = "source: { credential: orders-db }";
        let _ = writeln!(
            text,
            "  {id}:\n    {source}\n    destination: {{ password: '{password}' }}"
        );
    }
    lab.plant(destinations);
    lab.document(text).exits(0);
}

#[test]
fn a_saved_plan_of_other_jobs_knows_that_the_shared_password_failed() {
    let mut lab = lab(3, LATER);
    wrong(&lab, 3);
    seal_both(&mut lab, &["canary-old"; 3]);
    lab.apply(&["--retry-jobs"]).exits(3).says(&held(1, 0));
    let plan = |lab: &Lab| {
        lab.run(&["plan", "--out", "plan.json"]).exits(0);
        lab.run(&["apply", "plan.json", "--retry-jobs"])
    };
    seal_both(&mut lab, &["canary-old", "canary-next", "canary-old"]);
    plan(&lab)
        .exits(3)
        .says("Result: 1 applied")
        .says(&held(1, 0))
        .says_not(&id(2));
    // Nor does another password of the failed job itself make the shared one right.
    seal_both(&mut lab, &["canary-other", "canary-next", "canary-more"]);
    lab.apply(&["--only", &format!("{}/destination", id(2))])
        .exits(0);
    lab.run(&["plan", "--out", "plan.json", "--resend", &id(2)])
        .exits(0);
    assert_eq!(retried(&lab), [[id(0)]]);
    // Once that one runs, a plan for others goes on.
    for number in 0..3 {
        lab.sim
            .set_real_password(&id(number), "source", "canary-new");
    }
    lab.apply(&["--retry-jobs", "--only", &id(0)]).exits(0);
    seal_both(&mut lab, &["canary-other", "canary-last", "canary-more"]);
    plan(&lab).exits(0).says("runs again");
    assert_eq!(retried(&lab), [[id(0)], [id(0)], [id(1)]]);
}

#[test]
fn a_job_that_did_not_recover_keeps_the_others_from_a_retry_whatever_its_state() {
    let mut lab = lab(7, LATER);
    wrong(&lab, 7);
    lab.apply(&["--retry-jobs"]).exits(3);
    let proposed = format!("--only {}', which tries @orders-db once more", id(1));
    for state in [
        "PAUSING",
        "CONFIGURATION",
        "CHANGE_JOB_FAILED",
        "RELEASE_RESOURCE_COMPLETE",
        "DELETED",
        "SOME_NEW_STATE",
    ] {
        lab.sim.set_status(&id(0), state);
        lab.apply(&["--retry-jobs"])
            .exits(3)
            .says(&held(1, 0))
            .says(&held(2, 0))
            .says(&proposed);
        lab.run(&["apply", "--retry-jobs"]).exits(3);
    }
    let rows =
        [1, 2, 3, 4, 5, 6].map(|it| json!({"id": id(it), "status": "INCRE_TRANSFER_FAILED"}));
    let untold = body(&json!({"results": rows, "count": 6}));
    inject(&lab, "status", Fault::next(untold));
    lab.apply(&["--retry-jobs"]).exits(3).says(&held(1, 0));
    // One whose other password is not in sync is not retried, and still did not recover.
    lab.sim.set_status(&id(0), "INCRE_TRANSFER_FAILED");
    let own = format!("  {}:\n    source: {{ credential: orders-db }}\n", id(0));
    let text = lab.run(&["decrypt"]).exits(0).stdout;
    let more = format!("{own}    destination: {{ password: 'canary-old' }}\n");
    lab.plant(&["canary-old"]);
    lab.document(text.replace(&own, &more)).exits(0);
    lab.sim
        .inject(refuse(&id(0), EndPointType::Destination, "DRS.M00202"));
    lab.apply(&["--retry-jobs"])
        .exits(1)
        .says("its passwords are not all in sync")
        .says(&held(1, 0));
    assert_eq!(retried(&lab), [[id(0)]]);
    assert!(!lab.sim.is_locked(&id(0), "source"));
}

/// Such jobs, paused.
fn paused(jobs: usize, delay: Duration) -> Lab {
    let lab = lab(jobs, delay);
    for number in 0..jobs {
        lab.sim.set_status(&id(number), "PAUSING");
    }
    lab
}

#[test]
fn a_resumed_job_that_runs_before_it_logs_in_proves_nothing() {
    let lab = paused(7, LATER);
    wrong(&lab, 7);
    lab.apply(&["--retry-jobs", "--resume-paused"])
        .exits(3)
        .says(&format!("! job {} retried, failed again", id(0)))
        .says(&held(1, 0))
        .says(&held(6, 0));
    assert_eq!(retried(&lab), [[id(0)]]);
    assert!(!lab.sim.is_locked(&id(0), "source"));
}

#[test]
fn a_resumed_job_that_was_not_watched_long_enough_stays_recorded() {
    let lab = paused(3, NEVER);
    lab.configure("apply: { retry: { max_elapsed: 1s } }");
    for _ in 0..2 {
        lab.apply(&["--retry-jobs", "--resume-paused"])
            .exits(3)
            .says("retried; last seen INCRE_TRANSFER_STARTED")
            .says(&held(1, 0));
    }
    assert_eq!(retried(&lab), [[id(0)]]);
    watched_for(&lab, "1m");
    lab.apply(&["--retry-jobs", "--resume-paused"]).exits(0);
    assert_eq!(retried(&lab), [vec![id(0)], vec![id(1), id(2)]]);
    assert!(lab.state()["body"]["retries"].is_null());
}

#[test]
fn only_a_job_without_another_credential_of_the_failed_one_is_proposed() {
    let lab = lab(5, LATER);
    let wide = "destination: { credential: wide }";
    let orders = "source: { credential: orders-db }";
    let head = "version: 1\ncredentials:\n  orders-db: { password: 'canary-new' }\n  wide: { \
                password: 'canary-old' }\njobs:\n";
    for jobs in [2, 5] {
        let uses = [
            [orders, wide],
            [orders, wide],
            [orders, ""],
            ["", wide],
            [orders, ""],
        ];
        let mut text = head.to_owned();
        for (number, [source, destination]) in uses.into_iter().take(jobs).enumerate() {
            let _ = writeln!(text, "  {}:\n    {source}\n    {destination}", id(number));
        }
        wrong(&lab, 5);
        lab.document(text).exits(0);
        let run = lab.apply(&["--retry-jobs"]).exits(3).says(&held(1, 0));
        match jobs {
            2 => run.says_not("--only"),
            _ => run
                .says_not(&format!("--only {}", id(1)))
                .says(&format!("--only {}', which tries @orders-db once", id(2)))
                .says(&format!("--only {}', which tries @wide once", id(3))),
        };
    }
    assert_eq!(retried(&lab), [[id(0)]]);
}
