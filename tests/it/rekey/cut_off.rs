//! A rekey after something that was cut off, and a state that goes over in part.

use drspass::sim::{Fault, FaultKind};

use super::{STATE, add_somebody, key_id, lab_of_every_kind, own, planned, told};
use crate::recover::recovery_file;
use crate::support::around::started_up_to;
use crate::support::{J1, J2, Lab};

const JOURNAL: &str = "drspass.state.json.journal";

#[test]
fn answers_of_a_cut_off_apply_are_recorded_before_the_key_changes() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let files = told(&lab);
    lab.run(&["rekey", "--yes"])
        .exits(1)
        .says("an apply was cut off")
        .says("Run 'drspass apply'");
    assert_eq!(told(&lab), files);
    lab.apply(&[]).exits(0);
    assert!(!lab.exists(JOURNAL));
    lab.run(&["rekey", "--yes"]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-2"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_full_disk_at_the_first_write_of_the_state_leaves_the_former_one() {
    let lab = lab_of_every_kind();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.run(&["rekey", "--yes"]).exits(0);
    let (before, files) = (planned(&lab), told(&lab));
    for command in [
        &["apply", "--auto-approve"][..],
        &["state", "rm", "--unlisted"],
    ] {
        let mut command = lab.command(command);
        command.env("DRSPASS_TEST_FAIL_AT", "replace:2");
        lab.run_command(command).exits(1);
        assert_eq!(lab.read(STATE).as_bytes(), files[STATE]);
        assert_eq!(planned(&lab), before);
    }
    lab.run(&["state", "rm", "--unlisted"]).exits(0);
    assert_eq!(lab.state()["body"]["key_id"], key_id(&lab).as_str());
}

#[test]
fn distrust_needs_no_proof_of_the_former_state() {
    let lab = Lab::with_a_change();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    lab.run(&["state", "distrust"]).exits(0);
    assert!(lab.plan().contains(&format!("? {J1}/source")));
    lab.apply(&[]).exits(0);
}

/// Two changed passwords, of which an apply was killed when it had recorded the first.
fn lab_with_a_journal() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-2"), (J2, "source", "canary-2")]);
    // The second answer never comes, so that it cannot be recorded with the first.
    let hold = FaultKind::Hold { act_first: true };
    lab.sim.inject(Fault::nth(4, hold));
    let (place, reached) = ("journal.after_append", lab.path("reached"));
    let command = lab.command(&["apply", "--auto-approve"]);
    let (mut child, _) = started_up_to(command, place, 1, &reached);
    // Only what has come in is held: the fault must not wait for a later run.
    lab.await_puts(4);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lab.exists(JOURNAL));
    lab
}

#[test]
fn a_journal_that_the_state_has_already_does_not_outlive_its_key() {
    let lab = lab_with_a_journal();
    let before = planned(&lab);
    assert!(before[0].contains("1 in sync"), "{before:?}");
    assert!(before[1].contains(&format!("? {J2}/source")), "{before:?}");
    lab.killed_at("journal.before_removal", 1, &["apply", "--auto-approve"]);
    assert!(lab.exists(JOURNAL));
    let (state, journal) = (lab.read(STATE), lab.read(JOURNAL));
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    assert!(!lab.exists(JOURNAL));
    assert_eq!(lab.read(STATE), state);
    assert_eq!(planned(&lab), before);
    // Whoever knows the former key could write such a journal.
    lab.write(JOURNAL, journal);
    lab.run(&["plan"]).exits(0);
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert!(lab.sim.holds(J2, "source", "canary-2"));
}

#[test]
fn a_recovery_file_of_before_a_rekey_changes_nothing_after_it() {
    let lab = Lab::with_a_change();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("DRSPASS_TEST_FAIL_AT", "replace:3");
    lab.run_command(command).exits(8);
    let name = recovery_file(&lab);
    assert!(lab.exists(JOURNAL), "it was cut off as well");
    let recovery = lab.read(&name);
    lab.run(&["state", "recover", &name]).exits(0);
    let rekey = ["rekey", "--yes", "--new-key"];
    lab.run(&rekey).exits(0);
    let files = told(&lab);
    lab.write("old", &recovery);
    lab.run(&["state", "recover", "old"]).exits(1);
    std::fs::remove_file(lab.path("old")).unwrap();
    assert_eq!(told(&lab), files);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    lab.run(&rekey).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}
