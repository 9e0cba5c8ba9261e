//! A rekey after something that was cut off, and one that is cut off itself.

use super::{MANIFEST, add_somebody, lab_of_every_kind, opens, own, planned, told};
use crate::support::{J1, Lab};

#[test]
fn answers_of_a_cut_off_apply_are_counted_in_first() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    // The recipients differ, so nothing but a rekey writes the manifest.
    lab.run(&["rekey", "--yes"]).exits(0);
    assert!(!lab.exists("drspass.state.json.journal"));
    assert!(lab.sim.holds(J1, "source", "canary-2"));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_full_disk_leaves_all_old_or_all_new() {
    for (failing, code) in [("replace:1", 1), ("replace:2", 1), ("replace:3", 1)] {
        let lab = lab_of_every_kind();
        add_somebody(&lab);
        lab.list_recipients(&[&own(&lab)]);
        let (before, files) = (planned(&lab), told(&lab));
        let mut command = lab.command(&["rekey", "--yes"]);
        command.env("DRSPASS_TEST_FAIL_AT", failing);
        let run = lab.run_command(command).exits(code);
        if failing == "replace:1" {
            assert_eq!(told(&lab), files);
        } else {
            run.says("run 'drspass rekey' once more");
            assert!(!opens(&lab, "other.txt"));
            lab.run(&["plan"]).exits(0).says("a rekey was cut off");
        }
        assert_eq!(planned(&lab), before);
        lab.run(&["rekey", "--yes"]).exits(0);
        assert!(!opens(&lab, "other.txt"));
        assert_eq!(planned(&lab), before);
        assert!(!lab.exists("drspass.state.json.rekey"));
    }
}

#[test]
fn distrust_finishes_a_rekey_that_was_cut_off() {
    let lab = Lab::with_a_change();
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes", "--new-key"]);
    lab.run(&["state", "distrust"]).exits(0);
    assert!(!lab.exists("drspass.state.json.rekey"));
    assert!(lab.plan().contains(&format!("? {J1}/source")));
    lab.apply(&[]).exits(0);
}

#[test]
fn what_was_finished_before_the_question_is_told_before_it() {
    let lab = Lab::with_a_change();
    lab.killed_at("rekey.after_manifest", 1, &["rekey", "--yes", "--new-key"]);
    let before = lab.read(MANIFEST);
    lab.run(&["rekey", "--new-key"])
        .exits(7)
        .says("A rekey that was cut off was finished first.");
    assert_eq!(lab.read(MANIFEST), before);
    assert!(!lab.exists("drspass.state.json.rekey"));
    let run = lab.run(&["rekey", "--new-key"]).exits(7);
    assert!(!run.all().contains("cut off"), "{}", run.all());
}
