//! A plan goes on where it was left, and ends once all of it was applied.

use drspass::sim::{CannedAnswer, EndPointType, Fault, FaultKind, Which};

use super::{PLAN, apply, planned, planned_first, refused, save_as};
use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab};

fn entry(job: &str, endpoint: &str) -> (String, String) {
    (job.to_owned(), endpoint.to_owned())
}

#[test]
fn a_refused_entry_is_sent_again_by_the_same_plan_and_what_was_applied_is_not() {
    for lab in [planned_first(), {
        // The same with values that are known from before.
        let mut lab = planned_first();
        lab.apply(&[]).exits(0);
        lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-4")]);
        super::save(&lab);
        lab
    }] {
        let before = lab.sent().concat().len();
        for _ in 0..2 {
            lab.sim
                .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
            let run = apply(&lab);
            assert!(matches!(run.code, Some(1 | 3)), "{}", run.all());
        }
        let run = apply(&lab).exits(0);
        assert!(
            !run.stdout.contains(&format!("{J1}/source ")),
            "{}",
            run.stdout
        );
        assert_eq!(
            lab.sent().concat()[before..],
            [J1, J2, J2, J2].map(|job| entry(job, "source"))
        );
        refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_plan_that_goes_on_counts_what_is_left() {
    let lab = planned_first();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(3);
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    let run = apply(&lab).exits(1);
    let counts = "0 to set, 0 to change, 1 to send again; 1 in sync. Apply needs 1 request.";
    let run = run.says(counts).says("last attempt refused: DRS.M00304");
    run.says("1 entry of this plan is already applied; 1 remains");
    // As a plan made now would say it.
    lab.run(&["plan"]).exits(0).says(counts);
}

#[test]
fn an_entry_in_doubt_is_sent_again_by_the_same_plan() {
    let lab = planned_first();
    let which = Which::entry(J1, EndPointType::Source);
    lab.sim.inject(Fault::next(FaultKind::DropResults(which)));
    apply(&lab).exits(4);
    assert!(lab.plan().contains(&format!("? {J1}/source")));
    apply(&lab).exits(0).says("note: ");
    assert_eq!(
        lab.sent().concat(),
        [J1, J2, J1].map(|job| entry(job, "source"))
    );
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
}

#[test]
fn an_answer_that_never_came_leaves_the_plan_open() {
    let lab = planned();
    // A lost answer is asked for once more, and the second one is lost as well.
    lab.sim
        .inject(Fault::always(FaultKind::CloseAfter).times(2));
    apply(&lab).exits(4);
    apply(&lab).exits(0);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn a_wrong_password_is_not_repeated_by_the_same_plan() {
    let lab = planned_first();
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    apply(&lab).exits(3);
    let sent = lab.sent().len();
    // Repeating it would lock the account of the database.
    for _ in 0..2 {
        apply(&lab).exits(1).says("skipped: DRS.KE0002");
        assert_eq!(lab.sent().len(), sent);
    }
    // Whoever wants it says so, in a plan that says so.
    save_as(&lab, PLAN, &["--resend", J1]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    apply(&lab).exits(1);
    assert_eq!(lab.sent().len(), sent + 1);
    apply(&lab).exits(1).says("skipped: DRS.KE0002");
    assert_eq!(lab.sent().len(), sent + 1, "that was said of one attempt");
    save_as(&lab, PLAN, &["--resend", J1]);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn a_wrong_password_beside_others_lets_the_same_plan_finish_those() {
    let mut lab = Lab::new();
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J2, "source", "canary-2"),
        (J3, "source", "canary-3"),
    ]);
    super::save(&lab);
    // Both strike the first request.
    for (job, code) in [(J1, "DRS.KE0002"), (J2, "DRS.M00304")] {
        let rejected = refuse(job, EndPointType::Source, code).kind;
        lab.sim.inject(Fault::always(rejected).times(1));
    }
    apply(&lab).exits(3);
    let sent = lab.sent().concat().len();
    apply(&lab).exits(3).says("1 applied").says("1 skipped");
    assert_eq!(lab.sent().concat()[sent..], [entry(J2, "source")]);
}

#[test]
fn a_plan_that_was_left_open_is_closed_by_whoever_finishes_its_work() {
    let lab = planned_first();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(3);
    lab.apply(&[]).exits(0);
    let words = format!("the state of {J2}/source changed since");
    let run = refused(&lab, &["apply", PLAN], 5, &words);
    assert!(!run.all().contains(J1), "{}", run.all());
}

#[test]
fn an_entry_that_the_plan_applied_and_somebody_tried_since_closes_the_plan() {
    let lab = planned_first();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(3);
    // Its known value is still the plan's, and yet it is not in sync any more.
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&["--only", J1, "--resend", J1]).exits(1);
    let words = format!("the state of {J1}/source changed since");
    refused(&lab, &["apply", PLAN], 5, &words);
}

#[test]
fn a_value_that_was_applied_and_changed_since_closes_the_plan() {
    let mut lab = planned_first();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(3);
    lab.passwords(&[(J1, "source", "canary-7"), (J2, "source", "canary-2")]);
    let words = format!("the manifest now has other values for {J1}/source");
    refused(&lab, &["apply", PLAN], 5, &words);
}

#[test]
fn what_was_not_sent_since_the_login_was_refused_is_sent_by_the_same_plan() {
    for is_first in [true, false] {
        let mut lab = planned_first();
        if !is_first {
            lab.apply(&[]).exits(0);
            lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-4")]);
            super::save(&lab);
        }
        lab.configure("apply: { batch_size: 1, parallelism: 1 }");
        let before = lab.sent().len();
        lab.sim.inject(Fault::next(FaultKind::Status(CannedAnswer {
            http: 401,
            code: "APIGW.0301".to_owned(),
            ..CannedAnswer::default()
        })));
        apply(&lab).exits(1).says("2 not sent");
        assert_eq!(lab.sent().len(), before + 1);
        apply(&lab).exits(0);
        assert_eq!(lab.sent().len(), before + 3);
        refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
    }
}

#[test]
fn a_plan_that_was_made_in_doubt_goes_on_through_every_end_of_an_attempt() {
    let lab = planned();
    lab.sim
        .inject(Fault::always(FaultKind::CloseAfter).times(2));
    lab.apply(&[]).exits(4);
    let said = super::save(&lab);
    assert_eq!(said["entries"][0]["reason"], "in_doubt");
    lab.sim
        .inject(Fault::always(FaultKind::CloseAfter).times(2));
    apply(&lab).exits(4);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(1);
    lab.sim
        .inject(Fault::always(FaultKind::CloseBefore).times(2));
    apply(&lab).exits(4);
    apply(&lab).exits(0);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
}

#[test]
fn limits_count_what_is_still_to_be_sent() {
    let lab = planned_first();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    apply(&lab).exits(3);
    lab.configure("limits: { max_changes: 1 }");
    apply(&lab).exits(0);
}

#[test]
fn an_apply_that_was_not_saved_and_is_recovered_finishes_the_plan() {
    let lab = planned();
    let mut command = lab.command(&["apply", PLAN]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:3");
    lab.run_command(command).exits(8);
    let name = std::fs::read_dir(lab.dir.path())
        .unwrap()
        .map(|found| found.unwrap().file_name().to_string_lossy().into_owned())
        .find(|name| name.contains(".recovery-"))
        .unwrap();
    lab.run(&["state", "recover", &name]).exits(0);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
    assert_eq!(lab.sent().concat().len(), 3);
}
