//! After a wrong password: every further login of the same account with it brings the
//! lock of that account closer.

use std::fmt::Write as _;

use drspass::sim::{CannedAnswer, EndPointType, Fault, FaultKind, SimConfig};

use crate::looped::refuse;
use crate::outputs::{document, messages};
use crate::preflight::id;
use crate::support::{J1, J2, J3, J9, Lab};

/// So many sources use `@orders-db`; the last job's destination has a password of its own.
fn lab_of(jobs: usize, password: &str) -> Lab {
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    lab.plant(&["canary-own"]);
    seal(&mut lab, jobs, password);
    lab
}

fn seal(lab: &mut Lab, jobs: usize, password: &str) {
    lab.plant(&[password]);
    let mut text =
        format!("version: 1\ncredentials:\n  orders-db: {{ password: '{password}' }}\njobs:\n");
    for number in 0..jobs {
        let id = id(number);
        let _ = write!(text, "  {id}:\n    source: {{ credential: orders-db }}\n");
    }
    text.push_str("    destination: { password: 'canary-own' }\n");
    lab.document(text).exits(0);
}

/// The service calls the password of every source wrong.
fn all_wrong(lab: &Lab, jobs: usize) {
    for number in 0..jobs {
        let wrong = refuse(&id(number), EndPointType::Source, "DRS.KE0002").kind;
        lab.sim.inject(Fault::always(wrong));
    }
}

/// How often `@orders-db` was sent.
fn logins(lab: &Lab) -> usize {
    let sent = lab.sent().concat();
    sent.iter().filter(|(_, side)| side == "source").count()
}

const HELD: &str = "DRS.KE0002 (wrong password) for another entry of @orders-db";

#[test]
fn a_shared_password_that_is_wrong_is_tried_once_and_then_held_for_all_its_entries() {
    let mut lab = lab_of(40, "canary-typo");
    all_wrong(&lab, 40);
    lab.run(&["plan"]).exits(0).says("5 requests");
    lab.apply(&["--only", "*/source"])
        .exits(1)
        .says(&format!("skipped: {HELD}; --resend sends it"))
        .says("0 applied, 1 refused, 39 skipped, 0 not sent, 0 unknown; 40 in all.");
    assert_eq!(logins(&lab), 1);
    // What has another password is not held back.
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says(&format!("skipped: {HELD}"))
        .says("1 to set, 0 to change, 0 to send again, 40 skipped");
    lab.apply(&[])
        .exits(3)
        .says("1 applied, 0 refused, 40 skipped");
    assert_eq!(logins(&lab), 1);
    // Nor is anything sent where the one that was refused is not selected.
    lab.apply(&["--only", &id(7)]).exits(1).says("1 skipped");
    lab.apply(&["--stop-if-blocked"]).exits(1);
    // Named, it is tried once more; naming all of them tries one as well.
    lab.apply(&["--resend", &id(7)])
        .exits(1)
        .says("1 refused, 39 skipped");
    assert_eq!(logins(&lab), 2);
    lab.apply(&["--resend", "@orders-db"])
        .exits(1)
        .says("1 refused, 39 skipped");
    assert_eq!(logins(&lab), 3);
    assert_eq!(lab.entry(&id(20), "source"), serde_json::Value::Null);
    // Another password is a new one for all.
    seal(&mut lab, 40, "canary-right");
    lab.run(&["plan"])
        .exits(0)
        .says("38 to set, 0 to change, 2 to send again");
    assert!(!lab.plan().contains("skipped"));
}

#[test]
fn once_it_is_right_a_shared_password_goes_out_side_by_side() {
    let lab = lab_of(40, "canary-right");
    lab.sim
        .inject(Fault::always(FaultKind::Slow { millis: 20 }));
    lab.apply(&[]).exits(0);
    let sizes: Vec<usize> = lab.sent().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 10, 10, 10, 10]);
}

#[test]
fn what_the_service_fixed_is_sent_again_by_name_and_then_all_the_rest() {
    let lab = lab_of(12, "canary-late");
    lab.sim
        .inject(refuse(&id(0), EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[])
        .exits(3)
        .says("1 applied, 1 refused, 11 skipped");
    lab.apply(&["--resend", &id(0)])
        .exits(3)
        .says("1 applied, 0 refused, 11 skipped");
    lab.apply(&[]).exits(0).says("11 applied");
    assert_eq!(logins(&lab), 13);
}

#[test]
fn what_is_skipped_is_told_to_machines() {
    let lab = lab_of(3, "canary-typo");
    all_wrong(&lab, 3);
    let run = lab.apply(&["--json"]).exits(3);
    let messages = messages(&run);
    let entry = messages
        .iter()
        .find(|m| m["address"] == format!("{}/source", id(2)));
    let entry = entry.unwrap();
    assert_eq!(entry["outcome"], "blocked");
    assert_eq!(entry["code"], "DRS.KE0002");
    assert!(entry["why"].as_str().unwrap().contains("@orders-db"));
    let plan = document(&lab.run(&["plan", "--json"]).exits(0), "plan-output");
    assert_eq!(plan["counts"]["held"], 3);
    assert_eq!(plan["entries"][2]["reason"], "wrong_password");
}

#[test]
fn a_throttled_request_does_not_come_back_with_a_password_that_is_wrong_by_then() {
    let lab = lab_of(3, "canary-typo");
    lab.configure("apply: { batch_size: 1, parallelism: 2 }");
    // The first is applied, then two are out: one is put off, the other is refused.
    let throttled = FaultKind::Throttled {
        retry_after: Some(3),
    };
    lab.sim.inject(Fault::nth(2, throttled));
    let code = Some("DRS.KE0002".to_owned());
    lab.sim
        .inject(Fault::nth(3, FaultKind::ResultsIn400 { code }));
    let run = lab.apply(&["--only", "*/source"]).exits(3);
    run.says("1 applied, 1 refused, 1 skipped");
    assert_eq!(lab.sent().len(), 3);
}

#[test]
fn no_lost_request_is_repeated_after_a_wrong_password() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-wrong"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.sim.inject(Fault::nth(2, FaultKind::CloseAfter));
    lab.apply(&[]).exits(4).says("1 refused").says("1 unknown");
    assert_eq!(lab.sent().len(), 2);
    // Without one, it is.
    lab.passwords(&[(J1, "source", "canary-right"), (J2, "source", "canary-2")]);
    lab.sim.inject(Fault::nth(3, FaultKind::CloseAfter));
    lab.apply(&[]).exits(0);
    assert_eq!(lab.sent().len(), 5);
}

#[test]
fn a_request_refused_as_a_whole_says_so_and_its_entries_are_sent_one_by_one_when_named() {
    let ids: Vec<String> = (0..10).map(id).collect();
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    let entries: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), "source", "canary-one-of-ten"))
        .collect();
    lab.passwords(&entries);
    lab.sim.inject(Fault::next(FaultKind::Status(CannedAnswer {
        http: 400,
        code: "DRS.KE0002".to_owned(),
        ..CannedAnswer::default()
    })));
    lab.apply(&[])
        .exits(1)
        .says("refused as a whole: at least one of these 10 entries is wrong")
        .says("10 refused");
    lab.apply(&[]).exits(1).says("10 skipped");
    assert_eq!(lab.sent().len(), 1);
    lab.sim.inject(Fault::always(
        refuse(&ids[3], EndPointType::Source, "DRS.KE0002").kind,
    ));
    lab.run(&["plan", "--resend", "*"])
        .exits(0)
        .says("10 to send again")
        .says("10 requests");
    lab.apply(&["--resend", "*"])
        .exits(3)
        .says("3 applied, 1 refused, 6 skipped, 0 not sent, 0 unknown; 10 in all.");
    let one = |id: &String| vec![(id.clone(), "source".to_owned())];
    let expected: Vec<_> = ids[..4].iter().map(one).collect();
    assert_eq!(lab.sent()[1..], expected);
    // The bad one is known now.
    let others: Vec<&str> = ids[4..].iter().map(String::as_str).collect();
    lab.apply(&[&["--resend"], &others[..]].concat())
        .exits(3)
        .says("6 applied, 0 refused, 1 skipped");
}

#[test]
fn a_saved_plan_goes_on_without_the_entries_of_a_password_that_was_refused() {
    let lab = lab_of(4, "canary-typo");
    lab.apply(&["--only", "*/destination"]).exits(0);
    // One that is about a single entry, which nobody tried when it is applied.
    let only = ["plan", "--out", "one.json", "--only", &id(3)];
    lab.run(&only).exits(0);
    for more in [&[][..], &["--resend", "@orders-db"]] {
        lab.run(&[&["plan", "--out", "all.json", "--only", "@orders-db"], more].concat())
            .exits(0);
        let before = logins(&lab);
        lab.sim
            .inject(refuse(&id(0), EndPointType::Source, "DRS.KE0002"));
        let run = lab.run(&["apply", "all.json"]).exits(1);
        run.says("1 refused, 3 skipped");
        for _ in 0..2 {
            let run = lab.run(&["apply", "all.json"]).exits(1);
            run.says("0 refused, 4 skipped");
        }
        assert_eq!(logins(&lab), before + 1);
    }
    let before = logins(&lab);
    let run = lab.run(&["apply", "one.json"]).exits(1);
    run.says("0 refused, 1 skipped");
    assert_eq!(logins(&lab), before);
}

#[test]
fn a_job_with_two_endpoints_is_in_one_request_at_a_time_even_one_by_one() {
    let mut lab = Lab::new();
    let both = |password: &'static str| {
        [J1, J2, J3].map(|job| [(job, "source", password), (job, "destination", password)])
    };
    lab.passwords(&both("canary-1").concat());
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(3);
    lab.sim
        .inject(Fault::always(FaultKind::Slow { millis: 20 }));
    lab.apply(&["--resend", "*"]).exits(0);
    let sizes: Vec<usize> = lab.sent().iter().map(Vec::len).collect();
    assert_eq!(sizes[1..].iter().sum::<usize>(), 6);
    let alone = lab.sent().into_iter().filter(|sent| sent[0].0 == J2);
    assert_eq!(alone.map(|sent| sent.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_resend_of_two_wrong_passwords_tries_each_once() {
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    lab.plant(&["canary-typo", "canary-other"]);
    let mut text = "version: 1\ncredentials:\n  orders-db: { password: 'canary-typo' }\n  \
                    other: { password: 'canary-other' }\njobs:\n"
        .to_owned();
    let _ = write!(text, "  {}:\n    source: {{ credential: other }}\n", id(0));
    for number in 1..12 {
        let id = id(number);
        let _ = write!(text, "  {id}:\n    source: {{ credential: orders-db }}\n");
    }
    lab.document(text).exits(0);
    all_wrong(&lab, 12);
    lab.apply(&[]).exits(1).says("2 refused, 10 skipped");
    assert_eq!(logins(&lab), 2);
    // What was not refused yet waits for what was.
    lab.apply(&["--resend", "*"])
        .exits(1)
        .says("skipped: DRS.KE0002 (wrong password) for another entry in this run")
        .says("2 refused, 10 skipped");
    assert_eq!(logins(&lab), 4);
}

#[test]
fn a_password_that_nobody_proved_goes_to_one_job_at_a_time() {
    let lab = lab_of(12, "canary-typo");
    for number in 0..3 {
        let refused = refuse(&id(number), EndPointType::Source, "DRS.M00304").kind;
        lab.sim.inject(Fault::always(refused));
    }
    for number in 3..12 {
        let wrong = refuse(&id(number), EndPointType::Source, "DRS.KE0002").kind;
        lab.sim.inject(Fault::always(wrong));
    }
    lab.apply(&["--only", "*/source"])
        .exits(1)
        .says("4 refused, 8 skipped");
    assert_eq!(logins(&lab), 4);
}

#[test]
fn a_wrong_password_counts_although_its_answer_cannot_be_relied_on() {
    let row = |status: &str| {
        let id = id(0);
        format!(
            r#"{{"id":"{id}","end_point_type":"so","status":"{status}","error_code":"DRS.KE0002"}}"#
        )
    };
    let failed = row("failed");
    for (http, rows) in [
        (500, failed.clone()),
        (503, failed.clone()),
        (200, format!("{failed},{failed}")),
        (200, row("success")),
        (400, row("pending")),
    ] {
        let lab = lab_of(12, "canary-typo");
        lab.sim.inject(Fault::next(FaultKind::Status(CannedAnswer {
            http,
            body: Some(format!(r#"{{"count":1,"results":[{rows}]}}"#)),
            ..CannedAnswer::default()
        })));
        lab.apply(&["--only", "*/source"])
            .exits(4)
            .says(&format!("skipped: {HELD}"))
            .says("0 applied, 0 refused, 11 skipped, 0 not sent, 1 unknown");
        assert_eq!(logins(&lab), 1, "{http} {rows}");
    }
}

#[test]
fn as_many_requests_are_planned_as_are_sent_where_jobs_share_several_credentials() {
    let mut lab = Lab::with_config(SimConfig {
        accept_any_job: true,
        ..SimConfig::default()
    });
    let mut text = "version: 1\ncredentials:\n  one: { password: 'canary-one' }\n  two: { \
                    password: 'canary-two' }\n  all: { password: 'canary-all' }\njobs:\n"
        .to_owned();
    // The first jobs of the credentials share the one of their destinations.
    for (job, source) in [(J1, "one"), (J2, "two"), (J3, "one"), (J9, "two")] {
        let _ = writeln!(
            text,
            "  {job}:\n    source: {{ credential: {source} }}\n    destination: {{ credential: all }}"
        );
    }
    lab.plant(&["canary-one", "canary-two", "canary-all"]);
    lab.document(&text).exits(0);
    lab.run(&["plan"]).exits(0).says("Apply needs 3 requests.");
    lab.apply(&[]).exits(0).says("8 entries, 3 requests.");
    assert_eq!(lab.sent().len(), 3);
}
