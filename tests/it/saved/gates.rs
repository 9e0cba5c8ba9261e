//! Limits, flags, and entries that are not to be sent.

use drspass::sim::EndPointType;

use super::{PLAN, Untouched, apply, planned, planned_first, refused, save, save_as};
use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab};

#[test]
fn limits_hold_for_a_saved_plan_and_are_lifted_by_the_exact_number() {
    let lab = planned_first();
    lab.configure("limits: { max_changes: 1 }");
    refused(&lab, &["apply", PLAN], 7, "max_changes is 1");
    refused(
        &lab,
        &["apply", PLAN, "--override-limits", "1"],
        7,
        "max_changes is 1",
    );
    refused(
        &lab,
        &["apply", PLAN, "--override-limits", "3"],
        7,
        "max_changes is 1",
    );
    // Limits are no matter of when it was planned: what is in force counts.
    save(&lab);
    refused(&lab, &["apply", PLAN], 7, "max_changes is 1");
    let before = Untouched::of(&lab);
    let mut command = lab.command(&["apply", PLAN]);
    command.env("DRSPASS_MAX_CHANGES", "0");
    lab.run_command(command).exits(7);
    before.assert(&lab);
    lab.run(&["apply", PLAN, "--override-limits", "2"]).exits(0);
    assert_eq!(lab.sent().concat().len(), 2);
}

#[test]
fn flags_that_change_the_action_are_a_wrong_command_line() {
    let lab = planned();
    for more in [
        &["--only", J1][..],
        &["--resend", J1],
        &["--allow-rollback"],
        &["--accept-new-key", "0123456789abcdef0123456789abcdef"],
    ] {
        refused(
            &lab,
            &[&["apply", PLAN], more].concat(),
            64,
            "cannot be used with a saved plan, which is applied as a whole",
        );
    }
}

#[test]
fn nobody_is_asked_and_no_terminal_is_needed() {
    let lab = planned();
    // Without a plan, the same run is not approved.
    refused(
        &lab,
        &["apply"],
        7,
        "cannot ask for approval without a terminal",
    );
    let run = apply(&lab).exits(0);
    assert!(!run.all().contains("Type 'yes'"), "{}", run.all());
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn a_plan_of_some_entries_sends_those_alone() {
    let mut lab = Lab::new();
    lab.passwords(&[
        (J1, "source", "canary-1"),
        (J1, "destination", "canary-2"),
        (J2, "source", "canary-3"),
    ]);
    save_as(&lab, PLAN, &["--only", &format!("{J1}/destination")]);
    apply(&lab).exits(0);
    let expected = [(J1.to_owned(), "destination".to_owned())];
    assert_eq!(lab.sent().concat(), expected);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
    save(&lab);
    apply(&lab).exits(0);
    assert_eq!(lab.sent().concat().len(), 3);
}

#[test]
fn a_plan_that_sends_again_does_so_once() {
    let lab = planned();
    apply(&lab).exits(0);
    save_as(&lab, PLAN, &["--resend", J2]);
    let sent = lab.sent().len();
    apply(&lab).exits(0);
    let again = lab.sent()[sent..].concat();
    assert_eq!(again, [(J2.to_owned(), "source".to_owned())]);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
}

#[test]
fn what_is_held_is_in_the_plan_and_is_not_sent_under_it() {
    let lab = planned();
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(1);
    // Held alone: nothing is sent, and that is no success.
    let said = save(&lab);
    assert_eq!(said["counts"]["held"], 1);
    let sent = lab.sent().len();
    apply(&lab).exits(1).says("1 skipped");
    assert_eq!(lab.sent().len(), sent);

    // Held beside others: those are sent.
    lab.document(format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-3' }}\n  {J3}:\n    \
         source: {{ password: 'canary-6' }}\n"
    ))
    .exits(0);
    save(&lab);
    lab.run(&["apply", PLAN, "--stop-if-blocked"]).exits(1);
    assert_eq!(lab.sent().len(), sent);
    apply(&lab).exits(3).says("1 applied").says("1 skipped");
    let after = lab.sent()[sent..].concat();
    assert_eq!(after, [(J3.to_owned(), "source".to_owned())]);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");

    // Asked for, it is sent.
    save_as(&lab, PLAN, &["--resend", J1]);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn an_older_manifest_that_a_plan_accepted_is_applied() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let older = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    let newer = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.put_manifest(older);
    refused(&lab, &["plan", "--out", PLAN], 1, "revision");
    assert!(!lab.exists(PLAN));
    save_as(&lab, PLAN, &["--allow-rollback"]);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    // It is the one applied last now; any other way back needs a word of its own.
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    lab.put_manifest(newer);
    refused(&lab, &["apply", "--auto-approve"], 1, "revision");
}

#[test]
fn a_manifest_that_became_older_than_the_state_since_is_refused() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    let older = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.apply(&["--only", J1]).exits(0);
    save(&lab);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    lab.apply(&["--only", J1]).exits(0);
    lab.put_manifest(older);
    refused(&lab, &["apply", PLAN], 5, "revision");
}

#[test]
fn a_job_that_cannot_be_told_now_is_left_out_and_sent_by_the_same_plan_later() {
    let lab = planned_first();
    assert!(lab.sim.set_status(J1, "CREATING"));
    let run = apply(&lab);
    assert!(lab.sim.set_status(J1, "INCRE_TRANSFER_STARTED"));
    run.exits(3).says("1 applied").says("1 skipped");
    apply(&lab).exits(0);
    assert_eq!(lab.sent().concat().len(), 2);
    refused(&lab, &["apply", PLAN], 5, "all of it is already applied");
}

#[test]
fn only_jobs_of_the_plan_are_retried_after_it() {
    let lab = planned();
    lab.configure("apply: { retry: { max_elapsed: 100ms } }");
    let retried = |lab: &Lab| -> Vec<String> {
        let requests = lab.sim.requests();
        let retries = requests
            .iter()
            .filter(|request| request.path().contains("retry"));
        retries
            .map(|request| String::from_utf8_lossy(request.body().unwrap()).into_owned())
            .collect()
    };
    for job in [J1, J2] {
        assert!(lab.sim.set_status(job, "INCRE_TRANSFER_FAILED"));
    }
    lab.run(&["apply", PLAN, "--retry-jobs"]);
    let bodies = retried(&lab);
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].contains(J1));
    assert!(!bodies[0].contains(J2), "{bodies:?}");
    // A plan of nothing retries nothing.
    save(&lab);
    lab.run(&["apply", PLAN, "--retry-jobs"]).exits(0);
    assert_eq!(retried(&lab).len(), 1);
    lab.run(&["apply", "--auto-approve", "--retry-jobs"]);
    assert!(retried(&lab)[1].contains(J2));
}

#[test]
fn an_error_as_json_carries_the_code_of_the_run() {
    let lab = planned();
    apply(&lab).exits(0);
    let run = refused(&lab, &["apply", PLAN, "--json"], 5, "already applied");
    let line = run.stdout.lines().last().unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["exit_code"], 5, "{line}");
}
